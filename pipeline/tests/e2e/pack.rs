//! The pack on lines of its vendors: each filter rule fires for the line that is written for it, and for no other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::house::root;
use crate::kit::{palisade, stdout};

/// Filter rules that look at what enrichment adds, which a file of lines has not.
const ENRICHED: [&str; 2] = ["admin_port_from_internet", "malicious_domain_requested"];

/// A line of a vendor, and the rule that it meets; an empty name stands for none.
fn lines() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("testdata/rules/lines.ndjson")).expect("the lines");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name}: {line}")).to_owned();
        (text("rule"), text("log"))
    };
    text.lines().map(line).collect()
}

/// Names of the filter rules that ship, by id.
fn filter_rules() -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("rules")).expect("the rules").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a rule");
        let id = text.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
        if !text.contains("GROUP BY") && !text.contains("\nwatch:") {
            rules.insert(id, entry.path().file_stem().expect("a name").to_string_lossy().into_owned());
        }
    }
    rules
}

#[test]
fn every_filter_rule_fires_for_its_vendors_line_and_for_no_other() {
    let (lines, rules) = (lines(), filter_rules());
    let dir = tempfile::tempdir().expect("a temporary folder");
    let events = dir.path().join("events.log");
    let logs: String = lines.iter().map(|(_, log)| format!("{log}\n")).collect();
    std::fs::write(&events, logs).expect("a writable folder");
    let mut run = palisade();
    run.args(["rules", "run", "--rules"]).arg(root().join("rules")).arg("--events").arg(&events);
    let mut hits: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    let printed = stdout(&mut run);
    for line in printed.lines() {
        let hit: Value = serde_json::from_str(line).expect("JSON");
        let at = hit["line"].as_u64().expect("a line's number") as usize;
        let rule = &rules[hit["rule_id"].as_str().expect("an id")];
        hits.entry(at).or_default().insert(rule);
    }
    for (at, (rule, log)) in lines.iter().enumerate() {
        let want: BTreeSet<&str> = [rule.as_str()].into_iter().filter(|rule| !rule.is_empty()).collect();
        assert_eq!(hits.get(&at).cloned().unwrap_or_default(), want, "line {at}: {log}");
    }
    let told: BTreeSet<&str> = lines.iter().map(|(rule, _)| rule.as_str()).chain(ENRICHED).collect();
    let untold: Vec<&String> = rules.values().filter(|rule| !told.contains(rule.as_str())).collect();
    assert!(untold.is_empty(), "no line for {untold:?}");
}
