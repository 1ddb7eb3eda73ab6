//! Builds with a known mistake must fail the audit: otherwise it checks nothing.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::crash::{alerts, run, verify_alerts};
use crate::house::{read, root};
use crate::kit::{binary, fleet, fleet_config, number, output, stdout};
use crate::upkeep::tables;
use crate::zombies::{overtake, without_commits};

/// The binary that can make mistakes: of cargo's build for tests, also where another one is under test.
pub(crate) fn mutant_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_palisade"))
}

/// `run` with another binary, as a mutant.
pub(crate) fn mutant(binary: &Path, config: &Path, name: &str) -> Command {
    let mut command = Command::new(binary);
    command.args(run(config).get_args()).env("PALISADE_MUTANT", name).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn runs(mut command: Command) -> impl FnOnce() {
    move || _ = command.status().expect("the binary starts")
}

/// What happens to the worker.
#[derive(Clone, Copy)]
enum Trouble {
    Nothing,
    /// It is killed at a step, and another goes on.
    Killed(&'static str),
    /// As that, and no table had committed anything.
    KilledBehind(&'static str),
    /// It sleeps at a step while another does its work, and wakes.
    Overtaken(&'static str),
    /// Its ledger is collected after it ended.
    Collected,
    /// It is killed at a step, and its ledger collected, while no table had committed anything.
    CollectedBehind(&'static str),
}

impl Trouble {
    fn is_behind(self) -> bool {
        matches!(self, Trouble::KilledBehind(_) | Trouble::CollectedBehind(_))
    }
}

use Trouble::{Collected, CollectedBehind, Killed, KilledBehind, Nothing, Overtaken};

/// What is written over decides which it is.
const ANY: &str = "any";

/// A mistake, what has to happen that it shows, and the invariant that it breaks. docs/exactly-once.md has the same list.
const MUTANTS: [(&str, Trouble, &str); 12] = [
    ("overwritten-entry", Overtaken("source_entry_before:5"), ANY),
    ("greedy-collection", CollectedBehind("source_entry_after:13"), "chains"),
    ("no-re-commit", KilledBehind("source_entry_after:9"), "I1"),
    ("no-guard", Overtaken("table_commit_before:5"), "I2"),
    ("commit-before-entry", Killed("source_entry_before:5"), "I3"),
    ("unseen-rows", Nothing, "I4"),
    ("random-alert-id", Nothing, "I5"),
    ("falling-watermark", Nothing, "I6"),
    ("no-restore", Killed("merge_entry_after:2"), "I7"),
    ("first-tenant", Nothing, "I8"),
    ("collects-one-too-many", Collected, "I9"),
    ("lost-dead-letter", Nothing, "I10"),
];

/// A small fleet, and few rules over it.
struct Trials {
    dir: tempfile::TempDir,
    logs: PathBuf,
    binary: PathBuf,
}

impl Trials {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let logs = dir.path().join("logs");
        fleet(&logs, 1, 12_000, "none");
        Self { dir, logs, binary: mutant_binary().to_owned() }
    }

    /// The warehouse of a worker with a mistake ("" for none) that met with trouble.
    fn warehouse(&self, name: &str, trouble: Trouble) -> (PathBuf, PathBuf) {
        let warehouse = self.dir.path().join(format!("of-{name}"));
        let config = fleet_config(self.dir.path(), &self.logs, &warehouse);
        let mut yaml = std::fs::read_to_string(&config).expect("a configuration");
        // Ranges so small that each step comes, however slow the machine.
        yaml = yaml.replace("flush_rows: 1500", "flush_rows: 300");
        if trouble.is_behind() {
            yaml = yaml.replace("commit_interval: 100ms", "commit_interval: 1h");
        }
        let rule = |name: &str| root().join("rules").join(name).display().to_string();
        let rules = [rule("port_scan.yaml"), rule("vpn_password_spray.yaml"), rule("cloudtrail_logging_stopped.yaml")];
        yaml += &format!("rules: {{builtin: false, paths: [{}]}}\n", rules.join(", "));
        std::fs::write(&config, yaml).expect("writes");
        self.run(&config, name, trouble, &warehouse);
        (warehouse, config)
    }

    fn run(&self, config: &Path, name: &str, trouble: Trouble, warehouse: &Path) {
        let worker = || mutant(&self.binary, config, name);
        let killed = |step| {
            let status = worker().env("PALISADE_KILL_AT", step).status().expect("the binary starts");
            assert_eq!(status.signal(), Some(9), "{name}: {status}");
        };
        let expire = || {
            let mut expire = tables(&self.binary, &["expire", "--older-than", "0s"], warehouse);
            stdout(expire.env("PALISADE_MUTANT", name));
        };
        match trouble {
            Nothing => runs(worker())(),
            Killed(step) | KilledBehind(step) => {
                killed(step);
                runs(worker())();
            }
            Overtaken(step) => {
                let config = if step.starts_with("table") { config.to_owned() } else { without_commits(config) };
                overtake(mutant(&self.binary, &config, name), step, runs(mutant(&self.binary, &config, "")));
            }
            Collected => {
                runs(worker())();
                expire();
            }
            CollectedBehind(step) => {
                killed(step);
                expire();
            }
        }
    }

    /// The invariants that the audit finds broken, and what it says.
    fn broken(&self, warehouse: &Path, config: &Path) -> (Vec<String>, String) {
        let mut audit = tables(binary(), &["audit", "--output", "json"], warehouse);
        audit.arg("-c").arg(config).arg("--truth").arg(&self.logs);
        let text = String::from_utf8(output(&mut audit).stdout).expect("UTF-8");
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let checks = report.as_array().unwrap_or_else(|| panic!("{text}"));
        let failed = checks.iter().filter(|check| check["verdict"] == "failed");
        (failed.filter_map(|check| check["id"].as_str().map(str::to_owned)).collect(), text)
    }
}

#[test]
fn each_mutant_is_caught_by_the_invariant_that_it_breaks() {
    let trials = Trials::new();
    let (calm, config) = trials.warehouse("", Nothing);
    let (failed, text) = trials.broken(&calm, &config);
    assert!(failed.is_empty(), "the true build: {text}");
    let wanted = alerts(&calm);
    assert!(!wanted.is_empty() && number(&calm, "SELECT count(*) FROM dead_letter") > 0, "too small a fleet");

    let listed = read("docs/exactly-once.md");
    for (name, trouble, invariant) in MUTANTS {
        let (warehouse, config) = trials.warehouse(name, trouble);
        if invariant == "I5" {
            println!("{name}: {}", verify_alerts(&warehouse, &wanted).expect_err(name));
        } else {
            let (failed, text) = trials.broken(&warehouse, &config);
            assert!(failed.iter().any(|id| id == invariant || invariant == ANY), "{name}: {failed:?} {text}");
            println!("{name}: {failed:?}");
        }
        assert!(listed.contains(&format!("| `{name}` | {invariant} |")), "docs/exactly-once.md: {name}");
    }
}
