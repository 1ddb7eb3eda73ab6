//! The starter rules over the truth, in plain Rust: they fire for the attacks and for nothing else.

use super::*;

/// Rows of one tenant and key, in order of time.
type Group<'r> = Sessions<&'r TruthRow>;

/// The grouping values of a rule, by name; none for a row that the rule does not look at.
type Key = fn(&TruthRow) -> Option<Vec<(&'static str, String)>>;

struct Rule {
    name: &'static str,
    length_us: i64,
    hop_us: i64,
    key: Key,
    /// Times the threshold: the rule fires above 1.
    measure: fn(&[(i64, &TruthRow)]) -> f64,
}

const RULES: [Rule; 8] = [
    Rule {
        name: PORT_SCAN,
        length_us: MINUTE,
        hop_us: 30 * SECOND,
        key: |r| connection(r).then(|| vec![src(r)]),
        measure: |rows| distinct(rows, |r| r.dst_port) / 250.0,
    },
    Rule {
        name: RARE_UPLOAD,
        length_us: 10 * MINUTE,
        hop_us: 5 * MINUTE,
        key: |r| (connection(r) && !is_internal(r.dst_ip)).then(|| vec![dst(r)]),
        measure: |rows| {
            let bytes: i64 = rows.iter().filter_map(|(_, r)| r.bytes_out).sum();
            if distinct(rows, |r| r.src_ip) > 2.0 { 0.0 } else { bytes as f64 / 5e8 }
        },
    },
    Rule {
        name: HOST_SWEEP,
        length_us: MINUTE,
        hop_us: 30 * SECOND,
        key: |r| connection(r).then(|| vec![src(r), ("dst_port", r.dst_port.unwrap_or(0).to_string())]),
        measure: |rows| distinct(rows, |r| r.dst_ip) / 100.0,
    },
    Rule {
        name: VPN_BRUTE_FORCE,
        length_us: 5 * MINUTE,
        hop_us: 150 * SECOND,
        key: |r| is_login(r, 2).then(|| vec![user(r)]),
        measure: |rows| rows.len() as f64 / 20.0,
    },
    Rule {
        name: VPN_PASSWORD_SPRAY,
        length_us: 10 * MINUTE,
        hop_us: 5 * MINUTE,
        key: |r| is_login(r, 2).then(|| vec![src(r)]),
        measure: |rows| distinct(rows, |r| r.user_name) / 15.0,
    },
    Rule {
        name: VPN_TWO_COUNTRIES,
        length_us: 60 * MINUTE,
        hop_us: 30 * MINUTE,
        key: |r| is_login(r, 1).then(|| vec![user(r)]),
        measure: |rows| if distinct(rows, |r| r.src_country) >= 2.0 { 2.0 } else { 0.0 },
    },
    Rule {
        name: LATERAL_FAN_OUT,
        length_us: 10 * MINUTE,
        hop_us: 5 * MINUTE,
        key: |r| (is_allowed(r) && spreads(r)).then(|| vec![src(r)]),
        measure: |rows| distinct(rows, |r| r.dst_ip) / 20.0,
    },
    Rule {
        name: THREAT_THEN_ALLOWED,
        length_us: 10 * MINUTE,
        hop_us: 5 * MINUTE,
        key: |r| (is_allowed(r) || is_grave(r)).then(|| vec![src(r), dst(r)]),
        measure: |rows| {
            let found = rows.iter().filter(|(_, r)| is_grave(r)).map(|(us, _)| us).min();
            let allowed = rows.iter().filter(|(_, r)| is_allowed(r)).map(|(us, _)| us).max();
            if found.zip(allowed).is_some_and(|(found, allowed)| found < allowed) { 2.0 } else { 0.0 }
        },
    },
];

fn src(r: &TruthRow) -> (&'static str, String) {
    ("src_ip", r.src_ip.map(|ip| ip.to_string()).unwrap_or_default())
}

fn dst(r: &TruthRow) -> (&'static str, String) {
    ("dst_ip", r.dst_ip.map(|ip| ip.to_string()).unwrap_or_default())
}

fn user(r: &TruthRow) -> (&'static str, String) {
    ("user_name", r.user_name.map(|name| name.to_string()).unwrap_or_default())
}

/// A firewall's findings count too: whichever table they stand in, no rule may care.
fn connection(r: &TruthRow) -> bool {
    r.table == Table::NetworkActivity || r.severity_id.is_some()
}

fn is_allowed(r: &TruthRow) -> bool {
    r.table == Table::NetworkActivity && r.action_id == Some(1)
}

fn is_grave(r: &TruthRow) -> bool {
    r.severity_id >= Some(4)
}

fn is_internal(ip: Option<IpAddr>) -> bool {
    matches!(ip, Some(IpAddr::V4(v4)) if v4.octets()[0] == 10)
}

fn spreads(r: &TruthRow) -> bool {
    is_internal(r.src_ip) && is_internal(r.dst_ip) && matches!(r.dst_port, Some(445 | 3_389))
}

fn is_login(r: &TruthRow, status_id: i32) -> bool {
    r.table == Table::Authentication && r.activity_id == Some(1) && r.status_id == Some(status_id)
}

fn distinct<T: Ord>(rows: &[(i64, &TruthRow)], of: impl Fn(&TruthRow) -> Option<T>) -> f64 {
    rows.iter().filter_map(|(_, r)| of(r)).collect::<BTreeSet<T>>().len() as f64
}

/// Tenant and grouping values.
type Named = (String, BTreeMap<String, String>);

fn groups<'r>(rule: &Rule, truth: &'r [TruthRow]) -> BTreeMap<Named, Group<'r>> {
    let mut groups: BTreeMap<Named, Group<'_>> = BTreeMap::new();
    for row in truth {
        if let (Some(key), Some(time)) = ((rule.key)(row), row.time_us) {
            let key = key.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            groups.entry((row.tenant.to_string(), key)).or_default().push((time, row));
        }
    }
    groups.values_mut().for_each(|g| g.sort_by_key(|(time, _)| *time));
    groups
}

/// Checks one rule: it fires for its attacks, as strongly as they claim; and neither for the background, which stays below
/// half of the threshold, nor for what was planted for other rules.
fn check(rule: &Rule, fleet: &Fleet, truth: &[TruthRow]) {
    let of_rule = fleet.labels().iter().filter(|l| l.rule == rule.name);
    let labels: BTreeMap<Named, &Label> = of_rule.map(|l| ((l.tenant.clone(), l.key.clone()), l)).collect();
    let mut fired = 0;
    for (key, rows) in &groups(rule, truth) {
        let windows = hops(rows, rule.length_us, rule.hop_us);
        let most = windows.into_iter().map(rule.measure).fold(0.0, f64::max);
        let (name, seed) = (rule.name, fleet.config.seed);
        match labels.get(key) {
            Some(label) if !label.near_miss => {
                assert!(most > 1.0, "{}: {most} of {}, seed {seed}", label.attack_id, label.intensity);
                fired += 1;
            }
            Some(label) => assert!(most <= 1.0, "{} ({}): {most}, seed {seed}", label.attack_id, label.variant),
            None => {
                let is_planted = rows.iter().any(|(_, r)| r.attack.is_some());
                let limit = if is_planted { 1.0 } else { 0.5 };
                assert!(most <= limit, "{name} {key:?}: {most}, seed {seed}");
            }
        }
    }
    let attacks = labels.values().filter(|l| !l.near_miss).count();
    assert_eq!((fired, attacks), (fleet.config.attacks as usize, fleet.config.attacks as usize), "{}", rule.name);
}

pub(super) fn check_all(fleet: &Fleet) {
    let truth = truth(fleet);
    RULES.iter().for_each(|rule| check(rule, fleet, &truth));
}

#[test]
fn the_rules_find_the_attacks_and_nothing_else_on_any_seed() {
    for seed in 100..112 {
        check_all(&Fleet::new(FleetConfig { seed, events: 40_000, ..FleetConfig::default() }).expect("a fleet"));
    }
}

#[test]
fn the_rules_find_the_attacks_and_nothing_else_at_any_density() {
    others().for_each(|fleet| check_all(&fleet));
    check_all(&SMALL);
    let dense = FleetConfig { events: 400_000, span_us: 2 * MINUTE, tenants: 1, ..FleetConfig::default() };
    check_all(&Fleet::new(dense).expect("a fleet"));
}

#[test]
fn counted_attacks_are_as_strong_as_they_claim() {
    for rule in RULES.iter().filter(|r| ![VPN_TWO_COUNTRIES, THREAT_THEN_ALLOWED].contains(&r.name)) {
        let groups = groups(rule, &TRUTH);
        for label in SMALL.labels().iter().filter(|l| l.rule == rule.name && !l.near_miss) {
            let rows = &groups[&(label.tenant.clone(), label.key.clone())];
            let windows = hops(rows, rule.length_us, rule.hop_us);
            let most = windows.into_iter().map(rule.measure).fold(0.0, f64::max);
            assert!((1.05..=20.0).contains(&label.intensity), "{}", label.intensity);
            let claimed = label.intensity * 0.95..=label.intensity * 2.1 + 0.1;
            assert!(claimed.contains(&most), "{}: {most} of {}", label.attack_id, label.intensity);
        }
    }
}

#[test]
fn an_alert_is_due_when_a_window_first_meets_the_condition() {
    for rule in &RULES {
        let groups = groups(rule, &TRUTH);
        for label in SMALL.labels().iter().filter(|l| l.rule == rule.name) {
            let Some(due_us) = label.due_us else {
                assert!(label.near_miss, "{}: an attack is due", label.attack_id);
                continue;
            };
            let rows = &groups[&(label.tenant.clone(), label.key.clone())];
            // The fullest window, cut where it first meets the condition. The source's background may add a little to it.
            let hops = hops(rows, rule.length_us, rule.hop_us).into_iter();
            let fired = hops.filter(|w| (rule.measure)(w) > 1.0).map(|window| {
                let needed = (1..window.len()).collect::<Vec<_>>();
                let at = needed.partition_point(|n| (rule.measure)(&window[..*n]) <= 1.0);
                window[at].0
            });
            let first_us = fired.min().expect("an attack fires");
            let slack = (label.end_us - label.start_us) / 5 + SECOND;
            assert!((first_us..=first_us + slack).contains(&due_us), "{}: {due_us} {first_us}", label.attack_id);
            assert!((label.start_us..=label.end_us).contains(&due_us));
        }
    }
}

#[test]
fn near_misses_that_count_come_near() {
    let rules =
        RULES.iter().filter(|r| [HOST_SWEEP, VPN_BRUTE_FORCE, VPN_PASSWORD_SPRAY, LATERAL_FAN_OUT].contains(&r.name));
    for rule in rules {
        let groups = groups(rule, &TRUTH);
        let counts = [
            "few targets",
            "several ports",
            "slow sweep",
            "few failures",
            "slow failures",
            "four users",
            "few users",
            "few users, often",
            "office",
        ];
        for label in SMALL.labels().iter().filter(|l| l.rule == rule.name && counts.contains(&l.variant.as_str())) {
            let rows = &groups[&(label.tenant.clone(), label.key.clone())];
            let windows = hops(rows, rule.length_us, rule.hop_us);
            let most = windows.into_iter().map(rule.measure).fold(0.0, f64::max);
            assert!((0.45..=0.95).contains(&most), "{} ({}): {most}", label.attack_id, label.variant);
        }
    }
}

#[test]
fn the_smallest_demo_holds_every_scene() {
    for seed in 0..300 {
        let config = FleetConfig { seed, events: 40_000, ..FleetConfig::default() };
        let fleet = Fleet::new(config).expect("room for the attacks of any seed");
        assert_eq!(fleet.labels().len(), 9 * 8 + 11 * 4);
        assert!(fleet.labels().iter().all(|l| !l.records.is_empty()));
    }
}

#[test]
fn a_scene_needs_no_more_records_than_the_plan_allows() {
    for (attacks, near_misses) in [(1, 0), (0, 1), (7, 12), (40, 24)] {
        for events in [20_000, 100_000, 1_000_000] {
            let config = FleetConfig { seed: events, events, attacks, near_misses, ..FleetConfig::default() };
            let growing: u64 = SCENARIOS.iter().filter(|s| s.rule.is_some()).map(|s| s.records_a_unit).sum();
            let most = f64::from(attacks) * (growing as f64 * intensity_max(&config) + RECORDS_BESIDES as f64);
            let most = most + f64::from(near_misses) * RECORDS_NEAR as f64;
            let tenants: Vec<Tenant> = (0..config.tenants).map(Tenant::new).collect();
            let planted = plan(&Ground { config: &config, key: 3, tenants: &tenants, devices: &SMALL.devices }).planted;
            assert!(planted.len() as f64 <= most, "{} of {most}", planted.len());
        }
    }
}
