use super::*;

#[test]
fn mappings_that_ship_are_right_and_pass_their_tests() {
    let mappings = Mappings::with_files(&[]).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    assert!(mappings.names().count() > 5);
    let failures: Vec<String> = mappings.run_tests().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A mapping of kv records, with further lines at its end.
fn mapping(further: &str) -> String {
    let head =
        "product: {vendor: V, name: P}\nformat: kv\nmatch: {dev: \"*\"}\nclass: authentication\ntime: received\n";
    format!("name: m\n{head}activity: Logon\n{further}")
}

fn failures(file: &str) -> Vec<String> {
    let mappings = Mappings::with_files(&[("own", file)]).unwrap_or_else(|errors| panic!("{}", errors[0]));
    mappings.run_tests().iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_with_ports_and_words_of_plain_columns() {
    let found = failures(&mapping(
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
    assert_eq!(found, [""; 0]);
    let wrong = mapping("attributes:\n  is_mfa: {from: method, values: {otp: maybe}}\n");
    let errors = Mappings::with_files(&[("own", &wrong)]).expect_err("maybe is neither true nor false");
    assert!(errors[0].what.contains("does not fit"), "{errors:?}");
}

#[test]
fn an_attribute_of_another_field_is_read_as_the_template_reads_it() {
    let template = mapping("attributes:\n  status: {from: a, values: {ok: Success}, else: Unknown}\n");
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
    assert_eq!(failures(&format!("{template}---\n{own}")), [""; 0]);
}

#[test]
fn what_ocsf_requires_of_an_object_stands_only_where_an_element_has_it() {
    let found = failures(
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
    assert_eq!(found, [""; 0]);
}
