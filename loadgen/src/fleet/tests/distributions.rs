//! Distributions on a fresh seed, with bounds so wide that chance passes them less than once in a billion times; and for
//! each measure a sampler that is wrong, which it must see.

use super::*;
use crate::config::Rate;
use crate::cursor::{COLLECTION_US, Position};
use crate::draw::Zipf;
use crate::mix::Mix;
use crate::record::{Record, Wire};

/// True if `hits` of `n` cannot be chance at a share of `p`: beyond 6.5 standard deviations.
fn is_off(hits: u64, n: u64, p: f64) -> bool {
    let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
    (hits as f64 - mean).abs() > 6.5 * deviation + n as f64 / 60_000.0 + 1.0
}

/// Of the first ranks, those that are drawn too often or too seldom for Zipf's law over 2,000.
fn ranks_off(rank: impl Fn(&mut Draw) -> u16) -> usize {
    let (mut draw, n) = (Draw::at(fresh_seed(), 1, 1), 200_000);
    let mut counts = [0u64; 20];
    for _ in 0..n {
        counts.get_mut(usize::from(rank(&mut draw))).into_iter().for_each(|count| *count += 1);
    }
    let harmonic: f64 = (1..=2_000).map(|k| 1.0 / f64::from(k)).sum();
    let p = |rank: usize| 1.0 / (rank + 1) as f64 / harmonic;
    counts.iter().enumerate().filter(|(rank, hits)| is_off(**hits, n, p(*rank))).count()
}

#[test]
fn hosts_talk_by_zipfs_law() {
    let hosts = Hosts::new();
    assert_eq!(ranks_off(|draw| hosts.internal(draw)), 0);
    let others = Zipf::new(1_000);
    assert!(ranks_off(|draw| others.rank(draw)) > 0, "another number of ranks is seen");
    assert!(ranks_off(|draw| draw.below(2_000) as u16) > 10, "an even sampler is seen");
}

/// The exponent that the sizes of the tenants of rank 1 and `rank` tell.
fn exponent(fleet: &Fleet, rank: usize) -> f64 {
    let size = |rank: usize| fleet.partitions[rank - 1].records() as f64;
    (size(1) / size(rank)).ln() / (rank as f64).ln()
}

fn tenants(tenant_zipf: f64) -> Fleet {
    let config = FleetConfig {
        tenants: 400,
        partitions_per_tenant: 1,
        devices: 400,
        events: 100_000_000,
        attacks: 0,
        near_misses: 0,
        tenant_zipf,
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

#[test]
fn tenants_have_the_sizes_that_the_exponent_says() {
    for wanted in [0.5, 1.0, 1.25] {
        let fleet = tenants(wanted);
        for rank in [2, 10, 100, 400] {
            assert!((exponent(&fleet, rank) - wanted).abs() < 0.01, "{wanted} at {rank}");
        }
        let total: i64 = fleet.partitions.iter().map(Partition::records).sum();
        assert_eq!(total, 100_000_000);
    }
    assert!(exponent(&tenants(0.0), 100) < 0.01, "even tenants are seen");
}

/// Firewalls that write exact times, late and twice as often as it takes to see it.
fn unruly() -> Fleet {
    let config = FleetConfig {
        seed: fresh_seed(),
        events: 60_000,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 0,
        flow_logs_per_million: 0,
        late_per_million: 100_000,
        late_max_us: 3_000_000_000,
        duplicates_per_million: 50_000,
        mix: Mix { strata_json: 1, panos_csv: 0, cloudtrail: 0, ..Mix::NONE },
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

/// How late each session of a partition is, apart from its device's clock.
fn lateness(fleet: &Fleet, partition: usize) -> Vec<i64> {
    let late = |offset: i64| {
        let position = Position::new(fleet, partition, offset);
        match position.record(fleet, position.schedule_us(fleet)?).0 {
            Record::Session(Wire::Strata, s) => Some(s.received_us - COLLECTION_US + s.device.skew_us - s.time_us),
            _ => None,
        }
    };
    (0..fleet.partitions[partition].records()).filter_map(late).collect()
}

/// Measures that are off: the share of the late, and how many of them are twice, four and eight times as late.
fn lateness_off(lateness: &[i64], least: i64) -> Vec<String> {
    let above = |times: i64| lateness.iter().filter(|us| **us >= least * times).count() as u64;
    let (all, late) = (lateness.len() as u64, above(1));
    let mut off: Vec<String> = Vec::new();
    if is_off(late, all, 0.1) {
        off.push(format!("{late} of {all} are late"));
    }
    for doublings in 1..4 {
        let hits = above(1 << doublings);
        if is_off(hits, late, 0.5f64.powi(doublings)) {
            off.push(format!("{hits} of {late} are {} times as late", 1 << doublings));
        }
    }
    off
}

#[test]
fn lateness_has_its_share_and_its_tail() {
    let fleet = unruly();
    let least = fleet.config.late_max_us >> 8;
    let seen: Vec<i64> = (0..6).flat_map(|p| lateness(&fleet, p)).collect();
    assert_eq!(lateness_off(&seen, least), Vec::<String>::new());
    assert!(seen.iter().all(|us| *us < fleet.config.late_max_us));
    // A sampler without the tail, and one that is late half as often.
    let mut draw = Draw::at(fresh_seed(), 1, 1);
    let even = |us: &i64| if *us >= least { draw.between(least, fleet.config.late_max_us) } else { *us };
    assert_eq!(lateness_off(&seen.iter().map(even).collect::<Vec<_>>(), least).len(), 3);
    let mut turn = 0;
    let half = |us: &i64| {
        turn += i32::from(*us >= least);
        if *us >= least && turn % 2 == 0 { 0 } else { *us }
    };
    assert_eq!(lateness_off(&seen.iter().map(half).collect::<Vec<_>>(), least).len(), 1);
}

#[test]
fn what_is_sent_again_has_the_same_bytes_and_the_truth_knows() {
    let fleet = unruly();
    let (mut again, mut all) = (0, 0);
    for id in fleet.partitions() {
        let (mut lines, mut rows, mut line): (Vec<Vec<u8>>, _, _) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = fleet.cursor(&id, 0).expect("own partition");
        let mut truth = bytes.clone();
        while bytes.next(&mut line).is_some() {
            truth.next_truth(&mut rows);
            let row = rows.pop().expect("a row a record");
            if let Some(first) = row.duplicate_of {
                assert!(first < row.offset && row.offset - first <= 2_000);
                assert!(lines[first as usize] == line, "offset {}", row.offset);
                again += 1;
            }
            lines.push(line.clone());
            all += 1;
        }
    }
    assert!(!is_off(again, all, 0.05), "{again} of {all}");
    assert!(is_off(again, all, 0.06) && is_off(0, all, 0.05), "another share is seen");
}

#[test]
fn a_device_that_was_lost_says_nothing_and_then_everything_in_order() {
    let config = FleetConfig {
        seed: fresh_seed(),
        events: 120_000,
        attacks: 0,
        near_misses: 0,
        flow_logs_per_million: 0,
        mix: Mix { strata_json: 1, panos_csv: 0, cloudtrail: 0, ..Mix::NONE },
        rate: Rate { storms_per_day: 72, storm_seconds: 240, ..Rate::default() },
        ..FleetConfig::default()
    };
    let fleet = Fleet::new(config).expect("a fleet");
    let (mut silent, mut kept, mut total) = (0, 0, 0);
    for (index, partition) in fleet.partitions.iter().enumerate() {
        let mut last_us = i64::MIN;
        for offset in 0..partition.records() {
            let position = Position::new(&fleet, index, offset);
            let us = position.schedule_us(&fleet).expect("a record");
            let Some(storm) = fleet.curves[partition.curve].storm(us) else { continue };
            let Record::Session(_, s) = position.record(&fleet, us).0 else { continue };
            let lost = &fleet.devices[partition.devices[storm.device(partition.devices.len())]];
            let made_us = s.time_us - s.device.skew_us - fleet.config.start_us;
            if us < storm.back_us {
                assert_ne!(s.device.serial, lost.serial, "it cannot be reached");
                silent += 1;
            } else {
                total += 1;
                if made_us < storm.back_us && s.device.serial == lost.serial && us - made_us > 5_000_000 {
                    kept += 1;
                    assert!(made_us >= storm.lost_us && (made_us >= last_us || made_us - storm.lost_us < 240_000_000));
                    last_us = made_us;
                }
            }
        }
    }
    assert!(silent > 1_000 && kept * 10 > total * 6, "{silent} {kept} {total}");
}

#[test]
fn a_provider_has_ten_thousand_customers_of_all_sizes() {
    let config = FleetConfig { events: 50_000_000, ..FleetConfig::preset("provider").expect("a preset") };
    let fleet = Fleet::new(config).expect("a fleet");
    let ids = fleet.partitions();
    let topics: HashSet<&str> = ids.iter().map(|id| &*id.topic).collect();
    assert_eq!((topics.len(), fleet.tenants().len()), (10_000, 10_000));
    let sizes: Vec<i64> = fleet.partitions.iter().map(|p| p.background).collect();
    let ratio = sizes[0] as f64 / sizes[9_999] as f64;
    assert!((90_000.0..=112_000.0).contains(&ratio), "{ratio}");
    let mut line = Vec::new();
    for at in [0, 250, 9_999] {
        let mut cursor = fleet.cursor(&ids[at], 0).expect("own partition");
        for _ in 0..50 {
            cursor.next(&mut line).expect("a record");
        }
    }
}

#[test]
fn every_preset_is_a_fleet_whose_bytes_and_truth_walk_in_step() {
    assert_eq!(FleetConfig::presets().len(), 5);
    assert!(FleetConfig::preset("no-such-place").is_none());
    for name in FleetConfig::presets() {
        let fleet = Fleet::new(FleetConfig::preset(name).expect("a preset")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let id = &fleet.partitions()[0];
        let mut bytes = fleet.cursor(id, 0).expect("own partition");
        let mut truth = bytes.clone();
        let (mut line, mut rows) = (Vec::new(), Vec::new());
        for _ in 0..3_000 {
            assert_eq!(bytes.next(&mut line), truth.next_truth(&mut rows), "{name}");
        }
        // Any offset at once.
        let mut late = fleet.cursor(id, 2_500).expect("own partition");
        let mut early = fleet.cursor(id, 2_400).expect("own partition");
        let mut other = Vec::new();
        for _ in 0..100 {
            early.next(&mut other).expect("a record");
        }
        assert_eq!((late.next(&mut line), &line), (early.next(&mut other), &other), "{name}");
    }
}
