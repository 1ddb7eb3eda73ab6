//! Scenarios that no starter rule is about: they are labelled, they meet no starter rule, and they are what they say.

use super::starter_rules::check_all;
use super::*;
use crate::config::Knobs;
use crate::fleet::tests::fresh_seed;

/// A fleet with every scenario.
fn every(seed: u64, span_us: i64, events: u64) -> Fleet {
    let config = FleetConfig {
        seed,
        span_us,
        events,
        attacks: 2,
        near_misses: 2,
        uncovered_attacks: 4,
        uncovered_near_misses: 4,
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

static EVERY: LazyLock<Fleet> = LazyLock::new(|| every(5, 60 * MINUTE, 300_000));
static ROWS: LazyLock<Vec<TruthRow>> = LazyLock::new(|| truth(&EVERY));

/// Rows of each label, in order of time.
fn rows_of(scenario: &str) -> Vec<(&'static Label, Vec<&'static TruthRow>)> {
    let of = |(at, label): (usize, &'static Label)| {
        let mut rows: Vec<&TruthRow> = ROWS.iter().filter(|r| r.attack == Some(at)).collect();
        rows.sort_by_key(|r| r.time_us);
        (label, rows)
    };
    EVERY.labels().iter().enumerate().filter(|(_, l)| l.scenario == scenario).map(of).collect()
}

#[test]
fn at_least_twenty_scenarios_are_labelled_with_techniques_and_what_is_due() {
    let scenarios: BTreeSet<&str> = EVERY.labels().iter().map(|l| l.scenario.as_str()).collect();
    assert!(scenarios.len() >= 20 && scenarios.iter().eq(names().iter().collect::<BTreeSet<_>>()), "{scenarios:?}");
    for label in EVERY.labels() {
        assert_eq!(label.due_us.is_some(), !label.is_uncovered && !label.near_miss, "{}", label.attack_id);
        assert!(!label.records.is_empty() && !label.techniques.is_empty() && (0.0..=1.0).contains(&label.stealth));
        assert!(!label.is_uncovered || label.rule == label.techniques[0]);
        assert!(label.attack_id.starts_with(&label.scenario));
    }
}

#[test]
fn they_meet_no_starter_rule_on_any_seed_at_any_density() {
    for seed in [31, fresh_seed()] {
        check_all(&every(seed, 60 * MINUTE, 120_000));
        check_all(&every(seed, 2 * MINUTE, 120_000));
    }
    check_all(&every(32, 6 * 60 * MINUTE, 120_000));
    check_all(&every(33, SECOND, 120_000));
}

#[test]
fn no_preset_meets_a_starter_rule_but_where_it_is_planned() {
    for name in FleetConfig::presets().into_iter().filter(|name| *name != "provider") {
        let preset = FleetConfig::preset(name).expect("a preset");
        check_all(&Fleet::new(FleetConfig { seed: fresh_seed(), events: 80_000, ..preset }).expect("a fleet"));
    }
}

#[test]
fn near_misses_are_what_is_expected_in_a_network() {
    let variants: BTreeSet<&str> = EVERY.labels().iter().filter(|l| l.near_miss).map(|l| l.variant.as_str()).collect();
    for variant in
        ["backup job", "allowed scanner", "traveling user", "ci deploy", "update checks", "forgotten password"]
    {
        assert!(variants.contains(variant), "{variant}: {variants:?}");
    }
}

#[test]
fn a_beacon_is_regular_and_a_person_is_not() {
    for (label, rows) in rows_of("beaconing") {
        let times: Vec<f64> = rows.iter().filter_map(|r| r.time_us).map(|us| us as f64).collect();
        let gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt() / mean;
        assert!(gaps.len() >= 20);
        let is_regular = label.variant != "browsing";
        assert_eq!(deviation < 0.45, is_regular, "{}: {deviation}", label.attack_id);
    }
}

#[test]
fn a_new_key_is_used_from_elsewhere() {
    let mut line = Vec::new();
    for label in EVERY.labels().iter().filter(|l| l.scenario == "cloud_key_elsewhere" && !l.near_miss) {
        let (mut made, mut used) = (BTreeSet::new(), BTreeSet::new());
        let at = EVERY.labels().iter().position(|l| l == label);
        for row in ROWS.iter().filter(|r| r.attack == at) {
            let mut cursor = EVERY.cursor(&row.partition, row.offset).expect("own partition");
            cursor.next(&mut line).expect("a record");
            let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
            let event = if value["Records"].is_array() { &value["Records"][row.record as usize] } else { &value };
            match row.operation {
                Some("CreateAccessKey") => {
                    made.insert(event["responseElements"]["accessKey"]["accessKeyId"].to_string());
                }
                _ => {
                    used.insert(event["userIdentity"]["accessKeyId"].to_string());
                    assert_eq!(event["sourceIPAddress"], label.key["src_ip"].as_str());
                }
            }
        }
        assert_eq!(made, used, "{}", label.attack_id);
        assert_eq!(made.len(), 1);
    }
}

#[test]
fn two_tunnels_stand_at_once_and_a_reconnect_has_one() {
    for (label, rows) in rows_of("vpn_session_overlap") {
        let mut open = BTreeSet::new();
        let mut most = 0;
        for row in rows {
            if row.activity_id == Some(1) {
                open.insert(row.src_ip)
            } else {
                open.remove(&row.src_ip)
            };
            most = most.max(open.len());
        }
        assert_eq!(most, if label.near_miss { 1 } else { 2 }, "{}", label.attack_id);
    }
}

#[test]
fn pieces_add_up_and_guesses_come_from_many_addresses() {
    for (label, rows) in rows_of("slow_exfiltration") {
        let total: i64 = rows.iter().filter_map(|r| r.bytes_out).sum();
        let claimed = label.intensity * 1e8;
        assert!((claimed * 0.99 - 200.0..=claimed * 1.01 + 1.0).contains(&(total as f64)), "{}", label.attack_id);
    }
    for (label, rows) in rows_of("vpn_distributed_guessing") {
        let sources: BTreeSet<_> = rows.iter().map(|r| r.src_ip).collect();
        assert_eq!(sources.len() > 3, !label.near_miss, "{}", label.attack_id);
    }
}

/// The only attack of that scenario under those knobs, and how long it lasts.
fn tuned(name: &str, knobs: Knobs) -> (Label, i64) {
    let scenarios = BTreeMap::from([(name.to_owned(), Knobs { attacks: Some(1), ..knobs })]);
    let config = FleetConfig { attacks: 0, near_misses: 0, scenarios, ..FleetConfig::default() };
    let label = Fleet::new(config).expect("a fleet").labels()[0].clone();
    let length = label.end_us - label.start_us;
    (label, length)
}

#[test]
fn knobs_turn_what_they_say() {
    for name in ["beaconing", PORT_SCAN, "slow_scan", HOST_SWEEP] {
        let at = |stealth| tuned(name, Knobs { stealth: Some(stealth), ..Knobs::default() });
        let ((loud, short), (quiet, long)) = (at(0.0), at(1.0));
        assert!(long > short * 2, "{name}: {short} {long}");
        assert_eq!((loud.stealth, quiet.stealth), (0.0, 1.0));
        let strong = tuned(name, Knobs { intensity: Some((4.0, 4.5)), stealth: Some(1.0), ..Knobs::default() }).0;
        assert!((3.9..=4.7).contains(&strong.intensity), "{name}: {}", strong.intensity);
    }
}

#[test]
fn a_scenario_that_is_none_is_refused_with_those_there_are() {
    let of = |name: &str, knobs: Knobs| {
        let scenarios = BTreeMap::from([(name.to_owned(), knobs)]);
        Fleet::new(FleetConfig { scenarios, ..FleetConfig::default() }).expect_err("refused").to_string()
    };
    let error = of("port_scam", Knobs::default());
    assert!(error.starts_with("there is no scenario port_scam; there are port_scan, "), "{error}");
    assert!(of("slow_scan", Knobs { attacks: Some(51), ..Knobs::default() }).contains("at most 50"));
    assert!(of("beaconing", Knobs { intensity: Some((3.0, 2.0)), ..Knobs::default() }).contains("intensity"));
    assert!(of("beaconing", Knobs { stealth: Some(1.5), ..Knobs::default() }).contains("stealth"));
}
