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
