use std::collections::BTreeMap;

use super::*;
use crate::config::FleetConfig;

fn fleet() -> Fleet {
    let config = FleetConfig { events: 4_000, attacks: 0, near_misses: 0, ..FleetConfig::default() };
    Fleet::new(config).expect("a fleet")
}

fn by_index() -> Timing {
    let schedule = Schedule::ramp(100.0, 2_000.0, 3.0).expect("a ramp");
    Timing::Schedule { schedule: Arc::new(schedule), start_wall_us: 1_000_000 }
}

fn shard(text: &str) -> Shard {
    text.parse().expect("a shard")
}

/// What is sent of each partition, with the times.
type Sent = BTreeMap<usize, Vec<(i64, i64, Vec<u8>)>>;

fn read(fleet: &Fleet, timing: &Timing, own: &[usize]) -> Sent {
    let (mut sent, mut line, mut last_us) = (Sent::new(), Vec::new(), i64::MIN);
    let mut feed = Feed::new(fleet, timing, own);
    while let Some(item) = feed.next(&mut line) {
        assert!(item.due_us >= last_us, "the order of sending is that of the times");
        last_us = item.due_us;
        sent.entry(item.partition).or_default().push((item.due_us, item.offset, line.clone()));
    }
    sent
}

#[test]
fn the_union_of_any_shards_is_what_one_process_sends_at_the_same_times() {
    let fleet = fleet();
    let pace = Timing::Pace(Pace::Open { start_wall_us: 0, wall_span_us: 9_000_000 });
    for timing in [by_index(), pace, Timing::Free] {
        let whole = read(&fleet, &timing, &Shard::default().partitions(&fleet));
        for of in [1, 2, 4] {
            let shards = (1..=of).map(|number| shard(&format!("{number}/{of}")).partitions(&fleet));
            let union: Sent = shards.flat_map(|own| read(&fleet, &timing, &own)).collect();
            assert!(union == whole, "{of} shards, {timing:?}");
        }
    }
}

#[test]
fn threads_read_what_one_would() {
    let (fleet, timing) = (fleet(), by_index());
    let whole = read(&fleet, &timing, &Shard::default().partitions(&fleet));
    let union: Sent = std::thread::scope(|scope| {
        let (fleet, timing) = (&fleet, &timing);
        let threads: Vec<_> = (0..6).map(|own| scope.spawn(move || read(fleet, timing, &[own]))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(union == whole);
}

#[test]
fn record_n_of_all_is_due_when_the_schedule_says() {
    let (fleet, timing) = (fleet(), by_index());
    let Timing::Schedule { schedule, start_wall_us } = &timing else { panic!("by index") };
    let mut feed = Feed::new(&fleet, &timing, &Shard::default().partitions(&fleet));
    assert_eq!(feed.total(), 4_000);
    let mut line = Vec::new();
    for index in 0..4_000 {
        let item = feed.next(&mut line).expect("a record");
        assert_eq!(Some(item.due_us - start_wall_us), schedule.time_us(index));
    }
    assert_eq!(feed.next(&mut line), None);
}

#[test]
fn a_schedule_that_ends_ends_the_feed() {
    let schedule = Schedule::parse_curve("0,100\n1,0\n").expect("a curve");
    let timing = Timing::Schedule { schedule: Arc::new(schedule), start_wall_us: 0 };
    let sent = read(&fleet(), &timing, &Shard::default().partitions(&fleet()));
    assert_eq!(sent.values().map(Vec::len).sum::<usize>(), 100);
}

#[test]
fn a_shard_is_one_of_some_and_no_more_than_there_are_partitions() {
    for text in ["0/4", "5/4", "1", "1/0", "a/b", ""] {
        assert_eq!(text.parse::<Shard>(), Err("expected NUMBER/OF, such as 1/4".to_owned()), "{text}");
    }
    assert_eq!(shard("2/4").partitions(&fleet()), [1, 5]);
    shard("6/6").check(&fleet()).expect("as many as partitions");
    let error = shard("1/7").check(&fleet()).expect_err("refused").to_string();
    assert_eq!(
        error,
        "7 shards of 6 partitions: each partition is sent by one process; take fewer shards or more partitions"
    );
}
