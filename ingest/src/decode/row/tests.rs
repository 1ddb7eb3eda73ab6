use dataflow::Table;
use dataflow::json::JsonRows;

use super::*;
use crate::decode::fields::{Convert, Target};
use crate::decode::json::Doc;
use crate::decode::tests::chunk_of;

const FIELDS: &str = "\
ip      Ip      src_endpoint.ip ip
port    Port    src_endpoint.port port
mac     Mac     src_endpoint.mac mac
flag    Mfa     -
name    Name    :name
-       In.Name :inner
-       In.App  app_name
-       In.Deep.Rule firewall_rule.name
";

/// Fills one network_activity row and gives its JSON from `unmapped` or `src_endpoint` on, with the objects to bar.
fn row_with(barred: Objects, fill: impl Fn(&mut Row<'_, '_>)) -> (String, Objects) {
    let table = Table::NetworkActivity;
    let fields = FieldTable::parse("x", FIELDS, table, &["name", "inner"]).expect("right");
    let (mut builder, mut scratch) = (TableBuilder::new(table), Scratch::default());
    let mut row = Row::new(&mut builder, &fields, &mut scratch, barred);
    fill(&mut row);
    let invalid = row.invalid_objects();
    row.finish_unmapped(table.expect_leaf("unmapped"), "");
    builder.set_i64(table.expect_leaf("time"), 0);
    let chunk = chunk_of(0, [b"x".as_slice()]);
    builder.end_event(&chunk.partition, &chunk.tenant, &chunk.records().next().expect("one"), 0);
    let batch = builder.finish();
    let mut json = String::new();
    JsonRows::new(table, &batch).write(0, &mut json);
    let start = json.find("\"unmapped\"").or(json.find("\"src_endpoint\"")).or(json.find("\"app_name\""));
    (start.map(|s| json[s..json.len() - 1].to_owned()).unwrap_or_default(), invalid)
}

fn from_columns(columns: &'static [&'static str]) -> String {
    row_with(Objects::default(), |row| row.read_columns(columns.iter().copied())).0
}

fn from_json(json: &str) -> String {
    let mut parser = crate::decode::json::JsonParser::new(Default::default());
    let read = |doc: Doc<'_>| {
        let table = Table::NetworkActivity;
        let fields = FieldTable::parse("x", FIELDS, table, &["name", "inner"]).expect("right");
        let (mut builder, mut scratch) = (TableBuilder::new(table), Scratch::default());
        let mut row = Row::new(&mut builder, &fields, &mut scratch, Objects::default());
        row.read_members(doc, doc.root(), 0);
        row.finish_unmapped(table.expect_leaf("unmapped"), "");
        Ok(scratch.unmapped)
    };
    parser.with_doc(json.as_bytes(), read).expect("valid JSON")
}

#[test]
fn columns_go_where_the_table_says() {
    for (columns, want) in [
        (&["10.0.0.1", "80"] as &[&str], r#""src_endpoint":{"ip":"10.0.0.1","port":80}"#),
        (&["10.0.0.1", "", "", "", ""], r#""src_endpoint":{"ip":"10.0.0.1"}"#),
        (&["x", "99999", "y"], r#""unmapped":{"ip":"x","port":"99999","mac":"y"}"#),
        (&["", "", "", "f", "n"], r#""unmapped":{"flag":"f","name":"n"}"#),
        (&["", "", "", "", "", "more", "", "\"q\""], r#""unmapped":{"column_6":"more","column_8":"\"q\""}"#),
        (&["", ""], ""),
    ] {
        assert_eq!(from_columns(columns), want);
    }
}

#[test]
fn members_go_where_the_table_says() {
    for (json, want) in [
        (r#"{"Ip":"10.0.0.1","Port":80}"#, "{"),
        (r#"{"Ip":["10.0.0.1"],"Port":"eighty","X":null,"Y":""}"#, r#"{"Ip":["10.0.0.1"],"Port":"eighty"}"#),
        (r#"{"In":{"Name":"n","App":"a","Deep":{"Rule":"r"}}}"#, r#"{"In.Name":"n"}"#),
        (r#"{"In":{"App":"a","Deep":{"Rule":"r"}}}"#, "{"),
        (
            r#"{"In":{"Other":1.0,"Deep":{"Rule":"r","More":{"b":2}}}}"#,
            r#"{"In":{"Other":1.0,"Deep":{"More":{"b":2}}}}"#,
        ),
        (r#"{"In":"text"}"#, r#"{"In":"text"}"#),
        (r#"{"In":{}}"#, "{"),
        (r#"{"a":{},"In":{"b":{}},"c":[]}"#, r#"{"a":{},"In":{"b":{}},"c":[]}"#),
        (r#"{"k\"ey":"v\\al\u0001"}"#, r#"{"k\"ey":"v\\al\u0001"}"#),
        (
            r#"{"a":1,"b":"x","Port":80,"c":2.50,"d": 3,"e":null,"f":true,"g":"","Name":"n","h":"i"}"#,
            r#"{"a":1,"b":"x","c":2.50,"d":3,"f":true,"h":"i","Name":"n"}"#,
        ),
        (r#"{"a":1,"In":{"b":1,"c":2},"d":1}"#, r#"{"a":1,"In":{"b":1,"c":2},"d":1}"#),
        (r#"{"Name":"a","Name":"b"}"#, r#"{"Name":"b","Name":"a"}"#),
    ] {
        assert_eq!(from_json(json), want, "{json}");
    }
}

#[test]
fn objects_that_are_not_valid_are_told_and_can_be_barred() {
    let port_only = |row: &mut Row<'_, '_>| row.read_columns(["", "80"].into_iter());
    let (_, invalid) = row_with(Objects::default(), port_only);
    assert_eq!(invalid, Objects::named("src_endpoint"));
    let (json, invalid) = row_with(invalid, port_only);
    assert!(invalid.is_empty());
    assert_eq!(json, r#""unmapped":{"port":"80"}"#);
}

#[test]
fn slots_are_taken_once() {
    row_with(Objects::default(), |row| {
        row.read_columns(["", "", "", "", "n"].into_iter());
        assert_eq!((row.peek_text(0_u8), row.peek_text(1_u8)), ("n", ""));
        assert_eq!(row.take(0_u8).map(|f| f.text()), Some("n"));
        assert!(row.take(0_u8).is_none() && row.peek(0_u8).is_none());
    });
}

#[test]
fn a_slot_finds_its_column_or_stays() {
    let user = Target::of(Table::NetworkActivity, "actor.user.name");
    let port = Target { convert: Convert::Port, ..Target::of(Table::NetworkActivity, "src_endpoint.port") };
    let (json, _) = row_with(Objects::default(), |row| {
        row.read_columns(["10.0.0.1", "", "", "", "ann"].into_iter());
        assert!(row.place(0_u8, &user));
        assert!(!row.place(0_u8, &user), "it is taken");
        assert!(row.set_args(&Target::of(Table::NetworkActivity, "app_name"), format_args!("{}.{}", 1, 2)));
    });
    assert!(json.contains(r#""name":"ann""#) && json.contains(r#""app_name":"1.2""#), "{json}");
    let (json, _) = row_with(Objects::default(), |row| {
        row.read_columns(["10.0.0.1", "", "", "", "ann"].into_iter());
        assert!(!row.place(0_u8, &port));
    });
    assert!(json.starts_with(r#""unmapped":{"name":"ann"}"#), "{json}");
}

#[test]
fn a_mac_address_in_its_one_form() {
    assert_eq!(
        from_columns(&["10.0.0.1", "", "001B44113AB7"]),
        r#""src_endpoint":{"ip":"10.0.0.1","mac":"00:1b:44:11:3a:b7"}"#
    );
}
