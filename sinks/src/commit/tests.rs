use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dataflow::Positions;
use iceberg::table::Table as IcebergTable;
use iceberg::{Catalog, Namespace, NamespaceIdent, TableCommit as IcebergCommit, TableCreation, TableIdent};

use super::*;
use crate::Class;
use crate::ledger::Created;
use crate::store::LocalStore;
use crate::warehouse::tests::{lines, offsets, open, partition, prepare, quick, record, record_merge, rows, sql, text};
use crate::warehouse::{Nexts, catalog, source_key};

#[tokio::test]
async fn rows_of_every_table_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    record(&warehouse, &partition(0), 0..20, &Table::ALL).await;
    record(&warehouse, &partition(0), 20..33, &Table::ALL).await;
    record(&warehouse, &partition(1), 0..9, &Table::ALL).await;
    let report = warehouse.committer("w7").commit_pending().await.expect("commits");
    assert_eq!(report.rows(), 42 * Table::ALL.len() as u64);
    assert!(!report.more);
    for table in Table::ALL {
        let written = [(0, 0..20), (0, 20..33), (1, 0..9)].map(|(p, range)| rows(table, &partition(p), range));
        assert_eq!(lines(&warehouse, table).await, text(&written), "{table}");
    }
    let nothing = warehouse.committer("w7").commit_pending().await.expect("commits");
    assert!(nothing.commits.is_empty());
}

#[tokio::test]
async fn readers_prune_on_day_and_columns_and_see_nested_attributes() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    record(&warehouse, &partition(0), 0..30, &[Table::NetworkActivity]).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    let one = |query: &'static str| async { text(&sql(&warehouse, query).await) };
    assert_eq!(
        one("SELECT count(*) FROM w.network_activity WHERE time < TIMESTAMP '2026-11-21T00:00:00Z'").await,
        ["10"]
    );
    assert_eq!(one("SELECT count(*) FROM w.network_activity WHERE _offset >= 28").await, ["2"]);
    assert_eq!(
        one("SELECT count(*) FROM w.network_activity WHERE src_ip IS DISTINCT FROM src_endpoint['ip']").await,
        ["0"]
    );
    assert_eq!(one("SELECT count(*) FROM w.network_activity WHERE tenant_uid = 'other'").await, ["0"]);
}

#[tokio::test]
async fn a_commit_says_what_became_readable_and_leaves_it_in_the_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    record(&warehouse, &p, 5..9, &[Table::HttpActivity]).await;
    record(&warehouse, &p, 9..12, &[Table::BaseEvent]).await;
    let report = warehouse.committer("w7").commit_pending().await.expect("commits");
    let tables: Vec<Table> = report.commits.iter().map(|c| c.table.table()).collect();
    assert_eq!(tables, [Table::HttpActivity, Table::BaseEvent]);
    let http = &report.commits[0];
    assert_eq!((http.files, http.rows, http.attempts), (3, 4, 1));
    assert_eq!(http.ranges, BTreeMap::from([(p.clone(), OffsetRange { start: 5, next: 12 })]));
    let starts: Vec<i64> = http.entries.iter().map(|e| e.start).collect();
    assert_eq!(starts, [5], "the other entry has no rows of this table");
    let loaded = warehouse.load_table(Table::HttpActivity).await.expect("loads");
    let snapshot = loaded.metadata().current_snapshot().expect("a snapshot");
    assert_eq!(snapshot.snapshot_id(), http.snapshot_id);
    let summary = &snapshot.summary().additional_properties;
    assert_eq!(summary[RANGES_PROPERTY], r#"[["fw@i1/0",5,12]]"#);
    assert_eq!((summary[WRITER_PROPERTY].as_str(), summary["total-records"].as_str()), ("w7", "4"));
    assert_eq!(loaded.metadata().properties()[&source_key("local", &p)], "12");
}

#[tokio::test]
async fn a_table_that_nothing_touches_is_moved_along_when_it_lags_or_settles() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = WarehouseConfigFor { lag: 3, take: 4 }.at(dir.path());
    let warehouse = crate::Warehouse::open(config).await.expect("opens");
    let committer = warehouse.committer("t");
    let p = partition(0);
    let next = async |table| warehouse.nexts(table).await.expect("reads").sources.get(&p).copied();
    for n in 0..2 {
        record(&warehouse, &p, n..n + 1, &[Table::BaseEvent]).await;
        committer.commit_pending().await.expect("commits");
    }
    assert_eq!(next(Table::BaseEvent).await, Some(2));
    assert_eq!(next(Table::HttpActivity).await, None, "two behind are allowed");
    record(&warehouse, &p, 2..3, &[Table::BaseEvent]).await;
    let report = committer.commit_pending().await.expect("commits");
    assert_eq!(next(Table::HttpActivity).await, Some(3));
    assert_eq!(report.commits.len(), Table::ALL.len());
    record(&warehouse, &p, 3..4, &[Table::BaseEvent]).await;
    committer.settle().await.expect("commits");
    for table in Table::ALL {
        assert_eq!(next(table).await, Some(4), "{table}");
    }
    assert!(committer.settle().await.expect("commits").commits.is_empty(), "settled is settled");
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, [0, 1, 2, 3]);
}

struct WarehouseConfigFor {
    lag: usize,
    take: usize,
}

impl WarehouseConfigFor {
    fn at(self, root: &Path) -> crate::WarehouseConfig {
        crate::WarehouseConfig { lag_entries_max: self.lag, commit_entries_max: self.take, ..quick(root) }
    }
}

#[tokio::test]
async fn a_backlog_is_committed_in_pieces_to_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = WarehouseConfigFor { lag: 2, take: 2 }.at(dir.path());
    let warehouse = crate::Warehouse::open(config).await.expect("opens");
    let p = partition(0);
    for n in 0..7 {
        record(&warehouse, &p, n..n + 1, if n < 5 { &[Table::DeadLetter] } else { &[Table::BaseEvent] }).await;
    }
    let report = warehouse.committer("t").roll_forward().await.expect("commits");
    assert!(!report.more);
    assert_eq!(report.rows(), 7);
    assert_eq!(offsets(&warehouse, Table::DeadLetter, &p).await, [0, 1, 2, 3, 4]);
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, [5, 6]);
}

#[tokio::test]
async fn an_alert_waits_until_its_evidence_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let (p, alerts) = (partition(0), dataflow::PartitionId::new("_merge", "0", 0));
    record_merge(&warehouse, 0, &[(p.clone(), 0)]).await;
    record_merge(&warehouse, 1, &[(p.clone(), 10)]).await;
    record_merge(&warehouse, 2, &[(p.clone(), 20)]).await;
    record(&warehouse, &p, 0..10, &[Table::NetworkActivity]).await;
    let committer = warehouse.committer("t");
    let report = committer.commit_pending().await.expect("commits");
    let last = report.commits.last().expect("commits");
    assert_eq!((last.table.table(), last.steps.clone()), (Table::DetectionFinding, BTreeMap::from([(0, 0..2)])));
    assert_eq!(last.merges.len(), 2);
    assert_eq!(offsets(&warehouse, Table::DetectionFinding, &alerts).await, [0, 1], "step 2 saw rows up to 20");
    record(&warehouse, &p, 10..20, &[]).await;
    committer.commit_pending().await.expect("commits");
    assert_eq!(offsets(&warehouse, Table::DetectionFinding, &alerts).await, [0, 1, 2]);
}

/// A catalog that does to chosen calls what networks and rivals do.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Catalog>,
    plan: std::sync::Mutex<VecDeque<Fault>>,
    hits: AtomicUsize,
}

#[derive(Debug)]
enum Fault {
    /// The update is done; the answer is lost.
    AnswerLost,
    /// The update is not done.
    Refused,
    /// The update is not done, and the answer is yes: what a dropped COMMIT looks like.
    Lie,
    /// No answer ever.
    Silence,
    None,
}

impl Faulty {
    fn next(&self) -> Fault {
        let fault = self.plan.lock().expect("no panic").pop_front().unwrap_or(Fault::None);
        self.hits.fetch_add(usize::from(!matches!(fault, Fault::None)), Ordering::SeqCst);
        fault
    }
}

fn unexpected(what: &str) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, what.to_owned())
}

#[async_trait]
impl Catalog for Faulty {
    async fn load_table(&self, ident: &TableIdent) -> iceberg::Result<IcebergTable> {
        self.inner.load_table(ident).await
    }
    async fn update_table(&self, commit: IcebergCommit) -> iceberg::Result<IcebergTable> {
        match self.next() {
            Fault::None => self.inner.update_table(commit).await,
            Fault::AnswerLost => self.inner.update_table(commit).await.and(Err(unexpected("connection reset"))),
            Fault::Refused => Err(unexpected("503")),
            Fault::Lie => self.inner.load_table(commit.identifier()).await,
            Fault::Silence => std::future::pending().await,
        }
    }
    async fn create_table(&self, ns: &NamespaceIdent, creation: TableCreation) -> iceberg::Result<IcebergTable> {
        self.inner.create_table(ns, creation).await
    }
    async fn create_namespace(
        &self,
        ns: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> iceberg::Result<Namespace> {
        self.inner.create_namespace(ns, properties).await
    }
    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
        self.inner.list_namespaces(parent).await
    }
    async fn list_tables(&self, ns: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        self.inner.list_tables(ns).await
    }
    async fn get_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<Namespace> {
        Err(unexpected("unused"))
    }
    async fn namespace_exists(&self, ns: &NamespaceIdent) -> iceberg::Result<bool> {
        self.inner.namespace_exists(ns).await
    }
    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<()> {
        Err(unexpected("unused"))
    }
    async fn drop_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<()> {
        Err(unexpected("unused"))
    }
    async fn drop_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        Err(unexpected("unused"))
    }
    async fn purge_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        Err(unexpected("unused"))
    }
    async fn table_exists(&self, ident: &TableIdent) -> iceberg::Result<bool> {
        self.inner.table_exists(ident).await
    }
    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> iceberg::Result<()> {
        Err(unexpected("unused"))
    }
    async fn register_table(&self, _: &TableIdent, _: String) -> iceberg::Result<IcebergTable> {
        Err(unexpected("unused"))
    }
}

async fn open_faulty(config: crate::WarehouseConfig, plan: Vec<Fault>) -> (Warehouse, Arc<Faulty>) {
    let store = LocalStore::open(config.root.local().expect("a directory")).expect("opens");
    let inner = catalog::open_local(&config, &store).await;
    let faulty = Arc::new(Faulty { inner, plan: Default::default(), hits: AtomicUsize::new(0) });
    let warehouse = Warehouse::open_with(config, Arc::new(store), faulty.clone()).await.expect("opens");
    *faulty.plan.lock().expect("no panic") = plan.into();
    (warehouse, faulty)
}

/// Answers that leave it open what was done.
fn unclear_answers() -> Vec<Fault> {
    vec![
        Fault::AnswerLost,
        Fault::None,
        Fault::Refused,
        Fault::Refused,
        Fault::AnswerLost,
        Fault::Lie,
        Fault::AnswerLost,
    ]
}

#[tokio::test]
async fn whatever_the_catalog_answers_a_range_is_in_the_table_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = crate::WarehouseConfig { catalog_timeout_ms: 2_000, ..quick(dir.path()) };
    let plan: Vec<Fault> = unclear_answers().into_iter().chain([Fault::Silence]).collect();
    let faults = plan.iter().filter(|f| !matches!(f, Fault::None)).count();
    let (warehouse, faulty) = open_faulty(config, plan).await;
    let committer = warehouse.committer("t");
    let p = partition(0);
    for n in 0..6 {
        record(&warehouse, &p, n * 4..n * 4 + 4, &[Table::BaseEvent]).await;
        let report = committer.commit_pending().await.expect("commits");
        assert_eq!(report.rows(), 4, "a lost answer is found to be a yes");
    }
    assert_eq!(faulty.hits.load(Ordering::SeqCst), faults);
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, (0..24).collect::<Vec<i64>>());
}

/// What a sink without a ledger does: it writes the range's files, appends them, and begins again unless the answer is yes.
async fn append_until_yes(warehouse: &Warehouse, p: &PartitionId, range: Range<i64>) {
    let mut is_done = false;
    while !is_done {
        let entry = prepare(warehouse, p, range.clone(), &[Table::BaseEvent]).await;
        let base = warehouse.load_table(Table::BaseEvent).await.expect("loads");
        let files =
            manifest::data_files(base.metadata(), &entry.tables[&Table::BaseEvent.into()].files).expect("files");
        let transaction = Transaction::new(&base);
        let transaction = transaction.fast_append().add_data_files(files).apply(transaction).expect("applies");
        is_done = transaction.commit(warehouse.catalog().as_ref()).await.is_ok();
    }
}

#[tokio::test]
async fn a_loop_of_stock_appends_doubles_rows_where_the_answers_are_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let (warehouse, _) = open_faulty(quick(dir.path()), unclear_answers()).await;
    let p = partition(0);
    for n in 0..6 {
        append_until_yes(&warehouse, &p, n * 4..n * 4 + 4).await;
    }
    let mut want: Vec<i64> = (0..24).chain(0..4).chain(8..12).collect();
    want.sort_unstable();
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, want, "twice where the first answer was lost");
}

#[tokio::test]
async fn one_call_in_ten_fails_somehow_and_each_range_is_in_each_table_once() {
    for round in rounds() {
        one_call_in_ten_fails(20_261_129 + round).await;
    }
}

/// Of 500 calls.
async fn one_call_in_ten_fails(mut seed: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = [Table::NetworkActivity, Table::HttpActivity, Table::DnsActivity, Table::BaseEvent, Table::DeadLetter];
    let config = crate::WarehouseConfig { catalog_timeout_ms: 2_000, ..quick(dir.path()) };
    // Each kind of failure is among them.
    let plan = (0..500).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (seed >> 33) % 40 {
            0 | 1 => Fault::AnswerLost,
            2 => Fault::Refused,
            3 => Fault::Lie,
            _ => Fault::None,
        }
    });
    let (warehouse, faulty) = open_faulty(config, plan.collect()).await;
    let (committer, p) = (warehouse.committer("t"), partition(0));
    for n in 0..100 {
        record(&warehouse, &p, n * 2..n * 2 + 2, &tables).await;
        committer.commit_pending().await.expect("commits");
    }
    let hits = faulty.hits.load(Ordering::SeqCst);
    assert!((25..=80).contains(&hits) && faulty.plan.lock().expect("no panic").is_empty(), "{hits} failures");
    for table in tables {
        assert_eq!(offsets(&warehouse, table, &p).await, (0..200).collect::<Vec<i64>>(), "{table}");
    }
}

#[tokio::test]
async fn a_table_is_told_of_when_it_is_done_also_if_the_next_one_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = crate::WarehouseConfig { commit_attempts_max: 1, ..quick(dir.path()) };
    let (warehouse, _) = open_faulty(config, [Fault::None, Fault::Refused].into()).await;
    let (p, tables) = (partition(0), [Table::HttpActivity, Table::DeadLetter]);
    record(&warehouse, &p, 0..4, &tables).await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (own, of) = (told.clone(), p.clone());
    let news = move |to: Destination, ends: &Positions| own.lock().expect("no panic").push((to.table(), ends[&of]));
    let committer = warehouse.committer("t").telling(Arc::new(news));
    committer.commit_pending().await.expect_err("the second is refused");
    let is_told = || tables.map(|table| told.lock().expect("no panic").contains(&(table, 4)));
    assert_eq!(is_told().into_iter().filter(|it| *it).count(), 1);
    committer.commit_pending().await.expect("commits");
    assert_eq!(is_told(), [true; 2]);
}

#[tokio::test]
async fn a_catalog_that_stays_away_ends_in_a_transient_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = crate::WarehouseConfig { commit_attempts_max: 3, ..quick(dir.path()) };
    let plan = (0..3).map(|_| Fault::Refused).collect();
    let (warehouse, _) = open_faulty(config, plan).await;
    record(&warehouse, &partition(0), 0..4, &[Table::BaseEvent]).await;
    let error = warehouse.committer("t").commit_pending().await.expect_err("three refusals");
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert_eq!(warehouse.committer("t").commit_pending().await.expect("commits").rows(), 4);
}

/// A plan built before another committer was there, sent after.
async fn stale_plan(warehouse: &Warehouse) -> Plan {
    let mut pass = Pass::begin(warehouse).await.expect("lists");
    let plan =
        Plan::build(warehouse, Table::BaseEvent.into(), &mut pass, &mut Memory::default()).await.expect("builds");
    warehouse.committer("rival").commit_pending().await.expect("commits");
    plan
}

#[tokio::test]
async fn a_commit_on_a_base_that_moved_is_fenced() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    for (n, want) in [(0, None), (1, Some(4))] {
        record(&warehouse, &p, n * 4..n * 4 + 4, &[Table::BaseEvent]).await;
        let stale = stale_plan(&warehouse).await;
        let error = warehouse.committer("zombie").send(&stale).await.expect_err("fenced");
        let Error::Fenced { key, have, want: wanted, .. } = &error else { panic!("{error}") };
        assert_eq!((key.as_str(), *have, *wanted), ("palisade.next.local.fw@i1.0", Some(n * 4 + 4), want));
    }
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, (0..8).collect::<Vec<i64>>());
}

/// As if somebody whose clock is ahead had changed the table last.
async fn change_later(warehouse: &Warehouse, table: Table, ahead_ms: i64) {
    let loaded = warehouse.load_table(table).await.expect("loads");
    let file = loaded.metadata_location().expect("a file").to_owned();
    let text = std::fs::read_to_string(&file).expect("reads");
    let mut metadata: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let changed = loaded.metadata().last_updated_ms() + ahead_ms;
    metadata["last-updated-ms"] = changed.into();
    std::fs::write(&file, metadata.to_string()).expect("writes");
}

#[tokio::test]
async fn a_table_that_was_changed_by_a_clock_ahead_waits_until_ours_has_passed_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let (p, committer) = (partition(0), warehouse.committer("t"));
    record(&warehouse, &p, 0..4, &[Table::BaseEvent]).await;
    change_later(&warehouse, Table::BaseEvent, 3_600_000).await;
    let error = committer.commit_pending().await.expect_err("no snapshot may be older");
    let is_told = matches!(&error, Error::ClockBehind { changed_at, .. } if changed_at.ends_with('Z'));
    assert!(is_told && error.class() == Class::Transient, "{error}");
    assert_eq!(
        committer.take_missed(),
        BTreeMap::from([((Table::BaseEvent.into(), Miss::Failed), 1)]),
        "one attempt will do"
    );
    change_later(&warehouse, Table::BaseEvent, -3_600_000).await;
    committer.commit_pending().await.expect("commits");
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, [0, 1, 2, 3]);
}

/// An engine that knows nothing of us commits to the same table.
async fn foreign_commit(warehouse: &Warehouse) {
    let base = warehouse.load_table(Table::BaseEvent).await.expect("loads");
    let transaction = Transaction::new(&base);
    let append = transaction.fast_append().set_snapshot_properties(HashMap::from([("engine".into(), "other".into())]));
    let transaction = append.apply(transaction).expect("applies");
    transaction.commit(warehouse.catalog().as_ref()).await.expect("commits");
}

#[tokio::test]
async fn another_engine_may_commit_to_the_same_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    record(&warehouse, &p, 0..4, &[Table::BaseEvent]).await;
    let mut pass = Pass::begin(&warehouse).await.expect("lists");
    let plan =
        Plan::build(&warehouse, Table::BaseEvent.into(), &mut pass, &mut Memory::default()).await.expect("builds");
    foreign_commit(&warehouse).await;
    warehouse.committer("t").send(&plan).await.expect("palisade.next has not moved, so the plan holds");
    foreign_commit(&warehouse).await;
    record(&warehouse, &p, 4..8, &[Table::BaseEvent]).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &p).await, (0..8).collect::<Vec<i64>>());
}

#[tokio::test]
async fn regions_share_tables_and_keep_their_own_account() {
    let dir = tempfile::tempdir().expect("a directory");
    let region = async |name: &str| {
        let config = crate::WarehouseConfig { region: name.into(), ..quick(dir.path()) };
        Warehouse::open(config).await.expect("opens")
    };
    let (eu, us) = (region("eu").await, region("us").await);
    for (warehouse, partition, range) in
        [(&eu, partition(0), 0..4), (&us, partition(1), 0..6), (&eu, partition(0), 4..5)]
    {
        record(warehouse, &partition, range, &[Table::BaseEvent]).await;
        warehouse.committer("t").commit_pending().await.expect("commits");
    }
    assert_eq!(offsets(&us, Table::BaseEvent, &partition(0)).await, [0, 1, 2, 3, 4]);
    assert_eq!(offsets(&eu, Table::BaseEvent, &partition(1)).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(eu.start_positions().await.expect("reads"), Positions::from([(partition(0), 5)]));
    assert_eq!(us.start_positions().await.expect("reads"), Positions::from([(partition(1), 6)]));
}

#[tokio::test]
async fn a_damaged_or_lost_property_is_no_reason_to_guess() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    record(&warehouse, &p, 0..4, &[Table::BaseEvent]).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    let base = warehouse.load_table(Table::BaseEvent).await.expect("loads");
    let transaction = Transaction::new(&base);
    let update = transaction.update_table_properties().set(source_key("local", &p), "four".into());
    let transaction = update.apply(transaction).expect("applies");
    transaction.commit(warehouse.catalog().as_ref()).await.expect("commits");
    for error in [
        warehouse.committer("t").commit_pending().await.map(drop).expect_err("refused"),
        warehouse.start_positions().await.map(drop).expect_err("refused"),
    ] {
        assert_eq!(error.class(), Class::Permanent);
        assert!(error.to_string().contains(r#"palisade.next.local.fw@i1.0 = "four""#), "{error}");
    }
}

#[tokio::test]
async fn without_the_guard_the_same_commit_doubles_the_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    record(&warehouse, &partition(0), 0..4, &[Table::BaseEvent]).await;
    let stale = stale_plan(&warehouse).await;
    let mut zombie = warehouse.committer("zombie");
    zombie.guarded = false;
    zombie.send(&stale).await.expect("iceberg sees no conflict");
    assert_eq!(offsets(&warehouse, Table::BaseEvent, &partition(0)).await, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[tokio::test]
async fn a_property_only_commit_never_moves_a_table_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    record(&warehouse, &p, 0..4, &[Table::HttpActivity]).await;
    let mut pass = Pass::begin(&warehouse).await.expect("lists");
    let memory = &mut Memory::default();
    let plan = Plan::build(&warehouse, Table::BaseEvent.into(), &mut pass, memory).await.expect("builds");
    assert!(plan.files.is_empty() && plan.sets.values().eq([&4]));
    record(&warehouse, &p, 4..8, &[Table::BaseEvent]).await;
    warehouse.committer("rival").commit_pending().await.expect("commits");
    assert!(matches!(warehouse.committer("zombie").send(&plan).await, Err(Error::Fenced { .. })));
    assert_eq!(warehouse.nexts(Table::BaseEvent).await.expect("reads").sources[&p], 8);
}

/// How often a test of chance is done again, each time with other numbers: `PALISADE_ROUNDS`, or once.
fn rounds() -> std::ops::Range<u64> {
    0..std::env::var("PALISADE_ROUNDS").map_or(1, |text| text.parse().expect("PALISADE_ROUNDS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_committers_take_each_range_once() {
    for _ in rounds() {
        two_committers_take_turns().await;
    }
}

/// 200 passes over 8 partitions.
async fn two_committers_take_turns() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let rival = open(dir.path()).await;
    let (partitions, ranges) = (8, 100);
    let work = |w: Warehouse, writer: &'static str| async move {
        let committer = w.committer(writer);
        for n in 0..ranges {
            for p in (0..partitions).filter(|p| (p % 2 == 0) == (writer == "a")) {
                record(&w, &partition(p), n * 2..n * 2 + 2, &[Table::BaseEvent]).await;
            }
            committer.commit_pending().await.expect("commits");
        }
        committer.settle().await.expect("commits");
    };
    let mut both = tokio::task::JoinSet::new();
    both.spawn(work(warehouse.clone(), "a"));
    both.spawn(work(rival, "b"));
    both.join_all().await;
    warehouse.committer("c").settle().await.expect("commits");
    for p in 0..partitions {
        let all = offsets(&warehouse, Table::BaseEvent, &partition(p)).await;
        assert_eq!(all, (0..ranges * 2).collect::<Vec<i64>>(), "partition {p}");
    }
    let loaded = warehouse.load_table(Table::BaseEvent).await.expect("loads");
    assert_ranges_are_disjoint_and_gap_free(&loaded);
}

/// The snapshots' own account: each partition's ranges follow each other from 0 to `palisade.next`.
fn assert_ranges_are_disjoint_and_gap_free(table: &IcebergTable) {
    let mut ranges: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for snapshot in table.metadata().snapshots() {
        let text = &snapshot.summary().additional_properties[RANGES_PROPERTY];
        for (name, start, next) in serde_json::from_str::<Vec<(String, i64, i64)>>(text).expect("ranges") {
            ranges.entry(name).or_default().push((start, next));
        }
    }
    let nexts: Positions = Nexts::read("local", Table::BaseEvent.into(), table.metadata()).expect("reads").sources;
    for (partition, next) in nexts {
        let mut of = ranges.remove(&partition.path()).expect("some");
        of.sort_unstable();
        let end = of.iter().fold(0, |end, &(start, next)| {
            assert_eq!(start, end, "{partition}: {of:?}");
            next
        });
        assert_eq!(end, next, "{partition}");
    }
}

thread_local! {
    /// The step at which this thread's protocol run dies, and how many times it may pass before.
    static STOP_AT: Cell<Option<(Step, usize)>> = const { Cell::new(None) };
}

pub(crate) fn install_stopper() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::step::observe(Box::new(|step| {
            STOP_AT.with(|stop| match stop.get() {
                Some((at, 0)) if at == step => {
                    stop.set(None);
                    panic!("stopped at {step}");
                }
                Some((at, n)) if at == step => stop.set(Some((at, n - 1))),
                _ => {}
            });
        }));
    });
}

const RECORDS: i64 = 12;
const STEPS: i64 = 3;

/// One worker's life: resume, roll forward, take in what is left in ranges of another length each time, settle.
async fn live(root: &Path, range: i64) {
    let warehouse = open(root).await;
    let positions = warehouse.start_positions().await.expect("reads");
    let committer = warehouse.committer("w");
    committer.roll_forward().await.expect("commits");
    let p = partition(0);
    let mut at = positions.get(&p).copied().unwrap_or(0);
    let mut step = warehouse.merge_head(0).await.expect("reads").map_or(0, |e| e.step + 1);
    while at < RECORDS {
        let next = (at + range).min(RECORDS);
        let mut entry = prepare(&warehouse, &p, at..next, &[Table::NetworkActivity, Table::DeadLetter]).await;
        let deltas = warehouse.ledger().put_exchange(&p, at, entry.attempt, "deltas".into()).await;
        entry.exchange = Some(deltas.expect("writes"));
        assert_eq!(warehouse.ledger().create_source(&entry).await.expect("creates"), Created::New);
        at = next;
        committer.commit_pending().await.expect("commits");
    }
    while step < STEPS {
        warehouse.ledger().put_state(0, step, Uuid::new_v4(), "state".into()).await.expect("writes");
        record_merge(&warehouse, step, &[(p.clone(), at)]).await;
        step += 1;
    }
    committer.settle().await.expect("commits");
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs a life that dies at the step, if it comes to it; true if it did.
fn dies(root: &Path, range: i64, step: Step, passes: usize) -> bool {
    dies_at(step, passes, || runtime().block_on(live(root, range)))
}

/// Runs something on this thread that dies at the step, if it comes to it; true if it did.
pub(crate) fn dies_at(step: Step, passes: usize, run: impl FnOnce()) -> bool {
    STOP_AT.with(|stop| stop.set(Some((step, passes))));
    let life = catch_unwind(AssertUnwindSafe(run));
    let reached = STOP_AT.with(|stop| stop.take()).is_none();
    assert_eq!(life.is_err(), reached, "{step}: only the stopper ends a life");
    reached
}

fn assert_each_row_once(root: &Path, after: &str) {
    runtime().block_on(async {
        let warehouse = open(root).await;
        let all: Vec<i64> = (0..RECORDS).collect();
        for table in [Table::NetworkActivity, Table::DeadLetter] {
            assert_eq!(offsets(&warehouse, table, &partition(0)).await, all, "{table} after {after}");
        }
        let alerts = dataflow::PartitionId::new("_merge", "0", 0);
        let steps: Vec<i64> = (0..STEPS).collect();
        assert_eq!(offsets(&warehouse, Table::DetectionFinding, &alerts).await, steps, "after {after}");
        assert_eq!(warehouse.start_positions().await.expect("reads")[&partition(0)], RECORDS);
    });
}

#[test]
fn a_crash_at_any_step_and_another_while_recovering_leave_each_row_once() {
    install_stopper();
    for step in Step::ALL.into_iter().filter(|step| !step.is_of_collection()) {
        // Late in a life as well, where a step comes more than once.
        let often =
            matches!(step, Step::FileStaged | Step::SourceEntryAfter | Step::TableCommitAfter | Step::BetweenTables);
        for passes in if often { vec![0, 2] } else { vec![0] } {
            let dir = tempfile::tempdir().expect("a directory");
            let first = dies(dir.path(), 5, step, passes);
            assert!(first, "{step} is never reached {passes} times");
            // The ranges differ from life to life: a replay need not cut as the first run did.
            let second = dies(dir.path(), 4, step, 0);
            runtime().block_on(live(dir.path(), 3));
            assert_each_row_once(dir.path(), &format!("{step} x{passes}; died again: {second}"));
        }
    }
}

#[test]
fn pauses_double_up_to_a_limit() {
    let ms: Vec<u128> = (1..=8).map(|n| backoff(25, n).as_millis()).collect();
    assert_eq!(ms, [25, 50, 100, 200, 400, 800, 800, 800]);
    assert_eq!(backoff(0, 9), Duration::ZERO);
}
