//! Every claim of a label, recomputed from the truth by other means than those that planned it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::LazyLock;

use dataflow::Table;

use super::scenarios::*;
use super::*;
use crate::fleet::Fleet;
use crate::fleet::tests::{SMALL, small};
use crate::truth::TruthRow;

mod starter_rules;
mod uncovered;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

/// All truth of the small fleet.
static TRUTH: LazyLock<Vec<TruthRow>> = LazyLock::new(|| truth(&SMALL));

fn truth(fleet: &Fleet) -> Vec<TruthRow> {
    let mut rows = Vec::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        while cursor.next_truth(&mut rows).is_some() {}
    }
    rows
}

/// A session: time, then what a rule looks at.
type Sessions<T> = Vec<(i64, T)>;

fn network<K: std::hash::Hash + Eq, T: Ord>(
    rows: &[TruthRow],
    key: impl Fn(&TruthRow) -> Option<K>,
    value: impl Fn(&TruthRow) -> T,
) -> HashMap<K, Sessions<T>> {
    let mut groups: HashMap<K, Sessions<T>> = HashMap::new();
    for row in rows.iter().filter(|r| r.table == Table::NetworkActivity) {
        if let (Some(key), Some(time)) = (key(row), row.time_us) {
            groups.entry(key).or_default().push((time, value(row)));
        }
    }
    groups.values_mut().for_each(|g| g.sort());
    groups
}

/// The contents of every window of that length that begins, or ends, with a session.
fn windows<T>(sessions: &Sessions<T>, length: i64) -> impl Iterator<Item = &[(i64, T)]> {
    let from = sessions.iter().map(move |(start, _)| (*start, start + length));
    let to = sessions.iter().map(move |(end, _)| (end + 1 - length, end + 1));
    from.chain(to).map(|(start, end)| slice(sessions, start, end))
}

/// The contents of every window of a HOP.
fn hops<T>(sessions: &Sessions<T>, length: i64, hop: i64) -> Vec<&[(i64, T)]> {
    let starts: BTreeSet<i64> =
        sessions.iter().flat_map(|(t, _)| (0..length / hop).map(move |i| (t.div_euclid(hop) - i) * hop)).collect();
    starts.into_iter().map(|start| slice(sessions, start, start + length)).collect()
}

fn slice<T>(sessions: &Sessions<T>, start: i64, end: i64) -> &[(i64, T)] {
    let at = |us: i64| sessions.partition_point(|(t, _)| *t < us);
    &sessions[at(start)..at(end)]
}

fn distinct_ports(window: &[(i64, i32)]) -> usize {
    window.iter().map(|(_, port)| port).collect::<BTreeSet<_>>().len()
}

/// Bytes and distinct sources.
fn uploaded(window: &[(i64, (IpAddr, i64))]) -> (i64, usize) {
    let sources: BTreeSet<&IpAddr> = window.iter().map(|(_, (src, _))| src).collect();
    (window.iter().map(|(_, (_, bytes))| bytes).sum(), sources.len())
}

fn key_of(label: &Label, name: &str) -> (String, IpAddr) {
    (label.tenant.clone(), label.key[name].parse().expect("an address"))
}

fn labels<'f>(fleet: &'f Fleet, rule: &str) -> BTreeMap<(String, IpAddr), &'f Label> {
    let name = if rule == PORT_SCAN { "src_ip" } else { "dst_ip" };
    fleet.labels().iter().filter(|l| l.rule == rule).map(|l| (key_of(l, name), l)).collect()
}

/// Fleets of other densities and seeds: crowded, sparse, of one tenant with few devices.
fn others() -> impl Iterator<Item = Fleet> {
    let configs = [
        FleetConfig { seed: 21, events: 100_000, span_us: 11 * MINUTE, ..small() },
        FleetConfig { seed: 22, events: 60_000, span_us: 8 * 60 * MINUTE, max_disorder_us: 30 * SECOND, ..small() },
        FleetConfig { seed: 23, events: 60_000, tenants: 1, partitions_per_tenant: 3, devices: 4, ..small() },
    ];
    configs.into_iter().map(|config| Fleet::new(config).expect("a fleet"))
}

#[test]
fn labels_tell_the_truth_at_any_density() {
    for fleet in others() {
        let truth = truth(&fleet);
        check_scans(&fleet, &truth);
        check_uploads(&fleet, &truth);
    }
}

#[test]
fn scans_exceed_the_threshold_in_one_window_and_nothing_else_in_any_minute() {
    check_scans(&SMALL, &TRUTH);
}

fn check_scans(fleet: &Fleet, truth: &[TruthRow]) {
    let labels = labels(fleet, PORT_SCAN);
    let by_source = network(truth, |r| Some((r.tenant.to_string(), r.src_ip?)), |r| r.dst_port.unwrap_or(-1));
    let mut attacks = 0;
    for (source, sessions) in &by_source {
        let label = labels.get(source);
        if let Some(attack) = label.filter(|l| !l.near_miss) {
            let most = hops(sessions, MINUTE, 30 * SECOND).into_iter().map(distinct_ports).max().unwrap_or(0);
            assert!(most > 250, "{most} ports");
            let claimed = (attack.intensity * 250.0) as usize;
            assert!((claimed..=claimed + 2).contains(&most), "{most} of {claimed} claimed");
            assert!((1.05..=20.0).contains(&attack.intensity));
            attacks += 1;
            continue;
        }
        let most = windows(sessions, MINUTE).map(distinct_ports).max().unwrap_or(0);
        let limit = if label.is_some() { 250 } else { 125 };
        assert!(most < limit, "{most} ports of {source:?}");
        if let Some(near) = label {
            assert!(most >= 125, "a near miss comes near: {most} ports, {}", near.variant);
        }
    }
    assert_eq!(attacks, 4);
}

#[test]
fn uploads_exceed_the_threshold_in_one_window_and_nothing_else_in_any() {
    check_uploads(&SMALL, &TRUTH);
}

fn check_uploads(fleet: &Fleet, truth: &[TruthRow]) {
    let labels = labels(fleet, RARE_UPLOAD);
    let external = |r: &TruthRow| r.dst_ip.filter(|ip| !ip.to_string().starts_with("10."));
    let by_target = network(
        truth,
        |r| Some((r.tenant.to_string(), external(r)?)),
        |r| (r.src_ip.expect("a source"), r.bytes_out.unwrap_or(0)),
    );
    let mut attacks = 0;
    for (target, sessions) in &by_target {
        let label = labels.get(target);
        let is_popular = label.is_some_and(|l| l.variant == "popular destination");
        let is_rare = |window: &[(i64, (IpAddr, i64))]| uploaded(window).1 <= 2;
        if label.is_some_and(|l| !l.near_miss) {
            let hops = hops(sessions, 10 * MINUTE, 5 * MINUTE).into_iter();
            let most = hops.filter(|w| is_rare(w)).map(|w| uploaded(w).0).max().unwrap_or(0);
            assert!(most > 525_000_000 - 1, "{most} bytes");
            attacks += 1;
            continue;
        }
        let rare = windows(sessions, 10 * MINUTE).filter(|w| is_rare(w));
        let most = rare.map(|w| uploaded(w).0).max().unwrap_or(0);
        let limit = if label.is_some() && !is_popular { 475_000_001 } else { 250_000_000 };
        assert!(most < limit || is_popular && most <= 400_500_000, "{most} bytes to {target:?}");
        if let Some(near) = label {
            let most = windows(sessions, 10 * MINUTE).map(|w| uploaded(w).0).max().unwrap_or(0);
            assert!(most as f64 >= near.intensity * 500e6 * 0.999, "{}: {most}", near.variant);
        }
    }
    assert_eq!(attacks, 4);
}

#[test]
fn stopped_logging_is_one_row_that_the_label_names() {
    let labels: Vec<_> = SMALL.labels().iter().filter(|l| l.rule == LOGGING_STOPPED).collect();
    assert_eq!(labels.iter().filter(|l| l.near_miss).count(), 6);
    for label in &labels {
        let key = |name: &str| label.key[name].as_str();
        let is_named = |r: &&TruthRow| {
            *r.partition.topic == *key("_topic")
                && r.partition.partition.to_string() == key("_partition_id")
                && r.offset.to_string() == key("_offset")
                && r.record.to_string() == key("_record")
        };
        let row = TRUTH.iter().find(is_named).expect("the row exists");
        assert_eq!(row.time_us, Some(label.start_us));
        assert_eq!(row.src_ip.map(|ip| ip.to_string()).as_deref(), Some(key("src_ip")));
        assert_eq!(SMALL.labels()[row.attack.expect("labelled")].attack_id, label.attack_id);
    }
}

#[test]
fn only_planned_calls_stop_the_log() {
    let mut line = Vec::new();
    let mut stops = 0;
    for id in SMALL.partitions() {
        let mut cursor = SMALL.cursor(&id, 0).expect("own partition");
        while cursor.next(&mut line).is_some() {
            let Ok(value) = serde_json::from_slice::<serde_json::Value>(&line) else { continue };
            let list = value["Records"].as_array().cloned().unwrap_or_else(|| vec![value]);
            let is_stop = |e: &&serde_json::Value| {
                e["eventSource"] == "cloudtrail.amazonaws.com"
                    && (e["eventName"] == "StopLogging" || e["eventName"] == "DeleteTrail")
                    && e["errorCode"].is_null()
            };
            stops += list.iter().filter(is_stop).count();
        }
    }
    assert_eq!(stops, 4, "as many as attacks");
}

#[test]
fn labels_hold_their_records_and_lie_in_the_run() {
    for (index, label) in SMALL.labels().iter().enumerate() {
        let times: Vec<i64> = TRUTH.iter().filter(|r| r.attack == Some(index)).filter_map(|r| r.time_us).collect();
        let count: u64 = label.records.iter().map(|r| r.count).sum();
        assert_eq!(times.len() as u64, count, "{}", label.attack_id);
        assert_eq!((times.iter().min(), times.iter().max()), (Some(&label.start_us), Some(&label.end_us)));
        let run = SMALL.config.start_us..SMALL.config.start_us + SMALL.config.span_us;
        assert!(run.contains(&label.start_us) && run.contains(&label.end_us));
        assert!(label.records.iter().all(|r| *r.partition.topic == format!("firewall.{}", label.tenant)));
        assert!(label.records.iter().all(|r| r.first_offset <= r.last_offset));
    }
    let scan = &SMALL.labels()[0];
    assert_eq!((scan.attack_id.as_str(), scan.records.len()), ("port_scan-1", 2), "spread over both partitions");
}

#[test]
fn attacks_start_anywhere_and_are_of_every_kind() {
    let config = FleetConfig { attacks: 40, near_misses: 12, events: 2_000_000, ..small() };
    let fleet = Fleet::new(config).expect("a fleet");
    let starts: BTreeSet<i64> =
        fleet.labels().iter().map(|l| (l.start_us - fleet.config.start_us) / (10 * MINUTE)).collect();
    assert_eq!(starts, (0..6).collect(), "every sixth of the hour");
    let aligned = fleet.labels().iter().filter(|l| l.start_us % (30 * SECOND) == 0).count();
    assert!(aligned < fleet.labels().len() / 10);
    let variants: BTreeSet<&str> =
        fleet.labels().iter().filter(|l| STARTERS.contains(&l.rule.as_str())).map(|l| l.variant.as_str()).collect();
    let want = [
        "allowed after",
        "allowed before",
        "another destination",
        "another port",
        "deleted",
        "denied",
        "failed abroad",
        "fan-out",
        "few failures",
        "few ports",
        "few targets",
        "few users",
        "few users, often",
        "four users",
        "guesses",
        "looked only",
        "low severity",
        "office",
        "other service",
        "popular destination",
        "refused",
        "same country",
        "scan",
        "several ports",
        "slow failures",
        "slow scan",
        "slow sweep",
        "small upload",
        "spray",
        "stopped",
        "successes",
        "sweep",
        "to the outside",
        "tunnel abroad",
        "two countries",
        "upload",
    ];
    assert!(variants.iter().eq(want.iter()), "{variants:?}");
    let ids: BTreeSet<&str> = fleet.labels().iter().map(|l| l.attack_id.as_str()).collect();
    assert_eq!(ids.len(), fleet.labels().len());
}
