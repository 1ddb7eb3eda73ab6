//! A report of made-up figures, as text and as a page.

use super::*;
use crate::score::flow::Point;

/// Two attacks: one of a windowed rule that was detected, one of a filter rule that was missed.
fn report() -> Report {
    let attack = |rule: &str, seconds: Option<f64>| Attack {
        attack_id: format!("{rule}-1"),
        rule: rule.to_owned(),
        tenant: "acme".to_owned(),
        variant: "a <variant> & more".to_owned(),
        intensity: 2.5,
        alerts: u64::from(seconds.is_some()),
        detected: seconds.is_some(),
        seconds_to_alert: seconds,
        seconds_to_queryable: seconds.map(|s| s + 1.0),
        seconds_from_first: seconds.map(|s| s + 2.0),
    };
    let attacks = vec![attack("port_scan", Some(1.5)), attack("cloudtrail_logging_stopped", None)];
    let of_rule = |name: &str, detected| loadgen::RuleScore {
        rule: name.to_owned(),
        planted: 1,
        detected,
        near_misses: 1,
        alerts: detected,
        false_alerts: 0,
    };
    let scores = [of_rule("port_scan", 1), of_rule("cloudtrail_logging_stopped", 0)];
    let score = loadgen::Score {
        planted: 2,
        detected: 1,
        near_misses: 2,
        alerts: 1,
        uncovered: 0,
        missed: vec!["cloudtrail_logging_stopped-1".to_owned()],
        false_alerts: Vec::new(),
        rules: scores.to_vec(),
    };
    let account = Account { generated: 1_234, rows: 1_230, missing: 4, ..Account::default() };
    let point = |minute: u32| Point { from: format!("2026-01-05T08:0{minute}:00Z"), generated: 600.0, stored: 598.0 };
    Report {
        rules: score.rules.iter().map(|r| rule(r, &attacks)).collect(),
        attacks,
        queryable_histogram: vec![Bucket { up_to_ms: 1000.0, events: 1_000 }, Bucket { up_to_ms: 1200.0, events: 230 }],
        minutes: Minutes { minutes_a_point: 1, points: vec![point(0), point(1)] },
        order_sent: Order { out_of_order: 12, seconds_max: 3.5 },
        order_stored: Order { out_of_order: 11, seconds_max: 3.5 },
        ..Report::counts(&account, &score)
    }
}

#[test]
fn recall_and_precision_are_shares_and_unknown_without_a_whole() {
    let report = report();
    assert_eq!((report.recall, report.precision), (Some(0.5), Some(1.0)));
    let missed = &report.rules[1];
    assert_eq!((missed.recall, missed.precision, missed.seconds_to_queryable_median), (Some(0.0), None, None));
    assert_eq!(report.rules[0].seconds_to_queryable_median, Some(2.5));
    assert!(!report.is_perfect());
}

#[test]
fn the_text_tells_losses_rules_and_attacks() {
    let mut out = Vec::new();
    report().write_text(&mut out).expect("a buffer takes all");
    let text = String::from_utf8(out).expect("text");
    for want in ["missing (lost)", "50.0 %", "11 of 12 sent, 3.5 s at most", "port_scan-1", "MISSED", "1.5 s"] {
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn the_page_is_whole_and_needs_nothing_beside_it() {
    let page = report().html("Truth <here>");
    for want in
        ["<!DOCTYPE html>", "lang=\"en\"", "prefers-color-scheme: dark", "width=device-width", "Not a full score"]
    {
        assert!(page.contains(want), "{want}");
    }
    assert_eq!((page.matches("<svg").count(), page.matches("role=\"img\"").count()), (3, 3));
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count(), "every table is named");
    for part in ["<svg", "<section", "<table", "<div", "<main"] {
        let end = part.replace('<', "</");
        assert_eq!(page.matches(part).count(), page.matches(&end).count(), "{part}");
    }
    assert!(page.contains("Truth &lt;here&gt;") && page.contains("a &lt;variant&gt; &amp; more"));
    for elsewhere in ["http:", "https:", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}
