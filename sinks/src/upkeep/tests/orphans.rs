//! Files that nothing names are found; those that anything names are not.

use dataflow::Table;
use uuid::Uuid;

use super::partition;
use crate::upkeep::Litter;
use crate::warehouse::tests::{open, prepare, record, record_merge};
use crate::{Error, Warehouse};

async fn found(warehouse: &Warehouse) -> Vec<Litter> {
    warehouse.orphans(i64::MAX).await.expect("finds").into_iter().map(|orphan| orphan.kind).collect()
}

#[tokio::test]
async fn what_attempts_left_is_found_and_nothing_that_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    record(&warehouse, &partition(0), 0..4, &[Table::BaseEvent]).await;
    record_merge(&warehouse, 0, &[]).await;
    warehouse.committer("t").settle().await.expect("commits");
    record(&warehouse, &partition(0), 4..8, &[Table::BaseEvent]).await;
    assert_eq!(found(&warehouse).await, [], "of a snapshot, or of an entry that waits");

    let lost = prepare(&warehouse, &partition(0), 8..9, &[Table::DnsActivity]).await;
    let ledger = warehouse.ledger();
    ledger.put_exchange(&partition(0), 8, lost.attempt, "deltas".into()).await.expect("writes");
    ledger.put_state(0, 1, Uuid::new_v4(), "state".into()).await.expect("writes");
    std::fs::write(dir.path().join("local/ledger/fw@i1/0/.tmp-1"), "half").expect("writes");
    std::fs::write(dir.path().join("local/data/base_event/metadata/lost-m0.avro"), "x").expect("writes");
    let mut kinds = found(&warehouse).await;
    kinds.sort_unstable();
    let all = [Litter::Data, Litter::Metadata, Litter::Exchange, Litter::State, Litter::Temporary];
    assert_eq!(kinds, all);

    let orphans = warehouse.orphans(i64::MAX).await.expect("finds");
    assert!(warehouse.orphans(orphans[0].object.written_at - 3_600_000_000).await.expect("finds").is_empty(), "young");
    warehouse.delete_orphans(&orphans).await.expect("deletes");
    assert_eq!(found(&warehouse).await, []);
    warehouse.committer("t").settle().await.expect("all that is named is there");
}

#[tokio::test]
async fn what_cannot_be_read_or_was_moved_tells_of_no_orphan() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    record(&warehouse, &partition(0), 0..4, &[Table::BaseEvent]).await;
    warehouse.committer("t").settle().await.expect("commits");
    std::fs::write(dir.path().join(format!("local/ledger/fw@i1/0/{:020}.entry", 4)), "{").expect("writes");
    assert!(matches!(warehouse.orphans(i64::MAX).await, Err(Error::Damaged { .. })));
    std::fs::remove_file(dir.path().join(format!("local/ledger/fw@i1/0/{:020}.entry", 4))).expect("removes");

    let loaded = warehouse.load_table(Table::BaseEvent).await.expect("loads");
    let snapshot = loaded.metadata().current_snapshot().expect("a snapshot");
    std::fs::rename(snapshot.manifest_list(), dir.path().join("list")).expect("moves");
    assert!(matches!(warehouse.orphans(i64::MAX).await, Err(Error::Catalog { .. })));
    std::fs::rename(dir.path().join("list"), snapshot.manifest_list()).expect("moves back");

    let copy = tempfile::tempdir().expect("a directory");
    copied(dir.path(), copy.path());
    let moved = open(copy.path()).await;
    assert!(matches!(moved.orphans(i64::MAX).await, Err(Error::Moved { .. })));
}

fn copied(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("reads").map(|entry| entry.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() { copied(&entry, &target) } else { _ = std::fs::copy(&entry, &target).expect("copies") }
    }
}
