//! Whole rules over rows: what each modifier finds, how fields resolve, and what is refused.

use std::num::NonZeroU32;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use dataflow::TableBatch;
use serde_json::{Value, json};

use super::*;
use crate::rule::scenario::{Row, batches};
use crate::tests::{ocsf, partition, texts};
use crate::{RuleSet, SourceStage};

const HEAD: &str =
    "title: T\nid: 3f2b6a4e-1111-4222-8333-444455556666\nlevel: high\ntags: [attack.t1046, attack.stealth]\n";

fn cloudtrail(detection: &str) -> String {
    let indented = |line: &str| format!("    {line}\n");
    let detection: String = detection.lines().map(indented).collect();
    format!("{HEAD}logsource: {{product: aws, service: cloudtrail}}\ndetection:\n{detection}")
}

/// A search named `s` with one line, and the condition that it is met.
fn line(text: &str) -> String {
    cloudtrail(&format!("s:\n    {text}\ncondition: s"))
}

/// A row of CloudTrail: columns, and what stands in `unmapped`.
fn row(table: Table, columns: &[(&str, Value)], unmapped: &Value) -> Row {
    let mut set = vec![
        ("metadata.product.vendor_name".to_owned(), json!("AWS")),
        ("metadata.product.name".to_owned(), json!("CloudTrail")),
    ];
    set.extend(columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    if !unmapped.is_null() {
        set.push(("unmapped".to_owned(), json!(unmapped.to_string())));
    }
    Row { table, tenant: "acme".to_owned(), time: 1_795_169_045_000_000, set }
}

/// The alerts that a rule gives for some rows.
fn alerts(rule: &str, rows: &[Row]) -> Option<TableBatch> {
    let rules = RuleSet::from_texts(&[("r.yml", rule)]).unwrap_or_else(|e| panic!("{rule}{e}"));
    let mut stage = SourceStage::new(&rules, partition(0), 0, None, NonZeroU32::MIN);
    for batch in batches(&partition(0), 0, rows).unwrap_or_else(|e| panic!("{e}")) {
        stage.process(&batch).expect("rows of their table");
    }
    let delta = stage.take_delta().expect("a delta");
    assert!(delta.failures.is_empty(), "{:?}", delta.failures);
    delta.alerts
}

/// Which rows a rule finds.
fn found(rule: &str, rows: &[Row]) -> Vec<i64> {
    let alerts = alerts(rule, rows);
    let offsets = alerts.iter().flat_map(|a| {
        let column = a.rows.column_by_name("_offset").expect("an identity column");
        column.as_primitive::<Int64Type>().values().to_vec()
    });
    let mut offsets: Vec<i64> = offsets.collect();
    offsets.sort_unstable();
    offsets
}

/// True if the line is met by a record whose `x` is this value.
fn meets(text: &str, x: Value) -> bool {
    let unmapped = if x == absent() { json!({"z": 1}) } else { json!({"x": x, "y": "Example"}) };
    found(&line(text), &[row(Table::ApiActivity, &[("api.operation", json!("Op"))], &unmapped)]) == [0]
}

fn absent() -> Value {
    json!("(absent)")
}

#[test]
fn values_without_a_modifier() {
    for (text, value, want) in [
        ("x: GetObject", json!("getOBJECT"), true),
        ("x: GetObject", json!("GetObjects"), false),
        ("x: [a, b]", json!("B"), true),
        ("x: a*z", json!("A1z"), true),
        ("x: 'a\\*'", json!("a*"), true),
        ("x: 'a\\*'", json!("ab"), false),
        ("x: ''", json!(""), true),
        ("x: ''", absent(), false),
        ("x: null", absent(), true),
        ("x: null", json!(null), true),
        ("x: null", json!(""), false),
        ("x: [null, a]", absent(), true),
        ("x: 5", json!(5), true),
        ("x: 5", json!("5"), true),
        ("x: 5", json!(5.0), true),
        ("x: '5'", json!(5), true),
        ("x: 5", json!("five"), false),
        ("x: true", json!(true), true),
        ("x: 'false'", json!(false), true),
        ("x: a", json!(["z", "a"]), true),
    ] {
        assert_eq!(meets(text, value.clone()), want, "{text} on {value}");
    }
}

#[test]
fn each_modifier_on_values() {
    for (text, value, want) in [
        ("x|contains: bje", json!("GetObject"), true),
        ("x|contains: '*'", json!(""), true),
        ("x|contains: '*'", absent(), false),
        ("x|contains|all: [get, ject]", json!("GetObject"), true),
        ("x|contains|all: [get, put]", json!("GetObject"), false),
        ("x|contains|all: [get, put]", json!(["GetObject", "PutObject"]), true),
        ("x|startswith: get", json!("GetObject"), true),
        ("x|startswith: object", json!("GetObject"), false),
        ("x|endswith: object", json!("GetObject"), true),
        ("x|cased: GetObject", json!("getobject"), false),
        ("x|contains|cased: Obj", json!("GetObject"), true),
        ("x|re: '^get.+t$'", json!("GetObject"), false),
        ("x|re|i: '^get.+t$'", json!("GetObject"), true),
        ("x|re: 'a.b'", json!("a\nb"), false),
        ("x|re|s: 'a.b'", json!("a\nb"), true),
        ("x|re|m: '^b$'", json!("a\nb"), true),
        ("x|cidr: 192.0.2.0/24", json!("192.0.2.77"), true),
        ("x|cidr: [198.51.100.0/24, '2001:db8::/32']", json!("2001:db8::1"), true),
        ("x|cidr: 192.0.2.0/24", json!("192.0.3.1"), false),
        ("x|cidr: 192.0.2.0/24", json!("example.com"), false),
        ("x|exists: true", json!(""), true),
        ("x|exists: true", absent(), false),
        ("x|exists: false", absent(), true),
        ("x|lt: 10", json!(9.5), true),
        ("x|lte: 10", json!("10"), true),
        ("x|gt: 10", json!(10), false),
        ("x|gte: 10", json!("ten"), false),
        ("x|gt: 10", absent(), false),
        ("x|neq: a", json!("b"), true),
        ("x|neq: [a, b]", json!("b"), false),
        ("x|neq: a", absent(), false),
        ("x|neq: null", json!("b"), true),
        ("x|base64: ping", json!("cGluZw=="), true),
        ("x|base64: ping", json!("CGluZw=="), false),
        ("x|base64offset|contains: foobar", json!("AAAmb29iYXIAAA"), true),
        ("x|wide|base64offset|contains: ping", json!("cABpAG4AZwA="), true),
        ("x|utf16le|base64: ping", json!("cABpAG4AZwA="), true),
        ("x|utf16be|base64: ping", json!("AHAAaQBuAGc="), true),
        ("x|utf16|base64: ping", json!("//5wAGkAbgBnAA=="), true),
        ("x|windash|contains: ' -enc '", json!("ps /enc x"), true),
        ("x|windash|contains: ' -enc '", json!("ps \u{2014}enc x"), true),
        ("x|fieldref: y", json!("example"), true),
        ("x|fieldref|cased: y", json!("example"), false),
        ("x|fieldref|startswith: y", json!("Example.com"), true),
        ("x|fieldref: nothing", json!("example"), false),
        ("x|hour: 10", json!("2026-11-20T10:04:05Z"), true),
        ("x|hour|gte: 22", json!("2026-11-20T10:04:05Z"), false),
        ("x|minute: 4", json!("2026-11-20T10:04:05Z"), true),
        ("x|day: 20", json!("2026-11-20T10:04:05Z"), true),
        ("x|week: 47", json!("2026-11-20T10:04:05Z"), true),
        ("x|month: [11, 12]", json!(1_795_169_045), true),
        ("x|year|lt: 2026", json!("2026-11-20 10:04:05"), false),
    ] {
        assert_eq!(meets(text, value.clone()), want, "{text} on {value}");
    }
}

#[test]
fn placeholders_are_the_values_that_some_file_gives_them() {
    let known = "placeholders:\n    admins: [ann, 'bob*']\n    port: 22\n    signs: ['5', '50']\n";
    let meets = |text: &str, x: Value| {
        let event = row(Table::ApiActivity, &[], &json!({"x": x, "y": "Example"}));
        found(&format!("{known}---\n{}", line(text)), &[event]) == [0]
    };
    for (text, value, want) in [
        ("x|expand: '%admins%'", json!("ANN"), true),
        ("x|expand: '%admins%'", json!("bobby"), true),
        ("x|expand: '%admins%'", json!("annie"), false),
        ("x|expand: ['%port%', 80]", json!(22), true),
        ("x|expand: ['%port%', 80]", json!(80), true),
        ("x|expand|contains: 'user/%admins%'", json!("arn:user/ann"), true),
        ("x|contains|expand: '%admins%:%port%'", json!("to ann:22"), true),
        ("x|contains|expand: '%admins%:%port%'", json!("to ann:23"), false),
        ("x|expand|contains|all: '%admins%'", json!("ann and bob"), true),
        ("x|expand|contains|all: '%admins%'", json!("ann and eve"), false),
        ("x|expand: '%signs%\\% of 100%'", json!("50% of 100%"), true),
        ("x|expand: '% %'", json!("% %"), true),
        ("x: '%admins%'", json!("%admins%"), true),
        ("x: '%admins%'", json!("ann"), false),
    ] {
        assert_eq!(meets(text, value.clone()), want, "{text} on {value}");
    }
    let filter =
        "title: F\nlogsource: {product: aws}\nfilter:\n    s: {who|expand: '%admins%'}\n    condition: not s\n";
    let rows =
        ["ann", "eve"].map(|who| row(Table::ApiActivity, &[("api.operation", json!("A"))], &json!({"who": who})));
    assert_eq!(found(&format!("{known}---\n{filter}---\n{}", line("eventName: A")), &rows), [1]);
}

#[test]
fn placeholders_that_cannot_be_filled_are_refused() {
    let with = |known: &str| format!("{}---\nplaceholders: {known}\n", line("x|expand: '%admins%%admins%'"));
    let many = format!("{{admins: {:?}}}", (0..101).collect::<Vec<_>>());
    for (text, want) in [
        (with("{admin: ann}"), "r.yml:8:19: nothing says what the placeholder admins stands for; did you mean admin?"),
        (with("{admins: []}"), "r.yml:11:16: the placeholder admins stands for nothing; admins: [a value, another]"),
        (with("{admins: }"), "r.yml:11:16: the placeholder admins stands for nothing; admins: [a value, another]"),
        (with("[admins]"), "r.yml:11:15: placeholders are a map; placeholders: {admins: [ann, bob]}"),
        (with("{admins: [[ann]]}"), "r.yml:11:25: a value is one text, not a list"),
        (with(&many), "r.yml:8:19: placeholders for more than 10000 values"),
        (
            with("{admins: ann}") + "---\nplaceholders: {admins: bob}\n",
            "r.yml:13:16: the placeholder admins is said twice; name all values in one place",
        ),
    ] {
        assert!(refusal(&text).starts_with(want), "{text}\n{}", refusal(&text));
    }
}

#[test]
fn searches_are_joined_as_the_condition_says() {
    let event = |op: &str, user: Option<&str>| {
        let user = user.map_or(json!(null), |u| json!({"who": u}));
        row(Table::ApiActivity, &[("api.operation", json!(op))], &user)
    };
    let rows = [event("A", Some("ann")), event("A", None), event("B", Some("bob")), event("C", Some("root"))];
    for (detection, want) in [
        ("s: {eventName: A, who: ann}\ncondition: s", &[0_i64][..]),
        ("s: [{eventName: A}, {who: bob}]\ncondition: s", &[0, 1, 2]),
        ("s: {eventName: A}\nf: {who: ann}\ncondition: s and not f", &[1]),
        ("s: {who: ann}\ncondition: not s", &[1, 2, 3]),
        ("s_1: {eventName: A}\ns_2: {who: ann}\ncondition: all of s_*", &[0]),
        ("s_1: {eventName: A}\ns_2: {who: bob}\ncondition: 1 of s_*", &[0, 1, 2]),
        ("s: {eventName: '*'}\nf: {who: [ann, bob]}\ncondition: s and not 1 of f*", &[1, 3]),
        ("a: {eventName: A}\nb: {eventName: B}\n_c: {eventName: C}\ncondition: 1 of them", &[0, 1, 2]),
        ("a: {eventName: A}\nb: {eventName: B}\ncondition: [a, b]", &[0, 1, 2]),
        ("a: {eventName: A}\nb: {who: null}\ncondition: (a or b) and not (a and b)", &[0]),
    ] {
        assert_eq!(found(&cloudtrail(detection), &rows), want, "{detection}");
    }
}

#[test]
fn keywords_stand_anywhere_in_the_record() {
    let rows = [
        row(Table::ApiActivity, &[("api.operation", json!("DeleteTrail"))], &json!(null)),
        row(Table::ApiActivity, &[], &json!({"a": {"b": ["x", "the trail of"]}})),
        row(Table::ApiActivity, &[("raw_data", json!("only TRAIL here"))], &json!(null)),
        row(
            Table::ApiActivity,
            &[("raw_data", json!("nothing")), ("api.operation", json!("DeleteTrail"))],
            &json!(null),
        ),
        row(Table::ApiActivity, &[("activity_name", json!("trail"))], &json!(null)),
    ];
    for (detection, want) in [
        ("keywords: [trail]\ncondition: keywords", &[0_i64, 1, 2][..]),
        ("keywords: ['trail*of', zzz]\ncondition: keywords", &[1]),
        ("keywords: {'|all': [trail, here]}\ncondition: keywords", &[2]),
        ("keywords: {'|re': 'T[a-z]+l$'}\ncondition: keywords", &[0]),
        ("keywords: trail\nf: {eventName: DeleteTrail}\ncondition: keywords and not f", &[1, 2]),
    ] {
        assert_eq!(found(&cloudtrail(detection), &rows), want, "{detection}");
    }
}

#[test]
fn vendor_names_find_the_columns_that_decoders_fill() {
    let api = |columns: &[(&str, Value)], unmapped: Value| row(Table::ApiActivity, columns, &unmapped);
    let sign_in = row(
        Table::Authentication,
        &[
            ("service.name", json!("signin.amazonaws.com")),
            ("metadata.event_code", json!("ConsoleLogin")),
            ("is_mfa", json!(false)),
        ],
        &json!({"userIdentity.type": "IAMUser", "additionalEventData": {"MobileVersion": "No"}}),
    );
    for (text, event, want) in [
        ("eventName: StopLogging", api(&[("api.operation", json!("StopLogging"))], json!(null)), true),
        ("eventname: StopLogging", api(&[("api.operation", json!("StopLogging"))], json!(null)), true),
        ("api.operation: StopLogging", api(&[("api.operation", json!("StopLogging"))], json!(null)), true),
        ("errorCode: null", api(&[], json!(null)), true),
        ("errorCode: null", api(&[("api.response.error", json!("AccessDenied"))], json!(null)), false),
        (
            "requestParameters.enable: 'false'",
            api(&[("api.request.data", json!(r#"{"enable":false}"#))], json!(null)),
            true,
        ),
        (
            "requestParameters|contains: suspended",
            api(&[("api.request.data", json!(r#"{"V":{"S":"Suspended"}}"#))], json!(null)),
            true,
        ),
        (
            "requestParameters|contains: '\"s3:Get\"'",
            api(&[("api.request.data", json!(r#"{"p":"[\"s3:Get\"]"}"#))], json!(null)),
            true,
        ),
        (
            "requestParameters.items.port: 22",
            api(&[("api.request.data", json!(r#"{"items":[{"port":80},{"port":22}]}"#))], json!(null)),
            true,
        ),
        ("userIdentity.type: AssumedRole", api(&[("actor.user.type", json!("AssumedRole"))], json!(null)), true),
        (
            "userIdentity.type: IAMUser",
            api(&[("actor.user.type", json!("User"))], json!({"userIdentity": {"type": "IAMUser"}})),
            true,
        ),
        (
            "userIdentity.type: User",
            api(&[("actor.user.type", json!("User"))], json!({"userIdentity": {"type": "IAMUser"}})),
            false,
        ),
        ("sourceIPAddress: AWS Internal", api(&[("src_endpoint.svc_name", json!("AWS Internal"))], json!(null)), true),
        ("sourceIPAddress|cidr: 192.0.2.0/24", api(&[("src_endpoint.ip", json!("192.0.2.9"))], json!(null)), true),
        ("sourceIPAddress: null", api(&[("src_endpoint.svc_name", json!("Unknown"))], json!(null)), true),
        ("readOnly: 'true'", api(&[("activity_name", json!("Read"))], json!(null)), true),
        ("readOnly: 'true'", api(&[("activity_name", json!("Other"))], json!({"readOnly": true})), true),
        ("eventTime|startswith: '2026-11-20T10:04:05Z'", api(&[], json!(null)), true),
        ("eventSource: signin.amazonaws.com", sign_in.clone(), true),
        ("additionalEventData.MFAUsed: 'NO'", sign_in.clone(), true),
        ("additionalEventData.MobileVersion: 'No'", sign_in.clone(), true),
        ("userIdentity.type: IAMUser", sign_in.clone(), true),
        ("requestParameters.x: a", sign_in, false),
    ] {
        assert_eq!(found(&line(text), &[event]) == [0], want, "{text}");
    }
}

#[test]
fn only_rows_of_the_log_source_are_looked_at() {
    let other = Row {
        set: vec![("api.operation".to_owned(), json!("StopLogging"))],
        ..row(Table::ApiActivity, &[], &json!(null))
    };
    assert_eq!(found(&line("eventName: StopLogging"), &[other]), [0_i64; 0]);
}

#[test]
fn an_alert_tells_the_rule_and_what_it_saw() {
    let event = row(
        Table::ApiActivity,
        &[("api.operation", json!("StopLogging")), ("src_endpoint.ip", json!("192.0.2.1"))],
        &json!({"who": "ann"}),
    );
    let rule = format!("{}fields: [who, sourceIPAddress]\ndate: 2026-11-20\n", line("eventName: StopLogging"));
    let alerts = alerts(&rule, &[event]).expect("an alert");
    let one = |path| texts(&alerts, path).remove(0);
    assert_eq!(one("unmapped"), r#"{"eventName":"StopLogging","who":"ann","sourceIPAddress":"192.0.2.1"}"#);
    assert_eq!([one("severity"), one("message"), one("src_ip")], ["High", "T", "192.0.2.1"]);
    assert_eq!(one("finding_info.analytic.version"), "20261120");
    let json = ocsf(&alerts).remove(0);
    assert!(json.contains(r#""technique":{"uid":"T1046"},"tactic":{"uid":"TA0005","name":"Stealth"}"#), "{json}");
    assert!(json.contains(r#""data":{"table":"api_activity""#), "{json}");
}

fn refusal(text: &str) -> String {
    RuleSet::from_texts(&[("r.yml", text)]).expect_err(text).to_string()
}

#[test]
fn mistakes_have_file_line_column_and_a_way_out() {
    let with = |from: &str, to: &str| line("eventName: A").replace(from, to);
    let dns = |text: &str| {
        format!("{HEAD}logsource: {{category: dns}}\ndetection:\n    s:\n        {text}\n    condition: s\n")
    };
    for (text, want) in [
        (line("eventName|contians: A"), "r.yml:8:9: no modifier contians; did you mean contains?"),
        (line("eventName|re: '(?=a)'"), "r.yml:8:23: not a regular expression that runs in linear time: look-around"),
        (line("x|cidr: 192.0.2.0/33"), "r.yml:8:17: 192.0.2.0/33 is no network; write it as 192.0.2.0/24"),
        (line("x|gt: many"), "r.yml:8:15: many is not a number"),
        (
            line("x|expand: '%admins%'"),
            "r.yml:8:19: nothing says what the placeholder admins stands for; load a file with",
        ),
        (line("x|base64: 'a*'"), "r.yml:8:19: a text with wildcards cannot be encoded"),
        (line("x|exists: maybe"), "r.yml:8:9: exists takes true or false, and a field"),
        (line("x|contains: null"), "r.yml:8:21: null stands alone, without such a modifier; `field: null`"),
        (with("condition: s", "condition: sel"), "r.yml:9:16: the rule has no search sel; "),
        (with("condition: s", "condition: 's and nothing'"), "r.yml:9:23: the rule has no search nothing; "),
        (with("condition: s", "timeframe: 5m"), "r.yml:6:1: detection has no condition; condition: selection"),
        (with("condition: s", "condition: s\n    timeframe: 5m"), "r.yml:10:5: timeframe is no part of Sigma 2"),
        (with("condition: s", "condition: s | count() > 5"), "r.yml:9:18: aggregations behind |"),
        (
            with("level: high", "level: hihg"),
            "r.yml:3:8: no level hihg; one of informational, low, medium, high, critical",
        ),
        (with("title: T\n", ""), "r.yml:1:1: key title is missing"),
        (with("3f2b6a4e-", ""), "r.yml:2:5: id is not a UUID"),
        (
            with("service: cloudtrail", "service: clodtrail"),
            "r.yml:5:1: no table holds the log source {product: aws, service: clodtrail}; services of product aws: ",
        ),
        (with("product: aws", "product: azrue"), "r.yml:5:1: no table holds the log source"),
        (with("    s:\n        eventName: A\n", "    s: []\n"), "r.yml:7:8: an empty search"),
        (with("eventName: A", "eventName: [A"), "r.yml:"),
        (dns("qeury: example.com"), "r.yml:8:9: no field qeury; did you mean query?"),
        (
            format!("{HEAD}correlation: {{type: evnt_count}}\n"),
            "r.yml:5:21: unknown word evnt_count; did you mean event_count?",
        ),
        (format!("{}---\n{}", line("eventName: A"), line("eventName: B")), "r.yml:12:5: a rule with id 3f2b6a4e-"),
    ] {
        let error = refusal(&text);
        assert!(error.starts_with(want), "{text}\n{error}\nnot\n{want}");
    }
}

#[test]
fn filters_narrow_the_rules_they_name() {
    let filter = |rules: &str| {
        format!(
            "title: F\nlogsource: {{product: aws}}\nfilter:\n    rules: {rules}\n    s: {{who: ann}}\n    condition: not s\n"
        )
    };
    let rows = [json!({"who": "ann"}), json!({"who": "bob"}), json!(null)]
        .map(|who| row(Table::ApiActivity, &[("api.operation", json!("A"))], &who));
    for (rules, want) in
        [("[3f2b6a4e-1111-4222-8333-444455556666]", &[1_i64, 2][..]), ("any", &[1, 2]), ("[named]", &[1, 2])]
    {
        let rule = format!("{}---\nname: named\n{}", filter(rules), line("eventName: A"));
        assert_eq!(found(&rule, &rows), want, "{rules}");
    }
    let other = filter("any").replace("aws", "okta");
    assert_eq!(found(&format!("{other}---\n{}", line("eventName: A")), &rows), [0, 1, 2]);
    assert_eq!(refusal(&filter("[gone]")), "r.yml:4:13: no rule gone is loaded; name a rule by its id or name");
}

#[test]
fn documents_share_what_is_global() {
    let text = "action: global\ntitle: T\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  condition: s\n---\n\
                detection:\n  s: {eventName: A}\n---\ndetection:\n  s: {eventName: B}\n---\naction: repeat\ntitle: U\n";
    let rules = RuleSet::from_texts(&[("r.yml", text)]).unwrap_or_else(|e| panic!("{e}"));
    let mut titles: Vec<&str> = rules.rules().iter().map(|rule| rule.title()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["T", "T", "U"]);
}

#[test]
fn how_rows_are_batched_changes_nothing() {
    let rows: Vec<Row> = (0..64)
        .map(|i| {
            let who = if i % 3 == 0 { json!(null) } else { json!({"who": if i % 5 == 0 { "ann" } else { "bob" }}) };
            row(Table::ApiActivity, &[("api.operation", json!(if i % 2 == 0 { "A" } else { "B" }))], &who)
        })
        .collect();
    let rule = cloudtrail("s: {eventName: A}\nf: {who: ann}\ncondition: s and not f");
    let whole = found(&rule, &rows);
    let alone: Vec<i64> = (0..64).filter(|&i| found(&rule, &rows[i as usize..=i as usize]) == [0]).collect();
    assert_eq!(whole, alone);
    assert_eq!(whole.len(), 32 - 4);
}

#[test]
fn a_rule_changes_its_version_when_what_it_says_changes() {
    let version =
        |text: &str| RuleSet::from_texts(&[("r.yml", text)]).unwrap_or_else(|e| panic!("{e}")).version().to_owned();
    let rule = line("eventName: A");
    assert_eq!(version(&rule), version(&rule.replace("title: T", "# moved\ntitle: Other")));
    assert_ne!(version(&rule), version(&rule.replace("eventName: A", "eventName: B")));
}

#[test]
fn every_taxonomy_is_listed_and_names_columns_that_are_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sigma/taxonomies");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|f| f.expect("a file").file_name().display().to_string())
        .collect();
    files.sort();
    assert_eq!(taxonomy::names(), files);
    assert_eq!(taxonomy::faults(), [""; 0]);
}
