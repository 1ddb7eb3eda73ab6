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

/// A mapping of a user's, with its tests: what the language says of values.
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
    let mappings = Mappings::with_files(&[("example.yaml", text)]).expect("right");
    let failures: Vec<String> = mappings.run_tests().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The row that a mapping of these attributes (YAML, indented) makes of a JSON record.
fn row(class: &str, attributes: &str, record: &str) -> serde_json::Value {
    let mapping = format!(
        "name: mine\nproduct: {{vendor: V, name: P}}\nformat: json\nmatch: {{mine: \"*\"}}\neach: [outer.events]\nclass: {class}\n\
        time: received\nactivity: Unknown\nattributes:\n{attributes}"
    );
    let mappings = Mappings::with_files(&[("mine.yaml", &mapping)])
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    let mut decoder = crate::decode::AutoDecoder::with_mappings(Default::default(), mappings);
    let (mut rows, mut dead) = (dataflow::BatchBuilder::new(), dataflow::DeadLetters::new());
    let chunk = crate::decode::tests::chunk_of(0, [record.as_bytes()]);
    dataflow::Decoder::decode(&mut decoder, &chunk, &mut rows, &mut dead);
    let batches = rows.finish();
    let mut json = String::new();
    dataflow::json::JsonRows::new(batches[0].table, &batches[0].rows).write(0, &mut json);
    serde_json::from_str(&json).expect("a row is JSON")
}

#[test]
fn an_element_is_made_only_by_what_makes_it_valid() {
    let attributes = "  resources[].name: name\n  resources[].type: kind\n";
    let found = row("api_activity", attributes, r#"{"mine":1,"name":"n","kind":"k"}"#);
    assert_eq!(found["resources"], serde_json::json!([{"name": "n", "type": "k"}]));
    let found = row("api_activity", attributes, r#"{"mine":1,"kind":"k"}"#);
    assert_eq!((&found["resources"], &found["unmapped"]["kind"]), (&serde_json::Value::Null, &"k".into()));
}

#[test]
fn addresses_of_mail_and_methods_are_those_that_ocsf_takes() {
    let attributes = "  actor.user.name: name\n  actor.user.email_addr: mail\n  http_request.http_method: method\n";
    let found = row("api_activity", attributes, r#"{"mine":1,"name":"n","mail":"n@example.com","method":"get"}"#);
    assert_eq!(found["actor"]["user"]["email_addr"], "n@example.com");
    assert_eq!(found["http_request"]["http_method"], "GET");
    let found = row("api_activity", attributes, r#"{"mine":1,"name":"n","mail":"system:n","method":"PROPFIND"}"#);
    assert_eq!(found["unmapped"], serde_json::json!({"mine": 1, "mail": "system:n", "method": "PROPFIND"}));
}

#[test]
fn a_length_of_seconds_may_say_its_unit() {
    for (text, want, is_exact) in [("0.048180s", 48, false), ("0.048s", 48, true), ("2", 2000, true)] {
        let record = format!(r#"{{"mine":1,"took":"{text}"}}"#);
        let found = row("api_activity", "  duration: {from: took, unit: s}\n", &record);
        assert_eq!((&found["duration"], found["unmapped"]["took"].is_null()), (&want.into(), is_exact), "{text}");
    }
}

#[test]
fn events_may_stand_in_a_member_of_a_member() {
    let record = r#"{"id":"e","outer":{"n":2,"events":[{"mine":7}]}}"#;
    let found = row("base_event", "  message: mine\n", record);
    assert_eq!(found["message"], "7");
    assert_eq!(found["unmapped"], serde_json::json!({"envelope": {"id": "e", "n": 2}}));
}
