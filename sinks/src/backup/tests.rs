use std::path::Path;

use dataflow::Table;

use super::*;
use crate::ledger::{Created, Floor};
use crate::store::{LocalStore, ObjectStore};
use crate::warehouse::Warehouse;
use crate::warehouse::tests::{NOON, lines, open, partition, prepare, quick, record, record_merge};
use crate::{CatalogConfig, WarehouseConfig};

const TABLE: Table = Table::NetworkActivity;

fn nobody(_: u64, _: u64) {}

async fn back_up(warehouse: &Warehouse, to: &Path) -> Backup {
    let store = quick(to).open_store().await.expect("opens");
    warehouse.back_up(Some(store), NOON, &nobody).await.expect("backs up")
}

async fn committed(warehouse: &Warehouse) {
    warehouse.committer("c").settle().await.expect("settles");
}

/// Two ranges in the tables, one in the ledger alone, a step of each kind.
async fn lived_in(root: &Path) -> Warehouse {
    let warehouse = open(root).await;
    record(&warehouse, &partition(0), 0..10, &[TABLE, Table::DnsActivity]).await;
    record_merge(&warehouse, 0, &[(partition(0), 10)]).await;
    record(&warehouse, &partition(0), 10..25, &[TABLE]).await;
    committed(&warehouse).await;
    record(&warehouse, &partition(0), 25..30, &[TABLE]).await;
    record_merge(&warehouse, 1, &[(partition(0), 30)]).await;
    warehouse
}

/// The warehouse as it stands when its catalog is lost: one that knows no table takes its place. The file of the first is left alone,
/// since connections to it close when they like.
fn of_another_catalog(root: &Path) -> WarehouseConfig {
    WarehouseConfig { catalog: CatalogConfig::Sqlite { file: Some(root.join("another.db")) }, ..quick(root) }
}

async fn everything(warehouse: &Warehouse) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for table in [TABLE, Table::DnsActivity, Table::DetectionFinding] {
        found.push(lines(warehouse, table).await);
    }
    found
}

#[tokio::test]
async fn a_copy_is_the_same_warehouse_elsewhere_and_goes_on() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let warehouse = lived_in(dir.path()).await;
    let first = back_up(&warehouse, elsewhere.path()).await;
    assert_eq!((first.copied, first.tables), (first.objects, Table::ALL.len() as u64));
    committed(&warehouse).await;
    let wanted = everything(&warehouse).await;
    let second = back_up(&warehouse, elsewhere.path()).await;
    assert!(second.copied > 0 && second.copied < first.copied, "{first:?}, then {second:?}");
    drop(warehouse);
    dir.close().expect("the first warehouse is gone");

    let restored = restore(quick(elsewhere.path())).await.expect("restores");
    assert_eq!((restored.waiting, restored.cut), (0, 0));
    assert_eq!(restored.resume, [(partition(0), 30)].into());
    let copy = open(elsewhere.path()).await;
    assert_eq!(everything(&copy).await, wanted);
    assert_eq!(copy.start_positions().await.expect("reads"), restored.resume);
    // A range more, by the same rules.
    record(&copy, &partition(0), 30..31, &[TABLE]).await;
    committed(&copy).await;
    assert_eq!(lines(&copy, TABLE).await.len(), wanted[0].len() + 1);
    assert!(copy.orphans(i64::MAX).await.is_ok(), "its tables are at home");
}

#[tokio::test]
async fn what_waits_in_the_ledger_is_committed_after_a_restore() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let warehouse = lived_in(dir.path()).await;
    back_up(&warehouse, elsewhere.path()).await;
    committed(&warehouse).await;
    let wanted = everything(&warehouse).await;
    let restored = restore(quick(elsewhere.path())).await.expect("restores");
    assert_eq!((restored.waiting, restored.cut), (2, 0), "a range and a step");
    // As if it had been interrupted: it is done already.
    assert_eq!(restore(quick(elsewhere.path())).await.expect("again"), restored);
    let copy = open(elsewhere.path()).await;
    committed(&copy).await;
    assert_eq!(everything(&copy).await, wanted);
}

#[tokio::test]
async fn a_chain_ends_before_what_the_copy_lacks() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let warehouse = lived_in(dir.path()).await;
    back_up(&warehouse, elsewhere.path()).await;
    let store = LocalStore::open(elsewhere.path()).expect("opens");
    let there = Ledger::new(std::sync::Arc::new(store), "local");
    // What a later copy brought without all that belongs to it: a range without its file, one after it, a step over both.
    for (start, next) in [(30, 40), (40, 50)] {
        let mut entry = prepare(&warehouse, &partition(0), start..next, &[TABLE]).await;
        let root = warehouse.store().location("");
        crate::ledger::Entry::relocate(&mut entry, |at| at.trim_start_matches(root.as_str()).to_owned());
        assert_eq!(there.create_source(&entry).await.expect("creates"), Created::New);
    }
    let mark = there.paths().sent("soc", &partition(0).path(), 40);
    there.store().put(&mark, "{}".into()).await.expect("writes");
    record_merge(&warehouse, 2, &[(partition(0), 50)]).await;
    let step = there.paths().merge_entry(0, 2);
    let bytes = warehouse.store().get(&step).await.expect("reads").expect("it is there");
    there.store().put(&step, bytes).await.expect("writes");

    let restored = restore(quick(elsewhere.path())).await.expect("restores");
    assert_eq!((restored.resume[&partition(0)], restored.cut), (30, 3));
    assert!(there.store().get(&mark).await.expect("reads").is_none(), "its alerts are sent again");
    let copy = open(elsewhere.path()).await;
    assert_eq!(copy.start_positions().await.expect("reads"), restored.resume);
    record(&copy, &partition(0), 30..50, &[TABLE]).await;
    committed(&copy).await;
    assert_eq!(lines(&copy, TABLE).await.len(), 50);
}

#[tokio::test]
async fn a_catalog_that_is_lost_is_made_again_from_the_last_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let warehouse = lived_in(dir.path()).await;
    warehouse.back_up(None, NOON, &nobody).await.expect("writes a checkpoint");
    committed(&warehouse).await;
    let wanted = everything(&warehouse).await;
    // Somebody started a worker without having restored anything: its tables are empty, and are replaced.
    drop(Warehouse::open(of_another_catalog(dir.path())).await.expect("opens"));
    let restored = restore(of_another_catalog(dir.path())).await.expect("restores");
    assert_eq!((restored.waiting, restored.cut), (2, 0));
    let again = Warehouse::open(of_another_catalog(dir.path())).await.expect("opens");
    committed(&again).await;
    assert_eq!(everything(&again).await, wanted);
}

#[tokio::test]
async fn a_checkpoint_that_is_not_whole_gives_way_to_an_older_one() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let warehouse = lived_in(dir.path()).await;
    back_up(&warehouse, elsewhere.path()).await;
    let store = LocalStore::open(elsewhere.path()).expect("opens");
    let before: Vec<_> = store.list_deep("local/data").await.expect("lists").into_iter().map(|o| o.path).collect();
    committed(&warehouse).await;
    let to = quick(elsewhere.path()).open_store().await.expect("opens");
    warehouse.back_up(Some(to), NOON + 1, &nobody).await.expect("backs up");
    let metadata = |path: &String| path.ends_with(".metadata.json") && !before.contains(path);
    let newer = store.list_deep("local/data").await.expect("lists").into_iter().map(|o| o.path).find(metadata);
    store.delete(&newer.expect("a table has changed")).await.expect("deletes");
    let restored = restore(quick(elsewhere.path())).await.expect("restores");
    assert_eq!((restored.at, restored.waiting), (NOON, 2));
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_the_way_out() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let refused = async |root: &Path| restore(quick(root)).await.expect_err("refused").to_string();
    let none = refused(elsewhere.path()).await;
    assert!(none.contains("holds no checkpoint of region local; `palisade tables backup` writes one"), "{none}");

    let warehouse = lived_in(dir.path()).await;
    warehouse.back_up(None, NOON, &nobody).await.expect("writes a checkpoint");
    committed(&warehouse).await;
    let taken = refused(dir.path()).await;
    assert!(
        taken.contains("network_activity: the catalog has a table of that name that is not the one in the"),
        "{taken}"
    );

    back_up(&warehouse, elsewhere.path()).await;
    let file = elsewhere.path().join("local/data/network_activity");
    std::fs::remove_dir_all(file).expect("its files are lost");
    let lost = refused(elsewhere.path()).await;
    assert!(lost.contains("no checkpoint is whole in") && lost.contains("is missing, though"), "{lost}");
    let other = WarehouseConfig { cluster_id: Some("another".to_owned()), ..quick(elsewhere.path()) };
    let other = restore(other).await.expect_err("refused").to_string();
    assert!(other.contains("belongs to cluster"), "{other}");
}

#[tokio::test]
async fn a_collected_chain_is_restored_from_its_floor() {
    let (dir, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let warehouse = lived_in(dir.path()).await;
    committed(&warehouse).await;
    let entry = warehouse.ledger().get_source(&partition(0), 0).await.expect("reads").expect("it is there");
    let floor = Floor { chain: partition(0).path(), position: 10, collected: (&entry).into() };
    warehouse.ledger().put_floor(&floor).await.expect("writes");
    warehouse.store().delete(&warehouse.ledger().paths().source_entry(&partition(0), 0)).await.expect("deletes");
    back_up(&warehouse, elsewhere.path()).await;
    restore(quick(elsewhere.path())).await.expect("restores");
    let copy = open(elsewhere.path()).await;
    assert_eq!(everything(&copy).await, everything(&warehouse).await);
    assert_eq!(copy.ledger().floor(&partition(0)).await.expect("reads"), Some(floor));
}

#[tokio::test]
async fn a_checkpoint_that_needs_what_is_collected_is_refused_and_nothing_is_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let warehouse = lived_in(dir.path()).await;
    warehouse.back_up(None, NOON, &nobody).await.expect("writes a checkpoint");
    committed(&warehouse).await;
    record(&warehouse, &partition(0), 30..40, &[TABLE]).await;
    let entry = warehouse.ledger().get_source(&partition(0), 25).await.expect("reads").expect("it is there");
    let floor = Floor { chain: partition(0).path(), position: 30, collected: (&entry).into() };
    warehouse.ledger().put_floor(&floor).await.expect("writes");
    let error = restore(of_another_catalog(dir.path())).await.expect_err("refused").to_string();
    assert!(error.contains("tables need fw@i1/0 from 25 on, which is collected up to 30"), "{error}");
    let ledger = Ledger::new(quick(dir.path()).open_store().await.expect("opens"), "local");
    assert_eq!(ledger.starts(&partition(0)).await.expect("lists"), [30]);
}

#[tokio::test]
async fn a_warehouse_keeps_its_last_ten_checkpoints() {
    let dir = tempfile::tempdir().expect("a folder");
    let warehouse = open(dir.path()).await;
    for at in 0..13 {
        warehouse.back_up(None, at, &nobody).await.expect("writes a checkpoint");
    }
    let kept = warehouse.ledger().checkpoints().await.expect("reads");
    assert_eq!(kept.iter().map(|checkpoint| checkpoint.at).collect::<Vec<_>>(), (3..13).rev().collect::<Vec<_>>());
}
