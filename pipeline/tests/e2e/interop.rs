//! The tables are open: PyIceberg and DuckDB read them and agree with `palisade sql`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::house::root;
use crate::kit::{fleet, fleet_config, python, run_to_end, sql, stdout};

/// What the readers tell of a table, as Palisade's SQL; of those columns that the table has.
const FIGURES: [(&str, &str); 7] = [
    ("rows", "count(*)"),
    ("offsets", "coalesce(sum(_offset % 1000003), 0)"),
    ("distinct_src_ip", "count(DISTINCT src_endpoint.ip)"),
    ("distinct_dst_ip", "count(DISTINCT dst_ip)"),
    ("bytes_out", "coalesce(sum(traffic.bytes_out), 0)"),
    ("time_us_min", "coalesce(CAST(min(time) AS BIGINT), 0)"),
    ("time_us_max", "coalesce(CAST(max(time) AS BIGINT), 0)"),
];

/// Figures a table.
type Figures = BTreeMap<String, BTreeMap<String, i64>>;

/// What a script beside this file reads.
fn read_with(script: &str, warehouse: &Path) -> Figures {
    let text = stdout(python().arg(root().join("pipeline/tests/e2e").join(script)).arg(warehouse));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The same by `palisade sql`.
fn read_with_palisade(wanted: &Figures, warehouse: &Path) -> Figures {
    let read = |(table, figures): (&String, &BTreeMap<String, i64>)| {
        let columns = FIGURES.iter().filter(|(name, _)| figures.contains_key(*name));
        let columns: Vec<String> = columns.map(|(name, sql)| format!("{sql} AS {name}")).collect();
        let rows = sql(warehouse, &format!("SELECT {} FROM {table}", columns.join(", ")));
        (table.clone(), serde_json::from_value(rows[0].clone()).unwrap_or_else(|e| panic!("{table}: {rows:?}: {e}")))
    };
    wanted.iter().map(read).collect()
}

#[test]
fn pyiceberg_duckdb_and_palisade_sql_agree() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = (dir.path().join("logs"), dir.path().join("warehouse"));
    fleet(&logs, 3, 20_000, "gzip");
    let summary: Value = run_to_end(&fleet_config(dir.path(), &logs, &warehouse));
    let pyiceberg = read_with("read_with_pyiceberg.py", &warehouse);
    assert_eq!(pyiceberg, read_with("read_with_duckdb.py", &warehouse), "PyIceberg and DuckDB");
    assert_eq!(pyiceberg, read_with_palisade(&pyiceberg, &warehouse), "PyIceberg and Palisade");
    assert_eq!(pyiceberg["network_activity"].len(), FIGURES.len(), "{pyiceberg:?}");
    let rows: i64 = pyiceberg.values().map(|figures| figures["rows"]).sum();
    let records = summary["records_read"].as_i64().expect("a number");
    assert!(rows >= records && pyiceberg.len() >= 6, "{rows} rows for {records} records in {pyiceberg:?}");
}
