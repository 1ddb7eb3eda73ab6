//! Dashboards, rules and runbooks speak of metrics that exist, and every alert has its test and its runbook.
//!
//! `dashboards/metrics.txt` is the list in the middle: the binary is held to it by a test of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{assert_none, read, tree};

const RULES: &str = "dashboards/prometheus/rules.yaml";
const RULES_TEST: &str = "dashboards/prometheus/rules_test.yaml";

/// The metrics of `metrics.txt`: name -> type.
fn metrics(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap_or_default(), words.next().unwrap_or_default())
        })
        .collect()
}

/// Names that look like ours in a text: metrics, and recorded series (with colons).
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|w| ["palisade_", "palisade:", "process_"].iter().any(|p| w.starts_with(p))).collect()
}

/// The metric behind a series name: a histogram's series end in `_bucket`, `_sum` or `_count`, and only a histogram's do.
fn metric<'a>(series: &'a str, metrics: &BTreeMap<String, String>) -> Option<&'a str> {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series);
    let is_histogram = metrics.get(base)? == "histogram";
    (is_histogram == (base != series)).then_some(base)
}

fn values<'a>(yaml: &'a str, key: &str) -> BTreeSet<&'a str> {
    yaml.lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(key))
        .map(str::trim)
        .collect()
}

/// `path` uses a series that nothing exports or records.
fn series_faults(path: &str, text: &str, metrics: &BTreeMap<String, String>, recorded: &BTreeSet<&str>) -> Vec<String> {
    let unknown = names(text).into_iter().filter(|name| !recorded.contains(name) && metric(name, metrics).is_none());
    unknown.map(|name| format!("{path}: {name} is exported by nothing and recorded by no rule")).collect()
}

fn dashboard_files() -> Vec<(String, String)> {
    let is_shown =
        |file: &String| file.starts_with("dashboards/") && ![".txt", ".py"].iter().any(|end| file.ends_with(end));
    let files = tree::files().into_iter().filter(is_shown);
    files.map(|path| (path.clone(), read(&path))).collect()
}

fn alert_faults(rules: &str, rules_test: &str, runbooks: &BTreeMap<String, String>) -> Vec<String> {
    let alerts = values(rules, "alert:");
    let tested = values(rules_test, "alertname:");
    let mut faults = Vec::new();
    for alert in &alerts {
        let Some(runbook) = runbooks.get(*alert) else {
            faults.push(format!("{alert}: no dashboards/runbooks/{alert}.md"));
            continue;
        };
        let parts = ["**Meaning.**", "**Impact.**", "**First three queries**", "**Never"];
        faults
            .extend(parts.iter().filter(|p| !runbook.contains(*p)).map(|p| format!("{alert}: its runbook has no {p}")));
        if !tested.contains(alert) {
            faults.push(format!("{alert}: no test in {RULES_TEST}"));
        }
        if !values(rules, "runbook_url:").contains(format!("runbooks/{alert}.md").as_str()) {
            faults.push(format!("{alert}: no runbook_url"));
        }
    }
    faults
        .extend(runbooks.keys().filter(|r| !alerts.contains(r.as_str())).map(|r| format!("{r}: runbook of no alert")));
    faults
}

#[test]
fn dashboards_speak_of_metrics_that_exist() {
    let metrics = metrics(&read("dashboards/metrics.txt"));
    let rules = read(RULES);
    let recorded = values(&rules, "record:");
    let files = dashboard_files();
    let found: Vec<String> =
        files.iter().flat_map(|(path, text)| series_faults(path, text, &metrics, &recorded)).collect();
    assert_none(&found);
    let used: BTreeSet<&str> = files.iter().flat_map(|(_, text)| names(text)).collect();
    let seen: BTreeSet<&str> = used.iter().filter_map(|series| metric(series, &metrics)).collect();
    let unseen = metrics.keys().filter(|name| !seen.contains(name.as_str()));
    assert_none(&unseen.map(|name| format!("{name}: exported, and shown nowhere")).collect::<Vec<_>>());
}

#[test]
fn every_alert_has_a_test_and_a_runbook() {
    let runbooks = dashboard_files().into_iter().filter_map(|(path, text)| {
        Some((path.strip_prefix("dashboards/runbooks/")?.strip_suffix(".md")?.to_owned(), text))
    });
    assert!(!values(&read(RULES), "alert:").is_empty());
    assert_none(&alert_faults(&read(RULES), &read(RULES_TEST), &runbooks.collect()));
}

#[test]
fn metric_names_follow_the_conventions() {
    let metrics = metrics(&read("dashboards/metrics.txt"));
    assert!(metrics.len() > 1);
    for (name, kind) in &metrics {
        assert!(["counter", "gauge", "histogram"].contains(&kind.as_str()), "{name}: {kind}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}: a counter, and only it, ends in _total");
        assert!(!name.ends_with("_ms") && !name.ends_with("_us"), "{name}: times are in seconds");
    }
}

#[test]
fn each_rule_of_dashboards_is_seen_to_refuse() {
    let metrics = metrics("# x\npalisade_a_total counter source\npalisade_b_seconds histogram\n");
    let recorded = BTreeSet::from(["palisade:a:rate5m"]);
    for (text, faults) in [
        ("rate(palisade_a_total[5m]) + palisade:a:rate5m + palisade_b_seconds_bucket{}", 0),
        ("\"expr\": \"sum(palisade_c_total)\"", 1),
        ("palisade:a:rate1h", 1),
        ("palisade_b_seconds", 1), // a histogram has no series of its own name
        ("palisade_a_total_bucket", 1),
        ("process_cpu_seconds_total", 1),
    ] {
        assert_eq!(series_faults("f", text, &metrics, &recorded).len(), faults, "{text}");
    }
    let runbook = "**Meaning.** **Impact.** **First three queries** **Never**";
    let runbooks = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
    let rules = "- alert: A\n  annotations:\n    runbook_url: runbooks/A.md";
    for (rules, tests, runbooks, want) in [
        (rules, "alertname: A", runbooks("A", runbook), [].as_slice()),
        (rules, "", runbooks("A", runbook), &["A: no test in dashboards/prometheus/rules_test.yaml"]),
        ("- alert: A", "alertname: A", runbooks("A", runbook), &["A: no runbook_url"]),
        (rules, "alertname: A", runbooks("B", ""), &["A: no dashboards/runbooks/A.md", "B: runbook of no alert"]),
        (rules, "alertname: A", runbooks("A", &runbook[11..]), &["A: its runbook has no **Meaning.**"]),
    ] {
        assert_eq!(alert_faults(rules, tests, &runbooks), want);
    }
}
