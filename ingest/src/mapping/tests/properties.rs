//! What holds for any mapping file and any record.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::decode::tests::cases;

/// A file with every kind of key.
const FILE: &str = "
template: base
product: {vendor: Example, name: Wall}
format: json
each: [records]
match: {wall: '*', kind: [a*, b], gone: '!'}
time: [{from: at, unit: ms}, {from: [d, t], zone: tz, format: '%Y-%m-%d %H:%M:%S'}]
empty: ['-']
---
name: wall
use: base
class: network_activity
activity: {from: act, values: {open: Open, 'cl*': Close}, else: Traffic}
severity: {from: level, values: {high: High}}
attributes:
  src_endpoint.ip: [s, 'addresses[0]']
  duration: {from: len, unit: clock}
  actor.user: 'people[type=User].name'
  action: {from: verdict, values: {ok: Allowed}}
  message: {template: '{a}-{b}'}
  connection_info.protocol: proto
  metadata.labels[]: tags
tests:
  - log: '{\"wall\":1,\"kind\":\"b\",\"at\":1795168800000}'
    expect: {class: network_activity}
";

fn load(text: &str) -> Result<Mappings, Vec<MappingError>> {
    Mappings::only(&[("own.yaml", text)])
}

static LOADED: LazyLock<Mappings> = LazyLock::new(|| mappings(FILE));

/// The same for lines of pairs.
static OF_LINES: LazyLock<Mappings> = LazyLock::new(|| {
    let (file, _) = FILE.split_once("tests:").expect("it has some");
    let file = file.replace("format: json\neach: [records]\n", "format: kv\n");
    mappings(&file.replace(", 'addresses[0]'", "").replace("'people[type=User].name'", "people"))
});

#[test]
fn the_file_is_right() {
    assert_eq!(LOADED.run_own_tests(), []);
}

/// A value of each kind that a record may hold.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{5,8}".prop_map(|text| format!("\"{text}\"")),
        "[1-9][0-9]{4,8}",
        "10\\.[0-9]\\.[0-9]\\.[1-9]".prop_map(|ip| format!("\"{ip}\"")),
        "[a-z]{5}".prop_map(|text| format!("{{\"deep\":\"{text}\"}}")),
        "[a-z]{5}".prop_map(|text| format!("[\"{text}\",{{\"type\":\"User\",\"name\":\"{text}\"}}]")),
        Just("null".to_owned()),
    ]
}

/// The words of a JSON text.
fn words(json: &str) -> Vec<&str> {
    json.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| word.len() >= 5).collect()
}

proptest! {
    #![proptest_config(cases(64))]

    /// A broken file is refused with places within it; none makes the loader panic.
    #[test]
    fn any_change_of_a_file_loads_or_is_told(at in any::<prop::sample::Index>(), cut in 0_usize..20, new in "[a-z{}\\[\\]:,'\" \n*-]{0,6}") {
        let start = at.index(FILE.len());
        let end = (start + cut).min(FILE.len());
        let text = [&FILE[..start], &new, &FILE[end..]].concat();
        if let Err(errors) = load(&text) {
            let lines = text.lines().count() + 1;
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(error.file == "own.yaml" && error.at.line <= lines && !error.what.is_empty(), "{error}");
            }
        }
    }

    /// Whatever fields hold, each value is in the row.
    #[test]
    fn no_value_is_lost(values in prop::collection::vec(value(), 12)) {
        let names = ["act", "level", "s", "addresses", "len", "people", "verdict", "a", "b", "proto", "tags", "unheard"];
        let members: String = names.iter().zip(&values).map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        let record = format!("{{\"wall\":1,\"kind\":\"b\",\"at\":1795168800000{members}}}");
        let row = decoded(LOADED.clone(), &[&record]).remove(0).1.to_string();
        for word in values.iter().flat_map(|value| words(value)) {
            prop_assert!(row.contains(word), "{word} of {record} in {row}");
        }
    }

    /// The same for pairs.
    #[test]
    fn no_value_of_a_line_is_lost(values in prop::collection::vec("[a-z]{5,8}|[1-9][0-9]{4,8}|10\\.[0-9]\\.[0-9]\\.[1-9]", 9)) {
        let names = ["act", "level", "s", "len", "people", "verdict", "a", "proto", "unheard"];
        let pairs: String = names.iter().zip(&values).map(|(name, value)| format!(" {name}={value}")).collect();
        let mut row = decoded(OF_LINES.clone(), &[&format!("wall=1 kind=b at=1795168800000{pairs}")]).remove(0).1;
        row.as_object_mut().expect("an object").remove("raw_data");
        let shown = row.to_string();
        for value in &values {
            let millis = value.parse::<i64>().map(|n| (n * 1000).to_string());
            let is_there = shown.contains(value.as_str()) || millis.is_ok_and(|ms| shown.contains(&ms));
            prop_assert!(is_there, "{value} of {row}");
        }
    }
}
