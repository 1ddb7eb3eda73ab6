use super::*;
use crate::decode::tests::{at, check, reason_of, row_of};
use serde_json::json;

/// A line of a log type up to the action, with the columns that all session logs have in the same places, and more.
fn line(log_type: &str, subtype: &str, action: &str, further: &str) -> String {
    // SCTP has the protocol and the action one column later.
    let gap = if log_type == "SCTP" { "," } else { "" };
    format!(
        "1,2026/11/20 10:00:01,0011,{log_type},{subtype},2817,2026/11/20 10:00:00,10.0.0.1,198.51.100.7,,,web,,,,vsys1,trust,\
         untrust,e1,e2,fwd,,77,1,51000,443,0,0,0x0,{gap}tcp,{action},{further}"
    )
}

#[test]
fn classes_and_activities_of_sessions() {
    for (log_type, subtype, class, activity) in [
        ("TRAFFIC", "start", 4001, "Open"),
        ("TRAFFIC", "deny", 4001, "Refuse"),
        ("DECRYPTION", "0", 4001, "Traffic"),
        ("DECRYPTION", "start", 4001, "Traffic"),
        ("SCTP", "", 4001, "Traffic"),
        ("GTP", "start", 4001, "Open"),
        ("GTP", "end", 4001, "Close"),
        ("GTP", "0", 4001, "Traffic"),
        ("GTP", "", 4001, "Traffic"),
        ("GTP", "drop", 4001, "Refuse"),
        ("START", "start", 4014, "Open"),
        ("START", "", 4014, "Open"),
        ("START", "0", 4014, "Open"),
        ("END", "0", 4014, "Close"),
        ("END", "deny", 4014, "Other"),
        ("TUNNEL", "end", 4014, "Close"),
        ("TUNNEL", "0", 4014, "Other"),
    ] {
        let row = row_of(&line(log_type, subtype, "allow", ""));
        assert_eq!(
            (&row["class_uid"], &row["activity_name"]),
            (&json!(class), &json!(activity)),
            "{log_type} {subtype}"
        );
        assert_eq!(row["end_time"].is_null(), activity != "Close", "{log_type} {subtype}");
        let name = if log_type == "SCTP" && subtype.is_empty() {
            json!(null)
        } else {
            at(&row, "metadata.event_code").clone()
        };
        assert_eq!(name.as_str().unwrap_or_default(), subtype);
        assert_eq!(
            (at(&row, "src_endpoint.ip"), at(&row, "connection_info.protocol_num")),
            (&json!("10.0.0.1"), &json!(6))
        );
        assert_eq!(row["action"], "Allowed", "{log_type}");
    }
}

#[test]
fn a_line_without_its_action_says_too_little() {
    for log_type in ["DECRYPTION", "END", "GTP"] {
        let whole = line(log_type, "end", "deny", "");
        let columns: Vec<&str> = whole.split(',').collect();
        assert_eq!(reason_of(&columns[..30].join(",")), Reason::MissingField, "{log_type}");
        assert_eq!(row_of(&columns[..31].join(","))["action"], "Denied", "{log_type}");
    }
    let nowhere = line("GTP", "end", "deny", "").replace("10.0.0.1,198.51.100.7", ",").replace("e1,e2", ",");
    assert_eq!(reason_of(&nowhere), Reason::InvalidValue);
}

#[test]
fn bytes_of_a_tunnel_are_seen_from_its_source() {
    let mut columns = vec![""; 63];
    for (place, value) in
        [(32, "medium"), (47, "IPSec"), (48, "1500"), (49, "600"), (50, "900"), (52, "7"), (53, "5"), (63, "9")]
    {
        columns[place - 1] = value;
    }
    check(
        &row_of(&line("END", "end", "allow", &columns[31..].join(","))),
        &[
            ("traffic", r#"{"bytes":1500,"bytes_in":900,"bytes_out":600,"packets_in":5,"packets_out":7}"#),
            ("protocol_name", "\"IPSec\""),
            ("severity", "\"Medium\""),
            ("duration", "9000"),
            ("tunnel_type", "\"Unknown\""),
            ("tunnel_interface", "null"),
        ],
    );
}

#[test]
fn a_handshake_is_kept_whole_or_not_at_all() {
    let tls = |version: &str, serial: &str, issuer: &str| {
        let mut columns = vec![""; 64];
        for (place, value) in
            [(40, version), (50, serial), (52, "2026/01/01 00:00:00"), (62, issuer), (64, "www.example.com")]
        {
            columns[place - 1] = value;
        }
        row_of(&line("DECRYPTION", "0", "allow", &columns[31..].join(",")))
    };
    let whole = tls("TLS1.2", "0a1b", "Example CA");
    check(&whole, &[("tls.sni", "\"www.example.com\""), ("tls.certificate.serial_number", "\"0a1b\"")]);
    check(&whole, &[("tls.certificate.created_time_dt", "\"2026-01-01T00:00:00.000000Z\"")]);
    for (serial, issuer) in [("", "Example CA"), ("0a1b", "")] {
        let row = tls("TLS1.2", serial, issuer);
        check(&row, &[("tls", r#"{"version":"TLS1.2","sni":"www.example.com"}"#)]);
        assert_eq!(at(&row, "unmapped.certificate_start_date"), "2026/01/01 00:00:00");
    }
    check(
        &tls("", "0a1b", "Example CA"),
        &[("tls", "null"), ("unmapped.server_name_indication", "\"www.example.com\"")],
    );
}
