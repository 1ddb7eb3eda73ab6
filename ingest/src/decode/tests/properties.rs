//! What holds for any input.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn record() -> impl Strategy<Value = Vec<u8>> {
    let line = traffic(&[]).into_bytes();
    let strata = br#"{"LogType":"THREAT","Subtype":"url","TimeReceived":"1795168800","URL":"a/b","SourceAddress":"10.0.0.1","n":1.10}"#;
    let trail = br#"{"Records":[{"eventSource":"s","eventName":"n","eventID":"1","eventTime":"2026-11-20T10:00:00Z","resources":[{"ARN":"a"}]},{}]}"#;
    let login = b"1,2026/11/20 10:00:01,0011,GLOBALPROTECT,0,2817,2026/11/20 10:00:00,,gateway-auth,login,LDAP,,ann,DE,pc,198.51.100.7";
    let system = b"1,2026/11/20 10:00:01,0011,SYSTEM,auth,0,2026/11/20 10:00:00,,auth-fail,,0,0,general,medium,\"for user 'ann'. From: 192.0.2.1.\"";
    let config =
        b"1,2026/11/20 10:00:01,0011,CONFIG,0,0,2026/11/20 10:00:00,192.0.2.1,,set,ann,Web,Failed, shared,7,0x0";
    let flow = b"2 111122223333 eni-1 10.0.0.1 10.0.0.2 1024 443 6 1 40 1795168740 1795168800 ACCEPT OK";
    let header = b"version srcaddr dstaddr start end";
    let cef = b"<1>h CEF:0|Palo Alto Networks|PAN-OS|9|end|TRAFFIC|1|rt=Nov 20 2026 10:00:00 GMT src=10.0.0.1 cs1=\"a b\" cs1Label=Rule suser=a\\\\b";
    let leef =
        b"LEEF:2.0|Palo Alto Networks|X|9|e|x7C|cat=AUTH|devTime=Nov 20 2026 10:00:00 GMT|usrName=ann|src=10.0.0.1";
    let audit = b"0011,2026/11/20 10:00:00,audit,2817,gui-op,admin,\"<show/>\",success";
    let further = [login.as_slice(), system, config, flow, header, cef, leef, audit].map(<[u8]>::to_vec);
    let seeds =
        vec![line, threat(&[]).into_bytes(), strata.to_vec(), trail.to_vec(), b"text".to_vec(), b"{\"a\":{}}".to_vec()];
    let seeds = [seeds, further.to_vec()].concat();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "\\PC{0,60}".prop_map(String::into_bytes),
        "[{}\\[\\]\",:0-9a-z\\\\ .eE+-]{0,60}".prop_map(String::into_bytes),
        prop::sample::select(seeds.clone()),
        // A good record with a few bytes changed and its end cut.
        (
            prop::sample::select(seeds),
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            any::<prop::sample::Index>()
        )
            .prop_map(|(mut seed, changes, cut)| {
                for (at, byte) in changes {
                    let at = at.index(seed.len());
                    seed[at] = byte;
                }
                seed.truncate(cut.index(seed.len()) + 1);
                seed
            }),
    ]
}

proptest! {
    #![proptest_config(crate::decode::tests::cases(300))]

    #[test]
    fn every_record_ends_in_rows_or_in_one_dead_letter(records in prop::collection::vec(record(), 1..20)) {
        let bytes: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let decoded = decode_all(DecodeConfig::default(), &bytes);
        let with_rows: HashSet<i64> = decoded.rows.iter().map(|r| r.1).collect();
        for offset in 0..records.len() as i64 {
            let letters = decoded.dead.iter().filter(|d| d.0 == offset).count();
            prop_assert_eq!(letters, usize::from(!with_rows.contains(&offset)), "record {}", offset);
        }
        for (.., json) in &decoded.rows {
            prop_assert!(serde_json::from_str::<Value>(json).is_ok() || json.contains('e') || json.contains('E'), "{}", json);
            prop_assert!(!json.contains('\n'));
        }
    }

    #[test]
    fn any_chunking_gives_the_same_rows(records in prop::collection::vec(record(), 1..20), size in 1_usize..8) {
        let bytes: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let chunks: Vec<Chunk> = bytes.chunks(size).zip(0_i64..).map(|(c, i)| chunk_of(i * size as i64, c.iter().copied())).collect();
        let whole = whole_chunk(&bytes);
        let mut decoder = AutoDecoder::new(DecodeConfig::default());
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        for chunk in &chunks {
            decoder.decode(chunk, &mut rows, &mut dead);
        }
        let pieces: Vec<_> = rows.finish().iter().flat_map(rows_of).collect();
        prop_assert_eq!(&pieces, &whole.rows);
        prop_assert_eq!(dead.len(), whole.dead.len());
        prop_assert_eq!(decode_chunks(DecodeConfig::default(), &chunks), whole);
    }

    #[test]
    fn no_scalar_of_a_line_is_lost(log_type in prop::sample::select(vec!["TRAFFIC/end", "THREAT/url", "THREAT/spyware", "THREAT/data", "GLOBALPROTECT/0", "SYSTEM/auth", "CONFIG/0", "AUTH/0", "USERID/login", "USERID/tag", "HIPMATCH/0", "IPTAG/0", "DECRYPTION/0", "END/end", "SCTP/0", "GTP/0", "CORRELATION/0"]), values in prop::collection::vec("[a-z]{6,9}|[1-9][0-9]{1,4}|10\\.[0-9]\\.[0-9]\\.[1-9]", 140), len in 50_usize..140) {
        let (kind, subtype) = log_type.split_once('/').expect("a slash");
        let mut columns = values[..len].to_vec();
        for (column, value) in [(1, "1"), (2, "2026/11/20 10:00:01"), (4, kind), (5, subtype), (7, "2026/11/20 10:00:00"), (8, "10.1.2.3"), (9, "10.1.2.4")] {
            columns[column - 1] = value.to_owned();
        }
        let row = row_of(&columns.join(","));
        let found = scalars(&row, "raw_data");
        for (i, value) in columns.iter().enumerate() {
            prop_assert!(is_found(value, &found), "column {} = {value} of {row}", i + 1);
        }
    }

    #[test]
    fn no_scalar_of_a_pair_is_lost(is_leef: bool, log_type in prop::sample::select(vec!["TRAFFIC", "THREAT", "SYSTEM", "CONFIG", "GLOBALPROTECT", "AUTH", "USERID", "HIPMATCH", "IPTAG", "DECRYPTION", "END", "SCTP", "GTP", "CORRELATION", "AUDIT", "DNS"]), values in prop::collection::vec("[a-z]{6,9}|[1-9][0-9]{1,4}|10\\.[0-9]\\.[0-9]\\.[1-9]", 160)) {
        let line = pairs(is_leef, log_type, &values);
        let found = scalars(&row_of(&line), "raw_data");
        for value in &values {
            prop_assert!(is_found(value, &found), "{value} of {line} in {found:?}");
        }
    }

    #[test]
    fn no_scalar_of_a_document_is_lost(shape in 0_usize..DOCUMENTS, values in prop::collection::vec("[a-z]{6,9}|[1-9][0-9]{1,4}|10\\.[0-9]\\.[0-9]\\.[1-9]|true", 60), number in "[1-9][0-9]{0,24}(\\.[0-9]{1,3})?(e[0-9]{1,3})?") {
        let json = document(shape, &values, &number);
        let decoded = decode_all(DecodeConfig::default(), &[json.as_bytes()]);
        let [(table, .., text)] = decoded.rows.as_slice() else { panic!("{decoded:?}") };
        prop_assert_eq!(BASE_EVENTS.contains(&shape), *table == Table::BaseEvent);
        prop_assert!(text.contains(&number), "{number} of {text}");
        let mut found = HashSet::new();
        words(text, &mut found);
        for value in &values {
            prop_assert!(is_found(value, &found), "{value} of {json} in {text}");
        }
    }
}

/// Keys of a `.names` file.
fn keys(names: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = names.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_ascii_whitespace().nth(1)).flat_map(|keys| keys.split(','))
}

/// An event of every key in CEF or LEEF, and of some that nobody knows.
fn pairs(is_leef: bool, log_type: &str, values: &[String]) -> String {
    let (names, separator, time) = match is_leef {
        true => (include_str!("../../paloalto/leef.names"), '|', "devTime"),
        false => (include_str!("../../paloalto/cef.names"), ' ', "rt"),
    };
    let head = match is_leef {
        true => format!(
            "LEEF:1.0|Palo Alto Networks|PAN-OS Syslog Integration|10.2|x|cat={log_type}|Subtype=login|src=10.9.9.9"
        ),
        false => format!("CEF:0|Palo Alto Networks|PAN-OS|10.2|login|{log_type}|1|src=10.9.9.9"),
    };
    let mut known: Vec<&str> = keys(names).filter(|key| !["src", "cat", "rt", "devTime"].contains(key)).collect();
    known.sort_unstable();
    known.dedup();
    let known = known.into_iter().map(str::to_owned).chain((0..).map(|i| format!("Unheard{i}")));
    let pairs = known.zip(values).map(|(key, value)| format!("{separator}{key}={value}"));
    format!("{head}{separator}{time}=Nov 20 2026 10:00:00 GMT{}", pairs.collect::<String>())
}

fn whole_chunk(records: &[&[u8]]) -> Decoded {
    decode_all(DecodeConfig::default(), records)
}

/// What [`document`] makes documents of: the members that make one of its kind, and the field table.
const DOCUMENT_KINDS: [(&str, &str); DOCUMENTS] = [
    (
        r#""LogType":"TRAFFIC","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/traffic.fields"),
    ),
    (
        r#""LogType":"THREAT","Subtype":"url","TimeGenerated":"2026-11-20T10:00:00Z","URL":"a/b""#,
        include_str!("../../paloalto/url.fields"),
    ),
    (
        r#""LogType":"THREAT","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/threat.fields"),
    ),
    (
        r#""LogType":"GLOBALPROTECT","TimeGenerated":"2026-11-20T10:00:00Z","Stage":"login""#,
        include_str!("../../paloalto/globalprotect.fields"),
    ),
    (r#""LogType":"CONFIG","EventTime":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/config.fields")),
    (
        r#""eventSource":"s","eventName":"GetX","eventTime":"2026-11-20T10:00:00Z","userIdentity":{"type":"IAMUser"}"#,
        include_str!("../../aws/cloudtrail.fields"),
    ),
    (r#""LogType":"AUTH","TimeGenerated":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/auth.fields")),
    (
        r#""LogType":"USERID","Subtype":"logout","TimeGenerated":"2026-11-20T10:00:00Z""#,
        include_str!("../../paloalto/userid.fields"),
    ),
    (
        r#""LogType":"DECRYPTION","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/decryption.fields"),
    ),
    (r#""LogType":"END","TimeGenerated":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/tunnel.fields")),
    (
        r#""LogType":"SCTP","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/sctp.fields"),
    ),
    (
        r#""LogType":"GTP","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/gtp.fields"),
    ),
    (
        r#""LogType":"CORRELATION","TimeGenerated":"2026-11-20T10:00:00Z","SourceAddress":"10.9.9.9""#,
        include_str!("../../paloalto/correlation.fields"),
    ),
    (r#""LogType":"AUDIT","EventTime":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/audit.fields")),
    (r#""LogType":"HIPMATCH","TimeGenerated":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/hipmatch.fields")),
    (
        r#""LogType":"SYSTEM","EventTime":"2026-11-20T10:00:00Z","LogSourceID":"1""#,
        include_str!("../../paloalto/system.fields"),
    ),
    (r#""LogType":"IPTAG","TimeGenerated":"2026-11-20T10:00:00Z""#, include_str!("../../paloalto/iptag.fields")),
];

const DOCUMENTS: usize = 17;

/// The last kinds become base_event.
const BASE_EVENTS: std::ops::Range<usize> = 15..DOCUMENTS;

/// A document of one kind whose further names are those of its field table, and some that none knows.
fn document(kind: usize, values: &[String], number: &str) -> String {
    let (head, table) = DOCUMENT_KINDS[kind];
    let names = table.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_ascii_whitespace().nth(1));
    let names = names
        .flat_map(|n| n.split(','))
        .filter(|n| *n != "-" && !head.contains(&format!("\"{n}\"")) && !n.contains('.'));
    let names = names.map(str::to_owned).chain((0..).map(|i| format!("Unheard{i}")));
    let members = names.zip(values).map(|(name, value)| format!(",\"{name}\":\"{value}\""));
    format!("{{{head}{},\"number\":{number}}}", members.collect::<String>())
}

/// Every string and number of a row, as text, but those under `without`.
fn scalars(row: &Value, without: &str) -> HashSet<String> {
    let mut row = row.clone();
    row.as_object_mut().expect("a row is an object").remove(without);
    let mut found = HashSet::new();
    words(&row.to_string(), &mut found);
    found
}

/// The words of a text between JSON's marks.
fn words(json: &str, found: &mut HashSet<String>) {
    found.extend(json.split(['"', ',', ':', '{', '}', '[', ']', '(', ')', '/', '?', ' ']).map(str::to_owned));
}

/// A value is found if it says no more than the activity (`readOnly`), or if it stands there, in the parts of which it is made, as the time it is, as milliseconds of the
/// seconds it is, or as the version it packs.
fn is_found(value: &str, found: &HashSet<String>) -> bool {
    let millis = value.parse::<i64>().map(|n| (n * 1000).to_string());
    let packed = value.parse::<i64>().map(|n| format!("{}.{}", n / 256, n % 256));
    value == "true"
        || found.contains(value)
        || values::time(value).is_some_and(|t| found.contains(&(t / 1000).to_string()))
        || [millis, packed].into_iter().flatten().any(|v| found.contains(&v))
        || value.split([' ', '/', ':']).all(|part| found.contains(part))
}
