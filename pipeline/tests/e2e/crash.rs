//! SIGKILL at any moment of a bounded file run, restarted each time: each event is in its table once, each alert once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::kit::{fleet, fleet_config, on_thread, palisade, run_to_end, sql, stdout};
use crate::upkeep::audit;

const SIGKILL: i32 = 9;

/// A run of the fleet's files without any crash, for comparison.
pub(crate) struct Calm {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) logs: PathBuf,
    pub(crate) alerts: Vec<Value>,
    pub(crate) steps: BTreeMap<String, u64>,
    seconds: f64,
}

impl Calm {
    pub(crate) fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let logs = dir.path().join("logs");
        fleet(&logs, seed, 30_000, "none");
        let warehouse = dir.path().join("calm");
        let config = fleet_config(dir.path(), &logs, &warehouse);
        let trace = dir.path().join("calm.steps");
        let summary: Value =
            serde_json::from_str(&stdout(run(&config).env("PALISADE_STEP_TRACE", &trace))).expect("a JSON summary");
        let seconds = summary["seconds"].as_f64().expect("a number");
        let steps = counts(&trace);
        let calm = Self { alerts: alerts(&warehouse), dir, logs, steps, seconds };
        assert!(!calm.alerts.is_empty(), "the fleet's attacks alert");
        calm.verify(&warehouse).expect("a calm run is right");
        calm
    }

    /// A new warehouse and its configuration.
    pub(crate) fn warehouse(&self, name: &str) -> (PathBuf, PathBuf) {
        let warehouse = self.dir.path().join(name);
        let config = fleet_config(self.dir.path(), &self.logs, &warehouse);
        (warehouse, config)
    }

    /// Each event once, with its values; each alert once, as in the calm run.
    pub(crate) fn verify(&self, warehouse: &Path) -> Result<(), String> {
        verify(score(&self.logs, warehouse, &[]), warehouse, &self.alerts)
    }
}

/// By the score each event of the truth is there once, with its values, each attack detected, and nothing else; each
/// alert is there once, and they are those `wanted`.
pub(crate) fn verify(score: Value, warehouse: &Path, wanted: &[Value]) -> Result<(), String> {
    for figure in ["unaccounted", "missing", "extra", "doubled", "altered", "false_alerts"] {
        if score[figure] != 0 {
            return Err(format!("{figure} is not 0: {score}"));
        }
    }
    if score["attacks_detected"] != score["attacks_planted"] {
        return Err(format!("attacks were missed: {score}"));
    }
    verify_alerts(warehouse, wanted)
}

/// Each alert is there once, and they are those `wanted`.
pub(crate) fn verify_alerts(warehouse: &Path, wanted: &[Value]) -> Result<(), String> {
    let twice = sql(warehouse, ALERTS_TWICE);
    if !twice.is_empty() {
        return Err(format!("alerts stand twice: {twice:?}"));
    }
    let found = alerts(warehouse);
    if found != wanted {
        return Err(format!("alerts differ from the calm run: {} and {}", found.len(), wanted.len()));
    }
    Ok(())
}

/// The score of a warehouse; `flags` say what it was filled from.
pub(crate) fn score(truth: &Path, warehouse: &Path, flags: &[&str]) -> Value {
    let mut score = palisade();
    score.args(["loadgen", "score", "--output", "json", "--truth"]).arg(truth).arg("--warehouse").arg(warehouse);
    score.args(flags);
    serde_json::from_str(&stdout(&mut score)).expect("a JSON object")
}

pub(crate) const ALERTS_TWICE: &str = "SELECT finding_info.uid AS uid, _revision, count(*) AS n FROM detection_finding \
    WHERE _topic LIKE '\\_%' ESCAPE '\\' GROUP BY finding_info.uid, _revision HAVING count(*) > 1";

/// The final revision of every alert, without what tells when it was made.
pub(crate) fn alerts(warehouse: &Path) -> Vec<Value> {
    sql(
        warehouse,
        "SELECT a.finding_info.uid AS uid, a.finding_info.title AS title, a.tenant_uid, a.src_ip, a.dst_ip, a._window_start, \
                a._window_end, a.evidences, a.unmapped, a.time \
         FROM detection_finding a JOIN (SELECT finding_info.uid AS uid, max(_revision) AS last FROM detection_finding \
              WHERE _topic LIKE '\\_%' ESCAPE '\\' GROUP BY finding_info.uid) b \
           ON a.finding_info.uid = b.uid AND a._revision = b.last ORDER BY uid",
    )
}

pub(crate) fn run(config: &Path) -> Command {
    let mut command = palisade();
    command.args(["run", "--until-end", "--output", "json", "-c"]).arg(config);
    command
}

/// How often each step stands in a trace.
pub(crate) fn counts(trace: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for step in std::fs::read_to_string(trace).unwrap_or_default().lines() {
        *counts.entry(step.to_owned()).or_default() += 1;
    }
    counts
}

fn last_step(trace: &Path) -> String {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    text.lines().last().unwrap_or("before_the_first_step").to_owned()
}

/// A small generator of numbers, so that a failure can be repeated.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

/// Ends the child at `after`, unless it ends before.
fn kill_after(mut child: Child, after: Duration) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(&child);
    let (done, wait) = mpsc::sync_channel::<()>(1);
    let killer = on_thread(move || {
        // The channel closes when the child ended by itself.
        if wait.recv_timeout(after) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let status = child.wait().expect("a child that was started");
    drop(done);
    killer.join().expect("the killer does not panic");
    status
}

/// How often it is killed: `PALISADE_KILLS`, or 30.
fn kills_wanted() -> u32 {
    std::env::var("PALISADE_KILLS").map_or(30, |text| text.parse().expect("PALISADE_KILLS is a number"))
}

#[test]
fn killed_thirty_times_each_event_and_each_alert_is_there_once() {
    let calm = Calm::new(7);
    let mut dice = Dice(20_261_122);
    let mut interrupted: BTreeMap<String, u32> = BTreeMap::new();
    let (mut kills, mut round, mut audits, wanted_kills) = (0, 0, 0, kills_wanted());
    let all_steps: Vec<String> = calm.steps.keys().cloned().collect();
    while kills < wanted_kills || interrupted.len() < all_steps.len() {
        round += 1;
        assert!(
            round <= 10 + wanted_kills,
            "after {kills} kills some step was never interrupted: {interrupted:?} of {all_steps:?}"
        );
        let (warehouse, config) = calm.warehouse(&format!("killed-{round}"));
        loop {
            let trace = calm.dir.path().join(format!("steps-{kills}"));
            let mut command = run(&config);
            command.env("PALISADE_STEP_TRACE", &trace).stdout(Stdio::null()).stderr(Stdio::null());
            let wanted: Vec<&String> = all_steps.iter().filter(|s| !interrupted.contains_key(*s)).collect();
            let status = if kills % 2 == 0 && !wanted.is_empty() {
                let step = wanted[dice.roll(wanted.len() as u64) as usize];
                let nth = 1 + dice.roll((calm.steps[step] / 3).max(1));
                command.env("PALISADE_KILL_AT", format!("{step}:{nth}"));
                command.status().expect("the binary starts")
            } else {
                let after = Duration::from_secs_f64(calm.seconds * dice.roll(1000) as f64 / 1000.0);
                kill_after(command.spawn().expect("the binary starts"), after)
            };
            if status.signal() != Some(SIGKILL) {
                assert!(status.success(), "round {round}: {status}");
                break;
            }
            kills += 1;
            *interrupted.entry(last_step(&trace)).or_default() += 1;
        }
        calm.verify(&warehouse).unwrap_or_else(|e| panic!("round {round}, {kills} kills, {interrupted:?}: {e}"));
        // It takes longer than the round; a long run has more of them.
        let is_last = kills >= wanted_kills && interrupted.len() == all_steps.len();
        if is_last || round % 10 == 0 {
            audits += 1;
            let audit = audit(&calm, &warehouse, &config);
            assert!(audit.status.success(), "round {round}: {}", String::from_utf8_lossy(&audit.stdout));
        }
        std::fs::remove_dir_all(&warehouse).expect("removes");
    }
    println!("{kills} kills in {round} rounds, {audits} of them audited; steps interrupted: {interrupted:#?}");
}

#[test]
fn a_second_run_over_the_same_files_adds_nothing() {
    let calm = Calm::new(8);
    let (warehouse, config) = calm.warehouse("calm");
    let again = run_to_end(&config);
    assert_eq!(again["records_read"], 0);
    calm.verify(&warehouse).expect("unchanged");
}
