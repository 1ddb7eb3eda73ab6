//! A fleet is upgraded, rolled back and upgraded again while windows are open: releases of which each reads its own merge states
//! and those before, and writes its own.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::crash::{Calm, alerts, run};
use crate::kit::{binary, output, stdout};
use crate::mutants::{mutant, mutant_binary};
use crate::upkeep::{audit, tables};

/// What a release says of a state that it does not read.
const OF_ANOTHER_RELEASE: &str = "a merge state is of another release";

/// A release: the binary under test, or the next one, whose merge states have the next version.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Release {
    This,
    Next,
}

impl Release {
    fn run(self, config: &Path) -> Command {
        match self {
            Release::This => run(config),
            Release::Next => mutant(mutant_binary(), config, "next-state-version"),
        }
    }

    /// Runs until it is killed after a few merge steps; what it logged.
    fn killed(self, config: &Path) -> String {
        let mut worker = self.run(config);
        worker.stdout(Stdio::null()).stderr(Stdio::piped()).env("PALISADE_KILL_AT", "merge_entry_after:4");
        let out = output(&mut worker);
        assert_eq!(out.status.signal(), Some(9), "{self:?}: {}", out.status);
        String::from_utf8_lossy(&out.stderr).into_owned()
    }
}

#[test]
fn releases_that_take_turns_lose_and_double_nothing() {
    let calm = Calm::new(31);
    let (warehouse, config) = calm.warehouse("upgraded");
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    // Each step has a state, and ranges are so small that there are many steps, however slow the machine.
    let yaml =
        yaml.replace("flush_rows: 1500", "flush_rows: 300").replace("state_interval: 150ms", "state_interval: 1ms");
    std::fs::write(&config, yaml).expect("writes");

    assert!(!Release::This.killed(&config).contains(OF_ANOTHER_RELEASE));
    assert!(!Release::Next.killed(&config).contains(OF_ANOTHER_RELEASE), "the next release reads what this one wrote");
    let said = Release::This.killed(&config);
    assert!(said.contains(OF_ANOTHER_RELEASE) && said.contains("docs/upgrade.md"), "{said}");
    assert!(!Release::Next.killed(&config).contains(OF_ANOTHER_RELEASE), "this one wrote its own again");
    let out = output(Release::This.run(&config).stdout(Stdio::null()).stderr(Stdio::piped()));
    assert!(out.status.success() && String::from_utf8_lossy(&out.stderr).contains(OF_ANOTHER_RELEASE));
    calm.verify(&warehouse).expect("as if there had been one release");
    let audit = audit(&calm, &warehouse, &config);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success() && text.contains("are of another release: not compared"), "{text}");
}

#[test]
fn a_release_whose_states_are_collected_stops_and_says_so() {
    let calm = Calm::new(32);
    let (warehouse, config) = calm.warehouse("left");
    stdout(Release::Next.run(&config).stderr(Stdio::null()));
    stdout(&mut tables(binary(), &["expire", "--older-than", "0s"], &warehouse));
    let before = alerts(&warehouse);
    let refused = output(&mut Release::This.run(&config));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("no state that this release reads is kept"), "{said}");
    assert!(said.contains("docs/upgrade.md"), "{said}");
    assert_eq!(alerts(&warehouse), before, "it did nothing");
    stdout(Release::Next.run(&config).stderr(Stdio::null()));
    calm.verify(&warehouse).expect("the release that wrote the states goes on");
}
