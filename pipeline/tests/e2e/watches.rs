//! The two watches as a worker runs them: a firewall that stops, lines that can no longer be decoded, a worker that is killed in
//! between, and a firewall that speaks again.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{number, run_to_end, sql};
use crate::streams::audit;

const MAPPING: &str = "\
name: watched
product: {vendor: Example, name: Gateway}
format: json
match: {fw: '*'}
class: network_activity
time: {from: at, unit: s}
activity: Traffic
attributes:
  device.hostname: fw
  src_endpoint.ip: src
";

const MINUTE: i64 = 60;

fn config(dir: &Path, kafka: &Kafka) -> PathBuf {
    std::fs::write(dir.join("watched.mapping.yaml"), MAPPING).expect("a writable folder");
    let yaml = format!(
        "warehouse: {{path: warehouse, merge_groups: 4}}\n\
         decode: {{mappings: [watched.mapping.yaml]}}\n\
         sources:\n  - name: watched\n    tenant: acme\n    \
         kafka: {{brokers: \"{}\", topic: watched, group: watched, session_timeout: 6s}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 500ms, step_interval: 100ms, state_interval: 1s, idle_after: 500ms}}\n",
        kafka.address()
    );
    let path = dir.join("palisade.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// Seconds since 1970: a worker judges silence against the present.
#[expect(clippy::disallowed_methods, reason = "the test stamps records as a broker does")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    since.as_secs().try_into().expect("a time before 2500")
}

/// A line of a firewall whose own clock stands still.
fn line(firewall: &str) -> Vec<u8> {
    format!("{{\"at\":1767225600,\"fw\":\"{firewall}\",\"src\":\"192.0.2.1\"}}").into_bytes()
}

/// Two firewalls, one of which stops an hour ago; ten minutes later half a hundred lines in a row are cut off. With the second of
/// receipt.
fn messages(now: i64) -> Vec<(i32, Vec<u8>, i64)> {
    let mut all = Vec::new();
    for (turn, at) in ((now - 26 * 60 * MINUTE)..now).step_by(5 * 60).enumerate() {
        let partition = turn as i32 % 2;
        all.push((1 - partition, line("fw-2"), at));
        if at < now - 60 * MINUTE {
            all.push((partition, line("fw-1"), at));
        }
        if (now - 50 * MINUTE..now - 45 * MINUTE).contains(&at) {
            all.extend((0..50).map(|_| (partition, b"{\"at\":1767225600,\"fw\":".to_vec(), at)));
        }
    }
    all
}

/// Title, what it is about, revision and activity of each alert.
fn alerts(warehouse: &Path) -> Vec<Value> {
    let rows = sql(
        warehouse,
        "SELECT finding_info.title AS title, unmapped, _revision AS revision, activity_name AS activity \
         FROM detection_finding ORDER BY title, revision",
    );
    let alert = |row: &Value| {
        let said: Value = serde_json::from_str(row["unmapped"].as_str().expect("a text")).expect("JSON");
        let of = said.get("device").or(said.get("topic")).cloned();
        json!([row["title"], of, row["revision"], row["activity"]])
    };
    rows.iter().map(alert).collect()
}

#[test]
fn a_silent_firewall_and_a_jump_of_dead_letters_are_told_once_and_closed() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    kafka.create_topic("watched", 2);
    let (config, warehouse) = (config(dir.path(), &kafka), dir.path().join("warehouse"));
    let now = now();
    let at = |(partition, payload, second): (i32, Vec<u8>, i64)| (partition, payload, second * 1_000);
    kafka.produce_at("watched", messages(now).into_iter().map(at));
    let mut workers = [Worker::start(&config, dir.path().join("worker.log"))];
    wait_until("the group has read all", &mut workers, || kafka.lag("watched", "watched") == 0);
    workers[0].kill_and_restart();
    let count = || number(&warehouse, "SELECT count(*) FROM detection_finding");
    wait_until("three revisions of two alerts", &mut workers, || count() >= 3);
    let (silent, many) = ("A log source has gone silent", "Many more records than usual cannot be decoded");
    let mut want = vec![
        json!([silent, "fw-1", 0, "Create"]),
        json!([many, "watched", 0, "Create"]),
        json!([many, "watched", 1, "Close"]),
    ];
    assert_eq!(alerts(&warehouse), want);
    workers[0].kill_and_restart();
    kafka.produce_at("watched", [at((0, line("fw-1"), now - 10 * MINUTE))]);
    wait_until("the silence is over", &mut workers, || count() >= 4);
    workers.into_iter().for_each(Worker::stop);
    // The end of what is there is no silence.
    run_to_end(&config);
    want.insert(1, json!([silent, "fw-1", 1, "Close"]));
    assert_eq!(alerts(&warehouse), want);
    let evidence = "SELECT count(*) FROM detection_finding f, dead_letter d \
                    WHERE f.evidences[1]['uid'] = concat(d._topic, '@', d._incarnation, '/', d._partition_id, '/', d._offset, '/', d._record)";
    assert_eq!(number(&warehouse, evidence), 1, "the jump names a dead letter");
    audit(&config, &warehouse);
}
