//! A backtest over what a live run has landed finds what the live run found: the same alerts under the same ids.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::kit::{fleet, fleet_config, palisade, run_to_end, sql, stdout};

/// The rules that ship, as files.
fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules")
}

fn backtest(warehouse: &Path, alerts: &Path, range: &[&str]) -> Value {
    let mut command = palisade();
    command.args(["rules", "backtest", "--output", "json", "--rules"]).arg(shipped());
    command.arg("--warehouse").arg(warehouse).arg("--alerts").arg(alerts).args(range);
    serde_json::from_str(&stdout(&mut command)).expect("a report")
}

/// Ids of the alerts that stand, from lines of OCSF JSON in the order of their revisions.
fn standing(file: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for line in std::fs::read_to_string(file).expect("the alerts").lines() {
        let alert: Value = serde_json::from_str(line).expect("a JSON line");
        let id = alert["finding_info"]["uid"].as_str().expect("an id").to_owned();
        if alert["activity_id"] == 3 {
            ids.remove(&id)
        } else {
            ids.insert(id)
        };
    }
    ids
}

#[test]
fn stored_rows_give_the_alerts_that_the_live_run_gave() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse, file) = (dir.path().join("logs"), dir.path().join("w"), dir.path().join("alerts.ndjson"));
    fleet(&logs, 7, 60_000, "none");
    run_to_end(&fleet_config(dir.path(), &logs, &warehouse));
    let late = sql(&warehouse, "SELECT count(*) AS n FROM late_window");
    assert_eq!(late[0]["n"], 0, "a live run that missed rows finds less");

    let last = "SELECT uid FROM (SELECT finding_info.uid AS uid, activity_id, row_number() OVER \
                (PARTITION BY finding_info.uid ORDER BY _revision DESC) AS n FROM detection_finding \
                WHERE substr(_topic, 1, 1) = '_') WHERE n = 1 AND activity_id <> 3";
    let live: BTreeSet<String> =
        sql(&warehouse, last).iter().map(|row| row["uid"].as_str().expect("an id").to_owned()).collect();
    let report = backtest(&warehouse, &file, &[]);
    assert!(live.len() > 10, "{} alerts", live.len());
    let found = standing(&file);
    let (lost, more) = (live.difference(&found).count(), found.difference(&live).count());
    assert_eq!((lost, more), (0, 0), "{} live alerts, {} of the backtest", live.len(), found.len());
    let counted = report["rules"].as_array().expect("a list").iter().filter_map(|rule| rule["alerts"].as_u64());
    assert_eq!(counted.sum::<u64>(), live.len() as u64);
    assert_eq!(report["rows_read"], report["rows_stored"], "all of it was read");

    // Of a part of the time, those whose windows begin in it.
    let (from, to) = (report["from"].as_str().expect("a time"), report["to"].as_str().expect("a time"));
    let middle = "SELECT arrow_cast((arrow_cast(min(time), 'Int64') + arrow_cast(max(time), 'Int64')) / 2, \
                  'Timestamp(Microsecond, None)') AS t FROM network_activity";
    let middle = format!("{}Z", sql(&warehouse, middle)[0]["t"].as_str().expect("a time"));
    let halves = [[from, &middle], [&middle, to]];
    let parts: Vec<BTreeSet<String>> = halves
        .map(|[from, to]| {
            let part = backtest(&warehouse, &file, &["--from", from, "--to", to]);
            // The first half is read on for as long as its windows reach.
            let is_first = from == report["from"].as_str().expect("a time");
            assert!(is_first || part["rows_read"].as_u64() < part["rows_stored"].as_u64(), "{part}");
            standing(&file)
        })
        .into();
    assert!(parts[0].is_disjoint(&parts[1]));
    assert_eq!(parts[0].union(&parts[1]).count(), parts[0].len() + parts[1].len());
    assert!(parts.iter().flatten().all(|id| live.contains(id)), "each is an alert of the live run");
}
