//! Spark maintains the tables of a lake beside a worker: what was deleted stays gone, the rest is there once, and every reader counts
//! the same.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::house::{cache, read, root};
use crate::kafka::{Worker, wait_until};
use crate::kit::{python, stdout};
use crate::lake_server::{KEYS, Lake};
use crate::service::counted;

/// The Python with PySpark that `.ci/setup` installed, or `PALISADE_SPARK_PYTHON`.
pub(crate) fn spark_python() -> PathBuf {
    installed("PALISADE_SPARK_PYTHON", "venv/bin/python")
}

/// The jars of Iceberg for Spark, or `PALISADE_SPARK_JARS`.
pub(crate) fn jars() -> PathBuf {
    let pom = read(".ci/spark/pom.xml");
    let version = pom.split("<iceberg.version>").nth(1).and_then(|rest| rest.split('<').next()).expect("a version");
    installed("PALISADE_SPARK_JARS", &format!("{version}/libs"))
}

fn installed(variable: &str, below: &str) -> PathBuf {
    let cached = || cache().expect("a cache").join("spark").join(below);
    let path = std::env::var_os(variable).map_or_else(cached, PathBuf::from);
    assert!(path.exists(), "no Spark ({variable}, {}): run .ci/setup", path.display());
    path
}

/// `docs/spark/maintain.py` on that Spark.
fn maintain(lake: &Lake) -> Command {
    let (python, jars) = (spark_python(), jars());
    let mut command = Command::new(&python);
    command.arg(root().join("docs/spark/maintain.py")).arg("--jars").arg(jars);
    command.args(["--uri", &lake.uri(), "--s3-endpoint", &lake.endpoint()]);
    let local = ["master=local[1]", "ui.enabled=false", "driver.memory=768m", "sql.shuffle.partitions=1"];
    local.iter().for_each(|setting| _ = command.arg("--conf").arg(format!("spark.{setting}")));
    command.env("PYSPARK_PYTHON", &python).env("SPARK_LOCAL_IP", "127.0.0.1").envs(KEYS);
    command
}

/// A worker that gets thirty events a second for longer than any test takes.
fn config(lake: &Lake) -> PathBuf {
    let yaml = format!(
        "{}sources: [{{generator: {{seed: 5, events: 36000, duration: 20m, tenants: 2}}}}]\n\
         worker: {{flush_interval: 4s, commit_interval: 1s, step_interval: 4s}}\n\
         telemetry: {{listen: '127.0.0.1:0'}}\n",
        lake.yaml("kept")
    );
    let path = lake.dir.path().join("kept.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// Rows that a worker has committed to a table.
fn committed(address: &str, table: &str) -> u64 {
    counted(address, &format!("palisade_events_committed_total{{table=\"{table}\"}}"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

#[test]
fn spark_rewrites_deletes_and_expires_beside_a_worker() {
    let lake = Lake::start();
    let config = config(&lake);
    let sql = |query: &str| {
        let mut command = lake.palisade();
        lines(&stdout(command.args(["sql", "--output", "json", "-c"]).arg(&config).arg(query)))
    };
    let number = |query: &str| sql(query)[0]["n"].as_i64().unwrap_or_else(|| panic!("{query}: no number"));
    let keys: Vec<_> = KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let worker = Worker::start_in(&config, lake.dir.path().join("worker.log"), keys.clone());
    let mut workers = [worker];
    workers[0].wait_until_ready();
    let address = workers[0].address();
    let tables = ["network_activity", "http_activity"];
    let has_some = || tables.iter().all(|table| committed(&address, table) >= 40);
    wait_until("rows are committed", &mut workers, has_some);

    // Of each partition of the tenant all rows below are committed: a table takes ranges in order.
    let upto = number(
        "SELECT min(m) AS n FROM (SELECT _partition_id, max(_offset) AS m FROM network_activity WHERE tenant_uid = 'acme' GROUP BY 1)",
    );
    let doomed = format!("tenant_uid = 'acme' AND _offset < {upto}");
    let count = format!("SELECT count(*) AS n FROM network_activity WHERE {doomed}");
    let deleted = number(&count);
    assert!(deleted > 0, "no rows of acme below {upto}");

    let mut spark = maintain(&lake);
    spark.args(["--delete", tables[0], &doomed, "--min-input-files", "2", "--retain-last", "1"]);
    tables.iter().for_each(|table| _ = spark.args(["--rewrite", table, "--manifests", table]));
    let steps = lines(&stdout(spark.args(["--expire", tables[1], "2100-01-01 00:00:00"])));
    let rewritten = steps.iter().filter_map(|step| step["rewritten_data_files_count"].as_i64());
    assert!(rewritten.clone().count() == 2 && rewritten.clone().all(|files| files > 1), "{steps:?}");
    println!("{steps:?}");
    assert_eq!(number(&count), 0, "they are gone");

    let now = committed(&address, tables[0]);
    wait_until("the worker goes on", &mut workers, || committed(&address, tables[0]) > now);
    workers.into_iter().for_each(Worker::stop);
    assert_eq!(number(&count), 0, "they stay gone");

    // While nobody works a table may be partitioned otherwise; whoever starts then writes so.
    stdout(maintain(&lake).args(["--partition", tables[1], "hour"]));
    let mut workers = [Worker::start_in(&config, lake.dir.path().join("again.log"), keys)];
    workers[0].wait_until_ready();
    let address = workers[0].address();
    wait_until("rows are committed by the hour", &mut workers, || committed(&address, tables[1]) >= 20);
    workers.into_iter().for_each(Worker::stop);
    let described = stdout(lake.palisade().args(["tables", "describe", tables[1], "-c"]).arg(&config));
    assert!(described.contains("hour(time)"), "{described}");

    let audit = stdout(lake.palisade().args(["tables", "audit", "-c"]).arg(&config));
    println!("{audit}");
    assert!(!audit.contains("FAILED"), "{audit}");
    let balance = audit.lines().find(|line| line.starts_with("I10 ")).expect("I10");
    assert!(
        balance.starts_with("I10     ok ") && balance.contains(&format!("{deleted} deleted by another engine")),
        "{audit}"
    );
    assert!(audit.contains("rows were deleted by another engine"), "I4 says so: {audit}");

    let mut spark = maintain(&lake);
    let spark = lines(&stdout(spark.args(["--report", tables[0], "--report", tables[1]])));
    let mut reader = python();
    reader.arg(root().join("pipeline/tests/e2e/read_with_pyiceberg.py")).args([lake.uri(), lake.endpoint()]).envs(KEYS);
    let pyiceberg: Value = serde_json::from_str(&stdout(&mut reader)).expect("a JSON object");
    for (table, by_spark) in tables.iter().zip(spark) {
        let ours = number(&format!("SELECT count(*) AS n FROM {table}"));
        assert_eq!((&by_spark["rows"], &pyiceberg[table]["rows"]), (&ours.into(), &ours.into()), "{table}");
    }
}
