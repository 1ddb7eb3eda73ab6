//! Real records of all families: those of the formats that have code or mappings of their own become what they tell of, and
//! of none is one lost. They are no part of the repository: `$PALISADE_CORPUS/logs/*.ndjson.gz`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::*;

/// Families of which nearly every record must be of a class of its own: what they are called, and how their names begin.
const OWN: [(&str, &[&str]); 6] = [
    ("PAN-OS", &["paloalto", "palo_alto"]),
    ("CloudTrail", &["cloudtrail", "AWS.CloudTrail"]),
    ("VPC flow", &["AWS.VPCFlow"]),
    ("Azure", &["Azure."]),
    ("GCP", &["GCP."]),
    ("Okta", &["Okta.", "okta:"]),
];

/// Of a hundred records of such a family.
const SHARE_MIN: usize = 99;

/// What a row says that no decoder has read.
const UNKNOWN: &str = r#""vendor_name":"Unknown""#;

/// What a LogEntry of Google Cloud bears its event in.
const PAYLOADS: [&str; 4] = ["protoPayload", "protopayload", "jsonPayload", "jsonpayload"];

/// What became of the records of a family.
#[derive(Debug, Default)]
struct Share {
    records: usize,
    /// Records of which every row is of another class than base_event.
    classed: usize,
    /// Further ones whose vendor is known, of what OCSF has no class for.
    classless: usize,
    dead: BTreeMap<&'static str, usize>,
    /// The others.
    others: Vec<String>,
}

impl Share {
    fn percent(&self, records: usize) -> f64 {
        records as f64 * 100.0 / self.records as f64
    }
}

/// The folder of real lines. Where tests are said to run in CI it must be there.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PALISADE_CORPUS").map(|folder| PathBuf::from(folder).join("logs"));
    assert!(folder.is_some() || std::env::var_os("CI").is_none(), "PALISADE_CORPUS names no corpus");
    if folder.is_none() {
        println!("skipped: no corpus (PALISADE_CORPUS)");
    }
    folder
}

/// Place, family and text of every record.
fn records(folder: &PathBuf) -> Vec<(String, String, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".ndjson.gz"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().replace(".ndjson.gz", "");
        let mut text = String::new();
        MultiGzDecoder::new(fs::File::open(&path).expect("a file")).read_to_string(&mut text).expect("gzip of UTF-8");
        for (line, number) in text.lines().zip(1..) {
            let (family, raw) = unwrapped(&file, line);
            found.push((format!("{file}:{number}"), family, raw));
        }
    }
    found
}

/// Most files wrap what a device or cloud wrote; those of CloudTrail hold it as it is.
fn unwrapped(file: &str, line: &str) -> (String, String) {
    let value: Value = serde_json::from_str(line).expect("a line is JSON");
    match (value["family"].as_str(), value["raw"].as_str()) {
        (Some(_), Some(raw)) if file.starts_with("paloalto") => (file.to_owned(), raw.to_owned()),
        (Some(family), Some(raw)) => (fragment(family, raw).unwrap_or_else(|| family.to_owned()), raw.to_owned()),
        _ => (file.to_owned(), line.to_owned()),
    }
}

/// The family of a record of a rule's test that is not what its label says: one that a tool made OCSF of already, and members
/// of a LogEntry without the entry.
fn fragment(family: &str, raw: &str) -> Option<String> {
    let record: Value = serde_json::from_str(raw).ok()?;
    let label = record["p_log_type"].as_str().filter(|label| label.starts_with("OCSF."));
    let is_part = family.starts_with("GCP.") && PAYLOADS.iter().all(|name| record[name].is_null());
    label.map(str::to_owned).or_else(|| is_part.then(|| format!("part of {family}")))
}

fn group_of(family: &str) -> &str {
    let is_of = |starts: &[&str]| starts.iter().any(|start| family.starts_with(start));
    OWN.iter().find(|(_, starts)| is_of(starts)).map_or(family, |(name, _)| name)
}

fn shares(records: &[(String, String, String)]) -> BTreeMap<String, Share> {
    let mut decoder = AutoDecoder::new(DecodeConfig::default());
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for (place, family, raw) in records {
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        decoder.decode(&chunk_of(0, [raw.as_bytes()]), &mut rows, &mut dead);
        let batches = rows.finish();
        let tables: Vec<Table> = batches.iter().map(|batch| batch.table).collect();
        let reason = dead.take_counts().first().map(|(reason, _)| reason.name());
        assert_eq!(tables.is_empty(), reason.is_some(), "{place} is lost, or decoded and refused");
        let share = shares.entry(group_of(family).to_owned()).or_default();
        share.records += 1;
        if !tables.is_empty() && !tables.contains(&Table::BaseEvent) {
            share.classed += 1;
        } else if !batches.is_empty() && batches.iter().flat_map(rows_of).all(|row| !row.3.contains(UNKNOWN)) {
            share.classless += 1;
        } else {
            share.others.push(format!("{place} {}", reason.unwrap_or("base_event")));
        }
        if let Some(reason) = reason {
            *share.dead.entry(reason).or_default() += 1;
        }
    }
    shares
}

#[test]
fn real_records_become_what_they_tell_of_and_none_is_lost() {
    let Some(folder) = corpus() else { return };
    let records = records(&folder);
    assert!(records.len() > 6_000, "only {} records in {}", records.len(), folder.display());
    let shares = shares(&records);
    println!("{:<44} {:>7} {:>7} {:>9}  dead letters", "family", "records", "classed", "classless");
    for (family, share) in &shares {
        let [classed, classless] = [share.classed, share.classless].map(|records| share.percent(records));
        println!("{family:<44} {:>7} {classed:>6.1}% {classless:>8.1}%  {:?}", share.records, share.dead);
    }
    for (family, _) in OWN {
        let share = &shares[family];
        let is_enough = share.records > 0 && share.classed * 100 >= share.records * SHARE_MIN;
        assert!(is_enough, "{family}: {} of {}; not {:?}", share.classed, share.records, share.others);
    }
}
