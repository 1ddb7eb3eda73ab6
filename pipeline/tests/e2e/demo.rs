//! The demo finds all that was planted and nothing else, and accounts for every event.

use serde_json::Value;

use crate::kit::{output, palisade};

#[test]
fn the_demo_scores_full_marks_on_seeds_nobody_tuned_on() {
    for seed in [20_261, 77_003] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut demo = palisade();
        demo.args(["demo", "--output", "json", "--duration", "6s", "--events", "40000", "--listen", "127.0.0.1:0"]);
        let out = output(demo.args(["--seed", &seed.to_string(), "--warehouse"]).arg(dir.path().join("demo")));
        let text = String::from_utf8_lossy(&out.stdout);
        let summary: Value = serde_json::from_str(&text).unwrap_or_else(|e| {
            panic!("seed {seed}: {e}: {text}{}", String::from_utf8_lossy(&out.stderr));
        });
        let n = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name} is not a number: {summary}"));
        assert_eq!((n("unaccounted"), n("false_alerts")), (0, 0), "seed {seed}: {summary}");
        assert_eq!(n("attacks_detected"), n("attacks_planted"), "seed {seed}: {summary}");
        assert!(n("attacks_planted") >= 9 && n("near_misses_planted") >= 9, "seed {seed}: {summary}");
        assert_eq!(n("events_committed") + n("dead_letters"), n("events_generated"), "seed {seed}: {summary}");
        for latency in ["queryable", "alert"] {
            for percentile in ["p50", "p99", "p999", "max"] {
                assert!(summary["latency_ms"][latency][percentile].as_f64().is_some_and(|ms| ms > 0.0), "{summary}");
            }
        }
        assert!(summary["events_per_second"].as_f64() > Some(0.0) && summary["cpu_seconds"].as_f64() > Some(0.0));
        assert!(out.status.success(), "seed {seed}: {}", out.status);
    }
}

#[test]
fn the_demo_does_not_write_into_a_folder_that_exists() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = output(palisade().args(["demo", "--warehouse"]).arg(dir.path()));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains("exists already"), "{text}");
}
