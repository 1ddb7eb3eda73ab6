//! Exceptions over alerts of each kind, their expiry, their mistakes, and the batch form.

use std::num::NonZeroU32;

use dataflow::{OffsetRange, Positions, Table};

use super::*;
use crate::held::Held;
use crate::merge_stage::{MergeStage, StepStamp};
use crate::rule::RuleSet;
use crate::rule::scenario::{Row, batches};
use crate::source_stage::SourceStage;
use crate::tests::{SECOND, apply, event, lines, partition, rule, step};

const COUNT: &str = "SELECT window_start, src_ip, count(*) AS n
    FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, src_ip HAVING count(*) > 2";
const FILTER: &str = "SELECT dst_port FROM network_activity WHERE dst_port = 22";

/// An exception for the one rule there is.
fn exception(condition: &str, expires: &str) -> String {
    format!("- rule: rule\n  where: {condition}\n  owner: ann@example.com\n  reason: a test\n  expires: {expires}\n")
}

fn except(rules: &Arc<RuleSet>, text: &str) -> Arc<RuleSet> {
    rules.except_texts(&[("e.yaml", text)]).unwrap_or_else(|e| panic!("{e}"))
}

fn said(held: &[Held]) -> Vec<String> {
    let one = |h: &Held| format!("{} {} {}", h.alerts, h.by.name(), h.exception.as_deref().unwrap_or("-"));
    held.iter().map(one).collect()
}

/// Three rows a key within a minute, then the window's end: keys of the alerts, and what was held.
fn windows(rules: &Arc<RuleSet>, keys: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut merge = MergeStage::new(rules, 0);
    let rows: Vec<_> = keys.iter().flat_map(|key| vec![event(SECOND, key, 1); 3]).collect();
    apply(&mut merge, rules, 0, 0, &rows);
    let output = step(&mut merge, 0, Some(60 * SECOND));
    (lines(output.alerts.as_ref()), said(&output.held))
}

#[test]
fn a_window_s_alert_is_taken_away_by_what_the_rule_selects() {
    let rules = except(&rule("", COUNT), &exception("src_ip = '10.0.0.1' AND n < 9", "2027-06-30"));
    let (alerts, held) = windows(&rules, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(
        alerts,
        ["Create 0 0 acme {\"window_start\":\"1970-01-01T00:00:00.000000Z\",\"src_ip\":\"10.0.0.2\",\"n\":3}"]
    );
    assert_eq!(held, ["1 exception e.yaml:1"]);
}

#[test]
fn after_its_last_day_it_holds_no_longer_and_that_is_told() {
    let rules = rule("", COUNT);
    let of = |expires| windows(&except(&rules, &exception("true", expires)), &["a", "b"]);
    assert_eq!((of("1969-12-31").0.len(), of("1969-12-31").1), (2, vec!["2 expired e.yaml:1".to_owned()]));
    assert_eq!((of("1970-01-01").0.len(), of("1970-01-01").1), (0, vec!["2 exception e.yaml:1".to_owned()]));
    // A window that ends at midnight is of the day before.
    let daily = COUNT.replace("'1' MINUTE", "'1' DAY");
    let rules = except(&rule("", &daily), &exception("true", "1970-01-01"));
    let mut merge = MergeStage::new(&rules, 0);
    let both = [vec![event(SECOND, "a", 1); 3], vec![event(86_401 * SECOND, "a", 1); 3]].concat();
    apply(&mut merge, &rules, 0, 0, &both);
    let output = step(&mut merge, 0, Some(2 * 86_400 * SECOND));
    assert_eq!((lines(output.alerts.as_ref()).len(), said(&output.held).len()), (1, 2));
}

#[test]
fn an_entry_suppresses_until_its_last_day_without_an_edit_of_the_rule() {
    let entry = exception("x", "1970-01-01").replace("where: x", "suppress: 10m");
    let day = 86_400;
    let at = |seconds: &[i64]| seconds.iter().flat_map(|at| vec![event(at * SECOND, "a", 1); 3]).collect::<Vec<_>>();
    for (head, want) in [("", [0, 660, day, day + 60]), ("suppress: {for: 1m}", [0, 660, day, day + 60])] {
        let rules = except(&rule(head, COUNT), &entry);
        let mut merge = MergeStage::new(&rules, 0);
        apply(&mut merge, &rules, 0, 0, &at(&[0, 60, 540, 660, day, day + 60]));
        let output = step(&mut merge, 0, Some(2 * day * SECOND));
        let starts: Vec<i64> = lines(output.alerts.as_ref())
            .iter()
            .map(|l| l.split(' ').nth(2).expect("a start").parse().expect("a number"))
            .collect();
        assert_eq!((starts, said(&output.held)), (want.to_vec(), vec!["2 suppression -".to_owned()]), "{head}");
    }
    for (text, want) in [
        (
            entry.replace("10m", "soon"),
            "e.yaml:2:13: suppress takes a length above zero and up to 30d, not soon; e.g. `suppress: 6h`",
        ),
        (
            entry.replace("  owner", "  where: true\n  owner"),
            "e.yaml:2:3: an entry has where or suppress, not both; write an entry for each",
        ),
    ] {
        let error = rule("", COUNT).except_texts(&[("e.yaml", &text)]).expect_err("refused");
        assert_eq!(error.to_string(), want);
    }
    let error = rule("", FILTER).except_texts(&[("e.yaml", &entry)]).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "e.yaml:2:13: rule: suppress needs a window: a row's alert knows of no other; FROM TUMBLE(...), or leave it out"
    );
}

#[test]
fn of_several_exceptions_the_first_that_holds_is_counted() {
    let text = [
        exception("src_ip = 'a'", "1969-12-31"),
        exception("src_ip IN ('a', 'b')", "2027-06-30"),
        exception("true", "2027-06-30"),
    ]
    .concat();
    let (alerts, held) = windows(&except(&rule("", COUNT), &text), &["a", "b", "c"]);
    assert_eq!((alerts.len(), held), (0, vec!["1 exception e.yaml:11".to_owned(), "2 exception e.yaml:6".to_owned()]));
}

#[test]
fn a_late_row_may_take_an_alert_back_or_bring_it() {
    let rules = except(&rule("allowed_lateness: 1h", COUNT), &exception("n = 4", "2027-06-30"));
    let mut merge = MergeStage::new(&rules, 0);
    let mut offset = 0;
    let mut play = |rows: usize, at: i64| {
        apply(&mut merge, &rules, 0, offset, &vec![event(SECOND, "a", 1); rows]);
        offset += rows as i64;
        // What is kept back is kept over a restart.
        let output = step(&mut merge, offset, Some(at * SECOND));
        merge = MergeStage::restore(&rules, 0, &merge.snapshot().expect("a snapshot")).expect("restored");
        let changes = lines(output.alerts.as_ref()).iter().map(|l| l[..8].to_owned()).collect::<Vec<_>>().join(", ");
        (changes, said(&output.held).join(", "))
    };
    let word = |text: &str| text.to_owned();
    assert_eq!(play(3, 60), (word("Create 0"), word("")));
    assert_eq!(play(1, 61), (word("Close 1 "), word("1 exception e.yaml:1")));
    assert_eq!(play(0, 62), (word(""), word("")));
    assert_eq!(play(1, 63), (word("Update 2"), word("")));
}

#[test]
fn a_row_s_alert_is_taken_away_by_any_column_of_its_table() {
    let rules = except(&rule("", FILTER), &exception("src_endpoint.ip LIKE '10.%'", "1970-01-01"));
    let mut stage = SourceStage::new(&rules, partition(0), 0, None, NonZeroU32::MIN);
    let events = [event(1, "10.0.0.1", 22), event(2, "192.0.2.1", 22), event(86_400 * SECOND, "10.0.0.1", 22)];
    stage.process(&crate::tests::batch(&partition(0), 0, &events)).expect("processed");
    let delta = stage.take_delta().expect("a delta");
    assert_eq!(lines(delta.alerts.as_ref()).len(), 2);
    assert_eq!(said(&delta.held), ["1 exception e.yaml:1", "1 expired e.yaml:1"]);
    assert!(stage.take_delta().expect("a delta").held.is_empty());
}

#[test]
fn a_condition_that_fails_takes_nothing_away_and_is_told() {
    let rules = except(&rule("", COUNT), &exception("10 / (n - 3) > 0 OR src_ip = 'a'", "2027-06-30"));
    let mut merge = MergeStage::new(&rules, 0);
    let rows = [vec![event(SECOND, "a", 1); 3], vec![event(SECOND, "b", 1); 5]].concat();
    apply(&mut merge, &rules, 0, 0, &rows);
    let output = step(&mut merge, 0, Some(60 * SECOND));
    assert_eq!((lines(output.alerts.as_ref()).len(), said(&output.held).len()), (1, 1));
    assert_eq!(output.failures.iter().map(|f| f.rows).sum::<u64>(), 1, "{:?}", output.failures);
}

#[test]
fn one_for_all_rules_is_for_those_that_have_its_columns() {
    let rules =
        crate::tests::rules(&[("", COUNT), ("", FILTER), ("", "SELECT dst_ip FROM dns_activity WHERE dst_port = 53")]);
    let text = exception("n > 1", "2027-06-30").replace("rule: rule", "rule: '*'");
    let excepted = except(&rules, &text);
    let has: Vec<usize> = excepted.rules().iter().map(|rule| rule.exceptions().count()).collect();
    assert_eq!((has, excepted.exceptions().len()), (vec![1, 0, 0], 1));
    let all = except(&rules, &exception("src_ip = 'x'", "2027-06-30").replace("rule: rule", "rule: \"*\""));
    assert!(all.rules().iter().all(|rule| rule.exceptions().count() == 1));
}

const SIGMA: &str = "title: Base
id: 3f2b6a4e-1111-4222-8333-444455556666
name: base
logsource: {product: aws, service: cloudtrail}
detection: {s: {eventName: StopLogging}, condition: s}
---
title: Many
id: 3f2b6a4e-1111-4222-8333-444455557777
correlation: {type: event_count, rules: [base], group-by: [sourceIPAddress], timespan: 1m, condition: {gte: 2}}
";

#[test]
fn a_correlation_s_alert_is_taken_away_by_its_key_and_value() {
    let rules = RuleSet::from_texts(&[("many.yml", SIGMA)]).unwrap_or_else(|e| panic!("{e}"));
    let text = exception("\"sourceIPAddress\" = '192.0.2.1' AND value >= 2", "2027-06-30");
    let text = text.replace("rule: rule", "rule: 3f2b6a4e-1111-4222-8333-444455557777");
    let rules = except(&rules, &text.replace("where: \"s", "where: |\n    \"s"));
    let row = |ip: &str, time: i64| {
        let vendor = [("metadata.product.vendor_name", "AWS"), ("metadata.product.name", "CloudTrail")];
        let set = [vendor[0], vendor[1], ("api.operation", "StopLogging"), ("src_endpoint.ip", ip)];
        let set = set.map(|(path, value)| (path.to_owned(), value.into())).to_vec();
        Row { table: Table::ApiActivity, tenant: "acme".to_owned(), time: time * SECOND, set }
    };
    let rows = [row("192.0.2.1", 1), row("192.0.2.1", 2), row("192.0.2.2", 1), row("192.0.2.2", 2)];
    let mut stage = SourceStage::new(&rules, partition(0), 0, None, NonZeroU32::MIN);
    for batch in batches(&partition(0), 0, &rows).expect("batches") {
        stage.process(&batch).expect("processed");
    }
    let mut merge = MergeStage::new(&rules, 0);
    for delta in stage.take_delta().expect("a delta").deltas.into_groups() {
        merge.apply(&partition(0), OffsetRange { start: 0, next: 4 }, &delta).expect("applied");
    }
    let stamp = StepStamp { step: 0, at: 0, received_until: None };
    let output = merge.step(stamp, Some(60 * SECOND), &Positions::new(), &Default::default()).expect("a step");
    let alerts = lines(output.alerts.as_ref());
    assert!(alerts.len() == 1 && alerts[0].contains("192.0.2.2"), "{alerts:?}");
    assert_eq!(said(&output.held), ["1 exception e.yaml:1"]);
}

#[test]
fn they_change_the_version_of_the_set_and_no_fingerprint() {
    let rules = rule("", COUNT);
    let excepted = except(&rules, &exception("n = 4", "2027-06-30"));
    assert_ne!(rules.version(), excepted.version());
    assert_eq!(rules.rules()[0].fingerprint, excepted.rules()[0].fingerprint);
    let none = except(&excepted, "");
    assert_eq!((none.version(), none.rules()[0].exceptions().count()), (rules.version(), 0));
    let other = except(&rules, &exception("n = 4", "2027-06-30").replace("a test", "another reason"));
    assert_eq!(excepted.version(), other.version(), "a reason decides nothing");
}

/// Cases: an exceptions file, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "- {rule: rule, where: n = 1, reason: r, expires: 2027-01-01}",
        "e.yaml:1:3: an exception without owner; - {rule: port_scan",
    ),
    ("- rule: rule\n  where: n = 1\n  owner: a\n  reason: r", "e.yaml:1:3: an exception without expires"),
    ("- rule: rule\n  where: n = 1\n  owner: ''\n", "e.yaml:3:10: owner is empty"),
    (
        "- {rule: rule, where: n = 1, owner: a, reason: r, expires: soon}",
        "e.yaml:1:60: expires takes a day, not soon; e.g. `expires: 2027-06-30`",
    ),
    ("- {rule: rule, when: n = 1}", "e.yaml:1:16: unknown key when; did you mean where?"),
    ("- port_scan", "e.yaml:1:3: an exception is a map, not a text"),
    (
        "- {rule: role, where: n = 1, owner: a, reason: r, expires: 2027-01-01}",
        "e.yaml:1:10: no rule role is loaded; did you mean rule?",
    ),
    (
        "- {rule: rule, where: dst_ip = 'x', owner: a, reason: r, expires: 2027-01-01}",
        "e.yaml:1:23: the rule selects no column dst_ip; it gives window_start, src_ip, n",
    ),
    (
        "- rule: rule\n  where: |\n    n > 1 AND\n      src_pi = 'x'\n  owner: a\n  reason: r\n  expires: 2027-01-01",
        "e.yaml:4:7: the rule selects no column src_pi; did you mean src_ip?",
    ),
    (
        "- {rule: rule, where: \"n > 1 n\", owner: a, reason: r, expires: 2027-01-01}",
        "e.yaml:1:30: n is not expected here; where: src_ip = '10.0.0.5' AND dst_port = 22",
    ),
    (
        "- {rule: rule, where: n = 1 AND window_start > now(), owner: a, reason: r, expires: 2027-01-01}",
        "e.yaml:1:48: now() gives another value each time it is evaluated",
    ),
    (
        "- {rule: rule, where: 1 = 2, owner: a, reason: r, expires: 2027-01-01}",
        "the condition can never be true: the exception would never apply",
    ),
    ("- [", "e.yaml:"),
];

#[test]
fn a_mistake_has_its_place_and_a_way_out() {
    let rules = rule("", COUNT);
    for (text, want) in MISTAKES {
        let error = rules.except_texts(&[("e.yaml", text)]).expect_err(text).to_string();
        assert!(error.contains(want), "{text}\n found {error}\n not   {want}");
    }
}
