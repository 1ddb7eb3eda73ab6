use proptest::prelude::*;

use super::*;
use crate::config::FleetConfig;
use crate::fleet::tests::SMALL;

fn records(partition: usize, offset: i64, count: usize) -> Vec<(RecordMeta, Vec<u8>)> {
    let mut cursor = PartitionCursor::new(&SMALL, partition, offset);
    let mut line = Vec::new();
    (0..count).map_while(|_| Some((cursor.next(&mut line)?, line.clone()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cursor_starts_at_any_offset_as_if_it_had_read_the_prefix(
        partition in 0usize..6, skip in 0usize..2_000, start in 0i64..18_000,
    ) {
        let sequential = records(partition, start, skip + 20);
        let rest = &sequential[skip.min(sequential.len())..];
        prop_assert_eq!(rest, &records(partition, start + skip as i64, 20)[..]);
    }
}

#[test]
fn offsets_rise_by_one_and_times_never_fall() {
    for partition in 0..6 {
        let all = records(partition, 0, usize::MAX);
        assert_eq!(all.len() as i64, SMALL.partitions[partition].records());
        assert!(all.iter().zip(0..).all(|((meta, _), offset)| meta.offset == offset));
        assert!(all.windows(2).all(|w| w[0].0.schedule_us <= w[1].0.schedule_us));
        assert!(all.iter().all(|(m, _)| (0..=SMALL.config.span_us).contains(&m.schedule_us)));
        assert!(all.iter().all(|(_, line)| !line.contains(&b'\n')));
    }
}

#[test]
fn bytes_and_truth_walk_in_step() {
    let mut bytes = PartitionCursor::new(&SMALL, 2, 5);
    let mut truth = bytes.clone();
    let (mut line, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..3_000 {
        let peeked = bytes.peek_schedule_us();
        let meta = bytes.next(&mut line).expect("more records");
        let before = rows.len();
        assert_eq!(Some(meta), truth.next_truth(&mut rows));
        assert_eq!(peeked, Some(meta.schedule_us));
        assert_eq!(rows.len() - before, meta.events.max(1) as usize);
        assert_eq!(rows[before].time_us, meta.time_us);
    }
    assert_eq!(bytes.offset(), truth.offset());
}

#[test]
fn the_end_is_an_end_and_a_start_beyond_it_too() {
    let records = SMALL.partitions[0].records();
    let mut line = b"untouched".to_vec();
    for offset in [records, records + 5] {
        let mut cursor = PartitionCursor::new(&SMALL, 0, offset);
        assert!(cursor.peek_schedule_us().is_none() && cursor.next(&mut line).is_none());
    }
    assert_eq!(line, b"untouched");
}

#[test]
fn event_times_are_out_of_order_but_within_the_bound() {
    let mut disorder = 0;
    for partition in 0..6 {
        let mut cursor = PartitionCursor::new(&SMALL, partition, 0);
        let (mut rows, mut highest) = (Vec::new(), i64::MIN);
        while cursor.next_truth(&mut rows).is_some() {
            for time in rows.drain(..).filter_map(|r| r.time_us) {
                disorder = disorder.max(highest.saturating_sub(time));
                highest = highest.max(time);
            }
        }
    }
    let bound = SMALL.config.max_disorder_us;
    assert!((bound / 2..=bound).contains(&disorder), "{disorder} of {bound}");
}

#[test]
fn formats_come_in_their_shares() {
    let count = |wanted: &[RecordKind]| {
        let kinds = (0..6).flat_map(|p| records(p, 0, 5_000)).map(|(m, _)| m.kind);
        kinds.filter(|k| wanted.contains(k)).count() as f64 / 30_000.0
    };
    use RecordKind::*;
    let shares: [(&[RecordKind], f64); 7] = [
        (&[StrataJson], 0.43),
        (&[PanosCsv], 0.23),
        (&[PanosCef, PanosLeef], 0.06),
        (&[FortiGate, FortiGateCef, CiscoAsa], 0.08),
        (&[CloudTrail, CloudTrailRecords], 0.085),
        (&[GcpAudit, AzureActivity, EntraSignIn, Okta], 0.056),
        (&[VpcFlow], 0.06),
    ];
    for (kinds, want) in shares {
        assert!((count(kinds) - want).abs() < 0.04, "{kinds:?}: {}", count(kinds));
    }
    assert!(count(&[CloudTrailRecords]) > 0.005);
}

#[test]
fn a_fleet_without_disorder_is_in_order_but_for_rounding() {
    let config =
        FleetConfig { max_disorder_us: 0, attacks: 0, near_misses: 0, events: 20_000, ..FleetConfig::default() };
    let fleet = Fleet::new(config).expect("a fleet");
    let mut cursor = PartitionCursor::new(&fleet, 0, 0);
    let (mut rows, mut highest) = (Vec::new(), i64::MIN);
    while cursor.next_truth(&mut rows).is_some() {
        for time in rows.drain(..).filter_map(|r| r.time_us) {
            assert!(highest.saturating_sub(time) <= 1_000_000);
            highest = highest.max(time);
        }
    }
}
