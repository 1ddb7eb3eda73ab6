//! Which mapping takes a record, in each format.

use super::*;

/// A mapping of base events that keeps one field.
fn base(name: &str, format: &str, conditions: &str) -> String {
    format!(
        "name: {name}\nproduct: {{vendor: V, name: P}}\nformat: {format}\nmatch: {conditions}\nclass: base_event\ntime: received\n\
         attributes: {{message: text}}\n---\n"
    )
}

/// Who takes each line.
fn takers(yaml: &str, lines: &[&str]) -> Vec<&'static str> {
    decoded(mappings(yaml), lines).iter().map(|(by, _)| *by).collect()
}

#[test]
fn the_one_with_more_and_more_exact_conditions_takes_a_record() {
    let yaml = [
        base("any", "kv", "{vendor: '*'}"),
        base("head", "kv", "{vendor: ac*}"),
        base("exact", "kv", "{vendor: acme}"),
        base("two", "kv", "{vendor: acme, kind: [a, b]}"),
        base("without", "kv", "{vendor: acme, kind: '!', level: '*'}"),
        base("of_app", "kv", "{vendor: acme, syslog.app: filter}"),
    ]
    .concat();
    let lines = [
        "vendor=x",
        "vendor=acorn",
        "vendor=acme",
        "vendor=acme kind=b",
        "vendor=acme kind=c",
        "vendor=acme level=1",
        "<13>Nov 20 10:00:00 host filter[1]: vendor=acme",
        "kind=a",
    ];
    let want = ["any", "head", "exact", "two", "exact", "without", "of_app", "base_event"];
    assert_eq!(takers(&yaml, &lines), want);
}

#[test]
fn a_users_mapping_comes_before_those_that_ship() {
    let shipped = "devid=FG1 logid=1 type=traffic subtype=forward eventtime=1795168800000000000";
    let own = base("own", "kv", "{devid: '*'}");
    let other = base("other", "kv", "{other: '*'}");
    for (yaml, want) in [(own, "own"), (other, "fortigate_traffic")] {
        let mappings = Mappings::with_files(&[("own.yaml", &yaml)]).expect("right");
        assert_eq!(decoded(mappings, &[shipped])[0].0, want, "though it says less");
    }
}

#[test]
fn separators_are_a_dialect_of_their_own() {
    let yaml = [base("plain", "kv", "{a: '*'}"), base("marked", "kv\nseparators: {pair: ';', value: ':'}", "{a: '*'}")]
        .concat();
    let found = decoded(mappings(&yaml), &["a=1 text=one two", "a:1; text:\"one; two\"; b:2"]);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["plain", "marked"]);
    check(&found[0].1, &[("message", "\"one two\"")]);
    check(&found[1].1, &[("message", "\"one; two\""), ("unmapped.b", "\"2\"")]);
}

#[test]
fn headers_of_cef_and_leef_are_fields() {
    let yaml = [
        base("cef", "cef", "{vendor: Acme, event_class: '1*'}"),
        base("leef", "leef", "{vendor: Acme, event_class: login}"),
    ]
    .concat();
    let lines = [
        "CEF:0|Acme|Wall|1|100|name|5|text=hello there cs1Label=Rule Name cs1=one",
        "<13>Nov 20 10:00:00 host CEF:0|Acme|Wall|1|100|name|5|text=x",
        "some unheard-of header CEF:0|Acme|Wall|1|100|name|5|text=x",
        "CEF:0|Acme|Wall|1|200|name|5|text=x",
        "LEEF:2.0|Acme|Wall|1|login|^|text=x^usr=ann",
    ];
    let found = decoded(mappings(&yaml), &lines);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["cef", "cef", "cef", "base_event", "leef"]);
    let row = &found[0].1;
    check(row, &[("message", "\"hello there\""), ("unmapped.Rule Name", "\"one\""), ("unmapped.version", "\"1\"")]);
}

#[test]
fn columns_have_names_and_quotes() {
    let yaml = [
        base("wide", "csv\ncolumns: [kind, text, level]", "{kind: W}"),
        base("narrow", "csv\ncolumns: [kind, text]", "{kind: N}"),
    ]
    .concat();
    let found = decoded(mappings(&yaml), &["W,\"one, two\",7", "N,x,y,z", "X,y"]);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["wide", "narrow", "base_event"]);
    check(&found[0].1, &[("message", "\"one, two\""), ("unmapped.level", "\"7\"")]);
    check(&found[1].1, &[("unmapped.column_3", "\"y\""), ("unmapped.column_4", "\"z\"")]);
}

#[test]
fn patterns_are_found_by_ciscos_mnemonic_or_one_after_the_other() {
    let keyed = "text\npatterns:\n  '302013': 'Built {text} for {zone}'\n  '302014': ['Teardown {text} by {who}', 'Teardown {text}']";
    let yaml = [
        base("keyed", keyed, "{cisco.facility: ASA}"),
        base("free", "text\npatterns: ['session {text} opened{? by {who}}']", "{syslog.app: sshd}"),
    ]
    .concat();
    let lines = [
        "<166>Nov 20 10:00:00 asa-1 : %ASA-6-302013: Built x for out",
        "%ASA-6-302014: Teardown y by z",
        "%ASA-6-302014: Teardown y",
        "%FTD-6-302014: Teardown y",
        "%ASA-6-302099: Teardown y",
        "<13>Nov 20 10:00:00 host sshd[7]: session s opened by ann",
        "<13>Nov 20 10:00:00 host cron[7]: session s opened",
    ];
    let found = decoded(mappings(&yaml), &lines);
    let takers: Vec<&str> = found.iter().map(|f| f.0).collect();
    assert_eq!(takers, ["keyed", "keyed", "keyed", "base_event", "base_event", "free", "base_event"]);
    check(&found[0].1, &[("message", "\"x\""), ("unmapped.zone", "\"out\"")]);
    check(&found[1].1, &[("message", "\"y\""), ("unmapped.who", "\"z\"")]);
    check(&found[5].1, &[("message", "\"s\""), ("unmapped.who", "\"ann\""), ("raw_data", &format!("{:?}", lines[5]))]);
}

#[test]
fn an_envelope_holds_events_and_what_stands_around_them() {
    let yaml = base("event", "json\neach: [records, value]", "{kind.name: e}");
    let event = |text: &str| format!(r#"{{"kind":{{"name":"e"}},"text":"{text}"}}"#);
    let (a, b) = (event("a"), event("b"));
    let lines = [
        format!(r#"{{"records":[{a},{{"other":1}},{b}],"tenant":"t"}}"#),
        format!(r#"{{"value":{a}}}"#),
        format!("[{a},{b}]"),
        a.clone(),
        format!("<13>1 2026-11-20T10:00:00Z host app - - - {a}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let found = decoded(mappings(&yaml), &lines);
    let by: Vec<&str> = found.iter().map(|f| f.0).collect();
    assert_eq!(by, ["event", "base_event", "event", "event", "event", "event", "event", "event"]);
    check(&found[0].1, &[("message", "\"a\""), ("unmapped.envelope.tenant", "\"t\"")]);
    check(&found[1].1, &[("metadata.labels", "[\"undecodable_element\"]"), ("unmapped.other", "1")]);
    check(&found[2].1, &[("message", "\"b\""), ("unmapped.envelope.tenant", "\"t\"")]);
}

#[test]
fn the_headers_parts_are_fields_and_its_host_the_device() {
    let yaml = format!("{HEAD}attributes: {{metadata.log_name: syslog.app, metadata.event_code: syslog.message_id}}\n");
    let line = "<13>1 2026-11-20T10:00:00Z fw-1 app 7 ID47 [x wall=\"1\"] srcip=192.0.2.1";
    let row = row(&yaml, line);
    check(&row, &[("metadata.log_name", "\"app\""), ("metadata.event_code", "\"ID47\"")]);
    check(&row, &[("device.hostname", "\"fw-1\""), ("unmapped.srcip", "\"192.0.2.1\"")]);
    let yaml = format!("{HEAD}attributes: {{device.hostname: name}}\n");
    let found = super::row(&yaml, "<13>Nov 20 10:00:00 relay wall=1 name=fw-2");
    check(&found, &[("device.hostname", "\"fw-2\"")]);
}

#[test]
fn events_may_stand_in_a_member_of_a_member() {
    let yaml = format!("{JSON_HEAD}each: [outer.events]\nattributes:\n  message: cloud\n");
    let found = row(&yaml, r#"{"id":"e","outer":{"n":2,"events":[{"cloud":7}]}}"#);
    check(&found, &[("message", "\"7\""), ("unmapped", r#"{"envelope":{"id":"e","n":2}}"#)]);
}
