//! What holds of the records in any bytes, whatever they are.
//!
//! - Each record ends in rows, numbered from 0 without a gap, or in one dead letter; not in both.
//! - Batches are valid Arrow, their times within what the tables hold, each row one line of JSON.
//! - Records in one chunk and cut into several give the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::json::JsonRows;
use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, PartitionId, TableBatch};
use serde::de::IgnoredAny;

use crate::decode::{AutoDecoder, DecodeConfig, Format, Limits};
use crate::mapping::Mappings;

/// 2026-11-20T10:00:00Z.
const RECEIVED_AT: i64 = 1_795_168_800_000_000;

/// 2262-01-01T00:00:00Z: what is later does not fit into nanoseconds.
const TIME_END: i64 = 9_214_646_400_000_000;

/// Limits that short records reach.
const TIGHT: Limits = Limits { line_bytes_max: 4096, json_depth_max: 8, json_keys_max: 96, string_bytes_max: 512 };

/// A mapping of text for lines that none of those that ship takes.
const WALL: &str = "
name: fuzz_wall
product: {vendor: Example, name: Wall}
format: text
match: {zone: '*'}
patterns:
  - 'Built {direction} session {id} for {zone}:{src_ip}/{src_port}{? ({user})}'
  - '{zone}{?[{id}]}: {text}{? from {src_ip}}{? port {src_port}}'
class: network_activity
time: {from: syslog.time}
activity: Open
attributes:
  src_endpoint.ip: src_ip
  src_endpoint.port: src_port
  actor.user: user
  message: text
";

/// One for each kind of decoder: of whole chunks, and of pieces.
type Pair = [AutoDecoder; 2];

thread_local! {
    static DECODERS: RefCell<BTreeMap<(&'static str, bool), Pair>> = const { RefCell::new(BTreeMap::new()) };
}

/// Row index, table and JSON of each row of a record; reason and detail of each dead letter.
type Outcome = BTreeMap<i64, (Vec<(i32, String)>, Vec<String>)>;

/// Decodes the lines and panics if something does not hold.
pub(super) fn check(format: Format, bytes: &[u8]) {
    // How they are decoded is the input's to say, so that it alone gives the case again.
    let print = crc32fast::hash(bytes);
    let (is_tight, is_headed) = (print & 1 == 1, print & 2 == 2);
    DECODERS.with_borrow_mut(|decoders| {
        let pair = decoders.entry((format.name(), is_tight)).or_insert_with(|| pair(format, is_tight));
        check_lines(pair, bytes, is_headed, print);
    });
}

static MAPPINGS: LazyLock<Mappings> = LazyLock::new(|| {
    let mappings = Mappings::with_files(&[("fuzz.yaml", WALL)]);
    mappings.unwrap_or_else(|errors| panic!("{}", errors[0]))
});

fn pair(format: Format, is_tight: bool) -> Pair {
    let limits = if is_tight { TIGHT } else { Limits::default() };
    let config = DecodeConfig { format, limits, ..DecodeConfig::default() };
    [(); 2].map(|()| AutoDecoder::with_mappings(config.clone(), MAPPINGS.clone()))
}

fn check_lines([whole, pieces]: &mut Pair, bytes: &[u8], is_headed: bool, print: u32) {
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let head = lines.first().filter(|_| is_headed).copied();
    let (mut rows, mut dead, mut first) = (BatchBuilder::new(), DeadLetters::new(), Outcome::new());
    whole.decode(&chunk(0, &lines, head), &mut rows, &mut dead);
    collect(&mut rows, &mut dead, &mut first);
    check_balance(&first, lines.len());
    let (mut second, mut at) = (Outcome::new(), 0);
    for turn in 0.. {
        let len = 1 + (print.rotate_left(turn) % 5) as usize;
        let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let piece = &rest[..len.min(rest.len())];
        pieces.decode(&chunk(at as i64, piece, head), &mut rows, &mut dead);
        // Some batches end between pieces, others hold several.
        if turn % 3 == 0 {
            collect(&mut rows, &mut dead, &mut second);
        }
        at += piece.len();
    }
    collect(&mut rows, &mut dead, &mut second);
    for ((offset, whole), pieces) in first.iter().zip(second.values()) {
        assert!(whole == pieces, "record {offset} in another chunk: {}", difference(whole, pieces));
    }
    assert_eq!(first.len(), second.len(), "records are lost in pieces");
}

/// Where two outcomes begin to differ.
fn difference(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> String {
    let (one, other) = (format!("{one:?}"), format!("{other:?}"));
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count().saturating_sub(80);
    let part = |text: &str| text.chars().skip(same).take(240).collect::<String>();
    format!("\n  {}\n  {}", part(&one), part(&other))
}

/// Ends the batches of so many records, the first at offset 0, and checks them.
pub(super) fn check_decoded(rows: &mut BatchBuilder, dead: &mut DeadLetters, records: usize) {
    let mut found = Outcome::new();
    collect(rows, dead, &mut found);
    check_balance(&found, records);
}

fn chunk(first: i64, lines: &[&[u8]], head: Option<&[u8]>) -> Chunk {
    let mut builder = ChunkBuilder::new(PartitionId::new("fuzz", "0", 0), "acme".into(), first);
    for (offset, line) in (first..).zip(lines) {
        builder.push(line, offset, RECEIVED_AT);
    }
    builder.set_head(head.map(|head| head.to_vec().into()));
    builder.finish()
}

/// Each record has rows or a dead letter.
fn check_balance(found: &Outcome, records: usize) {
    assert_eq!(found.len(), records, "records without rows and dead letter");
    for (offset, (rows, dead)) in found {
        let balance = (rows.len().min(1), dead.len());
        assert!(matches!(balance, (1, 0) | (0, 1)), "record {offset}: {rows:?} and {dead:?}");
        let mut indices: Vec<i32> = rows.iter().map(|(index, _)| *index).collect();
        indices.sort_unstable();
        assert!((0..).zip(&indices).all(|(want, index)| want == *index), "record {offset}: rows {indices:?}");
    }
}

/// Ends the batches, checks them and files their rows under their records.
fn collect(rows: &mut BatchBuilder, dead: &mut DeadLetters, found: &mut Outcome) {
    for batch in rows.finish() {
        check_batch(&batch);
        let json = JsonRows::new(batch.table, &batch.rows);
        let (offsets, indices) = (offsets(&batch.rows), batch.rows.column_by_name("_record").expect("an identity"));
        for (row, (offset, index)) in offsets.iter().zip(indices.as_primitive::<Int32Type>().values()).enumerate() {
            let mut text = format!("{} ", batch.table);
            let head = text.len();
            json.write(row, &mut text);
            check_json(&text[head..]);
            found.entry(*offset).or_default().0.push((*index, text));
        }
    }
    for (_, (rows, _)) in found.iter_mut() {
        rows.sort_unstable();
    }
    if let Some(letters) = dead.finish() {
        check_batch(&letters);
        let reasons = letters.rows.column_by_name("reason").expect("a reason").as_dictionary::<Int32Type>();
        let details = letters.rows.column_by_name("detail").expect("a detail").as_string::<i32>();
        for (row, offset) in offsets(&letters.rows).iter().enumerate() {
            let reason = reasons.values().as_string::<i32>().value(reasons.keys().value(row) as usize);
            found.entry(*offset).or_default().1.push(format!("{reason}: {}", details.value(row)));
        }
    }
}

fn offsets(rows: &RecordBatch) -> &[i64] {
    rows.column_by_name("_offset").expect("an identity").as_primitive::<Int64Type>().values()
}

fn check_batch(batch: &TableBatch) {
    for (column, field) in batch.rows.columns().iter().zip(batch.rows.schema_ref().fields()) {
        let valid = column.to_data().validate_full();
        assert!(valid.is_ok(), "{}: column {}: {valid:?}", batch.table, field.name());
    }
    let times = batch.rows.column_by_name("time").expect("every table has a time");
    let times = times.as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.null_count(), 0, "{}: a row without a time", batch.table);
    assert!(times.values().iter().all(|t| (0..TIME_END).contains(t)), "{}: {times:?}", batch.table);
}

fn check_json(row: &str) {
    let parsed = serde_json::from_str::<IgnoredAny>(row);
    assert!(parsed.is_ok() && !row.contains('\n'), "{parsed:?}: {row}");
}
