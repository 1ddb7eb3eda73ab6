//! The release gate: a fleet of a seed that nobody tuned on gets a full score, and what is wrong costs points.
//!
//! The short form, a fresh seed, runs with the tests; `PALISADE_GATE_SEEDS=10` runs as many. A failure prints the seed;
//! `PALISADE_GATE_SEED` runs it again.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::crash::score;
use crate::house::root;
use crate::kit::{fleet, fleet_config, output, palisade, python, run_to_end, stdout};

/// Records of a seed: enough for every attack.
const EVENTS: u64 = 30_000;

/// The seeds to run.
fn seeds() -> Vec<u64> {
    let number =
        |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap_or_else(|e| panic!("{name}: {e}")));
    if let Some(seed) = number("PALISADE_GATE_SEED") {
        return vec![seed];
    }
    let fresh = || u64::from(getrandom::u32().expect("the system has randomness"));
    (0..number("PALISADE_GATE_SEEDS").unwrap_or(1)).map(|_| fresh()).collect()
}

/// A warehouse that has read a seed's fleet, with the fleet's folder.
fn warehouse(dir: &Path, seed: u64, more_config: &str) -> (PathBuf, PathBuf) {
    let (logs, warehouse) = (dir.join("logs"), dir.join("warehouse"));
    fleet(&logs, seed, EVENTS, "none");
    let config = fleet_config(dir, &logs, &warehouse);
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    // Larger steps than the crash tests': nothing is killed here.
    let yaml = yaml
        .replace("flush_interval: 40ms", "flush_interval: 500ms")
        .replace("commit_interval: 100ms", "commit_interval: 1s");
    std::fs::write(&config, yaml + more_config).expect("a writable folder");
    run_to_end(&config);
    (logs, warehouse)
}

#[test]
fn fresh_seeds_get_a_full_score() {
    // Before anything can fail.
    let seeds = seeds();
    println!("gate: seeds {seeds:?}; one of them again: PALISADE_GATE_SEED=…");
    println!(
        "{:>12} {:>8} {:>6} {:>6} {:>8} {:>8} {:>6} {:>8}",
        "seed", "events", "lost", "double", "attacks", "detected", "false", "p99 s"
    );
    for seed in seeds {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (logs, warehouse) = warehouse(dir.path(), seed, "");
        let mut strict = palisade();
        strict.args(["loadgen", "score", "--strict", "--output", "json", "--truth"]).arg(&logs);
        let out = output(strict.arg("--warehouse").arg(&warehouse));
        let text = String::from_utf8_lossy(&out.stdout);
        let s: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}: {text}"));
        let n = |name: &str| s[name].as_u64().unwrap_or_else(|| panic!("seed {seed}: {name}: {s}"));
        println!(
            "{seed:>12} {:>8} {:>6} {:>6} {:>8} {:>8} {:>6} {:>8.1}",
            n("events_generated"),
            n("missing"),
            n("doubled"),
            n("attacks_planted"),
            n("attacks_detected"),
            n("false_alerts"),
            s["queryable_ms"]["p99"].as_f64().unwrap_or(f64::NAN) / 1000.0
        );
        assert!(out.status.success(), "PALISADE_GATE_SEED={seed}: {s}");
        assert_eq!((&s["recall"], &s["precision"]), (&1.0.into(), &1.0.into()), "PALISADE_GATE_SEED={seed}");
        assert_eq!(s["order_sent"], s["order_stored"], "PALISADE_GATE_SEED={seed}");
        assert!(n("near_misses_planted") >= 9 && n("attacks_planted") >= 9, "PALISADE_GATE_SEED={seed}: {s}");
    }
}

#[test]
fn the_score_tells_how_late_and_draws_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = warehouse(dir.path(), 4, "");
    let page = dir.path().join("score.html");
    let mut command = palisade();
    command.args(["loadgen", "score", "--output", "json", "--truth"]).arg(&logs).arg("--warehouse").arg(&warehouse);
    let s: Value = serde_json::from_str(&stdout(command.arg("--html").arg(&page))).expect("JSON");
    let attacks = s["attacks"].as_array().expect("attacks");
    assert_eq!(attacks.len() as u64, s["attacks_planted"].as_u64().expect("a number"));
    for attack in attacks {
        let at = |name: &str| attack[name].as_f64();
        assert!(attack["detected"] == true && at("seconds_to_queryable").is_some(), "{attack}");
        // Files are received when they are found, all at once.
        assert!(at("seconds_from_first") >= at("seconds_to_queryable"), "{attack}");
        assert_eq!(at("seconds_to_alert").is_some(), !is_filter(&attack["rule"]), "{attack}");
    }
    let sum = |points: &Value, name: &str| {
        points.as_array().expect("points").iter().filter_map(|p| p[name].as_f64()).sum::<f64>()
    };
    let timed = s["events_committed"].as_f64().expect("a number");
    let per_point = s["minutes"]["minutes_a_point"].as_f64().expect("a number");
    assert!((sum(&s["minutes"]["points"], "stored") * per_point - timed).abs() < 1.0, "{s}");
    let all = timed + s["dead_letters"].as_f64().expect("a number");
    assert!((sum(&s["queryable_histogram"], "events") - all).abs() < 1.0, "{s}");
    assert!(s["order_sent"]["out_of_order"].as_u64() > Some(0) && s["order_sent"] == s["order_stored"], "{s}");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("Full score") && page.matches("<svg").count() == 3);
}

/// A rule whose alert is one row: when it was decided is not told.
fn is_filter(rule: &Value) -> bool {
    let text = std::fs::read_to_string(root().join(format!("rules/{}.yaml", rule.as_str().expect("a name"))));
    !text.expect("a rule that ships").contains("GROUP BY")
}

#[test]
fn a_deaf_rule_a_dropped_batch_and_a_doubled_batch_cost_points() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rules = deafened(dir.path(), "port_scan", "> 250", "> 250000");
    let (logs, warehouse) =
        warehouse(dir.path(), 5, &format!("rules: {{builtin: false, paths: ['{}']}}\n", rules.display()));
    let deaf = score(&logs, &warehouse, &[]);
    let missed = |rule: &Value| rule["planted"].as_u64() > rule["detected"].as_u64();
    let rules: Vec<&Value> = deaf["rules"].as_array().expect("rules").iter().filter(|r| missed(r)).collect();
    assert_eq!(rules.len(), 1, "only the deaf rule: {deaf}");
    assert_eq!((&rules[0]["rule"], &rules[0]["detected"]), (&"port_scan".into(), &0.into()), "{deaf}");
    assert_eq!((&deaf["unaccounted"], &deaf["false_alerts"]), (&0.into(), &0.into()), "{deaf}");
    assert!(deaf["recall"].as_f64() < Some(1.0), "{deaf}");

    let doubled = edit("double", "http_activity", &warehouse);
    let twice = score(&logs, &warehouse, &[]);
    assert_eq!(
        (&twice["doubled"], &twice["missing"], &twice["altered"]),
        (&doubled.into(), &0.into(), &0.into()),
        "{twice}"
    );

    let dropped = edit("drop", "network_activity", &warehouse);
    let fewer = score(&logs, &warehouse, &[]);
    assert_eq!((&fewer["doubled"], &fewer["missing"]), (&doubled.into(), &dropped.into()), "{fewer}");
    let strict = output(
        palisade().args(["loadgen", "score", "--strict", "--truth"]).arg(&logs).arg("--warehouse").arg(&warehouse),
    );
    assert_eq!(strict.status.code(), Some(1), "a gate fails");
}

/// The rules that ship, one of them with another threshold.
fn deafened(dir: &Path, rule: &str, from: &str, to: &str) -> PathBuf {
    let folder = dir.join("rules");
    std::fs::create_dir_all(&folder).expect("a writable folder");
    for entry in std::fs::read_dir(root().join("rules")).expect("the rules").flatten() {
        let mut text = std::fs::read_to_string(entry.path()).expect("a rule");
        if entry.path().file_stem().is_some_and(|stem| stem == rule) {
            assert!(text.contains(from), "{rule} has no {from}");
            text = text.replace(from, to);
        }
        std::fs::write(folder.join(entry.file_name()), text).expect("a writable folder");
    }
    folder
}

/// Takes a data file out of a table, or puts one in twice: a batch that was lost or doubled. Its rows.
fn edit(what: &str, table: &str, warehouse: &Path) -> u64 {
    let script = root().join("pipeline/tests/e2e/edit_with_pyiceberg.py");
    let rows = stdout(python().arg(script).args([what, table]).arg(warehouse));
    rows.trim().parse().unwrap_or_else(|e| panic!("{rows}: {e}"))
}
