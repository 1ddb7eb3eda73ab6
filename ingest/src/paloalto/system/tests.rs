use super::*;
use crate::decode::tests::{check, row_of};

/// A SYSTEM line with an event and its description.
fn line(event: &str, description: &str) -> String {
    format!(
        "1,2026/11/20 10:00:01,0011,SYSTEM,auth,2817,2026/11/20 10:00:00,,{event},object,0,0,general,medium,\"{description}\",9,0x0"
    )
}

#[test]
fn descriptions_of_logins_and_logouts() {
    let in_ = |succeeded, user, source, reason| Some(SignIn { activity: LOGON, succeeded, user, source, reason });
    let out = |user, source| Some(SignIn { activity: LOGOFF, succeeded: true, user, source, reason: "" });
    for (event, text, want) in [
        ("general", "User ann logged in via Web from 192.0.2.1 using https", in_(true, "ann", "192.0.2.1", "")),
        ("general", "User ann logged in via CLI from 192.0.2.1", in_(true, "ann", "192.0.2.1", "")),
        ("general", "User ann logged in via Console", in_(true, "ann", "", "")),
        ("general", "User ann logged out via Web from 192.0.2.1", out("ann", "192.0.2.1")),
        ("general", "User ann logged about via Web from 192.0.2.1", None),
        ("general", "Log type config cleared by user ann ", None),
        ("general", "User  logged in via Web from 192.0.2.1", None),
        (
            "auth-success",
            "authenticated for user 'ann'.   auth profile 'p', vsys 'shared', From: 192.0.2.1.",
            in_(true, "ann", "192.0.2.1", ""),
        ),
        (
            "auth-fail",
            "failed authentication for user 'ann'.  Reason: Invalid username/password. auth profile 'p', From: 192.0.2.1.",
            in_(false, "ann", "192.0.2.1", "Invalid username/password"),
        ),
        (
            "auth-fail",
            "User 'ann' failed authentication.  Reason: User is not in allowlist From: 192.0.2.1.",
            in_(false, "ann", "192.0.2.1", "User is not in allowlist"),
        ),
        ("auth-fail", "no user here. From: 192.0.2.1.", None),
        (
            "globalprotectportal-auth-fail",
            "GlobalProtect portal user authentication failed. Login from: 192.0.2.1, User name: ann, Reason: Authentication failed: \
             Invalid username or password, Auth type: profile.",
            in_(false, "ann", "192.0.2.1", "Authentication failed: Invalid username or password"),
        ),
        (
            "globalprotectgateway-auth-succ",
            "GlobalProtect gateway user authentication succeeded. Login from: 192.0.2.1, User name: corp\\ann, Auth type: profile.",
            in_(true, "corp\\ann", "192.0.2.1", ""),
        ),
        (
            "globalprotectgateway-regist-succ",
            "GlobalProtect gateway user login succeeded. Login from: 192.0.2.1, User name: ann.",
            in_(true, "ann", "192.0.2.1", ""),
        ),
        (
            "globalprotectgateway-logout-succ",
            "GlobalProtect gateway user logout succeeded. User name: ann, Client OS version: X.",
            out("ann", ""),
        ),
        ("globalprotectgateway-config-succ", "Login from: 192.0.2.1, User name: ann", None),
        ("globalprotect", "User name: ann", None),
        ("ike-start", "User ann logged in via Web from 192.0.2.1", None),
        ("", "", None),
    ] {
        assert_eq!(sign_in(event, text), want, "{event}: {text}");
    }
}

#[test]
fn a_typed_name_does_not_choose_its_address() {
    let typed = "failed authentication for user 'x' From: 203.0.113.66. y'. Reason: no. From: 192.0.2.1.";
    assert_eq!(sign_in("auth-fail", typed).map(|s| s.source), Some("192.0.2.1"));
    let typed = "failed. Login from: 192.0.2.1, User name: x Login from: 203.0.113.66, Reason: no";
    assert_eq!(sign_in("globalprotectportal-auth-fail", typed).map(|s| s.source), Some("192.0.2.1"));
}

#[test]
fn an_administrator_who_fails_is_an_authentication() {
    let text = "failed authentication for user 'corp\\ann'.  Reason: Invalid username/password. auth profile 'p', From: 192.0.2.1.";
    check(
        &row_of(&line("auth-fail", text)),
        &[
            ("class_uid", "3002"),
            ("type_uid", "300201"),
            ("status_id", "2"),
            ("status_detail", "\"Invalid username/password\""),
            ("severity", "\"Medium\""),
            ("user", r#"{"name":"ann","domain":"corp"}"#),
            ("src_endpoint", r#"{"ip":"192.0.2.1"}"#),
            ("is_remote", "true"),
            ("service", r#"{"name":"PAN-OS"}"#),
            ("metadata.event_code", "\"auth\""),
            ("unmapped.event_id", "\"auth-fail\""),
            ("unmapped.object", "\"object\""),
        ],
    );
    let row = row_of(&line("auth-fail", text));
    assert_eq!(row["message"], text);
}

#[test]
fn a_source_that_is_no_address_stays_in_the_message() {
    let text = "User ann logged in via Web from nowhere using https";
    check(&row_of(&line("general", text)), &[("class_uid", "3002"), ("src_endpoint", "null"), ("is_remote", "null")]);
}

#[test]
fn an_event_is_of_the_class_that_its_kind_names() {
    let text = "IKE daemon configuration load phase-1 succeeded.";
    check(
        &row_of(&line("ike-config-p1-success", text)),
        &[
            ("type_uid", "501901"),
            ("status", "\"Success\""),
            ("device", r#"{"uid":"0011","type_id":9,"type":"Firewall"}"#),
            ("message", "\"IKE daemon configuration load phase-1 succeeded.\""),
            ("unmapped.event_id", "\"ike-config-p1-success\""),
        ],
    );
    let nameless = line("ike-config-p1-success", text).replace(",0011,", ",,");
    check(&row_of(&nameless), &[("type_uid", "501901"), ("device.name", "\"Unknown\"")]);
}

#[test]
fn a_cleared_log_is_event_log_activity() {
    let cleared = line("general", "Log type config cleared by user corp\\ann ").replace(",auth,", ",general,");
    check(
        &row_of(&cleared),
        &[
            ("type_uid", "100801"),
            ("class_name", "\"Event Log Activity\""),
            ("category_name", "\"System Activity\""),
            ("log_name", "\"config\""),
            ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
        ],
    );
}

#[test]
fn a_package_that_is_upgraded_is_application_lifecycle() {
    let text = "WildFire package upgraded from version 739610-742990 to 739613-742993 by Auto update agent";
    check(
        &row_of(&line("general", text).replace(",auth,", ",general,")),
        &[
            ("type_uid", "600208"),
            ("app", r#"{"name":"WildFire package","vendor_name":"Palo Alto Networks","version":"739613-742993"}"#),
        ],
    );
}

#[test]
fn a_lease_is_dhcp_activity() {
    let of = |text: &str| row_of(&line("lease-start", text).replace(",auth,", ",dhcp,"));
    check(
        &of("DHCP lease started ip 10.1.2.3 --> mac 00:1b:44:11:3a:b8 - hostname ann-laptop, interface ethernet1/3"),
        &[
            ("type_uid", "400405"),
            ("src_endpoint", r#"{"ip":"10.1.2.3","hostname":"ann-laptop","mac":"00:1b:44:11:3a:b8"}"#),
            ("dst_endpoint", r#"{"interface_name":"ethernet1/3"}"#),
        ],
    );
    check(
        &of("DHCP lease started ip 10.1.2.3 --> hostname [Unavailable]"),
        &[("src_endpoint", r#"{"ip":"10.1.2.3"}"#)],
    );
    check(&of("DHCP lease started ip nowhere"), &[("src_endpoint", r#"{"svc_name":"Unknown"}"#)]);
}

#[test]
fn associations_and_clients_are_tunnel_activity() {
    let text = "IKEv2 child SA negotiation is succeeded as initiator, non-rekey. Established SA: 192.0.2.1[500]-198.51.100.1[4500] message id:0x1.";
    check(
        &row_of(&line("ikev2-nego-child-succ", text).replace(",auth,", ",vpn,")),
        &[
            ("type_uid", "401401"),
            ("protocol_name", "\"IPSec\""),
            ("tunnel_type", "\"Unknown\""),
            ("session.is_vpn", "true"),
            ("src_endpoint", r#"{"ip":"192.0.2.1","port":500}"#),
            ("dst_endpoint", r#"{"ip":"198.51.100.1","port":4500}"#),
            ("status", "\"Success\""),
        ],
    );
    let text = "GlobalProtect gateway client configuration released. User name: corp\\ann, Private IP: 10.9.0.5, Client version: 6.2.1, Device name: ann-laptop, Client OS version: X.";
    check(
        &row_of(&line("globalprotectgateway-config-release", text).replace(",auth,", ",globalprotect,")),
        &[
            ("type_uid", "401402"),
            ("user", r#"{"name":"ann","domain":"corp"}"#),
            ("tunnel_interface", r#"{"ip":"10.9.0.5","type_id":4,"type":"Tunnel"}"#),
            ("src_endpoint", r#"{"hostname":"ann-laptop"}"#),
            ("app_name", "\"GlobalProtect\""),
        ],
    );
}

#[test]
fn an_agent_that_is_disabled_is_application_lifecycle() {
    let text = "GlobalProtect gateway agent message. Login from: 10.9.0.5, User name: corp\\ann, Time: Fri Nov 20 10:00:00 2026., Message: Agent Disable, Comment: none.";
    let of = |text: &str| row_of(&line("globalprotectgateway-agent-msg", text).replace(",auth,", ",globalprotect,"));
    check(
        &of(text),
        &[
            ("type_uid", "600207"),
            ("actor.user.name", "\"ann\""),
            ("app.name", "\"GlobalProtect\""),
            ("status", "null"),
        ],
    );
    check(&of(&text.replace("Agent Disable", "Agent Enable")), &[("class_uid", "0")]);
}

#[test]
fn everything_else_is_a_base_event() {
    let text = "HA Group 1: Moved from state Active to state Passive";
    check(&row_of(&line("state-change", text)), &[("class_uid", "0"), ("device.uid", "\"0011\"")]);
    assert_eq!(row_of(&line("state-change", text))["message"], text);
    let document = r#"{"LogType":"SYSTEM","Subtype":"auth","LogSourceID":"0011","EventTime":"2026-11-20T10:00:00Z","EventName":"NAME",
        "EventDescription":"User ann logged out via Web from 192.0.2.1","VendorSeverity":"Informational"}"#;
    check(
        &row_of(&document.replace("NAME", "general")),
        &[("type_uid", "300202"), ("src_endpoint.ip", "\"192.0.2.1\"")],
    );
    check(&row_of(&document.replace("NAME", "general-failure")), &[("class_uid", "0"), ("device.uid", "\"0011\"")]);
}
