use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::config::FleetConfig;
use crate::label::Label;

fn fleet() -> Fleet {
    let config = FleetConfig {
        events: 40_000,
        attacks: 1,
        near_misses: 1,
        malformed_per_million: 1_000,
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("the file")).expect("parquet");
    reader.build().expect("a reader").map(|b| b.expect("a batch")).collect()
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> &'b dyn Array {
    batch.column_by_name(name).expect("a column of the truth").as_ref()
}

#[test]
fn the_log_holds_a_row_an_event_with_its_values() {
    let (fleet, dir) = (fleet(), tempfile::tempdir().expect("a directory"));
    fleet.write_truth(dir.path()).expect("written");
    let mut rows = Vec::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        while cursor.next_truth(&mut rows).is_some() {}
    }
    let mut rows = rows.iter();
    for batch in read(&dir.path().join("truth.parquet")) {
        let text = |name: &str, at: usize| {
            let column = column(&batch, name).as_string::<i32>();
            column.is_valid(at).then(|| column.value(at).to_owned())
        };
        let times = column(&batch, "time_us").as_primitive::<TimestampMicrosecondType>();
        let bytes = column(&batch, "bytes_out").as_primitive::<Int64Type>();
        for at in 0..batch.num_rows() {
            let row = rows.next().expect("no row more than the cursors give");
            assert_eq!(text("table", at).as_deref(), Some(row.table.name()));
            assert_eq!(times.is_valid(at).then(|| times.value(at)), row.time_us);
            assert_eq!(bytes.is_valid(at).then(|| bytes.value(at)), row.bytes_out);
            assert_eq!(text("src_ip", at), row.src_ip.map(|ip| ip.to_string()));
            assert_eq!(text("reason", at).as_deref(), row.reason.map(Reason::name));
            assert_eq!(text("user_name", at), row.user_name.map(|name| name.to_string()));
            assert_eq!(text("src_country", at).as_deref(), row.src_country);
            assert_eq!(text("operation", at).as_deref(), row.operation);
            let number = |name: &str| {
                let column = column(&batch, name).as_primitive::<Int32Type>();
                column.is_valid(at).then(|| column.value(at))
            };
            let numbers = ["activity_id", "action_id", "severity_id", "status_id"].map(number);
            assert_eq!(numbers, [row.activity_id, row.action_id, row.severity_id, row.status_id]);
            assert_eq!(text("attack_id", at).is_some(), row.attack.is_some());
        }
    }
    assert_eq!(rows.count(), 0, "no row less");
}

#[test]
fn every_table_is_in_it_and_the_identity_is_whole() {
    let (fleet, dir) = (fleet(), tempfile::tempdir().expect("a directory"));
    fleet.write_truth(dir.path()).expect("written");
    let mut tables = std::collections::BTreeSet::new();
    let mut identities = std::collections::HashSet::new();
    for batch in read(&dir.path().join("truth.parquet")) {
        let table = column(&batch, "table").as_string::<i32>();
        tables.extend(table.iter().flatten().map(str::to_owned));
        let topic = column(&batch, "topic").as_string::<i32>();
        let partition = column(&batch, "partition").as_primitive::<Int32Type>();
        let offset = column(&batch, "offset").as_primitive::<Int64Type>();
        let record = column(&batch, "record").as_primitive::<Int32Type>();
        for at in 0..batch.num_rows() {
            let identity = (topic.value(at).to_owned(), partition.value(at), offset.value(at), record.value(at));
            assert!(identities.insert(identity), "twice");
        }
    }
    let want = [
        "api_activity",
        "authentication",
        "base_event",
        "dead_letter",
        "detection_finding",
        "http_activity",
        "network_activity",
        "tunnel_activity",
    ];
    assert!(tables.iter().map(String::as_str).eq(want), "{tables:?}");
    assert!(identities.len() > 40_000, "arrays hold several events");
}

#[test]
fn labels_survive_their_file() {
    let (fleet, dir) = (fleet(), tempfile::tempdir().expect("a directory"));
    fleet.write_truth(dir.path()).expect("written");
    let file = File::open(dir.path().join("labels.json")).expect("the file");
    let labels: Vec<Label> = serde_json::from_reader(file).expect("labels");
    assert_eq!(labels, fleet.labels());
    assert_eq!(labels.len(), 40);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = fleet().write_truth(&dir.path().join("missing")).expect_err("refused").to_string();
    assert!(error.starts_with("cannot write ") && error.ends_with("labels.json"), "{error}");
}
