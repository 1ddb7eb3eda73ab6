use std::collections::BTreeMap;

use dataflow::{Reason, Table, Watermark};

use super::*;
use crate::store::LocalStore;

fn partition(n: i32) -> PartitionId {
    PartitionId::new("fw@eu", "inc.1", n)
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(dir.path()).expect("opens");
    (dir, Ledger::new(Arc::new(store), "local"))
}

fn staged(rows: u64) -> StagedFile {
    let column = ColumnMetrics {
        id: 3,
        bytes: 10,
        values: Some(rows),
        nulls: Some(0),
        lower: Some(vec![0, 255, 16]),
        upper: Some(Vec::new()),
    };
    StagedFile {
        location: "/w/x.parquet".into(),
        slot: 20_000,
        rows,
        bytes: 99,
        time_min: -5,
        time_max: 7,
        schema_id: 0,
        spec_id: 0,
        sort_order_id: None,
        split_offsets: vec![4],
        columns: vec![column, ColumnMetrics { id: 4, ..Default::default() }],
    }
}

fn full(start: i64, next: i64) -> SourceEntry {
    SourceEntry {
        generation: 4,
        versions: BTreeMap::from([("rules".into(), "7".into())]),
        tables: BTreeMap::from([(Table::NetworkActivity.into(), TableFiles::from_iter([staged(2), staged(3)]))]),
        dead_letters: BTreeMap::from([(Reason::InvalidJson, 2)]),
        records: 9,
        filtered: 1,
        watermark: Some(77),
        received_min: Some(70),
        received_max: Some(80),
        exchange: Some(ObjectRef { path: "e".into(), crc: 1, bytes: 2 }),
        outbox: vec!["alert-1".into()],
        ..SourceEntry::empty(partition(0), start, next, "w1", Uuid::from_u128(5))
    }
}

fn full_merge(step: i64) -> MergeEntry {
    MergeEntry {
        vector: BTreeMap::from([(partition(0), 10), (partition(1), 0)]),
        partition_watermarks: BTreeMap::from([
            (partition(0), Watermark::EventTime(9)),
            (partition(1), Watermark::Idle),
        ]),
        watermark: Some(9),
        windows_closed: 3,
        tables: BTreeMap::from([(Table::DetectionFinding.into(), TableFiles::from_iter([staged(1)]))]),
        state: Some(ObjectRef { path: "s".into(), crc: 1, bytes: 2 }),
        ..MergeEntry::empty(0, step, 123, "w1", Uuid::from_u128(6))
    }
}

#[tokio::test]
async fn entries_come_back_as_they_were_written() {
    let (_dir, ledger) = ledger();
    let (source, merge) = (full(0, 10), full_merge(0));
    assert_eq!(ledger.create_source(&source).await.expect("creates"), Created::New);
    assert_eq!(ledger.get_source(&partition(0), 0).await.expect("reads"), Some(source));
    assert_eq!(ledger.create_merge(&merge).await.expect("creates"), Created::New);
    assert_eq!(ledger.get_merge(0, 0).await.expect("reads"), Some(merge));
    assert_eq!(ledger.get_source(&partition(0), 10).await.expect("reads"), None);
    assert_eq!(ledger.get_merge(0, 1).await.expect("reads"), None);
}

#[tokio::test]
async fn a_lost_response_is_told_from_another_writer() {
    let (_dir, ledger) = ledger();
    let ours = full(0, 10);
    let theirs = SourceEntry { next: 4, attempt: Uuid::from_u128(99), ..ours.clone() };
    assert_eq!(ledger.create_source(&ours).await.expect("creates"), Created::New);
    assert_eq!(ledger.create_source(&ours).await.expect("creates"), Created::Ours);
    assert_eq!(ledger.create_source(&theirs).await.expect("creates"), Created::Taken(Box::new(ours)));
    let merge = full_merge(0);
    let other = MergeEntry { attempt: Uuid::from_u128(98), ..merge.clone() };
    assert_eq!(ledger.create_merge(&merge).await.expect("creates"), Created::New);
    assert_eq!(ledger.create_merge(&merge).await.expect("creates"), Created::Ours);
    assert_eq!(ledger.create_merge(&other).await.expect("creates"), Created::Taken(Box::new(merge)));
}

#[tokio::test]
async fn a_walk_follows_next_and_stops_where_the_chain_does() {
    let (_dir, ledger) = ledger();
    let p = partition(0);
    for (start, next) in [(5, 9), (9, 10), (10, 40), (41, 50)] {
        let attempt = Uuid::from_u128(start as u128);
        ledger.create_source(&SourceEntry::empty(p.clone(), start, next, "w", attempt)).await.expect("creates");
    }
    let starts = async |from, limit| -> Vec<i64> {
        ledger.walk(&p, from, limit).await.expect("walks").iter().map(|e| e.start).collect()
    };
    assert_eq!(starts(5, 99).await, [5, 9, 10]);
    assert_eq!(starts(5, 2).await, [5, 9]);
    assert_eq!(starts(9, 99).await, [9, 10]);
    assert_eq!(starts(6, 99).await, Vec::<i64>::new(), "6 is no position of the chain");
    assert_eq!(ledger.first(&p).await.expect("lists"), Some(5));
    assert_eq!(ledger.first(&partition(1)).await.expect("lists"), None);
    for step in 0..3 {
        ledger.create_merge(&MergeEntry::empty(2, step, 0, "w", Uuid::from_u128(1))).await.expect("creates");
    }
    assert_eq!(ledger.walk_merge(2, 1, 99).await.expect("walks").len(), 2);
    assert_eq!(ledger.first_merge(2).await.expect("lists"), Some(0));
    assert_eq!(ledger.merge_groups().await.expect("lists"), [2]);
    assert_eq!(ledger.partitions().await.expect("lists"), [p]);
}

#[test]
fn damage_of_any_byte_is_seen() {
    let good = codec::encode(&full(0, 10)).expect("encodes");
    assert!(codec::decode::<SourceEntry>("e", &good).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let error = codec::decode::<SourceEntry>("e", &bad).expect_err("damaged");
        assert!(matches!(error, Error::Damaged { .. } | Error::UnknownProtocol { .. }), "byte {at}: {error}");
        let error = codec::decode::<SourceEntry>("e", &good[..at]).expect_err("cut");
        assert!(matches!(error, Error::Damaged { .. }), "cut at {at}: {error}");
    }
}

#[test]
fn another_protocol_is_refused_before_anything_else_is_read() {
    let later = br#"{"protocol": 2, "checksum": "new here", "body": [1]}"#;
    let error = codec::decode::<SourceEntry>("p/q.entry", later).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "p/q.entry is of protocol version 2; this program knows 1: use the version that wrote it, or newer"
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
        assert!(codec::decode::<SourceEntry>("e", &bytes).is_err());
        let wrapped = [br#"{"protocol":1,"crc":0,"entry":"#, bytes.as_slice(), b"}"].concat();
        let _ = codec::decode::<MergeEntry>("e", &wrapped);
    }
}

#[tokio::test]
async fn an_entry_in_another_ones_place_is_damage() {
    let (dir, ledger) = ledger();
    ledger.create_source(&full(0, 10)).await.expect("creates");
    let folder = dir.path().join("local/ledger/fw@eu@inc.1/0");
    std::fs::copy(folder.join(format!("{:020}.entry", 0)), folder.join(format!("{:020}.entry", 10))).expect("copies");
    let error = ledger.walk(&partition(0), 0, 9).await.expect_err("the copy is no successor");
    assert!(error.to_string().contains("it holds [0, 10) of fw@eu@inc.1/0"), "{error}");
}

#[tokio::test]
async fn what_is_no_range_is_refused() {
    let (_dir, ledger) = ledger();
    let short = TableFiles { rows: 9, ..TableFiles::from_iter([staged(2)]) };
    for (bad, why) in [
        (full(5, 5), "[5, 5) of nothing"),
        (full(-1, 5), "negative"),
        (SourceEntry { partition: PartitionId::new("a/b", "i", 0), ..full(0, 1) }, "a path in a topic"),
        (SourceEntry { partition: PartitionId::new("", "i", 0), ..full(0, 1) }, "no topic"),
        (
            SourceEntry { tables: BTreeMap::from([(Table::BaseEvent.into(), short)]), ..full(0, 1) },
            "rows do not add up",
        ),
    ] {
        let error = ledger.create_source(&bad).await.expect_err(why);
        assert!(matches!(error, Error::InvalidEntry(_)), "{why}: {error}");
    }
    assert!(ledger.create_merge(&full_merge(-1)).await.is_err());
    assert_eq!(ledger.partitions().await.expect("lists"), []);
}

#[tokio::test]
async fn exchange_and_state_are_checked_when_they_are_read() {
    let (dir, ledger) = ledger();
    let attempt = Uuid::from_u128(3);
    let exchange = ledger.put_exchange(&partition(0), 0, attempt, "deltas".into()).await.expect("writes");
    let again = ledger.put_exchange(&partition(0), 0, attempt, "deltas".into()).await.expect("a lost response");
    assert_eq!(exchange, again);
    assert!(ledger.put_exchange(&partition(0), 0, attempt, "others".into()).await.is_err(), "a name is used once");
    let state = ledger.put_state(0, 7, attempt, "state".into()).await.expect("writes");
    assert_eq!(ledger.get_object(&exchange).await.expect("reads"), "deltas");
    assert_eq!(ledger.get_object(&state).await.expect("reads"), "state");
    assert_eq!(ledger.get_shared(&exchange).await.expect("reads"), "deltas");
    std::fs::write(dir.path().join(&exchange.path), "deltaz").expect("writes");
    assert!(matches!(ledger.get_object(&exchange).await, Err(Error::Damaged { .. })));
    assert_eq!(ledger.get_shared(&exchange).await.expect("it is kept"), "deltas");
    assert!(ledger.keeping(100).get_shared(&exchange).await.is_err(), "nothing is kept yet");
    std::fs::remove_file(dir.path().join(&exchange.path)).expect("removes");
    assert!(matches!(ledger.get_object(&exchange).await, Err(Error::Missing { .. })));
}

#[test]
fn names_sort_as_offsets_do_and_are_read_back() {
    let paths = Paths::new("eu");
    let path = |start| paths.source_entry(&partition(3), start);
    assert_eq!(path(7), "eu/ledger/fw@eu@inc.1/3/00000000000000000007.entry");
    assert!(path(9) < path(10) && path(10) < path(i64::MAX));
    for start in [0, 10, i64::MAX] {
        let path = path(start);
        assert_eq!(paths::entry_start(path.rsplit('/').next().expect("a name")), Some(start));
    }
    for other in ["x.entry", "1.entry", "00000000000000000007.json", ".tmp-1"] {
        assert_eq!(paths::entry_start(other), None, "{other}");
    }
}

#[tokio::test]
async fn an_audit_sees_entries_that_no_chain_leads_to() {
    let (_dir, ledger) = ledger();
    for (start, next) in [(0, 5), (5, 9), (12, 20)] {
        ledger.create_source(&full(start, next)).await.expect("creates");
    }
    for step in [0, 1, 3] {
        ledger.create_merge(&full_merge(step)).await.expect("creates");
    }
    assert_eq!(ledger.starts(&partition(0)).await.expect("lists"), [0, 5, 12]);
    assert_eq!(ledger.walk(&partition(0), 0, usize::MAX).await.expect("reads").len(), 2);
    assert_eq!(ledger.steps(full_merge(0).group).await.expect("lists"), [0, 1, 3]);
    assert!(ledger.starts(&partition(7)).await.expect("lists").is_empty());
}
