mod allocations;
mod corpus;
mod envelope;
mod golden;
mod hostile;
mod lossless;
mod properties;

use dataflow::json::JsonRows;
use dataflow::{ChunkBuilder, PartitionId};
use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use serde_json::Value;

use super::*;

/// Properties are tried on the same cases every time.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

/// 2026-11-20T10:00:00Z.
pub(crate) const RECEIVED_AT: i64 = 1_795_168_800_000_000;

/// What came of some records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Table, offset, index and OCSF JSON of each row, a table after the other.
    pub(crate) rows: Vec<(Table, i64, i32, String)>,
    /// Offset and reason of each dead letter.
    pub(crate) dead: Vec<(i64, Reason)>,
}

pub(crate) fn chunk_of<'a>(first: i64, records: impl IntoIterator<Item = &'a [u8]>) -> Chunk {
    let mut builder = ChunkBuilder::new(PartitionId::new("t", "i", 0), "acme".into(), first);
    for (offset, record) in (first..).zip(records) {
        builder.push(record, offset, RECEIVED_AT);
    }
    builder.finish()
}

pub(crate) fn decode_chunks(config: DecodeConfig, chunks: &[Chunk]) -> Decoded {
    let mut decoder = AutoDecoder::new(config);
    let (mut rows, mut letters, mut decoded) = (BatchBuilder::new(), DeadLetters::new(), Decoded::default());
    for chunk in chunks {
        for record in chunk.records() {
            // One at a time, to learn each one's reason; the builders live on.
            let mut one = ChunkBuilder::new(chunk.partition.clone(), chunk.tenant.clone(), record.offset);
            one.push_cut(record.payload, record.full_len, record.offset, record.received_at);
            one.set_head(chunk.head.clone());
            decoder.decode(&one.finish(), &mut rows, &mut letters);
            decoded.dead.extend(letters.take_counts().into_iter().map(|(reason, _)| (record.offset, reason)));
        }
    }
    decoded.rows = rows.finish().iter().flat_map(rows_of).collect();
    decoded
}

fn rows_of(batch: &dataflow::TableBatch) -> Vec<(Table, i64, i32, String)> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int32Type, Int64Type};
    let column = |name| batch.rows.column_by_name(name).expect("an identity column");
    let offsets = column("_offset").as_primitive::<Int64Type>();
    let indices = column("_record").as_primitive::<Int32Type>();
    let json = JsonRows::new(batch.table, &batch.rows);
    let text = |row| {
        let mut out = String::new();
        json.write(row, &mut out);
        out
    };
    (0..json.rows()).map(|row| (batch.table, offsets.value(row), indices.value(row), text(row))).collect()
}

pub(crate) fn decode_all(config: DecodeConfig, records: &[&[u8]]) -> Decoded {
    decode_chunks(config, &[chunk_of(0, records.iter().copied())])
}

/// The one row of a record, as JSON.
pub(crate) fn row_of(record: &str) -> Value {
    let decoded = decode_all(DecodeConfig::default(), &[record.as_bytes()]);
    let [(.., json)] = decoded.rows.as_slice() else { panic!("not one row: {decoded:?}") };
    serde_json::from_str(json).expect("a row is JSON")
}

/// The reason of a record that is a dead letter.
pub(crate) fn reason_of(record: &str) -> Reason {
    let decoded = decode_all(DecodeConfig::default(), &[record.as_bytes()]);
    assert!(decoded.rows.is_empty(), "{decoded:?}");
    decoded.dead[0].1
}

/// The value at a dotted path with `[n]` for elements; null if there is none.
pub(crate) fn at<'v>(row: &'v Value, path: &str) -> &'v Value {
    path.split(['.', '[']).fold(row, |value, key| match key.strip_suffix(']') {
        Some(index) => &value[index.parse::<usize>().expect("an index")],
        None => &value[key],
    })
}

/// Checks rows of `path: value`, the value as JSON.
pub(crate) fn check(row: &Value, want: &[(&str, &str)]) {
    for (path, json) in want {
        let value: Value = serde_json::from_str(json).expect("the wanted value is JSON");
        assert_eq!(at(row, path), &value, "{path} of {row}");
    }
}

/// A PAN-OS TRAFFIC line through session_end_reason, with some columns (from 1) replaced.
pub(crate) fn traffic(changes: &[(usize, &str)]) -> String {
    let line = "1,2026/11/20 10:00:01,001122334455,TRAFFIC,end,2817,2026/11/20 10:00:00,10.1.2.3,198.51.100.7,203.0.113.9,\
        0.0.0.0,outbound,corp\\ann,,ssl,vsys1,trust,untrust,ethernet1/1,ethernet1/2,fwd,,4711,1,51000,443,40000,0,0x19,tcp,\
        allow,1500,500,1000,12,2026/11/20 09:59:30,29,any,,77,0x0,US,United States,,5,7,tcp-fin";
    replace(line, changes)
}

/// A PAN-OS THREAT line through http_headers, with some columns (from 1) replaced.
pub(crate) fn threat(changes: &[(usize, &str)]) -> String {
    let line = "1,2026/11/20 10:00:01,001122334455,THREAT,spyware,2817,2026/11/20 10:00:00,10.1.2.3,198.51.100.7,,,outbound,\
        corp\\ann,,dns,vsys1,trust,untrust,ethernet1/1,ethernet1/2,fwd,,4711,1,51000,53,0,0,0x19,udp,sinkhole,bad.example,\
        Suspicious Domain(12000001),any,medium,client-to-server,78,0x0,US,US,,,0,,,0,,,,,,,,0,0,0,0,0,,fw-1,,,,,,,0,,N/A,dns,AppThreat-1";
    replace(line, changes)
}

/// A line with some columns (from 1) replaced.
pub(crate) fn replace(line: &str, changes: &[(usize, &str)]) -> String {
    let mut columns = split(line);
    for (column, value) in changes {
        columns.resize(columns.len().max(*column), "");
        columns[column - 1] = value;
    }
    columns.join(",")
}

/// The columns of a line as they stand, quotes included.
pub(crate) fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let at_comma = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    line.split(at_comma).collect()
}

#[test]
fn a_format_has_one_name() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
        assert_eq!(serde_json::from_str::<Format>(&format!("\"{format}\"")).ok(), Some(format));
    }
    let error = "csv".parse::<Format>().expect_err("no format");
    assert_eq!(error.to_string(), "\"csv\" is not a format: auto, panos-csv, panos-json, cloudtrail, vpc-flow");
}

#[test]
fn configuration_has_defaults_and_refuses_unknown_keys() {
    let read = serde_json::from_str::<DecodeConfig>;
    assert_eq!(read("{}").ok(), Some(DecodeConfig::default()));
    let config = read(r#"{"format":"panos-csv","limits":{"json_depth_max":3},"raw_data":"never"}"#).expect("right");
    assert_eq!((config.format, config.limits.json_depth_max, config.raw_data), (Format::PanosCsv, 3, RawData::Never));
    assert_eq!(config.limits.json_keys_max, Limits::default().json_keys_max);
    let config = read(r#"{"vpc_flow":{"fields":["end","srcaddr","dstaddr"]}}"#).expect("right");
    assert_eq!(config.vpc_flow.fields.names(), ["end", "srcaddr", "dstaddr"]);
    assert!(read(r#"{"vpc_flow":{"fields":["end","scraddr"]}}"#).is_err_and(|e| e.to_string().contains("scraddr")));
    assert!(read(r#"{"fromat":"auto"}"#).is_err() && read(r#"{"limits":{"depth":3}}"#).is_err());
}

#[test]
fn a_fixed_format_takes_nothing_else() {
    let line = traffic(&[]);
    let strata =
        r#"{"LogType":"TRAFFIC","DeviceSN":"1","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.0.0.1"}"#;
    let trail = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":"1","eventTime":"2026-11-20T10:00:00Z"}"#;
    let file = format!(r#"{{"Records":[{trail}]}}"#);
    let flow = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 1024 443 6 1 40 1795168740 1795168800 ACCEPT OK";
    let records = [line.as_str(), strata, trail, &file, "hello", "{}", flow];
    for (format, taken) in [
        (Format::Auto, vec![0, 1, 2, 3, 4, 5, 6]),
        (Format::PanosCsv, vec![0]),
        (Format::PanosJson, vec![1]),
        (Format::CloudTrail, vec![2, 3]),
        (Format::VpcFlow, vec![6]),
    ] {
        let bytes: Vec<&[u8]> = records.iter().map(|r| r.as_bytes()).collect();
        let decoded = decode_all(DecodeConfig { format, ..DecodeConfig::default() }, &bytes);
        let mut offsets: Vec<i64> = decoded.rows.iter().map(|r| r.1).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, taken, "{format}");
        // A flow log counts values before it looks at them.
        let refused =
            |reason| reason == Reason::UnknownFormat || (format == Format::VpcFlow && reason == Reason::MissingField);
        assert!(decoded.dead.iter().all(|(_, reason)| refused(*reason)), "{format}: {decoded:?}");
        assert_eq!(decoded.rows.len() + decoded.dead.len(), records.len(), "{format}");
    }
}

#[test]
fn raw_data_is_kept_by_policy() {
    let line = traffic(&[]);
    let json = r#"{"a": 1}"#;
    let file =
        r#"{"Records":[{"eventSource":"s","eventName":"Get","eventID":"1","eventTime":"2026-11-20T10:00:00Z"}, 7]}"#;
    let element = file[12..file.len() - 5].to_owned();
    for (raw_data, want) in [
        (RawData::Auto, [Some(line.as_str()), Some("hello"), None, None, Some("7")]),
        (RawData::Always, [Some(&line), Some("hello"), Some(json), Some(&element), Some("7")]),
        (RawData::Never, [None, None, None, None, Some("7")]),
    ] {
        let config = DecodeConfig { raw_data, ..DecodeConfig::default() };
        let decoded = decode_all(config, &[line.as_bytes(), b"hello", json.as_bytes(), file.as_bytes()]);
        let mut found: Vec<(i64, i32, Option<String>)> = decoded
            .rows
            .iter()
            .map(|(_, offset, index, json)| (*offset, *index, serde_json::from_str::<Value>(json).expect("JSON")))
            .map(|(offset, index, row)| (offset, index, row["raw_data"].as_str().map(str::to_owned)))
            .collect();
        found.sort_unstable();
        let found: Vec<Option<&str>> = found.iter().map(|(.., raw)| raw.as_deref()).collect();
        assert_eq!(found, want, "{raw_data:?}");
    }
}

#[test]
fn what_is_of_no_known_format_is_a_base_event() {
    let row = row_of("\u{feff}  {\"n\": 1.10, \"list\": [1,\t2], \"n\": 2}\r");
    check(
        &row,
        &[
            ("class_uid", "0"),
            ("activity_id", "0"),
            ("time", &(RECEIVED_AT / 1000).to_string()),
            ("metadata.product.name", "\"Unknown\""),
            ("metadata.profiles", "[\"datetime\"]"),
            ("raw_data", "null"),
        ],
    );
    let decoded =
        decode_all(DecodeConfig::default(), &[b"{\"n\": 1.10, \"big\": 1e400}", b"  a line\x1b[0m\tof text "]);
    assert!(decoded.rows[0].3.contains(r#""unmapped":{"n": 1.10, "big": 1e400}"#), "{decoded:?}");
    assert!(decoded.rows[1].3.contains(r#""raw_data":"a line\u001b[0m\tof text""#), "{decoded:?}");
}

#[test]
fn a_file_gives_a_row_for_each_record() {
    let file = r#"{"Records":[
        {"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":"a","eventTime":"2026-11-20T10:00:00Z"},
        {"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":"b","eventTime":"never"},
        {"other": 1},
        "text"
    ]}"#;
    let decoded = decode_all(DecodeConfig::default(), &[file.as_bytes()]);
    assert!(decoded.dead.is_empty());
    let mut found: Vec<(i32, Table)> = decoded.rows.iter().map(|(table, _, index, _)| (*index, *table)).collect();
    found.sort_unstable();
    let base = Table::BaseEvent;
    assert_eq!(found, [(0, Table::ApiActivity), (1, base), (2, base), (3, base)]);
    for (_, _, index, json) in decoded.rows.iter().filter(|r| r.0 == base) {
        let row: Value = serde_json::from_str(json).expect("JSON");
        check(&row, &[("metadata.labels", "[\"undecodable_element\"]")]);
        match index {
            1 => check(&row, &[("unmapped.eventID", "\"b\""), ("unmapped.eventTime", "\"never\"")]),
            2 => check(&row, &[("unmapped", "{\"other\":1}")]),
            _ => check(&row, &[("raw_data", "\"\\\"text\\\"\"")]),
        }
        assert!(!json.contains('\n'), "{json}");
    }
}
