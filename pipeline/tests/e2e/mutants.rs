//! Builds with a known mistake must fail the crash test's checks: otherwise the checks check nothing.
//! A zombie (a worker that is stopped, overtaken, and goes on) must harm nothing in the true build.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::crash::{Calm, run};
use crate::house::root;
use crate::kit::{binary, stdout};
use crate::upkeep::{audit, tables};

/// The binary with the feature `mutants`. Cargo builds it where the plain one stands, so the plain one is put back.
fn mutant_binary() -> PathBuf {
    let plain = binary();
    let kept = plain.with_extension("mutants");
    let build = |features: &[&str]| {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root()).args(["build", "--workspace", "--message-format", "json"]).args(features);
        // What cargo tells this test of its package: a build script that looks at it (ring's does) would run again, now and
        // in the next build outside, and all that depends on it would be compiled twice.
        let of_this_test = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        std::env::vars().filter(|(name, _)| of_this_test(name)).for_each(|(name, _)| _ = build.env_remove(name));
        stdout(build.stderr(Stdio::null()))
    };
    let text = build(&["--features", "pipeline/mutants"]);
    let messages = text.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    let mut built =
        messages.filter_map(|m| m["executable"].as_str().filter(|e| e.ends_with("palisade")).map(PathBuf::from));
    std::fs::copy(built.next_back().expect("cargo names the binary"), &kept).expect("a copy");
    build(&[]);
    kept
}

/// `run` with another binary, as a mutant.
fn mutant(binary: &Path, config: &Path, name: &str) -> Command {
    let mut command = Command::new(binary);
    command.args(run(config).get_args()).env("PALISADE_MUTANT", name).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Lets a worker come to a step and stop there; lets others act; lets the worker go on. How it ended.
pub(crate) fn overtake(mut zombie: Command, stop_at: &str, others: impl FnOnce()) -> ExitStatus {
    let child = zombie.env("PALISADE_STOP_AT", stop_at).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the binary starts");
    let pid = Pid::from_child(&child);
    wait_until_stopped(pid);
    others();
    kill_process(pid, Signal::CONT).expect("our child");
    child.wait().expect("our child")
}

/// Waits until a child has stopped itself, at the step that it was told.
pub(crate) fn wait_until_stopped(pid: Pid) {
    let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).expect("our child").expect("waitpid waits").1;
    assert!(stopped.stopped(), "the worker ended before it came to the step");
}

fn runs(mut command: Command) -> impl FnOnce() {
    move || _ = command.status().expect("the binary starts")
}

#[test]
fn a_zombie_harms_nothing_and_mutants_are_caught() {
    let calm = Calm::new(9);

    let (warehouse, config) = calm.warehouse("zombie");
    overtake(run(&config), "table_commit_before:9", runs(run(&config)));
    stdout(&mut run(&config));
    calm.verify(&warehouse).expect("the guard fences the zombie");

    let binary = mutant_binary();
    let (warehouse, config) = calm.warehouse("no-guard");
    overtake(mutant(&binary, &config, "no-guard"), "table_commit_before:9", runs(mutant(&binary, &config, "")));
    let caught = calm.verify(&warehouse).expect_err("a build without the guard is caught");
    println!("no-guard: {caught}");

    let (warehouse, config) = calm.warehouse("commit-before-entry");
    let mut killed = mutant(&binary, &config, "commit-before-entry");
    killed.env("PALISADE_KILL_AT", "source_entry_before:5").status().expect("the binary starts");
    mutant(&binary, &config, "commit-before-entry").status().expect("the binary starts");
    let caught = calm.verify(&warehouse).expect_err("a build that commits before the entry is caught");
    println!("commit-before-entry: {caught}");

    for (name, is_caught) in [("", false), ("greedy-collection", true)] {
        let (warehouse, config) = calm.warehouse(&format!("collected-{name}"));
        // No table commits before the kill, and some chain has three entries.
        let yaml = std::fs::read_to_string(&config).expect("a configuration");
        let yaml = yaml
            .replace("flush_rows: 1500", "flush_rows: 300")
            .replace("commit_interval: 100ms", "commit_interval: 1h");
        std::fs::write(&config, yaml).expect("writes");
        let mut killed = mutant(&binary, &config, "");
        let killed = killed.env("PALISADE_KILL_AT", "source_entry_after:13").status().expect("the binary starts");
        assert_eq!(killed.signal(), Some(9), "{name}");
        let mut expire = tables(&binary, &["expire", "--older-than", "0s"], &warehouse);
        stdout(expire.env("PALISADE_MUTANT", name));
        let out = audit(&calm, &warehouse, &config);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(text.contains("chains  FAILED"), is_caught, "{name}: {text}");
        println!("{name}: {text}");
    }

    let (warehouse, config) = calm.warehouse("random-alert-id");
    mutant(&binary, &config, "random-alert-id").status().expect("the binary starts");
    let caught = calm.verify(&warehouse).expect_err("a build with random alert ids is caught");
    println!("random-alert-id: {caught}");
}
