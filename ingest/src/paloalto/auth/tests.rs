use crate::decode::tests::{at, check, row_of};
use serde_json::{Value, json};

/// An AUTH line up to the rule's UUID.
fn auth(user: &str, normal: &str, event: &str, factor: &str, protocol: &str) -> String {
    format!(
        "1,2026/11/20 10:00:01,0011,AUTH,0,2817,2026/11/20 10:00:00,vsys1,10.0.0.1,{user},{normal},obj,policy,1,5,duo,fwd,ldap,\
         asked,Browser,{event},{factor},9,0x0,0,0,0,0,,fw-1,1,{protocol},uuid-1"
    )
}

fn userid(subtype: &str, user: &str, factor: &str) -> String {
    format!(
        "1,2026/11/20 10:00:01,0011,USERID,{subtype},2817,2026/11/20 10:00:00,vsys1,10.0.0.1,{user},dc,0,1,2700,0,0,\
         server,ad,9,0x0,0,0,0,0,,fw-1,1,totp,,{factor},0x0,{user}"
    )
}

#[test]
fn outcomes_by_the_words_of_the_event() {
    for (event, id, caption) in [
        ("Authentication success", 1, "Success"),
        ("credentials accepted", 1, "Success"),
        ("user password failure", 2, "Failure"),
        ("Invalid Certificate", 2, "Failure"),
        ("MFA timeout", 2, "Failure"),
        ("access denied", 2, "Failure"),
        ("challenge sent", 99, "challenge sent"),
    ] {
        let row = row_of(&auth("ann", "ann", event, "1", ""));
        assert_eq!((&row["status_id"], &row["status"]), (&json!(id), &json!(caption)), "{event}");
        assert_eq!(row["status_detail"], event);
    }
    check(&row_of(&auth("ann", "ann", "", "1", "")), &[("status_id", "null"), ("class_uid", "3002")]);
}

#[test]
fn a_user_in_one_form_or_two() {
    let same = row_of(&auth("corp\\ann", "corp\\ann", "", "1", ""));
    check(&same, &[("user", r#"{"name":"ann","domain":"corp"}"#), ("unmapped.normalize_user", "null")]);
    let other = row_of(&auth("ann", "corp\\ann", "", "1", ""));
    check(&other, &[("user", r#"{"name":"ann"}"#), ("unmapped.normalize_user", r#""corp\\ann""#)]);
    check(&row_of(&auth("", "", "", "1", "")), &[("user", r#"{"uid":"Unknown"}"#)]);
}

#[test]
fn protocols_and_factors() {
    for (protocol, id, caption, kept) in [
        ("RADIUS", json!(10), json!("RADIUS"), Value::Null),
        ("EAP-TTLS with PAP", json!(9), json!("EAP"), json!("EAP-TTLS with PAP")),
        ("PEAP", json!(99), json!("PEAP"), Value::Null),
        ("0", Value::Null, Value::Null, json!("0")),
    ] {
        let row = row_of(&auth("ann", "ann", "", "1", protocol));
        assert_eq!((&row["auth_protocol_id"], &row["auth_protocol"]), (&id, &caption), "{protocol}");
        assert_eq!(at(&row, "unmapped.authentication_protocol"), &kept, "{protocol}");
    }
    for (factor, is_mfa) in [("1", Value::Null), ("2", json!(true)), ("3", json!(true)), ("x", Value::Null)] {
        for row in [row_of(&auth("ann", "ann", "", factor, "")), row_of(&userid("login", "ann", factor))] {
            assert_eq!((&row["is_mfa"], at(&row, "unmapped.factor_number")), (&is_mfa, &json!(factor)), "{factor}");
        }
    }
}

#[test]
fn what_of_user_id_is_a_login() {
    for (subtype, class, activity) in
        [("login", 3002, "Logon"), ("logout", 3002, "Logoff"), ("register-tag", 0, "Unknown"), ("", 0, "Unknown")]
    {
        let row = row_of(&userid(subtype, "corp\\ann", "1"));
        assert_eq!((&row["class_uid"], &row["activity_name"]), (&json!(class), &json!(activity)), "{subtype}");
        let is_login = class == 3002;
        assert_eq!(at(&row, "user.name").is_null(), !is_login, "{subtype}");
        assert_eq!(at(&row, "unmapped.user").is_null(), is_login, "{subtype}");
        assert_eq!(row["status"], if is_login { json!("Success") } else { Value::Null }, "{subtype}");
    }
    check(&row_of(&userid("login", "", "1")), &[("user", r#"{"uid":"Unknown"}"#), ("service.name", "\"User-ID\"")]);
}
