//! What the language says, as tests of mappings.

use super::*;

/// The tests of a file pass.
fn passes(text: &str) {
    let failures: Vec<String> = mappings(text).run_tests().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn examples_of_the_documentation_are_right_and_pass_their_tests() {
    let text = include_str!("../../../../docs/adding-a-log-source.md");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|part| part.split("```").next());
    let examples: Vec<&str> = blocks.filter(|block| block.starts_with("name:")).collect();
    assert!(examples.len() >= 3 && examples.iter().all(|example| example.contains("tests:")));
    passes(&examples.join("---\n"));
}

#[test]
fn pairs_in_each_of_several_ways() {
    passes(
        r#"
name: several
product: {vendor: V, name: P}
format: kv
separators: [{pair: " ", value: "="}, {pair: "|", value: "=", escape: "\\"}, {pair: ";", value: ":"}]
match: {kind: several}
class: base_event
time: received
attributes: {device.name: src, message: say}
tests:
  - {log: 'kind=several say="a b" src=192.0.2.1', expect: {device.name: 192.0.2.1, message: a b}}
  - {log: 'kind=several|say=a\|b\=c|src=192.0.2.1|', expect: {device.name: 192.0.2.1, message: "a|b=c"}}
  - {log: 'kind:several; say:"a; b"; src:2001:db8::1', expect: {device.name: "2001:db8::1", message: a; b}}
  - {log: '<13>1 - h a - - [kind:"several"; say:"a]"; src:"192.0.2.1"]', expect: {device.name: 192.0.2.1, message: "a]"}}
  - {log: '<13>1 - h a - - [x@1 kind="several" src="192.0.2.1"] end', expect: {device.name: 192.0.2.1, unmapped.text: end}}
"#,
    );
}

#[test]
fn earlier_templates_win_and_empty_words_are_nothing() {
    passes(
        r#"
template: first
format: json
empty: ["-", "None"]
attributes: {message: text}
---
template: second
product: {vendor: V, name: P}
time: received
attributes: {message: other, status_detail: why, device.name: [user, login]}
---
name: both
use: [first, second]
each: [event]
match: {kind: both}
class: base_event
tests:
  - log: '{"kind":"both","text":"t","other":"o","why":"None","user":"-","login":"ann"}'
    expect: {message: t, unmapped.other: o, status_detail: "-", unmapped.why: None, device.name: ann}
  - {log: '[{"from":"hub","event":{"kind":"both","text":"t"}}]', expect: {message: t, unmapped.envelope.from: hub}}
"#,
    );
}

#[test]
fn texts_make_no_object_of_their_own() {
    passes(
        r#"
name: valid_url
product: {vendor: V, name: P}
format: kv
match: {kind: url}
class: network_activity
time: received
activity: Traffic
attributes:
  url.categories[]: cat
  url.url_string: url
tests:
  - {log: 'kind=url cat=news', expect: {url: "-", unmapped.cat: news}}
  - {log: 'kind=url cat=news url=example.com', expect: {"url.categories[0]": news, unmapped.cat: "-"}}
"#,
    );
}

#[test]
fn values_become_what_their_attributes_hold() {
    let text = r#"
name: example_values
product: {vendor: Example, name: Values}
format: kv
separators: {quote: "'"}
match: {dev: wall}
class: network_activity
time: received
activity: Traffic
attributes:
  src_endpoint: src
  src_endpoint.proxy_endpoint: {from: map, unless: src}
  dst_endpoint: dst
  connection_info.protocol: {from: proto, else: icmp}
  duration: {from: took, unit: clock}
tests:
  - log: "dev=wall src='192.0.2.1:80' map='192.0.2.1:80' dst=[2001:db8::1]:443 proto=TCP took=1:02:03"
    expect:
      src_endpoint.ip: 192.0.2.1
      src_endpoint.port: "80"
      src_endpoint.proxy_endpoint: "-"
      dst_endpoint.ip: "2001:db8::1"
      dst_endpoint.port: "443"
      connection_info.protocol_num: "6"
      connection_info.protocol_name: tcp
      duration: "3723000"
      unmapped: "{\"dev\":\"wall\"}"
  - log: "dev=wall src=192.0.2.1 map=203.0.113.1(81) dst=host:80 took='2d 1h:00m:01s'"
    expect:
      src_endpoint.port: "-"
      src_endpoint.proxy_endpoint.ip: 203.0.113.1
      src_endpoint.proxy_endpoint.port: "81"
      dst_endpoint: "-"
      unmapped.dst: host:80
      connection_info.protocol_num: "1"
      duration: "176401000"
"#;
    passes(text);
}

/// A mapping of kv records, with further lines at its end.
fn logons(further: &str) -> String {
    let head =
        "product: {vendor: V, name: P}\nformat: kv\nmatch: {dev: \"*\"}\nclass: authentication\ntime: received\n";
    format!("name: m\n{head}activity: Logon\n{further}")
}

#[test]
fn addresses_with_ports_and_words_of_plain_columns() {
    passes(&logons(
        r#"attributes:
  user.name: user
  src_endpoint: [from, peer]
  is_mfa: {from: method, values: {otp: "true", password: "false"}}
  service.name: {from: app, values: {"vpn*": VPN}, else: Portal}
tests:
  - log: 'dev=1 user=ann from=192.0.2.1:5000 method=OTP app=vpn-1'
    expect: {src_endpoint.ip: 192.0.2.1, src_endpoint.port: "5000", is_mfa: "true", service.name: VPN, unmapped.method: OTP}
  - log: 'dev=1 user=ann from=unknown peer=[2001:db8::1]:22 method=sms'
    expect: {src_endpoint.ip: "2001:db8::1", unmapped.from: unknown, is_mfa: "-", unmapped.method: sms, service.name: Portal}
"#,
    ));
    let wrong = logons("attributes:\n  is_mfa: {from: method, values: {otp: maybe}}\n");
    let errors = Mappings::only(&[("own", &wrong)]).expect_err("maybe is neither true nor false");
    assert!(errors[0].what.contains("does not fit"), "{errors:?}");
}

#[test]
fn an_attribute_of_another_field_is_read_as_the_template_reads_it() {
    let template = logons("attributes:\n  status: {from: a, values: {ok: Success}, else: Unknown}\n");
    let template = template.replacen("name: m", "template: t", 1);
    let own = r#"name: m
use: t
match: {dev: "2"}
attributes:
  status: {from: b, values: {fine: Success}}
---
name: n
use: t
attributes:
  status: {from: b}
tests:
  - log: 'dev=1 b=ok'
    expect: {status: Success}
  - log: 'dev=1 b=bad'
    expect: {status: Unknown}
  - log: 'dev=2 b=ok'
    expect: {status: Unknown, unmapped.b: ok}
  - log: 'dev=2 b=fine'
    expect: {status: Success}
"#;
    passes(&format!("{template}---\n{own}"));
}

#[test]
fn what_ocsf_requires_of_an_object_stands_only_where_an_element_has_it() {
    passes(
        r#"name: findings
product: {vendor: V, name: P}
format: json
match: {alert: "*"}
class: detection_finding
time: received
severity: {from: level}
attributes:
  finding_info.title: alert
  evidences[].file.name: found[].file
  evidences[].src_endpoint.ip: found[].ip
tests:
  - log: '{"alert":"a","level":"odd","found":[{"ip":"192.0.2.1"},{"file":"x"},{"ip":"192.0.2.2"}]}'
    expect:
      severity: Unknown
      evidences[0].file: "-"
      evidences[1].file.name: x
      evidences[1].file.type: Unknown
      evidences[2].file: "-"
      evidences[2].src_endpoint.ip: 192.0.2.2
"#,
    );
}
