//! A thousand random streams through windows of every kind: what two workers find in them, of which one or the other is killed
//! now and then, is what batch SQL finds in the tables that they have landed.
//!
//! A stream is a key of its own, whose rows lie in any of eight partitions, out of order, some of them too late. What compares is
//! the audit: each rule's SQL by plain DataFusion over the stored rows, beside the alerts in their last revision.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::crash::Dice;
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{number, output, palisade, run_to_end};

const STREAMS: u64 = 1_000;
const ROWS: u64 = 40_000;
const PARTITIONS: u64 = 8;
/// The workers get so many rows at once, and one of them is killed in the midst of each such part.
const PART: usize = 8_000;

pub(crate) const MAPPING: &str = "\
name: streams
product: {vendor: Example, name: Streams}
format: json
match: {stream: '*'}
class: network_activity
time: {from: at, unit: us}
activity: Traffic
attributes:
  src_endpoint.hostname: stream
  src_endpoint.ip: ip
  dst_endpoint.ip: to
  dst_endpoint.port: port
  traffic.bytes_out: bytes
";

const COLUMNS: &str = "src_endpoint.hostname AS stream, src_ip, count(*) AS n, sum(traffic.bytes_out) AS bytes, \
    count(DISTINCT dst_port) AS ports, min(dst_port) AS low, max(traffic.bytes_out) AS most, avg(dst_port) AS mean, \
    array_agg(dst_port) AS all_ports, approx_distinct(dst_port) AS about, approx_percentile_cont(traffic.bytes_out, 0.9) AS tail, \
    count(*) FILTER (WHERE dst_port > 4) AS high";

/// Name, FROM clause, HAVING and what the head adds; `$T` is the table and its time.
const RULES: [(&str, &str, &str, &str); 6] = [
    ("tumble", "TUMBLE($T, INTERVAL '1' MINUTE)", "count(*) > 1", ""),
    ("hop", "HOP($T, INTERVAL '20' SECOND, INTERVAL '1' MINUTE)", "count(DISTINCT dst_port) > 1", ""),
    (
        "early",
        "HOP($T, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)",
        "sum(traffic.bytes_out) > 900",
        "emit: on_threshold\n",
    ),
    ("cumulate", "CUMULATE($T, INTERVAL '2' MINUTE, INTERVAL '10' MINUTE)", "count(*) > 3", ""),
    ("session", "SESSION($T, INTERVAL '30' SECOND, INTERVAL '10' MINUTE)", "count(*) > 1", ""),
    ("none", "", "", ""),
];

fn write_rules(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a writable folder");
    for (i, (name, window, having, head)) in RULES.into_iter().enumerate() {
        let window = window.replace("$T", "TABLE network_activity, DESCRIPTOR(time)");
        let sql = match window.as_str() {
            "" => "WITH odd AS (SELECT src_endpoint.hostname AS stream, dst_port + 1 AS next FROM network_activity) \
                   SELECT stream, next FROM odd WHERE next % 13 = 0"
                .to_owned(),
            _ => format!(
                "SELECT window_start, window_end, {COLUMNS} FROM {window} \
                 GROUP BY window_start, window_end, src_endpoint.hostname, src_ip HAVING {having}"
            ),
        };
        let lateness = if window.is_empty() { "" } else { "allowed_lateness: 40s\n" };
        let text = format!(
            "title: Streams, {name}\nid: 7b0e2f9a-0000-4000-8000-00000000000{i}\nversion: 1\nlevel: low\n{head}{lateness}sql: {sql}\n"
        );
        std::fs::write(folder.join(format!("{name}.yaml")), text).expect("a writable folder");
    }
}

/// Rows of all streams, an hour of them: partition and line. All are out of order by less than the watermark's bound or, one of 50,
/// than the allowed lateness; but in minutes 0, 20 and 40 such a row may come too late for its windows.
fn rows(seed: u64) -> Vec<(i32, Vec<u8>)> {
    let (mut dice, start, step) = (Dice(seed), 1_767_225_600_000_000, 3_600_000_000 / ROWS);
    let row = |i: u64| {
        let late = if (i * step / 60_000_000).is_multiple_of(20) { 240_000_000 } else { 45_000_000 };
        let bound = if dice.roll(50) == 0 { late } else { 9_000_000 };
        let jitter = dice.roll(bound);
        let at = start + i * step - jitter;
        let (stream, ip, port) = (dice.roll(STREAMS), dice.roll(2), dice.roll(9));
        let mut line = format!("{{\"at\":{at},\"stream\":\"s{stream}\",\"ip\":\"10.0.0.{ip}\",\"to\":\"192.0.2.1\"");
        if port > 0 {
            line += &format!(",\"port\":{}", port * 3);
        }
        line += &format!(",\"bytes\":{}}}", dice.roll(400));
        (dice.roll(PARTITIONS) as i32, line.into_bytes())
    };
    (0..ROWS).map(row).collect()
}

fn config(dir: &Path, kafka: &Kafka) -> PathBuf {
    std::fs::write(dir.join("streams.mapping.yaml"), MAPPING).expect("a writable folder");
    write_rules(&dir.join("rules"));
    let yaml = format!(
        "warehouse: {{path: warehouse, merge_groups: 4}}\n\
         decode: {{mappings: [streams.mapping.yaml]}}\n\
         rules: {{builtin: false, paths: [rules]}}\n\
         sources:\n  - name: streams\n    tenant: acme\n    \
         kafka: {{brokers: \"{}\", topic: streams, group: streams, session_timeout: 6s}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 500ms, step_interval: 100ms, state_interval: 1s, flush_rows: 700}}\n",
        kafka.address()
    );
    let path = dir.join("palisade.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

pub(crate) fn audit(config: &Path, warehouse: &Path) -> Value {
    let mut command = palisade();
    command.args(["tables", "audit", "--output", "json", "--warehouse"]).arg(warehouse).arg("-c").arg(config);
    let out = output(&mut command);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_thousand_streams_give_what_batch_sql_finds_in_the_tables() {
    let seed = std::env::var("PALISADE_STREAMS_SEED").map_or(20_261_129, |seed| seed.parse().expect("a number"));
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    kafka.create_topic("streams", PARTITIONS as i32);
    let (config, warehouse) = (config(dir.path(), &kafka), dir.path().join("warehouse"));
    let start = |n: usize| Worker::start(&config, dir.path().join(format!("worker-{n}.log")));
    let mut workers = [start(0), start(1)];
    for (kill, part) in rows(seed).chunks(PART).enumerate() {
        kafka.produce("streams", part.iter().cloned());
        let is_half_read = || kafka.lag("streams", "streams") <= PART as i64 / 2;
        wait_until(&format!("half of part {kill} is read"), &mut workers, is_half_read);
        workers[kill % 2].kill_and_restart();
    }
    wait_until("the group has read all", &mut workers, || kafka.lag("streams", "streams") == 0);
    workers.into_iter().for_each(Worker::stop);
    run_to_end(&config);

    assert_eq!(number(&warehouse, "SELECT count(*) FROM network_activity"), ROWS as i64);
    assert_eq!(
        number(&warehouse, "SELECT count(DISTINCT src_endpoint.hostname) FROM network_activity"),
        STREAMS as i64
    );
    let partitions = "SELECT max(n) FROM (SELECT count(DISTINCT _partition_id) AS n FROM network_activity GROUP BY src_endpoint.hostname)";
    assert_eq!(number(&warehouse, partitions), PARTITIONS as i64, "keys span partitions");
    for (name, ..) in RULES {
        let sql = format!(
            "SELECT count(DISTINCT finding_info.uid) FROM detection_finding WHERE finding_info.title = 'Streams, {name}'"
        );
        let alerts = number(&warehouse, &sql);
        assert!(alerts > STREAMS as i64, "{name}: {alerts} alerts");
    }
    assert!(number(&warehouse, "SELECT count(*) FROM detection_finding WHERE _revision > 0") > 0, "late rows revise");
    let audit = audit(&config, &warehouse);
    let alerts = audit.as_array().into_iter().flatten().find(|invariant| invariant["id"] == "I4").expect("I4");
    println!("streams: seed {seed}; {}", alerts["detail"]);
    assert_eq!(alerts["verdict"], "ok");
}
