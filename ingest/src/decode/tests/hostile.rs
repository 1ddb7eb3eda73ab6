//! Records that are broken, too large, or made to break a decoder.

use super::*;
use crate::decode::kv::Dialect;
use crate::decode::pairs::Pairs;

fn limits(limits: Limits) -> DecodeConfig {
    DecodeConfig { limits, ..DecodeConfig::default() }
}

/// Decodes one record; its reason if it is a dead letter.
fn outcome(config: &DecodeConfig, record: &[u8]) -> Result<usize, Reason> {
    let decoded = decode_all(config.clone(), &[record]);
    match (decoded.rows.len(), decoded.dead.as_slice()) {
        (0, [(_, reason)]) => Err(*reason),
        (rows, []) if rows > 0 => Ok(rows),
        _ => panic!("out of balance: {decoded:?}"),
    }
}

#[test]
fn every_reason_has_its_record() {
    let far = traffic(&[(7, "9999/01/01 00:00:00")]);
    let cases: [(&[u8], Reason); 21] = [
        (b"", Reason::Empty),
        (b" \t\r", Reason::Empty),
        (b"\xef\xbb\xbf", Reason::Empty),
        (b"\xff\xfe", Reason::InvalidUtf8),
        (b"{\"a\":\"\xff\"}", Reason::InvalidUtf8),
        (b"{\"a\":1", Reason::InvalidJson),
        (b"{not json", Reason::InvalidJson),
        (b"{\"a\":\"\\ud800\"}", Reason::InvalidJson),
        (b"nul \0 byte", Reason::UnknownFormat),
        (b"1,2026/11/20 10:00:00,0011,TRAFFIC,end,2817,2026/11/20 10:00:00", Reason::MissingField),
        (b"1,2026/11/20 10:00:00,0011,SYSTEM,general", Reason::MissingField),
        (b"1,2026/11/20 10:00:00,0011,CONFIG,0,0,2026/11/20 10:00:00,192.0.2.1,,commit", Reason::MissingField),
        (b"1,2026/11/20 10:00:00,0011,GLOBALPROTECT,0,0,2026/11/20 10:00:00,,portal-auth", Reason::MissingField),
        (b"0011,2026/11/20 10:00:00,audit,2817", Reason::MissingField),
        (b"1,2026/11/20 10:00:00,0011,CORRELATION,0,0,2026/11/20 10:00:00,,ann", Reason::InvalidValue),
        (b"srcaddr dstaddr start end", Reason::Header),
        (b"1,20:00,0011,SYSTEM,general,0,x", Reason::InvalidTime),
        (far.as_bytes(), Reason::TimeOutOfRange),
        (br#"{"LogType":"TRAFFIC","DeviceSN":"1"}"#, Reason::InvalidTime),
        (
            br#"{"eventSource":"s","eventName":"n","eventID":"1","eventTime":"0000-01-01T00:00:00Z"}"#,
            Reason::TimeOutOfRange,
        ),
        (br#"{"LogType":"TRAFFIC","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":7}"#, Reason::InvalidValue),
    ];
    for (record, want) in cases {
        assert_eq!(outcome(&DecodeConfig::default(), record), Err(want), "{}", String::from_utf8_lossy(record));
    }
}

#[test]
fn a_cut_record_is_too_long_whatever_it_holds() {
    let mut builder = ChunkBuilder::new(PartitionId::new("t", "i", 0), "acme".into(), 0);
    builder.push_cut(b"{}", 16 << 20, 0, RECEIVED_AT);
    builder.push_cut(&vec![b'x'; 1 << 20], 16 << 20, 1, RECEIVED_AT);
    let decoded = decode_chunks(DecodeConfig::default(), &[builder.finish()]);
    assert_eq!(decoded.dead, [(0, Reason::TooLong), (1, Reason::TooLong)]);
}

#[test]
fn limits_hold_at_the_limit_and_one_past_it() {
    let few = Limits { line_bytes_max: 40, json_depth_max: 4, json_keys_max: 3, string_bytes_max: 8 };
    let with = |change: fn(&mut Limits, &Limits)| {
        let mut wide = Limits::default();
        change(&mut wide, &few);
        limits(wide)
    };
    let line = with(|l, few| l.line_bytes_max = few.line_bytes_max);
    assert_eq!(outcome(&line, &[b'x'; 40]), Ok(1));
    assert_eq!(outcome(&line, &[b'x'; 41]), Err(Reason::TooLong));
    let depth = with(|l, few| l.json_depth_max = few.json_depth_max);
    assert_eq!(outcome(&depth, br#"{"a":{"b":{"c":{}}}}"#), Ok(1));
    assert_eq!(outcome(&depth, br#"{"a":{"b":{"c":{"d":{}}}}}"#), Err(Reason::TooDeep));
    let keys = with(|l, few| l.json_keys_max = few.json_keys_max);
    assert_eq!(outcome(&keys, br#"{"a":1,"b":[1,2,3,4,5],"c":{}}"#), Ok(1));
    assert_eq!(outcome(&keys, br#"{"a":1,"b":2,"c":{"d":1}}"#), Err(Reason::TooLarge));
    // Objects in arrays are counted alone: a file of events has more keys than any of them.
    assert_eq!(outcome(&keys, br#"{"a":[{"b":1,"c":2,"d":3},{"b":1,"c":{"d":[{"e":1}]}}]}"#), Ok(1));
    assert_eq!(outcome(&keys, br#"{"a":[{"b":1},{"b":1,"c":{"d":[],"e":1}}]}"#), Err(Reason::TooLarge));
    let string = with(|l, few| l.string_bytes_max = few.string_bytes_max);
    assert_eq!(outcome(&string, br#"{"a":"12345678"}"#), Ok(1));
    assert_eq!(outcome(&string, br#"{"a":"123456789"}"#), Err(Reason::TooLarge));
    assert_eq!(outcome(&string, br#"{"123456789":1}"#), Err(Reason::TooLarge));
}

/// A megabyte whose rows would repeat gigabytes becomes one row that holds all of it.
#[test]
fn what_stands_around_events_is_not_repeated_without_bound() {
    let config = DecodeConfig::default();
    let (around, bytes) = ("x".repeat(200_000), 200_000 + r#""note":"""#.len());
    let most = crate::decode::envelope::REPEATED_BYTES_MAX / bytes;
    let file = |events: usize, event: &str, of: &str| {
        let events = vec![event; events].join(",");
        format!(r#"{{"{of}":[{events}],"note":"{around}"}}"#)
    };
    let trail = r#"{"eventVersion":"1.09","eventTime":"2026-11-20T09:57:00Z","eventName":"A","eventSource":"s3.amazonaws.com","eventID":"1"}"#;
    let activity = r#"{"callerIpAddress":"192.0.2.1","category":"Administrative","operationName":"A/WRITE","time":"2026-11-20T09:57:00Z"}"#;
    for (event, of) in [(trail, "Records"), (activity, "records")] {
        assert_eq!(outcome(&config, file(most, event, of).as_bytes()), Ok(most), "{of}");
        assert_eq!(outcome(&config, file(most + 1, event, of).as_bytes()), Ok(1), "{of}");
    }
    let flow = |tuples: usize| {
        let tuples = vec![r#""1795168798,192.0.2.1,192.0.2.2,1024,443,T,O,A""#; tuples].join(",");
        format!(
            r#"{{"category":"NetworkSecurityGroupFlowEvent","note":"{around}","properties":{{"flows":[{{"rule":"r","flows":[{{"flowTuples":[{tuples}]}}]}}]}}}}"#
        )
    };
    assert_eq!(outcome(&config, flow(most - 1).as_bytes()), Ok(most - 1));
    assert_eq!(outcome(&config, flow(most + 1).as_bytes()), Ok(1));
}

#[test]
fn the_default_limits() {
    let config = DecodeConfig::default();
    let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    assert_eq!(outcome(&config, nested(64).as_bytes()), Ok(1));
    assert_eq!(outcome(&config, nested(65).as_bytes()), Err(Reason::TooDeep));
    assert_eq!(outcome(&config, nested(10_000).as_bytes()), Err(Reason::TooDeep));
    let keys = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(","));
    assert_eq!(outcome(&config, keys(4096).as_bytes()), Ok(1));
    assert_eq!(outcome(&config, keys(4097).as_bytes()), Err(Reason::TooLarge));
    assert_eq!(outcome(&config, keys(100_000).as_bytes()), Err(Reason::TooLong));
    let string = |n: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(n));
    assert_eq!(outcome(&config, string(256 << 10).as_bytes()), Ok(1));
    assert_eq!(outcome(&config, string((256 << 10) + 1).as_bytes()), Err(Reason::TooLarge));
    assert_eq!(outcome(&config, &vec![b'x'; 1 << 20]), Ok(1));
    assert_eq!(outcome(&config, &vec![b'x'; (1 << 20) + 1]), Err(Reason::TooLong));
}

#[test]
fn duplicate_keys_keep_both_values() {
    let row = row_of(
        r#"{"LogType":"TRAFFIC","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.0.0.1","SourceAddress":"10.0.0.2"}"#,
    );
    check(&row, &[("src_endpoint.ip", "\"10.0.0.1\""), ("unmapped.SourceAddress", "\"10.0.0.2\"")]);
}

#[test]
fn a_dead_record_harms_no_other() {
    let good = traffic(&[]);
    let bad = traffic(&[(7, "never"), (2, "0")]);
    let (none, long) = (traffic(&[(8, "x"), (9, "y")]), "x".repeat(2 << 20));
    let records = [good.as_str(), &none, &good, "{", &long, "\u{0}", &good, &bad];
    let bytes: Vec<&[u8]> = records.iter().map(|r| r.as_bytes()).collect();
    let decoded = decode_all(DecodeConfig::default(), &bytes);
    let network: Vec<i64> = decoded.rows.iter().filter(|r| r.0 == Table::NetworkActivity).map(|r| r.1).collect();
    // The device's receive time stands in for an event time that is none; here it is 1970.
    assert_eq!(network, [0, 1, 2, 6, 7]);
    assert_eq!(decoded.rows[0].3, decoded.rows[2].3);
    assert_eq!(decoded.rows[0].3, decoded.rows[3].3);
    assert_eq!(decoded.dead, [(3, Reason::InvalidJson), (4, Reason::TooLong), (5, Reason::UnknownFormat)]);
}

/// Lines of each format of pairs: `{}` stands for further ones, of which the format's separator is named.
const LINES: [(&str, &str); 3] = [
    ("devid=FG1 logid=1 type=traffic subtype=forward eventtime=1795168800000000000 {}", " "),
    ("CEF:0|Fortinet|Fortigate|v7|1|traffic|3|FTNTFGTeventtime=1795168800000000000 cat=traffic:forward {}", " "),
    ("LEEF:1.0|Example|Wall|1|login|at=1795168800\t{}", "\t"),
];

const WALLS: &str = "
name: example_leef
product: {vendor: Example, name: Wall}
format: leef
match: {vendor: Example}
class: base_event
time: {from: at, unit: s}
attributes: {message: text}
---
name: example_csv
product: {vendor: Example, name: Wall}
format: csv
columns: [kind, text]
match: {kind: T1}
class: base_event
time: received
attributes: {message: text}
---
name: example_text
product: {vendor: Example, name: Wall}
format: text
match: {kind: T2}
patterns: ['{kind}: {text}']
class: base_event
time: received
attributes: {message: text}
";

fn walls() -> Mappings {
    Mappings::with_files(&[("walls.yaml", WALLS)]).expect("right")
}

/// As [`outcome`], with mappings for every format; a line that no mapping takes is no outcome.
fn outcome_of_line(mappings: &Mappings, line: &str) -> Result<(), Reason> {
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), mappings.clone());
    decoder.explain();
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    decoder.decode(&chunk_of(0, [line.as_bytes()]), &mut rows, &mut dead);
    let taken = decoder.take_taken();
    match dead.take_counts().into_iter().next() {
        Some((reason, _)) => Err(reason),
        None => {
            assert_ne!(taken[0].by, "base_event", "{}", &line[..line.len().min(99)]);
            Ok(())
        }
    }
}

#[test]
fn lines_of_pairs_at_their_limits_and_one_past_them() {
    let mappings = walls();
    for (line, separator) in LINES {
        let own = count(line);
        let with = |n: usize| {
            let further: Vec<String> = (0..n).map(|i| format!("k{i}=v")).collect();
            outcome_of_line(&mappings, &line.replace("{}", &further.join(separator)))
        };
        assert_eq!((with(4096 - own), with(4097 - own)), (Ok(()), Err(Reason::TooLarge)), "{line}");
        assert_eq!(with(100_000), Err(Reason::TooLarge), "{line}");
        let long = |n: usize| outcome_of_line(&mappings, &line.replace("{}", &format!("k={}", "x".repeat(n))));
        assert_eq!((long(256 << 10), long((256 << 10) + 1)), (Ok(()), Err(Reason::TooLarge)), "{line}");
        let max = 1 << 20;
        let filled = |n: usize| {
            let pad = |n: usize| {
                format!("k={0} l={0} m={0} n={0} o={1}", "x".repeat(200_000), "x".repeat(n)).replace(' ', separator)
            };
            let least = line.replace("{}", &pad(0)).len();
            outcome_of_line(&mappings, &line.replace("{}", &pad(n - least)))
        };
        assert_eq!((filled(max), filled(max + 1)), (Ok(()), Err(Reason::TooLong)), "{line}");
    }
}

/// Pairs of a line of [`LINES`] that has no further ones.
fn count(line: &str) -> usize {
    let (line, mut pairs) = (line.replace("{}", ""), Pairs::default());
    match (line.starts_with("CEF:"), line.starts_with("LEEF:")) {
        (true, _) => assert!(cef::split(&line, 0, &mut pairs)),
        (_, true) => assert!(leef::split(&line, 0, &mut pairs)),
        _ => kv::split(&line, 0..line.len(), Dialect::PLAIN, &mut pairs),
    }
    pairs.len()
}

#[test]
fn columns_and_captures_at_their_limits_and_one_past_them() {
    let mappings = walls();
    for head in ["T1,", "T2: "] {
        let long = |n: usize| outcome_of_line(&mappings, &format!("{head}{}", "x".repeat(n)));
        assert_eq!((long(256 << 10), long((256 << 10) + 1)), (Ok(()), Err(Reason::TooLarge)), "{head}");
    }
    let columns = |n: usize| outcome_of_line(&mappings, &format!("T1{}", ",x".repeat(n - 1)));
    assert_eq!((columns(4096), columns(4097)), (Ok(()), Err(Reason::TooLarge)));
}
