use super::*;

#[test]
fn mappings_that_ship_are_right_and_pass_their_tests() {
    let mappings = Mappings::with_files(&[]).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    assert!(mappings.names().count() > 5);
    passes(&mappings, |_| true);
}

/// The tests of some files pass.
fn passes(mappings: &Mappings, of: fn(&str) -> bool) {
    let failures = mappings.run_tests();
    let failures: Vec<String> = failures.iter().filter(|f| of(&f.file)).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The mappings of a text; their tests must pass.
fn check(text: &str) {
    match Mappings::with_files(&[("own.yaml", text)]) {
        Ok(mappings) => passes(&mappings, |file| file == "own.yaml"),
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

#[test]
fn examples_of_the_documentation_are_right_and_pass_their_tests() {
    let text = include_str!("../../../docs/adding-a-log-source.md");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|part| part.split("```").next());
    let examples: Vec<&str> = blocks.filter(|block| block.starts_with("name:")).collect();
    assert!(examples.len() >= 3 && examples.iter().all(|example| example.contains("tests:")));
    check(&examples.join("---\n"));
}

#[test]
fn pairs_in_each_of_several_ways() {
    check(
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
    check(
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
  - {log: '[{"from":"hub","event":{"kind":"both","text":"t"}}]', expect: {message: t, unmapped.from: hub}}
"#,
    );
}

#[test]
fn what_would_make_no_valid_object_stays_unmapped() {
    check(
        r#"
name: valid
product: {vendor: V, name: P}
format: kv
match: {kind: valid}
class: api_activity
time: received
activity: Other
attributes:
  resources[].name: name
  resources[].type: type
  http_request.http_method: method
tests:
  - {log: 'kind=valid type=t method=get', expect: {resources: "-", unmapped.type: t, http_request.http_method: GET}}
  - {log: 'kind=valid type=t name=n method=PROPFIND', expect: {"resources[0].type": t, unmapped.method: PROPFIND}}
---
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
