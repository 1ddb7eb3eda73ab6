//! Nothing of a record is lost: each of its values is found in its rows, or is one of those that are dropped for a reason.
//!
//! The records are those of every golden file. Values are looked for beside `raw_data`, which is switched off.

use std::collections::HashSet;
use std::fs;

use super::golden::{folder, names};
use super::*;
use crate::decode::pairs::Pairs;

type Is = fn(&str) -> bool;

/// Values that are dropped: what they are, and why nothing is lost by it.
const DROPPED: [(&str, Is); 3] = [
    ("nothing", |value| matches!(value, "" | "null")),
    ("a vendor's word for nothing", |value| {
        matches!(value, "-" | "N/A" | "NA" | "(empty)" | "undefined" | "NULL")
            || value.eq_ignore_ascii_case("none")
            || value == "No Authentication Required"
    }),
    ("a translation to no address or port: there was none", |value| matches!(value, "0.0.0.0" | "::" | "0")),
];

/// Values that are dropped of one field: its name, and why nothing is lost by it.
const DROPPED_OF: [(&str, &str, Is); 6] = [
    ("readOnly", "the activity says the same", |value| matches!(value, "true" | "false")),
    ("type", "the addresses say the same", |value| matches!(value, "IPv4" | "IPv6")),
    ("flow-direction", "the direction says the same", |value| matches!(value, "ingress" | "egress")),
    ("records[].properties.ActivityDate", "the event's time says the same", |value| value.ends_with(" AM")),
    ("traffic-path", "the boundary says the same", |value| matches!(value.as_bytes(), [b'1'..=b'8'])),
    ("action", "the action says all of it: there are no other words", |value| matches!(value, "ACCEPT" | "REJECT")),
];

/// Name and value of each field of a record; none of one that no decoder reads, which stands in `raw_data` whole.
fn fields(record: &str, mappings: &Mappings) -> Vec<(String, String)> {
    let record = record.trim_start_matches('\u{feff}').trim();
    let header = syslog::parse(record);
    if let Some(line) = detect::panos_line(record) {
        let mut columns = Columns::default();
        columns.split(line.message);
        return columns.filled(line.message).map(|(i, text)| (format!("column {}", i + 1), text.to_owned())).collect();
    }
    if let Some(found) = find_custom(record) {
        return found.fields();
    }
    let json = if record.starts_with(['{', '[']) { record } else { &record[header.message..] };
    if let Ok(document) = serde_json::from_str::<Value>(json)
        && (document.is_object() || document[0].is_object())
    {
        let mut found = Vec::new();
        members("", &document, &mut found);
        return found;
    }
    let flow = VpcFlow::new(FlowFields::default());
    if let Line::Flow(layout) = flow.line(record) {
        let words = flow.names(layout).iter().zip(record.split_ascii_whitespace());
        return words.map(|(name, word)| (name.to_string(), word.to_owned())).collect();
    }
    let mut buffers = Buffers::new(&Limits::default());
    let taken = mappings.of_line(record, &header, &mut Columns::default(), &mut buffers);
    taken.map(|_| pairs(&buffers.pairs, record)).unwrap_or_default()
}

fn pairs(pairs: &Pairs, line: &str) -> Vec<(String, String)> {
    pairs.iter(line).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The scalars of a JSON value with their paths.
fn members(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| members(&format!("{path}.{key}"), value, found)),
        Value::Array(list) => list.iter().for_each(|value| members(&format!("{path}[]"), value, found)),
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        other => found.push((path.to_owned(), other.to_string())),
    }
}

/// What the rows of a record hold.
struct Rows {
    /// Each scalar, in lower case.
    scalars: HashSet<String>,
    /// Each word of them.
    words: HashSet<String>,
    text: String,
    /// Seconds of its times.
    seconds: HashSet<i64>,
}

const MARKS: [char; 16] = [' ', '\\', '/', ':', '@', '?', '&', '=', ',', ';', '(', ')', '"', '[', ']', '|'];

impl Rows {
    fn of(rows: &[(Table, i64, i32, String)]) -> Self {
        let mut found = Vec::new();
        for (.., json) in rows {
            match serde_json::from_str(json) {
                Ok(row) => members("", &row, &mut found),
                // A number that no machine's is equal to.
                Err(_) => found.extend(json.split(MARKS).map(|word| (String::new(), word.to_owned()))),
            }
        }
        let scalars: HashSet<String> = found.into_iter().map(|(_, value)| value.to_lowercase()).collect();
        let text = scalars.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        let words = text.split('\n').flat_map(|t| t.split(MARKS)).map(str::to_owned).collect();
        let seconds = scalars.iter().filter_map(|text| values::time(text)).map(|us| us.div_euclid(1_000_000)).collect();
        Self { scalars, words, text, seconds }
    }

    /// True if the value stands there: as it is, as what it means, within a longer text, or in the parts that it is made of.
    /// A time stands there too if another tells the same second more exactly.
    fn hold(&self, value: &str) -> bool {
        let time = values::time(value.trim());
        let value = value.trim().to_lowercase();
        readings(&value).iter().any(|reading| self.scalars.contains(reading))
            || time.is_some_and(|us| self.seconds.contains(&us.div_euclid(1_000_000)))
            || (value.len() > 3 && self.text.contains(&value))
            || value.split(MARKS).filter(|part| !part.is_empty()).all(|part| self.words.contains(part))
    }
}

/// A value as a column may hold it.
fn readings(value: &str) -> Vec<String> {
    let mut found = vec![value.to_owned()];
    let time = values::time(value).or_else(|| syslog::time(value, RECEIVED_AT));
    found.extend(time.map(|us| (us / 1000).to_string()));
    found.extend(values::ip(value).map(|ip| ip.to_string()));
    let mut mac = String::new();
    found.extend(values::mac(value, &mut mac).then(|| mac.to_lowercase()));
    found.extend(values::boolean(value).map(|b| b.to_string()));
    if let Some(number) = values::integer(value) {
        found.extend([1_000, 60_000].iter().filter_map(|n| number.checked_mul(*n)).map(|n| n.to_string()));
        found.extend([1_000, 1_000_000].iter().filter(|n| number % *n == 0).map(|n| (number / n).to_string()));
        found.push(format!("{}.{}", number / 256, number % 256));
    }
    let part = |text: &str| text.trim_end_matches(['h', 'm', 's']).parse().ok().filter(|n| *n < 1_000_000);
    let clock: Option<Vec<i64>> = value.split(':').map(part).collect();
    let seconds = clock.filter(|parts| parts.len() <= 3).map(|parts| parts.iter().fold(0, |sum, part| sum * 60 + part));
    found.extend(seconds.and_then(|s| s.checked_mul(1_000)).map(|ms| ms.to_string()));
    found
}

/// The values of a record that its rows do not hold.
fn lost(record: &str, mappings: &Mappings, rows: &[(Table, i64, i32, String)]) -> Vec<String> {
    let rows = Rows::of(rows);
    let lost = fields(record, mappings).into_iter().filter(|(name, value)| is_lost(name, value, mappings, &rows));
    lost.map(|(name, value)| format!("{name} = {value}")).collect()
}

fn is_lost(name: &str, value: &str, mappings: &Mappings, rows: &Rows) -> bool {
    let is_dropped = DROPPED.iter().any(|(_, is)| is(value))
        || DROPPED_OF.iter().any(|(of, _, is)| name.trim_start_matches('.') == *of && is(value));
    if is_dropped || rows.hold(value) {
        return false;
    }
    // The letters in the tuples of a flow log are what the columns say.
    if name.ends_with(".flowTuples[]") {
        return value.split(',').any(|value| value.len() > 1 && !rows.hold(value));
    }
    // A record within a text has rows of its own.
    let is_record = name == ".logEvents[].message" || serde_json::from_str::<Value>(value).is_ok_and(|v| v.is_object());
    !is_record || fields(value, mappings).iter().any(|(name, value)| is_lost(name, value, mappings, rows))
}

/// The lost values of a file of records.
fn lost_of_file(name: &str, mappings: &Mappings) -> Vec<String> {
    let text = fs::read(folder().join(name)).expect("a golden file");
    let records: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let config = DecodeConfig { raw_data: RawData::Never, ..DecodeConfig::default() };
    let decoded = decode_all(config, &records);
    let mut faults = Vec::new();
    for (offset, line) in (0..).zip(&records) {
        let rows: Vec<_> = decoded.rows.iter().filter(|row| row.1 == offset).cloned().collect();
        if let (Ok(line), false) = (std::str::from_utf8(line), rows.is_empty()) {
            let lost = lost(line, mappings, &rows).into_iter();
            faults.extend(lost.map(|what| format!("{name}:{}: {what}", offset + 1)));
        }
    }
    faults
}

#[test]
fn every_value_of_every_golden_record_is_in_its_rows() {
    let mappings = Mappings::builtin();
    let faults: Vec<String> = names().iter().flat_map(|name| lost_of_file(name, &mappings)).collect();
    assert!(faults.is_empty(), "{} values are lost:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_value_that_is_lost_is_found_out() {
    let rows = Rows::of(&[(Table::BaseEvent, 0, 0, r#"{"message":"to 192.0.2.1","time":1795168800000}"#.to_owned())]);
    for value in ["192.0.2.1", "2026-11-20T10:00:00Z", "Nov 20 2026 10:00:00 GMT", "To", "1795168800"] {
        assert!(rows.hold(value), "{value}");
    }
    for value in ["192.0.2.2", "2026-11-20T10:00:01Z", "Nov 20 2026 10:00:01 GMT", "7", "t"] {
        assert!(!rows.hold(value), "{value}");
    }
}

#[test]
fn pairs_of_a_custom_format_are_fields() {
    let line =
        "CEF:0|Palo Alto Networks|PAN-OS|11.1|end|TRAFFIC|1|rt=Nov 20 2026 10:00:00 GMT cs1Label=Rule cs1=web out";
    let found = fields(line, &Mappings::builtin());
    let want = [("rt", "Nov 20 2026 10:00:00 GMT"), ("cs1", "web out"), ("log type", "TRAFFIC"), ("version", "11.1")];
    let want = want.into_iter().chain([("signature", "end")]).map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found, want.collect::<Vec<_>>());
}
