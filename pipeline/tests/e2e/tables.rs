//! `palisade tables` and `palisade check` as a user runs them.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::kit::{fleet, fleet_config, number, output, palisade, run_to_end, stdout};

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
    let other = dir.path().join("other");
    fleet(&other, 13, 20_000, "none");
    let out = audit(&warehouse, &config, &other);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.code() == Some(1) && text.contains("I3      FAILED"), "another fleet's truth: {text}");
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
