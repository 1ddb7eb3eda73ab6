use serde_json::{Value, json};

use super::*;
use crate::decode::tests::{at, check, reason_of, replace, row_of, split};
use dataflow::Reason;

/// A GLOBALPROTECT line of the current release, with some columns (from 1) replaced.
fn line(changes: &[(usize, &str)]) -> String {
    let line = "1,2026/11/20 10:00:01,001122334455,GLOBALPROTECT,0,2817,2026/11/20 10:00:00,vsys1,gateway-auth,login,LDAP,,\
        corp\\ann,DE,ANN-LAPTOP,198.51.100.7,0.0.0.0,0.0.0.0,0.0.0.0,7b4c-11,SN-77,6.2.1,Windows,\"Microsoft Windows 11, 64-bit\",\
        1,,,Login to: 203.0.113.9,success,Berlin,0,on-demand,0,gw-berlin,4242,0x0,2026-11-20T10:00:00.125+00:00,auto,12,high,\
        \"gw-berlin,12,1\",,11,12,0,0,,fw-1,1,cluster-a";
    replace(line, changes)
}

/// The first columns of a line, as an older release writes it.
fn cut(line: &str, columns: usize) -> String {
    split(line)[..columns].join(",")
}

fn strata(members: &str) -> String {
    let head = r#""LogType":"GLOBALPROTECT","LogSubtype":"globalprotect","DeviceSN":"0011","TimeGenerated":"2026-11-20T10:00:00Z""#;
    format!("{{{head},{members}}}")
}

#[test]
fn the_field_table_has_the_columns_that_the_vendor_documents() {
    let login = Login::new();
    let names: Vec<&str> = login.access.base.fields.columns().iter().map(|c| c.name).collect();
    assert_eq!(names.len(), 50);
    for (place, name) in
        [(9, "event_id"), (29, "status"), (36, "action_flags"), (42, "gateway"), (49, "virtual_system_id")]
    {
        assert_eq!(names[place - 1], name);
    }
    assert_eq!((names[EVENT.0], names[STAGE.0]), ("event_id", "stage"));
}

#[test]
fn a_login_is_an_authentication() {
    let row = row_of(&format!("<14>Nov 20 10:00:01 fw-1 {}", line(&[])));
    check(
        &row,
        &[
            ("class_uid", "3002"),
            ("type_uid", "300201"),
            ("type_name", "\"Authentication: Logon\""),
            ("severity_id", "1"),
            ("status_id", "1"),
            ("status", "\"Success\""),
            ("status_code", "null"),
            ("time_dt", "\"2026-11-20T10:00:00.125000Z\""),
            ("count", "1"),
            ("message", "\"Login to: 203.0.113.9\""),
            ("user", r#"{"name":"ann","domain":"corp"}"#),
            ("service", r#"{"name":"GlobalProtect","uid":"gw-berlin"}"#),
            ("auth_protocol_id", "12"),
            ("auth_protocol", "\"LDAP\""),
            ("is_remote", "true"),
            ("session", r#"{"is_vpn":true}"#),
            ("src_endpoint.ip", "\"198.51.100.7\""),
            ("src_endpoint.hostname", "\"ANN-LAPTOP\""),
            ("src_endpoint.uid", "\"7b4c-11\""),
            ("src_endpoint.location", r#"{"country":"DE"}"#),
            (
                "src_endpoint.os",
                r#"{"name":"Windows","type_id":100,"type":"Windows","version":"Microsoft Windows 11, 64-bit"}"#,
            ),
            ("src_endpoint.hw_info", r#"{"serial_number":"SN-77"}"#),
            ("metadata.event_code", "\"gateway-auth\""),
            ("metadata.log_name", "\"GLOBALPROTECT\""),
            ("metadata.sequence", "4242"),
            ("metadata.profiles", r#"["host","datetime"]"#),
            ("device", r#"{"uid":"001122334455","hostname":"fw-1","name":"fw-1","type_id":9,"type":"Firewall"}"#),
            ("unmapped.stage", "\"login\""),
            ("unmapped.client_version", "\"6.2.1\""),
            ("unmapped.attempted_gateways", "\"gw-berlin,12,1\""),
            ("unmapped.cluster_name", "\"cluster-a\""),
            ("unmapped.error_code", "\"0\""),
            ("unmapped.login_duration", "\"0\""),
            ("unmapped.private_ip", "\"0.0.0.0\""),
            ("unmapped.status", "null"),
            ("unmapped.public_ipv6", "null"),
        ],
    );
}

#[test]
fn classes_and_activities_of_events() {
    for (event, stage, class, activity) in [
        ("portal-auth", "login", 3002, "Logon"),
        ("gateway-auth", "login", 3002, "Logon"),
        ("gateway-auth", "", 3002, "Logon"),
        ("gateway-register", "login", 3002, "Logon"),
        ("portal-gen-cookie", "login", 3002, "Logon"),
        ("portal-prelogin", "before-login", 4014, "Other"),
        ("gateway-prelogin", "before-login", 4014, "Other"),
        ("portal-getconfig", "configuration", 4014, "Other"),
        ("gateway-config-release", "configuration", 4014, "Other"),
        ("gateway-hip-report", "host-info", 4014, "Other"),
        ("gateway-tunnel-latency", "tunnel", 4014, "Other"),
        ("gateway-setup-ssl", "tunnel", 4014, "Open"),
        ("gateway-setup-ipsec", "tunnel", 4014, "Open"),
        ("gateway-connected", "connected", 4014, "Open"),
        ("gateway-switch-to-ssl", "tunnel", 4014, "Renew"),
        ("gateway-logout", "logout", 4014, "Close"),
        ("gateway-agent-disconnect", "logout", 4014, "Close"),
        ("unheard-of", "", 4014, "Other"),
        ("", "", 4014, "Unknown"),
    ] {
        let csv = row_of(&line(&[(9, event), (10, stage)]));
        let json =
            row_of(&strata(&format!(r#""EventIDValue":"{event}","Stage":"{stage}","PublicIPv4":"198.51.100.7""#)));
        for row in [csv, json] {
            assert_eq!(
                (&row["class_uid"], &row["activity_name"]),
                (&json!(class), &json!(activity)),
                "{event} {stage}"
            );
        }
    }
}

#[test]
fn outcomes_of_logins() {
    for (status, id, caption) in
        [("success", 1, "Success"), ("failure", 2, "Failure"), ("FAILED", 2, "Failure"), ("pending", 99, "pending")]
    {
        let row = row_of(&line(&[(29, status)]));
        assert_eq!((&row["status_id"], &row["status"]), (&json!(id), &json!(caption)), "{status}");
    }
    assert!(row_of(&line(&[(29, "")]))["status_id"].is_null());
    let failed = [(27, "Authentication failed: Invalid username or password"), (29, "failure"), (33, "1017")];
    check(
        &row_of(&line(&failed)),
        &[
            ("status_detail", "\"Authentication failed: Invalid username or password\""),
            ("status_code", "\"1017\""),
            ("unmapped.error_code", "null"),
        ],
    );
}

#[test]
fn methods_of_authentication() {
    for (method, id, caption) in [
        ("SAML", 5, "SAML"),
        ("RADIUS", 10, "RADIUS"),
        ("Kerberos", 2, "Kerberos"),
        ("ldap", 12, "LDAP"),
        ("Cookie", 99, "Cookie"),
        ("client certificate", 99, "client certificate"),
    ] {
        let row = row_of(&line(&[(11, method)]));
        assert_eq!((&row["auth_protocol_id"], &row["auth_protocol"]), (&json!(id), &json!(caption)), "{method}");
    }
    assert!(row_of(&line(&[(11, "")]))["auth_protocol_id"].is_null());
}

#[test]
fn a_login_without_a_user_names_none() {
    let row = row_of(&line(&[(13, "")]));
    check(&row, &[("user", r#"{"uid":"Unknown"}"#), ("class_uid", "3002")]);
    for (user, want) in [
        ("ann", r#"{"name":"ann"}"#),
        ("ann@corp.example", r#"{"name":"ann@corp.example"}"#),
        ("CORP\\Ann", r#"{"name":"Ann","domain":"CORP"}"#),
    ] {
        check(&row_of(&line(&[(13, user)])), &[("user", want)]);
    }
}

#[test]
fn a_client_has_one_address() {
    let v6 = row_of(&line(&[(16, "0.0.0.0"), (17, "2001:DB8::7")]));
    check(&v6, &[("src_endpoint.ip", "\"2001:db8::7\""), ("unmapped.public_ip", "null")]);
    let both = row_of(&line(&[(17, "2001:db8::7")]));
    check(&both, &[("src_endpoint.ip", "\"198.51.100.7\""), ("unmapped.public_ipv6", "\"2001:db8::7\"")]);
    let bad = row_of(&line(&[(16, "198.51.100.777")]));
    check(&bad, &[("src_endpoint.ip", "null"), ("unmapped.public_ip", "\"198.51.100.777\"")]);
}

#[test]
fn a_tunnel_opens_and_closes() {
    let open = [(9, "gateway-connected"), (10, "connected"), (12, "IPSec"), (18, "10.9.0.5")];
    check(
        &row_of(&line(&open)),
        &[
            ("class_uid", "4014"),
            ("type_uid", "401401"),
            ("app_name", "\"GlobalProtect\""),
            ("protocol_name", "\"IPSec\""),
            ("tunnel_type_id", "0"),
            ("tunnel_interface", r#"{"ip":"10.9.0.5","type_id":4,"type":"Tunnel"}"#),
            ("dst_endpoint", r#"{"name":"gw-berlin"}"#),
            ("user", r#"{"name":"ann","domain":"corp"}"#),
            ("duration", "null"),
            ("end_time", "null"),
            ("unmapped.login_duration", "\"0\""),
            ("unmapped.private_ipv6", "null"),
        ],
    );
    let close = [(9, "gateway-logout"), (10, "logout"), (31, "5286"), (18, "10.9.0.5")];
    check(
        &row_of(&line(&close)),
        &[
            ("type_uid", "401402"),
            ("duration", "5286000"),
            ("end_time_dt", "\"2026-11-20T10:00:00.125000Z\""),
            ("unmapped.login_duration", "null"),
        ],
    );
    check(&row_of(&line(&[(9, "gateway-logout"), (31, "long")])), &[("unmapped.login_duration", "\"long\"")]);
}

#[test]
fn the_gateway_is_named_in_either_field() {
    for (portal, gateway, uid, kept) in [
        ("gw-a", "", json!("gw-a"), Value::Null),
        ("", "gw-b", json!("gw-b"), Value::Null),
        ("gw-a", "gw-b", json!("gw-a"), json!("gw-b")),
        ("", "", Value::Null, Value::Null),
    ] {
        let row = row_of(&line(&[(34, portal), (42, gateway)]));
        assert_eq!((at(&row, "service.uid"), at(&row, "unmapped.gateway")), (&uid, &kept));
    }
}

#[test]
fn systems_by_their_names() {
    for (name, id, caption) in [
        ("Windows", 100, "Windows"),
        ("Microsoft Windows 10 Pro", 100, "Windows"),
        ("Mac", 300, "macOS"),
        ("Linux", 200, "Linux"),
        ("Android", 201, "Android"),
        ("iOS", 301, "iOS"),
        ("Chrome", 99, "Chrome"),
    ] {
        let row = row_of(&line(&[(23, name)]));
        assert_eq!(at(&row, "src_endpoint.os.name"), name);
        assert_eq!(
            (at(&row, "src_endpoint.os.type_id"), at(&row, "src_endpoint.os.type")),
            (&json!(id), &json!(caption))
        );
    }
    let nameless = row_of(&line(&[(23, "")]));
    check(
        &nameless,
        &[("src_endpoint.os", "null"), ("unmapped.client_os_version", "\"Microsoft Windows 11, 64-bit\"")],
    );
}

#[test]
fn lines_of_older_and_newer_releases() {
    let whole = line(&[]);
    for columns in [10, 29, 36, 37, 49, 50] {
        let row = row_of(&cut(&whole, columns));
        check(&row, &[("class_uid", "3002"), ("metadata.event_code", "\"gateway-auth\"")]);
        assert_eq!(row["status_id"].is_null(), columns < 29, "{columns} columns");
    }
    let row = row_of(&cut(&whole, 36));
    check(&row, &[("time_dt", "\"2026-11-20T10:00:00.000000Z\""), ("metadata.sequence", "4242")]);
    let row = row_of(&format!("{whole},more,,yet more"));
    check(&row, &[("unmapped.column_51", "\"more\""), ("unmapped.column_53", "\"yet more\"")]);
    assert_eq!(reason_of(&cut(&whole, 9)), Reason::MissingField);
}

#[test]
fn strata_documents_fill_the_same_columns() {
    let members = r#""EventIDValue":"gateway-auth","Stage":"login","AuthMethod":"SAML","SourceUserName":"ann@corp.example",
        "SourceRegion":"DE","EndpointDeviceName":"ANN-LAPTOP","PublicIPv4":"198.51.100.7","PublicIPv6":"","PrivateIPv4":null,
        "HostID":"7b4c-11","EndpointSN":"SN-77","GlobalProtectClientVersion":"6.2.1","EndpointOSType":"Mac",
        "EndpointOSVersion":"Apple Mac OS X 14.1.0","CountOfRepeats":1,"ConnectionError":"Denied","ConnectionErrorID":7,
        "Description":"Login","EventStatus":"failure","LoginDuration":0,"Portal":"gw-berlin","SequenceNo":4242,
        "TimeGeneratedHighResolution":"2026-11-20T10:00:00.125Z","ConfigVersion":"10.1","DeviceName":"fw-1","New":[1]"#;
    check(
        &row_of(&strata(members)),
        &[
            ("class_uid", "3002"),
            ("status_id", "2"),
            ("status_code", "\"7\""),
            ("status_detail", "\"Denied\""),
            ("auth_protocol", "\"SAML\""),
            ("user", r#"{"name":"ann@corp.example"}"#),
            ("service", r#"{"name":"GlobalProtect","uid":"gw-berlin"}"#),
            ("src_endpoint.os.type", "\"macOS\""),
            ("time_dt", "\"2026-11-20T10:00:00.125000Z\""),
            ("metadata.product.version", "\"10.1\""),
            ("device.name", "\"fw-1\""),
            ("unmapped.Stage", "\"login\""),
            ("unmapped.New", "[1]"),
        ],
    );
}

#[test]
fn fields_that_are_no_text_are_kept() {
    let row = row_of(&strata(
        r#""EventIDValue":"gateway-auth","EventStatus":{"a":1},"AuthMethod":[2],"EndpointOSType":{},"Portal":[3]"#,
    ));
    check(
        &row,
        &[
            ("status_id", "null"),
            ("auth_protocol_id", "null"),
            ("unmapped.EventStatus", r#"{"a":1}"#),
            ("unmapped.AuthMethod", "[2]"),
            ("unmapped.EndpointOSType", "{}"),
            ("unmapped.Portal", "[3]"),
        ],
    );
}
