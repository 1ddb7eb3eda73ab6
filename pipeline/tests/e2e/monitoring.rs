//! Prometheus and Alertmanager beside a worker, with the rules, the routing and the dashboards of this repository: a catalog that stands
//! still pages once, and nothing else does; every panel of every dashboard has data.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as At, State};
use axum::routing::post;
use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;

use crate::house::{cache, read, root};
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::{Kafka, free_addresses};
use crate::kit::{on_thread, palisade, python, stdout};
use crate::lake_server::{KEYS, Lake};
use crate::service::counted;

/// Rules and routes hasten by so much: six seconds are a minute. What they compare with bounds in seconds stays as it is.
const HASTE: u32 = 10;

/// A rule with alerts of single events, exceptions and late changes, so that all that is counted of rules is.
const SOME_DENIED: &str = "title: Some denied connections
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3d
version: 1
level: low
sql: SELECT src_ip, src_port FROM network_activity WHERE action_id = 2 AND src_port % 64 = 0
";
const DENIED: &str = "title: Sources that are denied
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3e
version: 1
level: low
emit: on_threshold
sql: |
  SELECT window_start, count(*) AS denied FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '10' SECOND)
  WHERE action_id = 2 GROUP BY window_start, window_end HAVING count(*) > 1
";
const EXCEPTIONS: &str =
    "- {rule: some, where: src_port % 128 = 0, owner: ann, reason: half of them, expires: 2199-12-31}\n";

/// A program of Debian's that listens, stopped when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// `name` is found where .ci/setup puts it.
    fn start(name: &str, dir: &Path, args: impl FnOnce(SocketAddr) -> Vec<String>) -> Self {
        let [address, ..] = free_addresses();
        let program = cache().expect("a home folder").join("bin").join(name);
        let log = std::fs::File::create(dir.join(format!("{name}.log"))).expect("a log file");
        let mut command = Command::new(&program);
        command.args(args(address)).stdout(Stdio::null()).stderr(log).current_dir(dir);
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}; run .ci/setup", program.display()));
        let mut started = Self { child, address };
        wait_until("it listens", &mut [], || {
            let ended = started.child.try_wait().expect("our child");
            let said = || std::fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
            assert_eq!(ended, None, "it ended by itself: {command:?}\n{}", said());
            std::net::TcpStream::connect(address).is_ok()
        });
        started
    }

    pub(crate) fn alertmanager(dir: &Path, config: &str) -> Self {
        let path = dir.join("alertmanager.yaml");
        std::fs::write(&path, config).expect("a writable folder");
        Self::start("prometheus-alertmanager", dir, |address| {
            vec![
                format!("--config.file={}", path.display()),
                format!("--storage.path={}", dir.join("alertmanager").display()),
                format!("--web.listen-address={address}"),
                "--cluster.listen-address=".to_owned(),
            ]
        })
    }

    /// Scrapes the worker every second and tells the Alertmanager.
    fn prometheus(dir: &Path, worker: &str, alertmanager: SocketAddr) -> Self {
        let path = dir.join("prometheus.yaml");
        std::fs::write(dir.join("rules.yaml"), hastened(&read("dashboards/prometheus/rules.yaml"))).expect("writes");
        let yaml = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n\
             scrape_configs: [{{job_name: palisade, static_configs: [{{targets: ['{worker}']}}]}}]\n"
        );
        std::fs::write(&path, yaml).expect("a writable folder");
        Self::start("prometheus", dir, |address| {
            vec![
                format!("--config.file={}", path.display()),
                format!("--storage.tsdb.path={}", dir.join("prometheus").display()),
                format!("--web.listen-address={address}"),
            ]
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file with the ranges of its queries, and what its alerts and routes wait for, a [`HASTE`]th as long.
fn hastened(yaml: &str) -> String {
    let duration =
        Regex::new(r"(\[|for: |group_wait: |group_interval: |repeat_interval: )(\d+)([smhd])").expect("a pattern");
    let shorter = |found: &regex::Captures<'_>| {
        let unit = match &found[3] {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        format!("{}{}ms", &found[1], found[2].parse::<u32>().expect("digits") * (unit / HASTE))
    };
    duration.replace_all(yaml, shorter).into_owned()
}

/// What people and the dead man's switch were told: receiver, `firing` or `resolved`, alert, the label `window`.
type Told = Arc<Mutex<Vec<[String; 4]>>>;

/// The routing of this repository, with its receivers on loopback, and where a receiver of detections takes all.
fn people() -> (Told, String, String) {
    let told = Told::default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket");
    let app =
        Router::new().route("/detections", post(|| async {})).route("/{receiver}", post(hear)).with_state(told.clone());
    on_thread(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await.expect("it serves until the test ends");
        });
    });
    let mut routing = hastened(&read("dashboards/alertmanager/alertmanager.yaml"));
    for receiver in ["pager", "tickets", "switch"] {
        let (theirs, ours) = (format!("http://{receiver}.example/palisade"), format!("http://{address}/{receiver}"));
        assert!(routing.contains(&theirs), "{routing}");
        routing = routing.replace(&theirs, &ours);
    }
    (told, routing, format!("http://{address}/detections"))
}

async fn hear(State(told): State<Told>, At(receiver): At<String>, body: String) {
    let news: Value = serde_json::from_str(&body).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for alert in news["alerts"].as_array().expect("alerts") {
        let labels = &alert["labels"];
        let line = [receiver.clone(), text(&alert["status"]), text(&labels["alertname"]), text(&labels["window"])];
        told.lock().expect("unpoisoned").push(line);
    }
}

/// A worker's configuration: everything on that has a metric of its own.
fn config(lake: &Lake, kafka: &Kafka, detections: &str) -> std::path::PathBuf {
    let dir = lake.dir.path();
    for (name, text) in [
        ("some.yaml", SOME_DENIED),
        ("denied.yaml", DENIED),
        ("exceptions.yaml", EXCEPTIONS),
        ("assets.csv", "ip,name\n10.0.0.1,first\n"),
    ] {
        std::fs::write(dir.join(name), text).expect("a writable folder");
    }
    let yaml = format!(
        "{}sources:\n  - tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{}', topics: '^fire', group: watched, discovery_interval: 1s}}\n\
         enrich: {{country: builtin, intel: [builtin], assets: [assets.csv]}}\n\
         rules: {{row_budget: 0s, paths: [some.yaml, denied.yaml], exceptions: [exceptions.yaml]}}\n\
         alerts: [{{name: hook, webhook: {{url: '{detections}'}}}}]\n\
         worker: {{flush_interval: 300ms, commit_interval: 500ms, step_interval: 300ms}}\n\
         telemetry: {{listen: '127.0.0.1:0'}}\n",
        lake.yaml("watched"),
        kafka.address()
    );
    let path = dir.join("watched.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// Records as they come, until it is dropped.
struct Load(Child);

impl Load {
    fn start(kafka: &Kafka, truth: &Path) -> Self {
        let mut load = palisade();
        load.args([
            "loadgen",
            "--topic",
            "firewall",
            "--seed",
            "61",
            "--tenants",
            "2",
            "--partitions",
            "4",
            "--rate",
            "200",
        ]);
        load.args(["--duration", "10m", "--kafka", &kafka.address(), "--out"]).arg(truth);
        Self(load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a rule exports only once it fails.
const SPARSE: [&str; 2] = ["palisade_rule_failures_total", "palisade_rule_disabled"];

/// What Prometheus says of the dashboards: those queries, of all or of `only` these, that have no data now. All can be answered, rules are
/// well, metrics have a type and help.
fn without_data(prometheus: &Program, only: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    let mut ask = python();
    ask.arg(root().join("pipeline/tests/e2e/ask_panels.py")).arg(format!("http://{}", prometheus.address));
    ask.arg(root().join("dashboards")).arg(format!("{}s", 300 / HASTE));
    ask.arg(serde_json::to_string(&only).expect("text")).args(SPARSE);
    let told = stdout(&mut ask);
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{told}: {e}"));
    assert_eq!(told["faults"], serde_json::json!([]));
    let asked = told["queries"].as_u64().expect("a number");
    assert!(only.map_or(asked > 150, |only| asked == only.len() as u64), "{told}");
    serde_json::from_value(told["empty"].clone()).expect("a list")
}

/// Pictures of the dashboards, of the last five minutes, for review.
fn draw(prometheus: &Program, folder: &std::ffi::OsStr) {
    let mut draw = python();
    draw.arg(root().join("pipeline/tests/e2e/draw_dashboards.py")).arg(format!("http://{}", prometheus.address));
    draw.arg(root().join("dashboards")).arg(format!("{}s", 300 / HASTE)).args(["300", "/usr/bin/chromium"]).arg(folder);
    stdout(&mut draw);
}

#[test]
fn a_catalog_that_stands_still_pages_once_and_nothing_else_does_and_panels_have_data() {
    let (lake, kafka, (told, routing, detections)) = (Lake::start(), Kafka::start(), people());
    let config = config(&lake, &kafka, &detections);
    let alertmanager = Program::alertmanager(lake.dir.path(), &routing);
    kafka.create_topic("firewall", 4);
    let keys = KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let mut workers = [Worker::start_in(&config, lake.dir.path().join("worker.log"), keys)];
    workers[0].wait_until_ready();
    let mut load = Load::start(&kafka, &lake.dir.path().join("truth"));
    // Tables are made with the first rows, which takes its time: minutes are six seconds here.
    let worker = workers[0].address();
    let commits = || counted(&worker, "palisade_table_commits_total{outcome=\"committed\",table=\"network_activity\"");
    wait_until("tables take rows", &mut workers, || commits() > 2);
    let prometheus = Program::prometheus(lake.dir.path(), &worker, alertmanager.address);

    let page = |status: &str| ["pager", status, "PalisadeFreshnessBurn", "stalled"].map(str::to_owned);
    let was_told = |line: &[String; 4]| told.lock().expect("unpoisoned").contains(line);
    let told_to_switch = || {
        let told = told.lock().expect("unpoisoned");
        assert!(told.iter().all(|[receiver, ..]| receiver == "switch"), "in peace: {told:?}");
        told.len()
    };
    wait_until("the switch is held more than once, and nobody else is told", &mut workers, || told_to_switch() > 1);
    let mut never = without_data(&prometheus, None);
    lake.catalog.signal(Signal::STOP);
    wait_until("somebody is paged", &mut workers, || was_told(&page("firing")));
    never = without_data(&prometheus, Some(&never));
    lake.catalog.signal(Signal::CONT);
    wait_until("it is over", &mut workers, || was_told(&page("resolved")));
    wait_until("every panel has had data", &mut workers, || {
        never = without_data(&prometheus, Some(&never));
        println!("without data: {never:?}");
        never.is_empty()
    });
    std::env::var_os("PALISADE_DASHBOARD_PICTURES").iter().for_each(|folder| draw(&prometheus, folder));
    assert_eq!(load.0.try_wait().expect("our child"), None, "there was load to the end");
    workers.into_iter().for_each(Worker::stop);
    let told = told.lock().expect("unpoisoned").clone();
    let to_people: Vec<&[String; 4]> = told.iter().filter(|line| line[0] != "switch").collect();
    assert_eq!(to_people, [&page("firing"), &page("resolved")]);
}
