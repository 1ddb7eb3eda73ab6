use serde_json::{Value, json};

use super::*;
use crate::decode::tests::{at, check, reason_of, replace, row_of};
use dataflow::Reason;

/// A CONFIG line of the current default format, with some columns (from 1) replaced.
fn line(changes: &[(usize, &str)]) -> String {
    let line = "1,2026/11/20 10:00:01,001122334455,CONFIG,0,2817,2026/11/20 10:00:00,192.0.2.1,vsys1,set,ann,Web,Succeeded,\
        \" config shared  address web-1\",4242,0x8000000000000000,11,12,0,0,,fw-1,0,opened for the shop,0,\
        2026-11-20T10:00:00.125+00:00";
    replace(line, changes)
}

/// The same with the details before and after the change, as a custom format may have them.
fn detailed() -> String {
    line(&[]).replace(",4242,0x", ",10.0.0.1,10.0.0.2,4242,0x")
}

#[test]
fn the_field_table_has_the_columns_that_the_vendor_documents() {
    let config = Config::new();
    let name = |table: &FieldTable, place: usize| table.columns()[place - 1].name;
    assert_eq!((config.config.fields.columns().len(), config.plain.columns().len()), (28, 26));
    for (table, flags) in [(&config.plain, FLAGS_PLAIN), (&config.config.fields, FLAGS_DETAILED)] {
        assert_eq!(name(table, flags + 1), "action_flags");
        assert_eq!((name(table, 10), name(table, LEAST_COLUMNS)), ("command", "admin"));
    }
    assert_eq!(name(&config.plain, 26), "high_resolution_timestamp");
}

#[test]
fn a_change_is_api_activity() {
    let row = row_of(&format!("<14>Nov 20 10:00:01 fw-1 {}", line(&[])));
    check(
        &row,
        &[
            ("class_uid", "6003"),
            ("type_name", "\"API Activity: Update\""),
            ("severity_id", "1"),
            ("status_id", "1"),
            ("unmapped.result", "\"Succeeded\""),
            ("time_dt", "\"2026-11-20T10:00:00.125000Z\""),
            ("actor", r#"{"user":{"name":"ann"},"invoked_by":"Web"}"#),
            ("api", r#"{"operation":"set","service":{"name":"PAN-OS"}}"#),
            ("resources", r#"[{"name":"config shared  address web-1"}]"#),
            ("src_endpoint", r#"{"ip":"192.0.2.1"}"#),
            ("device", r#"{"uid":"001122334455","hostname":"fw-1","name":"fw-1","type_id":9,"type":"Firewall"}"#),
            ("metadata.log_name", "\"CONFIG\""),
            ("metadata.sequence", "4242"),
            ("metadata.profiles", r#"["host","datetime"]"#),
            ("unmapped.audit_comment", "\"opened for the shop\""),
        ],
    );
}

#[test]
fn layouts_of_all_releases_and_both_formats() {
    let columns = |line: &str, n: usize| line.split(',').take(n).collect::<Vec<_>>().join(",");
    let (plain, detailed) = (line(&[]), detailed());
    for (line, before, comment) in [
        (columns(&plain, 16), Value::Null, Value::Null),
        (columns(&plain, 22), Value::Null, Value::Null),
        (plain.clone(), Value::Null, json!("opened for the shop")),
        (format!("{plain},"), Value::Null, json!("opened for the shop")),
        (columns(&detailed, 18), json!("10.0.0.1"), Value::Null),
        (columns(&detailed, 24), json!("10.0.0.1"), Value::Null),
        (detailed.clone(), json!("10.0.0.1"), json!("opened for the shop")),
    ] {
        let row = row_of(&line);
        check(&row, &[("metadata.sequence", "4242"), ("api.operation", "\"set\"")]);
        assert_eq!(
            (at(&row, "unmapped.before_change_detail"), at(&row, "unmapped.audit_comment")),
            (&before, &comment),
            "{line}"
        );
    }
    check(&row_of(&format!("{plain},cluster-a")), &[("unmapped.column_27", "\"cluster-a\"")]);
    check(&row_of(&columns(&plain, 11)), &[("actor", r#"{"user":{"name":"ann"}}"#), ("status_id", "null")]);
    assert_eq!(reason_of(&columns(&plain, 10)), Reason::MissingField);
}

#[test]
fn activities_of_commands() {
    for (command, want) in [
        ("clone", "Create"),
        ("set", "Update"),
        ("edit", "Update"),
        ("commit", "Update"),
        ("commit-all", "Update"),
        ("delete", "Delete"),
        ("validate", "Read"),
        ("lock", "Other"),
    ] {
        let row = row_of(&line(&[(10, command)]));
        assert_eq!((&row["activity_name"], at(&row, "api.operation")), (&json!(want), &json!(command)));
    }
    check(&row_of(&line(&[(10, "")])), &[("activity_id", "0"), ("api.operation", "\"Unknown\"")]);
}

#[test]
fn results() {
    for (result, id, status) in [
        ("Submitted", 99, "Submitted"),
        ("Failed", 2, "Failure"),
        ("Unauthorized", 2, "Failure"),
        ("Success", 1, "Success"),
    ] {
        let row = row_of(&line(&[(13, result)]));
        assert_eq!((&row["status_id"], &row["status"]), (&json!(id), &json!(status)));
        assert_eq!(at(&row, "unmapped.result").is_null(), result == status, "{result}");
    }
}

#[test]
fn who_and_where_is_required() {
    for (changes, actor, source) in [
        (
            [(8, "0.0.0.0"), (11, "ann"), (12, "Web")],
            r#"{"user":{"name":"ann"},"invoked_by":"Web"}"#,
            r#"{"svc_name":"Unknown"}"#,
        ),
        ([(8, ""), (11, ""), (12, "Panorama")], r#"{"invoked_by":"Panorama"}"#, r#"{"svc_name":"Unknown"}"#),
        ([(8, "mgmt.example"), (11, ""), (12, "")], r#"{"invoked_by":"Unknown"}"#, r#"{"hostname":"mgmt.example"}"#),
        (
            [(8, "2001:DB8::1"), (11, "corp\\ann"), (12, "")],
            r#"{"user":{"name":"ann","domain":"corp"}}"#,
            r#"{"ip":"2001:db8::1"}"#,
        ),
    ] {
        check(&row_of(&line(&changes)), &[("actor", actor), ("src_endpoint", source)]);
    }
    check(&row_of(&line(&[(14, "")])), &[("resources", "null")]);
}

#[test]
fn strata_documents_fill_the_same_columns() {
    let row = row_of(
        r#"{"LogType":"CONFIG","Subtype":"config","LogSourceID":"0011","LogSourceName":"fw-1","EventTime":"2026-11-20T10:00:00Z",
        "AdminUsername":"corp\\ann","AdminUserName":"ann","AdminUserDomain":"corp","Client":"Web","IPaddress":"192.0.2.1",
        "EventName":"delete","EventPath":"config shared address web-1","EventResult":"Succeeded","EventDescription":"why",
        "SequenceNo":4242,"VendorSeverity":"Low"}"#,
    );
    check(
        &row,
        &[
            ("type_uid", "600304"),
            ("actor", r#"{"user":{"name":"ann","domain":"corp"},"invoked_by":"Web"}"#),
            ("resources", r#"[{"name":"config shared address web-1"}]"#),
            ("severity", "\"Low\""),
            ("message", "\"why\""),
            ("device.name", "\"fw-1\""),
            ("unmapped.AdminUserName", "\"ann\""),
        ],
    );
}

#[test]
fn an_administrators_command_is_api_activity() {
    let audit = |command: &str, outcome: &str| {
        row_of(&format!(
            "<14>1 2026-11-20T10:00:02Z fw-1 - - - - 0011,2026/11/20 10:00:00,audit,2817,gui-op,admin,\"{command}\",{outcome}"
        ))
    };
    check(
        &audit("<show><system/></show>", "success"),
        &[
            ("class_uid", "6003"),
            ("activity_name", "\"Read\""),
            ("api.operation", "\"gui-op\""),
            ("message", "\"<show><system/></show>\""),
            ("metadata.event_code", "\"gui-op\""),
            ("metadata.log_name", "\"audit\""),
            ("metadata.product.version", "\"11.1\""),
            ("actor.user", r#"{"name":"admin"}"#),
            ("device", r#"{"uid":"0011","hostname":"fw-1","type_id":9,"type":"Firewall"}"#),
            ("status", "\"Success\""),
            ("unmapped", "null"),
        ],
    );
    for (command, activity) in
        [("set x, y", "Update"), ("delete x", "Delete"), ("<request><a/>", "Other"), ("", "Unknown")]
    {
        assert_eq!(audit(command, "failure")["activity_name"], activity, "{command}");
    }
    check(&audit("show", "high"), &[("severity", "\"High\""), ("status", "null")]);
}
