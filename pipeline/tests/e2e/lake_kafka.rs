//! Kafka, a bucket and a REST catalog together: three workers that are killed all the way, and what Spark, DuckDB and PyIceberg then
//! read is the generator's log, row by row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::crash::{Dice, run};
use crate::house::root;
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{palisade, python, sized, stdout};
use crate::lake::{assert_whole, with_keys};
use crate::lake_server::{KEYS, Lake};
use crate::lake_spark::{jars, spark_python};

/// A topic's records, its truth, and the configuration of workers that share it and a warehouse in the lake.
fn scene(lake: &Lake, kafka: &Kafka, events: u64, partitions: u64) -> (PathBuf, PathBuf) {
    let truth = lake.dir.path().join("truth");
    let mut fill = palisade();
    // A tenant's people and hosts are as many however many events there are: in one hour millions are more than rules bear of
    // anybody. A day of work is as long as may be: at night every change to a firewall is an alert.
    let hours = events.div_ceil(250_000).min(11);
    let (span, tenants) = (format!("{hours}h"), events.div_ceil(hours * 125_000).max(2).to_string());
    fill.args(["loadgen", "--topic", "firewall", "--seed", "29", "--events", &events.to_string(), "--span", &span]);
    fill.args(["--tenants", &tenants, "--partitions", &partitions.to_string(), "--kafka", &kafka.address(), "--out"]);
    stdout(fill.arg(&truth));
    let flush_rows = (events / (12 * partitions)).clamp(100, 100_000);
    // A state of a window holds what it saw: of millions, written every few seconds, they fill the bucket.
    let state_interval = if events < 1_000_000 { "5s" } else { "60s" };
    let yaml = format!(
        "{}  merge_groups: 4\nsources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{}', topic: firewall, group: fleet, session_timeout: 6s}}\n\
         enrich: {{country: builtin, intel: [builtin]}}\n\
         worker: {{flush_interval: 2s, commit_interval: 2s, step_interval: 500ms, state_interval: {state_interval}, flush_rows: {flush_rows}}}\n",
        lake.yaml("fleet"),
        kafka.address()
    );
    let config = lake.dir.path().join("fleet.yaml");
    std::fs::write(&config, yaml).expect("a writable folder");
    (truth, config)
}

/// Three workers to the end of the topic. Each time that the group's lag falls below a drawn point one of them is killed, asked to end, or
/// stopped until the others went on. How many were stopped.
fn run_three(lake: &Lake, kafka: &Kafka, config: &Path, events: u64, departures: u64) -> u64 {
    let keys = || KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let start = |n: usize| Worker::start_in(config, lake.dir.path().join(format!("worker-{n}.log")), keys());
    let mut workers = [start(0), start(1), start(2)];
    let (mut dice, mut zombies) = (Dice(20_261_130), 0);
    let mut points: Vec<u64> = (0..departures).map(|_| dice.roll(events * 8 / 10)).collect();
    points.sort_unstable();
    let lag = || u64::try_from(kafka.lag("fleet", "firewall")).unwrap_or(0);
    for (nth, point) in points.into_iter().enumerate() {
        wait_until(&format!("{point} records before departure {nth}"), &mut workers, || lag() + point <= events);
        let worker = &mut workers[dice.roll(3) as usize];
        match dice.roll(3) {
            0 => worker.leave_and_return(),
            1 => worker.kill_and_restart(),
            _ => {
                let before = lag();
                kill_process(worker.pid(), Signal::STOP).expect("our child");
                let (stopped, moved) = (worker.pid(), before.saturating_sub(events / 20));
                wait_until("the others go on", &mut workers, || lag() <= moved);
                kill_process(stopped, Signal::CONT).expect("our child");
                zombies += 1;
            }
        }
    }
    wait_until("the group has read all", &mut workers, || lag() == 0);
    workers.into_iter().for_each(Worker::stop);
    // There is nothing left to read: this closes the windows that are still open.
    stdout(&mut with_keys(lake, run(config)));
    zombies
}

/// What one engine says of each table beside the truth: every record is there, once, with its values, and nothing else.
fn agrees(mut engine: Command, name: &str, lake: &Lake, truth: &Path, more: Option<PathBuf>) -> BTreeMap<String, i64> {
    engine.arg(root().join("pipeline/tests/e2e/agree_with_truth.py")).arg(name).arg(truth.join("truth.parquet"));
    engine.args([lake.uri(), lake.endpoint()]).args(more).envs(KEYS);
    let mut rows = BTreeMap::new();
    for line in stdout(&mut engine).lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}: {line}: {e}"));
        for figure in ["missing", "extra", "altered", "doubled"] {
            assert_eq!(told[figure], 0, "{name}: {told}");
        }
        assert_eq!(told["found"], told["wanted"], "{name}: {told}");
        rows.insert(told["table"].as_str().expect("a name").to_owned(), told["found"].as_i64().expect("a number"));
    }
    rows
}

#[test]
fn what_three_killed_workers_stored_is_the_generators_log_to_every_engine() {
    let events = sized("PALISADE_LAKE_EVENTS", 40_000);
    let (lake, kafka) = (Lake::start(), Kafka::start());
    let (truth, config) = scene(&lake, &kafka, events, sized("PALISADE_LAKE_PARTITIONS", 8));
    let departures = sized("PALISADE_LAKE_DEPARTURES", 4);
    let zombies = run_three(&lake, &kafka, &config, events, departures);
    println!("{departures} departures, {zombies} of them zombies");
    assert_whole(&lake, &config, &truth, &["--kafka"]);

    let duckdb = agrees(python(), "duckdb", &lake, &truth, None);
    let pyiceberg = agrees(python(), "pyiceberg", &lake, &truth, None);
    let mut spark = Command::new(spark_python());
    spark.env("PYSPARK_PYTHON", spark_python()).env("SPARK_LOCAL_IP", "127.0.0.1");
    let spark = agrees(spark, "spark", &lake, &truth, Some(jars()));
    println!("{duckdb:?}");
    assert_eq!((&duckdb, &duckdb), (&pyiceberg, &spark));
    let rows: i64 = duckdb.values().sum();
    assert!(rows >= i64::try_from(events).expect("few"), "{rows} rows of {events} records: {duckdb:?}");
}
