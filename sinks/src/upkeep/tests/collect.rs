//! Collection on a real store and catalog: what is left is all that a start needs; a crash at any step harms nothing; what is
//! not as it should be keeps its chain.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataflow::{Positions, Table};
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use uuid::Uuid;

use super::partition;
use crate::commit::tests::{dies_at, install_stopper, runtime};
use crate::ledger::{Created, MergeEntry, SourceEntry};
use crate::outbox::AlertChain;
use crate::step::Step;
use crate::upkeep::{Held, Kind, Policy, Report};
use crate::warehouse::tests::{offsets, open, prepare, record};
use crate::warehouse::{Warehouse, source_key};

/// Everything that is there is old enough.
fn all() -> Policy {
    Policy { now: i64::MAX, retention_us: 0, is_unmerged: |_| false }
}

/// A range with an exchange file.
async fn range(warehouse: &Warehouse, n: i32, offsets: std::ops::Range<i64>) {
    let p = partition(n);
    let start = offsets.start;
    let mut entry = prepare(warehouse, &p, offsets, &[Table::NetworkActivity, Table::DeadLetter]).await;
    let deltas = warehouse.ledger().put_exchange(&p, start, entry.attempt, "deltas".into()).await;
    entry.exchange = Some(deltas.expect("writes"));
    assert_eq!(warehouse.ledger().create_source(&entry).await.expect("creates"), Created::New);
}

/// A step that has merged both partitions up to here, with its state.
async fn step(warehouse: &Warehouse, step: i64, merged: i64) {
    let attempt = Uuid::new_v4();
    let mut entry = MergeEntry::empty(0, step, step, "test", attempt);
    entry.vector = (0..2).map(|n| (partition(n), merged)).collect();
    let state = warehouse.ledger().put_state(0, step, attempt, "state".into()).await;
    entry.state = Some(state.expect("writes"));
    assert_eq!(warehouse.ledger().create_merge(&entry).await.expect("creates"), Created::New);
}

/// Two partitions of four ranges each and two steps, all of it in the tables.
async fn grown(root: &Path) -> Warehouse {
    let warehouse = open(root).await;
    for at in [0, 10, 20, 30] {
        range(&warehouse, 0, at..at + 10).await;
        range(&warehouse, 1, at..at + 10).await;
    }
    step(&warehouse, 0, 20).await;
    step(&warehouse, 1, 40).await;
    warehouse.committer("t").settle().await.expect("commits");
    warehouse
}

async fn collect(warehouse: &Warehouse) -> Report {
    warehouse.collect(&all(), "upkeep").await.expect("collects")
}

async fn starts(warehouse: &Warehouse) -> [Vec<i64>; 3] {
    let ledger = warehouse.ledger();
    let of = async |n| ledger.starts(&partition(n)).await.expect("lists");
    [of(0).await, of(1).await, ledger.steps(0).await.expect("lists")]
}

/// Files below a folder of the warehouse.
fn files(root: &Path, folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().map(|entry| entry.expect("an entry").path())
    {
        let below = format!("{folder}/{}", entry.file_name().expect("a name").to_string_lossy());
        if entry.is_dir() { found.extend(files(root, &below)) } else { found.push(entry) }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_is_left_is_all_that_a_start_needs() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = grown(dir.path()).await;
    let (before, head) = (warehouse.start_positions().await, warehouse.merge_head(0).await);
    let watermark = warehouse.watermark(&partition(0)).await.expect("reads");
    let planned = warehouse.plan_collection(&all()).await.expect("plans");
    assert_eq!(
        starts(&warehouse).await,
        [vec![0, 10, 20, 30], vec![0, 10, 20, 30], vec![0, 1]],
        "a plan deletes nothing"
    );
    let report = collect(&warehouse).await;
    assert_eq!(starts(&warehouse).await, [vec![30], vec![30], vec![1]]);
    let count = |report: &Report, kind| report.deleted().get(&kind).map_or(0, |amount| amount.objects);
    let kinds = [Kind::Entry, Kind::Exchange, Kind::State, Kind::Mark, Kind::Floor];
    assert_eq!(kinds.map(|kind| count(&report, kind)), [7, 6, 1, 0, 0]);
    assert_eq!(kinds.map(|kind| count(&planned, kind)), [7, 6, 1, 0, 0]);
    assert_eq!(files(dir.path(), "local/exchange").len(), 2);

    assert_eq!(warehouse.start_positions().await.expect("reads"), before.expect("reads"));
    assert_eq!(warehouse.merge_head(0).await.expect("reads"), head.expect("reads"));
    assert_eq!(warehouse.watermark(&partition(0)).await.expect("reads"), watermark);
    range(&warehouse, 0, 40..50).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    assert_eq!(offsets(&warehouse, Table::NetworkActivity, &partition(0)).await, (0..50).collect::<Vec<i64>>());
    let floor = warehouse.ledger().floor(&partition(0)).await.expect("reads").expect("a floor");
    assert_eq!((floor.position, floor.collected.entries, floor.collected.records), (30, 3, 30));
    assert_eq!(floor.collected.rows[&Table::NetworkActivity.into()], 30);

    step(&warehouse, 2, 40).await;
    warehouse.committer("t").settle().await.expect("commits");
    collect(&warehouse).await;
    assert_eq!(starts(&warehouse).await, [vec![40], vec![30], vec![2]]);
    let floor = warehouse.ledger().floor(&partition(0)).await.expect("reads").expect("a floor");
    assert_eq!((floor.position, floor.collected.records), (40, 40), "sums go on");
    assert_eq!(files(dir.path(), "local/meta/floor").len(), 3, "one a chain");
}

#[tokio::test]
async fn what_is_young_stays_and_so_does_what_its_states_need() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = grown(dir.path()).await;
    let hour = Duration::from_secs(3_600);
    let written = std::fs::metadata(dir.path().join("local/meta/cluster.json")).and_then(|file| file.modified());
    // Later than all of it.
    let now = written.expect("it is there") + hour / 4;
    let age = |file: &PathBuf| {
        let opened = std::fs::File::options().append(true).open(file).expect("opens");
        opened.set_modified(now - hour).expect("sets the time");
    };
    let us = |time: SystemTime| time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    let policy = |retention: Duration| Policy { now: us(now), retention_us: retention.as_micros() as i64, ..all() };
    let none = warehouse.collect(&policy(hour / 2), "u").await.expect("collects");
    assert!(none.deleted().is_empty() && none.chains.iter().all(|c| c.held.is_none()), "{none:?}");
    files(dir.path(), "local/ledger/fw@i1").iter().for_each(age);
    let held = warehouse.collect(&policy(hour / 2), "u").await.expect("collects");
    assert!(held.deleted().is_empty(), "the states are young: {held:?}");
    age(&files(dir.path(), "local/ledger/_merge")[0]);
    warehouse.collect(&policy(hour / 2), "u").await.expect("collects");
    assert_eq!(starts(&warehouse).await, [vec![20, 30], vec![20, 30], vec![0, 1]], "step 0 had merged up to 20");
    let none = warehouse.collect(&policy(hour * 2), "u").await.expect("collects");
    assert!(none.deleted().is_empty());
}

#[tokio::test]
async fn a_table_that_nothing_touches_is_moved_along() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    for n in 0..3 {
        record(&warehouse, &partition(0), n..n + 1, &[Table::BaseEvent]).await;
    }
    warehouse.committer("t").commit_pending().await.expect("commits");
    let policy = Policy { is_unmerged: |_| true, ..all() };
    let planned = warehouse.plan_collection(&policy).await.expect("plans");
    assert!(matches!(planned.chains[0].held, Some(Held::Table(_))), "{planned:?}");
    warehouse.collect(&policy, "upkeep").await.expect("collects");
    assert_eq!(warehouse.ledger().starts(&partition(0)).await.expect("lists"), [2]);
    assert_eq!(warehouse.start_positions().await.expect("reads"), Positions::from([(partition(0), 3)]));
}

#[tokio::test]
async fn alerts_that_have_not_left_stay_and_marks_before_the_last_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    for (start, alerts) in [(0, vec![]), (1, vec!["a".to_owned()]), (2, vec![]), (3, vec!["b".to_owned()]), (4, vec![])]
    {
        let attempt = Uuid::new_v4();
        let entry = SourceEntry { outbox: alerts, ..SourceEntry::empty(partition(0), start, start + 1, "t", attempt) };
        warehouse.ledger().create_source(&entry).await.expect("creates");
    }
    warehouse.committer("t").settle().await.expect("commits");
    let chain = AlertChain::Partition(partition(0)).path();
    for mark in [0, 2] {
        let path = warehouse.ledger().paths().sent("kafka", &chain, mark);
        warehouse.ledger().store().create(&path, Bytes::from_static(b"{}")).await.expect("creates");
    }
    let policy = Policy { is_unmerged: |_| true, ..all() };
    let report = warehouse.collect(&policy, "upkeep").await.expect("collects");
    assert_eq!(warehouse.ledger().starts(&partition(0)).await.expect("lists"), [3, 4]);
    assert!(matches!(&report.chains[0].held, Some(Held::Alerts(_))), "{report:?}");
    assert_eq!(files(dir.path(), "local/outbox").len(), 1);
}

#[tokio::test]
async fn a_writer_that_slept_is_told_that_its_position_is_collected() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = grown(dir.path()).await;
    let slept = prepare(&warehouse, &partition(0), 10..25, &[Table::NetworkActivity]).await;
    let merge = MergeEntry::empty(0, 0, 0, "slept", Uuid::new_v4());
    collect(&warehouse).await;
    assert_eq!(warehouse.ledger().create_source(&slept).await.expect("creates"), Created::Collected);
    assert_eq!(warehouse.ledger().create_source(&slept).await.expect("its answer was lost"), Created::Collected);
    assert_eq!(warehouse.ledger().create_merge(&merge).await.expect("creates"), Created::Collected);
    assert_eq!(starts(&warehouse).await, [vec![30], vec![30], vec![1]], "nobody looks below a floor");
    warehouse.committer("t").settle().await.expect("commits");
    assert_eq!(offsets(&warehouse, Table::NetworkActivity, &partition(0)).await, (0..40).collect::<Vec<i64>>());
    let report = collect(&warehouse).await;
    assert_eq!(report.deleted()[&Kind::Entry].objects, 2, "what it wrote goes with the next turn");
}

#[tokio::test]
async fn two_may_collect_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = grown(dir.path()).await;
    let rival = open(dir.path()).await;
    let (one, two) = tokio::join!(collect(&warehouse), collect(&rival));
    assert_eq!((one.faults().count(), two.faults().count()), (0, 0), "{one:?} {two:?}");
    assert_eq!(starts(&warehouse).await, [vec![30], vec![30], vec![1]]);
    assert_eq!(warehouse.start_positions().await.expect("reads")[&partition(1)], 40);
}

async fn set(warehouse: &Warehouse, table: Table, key: String, value: &str) {
    let base = warehouse.load_table(table).await.expect("loads");
    let transaction = Transaction::new(&base);
    let update = transaction.update_table_properties().set(key, value.to_owned());
    let transaction = update.apply(transaction).expect("applies");
    transaction.commit(warehouse.catalog().as_ref()).await.expect("commits");
}

/// Breaks something below a root.
type Break = fn(&Path);

#[tokio::test]
async fn what_is_not_as_it_should_be_keeps_its_chain() {
    const ENTRIES: &str = "local/ledger/fw@i1/0";
    let cases: [(Break, [usize; 3], &str); 8] = [
        (
            |root| std::fs::write(root.join(ENTRIES).join("notes.txt"), "x").expect("writes"),
            [4, 1, 1],
            "notes.txt is no object",
        ),
        (|root| std::fs::write(&files(root, ENTRIES)[1], "{").expect("writes"), [4, 1, 1], "is damaged"),
        (|root| std::fs::remove_file(&files(root, ENTRIES)[1]).expect("removes"), [3, 1, 1], "no entry begins at 10"),
        (|root| std::fs::write(&files(root, ENTRIES)[3], "{").expect("writes"), [4, 1, 1], "is damaged"),
        (
            |root| std::fs::write(root.join("local/exchange/fw@i1/0/x.bak"), "x").expect("writes"),
            [4, 1, 1],
            "x.bak is no object",
        ),
        (
            |root| std::fs::remove_file(&files(root, "local/state")[1]).expect("removes"),
            [4, 4, 2],
            "is missing, though",
        ),
        (|root| std::fs::write(&files(root, "local/ledger/_merge")[0], "{").expect("writes"), [4, 4, 2], "is damaged"),
        (|root| std::fs::write(root.join(ENTRIES).join(".tmp-1"), "x").expect("writes"), [1, 1, 1], ""),
    ];
    for (change, want, why) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let warehouse = grown(dir.path()).await;
        change(dir.path());
        let report = collect(&warehouse).await;
        assert_eq!(starts(&warehouse).await.map(|starts| starts.len()), want, "{why}: {report:?}");
        let told = report.faults().any(|(_, fault)| fault.contains(why));
        assert!(told || why.is_empty(), "{why}: {report:?}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_say_where_it_stands_keeps_every_chain_that_it_takes_in() {
    for (value, why) in [("four", "is not one of ours"), ("15", "is no position of the chain")] {
        let dir = tempfile::tempdir().expect("a directory");
        let warehouse = grown(dir.path()).await;
        set(&warehouse, Table::DnsActivity, source_key("local", &partition(0)), value).await;
        let report = collect(&warehouse).await;
        assert_eq!(warehouse.ledger().starts(&partition(0)).await.expect("lists").len(), 4, "{value}");
        assert!(report.faults().any(|(_, fault)| fault.contains(why)), "{why}: {report:?}");
    }
    // Set back below the floor: the start says so as well.
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = grown(dir.path()).await;
    collect(&warehouse).await;
    set(&warehouse, Table::DnsActivity, source_key("local", &partition(0)), "10").await;
    let error = warehouse.start_positions().await.expect_err("its entries are gone");
    assert!(error.to_string().contains("position 10 is below 30"), "{error}");
    assert_eq!(collect(&warehouse).await.faults().count(), 1);
}

/// A turn of collection that dies at a step, then one that does not.
#[test]
fn a_crash_at_any_step_leaves_a_chain_that_can_be_walked() {
    install_stopper();
    let steps = Step::ALL.into_iter().filter(|step| step.is_of_collection());
    for (step, passes) in steps.flat_map(|step| [(step, 0), (step, 2)]) {
        let dir = tempfile::tempdir().expect("a directory");
        runtime().block_on(async { drop(grown(dir.path()).await) });
        let root = dir.path().to_owned();
        let died = dies_at(step, passes, || runtime().block_on(async { drop(collect(&open(&root).await).await) }));
        assert!(died, "{step} is never reached {passes} times");
        runtime().block_on(async {
            let warehouse = open(dir.path()).await;
            // Somebody starts before anything is repaired.
            let positions: Positions = (0..2).map(|n| (partition(n), 40)).collect();
            assert_eq!(warehouse.start_positions().await.expect("reads"), positions, "{step}");
            assert_eq!(warehouse.merge_head(0).await.expect("reads").expect("a step").step, 1);
            for n in 0..2 {
                range(&warehouse, n, 40..45).await;
            }
            warehouse.committer("t").roll_forward().await.expect("commits");
            let report = collect(&warehouse).await;
            assert_eq!(report.faults().count(), 0, "{report:?}");
            assert_eq!(files(dir.path(), "local/ledger").len(), 2 + 1, "{step}: entries below the floors are gone");
            assert_eq!(files(dir.path(), "local/exchange").len(), 2, "{step}");
            for n in 0..2 {
                let all = offsets(&warehouse, Table::DeadLetter, &partition(n)).await;
                assert_eq!(all, (0..45).collect::<Vec<i64>>(), "{step}");
            }
        });
    }
}
