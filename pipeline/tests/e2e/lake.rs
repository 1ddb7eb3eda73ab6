//! A warehouse in a bucket with a REST catalog, on real servers: killed at every step of the protocol, it holds each event and
//! each alert once, and other readers find it through the catalog.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::crash::{ALERTS_TWICE, run};
use crate::house::root;
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{fleet, fleet_config, output, palisade, python, stdout};
use crate::lake_server::{Conditions, KEYS, Lake};
use crate::service::get;
use crate::zombies::wait_until_stopped;

const SIGKILL: i32 = 9;

/// Steps as far apart as requests are slow.
const WORKER: &str = "worker:\n  flush_interval: 500ms\n  flush_rows: 1500\n  commit_interval: 1s\n  step_interval: 200ms\n  \
    state_interval: 400ms\n";

/// The configuration that [`fleet_config`] writes, with the warehouse in the lake.
pub(crate) fn config(lake: &Lake, logs: &Path, folder: &str) -> PathBuf {
    let path = fleet_config(lake.dir.path(), logs, &lake.dir.path().join(folder));
    let text = std::fs::read_to_string(&path).expect("just written");
    let (_, rest) = text.split_once("sources:").expect("it has sources");
    let (sources, _) = rest.split_once("worker:").expect("it has a worker");
    std::fs::write(&path, format!("{}sources:{sources}{WORKER}", lake.yaml(folder))).expect("a writable folder");
    path
}

pub(crate) fn with_keys(lake: &Lake, mut command: Command) -> Command {
    for (key, value) in lake.palisade().get_envs() {
        command.env(key, value.expect("set"));
    }
    command
}

fn rows(command: &mut Command, query: &str) -> Vec<Value> {
    let text = stdout(command.arg(query));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

/// The steps beside which something is written to the store or the catalog.
const STEPS: [&str; 9] = [
    "file_staged",
    "exchange_written",
    "source_entry_before",
    "source_entry_after",
    "state_written",
    "merge_entry_before",
    "merge_entry_after",
    "table_commit_before",
    "table_commit_after",
];

/// Runs to the end, killed once at each of the steps on the way; how often it was killed.
fn killed_at_each(lake: &Lake, config: &Path) -> usize {
    let mut kills = 0;
    for step in STEPS {
        let mut command = with_keys(lake, run(config));
        command.env("PALISADE_KILL_AT", format!("{step}:1")).stdout(Stdio::null());
        let out = output(&mut command);
        let killed = out.status.signal() == Some(SIGKILL);
        assert!(killed || out.status.success(), "{step}: {}", String::from_utf8_lossy(&out.stderr));
        kills += usize::from(killed);
    }
    let out = output(&mut with_keys(lake, run(config)));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    kills
}

/// The audit is clean, each event of the truth is there once, and each attack is detected; `source` is the score's word for what
/// was read.
pub(crate) fn assert_whole(lake: &Lake, config: &Path, truth: &Path, source: &[&str]) {
    let mut audit = lake.palisade();
    audit.args(["tables", "audit", "-c"]).arg(config);
    if source.is_empty() {
        audit.arg("--truth").arg(truth);
    }
    let checks = stdout(&mut audit);
    assert!(checks.contains(" ok ") && !checks.contains("FAILED"), "{checks}");
    let mut score = lake.palisade();
    score.args(["loadgen", "score", "--output", "json", "-c"]).arg(config).arg("--truth").arg(truth).args(source);
    let score: Value = serde_json::from_str(&stdout(&mut score)).expect("a JSON object");
    for figure in ["unaccounted", "missing", "extra", "doubled", "altered", "false_alerts"] {
        assert_eq!(score[figure], 0, "{figure}: {score}");
    }
    assert_eq!(score["attacks_detected"], score["attacks_planted"], "{score}");
}

#[test]
fn killed_at_each_step_a_warehouse_in_a_bucket_is_whole_and_open_to_others() {
    let lake = Lake::start();
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 5, 9_100, "none");
    let config = config(&lake, &logs, "killed");
    let kills = killed_at_each(&lake, &config);
    assert!(kills + 2 >= STEPS.len(), "{kills} kills at {} steps: the runs end before them", STEPS.len());

    assert_whole(&lake, &config, &logs, &[]);
    let count = "SELECT count(*) AS n FROM detection_finding";
    let by_config = rows(lake.palisade().args(["sql", "--output", "json", "-c"]).arg(&config), count);
    let mut by_url = lake.palisade_by_environment();
    by_url.args(["sql", "--output", "json", "--warehouse", "s3://lake/killed"]);
    assert_eq!(by_config, rows(&mut by_url, count));

    // PyIceberg finds the tables by the catalog, and what is in them by S3.
    let mut reader = python();
    reader.arg(root().join("pipeline/tests/e2e/read_with_pyiceberg.py")).args([lake.uri(), lake.endpoint()]);
    let mut reader = with_keys(&lake, reader);
    let figures: BTreeMap<String, BTreeMap<String, i64>> =
        serde_json::from_str(&stdout(&mut reader)).expect("a JSON object");
    let counted = figures.keys().map(|table| format!("SELECT '{table}' AS name, count(*) AS rows FROM {table}"));
    let sql = counted.collect::<Vec<_>>().join(" UNION ALL ");
    let ours = rows(lake.palisade().args(["sql", "--output", "json", "-c"]).arg(&config), &sql);
    assert_eq!(ours.len(), figures.len());
    for row in ours {
        let name = row["name"].as_str().expect("a name");
        assert_eq!(row["rows"], figures[name]["rows"], "{name}");
    }
    assert!(figures["network_activity"]["rows"] > 1_000, "{figures:?}");
}

/// A topic's records, its truth, and the configuration of workers that share it and a warehouse in the lake.
fn shared_topic(lake: &Lake, kafka: &Kafka) -> (PathBuf, PathBuf) {
    let truth = lake.dir.path().join("truth");
    let mut fill = palisade();
    fill.args(["loadgen", "--topic", "firewall", "--seed", "5", "--events", "20000", "--tenants", "2"]);
    stdout(fill.args(["--partitions", "4", "--kafka", &kafka.address(), "--out"]).arg(&truth));
    let yaml = format!(
        "{}  merge_groups: 2\nsources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{}', topic: firewall, group: shared, session_timeout: 6s}}\n\
         enrich: {{country: builtin, intel: [builtin]}}\ntelemetry: {{listen: '127.0.0.1:0'}}\n{WORKER}",
        lake.yaml("shared"),
        kafka.address()
    );
    let config = lake.dir.path().join("shared.yaml");
    std::fs::write(&config, yaml).expect("a writable folder");
    (truth, config)
}

/// Attempts at commits that a worker had to make again, as its metrics tell.
fn redone(address: &str) -> u64 {
    let text = get(address, "/metrics").1;
    let commits = text.lines().filter(|line| line.starts_with("palisade_table_commits_total{"));
    let again = commits.filter(|line| ["fenced", "failed"].iter().any(|outcome| line.contains(outcome)));
    again.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn two_workers_commit_to_one_lake_and_the_one_that_comes_late_does_it_again() {
    let (lake, kafka) = (Lake::start(), Kafka::start());
    let (truth, config) = shared_topic(&lake, &kafka);
    let keys = || KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let log = |name: &str| lake.dir.path().join(format!("{name}.log"));

    // The first one's commit is built and not sent, while the second one commits the same ranges at its start.
    let stop_at = vec![("PALISADE_STOP_AT".into(), "table_commit_built:1".into())];
    let late = Worker::start_in(&config, log("late"), [keys(), stop_at].concat());
    wait_until_stopped(late.pid());
    let mut other = Worker::start_in(&config, log("other"), keys());
    other.wait_until_ready();
    kill_process(late.pid(), Signal::CONT).expect("our child");
    let mut workers = [late, other];
    let addresses = workers.each_ref().map(Worker::address);
    wait_until("the late commit is refused", &mut workers, || redone(&addresses[0]) > 0);
    wait_until("the group has read all", &mut workers, || kafka.lag("shared", "firewall") == 0);
    println!("redone commits: {:?}", addresses.map(|address| redone(&address)));
    workers.into_iter().for_each(Worker::stop);

    // There is nothing left to read: this closes the windows that are still open.
    stdout(&mut with_keys(&lake, run(&config)));
    assert_whole(&lake, &config, &truth, &["--kafka"]);
    let twice = rows(lake.palisade().args(["sql", "--output", "json", "-c"]).arg(&config), ALERTS_TWICE);
    assert!(twice.is_empty(), "alerts stand twice: {twice:?}");
}

#[test]
fn a_store_that_overwrites_ledger_entries_is_refused() {
    let lake = Lake::start_with(Conditions::Ignored);
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 5, 9_100, "none");
    let config = config(&lake, &logs, "w");
    let out = output(lake.palisade().args(["run", "--until-end", "-c"]).arg(&config));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains("If-None-Match"), "{text}");
}

#[test]
fn what_cannot_be_reached_is_named_with_the_way_out() {
    let lake = Lake::start();
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 5, 9_100, "none");
    let config = config(&lake, &logs, "w");
    let said = |command: &mut Command| {
        let out = output(command);
        assert!(!out.status.success(), "{command:?}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let mut empty = lake.palisade();
    let text = said(empty.args(["sql", "-c"]).arg(&config).arg("SELECT 1"));
    assert!(text.contains("s3://lake/w: no warehouse here"), "{text}");

    let mut stranger = lake.palisade();
    stranger.env("AWS_SECRET_ACCESS_KEY", "wrong");
    let text = said(stranger.args(["run", "--until-end", "-c"]).arg(&config));
    assert!(text.contains("s3://lake: refused") && text.contains("docs/storage.md"), "{text}");

    let yaml = std::fs::read_to_string(&config).expect("written");
    let elsewhere = lake.dir.path().join("elsewhere.yaml");
    std::fs::write(&elsewhere, yaml.replace("s3://lake/w", "s3://sea/w")).expect("a writable folder");
    let text = said(lake.palisade().args(["run", "--until-end", "-c"]).arg(&elsewhere));
    assert!(text.contains("s3://sea: there is no such bucket"), "{text}");
}
