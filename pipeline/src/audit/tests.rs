//! A warehouse is broken in each way, and the audit says which invariant that is, and which other it could not check.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use aggregate::{Deltas, MergeStage};
use arrow::array::RecordBatch;
use dataflow::{ChunkBuilder, PartitionId, Positions, Reason, Record, Table, TableBuilder, Watermark};
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use sinks::upkeep::Policy;
use sinks::{MergeEntry, Origin, SourceEntry, WarehouseConfig};
use uuid::Uuid;

use super::*;
use crate::merge::redo;
use crate::setup;

/// 2026-11-20T00:00:00Z.
const DAY: i64 = 1_795_132_800_000_000;
const TABLES: [Table; 2] = [Table::NetworkActivity, Table::BaseEvent];

fn partition(n: i32) -> PartitionId {
    PartitionId::new("fw", "i1", n)
}

/// A row an offset.
fn rows(table: Table, partition: &PartitionId, offsets: Range<i64>) -> RecordBatch {
    let mut builder = TableBuilder::new(table);
    for offset in offsets {
        row(&mut builder, partition, "acme", offset);
    }
    builder.finish()
}

/// Ends a row; its table decides what else is set.
fn row(builder: &mut TableBuilder, partition: &PartitionId, tenant: &str, offset: i64) {
    let table = builder.table();
    builder.set_i64(table.expect_leaf("time"), DAY + offset * 1_000_000);
    if table == Table::DeadLetter {
        builder.set_str(table.expect_leaf("reason"), "empty");
    }
    let mut chunk = ChunkBuilder::new(partition.clone(), tenant.into(), offset);
    chunk.push(b"x", offset, DAY + offset * 1_000_000);
    let chunk = chunk.finish();
    let record: Record<'_> = chunk.records().next().expect("one record");
    builder.end_event(partition, tenant, &record, 0);
}

struct Fixture {
    dir: tempfile::TempDir,
    warehouse: Warehouse,
    rules: Arc<RuleSet>,
}

impl Fixture {
    /// Two partitions with two ranges each, two merge steps, all of it committed.
    async fn sound() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config = WarehouseConfig { commit_backoff_ms: 0, ..WarehouseConfig::at(dir.path()) };
        let warehouse = Warehouse::open(config).await.expect("opens");
        let fixture = Self { dir, warehouse, rules: setup::builtin_rules().expect("they ship") };
        for n in 0..2 {
            fixture.range(n, 0..10, |_| {}).await;
            fixture.range(n, 10..20, |_| {}).await;
        }
        fixture.step(0, 10, DAY, &[], |_| {}).await;
        fixture.step(1, 20, DAY + 1, &[], |_| {}).await;
        fixture.settle().await;
        fixture
    }

    async fn settle(&self) {
        self.warehouse.committer("test").settle().await.expect("commits");
    }

    async fn stage(&self, origin: Origin<'_>, attempt: Uuid, table: Table, rows: &RecordBatch) -> sinks::TableFiles {
        let mut files = Vec::new();
        for file in self.warehouse.encoder().encode(table, std::slice::from_ref(rows)).expect("encodes") {
            files.push(self.warehouse.stage(origin, attempt, file).await.expect("stages"));
        }
        files.into_iter().collect()
    }

    /// Takes a range in: its even offsets are events, its odd ones split into two tables, its last one a dead letter.
    async fn range(&self, n: i32, offsets: Range<i64>, change: impl FnOnce(&mut SourceEntry)) {
        self.range_of(n, offsets.clone(), offsets, change).await;
    }

    /// As [`Fixture::range`], with rows of other offsets than the range's.
    async fn range_of(&self, n: i32, range: Range<i64>, held: Range<i64>, change: impl FnOnce(&mut SourceEntry)) {
        let (partition, attempt) = (partition(n), Uuid::new_v4());
        let mut entry = SourceEntry::empty(partition.clone(), range.start, range.end, "test", attempt);
        let origin = Origin::Range { partition: &partition, start: range.start, next: range.end };
        let middle = (held.start + held.end) / 2;
        let parts = [
            (TABLES[0], held.start..middle),
            (TABLES[1], middle..held.end - 1),
            (Table::DeadLetter, held.end - 1..held.end),
        ];
        for (table, offsets) in parts {
            let files = self.stage(origin, attempt, table, &rows(table, &partition, offsets)).await;
            entry.tables.insert(table.into(), files);
        }
        entry.records = range.clone().count() as u64;
        entry.dead_letters.insert(Reason::Empty, 1);
        entry.watermark = Some(DAY + range.end);
        entry.versions.insert("rules".to_owned(), self.rules.version().to_owned());
        let groups = NonZeroU32::new(self.warehouse.merge_groups()).expect("above zero");
        let deltas = Deltas::empty(groups).encode().expect("encodes");
        let exchange = self.warehouse.ledger().put_exchange(&partition, range.start, attempt, deltas.into()).await;
        entry.exchange = Some(exchange.expect("writes"));
        change(&mut entry);
        self.warehouse.ledger().create_source(&entry).await.expect("creates");
    }

    /// Takes a merge step with these alerts.
    async fn step(
        &self,
        step: i64,
        merged: i64,
        watermark: i64,
        alerts: &[RecordBatch],
        change: impl FnOnce(&mut MergeEntry),
    ) {
        let attempt = Uuid::new_v4();
        let mut entry = MergeEntry::empty(0, step, DAY, "test", attempt);
        entry.vector = (0..2).map(|n| (partition(n), merged)).collect();
        entry.partition_watermarks = (0..2).map(|n| (partition(n), Watermark::EventTime(watermark))).collect();
        entry.watermark = Some(watermark);
        entry.versions.insert("rules".to_owned(), self.rules.version().to_owned());
        for rows in alerts {
            let files = self.stage(Origin::Step { group: 0, step }, attempt, Table::DetectionFinding, rows).await;
            entry.tables.insert(Table::DetectionFinding.into(), files);
        }
        let state = self.state_after(&entry).await;
        let state = self.warehouse.ledger().put_state(0, step, attempt, state.into()).await;
        entry.state = Some(state.expect("writes"));
        change(&mut entry);
        self.warehouse.ledger().create_merge(&entry).await.expect("creates");
    }

    /// The merge state after all steps that were taken, and this one.
    async fn state_after(&self, last: &MergeEntry) -> Vec<u8> {
        let ledger = self.warehouse.ledger();
        let (mut stage, mut vector) = (MergeStage::new(&self.rules, 0), Positions::new());
        let steps = ledger.walk_merge(0, 0, 100).await.expect("reads");
        for step in steps.iter().chain([last]) {
            redo(ledger, &mut stage, &vector, step).await.expect("is done again");
            vector.clone_from(&step.vector);
        }
        stage.snapshot().expect("settled")
    }

    /// An alert of the port scan rule over an hour ago, with one row of evidence.
    fn alert(&self, activity: i32, evidence: Option<&str>) -> RecordBatch {
        let rule = self.rules.rules().iter().find(|r| r.name() == "port_scan").expect("it ships");
        let table = Table::DetectionFinding;
        let mut builder = TableBuilder::new(table);
        let version = rule.version().to_string();
        for (path, text) in [
            ("finding_info.uid", "alert-1"),
            ("finding_info.analytic.uid", rule.uid()),
            ("finding_info.analytic.version", &version),
            ("unmapped", "{}"),
        ] {
            builder.set_str(table.expect_leaf(path), text);
        }
        let hour = DAY - 3_600_000_000;
        for (path, us) in [("_window_start", hour - 60_000_000), ("_window_end", hour)] {
            builder.set_i64(table.expect_leaf(path), us);
        }
        builder.set_i32(table.expect_leaf("activity_id"), activity);
        builder.set_i32(table.expect_leaf("_revision"), 0);
        if let Some(uid) = evidence {
            builder.begin_element("evidences");
            builder.set_str(table.expect_leaf("evidences[].uid"), uid);
        }
        row(&mut builder, &PartitionId::new("_merge", "0", 0), "globex", 2);
        builder.finish()
    }

    async fn audit(&self, tenants: &[(&str, &str)]) -> Vec<Check> {
        let tenants = tenants.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let against = Against { truth: None, rules: self.rules.clone(), tenants };
        audit(&self.warehouse, &against, &|_| ()).await.expect("can be asked")
    }

    /// The invariants that fail.
    async fn failed(&self) -> Vec<&'static str> {
        let checks = self.audit(&[("fw", "acme")]).await;
        checks.iter().filter(|c| c.verdict.failed()).map(|c| c.id).collect()
    }

    /// What the audit says of one invariant.
    async fn said(&self, id: &str) -> String {
        let checks = self.audit(&[("fw", "acme")]).await;
        let check = checks.into_iter().find(|c| c.id == id).expect("an invariant");
        format!("{:?}", check.verdict)
    }

    /// Files below a folder of the warehouse, in order.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
                if entry.is_dir() { walk(&entry, found) } else { found.push(entry) }
            }
        }
        let mut found = Vec::new();
        walk(&self.dir.path().join(folder), &mut found);
        found.sort();
        found
    }

    /// Sets a table's position on partition 0, or takes it away.
    async fn set_next(&self, table: Table, next: Option<i64>) {
        let loaded = self.warehouse.load_table(table).await.expect("loads");
        let transaction = Transaction::new(&loaded);
        let (change, key) = (transaction.update_table_properties(), "palisade.next.local.fw@i1.0".to_owned());
        let changed = match next {
            Some(next) => change.set(key, next.to_string()),
            None => change.remove(key),
        };
        let transaction = changed.apply(transaction).expect("a property");
        transaction.commit(self.warehouse.catalog().as_ref()).await.expect("commits");
    }

    /// Appends files to a table as any Iceberg program can.
    async fn append(&self, table: Table, files: Vec<iceberg::spec::DataFile>) {
        let loaded = self.warehouse.load_table(table).await.expect("loads");
        let transaction = Transaction::new(&loaded);
        let append = transaction.fast_append().with_check_duplicate(false).add_data_files(files);
        let transaction = append.apply(transaction).expect("an append");
        transaction.commit(self.warehouse.catalog().as_ref()).await.expect("commits");
    }

    /// The first data file of a table's current snapshot.
    async fn first_file(&self, table: Table) -> iceberg::spec::DataFile {
        let loaded = self.warehouse.load_table(table).await.expect("loads");
        let snapshot = loaded.metadata().current_snapshot().expect("a snapshot");
        let list = loaded.manifest_list_reader(snapshot).load().await.expect("a list");
        let manifest = list.entries()[0].load_manifest(loaded.file_io()).await.expect("a manifest");
        manifest.entries()[0].data_file().clone()
    }
}

const NONE: [&str; 0] = [];

#[tokio::test]
async fn a_sound_warehouse_passes_and_says_what_was_not_checked() {
    let fixture = Fixture::sound().await;
    let checks = fixture.audit(&[("fw", "acme")]).await;
    let state = |c: &Check| match &c.verdict {
        Verdict::Ok { .. } => "ok",
        Verdict::Failed { .. } => "failed",
        Verdict::NotChecked { .. } => "not checked",
    };
    let found: Vec<(&str, &str)> = checks.iter().map(|c| (c.id, state(c))).collect();
    let want = ["chains", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10"];
    let want = want.map(|id| (id, if id == "I5" { "not checked" } else { "ok" }));
    assert_eq!(found, want, "{checks:#?}");
}

fn all_is_old() -> Policy {
    Policy { now: i64::MAX, retention_us: 0, is_unmerged: |_| false }
}

#[tokio::test]
async fn states_are_built_again_from_where_the_partitions_that_are_collected_begin() {
    let fixture = Fixture::sound().await;
    let of_group = ["local/ledger/_merge/0", "local/state/_merge/0"].map(|folder| fixture.files(folder)).concat();
    let kept: Vec<_> = of_group.iter().map(|path| (path, std::fs::read(path).expect("reads"))).collect();
    fixture.warehouse.collect(&all_is_old(), "upkeep").await.expect("collects");
    // As if who collects had been killed before it came to the group.
    kept.into_iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("writes"));
    fixture.files("local/meta/floor/_merge/0").iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
    assert_eq!(fixture.failed().await, NONE);
    assert!(fixture.said("I7").await.contains("1 states, 1 steps done again"), "{}", fixture.said("I7").await);
}

#[tokio::test]
async fn a_collected_warehouse_passes_and_says_from_where_on_it_was_checked() {
    let fixture = Fixture::sound().await;
    fixture.range(0, 20..30, |_| {}).await;
    fixture.settle().await;
    let report = fixture.warehouse.collect(&all_is_old(), "upkeep").await.expect("collects");
    assert_eq!(report.faults().count(), 0, "{report:?}");
    assert_eq!(fixture.failed().await, NONE);
    let said = fixture.said("chains").await;
    let want = "3 entries in 3 chains; 4 older ones are collected: checked fw@i1/0 from 20 on, fw@i1/1 from 10 on, _merge/0 from 1 on";
    assert!(said.contains(want), "{said}");
    assert!(fixture.said("I10").await.contains("50 records, 5 of them dead letters"), "{}", fixture.said("I10").await);
    // What is broken above a floor is seen as before.
    for (folder, id) in [("local/exchange", "I9"), ("local/state", "I9")] {
        let fixture = Fixture::sound().await;
        fixture.warehouse.collect(&all_is_old(), "upkeep").await.expect("collects");
        std::fs::remove_file(&fixture.files(folder)[0]).expect("removes");
        assert_eq!(fixture.failed().await, [id], "{folder}");
    }
    let fixture = Fixture::sound().await;
    fixture.warehouse.collect(&all_is_old(), "upkeep").await.expect("collects");
    fixture.set_next(Table::DeadLetter, None).await;
    assert_eq!(fixture.failed().await, ["chains"]);
    assert!(fixture.said("chains").await.contains("collected below 10, and dead_letter took none of it in"));
    let entries = ["local/ledger/fw@i1/0", "local/ledger/_merge/0"];
    for folder in entries {
        let fixture = Fixture::sound().await;
        fixture.warehouse.collect(&all_is_old(), "upkeep").await.expect("collects");
        std::fs::remove_file(&fixture.files(folder)[0]).expect("removes");
        assert_eq!(fixture.failed().await, ["chains"], "{folder}");
    }
}

#[tokio::test]
async fn a_state_that_its_steps_do_not_give_is_seen() {
    let fixture = Fixture::sound().await;
    assert!(fixture.said("I7").await.contains("2 states, 2 steps done again"));
    // It says that step 2 closed nothing, and is the state before it.
    let before = fixture.warehouse.ledger().get_merge(0, 1).await.expect("reads").and_then(|step| step.state);
    fixture.step(2, 20, DAY + 2, &[], |step| step.state = before).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I7"]);
    assert!(fixture.said("I7").await.contains("_merge/0: the state of step 2 is not what the steps up to it give"));
}

#[tokio::test]
async fn an_unfinished_warehouse_is_not_a_broken_one() {
    let fixture = Fixture::sound().await;
    fixture.range(0, 20..30, |_| {}).await;
    assert_eq!(fixture.failed().await, NONE, "an entry waits for its tables");
    fixture.warehouse.committer("test").commit_pending().await.expect("commits");
    assert_eq!(fixture.failed().await, NONE, "a range waits for its merge step");
    assert!(fixture.said("I4").await.contains("wait for a merge step"));
}

#[tokio::test]
async fn a_data_file_that_is_gone_or_damaged_breaks_what_is_named() {
    let fixture = Fixture::sound().await;
    let file = fixture
        .files("local/data/network_activity")
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "parquet"));
    let file = file.expect("a data file");
    let bytes = std::fs::read(&file).expect("reads");
    std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("writes");
    assert_eq!(fixture.failed().await, ["I9"], "cut short");
    std::fs::remove_file(&file).expect("removes");
    assert_eq!(fixture.failed().await, ["I9"]);
    assert!(fixture.said("I9").await.contains("missing"));
    assert!(fixture.said("I3").await.starts_with("NotChecked"), "rows that cannot be read are not judged");
}

#[tokio::test]
async fn an_entry_that_is_gone_breaks_the_chain() {
    for start in [0, 10] {
        let fixture = Fixture::sound().await;
        fixture.range(0, 20..30, |_| {}).await;
        fixture.settle().await;
        let entry = format!("local/ledger/fw@i1/0/{start:020}.entry");
        std::fs::remove_file(fixture.dir.path().join(entry)).expect("removes");
        assert_eq!(fixture.failed().await, ["chains"], "{start}");
        assert!(fixture.said("I1").await.contains("it rests on chains"));
    }
}

#[tokio::test]
async fn a_damaged_entry_breaks_the_chain() {
    let fixture = Fixture::sound().await;
    let entry = &fixture.files("local/ledger/fw@i1/0")[1];
    let text = std::fs::read_to_string(entry).expect("reads").replace("\"records\":10", "\"records\":11");
    std::fs::write(entry, text).expect("writes");
    assert_eq!(fixture.failed().await, ["chains"]);
    assert!(fixture.said("chains").await.contains("checksum"));
}

#[tokio::test]
async fn a_missing_merge_step_breaks_the_chain() {
    let fixture = Fixture::sound().await;
    fixture.step(2, 20, DAY + 2, &[], |_| {}).await;
    std::fs::remove_file(fixture.dir.path().join(format!("local/ledger/_merge/0/{:020}.entry", 1))).expect("removes");
    assert_eq!(fixture.failed().await, ["chains"]);
}

#[tokio::test]
async fn a_position_that_was_set_by_hand_is_seen() {
    let fixture = Fixture::sound().await;
    fixture.set_next(Table::NetworkActivity, Some(10)).await;
    assert_eq!(fixture.failed().await, ["I6"], "back to a position of the chain");
    fixture.set_next(Table::NetworkActivity, Some(7)).await;
    assert_eq!(fixture.failed().await, ["chains"], "to no position at all");
}

#[tokio::test]
async fn a_file_that_is_appended_again_doubles_rows() {
    let fixture = Fixture::sound().await;
    let file = fixture.first_file(Table::NetworkActivity).await;
    fixture.append(Table::NetworkActivity, vec![file]).await;
    assert_eq!(fixture.failed().await, ["I2", "I3", "I10"]);
    assert!(fixture.said("I2").await.contains("is live twice"));
    assert!(fixture.said("I3").await.contains("stands 2 times"));
}

#[tokio::test]
async fn a_file_of_another_table_is_no_entrys() {
    let fixture = Fixture::sound().await;
    let file = fixture.first_file(Table::BaseEvent).await;
    let path = fixture.dir.path().join("foreign.parquet");
    std::fs::copy(file.file_path(), &path).expect("copies");
    let foreign = iceberg::spec::DataFileBuilder::default()
        .content(file.content_type())
        .file_path(path.display().to_string())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .partition_spec_id(0)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .build()
        .expect("a data file");
    fixture.append(Table::BaseEvent, vec![foreign]).await;
    assert_eq!(fixture.failed().await, ["I1", "I3", "I10"]);
    assert!(fixture.said("I1").await.contains("no entry names"));
}

#[tokio::test]
async fn a_row_that_comes_again_under_another_range_is_seen() {
    let fixture = Fixture::sound().await;
    fixture.range_of(0, 20..24, 4..8, |_| {}).await;
    fixture.step(2, 20, DAY + 2, &[], |_| {}).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I3", "I10"]);
}

#[tokio::test]
async fn records_that_are_nowhere_are_missed() {
    let fixture = Fixture::sound().await;
    fixture.range(1, 20..30, |entry| entry.records = 12).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I10"]);
    let fixture = Fixture::sound().await;
    fixture.range(1, 20..30, |entry| (entry.records, entry.filtered) = (12, 2)).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, NONE, "left out on purpose");
}

#[tokio::test]
async fn an_entry_that_says_more_rows_than_its_file_holds_is_seen() {
    let fixture = Fixture::sound().await;
    let more = |entry: &mut SourceEntry| {
        let files = entry.tables.get_mut(&Table::NetworkActivity.into()).expect("it has rows");
        (files.rows, files.files[0].rows) = (files.rows + 1, files.files[0].rows + 1);
    };
    fixture.range(1, 20..30, more).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I2", "I10"]);
}

#[tokio::test]
async fn objects_are_compared_with_their_checksums() {
    for folder in ["local/state", "local/exchange"] {
        let fixture = Fixture::sound().await;
        let object = &fixture.files(folder)[0];
        let mut bytes = std::fs::read(object).expect("reads");
        bytes[0] ^= 1;
        std::fs::write(object, &bytes).expect("writes");
        assert_eq!(fixture.failed().await, ["I9"], "{folder}: a bit");
        std::fs::remove_file(object).expect("removes");
        assert_eq!(fixture.failed().await, ["I9"], "{folder}: gone");
    }
}

#[tokio::test]
async fn a_watermark_that_goes_back_is_seen() {
    let fixture = Fixture::sound().await;
    fixture.step(2, 20, DAY - 1, &[], |_| {}).await;
    assert_eq!(fixture.failed().await, ["I6"]);
    let fixture = Fixture::sound().await;
    fixture.range(0, 20..30, |entry| entry.watermark = Some(DAY - 1)).await;
    assert_eq!(fixture.failed().await, ["I6"]);
}

#[tokio::test]
async fn an_alert_that_no_rows_bear_out_is_seen() {
    let fixture = Fixture::sound().await;
    fixture.step(2, 20, DAY + 2, &[fixture.alert(1, None)], |_| {}).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I4"]);
    assert!(fixture.said("I4").await.contains("port_scan of globex"));
}

#[tokio::test]
async fn evidence_is_of_the_alerts_own_tenant_and_exists() {
    for (uid, why) in [("fw@i1/0/3/0", "is acme's"), ("fw@i1/0/999/0", "stands in no table")] {
        let fixture = Fixture::sound().await;
        // A closed alert: the batch result has none either.
        fixture.step(2, 20, DAY + 2, &[fixture.alert(3, Some(uid))], |_| {}).await;
        fixture.settle().await;
        assert_eq!(fixture.failed().await, ["I8"], "{uid}");
        assert!(fixture.said("I8").await.contains(why), "{}", fixture.said("I8").await);
    }
}

#[tokio::test]
async fn tenants_are_those_of_the_sources() {
    let fixture = Fixture::sound().await;
    let verdict = |checks: Vec<Check>| checks.into_iter().find(|c| c.id == "I8").expect("an invariant").verdict;
    let other = verdict(fixture.audit(&[("fw", "globex")]).await);
    assert!(format!("{other:?}").contains("topic fw is globex's, but holds rows of acme"), "{other:?}");
    let unknown = verdict(fixture.audit(&[]).await);
    assert!(format!("{unknown:?}").contains("the ledger does not record whose a topic is (1 topics)"), "{unknown:?}");
}

#[tokio::test]
async fn alerts_of_other_rules_are_not_judged() {
    let fixture = Fixture::sound().await;
    let other = |entry: &mut SourceEntry| drop(entry.versions.insert("rules".to_owned(), "other".to_owned()));
    fixture.range(0, 20..30, other).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, NONE);
    assert!(fixture.said("I4").await.contains("rules of version other ran"));
}

#[tokio::test]
async fn a_rule_that_went_is_judged_by_what_it_saw() {
    let fixture = Fixture::sound().await;
    let left = fixture.rules.only(|rule| rule.name() != "port_scan");
    crate::rules::remember(&fixture.warehouse, &left).await.expect("recorded");
    let version = left.version().to_owned();
    let without = |versions: &mut BTreeMap<String, String>| drop(versions.insert("rules".to_owned(), version.clone()));
    for n in 0..2 {
        fixture.range(n, 20..30, |entry| without(&mut entry.versions)).await;
    }
    fixture.step(2, 30, DAY + 2, &[], |entry| without(&mut entry.versions)).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, NONE);
    let said = fixture.said("I4").await;
    assert!(said.contains("; 1 rules ran for a part of the time"), "{said}");
    assert!(!said.contains("that are not loaded"), "{said}");
    // What it said of the time before stands beside the rows of that time.
    fixture.step(3, 30, DAY + 3, &[fixture.alert(1, None)], |entry| without(&mut entry.versions)).await;
    fixture.settle().await;
    assert_eq!(fixture.failed().await, ["I4"]);
}
