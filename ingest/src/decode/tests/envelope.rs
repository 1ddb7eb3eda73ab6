//! Records that hold others.

use super::*;

const TRAIL: &str = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":"e-1","eventTime":"2026-11-20T10:00:00Z","userIdentity":{"type":"IAMUser","userName":"ann"},"resources":[]}"#;
const SIGN_IN: &str = r#"{"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","eventID":"e-2","eventTime":"2026-11-20T10:00:00Z","userIdentity":{"type":"IAMUser","userName":"ann"},"responseElements":{"ConsoleLogin":"Success"}}"#;
const FLOW: &str = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 1024 443 6 1 40 1795168740 1795168800 ACCEPT OK";

/// Table, index and row of each event of a record, in the order of the indices.
fn events(record: &str) -> Vec<(Table, i32, Value)> {
    let decoded = decode_all(DecodeConfig::default(), &[record.as_bytes()]);
    assert!(decoded.dead.is_empty(), "{decoded:?}");
    let row = |json: &str| serde_json::from_str(json).expect("a row is JSON");
    let mut found: Vec<_> = decoded.rows.iter().map(|(table, _, index, json)| (*table, *index, row(json))).collect();
    found.sort_by_key(|(_, index, _)| *index);
    found
}

fn tables(record: &str) -> Vec<Table> {
    let found = events(record);
    assert!((0..).zip(&found).all(|(i, (_, index, _))| i == *index), "indices without a gap: {found:?}");
    found.into_iter().map(|(table, ..)| table).collect()
}

fn batch(messages: &[&str]) -> String {
    let event = |(i, text): (i32, &&str)| serde_json::json!({"id": i.to_string(), "timestamp": i, "message": text});
    let events: Vec<Value> = (0..).zip(messages).map(event).collect();
    serde_json::json!({"owner": "1", "logGroup": "g", "logStream": "s", "logEvents": events}).to_string()
}

#[test]
fn a_cloudtrail_record_within_an_event_of_eventbridge() {
    let record =
        format!(r#"{{"id":"b-1","detail-type":"AWS API Call via CloudTrail","resources":[],"detail":{TRAIL}}}"#);
    let found = events(&record);
    assert_eq!((found.len(), found[0].0), (1, Table::ApiActivity));
    let around = r#"{"id":"b-1","detail-type":"AWS API Call via CloudTrail","resources":[]}"#;
    check(&found[0].2, &[("metadata.uid", "\"e-1\""), ("unmapped.envelope", around), ("resources", "null")]);
}

#[test]
fn sign_ins_are_authentication_wherever_they_stand() {
    let (api, sign_in) = (Table::ApiActivity, Table::Authentication);
    assert_eq!(tables(SIGN_IN), [sign_in]);
    assert_eq!(tables(&format!(r#"{{"Records":[{TRAIL},{SIGN_IN}]}}"#)), [api, sign_in]);
    assert_eq!(tables(&format!("[{SIGN_IN},{TRAIL}]")), [sign_in, api]);
    assert_eq!(tables(&format!(r#"{{"detail":{SIGN_IN}}}"#)), [sign_in]);
    assert_eq!(tables(&format!("<13>Nov 20 10:00:00 host app: {SIGN_IN}")), [sign_in]);
}

#[test]
fn a_batch_of_log_events_holds_records_of_any_kind() {
    let (api, flow, base) = (Table::ApiActivity, Table::NetworkActivity, Table::BaseEvent);
    let file = format!(r#"{{"Records":[{TRAIL},{TRAIL},7]}}"#);
    let record = batch(&[FLOW, TRAIL, &file, "a line", "", &traffic(&[]), TRAIL]);
    assert_eq!(tables(&record), [flow, api, api, api, base, base, base, flow, api]);
    let found = events(&record);
    check(
        &found[0].2,
        &[("unmapped.envelope", r#"{"owner":"1","logGroup":"g","logStream":"s","id":"0","timestamp":0}"#)],
    );
    assert_eq!(found[0].2["raw_data"], FLOW);
    check(&found[1].2, &[("unmapped.envelope.id", "\"1\""), ("raw_data", "null")]);
    check(&found[4].2, &[("raw_data", "\"7\""), ("unmapped.envelope.logGroup", "\"g\"")]);
    check(&found[5].2, &[("raw_data", "\"a line\""), ("unmapped.envelope.id", "\"3\"")]);
    check(&found[6].2, &[("unmapped.message", "\"\""), ("metadata.labels", "[\"undecodable_element\"]")]);
}

/// What a batch bears is read once: a batch within it, or JSON behind a header in it, is text.
#[test]
fn what_cannot_be_decoded_in_a_batch_is_kept() {
    let broken = r#"{"eventSource":"s","eventName":"n","eventID":"1","eventTime":"never"}"#;
    let inner = batch(&[TRAIL]);
    let found = events(&batch(&[broken, "{\"a\":", &inner]));
    let tables: Vec<Table> = found.iter().map(|(table, ..)| *table).collect();
    assert_eq!(tables, [Table::BaseEvent; 3]);
    check(&found[0].2, &[("unmapped.message", &serde_json::to_string(broken).expect("a text"))]);
    check(&found[1].2, &[("raw_data", "\"{\\\"a\\\":\"")]);
    let (.., row) = found.last().expect("three");
    assert!(row.to_string().contains("e-1"), "{row}");
}

#[test]
fn a_member_may_hold_an_event_as_text() {
    let audit =
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","auditID":"a-1","user":{"username":"ann"}}"#;
    let record = serde_json::json!({"category": "kube-audit", "properties": {"log": audit, "pod": "p"}}).to_string();
    let found = events(&record);
    assert_eq!((found.len(), found[0].0), (1, Table::ApiActivity));
    check(&found[0].2, &[("unmapped.envelope", r#"{"category":"kube-audit","pod":"p"}"#)]);
    let broken = serde_json::json!({"properties": {"log": "{not json", "pod": "p"}}).to_string();
    assert_eq!(tables(&broken), [Table::BaseEvent]);
}

#[test]
fn every_event_of_arrays_within_arrays_has_its_own_index() {
    let file = format!(r#"{{"Records":[{TRAIL},{TRAIL}]}}"#);
    assert_eq!(tables(&format!("[{file},{TRAIL},{file}]")), [Table::ApiActivity; 5]);
    assert_eq!(tables(&format!(r#"[{TRAIL},{{"unheard":1}}]"#)), [Table::ApiActivity, Table::BaseEvent]);
}

#[test]
fn elements_of_an_array_may_hold_events() {
    let event = |uid: &str| {
        format!(
            r#"{{"published":"2026-11-20T10:00:00Z","uuid":"{uid}","actor":{{"type":"User","alternateId":"a"}},"eventType":"x"}}"#
        )
    };
    let [a, b, c, d] = ["a", "b", "c", "d"].map(event);
    let found = events(&format!(r#"[{{"value":[{a},{b}],"n":1}},{c},{{"events":{d}}},{{"other":1}}]"#));
    let uids: Vec<(i32, &str)> =
        found.iter().map(|(_, i, row)| (*i, at(row, "metadata.uid").as_str().unwrap_or("-"))).collect();
    assert_eq!(uids, [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "-")]);
}
