use dataflow::{BatchBuilder, DeadLetters, Decoder};

use super::*;
use crate::decode::DecodeConfig;
use crate::decode::tests::{chunk_of, traffic};
use crate::mapping::Mappings;

const WALL: &str = "
name: wall
product: {vendor: Example, name: Wall}
format: kv
match: {devid: '*', type: traffic}
class: network_activity
time: received
activity: Traffic
known: [devid, type]
attributes: {src_endpoint.ip: srcip, src_endpoint.port: srcport}
---
name: ledger
product: {vendor: Example, name: Ledger}
format: json
match: {ledger.id: '*'}
class: base_event
time: received
known: [ledger.id]
attributes: {message: text}
---
name: table
product: {vendor: Example, name: Table}
format: csv
match: {kind: T1}
columns: [kind, text]
class: base_event
time: received
attributes: {message: text, metadata.event_code: kind}
";

fn decoder() -> AutoDecoder {
    let mappings = Mappings::only(&[("wall.yaml", WALL)]).expect("right");
    AutoDecoder::with_mappings(DecodeConfig::default(), mappings)
}

fn decode(decoder: &mut AutoDecoder, lines: &[&str]) {
    let chunk = chunk_of(0, lines.iter().map(|line| line.as_bytes()));
    decoder.decode(&chunk, &mut BatchBuilder::new(), &mut DeadLetters::new());
}

/// `by kind name` of each.
fn drift(decoder: &mut AutoDecoder) -> Vec<String> {
    decoder.take_drift().iter().map(|d| format!("{} {} {}", d.by, d.kind, d.name)).collect()
}

fn seen(decoder: &AutoDecoder) -> Vec<String> {
    decoder.seen().map(|s| format!("{} {} {} {}", s.by, s.kind, s.name, s.count)).collect()
}

#[test]
fn a_new_name_is_told_once_and_counted() {
    let mut decoder = decoder();
    let line = "devid=1 type=traffic srcip=192.0.2.1 vd=root";
    decode(&mut decoder, &[line, line, r#"{"ledger":{"id":7,"page":1},"text":"a","more":{"x":1}}"#]);
    assert_eq!(drift(&mut decoder), ["wall key vd", "ledger key ledger.page", "ledger key more"]);
    assert!(drift(&mut decoder).is_empty());
    decode(&mut decoder, &[line]);
    assert!(drift(&mut decoder).is_empty(), "it was seen before");
    assert_eq!(seen(&decoder), ["wall key vd 3", "ledger key ledger.page 1", "ledger key more 1"]);
}

#[test]
fn a_row_that_is_written_again_counts_once() {
    let mut decoder = decoder();
    // A port without an address: the row is written again without the endpoint.
    decode(&mut decoder, &["devid=1 type=traffic srcport=443 vd=root"]);
    assert_eq!(seen(&decoder), ["wall key vd 1"]);
}

#[test]
fn longer_lines_and_types_that_nobody_knows() {
    let mut decoder = decoder();
    let longer = traffic(&[(300, "new")]);
    let strata = r#"{"LogType":"NEWS","DeviceSN":"1","TimeGenerated":"2026-11-20T10:00:00Z"}"#;
    decode(&mut decoder, &[&longer, &longer, "T1,a,b", strata]);
    let found = drift(&mut decoder);
    assert!(found.contains(&"traffic layout 300 columns".to_owned()), "{found:?}");
    assert!(found.contains(&"table layout 3 columns".to_owned()), "{found:?}");
    assert!(found.contains(&"other log_type NEWS".to_owned()), "{found:?}");
    let lines = [
        "hello",
        "<13>Nov 20 10:00:00 host sshd[7]: hello",
        "%XYZ-6-100: hello",
        "CEF:0|Nobody|Thing|1|2|3|4|a=b",
        r#"{"a":1,"b":{},"c":2,"d":3}"#,
        r#"[{"e":1},7]"#,
    ];
    decode(&mut decoder, &lines);
    let want = [
        "text",
        "text of sshd",
        "%XYZ-6-100",
        "CEF:0|Nobody|Thing",
        "json of {a, b, c, …}",
        "json of {e, …}",
        "json that is no object",
    ];
    assert_eq!(drift(&mut decoder), want.map(|name| format!("base_event log_type {name}")));
}

#[test]
fn sources_are_told_apart() {
    let mut notes = Notes::default();
    for source in ["a", "b", "a"] {
        notes.begin_source(&Arc::from(source));
        notes.begin_row("x");
        notes.key("", "k");
    }
    let found: Vec<(&str, u64)> = notes.seen().map(|s| (s.source, s.count)).collect();
    assert_eq!((found, notes.fresh.len()), (vec![("a", 2), ("b", 1)], 2));
}

#[test]
fn names_are_bounded_at_the_limit_and_one_past_it() {
    let mut notes = Notes::default();
    notes.begin_row("x");
    for i in 0..NAMES_MAX {
        notes.key("", &format!("k{i}"));
    }
    assert_eq!((notes.fresh.len(), notes.seen().count()), (NAMES_MAX, NAMES_MAX));
    for i in 0..3 {
        notes.key("", &format!("further{i}"));
    }
    notes.key("", "k0");
    let last = notes.fresh.last().map(|d| d.name.clone());
    assert_eq!((notes.fresh.len(), last.as_deref()), (NAMES_MAX + 1, Some(OTHER)));
    let count = |name: &str| notes.seen().find(|s| s.name == name).map(|s| s.count);
    assert_eq!((count("k0"), count(OTHER)), (Some(2), Some(3)));
    let long = "é".repeat(NAME_BYTES_MAX);
    let mut notes = Notes::default();
    notes.key("", &long);
    assert_eq!(notes.seen().map(|s| s.name.len()).collect::<Vec<_>>(), [NAME_BYTES_MAX]);
}

#[test]
fn which_decoder_took_a_record_and_why() {
    let mut decoder = decoder();
    decode(&mut decoder, &["devid=1 type=traffic"]);
    assert!(decoder.take_taken().is_empty(), "nobody asked");
    decoder.explain();
    let panos = format!("<14>Nov 20 10:00:00 fw-1 {}", traffic(&[]));
    let trail = r#"{"eventSource":"s","eventName":"n","eventID":"1","eventTime":"2026-11-20T10:00:00Z"}"#;
    let file = format!(r#"{{"Records":[{trail},7]}}"#);
    let flow = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 1024 443 6 1 40 1795168740 1795168800 ACCEPT OK";
    let lines = ["<13>1 2026-11-20T10:00:00Z h a - - - devid=1 type=traffic", &panos, &file, flow, "{", "hello"];
    decode(&mut decoder, &lines);
    let taken = decoder.take_taken();
    let found: Vec<String> = taken
        .iter()
        .map(|t| format!("{}.{} {} {} {}: {}", t.offset, t.index, t.by, t.format, t.header, t.why))
        .collect();
    let want = [
        "0.0 wall kv rfc5424: devid is there, type = traffic",
        "1.0 traffic panos-csv rfc3164: column 4 = TRAFFIC",
        "2.0 cloudtrail cloudtrail none: eventSource and eventName are there, and who or where from",
        "2.1 base_event json none: no mapping takes it",
        "3.0 vpc_flow vpc-flow none: its values are those of a flow log",
        "5.0 base_event text none: no mapping takes it",
    ];
    assert_eq!(found, want);
}
