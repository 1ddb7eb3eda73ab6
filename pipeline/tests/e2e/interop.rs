//! The tables are open: PyIceberg reads them and agrees with `palisade sql`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::house::root;
use crate::kit::{fleet, fleet_config, number, python, run_to_end, stdout};

#[test]
fn pyiceberg_and_palisade_sql_agree() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = (dir.path().join("logs"), dir.path().join("warehouse"));
    fleet(&logs, 3, 20_000, "gzip");
    let summary = run_to_end(&fleet_config(dir.path(), &logs, &warehouse));
    let script = root().join("pipeline/tests/e2e/read_with_pyiceberg.py");
    let text = stdout(python().arg(script).arg(&warehouse));
    let tables: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut rows = 0;
    for (table, figures) in &tables {
        let figure = |name: &str| figures[name].as_i64();
        assert_eq!(figure("rows"), Some(number(&warehouse, &format!("SELECT count(*) AS n FROM {table}"))), "{table}");
        let offsets = format!("SELECT coalesce(sum(_offset % 1000003), 0) AS n FROM {table}");
        if figures.get("offsets").is_some() {
            assert_eq!(figure("offsets"), Some(number(&warehouse, &offsets)), "{table}");
        }
        if figures.get("distinct_src_ip").is_some() {
            let distinct = format!("SELECT count(DISTINCT src_endpoint.ip) AS n FROM {table}");
            assert_eq!(figure("distinct_src_ip"), Some(number(&warehouse, &distinct)), "{table}");
        }
        if figures.get("bytes_out").is_some() {
            let sum = format!("SELECT coalesce(sum(traffic.bytes_out), 0) AS n FROM {table}");
            assert_eq!(figure("bytes_out"), Some(number(&warehouse, &sum)), "{table}");
        }
        rows += figure("rows").unwrap_or(0);
    }
    let records = summary["records_read"].as_i64().expect("a number");
    assert!(rows >= records && tables.len() >= 6, "{rows} rows for {records} records in {tables:?}");
}
