use super::*;
use crate::decode::Limits;
use crate::decode::json::JsonParser;

#[test]
fn panos_lines_behind_any_header() {
    let message = "1,2026/11/20 10:00:00,0011,TRAFFIC,end,2817,rest";
    for (header, host) in [
        ("", None),
        ("<14>", None),
        ("<14>Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("Nov 20 10:00:00 ", None),
        ("Feb 24 21:50:30 10.5.172.40 Feb 24 21:47:11 Panorama ", Some("Panorama")),
        ("<14>Nov 20 10:00:00 10.5.172.40 ", Some("10.5.172.40")),
        ("<14>1 2026-11-20T10:00:00Z fw-1 - - - - ", Some("fw-1")),
        ("<14>1 2026-11-20T10:00:00Z - - - - [x a=\"b,c\"] ", None),
        ("<14>Nov 20 10:00:00 fw-1 logd[7]:", Some("fw-1")),
    ] {
        let line = format!("{header}{message}");
        let want = PanosLine { message, log_type: "TRAFFIC", host };
        assert_eq!(panos_line(&line), Some(want), "{header}");
    }
}

#[test]
fn audit_lines_begin_with_the_serial_number() {
    let message = "0123AB,2026/11/20 10:00:00,audit,2817,gui-op,admin";
    for (header, host) in [
        ("", None),
        ("<14>Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("<14>1 2026-11-20T10:00:00Z fw-1 - - - - ", Some("fw-1")),
    ] {
        let line = format!("{header}{message}");
        assert_eq!(panos_line(&line), Some(PanosLine { message, log_type: "AUDIT", host }), "{header}");
    }
    assert_eq!(panos_line("items,12,audit,3"), None);
}

#[test]
fn times_as_the_logging_service_writes_them() {
    let message = "1,2026-11-20T10:00:00.000000Z,0011,AUTH,0,10.0,2026-11-20T10:00:00.000000Z";
    let line = format!("894 <142>1 2026-11-20T10:00:00.976Z forwarder logforwarder - panwlogs - {message}");
    assert_eq!(panos_line(&line).map(|l| l.message), Some(message));
}

#[test]
fn what_is_no_panos_line() {
    let far = format!("{},1,2026/11/20 10:00:00,0011,TRAFFIC,end", "x".repeat(HEADER_BYTES_MAX));
    for line in [
        "",
        "hello, world",
        "1,2026/11/20 10:00:00,0011",
        "1,2026/11/20 10:00:00,0011,traffic,end",
        "1,yesterday,0011,TRAFFIC,end",
        "1,2026/11/20 10:00:00,0011,UNHEARD,end",
        "1,,0011,TRAFFIC,end",
        &far,
    ] {
        assert_eq!(panos_line(line), None, "{line}");
    }
}

#[test]
fn shapes_of_documents() {
    let (mut parser, mut detector) = (JsonParser::new(Limits::default()), Detector::default());
    for (json, want) in [
        (r#"{"LogType":"TRAFFIC","Subtype":"end","DeviceSN":"1"}"#, "panos TRAFFIC/end"),
        (r#"{"TimeReceived":"1","LogSubtype":"url","LogType":"THREAT"}"#, "panos THREAT/url"),
        (r#"{"LogType":"TRAFFIC"}"#, "other"),
        (r#"{"LogType":7,"DeviceSN":"1"}"#, "other"),
        (r#"{"eventSource":"s3.amazonaws.com","eventName":"x","eventID":"1"}"#, "trail of s3.amazonaws.com"),
        (r#"{"eventSource":"s3.amazonaws.com","eventName":"x"}"#, "other"),
        (r#"{"eventSource":"","eventName":"x","eventID":"1"}"#, "other"),
        (r#"{"Records":[{},{"eventSource":"s","eventName":"x","userIdentity":{}}]}"#, "file"),
        (r#"{"Records":[{"eventSource":"aws:s3","eventName":"x","userIdentity":{},"s3":{}}]}"#, "other"),
        (r#"{"Records":[]}"#, "other"),
        (r#"{"Records":{}}"#, "other"),
        (r#"{"nested":{"eventSource":"s","eventName":"x","eventID":"1"}}"#, "other"),
        (r#"{"a":"LogType","b":"DeviceSN"}"#, "other"),
        (r#"{"category":"NetworkSecurityGroupFlowEvent"}"#, "flows"),
        (r#"{"flowRecords":{}}"#, "flows"),
        (r#"{"flowRecords":7,"category":"other"}"#, "other"),
        (r#"{"category":"AuditEvent"}"#, "other"),
    ] {
        let found = parser.with_doc(json.as_bytes(), |doc| {
            Ok(match detector.shape(doc, doc.root()) {
                Shape::Panos { log_type, subtype } => format!("panos {log_type}/{subtype}"),
                Shape::CloudTrail { source } => format!("trail of {source}"),
                Shape::CloudTrailFile(_) => "file".to_owned(),
                Shape::AzureFlow => "flows".to_owned(),
                Shape::Other => "other".to_owned(),
            })
        });
        assert_eq!(found.as_deref(), Ok(want), "{json}");
    }
}
