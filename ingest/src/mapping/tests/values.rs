//! What a value becomes.

use super::*;

fn network(attributes: &str, line: &str) -> Value {
    row(&format!("{HEAD}attributes:\n{attributes}"), &format!("wall=1 {line}"))
}

#[test]
fn the_first_field_that_is_there_and_fits() {
    let attributes = "  src_endpoint.ip: [a, b, c]\n";
    for (line, want, kept) in [
        ("a=192.0.2.1 b=192.0.2.2", "\"192.0.2.1\"", "{\"b\":\"192.0.2.2\",\"wall\":\"1\"}"),
        ("a=host c=2001:DB8::1", "\"2001:db8::1\"", "{\"a\":\"host\",\"wall\":\"1\"}"),
        ("a=host", "null", "{\"a\":\"host\",\"wall\":\"1\"}"),
    ] {
        let row = network(attributes, line);
        check(&row, &[("src_endpoint.ip", want), ("unmapped", kept)]);
    }
}

#[test]
fn words_of_an_enum() {
    let attributes = "  status: {from: s, values: {ok: Success, 'bad*': Failure, odd: Other}}\n";
    for (word, want, id, is_kept) in [
        ("OK", "Success", 1, true),
        ("success", "Success", 1, false),
        ("badly", "Failure", 2, true),
        ("odd", "odd", 99, false),
    ] {
        let row = network(attributes, &format!("s={word}"));
        check(&row, &[("status", &format!("{want:?}")), ("status_id", &id.to_string())]);
        assert_eq!(at(&row, "unmapped.s").is_string(), is_kept, "{word}: {row}");
    }
    let row = network(attributes, "s=unheard");
    check(&row, &[("status", "null"), ("unmapped.s", "\"unheard\"")]);
    let row = network("  status: {from: s, values: {ok: Success}, else: Unknown}\n", "s=unheard");
    check(&row, &[("status", "\"Unknown\""), ("unmapped.s", "\"unheard\"")]);
}

#[test]
fn actions_and_dispositions() {
    let attributes = "  action: {from: a, values: {pass: Allowed, rst: Reset, drop: Dropped}}\n";
    for (word, action, disposition) in
        [("pass", "Allowed", "Allowed"), ("rst", "Denied", "Reset"), ("drop", "Denied", "Dropped")]
    {
        let row = network(attributes, &format!("a={word}"));
        check(&row, &[("action", &format!("{action:?}")), ("disposition", &format!("{disposition:?}"))]);
        check(&row, &[("metadata.profiles", r#"["host","security_control","datetime"]"#)]);
    }
}

#[test]
fn lengths_of_time_are_milliseconds() {
    for (unit, text, want, is_kept) in [
        ("s", "30", "30000", false),
        ("s", "1.5", "1500", false),
        ("s", "0.048180s", "48", true),
        ("s", "0.048s", "48", false),
        ("min", "2", "120000", false),
        ("us", "2000", "2", false),
        ("ns", "1500000", "1", true),
        ("clock", "1:02:03", "3723000", false),
        ("s", "long", "null", true),
        ("clock", "99999999999:00", "null", true),
    ] {
        let row = network(&format!("  duration: {{from: d, unit: {unit}}}\n"), &format!("d={text}"));
        check(&row, &[("duration", want)]);
        assert_eq!(at(&row, "unmapped.d").is_string(), is_kept, "{unit} {text}");
    }
}

#[test]
fn users_protocols_templates_and_constants() {
    let attributes = "  actor.user: u\n  connection_info.protocol: p\n  message: {template: '{a}:{b}'}\n  \
                      src_endpoint.zone: {const: lan}\n  src_endpoint.ip: ip\n";
    let row = network(attributes, r"u=corp\ann p=17 a=x b=y ip=192.0.2.1");
    check(&row, &[("actor.user.name", "\"ann\""), ("actor.user.domain", "\"corp\""), ("message", "\"x:y\"")]);
    check(&row, &[("connection_info.protocol_num", "17"), ("connection_info.protocol_name", "\"udp\"")]);
    check(&row, &[("src_endpoint.zone", "\"lan\""), ("connection_info.direction", "\"Unknown\"")]);
    let row = network(attributes, "p=ICMP a=x");
    check(&row, &[("connection_info.protocol_num", "1"), ("message", "null"), ("unmapped.a", "\"x\"")]);
    check(&row, &[("src_endpoint.zone", "null")]);
}

#[test]
fn empty_words_are_dropped_and_what_no_attribute_takes_is_kept() {
    let yaml = format!("{HEAD}empty: ['-', N/A]\nattributes: {{src_endpoint.ip: a, message: c}}\n");
    let row = row(&yaml, "wall=1 a=- b=N/A c=none d=-x");
    check(&row, &[("unmapped", r#"{"d":"-x","wall":"1"}"#), ("message", "\"none\"")]);
}

#[test]
fn a_hot_column_of_the_table_repeats_what_is_in_unmapped() {
    let head = HEAD.replace("network_activity", "base_event").replace("activity: Traffic\n", "");
    let row = row(&format!("{head}attributes: {{src_ip: ip, user_name: u}}\n"), "wall=1 ip=192.0.2.1 u=ann");
    check(&row, &[("unmapped.ip", "\"192.0.2.1\""), ("unmapped.u", "\"ann\"")]);
}

#[test]
fn an_object_that_would_not_be_valid_stays_in_unmapped() {
    let row = network("  src_endpoint.port: p\n  src_endpoint.ip: ip\n", "p=443");
    check(&row, &[("unmapped.p", "\"443\""), ("src_endpoint.port", "null")]);
}

#[test]
fn times_in_turn_and_the_receive_time() {
    let times = "time:\n  - {from: ns, unit: ns}\n  - {from: [d, t], zone: tz}\n";
    let yaml = HEAD.replace("time: received\n", times);
    for (line, want, kept) in [
        ("ns=1795168798500000000 d=2026-11-20 t=09:59:58", 1_795_168_798_500_i64, "null"),
        ("d=2026-11-20 t=10:59:58 tz=+0100", 1_795_168_798_000, "null"),
        ("ns=0x d=2026-11-20 t=09:59:58", 1_795_168_798_000, "\"0x\""),
    ] {
        let row = row(&yaml, &format!("wall=1 {line}"));
        check(&row, &[("time", &want.to_string()), ("unmapped.ns", kept), ("unmapped.d", "null")]);
    }
    let row = row(&yaml.replace("time:\n", "time:\n  - received\n"), "wall=1");
    check(&row, &[("time", &(crate::decode::tests::RECEIVED_AT / 1000).to_string())]);
}

#[test]
fn a_document_overlays_its_template() {
    let yaml = "
template: base
product: {vendor: Example, name: Wall}
format: kv
match: {wall: '*', kind: a}
time: received
class: network_activity
activity: Traffic
attributes: {src_endpoint.ip: srcip, dst_endpoint.ip: dstip, message: msg}
---
name: wall
use: base
match: {kind: b}
activity: Open
attributes: {message: '-', status_detail: msg}
";
    let found = decoded(mappings(yaml), &["wall=1 kind=b srcip=192.0.2.1 msg=hello", "wall=1 kind=a"]);
    assert_eq!((found[0].0, found[1].0), ("wall", "base_event"));
    let row = &found[0].1;
    check(row, &[("activity_name", "\"Open\""), ("src_endpoint.ip", "\"192.0.2.1\"")]);
    check(row, &[("status_detail", "\"hello\""), ("message", "null")]);
}

fn api(attributes: &str, document: &str) -> Value {
    row(&format!("{JSON_HEAD}attributes:\n{attributes}"), document)
}

#[test]
fn addresses_of_mail_and_methods_are_those_that_ocsf_takes() {
    let attributes = "  actor.user.name: name\n  actor.user.email_addr: mail\n  http_request.http_method: method\n";
    let found = api(attributes, r#"{"cloud":1,"name":"n","mail":"n@example.com","method":"get"}"#);
    check(&found, &[("actor.user.email_addr", "\"n@example.com\""), ("http_request.http_method", "\"GET\"")]);
    let found = api(attributes, r#"{"cloud":1,"name":"n","mail":"system:n","method":"PROPFIND"}"#);
    check(&found, &[("unmapped", r#"{"cloud":1,"mail":"system:n","method":"PROPFIND"}"#)]);
}
