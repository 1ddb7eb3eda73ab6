//! A zombie is a worker that is stopped, overtaken, and goes on: it must harm nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::crash::{Calm, run};
use crate::kit::{palisade, sized, stdout};
use crate::upkeep::audit;

/// A worker that stands still at a step.
pub(crate) struct Zombie(Child);

impl Zombie {
    pub(crate) fn stop(mut worker: Command, at: &str) -> Self {
        let child = worker.env("PALISADE_STOP_AT", at).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the binary starts");
        wait_until_stopped(Pid::from_child(&child));
        Self(child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("our child");
    }

    /// How it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.0.wait().expect("our child")
    }
}

/// Waits until a child has stopped itself, at the step that it was told.
pub(crate) fn wait_until_stopped(pid: Pid) {
    let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).expect("our child").expect("waitpid waits").1;
    assert!(stopped.stopped(), "the worker ended before it came to the step");
}

/// Lets a worker come to a step and stop there; lets others act; lets the worker go on. How it ended.
pub(crate) fn overtake(worker: Command, stop_at: &str, others: impl FnOnce()) -> ExitStatus {
    let zombie = Zombie::stop(worker, stop_at);
    others();
    zombie.signal(Signal::CONT);
    zombie.end()
}

/// A configuration under which nobody commits after the start: whoever is stopped within a transaction of a catalog in SQLite holds its lock.
pub(crate) fn without_commits(config: &Path) -> PathBuf {
    let text = std::fs::read_to_string(config).expect("a configuration");
    let path = config.with_extension("quiet.yaml");
    std::fs::write(&path, text.replace("commit_interval: 100ms", "commit_interval: 1h")).expect("writes");
    path
}

/// Where zombies sleep. Each is the first of its kind that its process comes to.
const STEPS: [&str; 10] = [
    "positions_read",
    "files_encoded",
    "file_staged",
    "exchange_written",
    "source_entry_before",
    "source_entry_after",
    "merge_entry_before",
    "merge_entry_after",
    "file_staged",
    "source_entry_before",
];

#[test]
fn a_zombie_whose_commit_comes_late_is_fenced() {
    let calm = Calm::new(10);
    let (warehouse, config) = calm.warehouse("late");
    overtake(run(&config), "table_commit_before:9", || drop(stdout(&mut run(&config))));
    stdout(&mut run(&config));
    calm.verify(&warehouse).expect("each event and each alert is there once");
}

#[test]
fn ten_zombies_that_wake_at_once_harm_nothing() {
    let rounds = sized("PALISADE_ROUNDS", 1);
    let calm = Calm::new(9);
    (0..rounds).for_each(|round| ten_zombies(&calm, &format!("zombies-{round}")));
}

fn ten_zombies(calm: &Calm, name: &str) {
    let (warehouse, config) = calm.warehouse(name);
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    // Ranges so small that each zombie finds some, however slow the machine.
    std::fs::write(&config, yaml.replace("flush_rows: 1500", "flush_rows: 300")).expect("writes");
    let quiet = without_commits(&config);
    let sleep = |step: &&str| {
        let mut worker = palisade();
        // It follows its files, so it cannot end before it comes to the step.
        worker.args(["run", "-c"]).arg(&quiet);
        Zombie::stop(worker, &format!("{step}:1"))
    };
    let zombies: Vec<Zombie> = STEPS.iter().map(sleep).collect();
    stdout(&mut run(&config));
    zombies.iter().for_each(|zombie| zombie.signal(Signal::CONT));
    // One that finds nothing of its own taken would follow its files for good.
    zombies.iter().for_each(|zombie| zombie.signal(Signal::TERM));
    for (step, zombie) in STEPS.iter().zip(zombies) {
        let status = zombie.end();
        // One that finds what it holds taken ends with an error that says so.
        assert!(status.code().is_some(), "{step}: {status}");
    }
    stdout(&mut run(&config));
    calm.verify(&warehouse).expect("each event and each alert is there once");
    let audit = audit(calm, &warehouse, &config);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
    std::fs::remove_dir_all(&warehouse).expect("removes");
}
