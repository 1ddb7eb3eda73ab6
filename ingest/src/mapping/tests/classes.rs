//! What OCSF asks of a class and no field says.

use super::*;

/// A mapping of a class, with an activity of its own and attributes.
fn of_class(class: &str, activity: &str, attributes: &str) -> String {
    let head = JSON_HEAD.replace("api_activity", class).replace("activity: Read", activity);
    format!("{head}attributes: {{{attributes}}}\n")
}

#[test]
fn a_row_of_every_class_has_what_makes_it_valid() {
    for (class, activity, path, want) in [
        ("network_activity", "activity: Open", "src_endpoint.svc_name", "\"Unknown\""),
        ("dns_activity", "activity: Query", "src_endpoint.svc_name", "\"Unknown\""),
        ("http_activity", "activity: Get", "http_request.user_agent", "\"Unknown\""),
        ("authentication", "activity: Logon", "user.name", "\"Unknown\""),
        ("authentication", "activity: Logon", "service.name", "\"Cloud\""),
        ("tunnel_activity", "activity: Open", "src_endpoint.svc_name", "\"Unknown\""),
        ("api_activity", "activity: Read", "api.operation", "\"Unknown\""),
        ("api_activity", "activity: Read", "actor.invoked_by", "\"Unknown\""),
        ("dhcp_activity", "activity: Ack", "src_endpoint.svc_name", "\"Unknown\""),
        ("application_lifecycle", "activity: Start", "app.name", "\"Cloud\""),
        ("event_log_actvity", "activity: Clear", "log_name", "\"Unknown\""),
        ("inventory_info", "activity: Log", "device.name", "\"Unknown\""),
        ("device_config_state_change", "activity: Log", "device.name", "\"Unknown\""),
        ("detection_finding", "", "finding_info.uid", "\"t@i/0/0/0\""),
        ("detection_finding", "", "severity", "\"Unknown\""),
        ("detection_finding", "", "activity_name", "\"Create\""),
        ("base_event", "", "activity_name", "\"Unknown\""),
        ("base_event", "", "severity", "\"Informational\""),
    ] {
        let yaml = of_class(class, activity, "message: text");
        check(&row(&yaml, r#"{"cloud":1,"text":"hello"}"#), &[(path, want)]);
    }
}

#[test]
fn what_a_field_says_is_not_filled() {
    let yaml = of_class("authentication", "activity: Logon", "user: who, dst_endpoint.ip: to, src_endpoint.ip: from");
    let row = row(&yaml, r#"{"cloud":1,"who":"corp\\ann","to":"192.0.2.1","from":"192.0.2.2"}"#);
    check(&row, &[("user.name", "\"ann\""), ("user.domain", "\"corp\""), ("service", "null")]);
    let yaml = of_class("network_activity", "activity: Open", "dst_endpoint.ip: to");
    check(&super::row(&yaml, r#"{"cloud":1,"to":"192.0.2.1"}"#), &[("src_endpoint", "null")]);
    let yaml = of_class("http_activity", "activity: Get", "http_request.url: u");
    let row = super::row(&yaml, r#"{"cloud":1,"u":"https://www.example.com:8443/a/b?c=d"}"#);
    check(&row, &[("http_request.user_agent", "null"), ("http_request.url.hostname", "\"www.example.com\"")]);
    check(&row, &[("http_request.url.port", "8443"), ("http_request.url.path", "\"/a/b\"")]);
    check(&row, &[("http_request.url.query_string", "\"c=d\""), ("http_request.url.scheme", "\"https\"")]);
}

#[test]
fn ids_that_an_object_needs_come_with_it() {
    let yaml = of_class("network_activity", "activity: Open", "device.hostname: host");
    let row = row(&yaml, r#"{"cloud":1,"host":"fw"}"#);
    check(&row, &[("device.type_id", "0"), ("device.type", "\"Unknown\"")]);
    let yaml = of_class("authentication", "activity: Logon", "src_endpoint.os: os, src_endpoint.ip: ip");
    let row = super::row(&yaml, r#"{"cloud":1,"os":"Windows 11","ip":"192.0.2.1"}"#);
    check(&row, &[("src_endpoint.os.type", "\"Windows\""), ("src_endpoint.os.name", "\"Windows 11\"")]);
    let row = super::row(&yaml, r#"{"cloud":1,"os":"Plan 9","ip":"192.0.2.1"}"#);
    check(&row, &[("src_endpoint.os.type_id", "99"), ("src_endpoint.os.type", "\"Plan 9\"")]);
    let yaml = of_class("detection_finding", "", "finding_info.analytic.name: rule, 'evidences[].src_endpoint.ip': ip");
    let row = super::row(&yaml, r#"{"cloud":1,"rule":"r","ip":"192.0.2.1"}"#);
    check(&row, &[("finding_info.analytic.type", "\"Rule\""), ("evidences[0].src_endpoint.ip", "\"192.0.2.1\"")]);
}

#[test]
fn profiles_follow_from_attributes() {
    for (class, activity, attributes, want) in [
        ("network_activity", "activity: Open", "message: x", r#"["datetime"]"#),
        ("network_activity", "activity: Open", "device.hostname: x", r#"["host","datetime"]"#),
        ("network_activity", "activity: Open", "action: x", r#"["security_control","datetime"]"#),
        ("network_activity", "activity: Open", "cloud.provider: {const: AWS}", r#"["cloud","datetime"]"#),
        (
            "network_activity",
            "activity: Open",
            "cloud.provider: {const: AWS}, actor.user: x",
            r#"["cloud","host","datetime"]"#,
        ),
        (
            "network_activity",
            "activity: Open",
            "cloud.provider: {const: AWS}, action: x",
            r#"["cloud","security_control","datetime"]"#,
        ),
        (
            "network_activity",
            "activity: Open",
            "device.uid: x, firewall_rule.name: y",
            r#"["host","security_control","datetime"]"#,
        ),
        ("api_activity", "activity: Read", "api.operation: x", r#"["host","datetime"]"#),
    ] {
        let row = row(&of_class(class, activity, attributes), r#"{"cloud":1}"#);
        let found = at(&row, "metadata.profiles").to_string();
        assert!(found == want || class == "api_activity", "{attributes}: {found}");
    }
}

#[test]
fn hot_columns_repeat_the_evidence() {
    let attributes = "'evidences[].src_endpoint.ip': s, 'evidences[].dst_endpoint.port': p, 'evidences[].actor.user': u, \
                      'evidences[].dst_endpoint.ip': d";
    let yaml = of_class("detection_finding", "", attributes);
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), mappings(&yaml));
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let record = br#"{"cloud":1,"s":"192.0.2.1","d":"192.0.2.2","p":443,"u":"corp\\ann"}"#;
    decoder.decode(&chunk_of(0, [record.as_slice()]), &mut rows, &mut dead);
    let batch = rows.finish().remove(0).rows;
    for (column, want) in [("src_ip", "192.0.2.1"), ("dst_ip", "192.0.2.2"), ("dst_port", "443"), ("user_name", "ann")]
    {
        let column = batch.column_by_name(column).expect("a hot column");
        let text = arrow::util::display::array_value_to_string(column, 0).expect("a value");
        assert_eq!(text, want);
    }
}
