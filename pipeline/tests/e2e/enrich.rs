//! Enrichment tables that change while a worker runs: each ledger entry names the one version that its rows got.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::exceptions::minute;
use crate::kit::{on_thread, run_to_end, sql};
use crate::service::{counted, start_and_hear};
use crate::streams::audit;

/// An indicator of every address, in a file that was written long ago: a new one waits until nobody writes it any more.
fn write_intel(path: &Path, category: &str) {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh).expect("a writable folder");
    writeln!(file, "ip,category,confidence\n0.0.0.0/0,{category},50").expect("written");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("a time");
    std::fs::rename(fresh, path).expect("renamed");
}

/// Ranges by topic and partition: start, end and the version of their intelligence.
type Ranges = BTreeMap<(String, i64), Vec<(i64, i64, String)>>;

/// The source entries below a folder of the ledger.
fn ranges(folder: &Path, found: &mut Ranges) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("readable").path()) {
        if entry.is_dir() {
            ranges(&entry, found);
            continue;
        }
        let text: Value = serde_json::from_slice(&std::fs::read(&entry).expect("readable")).expect("JSON");
        let entry = &text["entry"];
        let (Some(start), Some(next)) = (entry["start"].as_i64(), entry["next"].as_i64()) else { continue };
        let version = entry["versions"]["intel"].as_str().expect("a version").to_owned();
        let partition = &entry["partition"];
        let topic = partition["topic"].as_str().expect("a topic").to_owned();
        let number = partition["partition"].as_i64().expect("a number");
        found.entry((topic, number)).or_default().push((start, next, version));
    }
}

/// Reads the worker's counter of source entries until it has grown by `more`.
fn wait_for_entries(address: &str, more: u64) {
    let count = || counted(address, "palisade_ledger_entries_total{chain=\"source\"}");
    let first = count();
    while count() < first + more {}
}

#[test]
fn a_range_has_one_version_of_each_table() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (config, intel) = (dir.path().join("palisade.yaml"), dir.path().join("intel.csv"));
    write_intel(&intel, "before");
    let yaml = "warehouse: {path: w}\nsources: [{generator: {seed: 4, events: 2000000, duration: 10m}}]\n\
                enrich: {intel: [intel.csv], reload_interval: 50ms}\n\
                worker: {flush_interval: 100ms, commit_interval: 200ms}\ntelemetry: {listen: '127.0.0.1:0'}\n";
    std::fs::write(&config, yaml).expect("a file");
    let (mut child, address, mut lines) = start_and_hear(&config);
    wait_for_entries(&address, 8);
    write_intel(&intel, "after");
    lines.find(|line| line.contains("enrichment table in force")).expect("it says that it reloads");
    on_thread(move || lines.for_each(drop));
    wait_for_entries(&address, 8);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("our child");
    child.stdout.take().expect("piped").read_to_end(&mut Vec::new()).expect("a summary");
    assert!(child.wait().expect("our child").success());

    let mut found = Ranges::new();
    ranges(&dir.path().join("w/local/ledger"), &mut found);
    let versions: BTreeSet<&String> = found.values().flatten().map(|(.., version)| version).collect();
    assert_eq!(versions.len(), 2, "one version before, one after: {versions:?}");
    let rows = sql(
        &dir.path().join("w"),
        "SELECT _topic, _partition_id, src_intel_category AS category, min(_offset) AS first, max(_offset) AS last \
         FROM network_activity WHERE src_intel_category IS NOT NULL GROUP BY 1, 2, 3",
    );
    let mut versions_by_category: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for row in &rows {
        let topic = row["_topic"].as_str().expect("a topic").to_owned();
        let own = &found[&(topic, row["_partition_id"].as_i64().expect("a number"))];
        for offset in ["first", "last"].map(|name| row[name].as_i64().expect("an offset")) {
            let range = own.iter().find(|(start, next, _)| (*start..*next).contains(&offset));
            let category = row["category"].as_str().expect("a category");
            versions_by_category.entry(category).or_default().insert(&range.expect("an entry holds the row").2);
        }
    }
    assert_eq!(versions_by_category.keys().collect::<Vec<_>>(), [&"after", &"before"]);
    assert!(versions_by_category.values().all(|versions| versions.len() == 1), "{versions_by_category:?}");
}

const JOINED: &str = "title: An owner's critical host refuses
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c40
version: 1
level: low
sql: |
  SELECT window_start, e.src_ip, a.name, a.owner AS owner, count(*) AS attempts
  FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) AS e
  JOIN assets AS a ON a.ip = e.dst_ip
  WHERE a.criticality = 'critical' AND action_id = 2
  GROUP BY window_start, window_end, e.src_ip, a.name, a.owner
  HAVING count(*) > 5
";

#[test]
fn a_rule_joins_what_rows_were_enriched_with_and_the_audit_joins_the_same() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a writable folder");
    let yaml = "warehouse: {path: w}\nsources: [{name: fw, tenant: acme, files: {paths: ['*.log']}}]\n\
                enrich: {assets: [assets.csv]}\nrules: {builtin: false, paths: [joined.yaml]}\n";
    let others = "tenant,ip,name,criticality,owner\nglobex,198.51.100.1,web-9,critical,mallory\n";
    for (name, text) in [("joined.yaml", JOINED), ("p.yaml", yaml), ("a.log", &minute(8, 0))] {
        write(name, text);
    }
    // Of another tenant, then of ours and critical, then ours and not: each row has what was so when it was decoded.
    let config = dir.path().join("p.yaml");
    for (log, assets) in [
        ("a.log", ""),
        ("b.log", "acme,198.51.100.1,web-1,critical,ann\n"),
        ("c.log", "acme,198.51.100.1,web-1,low,ann\n"),
    ] {
        write("assets.csv", &format!("{others}{assets}"));
        write(log, &minute(8, u32::from(log.as_bytes()[0] - b'a')));
        run_to_end(&config);
    }
    let found = sql(&dir.path().join("w"), "SELECT src_ip, unmapped FROM detection_finding ORDER BY src_ip");
    let values: Vec<Value> = found
        .iter()
        .map(|row| serde_json::from_str(row["unmapped"].as_str().expect("a text")).expect("JSON"))
        .collect();
    let alert = |ip: &str| json!({"window_start": "2026-01-05T08:01:00.000000Z", "src_ip": ip, "dst_asset_name": "web-1", "owner": "ann", "attempts": 10});
    assert_eq!(values, [alert("10.0.0.1"), alert("10.0.0.9")]);
    audit(&config, &dir.path().join("w"));
}
