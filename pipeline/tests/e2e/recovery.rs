//! A bucket is lost with its catalog. What a backup holds becomes a warehouse in another bucket under another catalog, workers go on
//! there, and in the end each event and each alert is there once.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::crash::run;
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{output, palisade, stdout};
use crate::lake::{assert_whole, with_keys};
use crate::lake_server::{KEYS, Lake};

const EVENTS: u64 = 12_000;

/// The configuration of a worker of the topic with its warehouse in a lake.
fn config(lake: &Lake, kafka: &Kafka) -> PathBuf {
    let yaml = format!(
        "{}  merge_groups: 2\nsources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{}', topic: firewall, group: fleet, session_timeout: 6s}}\n\
         enrich: {{country: builtin, intel: [builtin]}}\n\
         worker: {{flush_interval: 500ms, commit_interval: 1s, step_interval: 300ms, state_interval: 1s, flush_rows: 300}}\n",
        lake.yaml("fleet"),
        kafka.address()
    );
    let path = lake.dir.path().join("fleet.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

fn back_up(lake: &Lake, from: &Path, to: &Path) -> Value {
    let mut backup = lake.palisade();
    backup.args(["tables", "backup", "--output", "json", "-c"]).arg(from).arg("--to").arg(to);
    serde_json::from_str(&stdout(&mut backup)).expect("a JSON object")
}

#[test]
fn a_bucket_that_is_lost_with_its_catalog_is_restored_elsewhere_and_holds_each_event_once() {
    let (lake, standby, kafka) = (Lake::start(), Lake::start(), Kafka::start());
    let truth = standby.dir.path().join("truth");
    kafka.create_topic("firewall", 4);
    let (live, takes_over) = (config(&lake, &kafka), config(&standby, &kafka));

    let keys = KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let mut workers = [Worker::start_in(&live, lake.dir.path().join("worker.log"), keys)];
    workers[0].wait_until_ready();
    let mut fill = palisade();
    fill.args(["loadgen", "--topic", "firewall", "--seed", "31", "--events", &EVENTS.to_string(), "--tenants", "2"]);
    fill.args(["--partitions", "4", "--duration", "16s", "--kafka", &kafka.address(), "--out"]).arg(&truth);
    let mut fill = fill.stdout(Stdio::null()).spawn().expect("the binary starts");
    let read = || u64::try_from(kafka.committed("fleet", "firewall")).expect("no less than none");
    wait_until("a fifth is read", &mut workers, || read() > EVENTS / 5);
    kill_process(Pid::from_child(&fill), Signal::STOP).expect("our child");
    let first = back_up(&lake, &live, &takes_over);
    wait_until("all that was sent is read", &mut workers, || kafka.lag("fleet", "firewall") == 0);
    let second = back_up(&lake, &live, &takes_over);
    assert_eq!(first["copied"], first["objects"], "{first}");
    assert!(second["copied"].as_u64() < second["objects"].as_u64(), "what is there is not copied again: {second}");
    kill_process(Pid::from_child(&fill), Signal::CONT).expect("our child");
    wait_until("more is read than was backed up", &mut workers, || read() > EVENTS * 9 / 10);
    assert!(fill.wait().expect("our child").success());
    drop(workers); // SIGKILL
    drop(lake);

    let mut restore = standby.palisade();
    let restored = stdout(restore.args(["tables", "restore", "--output", "json", "-c"]).arg(&takes_over));
    let restored: Value = serde_json::from_str(&restored).expect("a JSON object");
    let next = |line: &Value| line["next"].as_u64().expect("an offset");
    let resumed: u64 = restored["resume"].as_array().expect("a list").iter().map(next).sum();
    assert!(resumed > EVENTS / 5 && resumed < EVENTS, "{restored}");

    let out = output(&mut with_keys(&standby, run(&takes_over)));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_whole(&standby, &takes_over, &truth, &["--kafka"]);
}
