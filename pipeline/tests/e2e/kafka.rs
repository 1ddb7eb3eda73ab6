//! Two workers read one topic of a real Apache Kafka and are killed again and again: each event is in its table once, each
//! alert in the tables once and on the alert topic, as in a calm run of one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rdkafka::message::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::crash::{Dice, alerts, score, verify};
use crate::kafka_server::Kafka;
use crate::kit::{palisade, run_to_end, sized, stdout};

/// Four for each of two tenants.
const PARTITIONS: u64 = 8;
const KILLS: u64 = 10;
/// Nothing that is waited for takes so long, a rebalance after a death included.
const PATIENCE_SECONDS: u32 = 180;

/// A topic filled by the fleet, and where the truth about it is.
pub(crate) struct Scene {
    pub(crate) kafka: Kafka,
    truth: PathBuf,
    pub(crate) events: u64,
    pub(crate) dir: tempfile::TempDir,
}

impl Scene {
    /// On a cluster; of so many events, unless `PALISADE_KAFKA_EVENTS` says otherwise.
    pub(crate) fn new(kafka: Kafka, seed: u64, events: u64) -> Self {
        let events = sized("PALISADE_KAFKA_EVENTS", events);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let truth = dir.path().join("truth");
        let mut fill = palisade();
        fill.args(["loadgen", "--topic", "firewall", "--seed", &seed.to_string(), "--events", &events.to_string()]);
        fill.args(["--tenants", "2", "--partitions", &PARTITIONS.to_string(), "--kafka", &kafka.address(), "--out"])
            .arg(&truth);
        stdout(&mut fill);
        Self { kafka, truth, events, dir }
    }

    /// The configuration of workers with a warehouse, a group and an alert topic of this name. Ranges are small: each
    /// partition gets a dozen entries or more.
    pub(crate) fn config(&self, name: &str) -> (PathBuf, PathBuf) {
        self.kafka.create_topic(&alert_topic(name), 1);
        let (address, flush_rows) = (self.kafka.address(), self.events / (12 * PARTITIONS));
        let yaml = format!(
            "warehouse: {{path: {name}, merge_groups: 4}}\n\
             sources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
             kafka: {{brokers: \"{address}\", topic: firewall, group: {name}, session_timeout: 6s}}\n\
             alerts: [{{kafka: {{brokers: \"{address}\", topic: {alerts}}}}}]\n\
             enrich: {{country: builtin, intel: [builtin]}}\n\
             worker: {{flush_interval: 500ms, commit_interval: 1s, flush_rows: {flush_rows}}}\n",
            alerts = alert_topic(name),
        );
        let path = self.dir.path().join(format!("{name}.yaml"));
        std::fs::write(&path, yaml).expect("a writable folder");
        (path, self.dir.path().join(name))
    }

    pub(crate) fn score(&self, warehouse: &Path) -> Value {
        score(&self.truth, warehouse, &["--kafka"])
    }

    /// What each alert's messages say, by the alert's id.
    fn published(&self, name: &str) -> BTreeMap<String, Vec<Value>> {
        let mut published: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for message in self.kafka.consume_all(&alert_topic(name)) {
            let key = String::from_utf8(message.key().expect("a key").to_vec()).expect("a UUID as text");
            let alert = serde_json::from_slice(message.payload().expect("a value")).expect("JSON");
            published.entry(key).or_default().push(content_of_message(&alert));
        }
        published
    }
}

fn alert_topic(name: &str) -> String {
    format!("detections-{name}")
}

/// What must be the same in the table and on the topic.
fn content_of_message(alert: &Value) -> Value {
    json!({
        "uid": alert["finding_info"]["uid"],
        "title": alert["finding_info"]["title"],
        "tenant": alert["metadata"]["tenant_uid"],
        "time": alert["time"],
        "evidences": evidences(alert),
        "unmapped": alert["unmapped"],
    })
}

fn content_of_row(alert: &Value) -> Value {
    let time: jiff::Timestamp = alert["time"].as_str().and_then(|t| t.parse().ok()).expect("a time");
    let unmapped = alert["unmapped"].as_str().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    json!({
        "uid": alert["uid"],
        "title": alert["title"],
        "tenant": alert["tenant_uid"],
        "time": time.as_millisecond(),
        "evidences": evidences(alert),
        "unmapped": unmapped,
    })
}

/// Identities of the events behind an alert: `topic@incarnation/partition/offset/record`.
fn evidences(alert: &Value) -> Vec<&str> {
    alert["evidences"].as_array().into_iter().flatten().filter_map(|e| e["uid"].as_str()).collect()
}

/// Partitions of the events behind an alert.
fn partitions(alert: &Value) -> BTreeSet<&str> {
    evidences(alert).into_iter().filter_map(|uid| uid.split('/').nth(1)).collect()
}

/// A worker process, which does not outlive its test.
pub(crate) struct Worker {
    child: Child,
    env: Vec<(OsString, OsString)>,
    config: PathBuf,
    log: PathBuf,
    /// How long the log was when it started.
    log_start: usize,
}

impl Worker {
    pub(crate) fn start(config: &Path, log: PathBuf) -> Self {
        Self::start_in(config, log, Vec::new())
    }

    /// With variables of the environment.
    pub(crate) fn start_in(config: &Path, log: PathBuf, env: Vec<(OsString, OsString)>) -> Self {
        let stderr = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut run = palisade();
        run.envs(env.iter().cloned())
            .args(["--log", "info", "run", "-c"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(stderr);
        let log_start = std::fs::read_to_string(&log).expect("a log file").len();
        Self { child: run.spawn().expect("the binary starts"), env, config: config.to_owned(), log, log_start }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Where it tells its metrics; its configuration says that it does.
    pub(crate) fn address(&self) -> String {
        let said = self.said();
        let address = said[self.log_start..].split("metrics: http://").nth(1).and_then(|rest| rest.split('/').next());
        address.expect("it listens").to_owned()
    }

    pub(crate) fn assert_alive(&mut self) {
        let status = self.child.try_wait().expect("our child");
        assert_eq!(status, None, "a worker ended by itself:\n{}", self.last_words());
    }

    /// Asks it to end, waits until it has, and starts it anew.
    pub(crate) fn leave_and_return(&mut self) {
        self.wait_until_ready();
        kill_process(self.pid(), Signal::TERM).expect("our child");
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status} at SIGTERM:\n{}", self.last_words());
        *self = Self::start_in(&self.config, self.log.clone(), std::mem::take(&mut self.env));
    }

    pub(crate) fn kill_and_restart(&mut self) {
        self.assert_alive();
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
        *self = Self::start_in(&self.config, self.log.clone(), std::mem::take(&mut self.env));
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let looks_a_second = 20;
        let is_ready = (0..PATIENCE_SECONDS * looks_a_second).any(|_| {
            self.assert_alive();
            self.said()[self.log_start..].contains("the worker is ready") || {
                std::thread::park_timeout(Duration::from_secs(1) / looks_a_second);
                false
            }
        });
        assert!(is_ready, "not ready within {PATIENCE_SECONDS} s:\n{}", self.last_words());
    }

    /// Ends it as an operator does, once it is up.
    pub(crate) fn stop(mut self) {
        self.wait_until_ready();
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("our child");
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status} at SIGTERM:\n{}", self.last_words());
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it said.
    fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Records that the ledger of a warehouse is known to cover: where each partition's last entry starts.
pub(crate) fn progress(warehouse: &Path) -> u64 {
    let folders = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let start = |entry: PathBuf| entry.file_name()?.to_str()?.strip_suffix(".entry")?.parse::<u64>().ok();
    let last = |partition: PathBuf| folders(&partition).into_iter().filter_map(start).max().unwrap_or(0);
    let topics = folders(&warehouse.join("local/ledger"));
    let topics = topics.into_iter().filter(|topic| topic.to_string_lossy().contains("/firewall@"));
    topics.flat_map(|topic| folders(&topic)).map(last).sum()
}

/// Waits until the workers have brought it about.
pub(crate) fn wait_until(what: &str, workers: &mut [Worker], mut reached: impl FnMut() -> bool) {
    let looks_a_second = 20;
    let arrived = (0..PATIENCE_SECONDS * looks_a_second).any(|_| {
        workers.iter_mut().for_each(Worker::assert_alive);
        reached() || {
            std::thread::park_timeout(Duration::from_secs(1) / looks_a_second);
            false
        }
    });
    let said = || workers.iter().map(Worker::last_words).collect::<Vec<_>>().join("\n");
    assert!(arrived, "not within {PATIENCE_SECONDS} s: {what}\n{}", said());
}

/// Two workers to the end of the topic, one or the other killed each time that the ledger reaches a drawn point.
fn run_two_and_kill(scene: &Scene, name: &str, seed: u64) -> PathBuf {
    let (config, warehouse) = scene.config(name);
    let start = |n: usize| Worker::start(&config, scene.dir.path().join(format!("worker-{n}.log")));
    let mut workers = [start(0), start(1)];
    let mut dice = Dice(seed);
    let mut points: Vec<u64> = (0..KILLS).map(|_| dice.roll(scene.events * 8 / 10)).collect();
    points.sort_unstable();
    for (kill, point) in points.into_iter().enumerate() {
        wait_until(&format!("{point} records before kill {kill}"), &mut workers, || progress(&warehouse) >= point);
        workers[kill % 2].kill_and_restart();
    }
    wait_until("the group has read all", &mut workers, || scene.kafka.lag(name, "firewall") == 0);
    wait_until("the tables hold all", &mut workers, || scene.score(&warehouse)["missing"] == 0);
    workers.into_iter().for_each(Worker::stop);
    // There is nothing left to read: this closes the windows that were still open, as the calm run does at its end.
    run_to_end(&config);
    warehouse
}

#[test]
fn two_workers_killed_ten_times_store_and_alert_each_event_once() {
    let scene = Scene::new(Kafka::start(), 11, 100_000);
    let (config, calm) = scene.config("calm");
    run_to_end(&config);
    let wanted = alerts(&calm);
    verify(scene.score(&calm), &calm, &wanted).expect("a calm run is right");
    assert!(wanted.iter().any(|alert| partitions(alert).len() > 1), "no window's key spans partitions");
    let killed = run_two_and_kill(&scene, "killed", 20_261_122);
    verify(scene.score(&killed), &killed, &wanted).unwrap_or_else(|e| panic!("after {KILLS} kills: {e}"));
    for name in ["calm", "killed"] {
        let published = scene.published(name);
        assert_eq!(published.len(), wanted.len(), "{name}: ids on the topic, and in the tables");
        for alert in wanted.iter().map(content_of_row) {
            let messages = alert["uid"].as_str().and_then(|uid| published.get(uid));
            assert!(messages.is_some_and(|m| m.contains(&alert)), "{name}: {alert} was published as {messages:?}");
        }
    }
}
