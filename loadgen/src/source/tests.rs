use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use super::*;
use crate::config::FleetConfig;

const START: i64 = 1_800_000_000_000_000;

fn fleet(events: u64) -> Arc<Fleet> {
    let config = FleetConfig { events, attacks: 0, near_misses: 0, span_us: 60_000_000, ..FleetConfig::default() };
    Arc::new(Fleet::new(config).expect("a fleet"))
}

fn as_fast(fleet: &Arc<Fleet>) -> GeneratorSource {
    let pace = Pace::AsFast { start_wall_us: START, wall_span_us: 6_000_000 };
    GeneratorSource::new(fleet.clone(), pace, || panic!("no clock is needed"))
        .with_limits(ChunkLimits { records: 100, bytes: 50_000 })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Payloads and receive times by partition and offset.
type Delivered = BTreeMap<(PartitionId, i64), (Vec<u8>, i64)>;

/// Takes a chunk's records, each for the first time.
fn take(chunk: &Chunk, delivered: &mut Delivered) {
    let mut expected = chunk.offsets.start;
    for record in chunk.records() {
        assert_eq!(record.offset, expected, "no gap within a chunk");
        expected += 1;
        let old =
            delivered.insert((chunk.partition.clone(), record.offset), (record.payload.to_vec(), record.received_at));
        assert!(old.is_none(), "delivered twice: {} {}", chunk.partition, record.offset);
    }
    assert_eq!(expected, chunk.offsets.next);
}

async fn drain(source: &mut GeneratorSource) -> (Delivered, Vec<PartitionId>) {
    let (mut delivered, mut caught_up) = (Delivered::new(), Vec::new());
    loop {
        match source.next_event().await.expect("never fails") {
            SourceEvent::Chunk(chunk) => take(&chunk, &mut delivered),
            SourceEvent::CaughtUp(id) => caught_up.push(id),
            SourceEvent::EndOfInput => return (delivered, caught_up),
            other => panic!("a source of its own partitions: {other:?}"),
        }
    }
}

/// What the cursors say.
fn expected(fleet: &Fleet, pace: Pace) -> Delivered {
    let mut all = Delivered::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        let mut line = Vec::new();
        while let Some(meta) = cursor.next(&mut line) {
            all.insert((id.clone(), meta.offset), (line.clone(), pace.due_us(meta.schedule_us, fleet)));
        }
    }
    all
}

#[test]
fn every_record_is_delivered_once_with_the_time_at_which_it_was_due() {
    let fleet = fleet(3_000);
    let mut source = as_fast(&fleet);
    let (delivered, caught_up) = runtime().block_on(drain(&mut source));
    assert!(delivered == expected(&fleet, source.pace));
    assert_eq!(caught_up, fleet.partitions(), "each partition once, at its end");
    assert!(delivered.values().all(|(_, at)| (START..=START + 6_000_000).contains(at)));
}

#[test]
fn a_seek_continues_where_it_says() {
    let fleet = fleet(3_000);
    let mut source = as_fast(&fleet);
    let ids = source.partitions();
    let positions: Positions = [(ids[0].clone(), 123), (ids[4].clone(), 500), (ids[5].clone(), 499)].into();
    runtime().block_on(source.seek(&positions)).expect("own partitions");
    let (delivered, _) = runtime().block_on(drain(&mut source));
    let mut want = expected(&fleet, source.pace);
    want.retain(|(id, offset), _| positions.get(id).is_none_or(|p| offset >= p));
    assert!(delivered == want);
    runtime().block_on(source.acknowledge(&positions)).expect("a hint");
}

#[test]
fn a_seek_to_a_stranger_is_refused() {
    let mut source = as_fast(&fleet(100));
    let stranger = PartitionId::new("firewall.acme", "of another seed", 0);
    let error = runtime().block_on(source.seek(&[(stranger, 3)].into())).expect_err("refused");
    assert!(!error.transient && error.to_string().contains("firewall.acme@of another seed/0"), "{error}");
}

#[test]
fn chunks_keep_their_limits_and_partitions_keep_together() {
    let fleet = fleet(3_000);
    let mut source = as_fast(&fleet);
    let mut reached = BTreeMap::new();
    runtime().block_on(async {
        while let Ok(SourceEvent::Chunk(chunk)) = source.next_event().await {
            assert!((1..=100).contains(&chunk.len()));
            assert_eq!(&*chunk.tenant, chunk.partition.topic.trim_start_matches("firewall."));
            reached.insert(chunk.partition.clone(), chunk.offsets.next);
            let positions: Vec<i64> = fleet.partitions().iter().map(|p| *reached.get(p).unwrap_or(&0)).collect();
            let spread = positions.iter().max().unwrap_or(&0) - positions.iter().min().unwrap_or(&0);
            assert!(spread <= 200, "{positions:?}");
        }
    });
}

/// A clock that moves 700 us whenever somebody looks.
static CLOCK: AtomicI64 = AtomicI64::new(START);

fn ticking() -> i64 {
    CLOCK.fetch_add(700, Ordering::Relaxed)
}

#[test]
fn the_open_loop_gives_nothing_early_and_forgives_nothing_late() {
    let fleet = fleet(600);
    let pace = Pace::Open { start_wall_us: START, wall_span_us: 60_000 };
    let mut source = GeneratorSource::new(fleet.clone(), pace, ticking);
    let mut delivered = Delivered::new();
    let mut waits = 0;
    runtime().block_on(async {
        loop {
            match source.next_event().await.expect("never fails") {
                SourceEvent::Chunk(chunk) => {
                    let now = CLOCK.load(Ordering::Relaxed);
                    assert!(chunk.records().all(|r| r.received_at <= now), "nothing early");
                    take(&chunk, &mut delivered);
                }
                SourceEvent::CaughtUp(_) => waits += 1,
                SourceEvent::EndOfInput => break,
                other => panic!("a source of its own partitions: {other:?}"),
            }
        }
    });
    assert!(delivered == expected(&fleet, pace), "the time at which it was due, not at which it was read");
    assert!(waits >= 6);
}

#[test]
fn a_dropped_wait_loses_no_record() {
    let fleet = fleet(60);
    // Nothing is ever due within this clock's first hour; each poll ends in a wait, which is dropped.
    let pace = Pace::Open { start_wall_us: START + 3_600_000_000, wall_span_us: 1_000 };
    let mut source = GeneratorSource::new(fleet.clone(), pace, || START);
    let runtime = runtime();
    let _guard = runtime.enter();
    for _ in 0..6 {
        let event = runtime.block_on(source.next_event()).expect("never fails");
        assert!(matches!(event, SourceEvent::CaughtUp(_)));
    }
    for _ in 0..10 {
        let next = pin!(source.next_event());
        assert!({ next }.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    source.now = || START + 7_200_000_000;
    let (delivered, _) = runtime.block_on(drain(&mut source));
    assert!(delivered == expected(&fleet, pace));
}

#[test]
fn after_the_end_nothing_more_is_said() {
    let fleet = fleet(10);
    let mut source = as_fast(&fleet);
    let runtime = runtime();
    runtime.block_on(drain(&mut source));
    let next = pin!(source.next_event());
    assert!({ next }.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
