//! The generator's lines, decoded: every event of every format stands in the table, and has the values, that its truth tells.
//!
//! Here alone both crates are used at once: the generator knows no decoder, and the decoders know no generator.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::array_value_to_string;
use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, PartitionId};
use ingest::decode::{AutoDecoder, DecodeConfig};
use loadgen::{Fleet, FleetConfig, Mix, TruthRow};

/// Columns that both know, beside the bytes that were sent.
const VALUES: [&str; 9] = [
    "src_ip",
    "dst_ip",
    "dst_port",
    "user_name",
    "activity_id",
    "action_id",
    "severity_id",
    "status_id",
    "api.operation",
];

/// Table, microseconds and values of a row.
type Row = (String, i64, Vec<Option<String>>);

fn fleet(mix: Mix) -> Fleet {
    let config = FleetConfig {
        seed: 5,
        events: 6_000,
        devices: 42,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 0,
        flow_logs_per_million: 0,
        mix,
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a possible fleet")
}

fn formats() -> [(&'static str, Mix); 12] {
    let none = Mix::NONE;
    [
        ("strata json", Mix { strata_json: 1, ..none }),
        ("pan-os csv", Mix { panos_csv: 1, ..none }),
        ("pan-os cef", Mix { panos_cef: 1, ..none }),
        ("pan-os leef", Mix { panos_leef: 1, ..none }),
        ("fortigate", Mix { fortigate: 1, ..none }),
        ("fortios cef", Mix { fortigate_cef: 1, ..none }),
        ("cisco asa", Mix { cisco_asa: 1, ..none }),
        ("cloudtrail", Mix { cloudtrail: 1, ..none }),
        ("gcp audit", Mix { gcp_audit: 1, ..none }),
        ("azure activity", Mix { azure_activity: 1, ..none }),
        ("entra sign-in", Mix { entra_signin: 1, ..none }),
        ("okta", Mix { okta: 1, ..none }),
    ]
}

/// A partition's records as chunks, and the truth of its events.
fn partition(fleet: &Fleet, id: &PartitionId) -> (Vec<Chunk>, Vec<(TruthRow, String)>) {
    let mut bytes = fleet.cursor(id, 0).expect("own partition");
    let mut truth = bytes.clone();
    let tenant = fleet.tenant(id).expect("own partition");
    let (mut line, mut rows, mut chunks, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut chunk = ChunkBuilder::new(id.clone(), tenant.clone(), 0);
    while let Some(meta) = bytes.next(&mut line) {
        chunk.push(&line, meta.offset, 1_767_600_000_000_000);
        truth.next_truth(&mut rows);
        events.extend(rows.drain(..).map(|row| (row, String::from_utf8_lossy(&line).into_owned())));
        if chunk.len() == 1_000 {
            let next = ChunkBuilder::new(id.clone(), tenant.clone(), meta.offset + 1);
            chunks.push(std::mem::replace(&mut chunk, next).finish());
        }
    }
    chunks.push(chunk.finish());
    (chunks, events)
}

fn column(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut names = path.split('.');
    let mut column = batch.column_by_name(names.next()?)?.clone();
    for name in names {
        column = column.as_struct_opt()?.column_by_name(name)?.clone();
    }
    Some(column)
}

fn text(column: Option<&ArrayRef>, at: usize) -> Option<String> {
    let column = column.filter(|c| !c.is_null(at))?;
    Some(array_value_to_string(column, at).expect("a value that can be shown")).filter(|text| !text.is_empty())
}

fn decoded(decoder: &mut AutoDecoder, chunks: &[Chunk]) -> BTreeMap<(i64, i32), Row> {
    let (mut builder, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let mut rows = BTreeMap::new();
    for chunk in chunks {
        decoder.decode(chunk, &mut builder, &mut dead);
        assert_eq!(dead.len(), 0, "a record was refused");
        for batch in builder.finish() {
            let columns = VALUES.map(|name| column(&batch.rows, name));
            let bytes = column(&batch.rows, "traffic.bytes_out");
            let number = |name, at| text(column(&batch.rows, name).as_ref(), at).expect("never null");
            let times = column(&batch.rows, "time").expect("every table has it");
            for at in 0..batch.rows.num_rows() {
                let place = (number("_offset", at).parse(), number("_record", at).parse());
                let values = columns.iter().chain([&bytes]).map(|c| text(c.as_ref(), at)).collect();
                let time = times.as_primitive::<TimestampMicrosecondType>().value(at);
                let row = (batch.table.name().to_owned(), time, values);
                rows.insert((place.0.expect("a number"), place.1.expect("a number")), row);
            }
        }
    }
    rows
}

/// What the truth says of the values, in their order.
fn told(row: &TruthRow) -> Vec<Option<String>> {
    vec![
        row.src_ip.map(|v| v.to_string()),
        row.dst_ip.map(|v| v.to_string()),
        row.dst_port.map(|v| v.to_string()),
        row.user_name.map(|v| v.to_string()),
        row.activity_id.map(|v| v.to_string()),
        row.action_id.map(|v| v.to_string()),
        row.severity_id.map(|v| v.to_string()),
        row.status_id.map(|v| v.to_string()),
        row.operation.map(str::to_owned),
        row.bytes_out.map(|v| v.to_string()),
    ]
}

/// What differs between a row and its truth.
fn differences(row: &Row, truth: &TruthRow) -> Vec<String> {
    let mut found = Vec::new();
    if row.0 != truth.table.name() {
        found.push(format!("table {} and not {}", row.0, truth.table.name()));
    }
    if Some(row.1) != truth.time_us {
        found.push(format!("time {} and not {:?}", row.1, truth.time_us));
    }
    let names = VALUES.iter().chain(&["traffic.bytes_out"]);
    for ((name, seen), told) in names.zip(&row.2).zip(told(truth)) {
        if told.is_some() && *seen != told {
            found.push(format!("{name} {seen:?} and not {told:?}"));
        }
    }
    found
}

#[test]
fn every_format_decodes_to_its_truth() {
    let mut decoder = AutoDecoder::new(DecodeConfig::default());
    let mut faults: BTreeMap<(&str, String), (usize, String)> = BTreeMap::new();
    for (format, mix) in formats() {
        let fleet = fleet(mix);
        let mut tables: BTreeMap<String, usize> = BTreeMap::new();
        for id in fleet.partitions() {
            let (chunks, events) = partition(&fleet, &id);
            let mut rows = decoded(&mut decoder, &chunks);
            for (truth, line) in &events {
                let row = rows.remove(&(truth.offset, truth.record)).unwrap_or_else(|| panic!("no row: {line}"));
                *tables.entry(row.0.clone()).or_default() += 1;
                for fault in differences(&row, truth) {
                    let kind = fault.split([' ', ':']).next().unwrap_or_default().to_owned();
                    let seen = faults.entry((format, kind)).or_insert_with(|| (0, format!("{fault}\n    {line}")));
                    seen.0 += 1;
                }
            }
            assert!(rows.is_empty(), "{format}: rows of nothing");
        }
        eprintln!("{format}: {tables:?}");
        assert!(!tables.is_empty());
    }
    let shown: Vec<String> =
        faults.iter().map(|((f, k), (n, first))| format!("{f}, {k}, {n} times: {first}")).collect();
    assert!(faults.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn the_default_mix_holds_every_format() {
    let fleet = fleet(Mix::default());
    let mut line = Vec::new();
    let mut kinds = BTreeSet::new();
    for id in fleet.partitions() {
        let mut cursor = fleet.cursor(&id, 0).expect("own partition");
        while let Some(meta) = cursor.next(&mut line) {
            kinds.insert(format!("{:?}", meta.kind));
        }
    }
    assert_eq!(kinds.len(), 13, "{kinds:?}");
}
