//! Partitions of which one has a hundred times the rows of another, one is silent, one stalls, and all wait at once for a worker that
//! was held up: windows wait for rows that are on their way, and only for those.

use std::path::{Path, PathBuf};

use rustix::process::{Signal, kill_process};

use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{number, run_to_end};
use crate::stall::pass;
use crate::streams::{MAPPING, audit};

const IDLE_SECONDS: u64 = 3;
const MINUTE_US: u64 = 60_000_000;
const START_US: u64 = 1_767_225_600_000_000;

const RULE: &str = "\
title: Rows a minute
id: 7b0e2f9a-0000-4000-8000-0000000000aa
version: 1
level: low
sql: >
  SELECT window_start, window_end, src_endpoint.hostname AS stream, count(*) AS n
  FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
  GROUP BY window_start, window_end, src_endpoint.hostname
";

fn config(dir: &Path, kafka: &Kafka) -> PathBuf {
    let rules = dir.join("rules");
    std::fs::create_dir_all(&rules).expect("a writable folder");
    std::fs::write(rules.join("rows.yaml"), RULE).expect("a writable folder");
    std::fs::write(dir.join("streams.mapping.yaml"), MAPPING).expect("a writable folder");
    let yaml = format!(
        "warehouse: {{path: warehouse, merge_groups: 2}}\n\
         decode: {{mappings: [streams.mapping.yaml]}}\n\
         rules: {{builtin: false, paths: [rules]}}\n\
         sources:\n  - name: uneven\n    tenant: acme\n    \
         kafka: {{brokers: \"{}\", topic: uneven, group: uneven, session_timeout: 30s}}\n\
         worker: {{flush_interval: 100ms, commit_interval: 500ms, step_interval: 50ms, flush_rows: 300, idle_after: {IDLE_SECONDS}s, disorder: 5m, \
         queue_rows: 300}}\n",
        kafka.address()
    );
    let path = dir.join("palisade.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// So many rows of a partition, spread over minutes.
fn rows(partition: i32, count: u64, minutes: std::ops::Range<u64>) -> Vec<(i32, Vec<u8>)> {
    let (from, span) = (START_US + minutes.start * MINUTE_US, (minutes.end - minutes.start) * MINUTE_US);
    let line = |i: u64| {
        let (at, stream) = (from + i * span / count, i % 7);
        format!("{{\"at\":{at},\"stream\":\"s{stream}\",\"ip\":\"10.0.0.1\",\"to\":\"192.0.2.1\",\"bytes\":{i}}}")
    };
    (0..count).map(|i| (partition, line(i).into_bytes())).collect()
}

#[test]
fn windows_wait_for_rows_that_are_on_their_way_and_for_no_others() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (busy, light, _silent, stalls) = (0, 1, 2, 3);
    kafka.create_topic("uneven", 4);
    let (config, warehouse) = (config(dir.path(), &kafka), dir.path().join("warehouse"));
    let mut workers = [Worker::start(&config, dir.path().join("worker.log"))];
    let send = |parts: &[Vec<(i32, Vec<u8>)>]| kafka.produce("uneven", parts.concat());
    let all_read = || kafka.lag("uneven", "uneven") == 0;

    send(&[rows(busy, 3_000, 0..3), rows(light, 30, 0..3), rows(stalls, 30, 0..3)]);
    wait_until("the first minutes are read", &mut workers, all_read);
    // Held up for longer than a partition may be silent, while it is not.
    kill_process(workers[0].pid(), Signal::STOP).expect("our child");
    send(&[rows(busy, 40_000, 5..25), rows(light, 60, 5..11)]);
    pass(std::time::Duration::from_secs(IDLE_SECONDS + 1));
    kill_process(workers[0].pid(), Signal::CONT).expect("our child");
    wait_until("what had piled up is read", &mut workers, all_read);
    // Neither who was silent from the beginning nor who stalls holds windows open.
    let closed = "SELECT count(*) FROM detection_finding";
    wait_until("windows close", &mut workers, || number(&warehouse, closed) > 0);
    // All have been silent: whoever is heard of first moves time on by no more than the disorder.
    send(&[rows(busy, 3_000, 25..28), rows(light, 30, 25..28), rows(stalls, 30, 25..28)]);
    wait_until("all is read", &mut workers, all_read);
    workers.into_iter().for_each(Worker::stop);
    run_to_end(&config);

    assert_eq!(number(&warehouse, "SELECT count(*) FROM network_activity"), 46_180);
    assert_eq!(number(&warehouse, "SELECT count(*) FROM late_window"), 0, "no row came too late");
    // Alerts are what batch SQL finds in the tables.
    audit(&config, &warehouse);
}
