//! Identity of the fleet: the same bytes for the same configuration, and a place for every record.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::*;
use crate::Traffic;

mod distributions;

/// A seed that nobody tuned on; printed, so that a failure can be seen again.
pub(crate) fn fresh_seed() -> u64 {
    let random = std::collections::hash_map::RandomState::new();
    let seed = std::hash::BuildHasher::hash_one(&random, 0u8);
    eprintln!("seed {seed}");
    seed
}

/// A fleet for tests: an hour, every kind of record, attack and near miss.
pub(crate) fn small() -> FleetConfig {
    FleetConfig {
        seed: 7,
        events: 120_000,
        attacks: 4,
        near_misses: 6,
        malformed_per_million: 2_000,
        ..FleetConfig::default()
    }
}

/// [`small`], made once.
pub(crate) static SMALL: LazyLock<Fleet> = LazyLock::new(|| Fleet::new(small()).expect("a possible fleet"));

/// Checksum of the first records of each partition, with their lengths between them.
fn checksums(fleet: &Fleet, records: usize) -> Vec<u32> {
    let mut line = Vec::new();
    let checksum = |id: &PartitionId| {
        let mut cursor = fleet.cursor(id, 0).expect("own partition");
        let mut crc = crc32fast::Hasher::new();
        for _ in 0..records {
            let meta = cursor.next(&mut line).expect("enough records");
            crc.update(&line);
            crc.update(&meta.schedule_us.to_le_bytes());
            crc.update(&line.len().to_le_bytes());
        }
        crc.finalize()
    };
    fleet.partitions().iter().map(checksum).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    // Golden: a change of these numbers changes every fleet ever recorded. Raise the version in `canonical` with them.
    let golden = [3189784722, 2478620348, 2481267204, 2206703859, 2020511000, 1137771839];
    assert_eq!(checksums(&SMALL, 1_000), golden);
}

#[test]
fn a_question_of_the_background_is_short() {
    let sent = vec![1 << 12, 1 << 20];
    for traffic in [Traffic::default(), Traffic { sent, ..Traffic::default() }] {
        let calm = FleetConfig { events: 20_000, attacks: 0, near_misses: 0, traffic, ..small() };
        let fleet = Fleet::new(calm).expect("a fleet");
        let mut rows = Vec::new();
        for id in fleet.partitions() {
            let mut cursor = fleet.cursor(&id, 0).expect("own partition");
            while cursor.next_truth(&mut rows).is_some() {}
        }
        let questions = rows.iter().filter(|row| row.dst_port == Some(53)).filter_map(|row| row.bytes_out);
        let (short, long): (Vec<i64>, Vec<i64>) = questions.partition(|bytes| *bytes < 512);
        assert!(short.len() > 500 && long.is_empty(), "{} short questions, {long:?}", short.len());
    }
}

#[test]
fn another_seed_is_another_fleet() {
    let other = Fleet::new(FleetConfig { seed: 8, ..small() }).expect("a fleet");
    assert!(checksums(&other, 50).iter().zip(checksums(&SMALL, 50)).all(|(a, b)| *a != b));
    assert_ne!(other.partitions()[0].incarnation, SMALL.partitions()[0].incarnation);
}

#[test]
fn a_replay_has_the_same_identities_and_any_other_setting_others() {
    let again = Fleet::new(small()).expect("a fleet");
    assert_eq!(again.partitions(), SMALL.partitions());
    assert_eq!(again.labels(), SMALL.labels());
    let longer = Fleet::new(FleetConfig { events: 120_001, ..small() }).expect("a fleet");
    assert_ne!(longer.partitions()[0].incarnation, SMALL.partitions()[0].incarnation);
}

#[test]
fn partitions_are_named_by_tenant_and_hold_every_record() {
    let ids = SMALL.partitions();
    let names: Vec<String> = ids.iter().map(|p| format!("{}/{}", p.topic, p.partition)).collect();
    let want = ["acme/0", "acme/1", "globex/0", "globex/1", "initech/0", "initech/1"];
    assert_eq!(names, want.map(|n| format!("firewall.{n}")));
    assert_eq!(SMALL.tenant(&ids[3]).as_deref(), Some("globex"));
    assert_eq!(SMALL.tenants().len(), 3);
    let total: i64 = ids.iter().map(|id| SMALL.records(id).expect("own")).sum();
    assert_eq!(total, 120_000);
    let stranger = PartitionId::new("firewall.acme", "other", 0);
    assert!(SMALL.tenant(&stranger).is_none() && SMALL.cursor(&stranger, 0).is_none());
    assert!(SMALL.records(&stranger).is_none());
}

#[test]
fn planted_records_stand_at_distinct_offsets_in_order_of_time() {
    for partition in &SMALL.partitions {
        assert!(partition.offsets.windows(2).all(|w| w[0] < w[1]));
        assert!(partition.offsets.iter().all(|o| (0..partition.records()).contains(o)));
        let distinct: HashSet<_> = partition.offsets.iter().collect();
        assert_eq!(distinct.len(), partition.planted.len());
    }
}

#[test]
fn the_count_before_a_time_is_the_count() {
    let even = Curve::even(1_000_000);
    for background in [0, 1, 7, 1_000] {
        for us in [0, 1, 499, 500, 501, 999_999, 1_000_000] {
            let counted = (0..background).filter(|b| even.at(*b, background) < us).count();
            assert_eq!(even.before(us, background), counted as i64, "{background} {us}");
        }
    }
}

#[test]
fn a_background_record_has_one_offset() {
    for partition in &SMALL.partitions {
        let planted: HashSet<i64> = partition.offsets.iter().copied().collect();
        let mut offsets = (0..partition.records()).filter(|o| !planted.contains(o));
        assert!((0..partition.background).all(|index| offsets.next() == Some(partition.offset_of(index))));
    }
}

#[test]
fn every_device_logs_to_a_partition_of_its_tenant() {
    for device in &SMALL.devices {
        assert_eq!(SMALL.partitions[device.partition].tenant, device.tenant);
        assert!(device.skew_us.abs() <= SMALL.config.skew_max_us());
    }
    let serials: HashSet<&str> = SMALL.devices.iter().map(|d| d.serial.as_str()).collect();
    assert_eq!(serials.len(), SMALL.devices.len());
    let releases: HashSet<&str> = SMALL.devices.iter().map(|d| d.release.text).collect();
    assert_eq!(releases.len(), device::RELEASES.len());
}

#[test]
fn too_many_attacks_are_refused_with_the_number_that_would_do() {
    let error = Fleet::new(FleetConfig { events: 1_000, ..small() }).expect_err("refused").to_string();
    assert!(error.starts_with("attacks and near misses need "), "{error}");
    assert!(error.contains("of the run's 1000; raise events to "), "{error}");
    Fleet::new(FleetConfig { events: 1_000, attacks: 0, near_misses: 0, ..small() }).expect("none planted");
}
