//! What is written, read back with a reader of the test's own and compared with the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dataflow::{Reason, Table};
use serde_json::Value;

use crate::config::FleetConfig;
use crate::cursor::RecordKind;
use crate::fleet::Fleet;
use crate::fleet::tests::SMALL;
use crate::mix::Mix;
use crate::truth::TruthRow;

/// The records of those kinds in half of the partitions, with their truth.
fn records(is_wanted: impl Fn(RecordKind) -> bool) -> Vec<(Vec<u8>, Vec<TruthRow>)> {
    let mut found = Vec::new();
    for id in SMALL.partitions().into_iter().step_by(2) {
        let mut bytes = SMALL.cursor(&id, 0).expect("own partition");
        let mut truth = bytes.clone();
        let mut line = Vec::new();
        while let Some(meta) = bytes.next(&mut line) {
            let mut rows = Vec::new();
            truth.next_truth(&mut rows);
            if is_wanted(meta.kind) {
                found.push((line.clone(), rows));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The records of a fleet of one format, with their truth.
fn records_of(mix: Mix) -> Vec<(Vec<u8>, Vec<TruthRow>)> {
    let config = FleetConfig {
        events: 30_000,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 0,
        flow_logs_per_million: 0,
        mix,
        ..FleetConfig::default()
    };
    let fleet = Fleet::new(config).expect("a fleet");
    let mut found = Vec::new();
    for id in fleet.partitions() {
        let mut bytes = fleet.cursor(&id, 0).expect("own partition");
        let mut truth = bytes.clone();
        let mut line = Vec::new();
        while bytes.next(&mut line).is_some() {
            let mut rows = Vec::new();
            truth.next_truth(&mut rows);
            found.push((line.clone(), rows));
        }
    }
    found
}

/// The columns of a CSV line, unquoted, without the syslog header.
fn columns(line: &str) -> Vec<String> {
    let start = line.find("1,20").expect("a first column and a receive time");
    let (mut columns, mut current, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut chars = line[start..].chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if in_quotes && chars.peek() == Some(&'"') => current.push(chars.next().expect("peeked")),
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => columns.push(std::mem::take(&mut current)),
            c => current.push(c),
        }
    }
    assert!(!in_quotes, "quotes are closed: {line}");
    columns.push(current);
    columns
}

fn micros(date_and_time: &str) -> i64 {
    let digits = |range: std::ops::Range<usize>| date_and_time[range].parse::<i64>().expect("digits");
    let days = dataflow::time::days_from_civil(digits(0..4), digits(5..7), digits(8..10));
    let seconds = digits(11..13) * 3600 + digits(14..16) * 60 + digits(17..19);
    let fraction: String = date_and_time[19..].chars().skip(1).take_while(char::is_ascii_digit).collect();
    let micros: i64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().expect("digits") };
    days * dataflow::time::DAY_US + seconds * 1_000_000 + micros
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[test]
fn csv_lines_have_the_columns_of_their_release() {
    let mut seen = BTreeMap::new();
    for (line, _) in records_of(Mix { panos_csv: 1, ..Mix::NONE }) {
        let columns = columns(std::str::from_utf8(&line).expect("UTF-8"));
        seen.entry((columns[5].clone(), columns[3].clone())).or_insert_with(BTreeSet::new).insert(columns.len());
    }
    let want = [
        ("2305", [16, 36, 23, 79, 75]),
        ("2560", [26, 49, 26, 108, 103]),
        ("2561", [26, 49, 26, 121, 115]),
        ("2562", [26, 49, 26, 121, 115]),
        ("2816", [26, 50, 26, 123, 117]),
        ("2817", [26, 50, 26, 123, 117]),
        ("3073", [26, 50, 26, 123, 130]),
    ];
    let want = want.into_iter().flat_map(|(release, counts)| {
        let types = ["CONFIG", "GLOBALPROTECT", "SYSTEM", "THREAT", "TRAFFIC"].into_iter().zip(counts);
        types.map(move |(kind, n)| ((release.to_owned(), kind.to_owned()), BTreeSet::from([n])))
    });
    assert_eq!(seen, want.collect());
}

#[test]
fn csv_lines_tell_the_truth() {
    let mut subtypes = BTreeSet::new();
    for (line, rows) in records(|kind| kind == RecordKind::PanosCsv) {
        let columns = columns(std::str::from_utf8(&line).expect("UTF-8"));
        let row = &rows[0];
        let (kind, high_resolution) = match columns[3].as_str() {
            "TRAFFIC" => (Table::NetworkActivity, columns.get(102)),
            "SYSTEM" if columns[14].contains("logged in") => (Table::Authentication, columns.get(25)),
            "SYSTEM" => (Table::BaseEvent, columns.get(25)),
            "CONFIG" => (Table::ApiActivity, columns.get(25)),
            "GLOBALPROTECT" => (row.table, columns.get(36)),
            _ if columns[4] == "url" => (Table::HttpActivity, columns.get(107)),
            _ => (Table::DetectionFinding, columns.get(107)),
        };
        assert_eq!(row.table, kind);
        assert_eq!(row.time_us, Some(micros(high_resolution.unwrap_or(&columns[6]))));
        assert_eq!(micros(&columns[6]), row.time_us.expect("a time") / 1_000_000 * 1_000_000);
        subtypes.insert(columns[4].clone());
        match columns[3].as_str() {
            "SYSTEM" => {
                assert!(row.src_ip.is_none() && row.dst_port.is_none());
                let admin = columns[14].strip_prefix("User ").and_then(|text| text.split(' ').next());
                assert_eq!(row.user_name.map(|name| name.to_string()).as_deref(), admin);
            }
            "CONFIG" => check_change(&columns, row),
            "GLOBALPROTECT" => check_step([8, 9, 12, 13, 15, 28].map(|at| columns[at].as_str()), row),
            _ => check_session(&columns, row),
        }
    }
    let want = ["0", "deny", "drop", "end", "general", "spyware", "start", "url", "virus", "vulnerability"];
    assert!(subtypes.iter().map(String::as_str).eq(want), "{subtypes:?}");
}

fn check_session(columns: &[String], row: &TruthRow) {
    assert_eq!((row.src_ip, row.dst_ip), (address(&columns[7]), address(&columns[8])));
    assert_eq!(row.dst_port, columns[25].parse().ok());
    let user = columns[12].split_once('\\').map(|(_, user)| user.to_owned());
    assert_eq!(row.user_name.map(|name| name.to_string()), user);
    if row.table == Table::DetectionFinding {
        let words = ["informational", "low", "medium", "high", "critical"];
        assert_eq!(row.severity_id, words.iter().position(|w| *w == columns[34]).map(|at| at as i32 + 1));
    }
    if row.table != Table::NetworkActivity {
        return assert_eq!((row.bytes_out, row.action_id), (None, None));
    }
    let number = |at: usize| columns[at].parse::<u64>().expect("a number");
    assert_eq!(row.bytes_out, Some(number(32) as i64));
    assert_eq!(row.action_id, Some(if columns[30] == "allow" { 1 } else { 2 }));
    assert_eq!(number(31), number(32) + number(33));
    assert_eq!(number(34), number(44) + number(45));
}

fn check_change(columns: &[String], row: &TruthRow) {
    assert_eq!((row.src_ip, row.operation), (address(&columns[7]), Some(columns[9].as_str())));
    assert_eq!(row.user_name.map(|name| name.to_string()), Some(columns[10].clone()));
}

/// Event, stage, user, region, public address and status of a GLOBALPROTECT log.
fn check_step([event, stage, user, region, source, status]: [&str; 6], row: &TruthRow) {
    let is_login = stage == "login";
    assert_eq!(row.table, if is_login { Table::Authentication } else { Table::TunnelActivity });
    assert_eq!((row.src_ip, row.src_country), (address(source), Some(region)));
    assert_eq!(row.user_name.map(|name| name.to_string()).as_deref(), Some(user));
    assert_eq!(row.status_id, is_login.then_some(if status == "success" { 1 } else { 2 }));
    let activity = match event {
        _ if is_login => 1,
        "gateway-setup-ssl" | "gateway-setup-ipsec" | "gateway-connected" => 1,
        "gateway-logout" => 2,
        _ => 99,
    };
    assert_eq!(row.activity_id, Some(activity), "{event}");
}

#[test]
fn flow_logs_tell_the_truth() {
    let mut lines = BTreeSet::new();
    for (line, rows) in records(|kind| kind == RecordKind::VpcFlow) {
        let text = String::from_utf8(line).expect("UTF-8");
        let values: Vec<&str> = text.split(' ').collect();
        assert_eq!((values.len(), values[0], values[1].len(), rows.len()), (14, "2", 12, 1), "{text}");
        let row = &rows[0];
        assert_eq!(row.time_us, values[11].parse::<i64>().ok().map(|s| s * 1_000_000));
        assert!(values[10] <= values[11] && values[2].len() == 21, "{text}");
        assert_eq!(
            (row.table, row.src_ip, row.dst_ip),
            (Table::NetworkActivity, address(values[3]), address(values[4]))
        );
        assert_eq!((row.dst_port, row.bytes_out), (values[6].parse().ok(), values[9].parse().ok()));
        let action = [(Some(1), "ACCEPT"), (Some(2), "REJECT"), (None, "-")];
        assert!(action.contains(&(row.action_id, values[12])), "{text}");
        lines.insert(values[12..].join(" "));
    }
    assert!(lines.iter().map(String::as_str).eq(["- NODATA", "ACCEPT OK", "REJECT OK"]), "{lines:?}");
}

#[test]
fn csv_lines_come_with_every_header_and_with_quoted_values() {
    let lines = records(|kind| kind == RecordKind::PanosCsv);
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).expect("UTF-8");
    for start in ["<14>Jan  5 0", "<14>1 2026-01-05T0", "1,2026/01/05 0"] {
        assert!(lines.iter().any(|(l, _)| text(l).starts_with(start)), "{start}");
    }
    for value in [
        "\"Allow SaaS, office\"",
        "\"Guests \"\"limited\"\", no upload\"",
        "ACME\\",
        "2001:db8:",
        "\"Microsoft Windows 11 Enterprise , 64-bit\"",
    ] {
        assert!(lines.iter().any(|(l, _)| text(l).contains(value)), "{value}");
    }
}

#[test]
fn strata_json_tells_the_truth() {
    let mut keys = BTreeSet::new();
    let lines = records(|kind| kind == RecordKind::StrataJson);
    for (line, rows) in &lines {
        let value: Value = serde_json::from_slice(line).expect("JSON");
        let (text, row) = (|key: &str| value[key].as_str().expect("text"), &rows[0]);
        if text("LogType") == "GLOBALPROTECT" {
            let names = ["EventIDValue", "Stage", "SourceUserName", "SourceRegion", "PublicIPv4", "EventStatus"];
            check_step(names.map(text), row);
            continue;
        }
        let table = match (text("LogType"), text("Subtype")) {
            ("TRAFFIC", _) => Table::NetworkActivity,
            ("THREAT", "url") => Table::HttpActivity,
            _ => Table::DetectionFinding,
        };
        assert_eq!(row.table, table);
        assert_eq!(row.time_us, Some(micros(text("TimeGeneratedHighResolution"))));
        assert_eq!(micros(text("TimeGenerated")), row.time_us.expect("a time") / 1_000_000 * 1_000_000);
        assert_eq!((row.src_ip, row.dst_ip), (address(text("SourceAddress")), address(text("DestinationAddress"))));
        assert_eq!(row.dst_port.map(i64::from), value["DestinationPort"].as_i64());
        assert_eq!(row.bytes_out, value["BytesSent"].as_i64());
        keys.insert(value.as_object().expect("an object").len());
    }
    assert_eq!(keys, BTreeSet::from([80, 83]));
    let mean = lines.iter().map(|(l, _)| l.len()).sum::<usize>() / lines.len();
    assert!((1_800..2_600).contains(&mean), "{mean} bytes a record");
}

#[test]
fn cloudtrail_tells_the_truth() {
    let (mut types, mut denied) = (BTreeSet::new(), 0);
    let (mut bytes, mut events) = (0, 0);
    for (line, rows) in records(|kind| matches!(kind, RecordKind::CloudTrail | RecordKind::CloudTrailRecords)) {
        let value: Value = serde_json::from_slice(&line).expect("JSON");
        let list = value["Records"].as_array().cloned().unwrap_or_else(|| vec![value]);
        assert_eq!(list.len(), rows.len());
        bytes += line.len();
        events += rows.len();
        for (index, (event, row)) in list.iter().zip(&rows).enumerate() {
            let text = |key: &str| event[key].as_str().expect("text");
            assert_eq!((row.table, row.record), (Table::ApiActivity, index as i32));
            assert_eq!(row.time_us, Some(micros(text("eventTime"))));
            assert_eq!(row.src_ip, address(text("sourceIPAddress")));
            assert_eq!((row.dst_ip, row.dst_port, row.bytes_out), (None, None, None));
            assert_eq!(row.src_ip.is_none(), event["userIdentity"]["type"] == "AWSService");
            types.insert(event["userIdentity"]["type"].as_str().expect("a type").to_owned());
            denied += usize::from(event["errorCode"] == "AccessDenied");
        }
    }
    assert!(types.iter().map(String::as_str).eq(["AWSService", "AssumedRole", "IAMUser", "Root"]));
    assert!(denied > events / 50 && denied < events / 10, "{denied} of {events}");
    assert!((900..1_500).contains(&(bytes / events)), "{} bytes an event", bytes / events);
}

#[test]
fn malformed_records_are_broken_in_the_way_they_say() {
    let mut reasons = BTreeSet::new();
    for (line, rows) in records(|kind| matches!(kind, RecordKind::Malformed(_))) {
        let reason = rows[0].reason.expect("a reason");
        assert_eq!((rows.len(), rows[0].table, rows[0].time_us), (1, Table::DeadLetter, None));
        assert!(is_broken(&line, reason), "{reason}: {}", String::from_utf8_lossy(&line));
        reasons.insert(reason);
    }
    assert_eq!(reasons.len(), 7, "{reasons:?}");
}

/// True if a careful reader would find that fault and no earlier one.
fn is_broken(line: &[u8], reason: Reason) -> bool {
    let text = std::str::from_utf8(line);
    let is_json = || serde_json::from_slice::<Value>(line).is_ok();
    match reason {
        Reason::Empty => line.is_empty(),
        Reason::InvalidUtf8 => text.is_err(),
        Reason::InvalidJson => line.starts_with(b"{") && !is_json(),
        Reason::TooDeep => is_json() && line.iter().filter(|b| **b == b'{').count() == 100,
        Reason::TimeOutOfRange => is_json() && text.is_ok_and(|t| t.contains("\"TimeGenerated\":\"2300-")),
        Reason::MissingField => text.is_ok_and(|t| columns(t).len() == 6 && t.contains(",TRAFFIC,")),
        Reason::InvalidTime => text.is_ok_and(|t| {
            let zeros = t.matches("0000/00/00 00:00:00").count();
            let high_resolution = t.matches("0000-00-00T00:00:00.000+00:00").count();
            zeros == 2 && (high_resolution == 1 || t.contains(",2305,"))
        }),
        _ => false,
    }
}

/// `key=value` pairs with quoted values, as FortiOS writes them.
fn pairs(line: &str) -> BTreeMap<String, String> {
    let (mut found, mut rest) = (BTreeMap::new(), line);
    while let Some((key, after)) = rest.split_once('=') {
        let (mut value, mut end) = (String::new(), after.len());
        let quoted = after.strip_prefix('"');
        let mut chars = quoted.unwrap_or(after).char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if quoted.is_some() => value.extend(chars.next().map(|(_, escaped)| escaped)),
                '"' if quoted.is_some() => {
                    end = at + 2;
                    break;
                }
                ' ' if quoted.is_none() => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        found.insert(key.trim().to_owned(), value);
        rest = &after[end..];
    }
    found
}

#[test]
fn fortigate_pairs_tell_the_truth() {
    let mut kinds = BTreeSet::new();
    for (line, rows) in records_of(Mix { fortigate: 1, ..Mix::NONE }) {
        let text = String::from_utf8(line).expect("UTF-8");
        let (pairs, row) = (pairs(&text[text.find("date=").expect("a date")..]), &rows[0]);
        let get = |key: &str| pairs.get(key).map(String::as_str);
        let time = format!("{} {}", pairs["date"], pairs["time"]);
        assert_eq!(row.time_us.map(|us| us / 1_000_000), Some(micros(&time) / 1_000_000), "{text}");
        assert_eq!(row.time_us.map(|us| (us * 1_000).to_string()).as_deref(), get("eventtime"));
        assert_eq!(row.src_ip, get("srcip").or(get("remip")).and_then(address).filter(|_| row.src_ip.is_some()));
        assert_eq!(row.user_name.map(|name| name.to_string()).as_deref(), get("user"), "{text}");
        if row.dst_port.is_some() {
            assert_eq!((row.dst_ip, row.dst_port), (address(&pairs["dstip"]), pairs["dstport"].parse().ok()));
        }
        if row.table == Table::NetworkActivity {
            assert_eq!(row.bytes_out, pairs["sentbyte"].parse().ok());
            assert_eq!(row.action_id, Some(if pairs["action"] == "deny" { 2 } else { 1 }));
        }
        kinds.insert(format!("{} {}", pairs["type"], pairs["subtype"]));
    }
    let want = ["event system", "event user", "event vpn", "traffic forward", "utm ips", "utm virus", "utm webfilter"];
    assert!(kinds.iter().map(String::as_str).eq(want), "{kinds:?}");
}

#[test]
fn asa_messages_tell_the_truth() {
    let mut numbers = BTreeSet::new();
    for (line, rows) in records_of(Mix { cisco_asa: 1, ..Mix::NONE }) {
        let text = String::from_utf8(line).expect("UTF-8");
        let (head, message) = text.split_once(": %ASA-").expect("a message");
        assert!(head.starts_with("<16") && head.contains(" 2026 0"), "{head}");
        for address in [rows[0].src_ip, rows[0].dst_ip].into_iter().flatten() {
            assert!(text.contains(&address.to_string()), "{text}");
        }
        let number = &message[2..8];
        let is_denied = rows[0].action_id == Some(2);
        assert_eq!(
            is_denied,
            ["106023", "304002"].contains(&number) && rows[0].table == Table::NetworkActivity,
            "{text}"
        );
        numbers.insert(number.to_owned());
    }
    let want = [
        "106023", "113004", "113005", "113019", "302013", "302014", "302015", "302016", "302020", "304001", "304002",
        "716001", "716038", "716039", "722051", "722055",
    ];
    assert!(numbers.iter().map(String::as_str).eq(want), "{numbers:?}");
}

#[test]
fn cloud_logs_and_sign_ins_tell_the_truth() {
    let value = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("JSON");
    let text = |row: &TruthRow| row.user_name.map(|name| name.to_string());
    for (line, rows) in records_of(Mix { gcp_audit: 1, ..Mix::NONE }) {
        let (value, row) = (value(&line), &rows[0]);
        let payload = &value["protoPayload"];
        assert_eq!((payload["methodName"].as_str(), rows.len()), (row.operation, 1));
        assert_eq!(row.time_us, value["timestamp"].as_str().map(micros));
        assert_eq!(row.src_ip, payload["requestMetadata"]["callerIp"].as_str().and_then(address));
        let email = payload["authenticationInfo"]["principalEmail"].as_str().expect("an address");
        assert_eq!(text(row).as_deref(), Some(email).filter(|email| !email.ends_with("gserviceaccount.com")));
    }
    for (line, rows) in records_of(Mix { azure_activity: 1, ..Mix::NONE }) {
        let value = value(&line);
        let events = value["records"].as_array().expect("records");
        assert_eq!(events.len(), rows.len());
        for (event, row) in events.iter().zip(&rows) {
            assert_eq!(
                (event["operationName"].as_str(), row.time_us),
                (row.operation, event["time"].as_str().map(micros_of_seven))
            );
            assert_eq!(row.src_ip, event["callerIpAddress"].as_str().and_then(address));
        }
    }
    for (line, rows) in records_of(Mix { entra_signin: 1, okta: 1, ..Mix::NONE }) {
        let (value, row) = (value(&line), &rows[0]);
        let (user, source, failed, time) = match value["properties"].as_object() {
            Some(p) => (&p["userPrincipalName"], &p["ipAddress"], value["resultType"] != "0", &p["createdDateTime"]),
            None => {
                let (actor, client) = (&value["actor"], &value["client"]);
                (
                    &actor["alternateId"],
                    &client["ipAddress"],
                    value["outcome"]["result"] != "SUCCESS",
                    &value["published"],
                )
            }
        };
        assert_eq!((text(row).as_deref(), row.src_ip), (user.as_str(), source.as_str().and_then(address)));
        assert_eq!((row.table, row.activity_id), (Table::Authentication, Some(1)));
        assert_eq!((row.status_id, row.time_us), (Some(if failed { 2 } else { 1 }), time.as_str().map(micros)));
    }
}

/// A time whose fraction has seven digits, the last of them a zero.
fn micros_of_seven(time: &str) -> i64 {
    micros(time.strip_suffix("0Z").expect("seven digits"))
}
