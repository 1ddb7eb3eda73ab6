mod classes;
mod errors;
mod formats;
mod language;
mod limits;
mod lists;
mod properties;
mod runner;
mod values;

use dataflow::json::JsonRows;
use dataflow::{BatchBuilder, DeadLetters, Decoder};
use serde_json::Value;

use super::*;
use crate::decode::tests::{at, check, chunk_of};

/// The head of a mapping of lines of pairs; attributes follow.
pub(super) const HEAD: &str = "
name: wall
product: {vendor: Example, name: Wall}
format: kv
match: {wall: '*'}
class: network_activity
time: received
activity: Traffic
";

/// The head of a mapping of JSON documents; attributes follow.
pub(super) const JSON_HEAD: &str = "
name: cloud
product: {vendor: Example, name: Cloud}
format: json
match: {cloud: '*'}
class: api_activity
time: received
activity: Read
";

fn mappings(yaml: &str) -> Mappings {
    Mappings::only(&[("own.yaml", yaml)]).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

/// Which mapping took each event, and its row; in the order of the events of one table.
fn decoded(mappings: Mappings, lines: &[&str]) -> Vec<(&'static str, Value)> {
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), mappings);
    decoder.explain();
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let mut found = Vec::new();
    for (line, offset) in lines.iter().zip(0..) {
        decoder.decode(&chunk_of(offset, [line.as_bytes()]), &mut rows, &mut dead);
        assert!(dead.is_empty(), "{line}");
        let batches = rows.finish();
        let of_batch = |batch: &dataflow::TableBatch| {
            let json = JsonRows::new(batch.table, &batch.rows);
            (0..json.rows()).map(|row| text(&json, row)).collect::<Vec<_>>()
        };
        let texts: Vec<String> = batches.iter().flat_map(of_batch).collect();
        let taken = decoder.take_taken();
        assert_eq!(texts.len(), taken.len(), "{line}");
        found.extend(taken.iter().zip(texts).map(|(t, json)| (t.by, serde_json::from_str(&json).expect("JSON"))));
    }
    found
}

fn text(json: &JsonRows<'_>, row: usize) -> String {
    let mut out = String::new();
    json.write(row, &mut out);
    out
}

/// The rows of lines that a mapping takes.
fn rows(yaml: &str, lines: &[&str]) -> Vec<Value> {
    decoded(mappings(yaml), lines).into_iter().map(|(_, row)| row).collect()
}

/// The one row of a line.
fn row(yaml: &str, line: &str) -> Value {
    let mut rows = rows(yaml, &[line]);
    assert_eq!(rows.len(), 1, "{line}");
    rows.remove(0)
}

#[test]
fn mappings_that_ship_are_right_and_pass_their_tests() {
    let mappings = Mappings::with_files(&[]).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    assert!(mappings.names().count() > 5);
    let failures: Vec<String> = mappings.run_tests().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
