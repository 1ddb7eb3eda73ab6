//! The wall clock is set while a worker runs, by an hour and by a day, back and ahead: windows, alerts and labels are those of a
//! calm run, nothing is late that was not, and nothing is collected that is needed. Tables wait while the clock is behind them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::catalog_away::entries;
use crate::crash::{Calm, run};
use crate::kafka::{Worker, wait_until};
use crate::kit::{binary, sql, stdout};
use crate::upkeep::{audit, tables};

/// The wall clock of workers, as a file says how far it is off.
struct WallClock {
    file: PathBuf,
}

impl WallClock {
    fn true_time(dir: &Path) -> Self {
        let clock = Self { file: dir.join("wall-clock") };
        clock.set(0);
        clock
    }

    /// At once, for whoever reads the file at this moment too.
    fn set(&self, seconds: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).expect("a writable folder");
        std::fs::rename(&next, &self.file).expect("a writable folder");
    }

    /// The environment of a process that has this clock. Its monotonic clock and the times of files are the true ones.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let file = self.file.clone().into_os_string();
        let mut all: Vec<(OsString, OsString)> =
            vec![("LD_PRELOAD".into(), library().into()), ("FAKETIME_TIMESTAMP_FILE".into(), file)];
        for name in ["FAKETIME_NO_CACHE", "DONT_FAKE_MONOTONIC", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"] {
            all.push((name.into(), "1".into()));
        }
        all
    }
}

/// libfaketime for programs with threads.
fn library() -> String {
    let out = Command::new("dpkg").args(["-L", "libfaketime"]).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let found = text.lines().find(|line| line.ends_with("/libfaketimeMT.so.1"));
    found.expect("no libfaketime: run .ci/setup").to_owned()
}

/// What the clock may not change: late windows, and labels of rows, among them that a time is suspect.
fn judged(warehouse: &Path) -> Vec<Value> {
    let late = sql(warehouse, "SELECT count(*) AS late FROM late_window");
    let labels = sql(
        warehouse,
        "SELECT metadata.labels AS labels, count(*) AS n FROM network_activity GROUP BY 1 ORDER BY 2, 1",
    );
    late.into_iter().chain(labels).collect()
}

fn assert_as_calm(calm: &Calm, warehouse: &Path) {
    calm.verify(warehouse).expect("each event and alert is there once");
    assert_eq!(judged(warehouse), judged(&calm.dir.path().join("calm")));
}

/// Sources pause while tables wait, so that something is left to read at each time.
fn with_pauses(config: &Path) {
    let yaml = std::fs::read_to_string(config).expect("a configuration");
    let yaml = yaml.replace("flush_rows: 1500", "flush_rows: 300") + "  uncommitted_size: 128KiB\n  queue_rows: 1\n";
    std::fs::write(config, yaml).expect("writes");
}

#[test]
fn a_wall_clock_that_is_set_by_hours_and_days_changes_no_window_and_no_alert() {
    let calm = Calm::new(51);
    let (warehouse, config) = calm.warehouse("set");
    with_pauses(&config);
    let (clock, log) = (WallClock::true_time(calm.dir.path()), calm.dir.path().join("worker.log"));
    let said = |what: &str| std::fs::read_to_string(&log).unwrap_or_default().matches(what).count();
    let (behind, pauses, goes_on) = ("ahead of this machine's clock", "the source pauses", "the source goes on");
    let mut workers = [Worker::start_in(&config, log.clone(), clock.environment())];

    // Once tables have taken something in, they take in nothing that is older.
    wait_until("records are taken in", &mut workers, || entries(&warehouse.join("local/ledger")) > 10);
    for seconds in [-3_600, -86_400] {
        let before = said(behind);
        clock.set(seconds);
        wait_until(&format!("a commit at {seconds} s"), &mut workers, || said(behind) > before);
    }
    wait_until("sources wait for the tables", &mut workers, || said(pauses) > said(goes_on));
    let before = said(goes_on);
    clock.set(3_600);
    wait_until("the tables go on", &mut workers, || said(goes_on) > before);
    clock.set(86_400);
    workers.into_iter().for_each(Worker::stop);
    stdout(run(&config).envs(clock.environment()));
    assert_as_calm(&calm, &warehouse);

    // All seems to be a day old.
    let expire = ["expire", "--older-than", "20h", "--output", "json"];
    let text = stdout(tables(binary(), &expire, &warehouse).envs(clock.environment()));
    let done: Value = serde_json::from_str(&text).expect("JSON");
    assert!(done["deleted"]["entry"]["objects"].as_u64() > Some(10), "{done}");
    stdout(run(&config).envs(clock.environment()));
    assert_as_calm(&calm, &warehouse);
    let audit = audit(&calm, &warehouse, &config);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
