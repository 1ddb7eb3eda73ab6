use super::*;
use crate::fleet::tests::SMALL;

fn label(id: &str, rule: &str, tenant: &str, key: (&str, &str), times: (i64, i64), near_miss: bool) -> Label {
    Label {
        attack_id: id.to_owned(),
        rule: rule.to_owned(),
        tenant: tenant.to_owned(),
        key: [(key.0.to_owned(), key.1.to_owned())].into(),
        start_us: times.0,
        end_us: times.1,
        intensity: 1.0,
        near_miss,
        ..Label::default()
    }
}

fn alert(rule: &str, tenant: &str, key: &[(&str, &str)], window: (i64, i64)) -> AlertSeen {
    AlertSeen {
        rule: rule.to_owned(),
        tenant: tenant.to_owned(),
        key: key.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        window_start: window.0,
        window_end: window.1,
    }
}

fn labels() -> Vec<Label> {
    vec![
        label("scan-1", "port_scan", "acme", ("src_ip", "10.1.16.1"), (100, 130), false),
        label("scan-2", "port_scan", "globex", ("src_ip", "10.2.16.1"), (100, 130), false),
        label("scan-near-1", "port_scan", "acme", ("src_ip", "10.1.16.9"), (500, 520), true),
        label("upload-1", "rare_upload", "acme", ("dst_ip", "198.19.0.1"), (900, 950), false),
    ]
}

/// Rule, tenant, key name, key value, window; then what the score says of it alone: detected, false, near miss.
type Case = (&'static str, &'static str, &'static str, &'static str, (i64, i64), (usize, usize, Option<&'static str>));

#[test]
fn one_alert_at_a_time() {
    let cases: [Case; 10] = [
        ("port_scan", "acme", "src_ip", "10.1.16.1", (90, 150), (1, 0, None)),
        ("port_scan", "acme", "src_ip", "10.1.16.1", (130, 190), (1, 0, None)),
        ("port_scan", "acme", "src_ip", "10.1.16.1", (40, 100), (1, 0, None)),
        ("port_scan", "acme", "src_ip", "10.1.16.1", (131, 190), (0, 1, None)),
        ("port_scan", "acme", "src_ip", "10.1.16.1", (30, 99), (0, 1, None)),
        ("port_scan", "globex", "src_ip", "10.1.16.1", (90, 150), (0, 1, None)),
        ("rare_upload", "acme", "src_ip", "10.1.16.1", (90, 150), (0, 1, None)),
        ("port_scan", "acme", "user_name", "10.1.16.1", (90, 150), (0, 1, None)),
        ("port_scan", "acme", "src_ip", "10.1.16.9", (480, 540), (0, 1, Some("scan-near-1"))),
        ("no_such_rule", "acme", "src_ip", "10.1.16.1", (90, 150), (0, 1, None)),
    ];
    for (rule, tenant, name, value, window, (detected, wrong, near)) in cases {
        let score = score(&labels(), &[alert(rule, tenant, &[(name, value)], window)]);
        assert_eq!((score.detected, score.false_alerts.len()), (detected, wrong), "{rule} {tenant} {value} {window:?}");
        assert_eq!(score.false_alerts.first().and_then(|f| f.near_miss.as_deref()), near);
        assert_eq!(score.missed.len(), 3 - detected);
    }
}

#[test]
fn alerts_of_overlapping_windows_and_revisions_count_once() {
    let one = alert("port_scan", "acme", &[("src_ip", "10.1.16.1")], (90, 150));
    let next = AlertSeen { window_start: 120, window_end: 180, ..one.clone() };
    let score = score(&labels(), &[one.clone(), next, one]);
    assert_eq!((score.planted, score.detected, score.alerts, score.false_alerts.len()), (3, 1, 2, 0));
    assert_eq!(score.missed, ["scan-2", "upload-1"]);
}

#[test]
fn keys_must_agree_where_both_have_a_name() {
    let mut labels = labels();
    labels[0].key.insert("_offset".to_owned(), "17".to_owned());
    let hit = |key: &[(&str, &str)]| score(&labels, &[alert("port_scan", "acme", key, (100, 100))]).detected;
    assert_eq!(hit(&[("_offset", "17")]), 1, "by the row alone");
    assert_eq!(hit(&[("src_ip", "10.1.16.1"), ("dst_ip", "10.9.9.9")]), 1, "other names do not matter");
    assert_eq!(hit(&[("src_ip", "10.1.16.1"), ("_offset", "18")]), 0);
    assert_eq!(hit(&[]), 0, "a key in common is needed");
}

#[test]
fn an_attack_excuses_the_near_miss_beside_it() {
    let mut labels = labels();
    labels.push(label("scan-near-2", "port_scan", "acme", ("src_ip", "10.1.16.1"), (110, 120), true));
    let score = score(&labels, &[alert("port_scan", "acme", &[("src_ip", "10.1.16.1")], (90, 150))]);
    assert_eq!((score.detected, score.false_alerts.len()), (1, 0));
}

#[test]
fn a_perfect_pipeline_gets_a_perfect_score() {
    let seen = |l: &&Label| !l.near_miss;
    let alerts: Vec<AlertSeen> = SMALL
        .labels()
        .iter()
        .filter(seen)
        .map(|l| AlertSeen {
            rule: l.rule.clone(),
            tenant: l.tenant.clone(),
            key: l.key.clone(),
            window_start: l.start_us - 1,
            window_end: l.end_us + 1,
        })
        .collect();
    let perfect = score(SMALL.labels(), &alerts);
    assert!(perfect.is_perfect());
    assert_eq!((perfect.planted, perfect.detected, perfect.near_misses), (58, 58, 87));
    let blind = score(SMALL.labels(), &[]);
    assert!(!blind.is_perfect() && blind.missed.len() == 58);
}

#[test]
fn what_no_rule_covers_is_counted_apart_and_never_missed() {
    let mut labels = labels();
    let of = |near_miss| Label {
        is_uncovered: true,
        ..label("beaconing-1", "T1071.001", "acme", ("src_ip", "10.1.80.1"), (0, 900), near_miss)
    };
    labels.extend([of(false), of(true)]);
    let blind = score(&labels, &[]);
    assert_eq!((blind.planted, blind.near_misses, blind.uncovered, blind.missed.len()), (3, 1, 1, 3));
    assert!(blind.to_string().contains("not covered by a loaded rule: 1 attacks\n"));
    assert!(blind.rules.iter().all(|r| r.rule != "T1071.001"));
    // A rule that is about something else and alerts of it is wrong.
    let tripped = score(&labels, &[alert("port_scan", "acme", &[("src_ip", "10.1.80.1")], (0, 60))]);
    assert_eq!((tripped.false_alerts.len(), tripped.detected), (1, 0));
}

#[test]
fn a_rule_that_a_label_names_may_be_about_a_source() {
    let (also, sources) = (vec!["upload_over_baseline".to_owned()], vec!["10.1.16.9".to_owned()]);
    let upload = label("upload-1", "rare_upload", "acme", ("dst_ip", "198.19.0.1"), (0, 900), false);
    let labels = [Label { also, sources, ..upload }];
    let of = |rule, ip, times| score(&labels, &[alert(rule, "acme", &[("src_ip", ip)], times)]).false_alerts.len();
    assert_eq!(of("upload_over_baseline", "10.1.16.9", (0, 86_400)), 0);
    assert_eq!(of("upload_over_baseline", "10.1.16.10", (0, 86_400)), 1, "another host");
    assert_eq!(of("upload_over_baseline", "10.1.16.9", (901, 1_000)), 1, "another time");
    assert_eq!(of("port_scan", "10.1.16.9", (0, 86_400)), 1, "another rule");
}

#[test]
fn the_table_reads_like_a_table() {
    let wrong = alert("rare_upload", "acme", &[("dst_ip", "198.18.0.7")], (0, 600));
    let right = alert("port_scan", "acme", &[("src_ip", "10.1.16.1")], (90, 150));
    let text = score(&labels(), &[wrong, right]).to_string();
    let want = "\
rule                         planted detected near misses alerts false
port_scan                          2        1           1      1     0
rare_upload                        1        0           0      1     1
missed: scan-2
missed: upload-1
false: rare_upload acme {\"dst_ip\": \"198.18.0.7\"} (background)
";
    assert_eq!(text, want);
}
