//! A worker's rule files change in every way, right and wrong.

use std::path::PathBuf;
use std::time::Duration;

use sinks::WarehouseConfig;
use tokio::runtime::Runtime;

use super::*;
use crate::rules::held;

/// 2001: no file of the test was written then.
const NOW: i64 = 1_000_000_000_000_000;

const RULE: &str = "title: Port
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
sql: SELECT src_ip FROM network_activity WHERE dst_port = 22
tests:
  - name: fires
    events: [{ set: { src_ip: 10.0.0.1, dst_port: 22 } }]
    alerts: [{ values: { src_ip: 10.0.0.1 } }]
";

/// The rule of another id.
fn second() -> String {
    RULE.replace("444455556666", "777788889999")
}

struct Fixture {
    dir: tempfile::TempDir,
    runtime: Runtime,
    warehouse: Warehouse,
    reloader: Reloader,
}

impl Fixture {
    /// A worker's rules: one file in a folder.
    fn new() -> Self {
        let (dir, runtime) = (tempfile::tempdir().expect("a folder"), Runtime::new().expect("a runtime"));
        for folder in ["rules", "exceptions"] {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        std::fs::write(dir.path().join("rules/port.yaml"), RULE).expect("written");
        let [paths, exceptions] = ["rules", "exceptions"].map(|folder| vec![dir.path().join(folder)]);
        let config = RulesConfig { builtin: false, paths, exceptions, row_budget: Duration::ZERO };
        let (warehouse, reloader) = runtime.block_on(async {
            let warehouse = Warehouse::open(WarehouseConfig::at(dir.path().join("w"))).await.expect("opens");
            let reloader = Reloader::open(&config, &warehouse).await.expect("right");
            (warehouse, reloader)
        });
        Self { dir, runtime, warehouse, reloader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("rules").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// The mistakes that a check finds, without the folder.
    fn failed(&mut self) -> Vec<String> {
        let Outcome::Failed { errors, repeated: false } = self.reloader.check(NOW) else { panic!("a mistake") };
        assert_eq!(self.reloader.check(NOW), Outcome::Failed { errors: errors.clone(), repeated: true });
        let folder = format!("{}/", self.dir.path().join("rules").display());
        errors.into_iter().map(|error| error.replace(&folder, "")).collect()
    }

    /// The changes that a check puts into force.
    fn loaded(&mut self) -> [Vec<String>; 3] {
        let live = self.reloader.live();
        let Outcome::Loaded(Changes { added, changed, removed }) = self.reloader.check(NOW) else {
            panic!("new rules")
        };
        assert!(live.is_stale());
        let in_force = self.reloader.live().set().clone();
        let held = self.runtime.block_on(held(&self.warehouse, in_force.version())).expect("a store that answers");
        assert_eq!(held.expect("recorded").len(), in_force.rules().len());
        [added, changed, removed]
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_right_is_put_into_force_as_a_whole() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.reloader.check(NOW), Outcome::Unchanged);
    fixture.write("other.yaml", &second());
    assert_eq!(fixture.loaded(), [names(&["other"]), names(&[]), names(&[])]);
    fixture.write("port.yaml", &RULE.replace("version: 1", "version: 2").replace("dst_port = 22", "dst_port <= 22"));
    assert_eq!(fixture.loaded(), [names(&[]), names(&["port"]), names(&[])]);
    std::fs::remove_file(fixture.path("other.yaml")).expect("removed");
    assert_eq!(fixture.loaded(), [names(&[]), names(&[]), names(&["other"])]);
    fixture.write(
        "port.yaml",
        &RULE.replace("version: 1", "version: 2").replace("low", "high").replace("dst_port = 22", "dst_port <= 22"),
    );
    assert_eq!(fixture.loaded(), [names(&[]), names(&[]), names(&[])], "prose alone");
    assert_eq!(fixture.reloader.live().set().rules()[0].level(), aggregate::Level::High);
    assert_eq!(fixture.reloader.check(NOW), Outcome::Unchanged);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_the_last_good_rules_stay() {
    let mut fixture = Fixture::new();
    let live = fixture.reloader.live();
    let cases = [
        (
            RULE.replace("dst_port = 22", "dst_prot = 22"),
            "port.yaml:5:48: table network_activity has no column dst_prot; did you mean dst_port?",
        ),
        (RULE.replace("port: 22", "port: 23"), "port.yaml:7:11: test \"fires\" fails: "),
        (
            RULE.replace("= 22", "<= 22"),
            "port.yaml:3:10: it finds other things than version 1 that runs; raise version",
        ),
    ];
    for (text, want) in cases {
        fixture.write("port.yaml", &text);
        let errors = fixture.failed();
        assert!(errors.len() == 1 && errors[0].starts_with(want), "{errors:?}");
    }
    std::fs::remove_file(fixture.path("port.yaml")).expect("removed");
    assert_eq!(fixture.failed(), [format!("no rule file is left in {}", fixture.dir.path().join("rules").display())]);
    fixture.write("port.yaml", RULE);
    assert_eq!(fixture.reloader.check(NOW), Outcome::Unchanged, "what is in force again");
    assert!(!live.is_stale());
}

#[test]
fn exceptions_follow_their_files_too() {
    let mut fixture = Fixture::new();
    let before = fixture.reloader.live().set().clone();
    let exception =
        "- {rule: port, where: src_ip = '10.0.0.1', owner: a@example.com, reason: ours, expires: 2027-01-01}\n";
    fixture.write("../exceptions/ours.yaml", exception);
    assert_eq!(fixture.loaded(), [names(&[]), names(&[]), names(&[])], "no rule finds other things");
    let after = fixture.reloader.live().set().clone();
    assert_eq!(after.exceptions().len(), 1);
    assert_ne!(after.version(), before.version());
    assert_eq!(after.rules()[0].fingerprint(), before.rules()[0].fingerprint());
    assert_ne!(after.rules()[0].keeps_back(), before.rules()[0].keeps_back());
    fixture.write("../exceptions/ours.yaml", &exception.replace("src_ip", "scr_ip"));
    let errors = fixture.failed();
    assert!(errors.len() == 1 && errors[0].contains("ours.yaml:1:"), "{errors:?}");
    assert_eq!(fixture.reloader.live().set().version(), after.version(), "the last good ones stay");
}

#[test]
fn a_file_that_is_still_written_waits() {
    let mut fixture = Fixture::new();
    fixture.write("other.yaml", &second());
    let written = std::fs::metadata(fixture.path("other.yaml")).and_then(|m| m.modified()).expect("a time");
    let since = written.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    assert_eq!(fixture.reloader.check(since + SETTLE_US - 1), Outcome::Unchanged);
    assert!(matches!(fixture.reloader.check(since + SETTLE_US), Outcome::Loaded(_)));
}
