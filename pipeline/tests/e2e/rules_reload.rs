//! Rules that change while a worker runs: each range and step has one set of them, and what they found is what they find in the rows
//! that they have seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::kit::{on_thread, palisade, sql, stdout};
use crate::service::{counted, start_and_hear};

const CONFIG: &str = "warehouse: {path: w}
sources: [{generator: {seed: 4, events: 200000, duration: 10m}}]
rules: {builtin: false, paths: [rules]}
enrich: {reload_interval: 50ms}
worker: {flush_interval: 200ms, step_interval: 100ms, commit_interval: 500ms, state_interval: 1s}
telemetry: {listen: '127.0.0.1:0'}
";

const PATIENCE_SECONDS: u32 = 180;

/// The id of a test's rule.
fn id(number: u32) -> String {
    format!("3f2b6a4e-1111-4222-8333-{number:012}")
}

/// A rule file that was written long ago: a new one waits until nobody writes it any more.
fn write_rule(dir: &Path, name: &str, number: u32, version: u32, sql: &str) {
    let (path, fresh) = (dir.join("rules").join(name), dir.join("fresh"));
    let mut file = File::create(&fresh).expect("a writable folder");
    let id = id(number);
    writeln!(file, "title: {name}\nid: {id}\nversion: {version}\nlevel: low\nsql: |\n  {sql}").expect("written");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("a time");
    std::fs::rename(fresh, path).expect("renamed");
}

fn busy(more_than: u32) -> String {
    format!(
        "SELECT window_start, src_ip, count(*) AS n FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) \
         GROUP BY window_start, window_end, src_ip HAVING count(*) > {more_than}"
    )
}

fn denied(port: &str) -> String {
    format!("SELECT src_ip, dst_port FROM network_activity WHERE action_id = 2 AND dst_port {port}")
}

/// Reads a counter until it has grown by `more`.
fn wait(address: &str, name: &str, more: u64) {
    let (first, looks_a_second) = (counted(address, name), 20);
    let has_grown = (0..PATIENCE_SECONDS * looks_a_second).any(|_| {
        std::thread::park_timeout(Duration::from_secs(1) / looks_a_second);
        counted(address, name) >= first + more
    });
    assert!(has_grown, "{name} was {first} and has not grown by {more} in {PATIENCE_SECONDS} s");
}

/// What the worker says of its rules, as it says it. All else is read and dropped: a worker that nobody reads stands still.
fn of_rules(lines: impl Iterator<Item = String> + Send + 'static) -> Receiver<String> {
    let (heard, told) = sync_channel(64);
    on_thread(move || {
        let is_of_rules = |line: &String| OF_RULES.iter().any(|what| line.contains(what));
        lines.filter(is_of_rules).for_each(|line| drop(heard.try_send(line)));
    });
    told
}

const OF_RULES: [&str; 3] = ["changed rules cannot be loaded", "rules in force", "a rule is disabled"];

/// The next line that says this.
fn next(told: &Receiver<String>, what: &str) -> String {
    told.iter().find(|line| line.contains(what)).expect("it says so")
}

const ENTRIES: &str = "palisade_ledger_entries_total{chain=\"source\"}";

fn alerts(number: u32) -> String {
    format!("palisade_alerts_total{{kind=\"create\",rule=\"{}\"}}", id(number))
}

fn end(child: &mut Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("our child");
    child.stdout.take().expect("piped").read_to_end(&mut Vec::new()).expect("a summary");
    assert_eq!(child.wait().expect("our child").success(), signal == Signal::TERM);
}

/// Versions of the rules in the entries below a folder of the ledger: by chain and position.
fn versions(folder: &Path, found: &mut BTreeMap<String, BTreeMap<i64, String>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("readable").path()) {
        if entry.is_dir() {
            versions(&entry, found);
            continue;
        }
        let text: Value = serde_json::from_slice(&std::fs::read(&entry).expect("readable")).expect("JSON");
        let at = text["entry"]["start"].as_i64().or_else(|| text["entry"]["step"].as_i64()).expect("a position");
        let version = text["entry"]["versions"]["rules"].as_str().expect("a version").to_owned();
        found.entry(folder.display().to_string()).or_default().insert(at, version);
    }
}

#[test]
fn rules_are_replaced_between_ranges_and_what_they_found_is_right() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (config, dir) = (dir.path().join("palisade.yaml"), dir.path());
    std::fs::create_dir(dir.join("rules")).expect("a folder");
    std::fs::write(&config, CONFIG).expect("a file");
    write_rule(dir, "stays.yaml", 1, 1, &busy(1));
    write_rule(dir, "changes.yaml", 2, 1, &busy(2));
    write_rule(dir, "goes.yaml", 3, 1, &denied("< 1000"));
    let (mut child, address, lines) = start_and_hear(&config);
    let told = of_rules(lines);
    for number in 1..4 {
        wait(&address, &alerts(number), 1);
    }

    // Broken: the last good ones stay, and go on.
    write_rule(dir, "changes.yaml", 2, 2, &busy(3).replace("src_ip", "scr_ip"));
    let mistake = next(&told, "changed rules cannot be loaded");
    assert!(mistake.contains("changes.yaml:6:") && mistake.contains("did you mean src_ip?"), "{mistake}");
    wait(&address, ENTRIES, 8);
    assert!(counted(&address, "palisade_rule_reloads_total{outcome=\"failed\"}") > 0);

    // Right: one has changed, one is new, one is gone; all at once.
    write_rule(dir, "comes.yaml", 4, 1, &busy(1));
    write_rule(dir, "also.yaml", 5, 1, &denied(">= 1000"));
    std::fs::remove_file(dir.join("rules/goes.yaml")).expect("removed");
    write_rule(dir, "changes.yaml", 2, 2, &busy(3));
    next(&told, "rules in force");
    for number in [4, 5] {
        wait(&address, &alerts(number), 1);
    }
    wait(&address, &alerts(2), 1);

    // What was merged under either set is taken up again from the ledger.
    end(&mut child, Signal::KILL);
    let (mut child, address, lines) = start_and_hear(&config);
    on_thread(move || lines.for_each(drop));
    wait(&address, &alerts(4), 1);
    end(&mut child, Signal::TERM);

    let mut found = BTreeMap::new();
    versions(&dir.join("w/local/ledger"), &mut found);
    let all: BTreeSet<&String> = found.values().flat_map(BTreeMap::values).collect();
    assert!(all.len() > 1, "{all:?}");
    for (chain, versions) in &found {
        let mut in_turn: Vec<&String> = versions.values().collect();
        in_turn.dedup();
        let distinct: BTreeSet<&&String> = in_turn.iter().collect();
        assert_eq!(in_turn.len(), distinct.len(), "no version comes back: {chain}");
    }
    let given = sql(
        &dir.join("w"),
        "SELECT finding_info.analytic.name AS rule, finding_info.analytic.version AS version, count(*) AS n, \
         count(DISTINCT finding_info.uid) AS ids FROM detection_finding WHERE substr(_topic, 1, 1) = '_' GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let rules: Vec<String> =
        given.iter().map(|row| format!("{} {}", text(row, "rule"), text(row, "version"))).collect();
    assert_eq!(
        rules,
        ["also.yaml 1", "changes.yaml 1", "changes.yaml 2", "comes.yaml 1", "goes.yaml 1", "stays.yaml 1"]
    );
    assert!(given.iter().all(|row| row["n"] == row["ids"]), "none twice: {given:?}");
    let audit = stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(dir.join("w")).arg("-c").arg(&config));
    let line = audit.lines().find(|line| line.starts_with("I4 ")).expect("a line");
    assert!(line.contains("I4      ok") && line.contains("; 3 rules ran for a part of the time"), "{audit}");
}

#[test]
fn a_rule_that_fails_on_every_row_is_disabled_until_it_is_repaired() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (config, dir) = (dir.path().join("palisade.yaml"), dir.path());
    std::fs::create_dir(dir.join("rules")).expect("a folder");
    std::fs::write(&config, CONFIG).expect("a file");
    let fails = "SELECT src_ip FROM network_activity WHERE 1 / (action_id - action_id) > 0";
    write_rule(dir, "stays.yaml", 1, 1, &busy(1));
    write_rule(dir, "fails.yaml", 2, 1, fails);
    let (mut child, address, lines) = start_and_hear(&config);
    let told = of_rules(lines);
    let why = next(&told, "a rule is disabled");
    assert!(why.contains("it fails on most of what it is asked") && why.contains("fails.yaml"), "{why}");
    let disabled = format!("palisade_rule_disabled{{rule=\"{}\"}}", id(2));
    assert_eq!(counted(&address, &disabled), 1);
    wait(&address, &alerts(1), 1);
    write_rule(dir, "fails.yaml", 2, 2, &denied("> 0"));
    next(&told, "rules in force");
    wait(&address, &alerts(2), 1);
    assert_eq!(counted(&address, &disabled), 0);
    end(&mut child, Signal::TERM);
    let audit = stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(dir.join("w")).arg("-c").arg(&config));
    let line = audit.lines().find(|line| line.starts_with("I4 ")).expect("a line");
    assert!(line.contains("I4      ok") && line.contains("; 1 rules ran for a part of the time"), "{audit}");
}
