//! Collection while workers run, are killed in the midst of it, and sleep through it: what is left is all that is needed, and the
//! tables are those of a calm run.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::crash::{Calm, run};
use crate::kit::{binary, output, palisade, stdout};
use crate::zombies::{overtake, without_commits};

const SIGKILL: i32 = 9;

/// `palisade tables ACTION` of a binary, over a warehouse.
pub(crate) fn tables(binary: &Path, action: &[&str], warehouse: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("tables").args(action).arg("--warehouse").arg(warehouse);
    command
}

fn json(action: &[&str], warehouse: &Path) -> Value {
    let text = stdout(tables(binary(), action, warehouse).args(["--output", "json"]));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The audit, beside what the fleet sent.
pub(crate) fn audit(calm: &Calm, warehouse: &Path, config: &Path) -> Output {
    output(tables(binary(), &["audit"], warehouse).arg("-c").arg(config).arg("--truth").arg(&calm.logs))
}

/// Each event and alert once, and every invariant holds on what is left of the ledger.
fn sound(calm: &Calm, warehouse: &Path, config: &Path) {
    calm.verify(warehouse).unwrap_or_else(|e| panic!("{}: {e}", warehouse.display()));
    let out = audit(calm, warehouse, config);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    for id in ["chains", "I1", "I2", "I3", "I4", "I6", "I7", "I8", "I9", "I10"] {
        assert!(text.lines().any(|l| l.starts_with(&format!("{id:<7} ok "))), "{id}: {text}");
    }
    assert!(text.contains("older ones are collected: checked "), "{text}");
}

/// Every file of the warehouse.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
    }
}

/// As if everything had been written five days ago.
fn age(warehouse: &Path) {
    let mut all = Vec::new();
    files(&warehouse.join("local"), &mut all);
    for file in all {
        let opened = std::fs::File::options().append(true).open(file).expect("opens");
        let written = opened.metadata().and_then(|file| file.modified()).expect("a time");
        opened.set_modified(written - Duration::from_secs(5 * 86_400)).expect("sets the time");
    }
}

#[test]
fn a_worker_that_is_killed_while_it_collects_loses_nothing() {
    let calm = Calm::new(21);
    let (warehouse, config) = calm.warehouse("collected");
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    // Ranges so small that there is enough to collect, however slow the machine.
    let yaml = yaml.replace("flush_rows: 1500", "flush_rows: 300");
    std::fs::write(&config, yaml + "upkeep: {interval: 50ms, retention: 100ms}\n").expect("writes");
    for step in ["table_commit_before:5", "floor_written:2", "object_deleted:3", "entry_deleted:5"] {
        // It follows its files, so it cannot end before it comes to the step.
        let mut killed = palisade();
        killed.args(["run", "-c"]).arg(&config).env("PALISADE_KILL_AT", step);
        let status = killed.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the binary starts");
        assert_eq!(status.signal(), Some(SIGKILL), "{step}: {status}");
    }
    stdout(&mut run(&config));
    sound(&calm, &warehouse, &config);

    // What the killed attempts left is found, and nothing else.
    assert!(json(&["orphans"], &warehouse)["files"].as_array().expect("a list").is_empty(), "all is young");
    age(&warehouse);
    let deleted = json(&["orphans", "--delete"], &warehouse);
    assert!(!deleted["files"].as_array().expect("a list").is_empty(), "{deleted}");
    assert!(json(&["orphans"], &warehouse)["files"].as_array().expect("a list").is_empty());
    sound(&calm, &warehouse, &config);
    let refused =
        output(palisade().args(["tables", "orphans", "--older-than", "1m", "--delete", "--warehouse"]).arg(&warehouse));
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("at least 1h"));
}

#[test]
fn a_worker_that_slept_through_a_collection_harms_nothing() {
    let calm = Calm::new(22);
    let (warehouse, config) = calm.warehouse("slept");
    let slept = overtake(run(&without_commits(&config)), "source_entry_before:5", || {
        stdout(&mut run(&config));
        let planned = json(&["expire", "--older-than", "0s", "--dry-run"], &warehouse);
        let done = json(&["expire", "--older-than", "0s"], &warehouse);
        assert_eq!(planned["deleted"], done["deleted"]);
        // However slow the machine: 30,000 rows in ranges of 1,500 at most, and some merge steps.
        assert!(done["deleted"]["entry"]["objects"].as_u64() > Some(20), "{done}");
        assert!(done["deleted"]["exchange"]["objects"].as_u64() > Some(0), "{done}");
        let again = json(&["expire", "--older-than", "0s"], &warehouse);
        assert_eq!(again["deleted"], serde_json::json!({}), "nothing is left to do");
    });
    assert!(!slept.success(), "its range was taken, and collected");
    stdout(&mut run(&config));
    sound(&calm, &warehouse, &config);
    let kept = json(&["expire"], &warehouse);
    assert!(kept["chains"].as_array().expect("a list").iter().all(|chain| chain["faulty"] == false), "{kept}");
}
