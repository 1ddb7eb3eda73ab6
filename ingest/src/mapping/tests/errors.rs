//! Every mistake is found, where it stands.

use super::*;

/// The mistakes of a file, a line each, without the file's name.
fn mistakes(yaml: &str) -> Vec<String> {
    let errors = Mappings::only(&[("own.yaml", yaml)]).expect_err("mistakes");
    errors.iter().map(|e| e.to_string().replacen("own.yaml:", "", 1)).collect()
}

/// The one mistake of attributes, written a line each after [`HEAD`].
fn of_attributes(head: &str, attributes: &str) -> String {
    let found = mistakes(&format!("{head}attributes:\n{attributes}\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn the_head_says_all_that_is_wrong_with_it() {
    let found = mistakes("nmae: x\nproduct: {vendor: V, title: P}\nformat: keyvalue\nclass: network\nmatch: {}\n");
    let want = [
        "1:1: unknown key nmae; did you mean name?",
        "1:1: name: is missing",
        "2:22: unknown key title; product: has vendor and name",
        "4:8: network is no class; did you mean network_activity?",
        "3:9: keyvalue is no format; did you mean kv?",
        "5:8: match: is a map of fields and their values",
    ];
    assert_eq!(found, want);
}

#[test]
fn parts_of_the_head() {
    for (from, to, want) in [
        ("format: kv", "format: csv", "4:9: csv needs columns: their names in order"),
        ("format: kv", "format: text", "2:1: patterns: is missing"),
        ("format: kv", "format: text\npatterns: ['{a}{b}']", "5:12: nothing divides {b} from what stands before it"),
        ("format: kv", "format: kv\nseparators: {pair: '::'}", "5:20: a separator is one ASCII character"),
        ("format: kv", "format: kv\nseparators: {par: ';'}", "5:14: unknown key par; did you mean pair?"),
        ("{wall: '*'}", "{syslog.ap: x}", "5:9: no header has syslog.ap; did you mean syslog.app?"),
        ("match: {wall: '*'}", "", "2:1: match: is missing: what tells these records from others"),
        ("time: received", "", "2:1: time: is missing; `time: received` takes the receive time"),
        ("activity: Traffic", "", "2:1: activity: is missing"),
        ("activity: Traffic", "activity: Trafic", "8:11: \"Trafic\" is none of OCSF's values: "),
        ("activity: Traffic", "activity: 98", "8:11: \"98\" is none of OCSF's values: "),
        ("time: received", "time: {from: at, unit: h}", "7:24: h is no unit of time"),
        ("time: received", "time: {from: [a, b, c, d, e, f, g]}", "7:7: a time comes from one to 6 fields"),
        ("activity: Traffic", "activity: Traffic\nuse: nothing", "9:6: no template nothing"),
    ] {
        let found = mistakes(&HEAD.replace(from, to));
        assert!(found[0].starts_with(want), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn attributes_of_the_table_and_their_words() {
    for (attributes, want) in [
        (
            "  src_endpoint.pi: x",
            "10:3: network_activity has no attribute src_endpoint.pi; did you mean src_endpoint.ip?",
        ),
        ("  severity_id: x", "10:3: severity_id is set by severity:"),
        ("  src_ip: x", "10:3: src_ip repeats src_endpoint.ip: name that"),
        ("  unmapped: x", "10:3: unmapped is Palisade's own"),
        ("  src_endpoint.ip: {form: x}", "10:21: unknown key form; did you mean "),
        ("  src_endpoint.ip: {unit: s}", "10:20: neither from:, const: nor template: says what it is"),
        ("  src_endpoint.ip: {from: x, values: {a: b}}", "10:42: \"b\" does not fit the attribute"),
        ("  actor.user: {from: x, values: {a: b}}", "10:3: values: belongs to an enum or a single value"),
        ("  message: {template: '{a'}", "10:23: a { that nothing closes"),
        ("  src_endpoint.port: {template: '{a}'}", ""),
        ("  status: {from: x, values: {ok: Succes}}", "10:34: \"Succes\" is none of OCSF's values: "),
        ("  status: {from: x, values: {ok: Success, OK: Failure}}", "10:43: ok stands twice"),
        ("  status: {from: x, else: Fine}", "10:27: \"Fine\" is none of OCSF's values: "),
        ("  action: {from: x, values: {a: Alowed}}", "10:33: \"Alowed\" is none of OCSF's values: "),
        ("  duration: {from: x, unit: h}", "10:29: h is no unit of a length of time"),
        ("  http_request.url: x", "10:3: network_activity has no attribute http_request.url"),
        ("  cloud.region: x", "2:1: cloud.* needs cloud.provider, for instance {const: AWS}"),
        ("  message: x\nknown: [x]", "11:9: x stands twice"),
    ] {
        let found = mistakes_or_none(&format!("{HEAD}attributes:\n{attributes}\n"));
        assert!(found.first().map_or("", String::as_str).starts_with(want), "{attributes}: {found:?}");
        assert!(found.len() <= 1, "{attributes}: {found:?}");
    }
}

fn mistakes_or_none(yaml: &str) -> Vec<String> {
    if Mappings::only(&[("own.yaml", yaml)]).is_ok() { Vec::new() } else { mistakes(yaml) }
}

#[test]
fn a_suggestion_is_the_nearest_caption() {
    let found = of_attributes(HEAD, "  status: {from: x, values: {ok: Sucess}}");
    assert!(found.ends_with("; did you mean Success?"), "{found}");
}

#[test]
fn paths_of_documents() {
    for (attributes, want) in [
        ("  message: a[", "10:12: \"a[\" is no path: a [ that nothing closes"),
        ("  message: a[].b", "10:12: a[] is many values; [0] is one"),
        ("  message: a\n  status_detail: a.b", "2:1: a goes somewhere as a whole, and so cannot be divided"),
        ("  resources[].uid: a[].b[].c", "10:20: \"a[].b[].c\" is no path: [] of an array within an array"),
    ] {
        let found = mistakes_or_none(&format!("{JSON_HEAD}attributes:\n{attributes}\n"));
        assert!(
            found.first().map_or("", String::as_str).contains(want.split_once(": ").map_or(want, |w| w.1)),
            "{attributes}: {found:?}"
        );
    }
    let found = mistakes(&JSON_HEAD.replace("cloud: '*'", "'a[0].b': '*'"));
    assert_eq!(found, ["5:9: a condition looks at members, not at elements"]);
}

#[test]
fn text_that_is_no_yaml_and_documents_that_are_no_maps() {
    for (yaml, want) in
        [("a: [1", "1:"), ("- a\n- b\n", "1:1: a mapping is a map of keys"), ("a: 1\na: 2\n", "2:1: a stands twice")]
    {
        let found = mistakes(yaml);
        assert!(found[0].starts_with(want), "{found:?}");
    }
}

#[test]
fn every_file_is_read_before_anything_is_refused() {
    let bad = HEAD.replace("Traffic", "Trafic");
    let errors = Mappings::only(&[("a.yaml", &bad), ("b.yaml", HEAD), ("c.yaml", &bad)]).expect_err("two");
    let files: Vec<&str> = errors.iter().map(|e| e.file.as_str()).collect();
    assert_eq!(files, ["a.yaml", "c.yaml"]);
}

#[test]
fn a_name_stands_once() {
    let errors = Mappings::only(&[("a.yaml", HEAD), ("b.yaml", HEAD)]).expect_err("twice");
    assert_eq!(errors[0].to_string(), "b.yaml:2:7: wall is the name of another mapping");
}
