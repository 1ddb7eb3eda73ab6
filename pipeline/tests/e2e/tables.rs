//! `palisade tables` and `palisade check` as a user runs them.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::kit::{fleet, fleet_config, number, output, palisade, run_to_end, sql, stdout};

fn tables(action: &[&str], warehouse: &Path) -> Value {
    let text = stdout(palisade().arg("tables").args(action).args(["--output", "json", "--warehouse"]).arg(warehouse));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn audit(warehouse: &Path, config: &Path, truth: &Path) -> Output {
    let mut command = palisade();
    command.args(["tables", "audit", "--warehouse"]).arg(warehouse).arg("-c").arg(config).arg("--truth").arg(truth);
    output(&mut command)
}

#[test]
fn a_real_warehouse_is_listed_described_and_audited() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = (dir.path().join("logs"), dir.path().join("w"));
    fleet(&logs, 12, 20_000, "none");
    let config = fleet_config(dir.path(), &logs, &warehouse);
    assert_eq!(check(&config).status.code(), Some(0));
    run_to_end(&config);

    let list = tables(&["list"], &warehouse);
    let network = list.as_array().expect("a list").iter().find(|t| t["table"] == "network_activity").expect("a table");
    assert_eq!(network["rows"], number(&warehouse, "SELECT count(*) AS n FROM network_activity"));
    assert!(network["files"].as_u64() > Some(0) && network["last_commit"].is_string(), "{network}");
    let described = tables(&["describe", "network_activity"], &warehouse);
    assert_eq!(described["partitioning"][0], "time_day: day(time)");
    let properties = described["properties"].as_object().expect("properties");
    assert!(properties.keys().any(|k| k.starts_with("palisade.next.local.firewall.acme@")), "{properties:?}");
    let columns = described["columns"].as_array().expect("columns");
    assert!(columns.iter().any(|c| c["name"] == "src_endpoint.ip" && c["nullable"] == true), "{columns:?}");
    let snapshots = tables(&["snapshots", "network_activity"], &warehouse);
    let added: u64 = snapshots.as_array().expect("a list").iter().filter_map(|s| s["added_rows"].as_u64()).sum();
    assert_eq!(network["rows"], added);

    let out = audit(&warehouse, &config, &logs);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(0), "{text}");
    for id in ["chains", "I1", "I2", "I3", "I4", "I6", "I8", "I9", "I10"] {
        assert!(text.lines().any(|l| l.starts_with(&format!("{id:<7} ok "))), "{id}: {text}");
    }
    trace_alerts(&warehouse);
    let other = dir.path().join("other");
    fleet(&other, 13, 20_000, "none");
    let out = audit(&warehouse, &config, &other);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.code() == Some(1) && text.contains("I3      FAILED"), "another fleet's truth: {text}");
}

/// From an alert of a window, and from one of a single event, to the entries, files and snapshots of all that is behind it.
fn trace_alerts(warehouse: &Path) {
    for which in ["_topic = '_merge'", "_topic <> '_merge'"] {
        let query = format!(
            "SELECT finding_info.uid AS uid FROM detection_finding WHERE {which} AND _revision IS NOT NULL \
             AND cardinality(evidences) > 0 LIMIT 1"
        );
        let uid = sql(warehouse, &query).pop().expect("an alert")["uid"].as_str().expect("text").to_owned();
        let told = tables(&["trace", &uid], warehouse);
        let lines = told.as_array().expect("a list");
        let of = |what: &str| lines.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
        assert!(!of("alert").is_empty() && !of("evidence").is_empty() && of("row").is_empty(), "{told}");
        for line in lines {
            let (id, entry) = (line["id"].as_str().expect("text"), &line["entry"]);
            let attempt = entry["attempt"].as_str().expect("its entry is there");
            let files = entry["files"].as_array().expect("a list");
            assert!(
                !files.is_empty() && files.iter().all(|f| f.as_str().is_some_and(|f| f.contains(attempt))),
                "{line}"
            );
            assert!(entry["snapshots"].as_object().is_some_and(|tables| !tables.is_empty()), "{line}");
            if line["what"] == "evidence" {
                let (chain, range) = (entry["chain"].as_str().expect("text"), &entry["range"]);
                let offset: i64 = id.split('/').nth(2).and_then(|o| o.parse().ok()).expect("an offset");
                assert!(
                    id.starts_with(chain) && range[0].as_i64() <= Some(offset) && Some(offset) < range[1].as_i64(),
                    "{line}"
                );
                assert_eq!(tables(&["trace", id], warehouse)[0]["entry"], *entry, "the same by its own id");
            }
        }
    }
    let none = output(palisade().args(["tables", "trace", "no-id", "--warehouse"]).arg(warehouse));
    assert!(String::from_utf8_lossy(&none.stderr).contains("`no-id` is no alert in detection_finding"), "{none:?}");
}

fn check(config: &Path) -> Output {
    output(palisade().args(["check", "-c"]).arg(config))
}

#[test]
fn check_ends_with_the_exit_code_that_it_documents() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    std::fs::write(&config, "warehouse: {paht: w}\nsources: []\n").expect("a file");
    let out = check(&config);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.code() == Some(1) && text.contains("palisade.yaml:1:13: unknown key `paht`"), "{text}");
    assert_eq!(output(palisade().arg("check")).status.code(), Some(2), "no configuration is wrong usage");
    let out = output(palisade().args(["tables", "list", "--warehouse"]).arg(dir.path()));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && text.contains("no warehouse here"), "{text}");
}
