//! Lists of objects, and elements of arrays.

use super::*;

fn api(attributes: &str, document: &str) -> Value {
    row(&format!("{JSON_HEAD}attributes:\n{attributes}"), document)
}

#[test]
fn elements_of_an_array_become_elements_of_a_list() {
    let attributes = "  resources[].uid: t[].id\n  resources[].name: t[].name\n  resources[].type: {const: thing}\n";
    let row = api(attributes, r#"{"cloud":1,"t":[{"id":"1","name":"a"},{"id":"2"}]}"#);
    check(&row, &[("resources", r#"[{"name":"a","type":"thing","uid":"1"},{"type":"thing","uid":"2"}]"#)]);
    check(&row, &[("unmapped", r#"{"cloud":1}"#)]);
}

#[test]
fn an_array_stays_unless_all_it_says_went_to_columns() {
    let attributes = "  resources[].uid: t[].id\n";
    let row = api(attributes, r#"{"cloud":1,"t":[{"id":"1","more":"x"},{"other":2}]}"#);
    check(&row, &[("resources", r#"[{"uid":"1"}]"#), ("unmapped.t[0].more", "\"x\""), ("unmapped.t[1].other", "2")]);
    let row = api(attributes, r#"{"cloud":1,"t":"none"}"#);
    check(&row, &[("unmapped.t", "\"none\"")]);
}

#[test]
fn plain_fields_make_one_element() {
    let attributes = "  resources[].uid: id\n  resources[].name: name\n  resources[].type: {const: thing}\n";
    check(&api(attributes, r#"{"cloud":1,"id":"1"}"#), &[("resources", r#"[{"type":"thing","uid":"1"}]"#)]);
    check(&api(attributes, r#"{"cloud":1}"#), &[("resources", "null")]);
}

#[test]
fn an_element_is_made_only_by_what_makes_it_valid() {
    let attributes = "  resources[].name: name\n  resources[].type: kind\n";
    let found = api(attributes, r#"{"cloud":1,"name":"n","kind":"k"}"#);
    check(&found, &[("resources", r#"[{"name":"n","type":"k"}]"#)]);
    let found = api(attributes, r#"{"cloud":1,"kind":"k"}"#);
    check(&found, &[("resources", "null"), ("unmapped.kind", "\"k\"")]);
}

#[test]
fn one_element_by_its_place_or_by_a_member() {
    let attributes =
        "  actor.user.name: 't[type=User].name'\n  actor.user.uid: 't[0].id'\n  actor.app_name: 't[type=App].name'\n";
    let row = api(attributes, r#"{"cloud":1,"t":[{"type":"Group","id":"1"},{"type":"User","name":"ann"}]}"#);
    check(&row, &[("actor.user.name", "\"ann\""), ("actor.user.uid", "\"1\""), ("actor.app_name", "null")]);
    check(&row, &[("unmapped.t[1].type", "\"User\"")]);
}

#[test]
fn texts_of_an_array_or_one() {
    let attributes = "  metadata.labels[]: tags\n";
    check(
        &api(attributes, r#"{"cloud":1,"tags":["a","b"]}"#),
        &[("metadata.labels", r#"["a","b"]"#), ("unmapped.tags", "null")],
    );
    check(&api(attributes, r#"{"cloud":1,"tags":"a"}"#), &[("metadata.labels", r#"["a"]"#)]);
    check(
        &api(attributes, r#"{"cloud":1,"tags":["a",{}]}"#),
        &[("metadata.labels", "null"), ("unmapped.tags", r#"["a",{}]"#)],
    );
}

#[test]
fn members_within_members_and_names_with_dots() {
    let attributes = "  actor.user.name: who.\"a.b/c\".name\n  api.operation: who.verb\n";
    let row = api(attributes, r#"{"cloud":1,"who":{"a.b/c":{"name":"ann","more":1},"verb":"get"}}"#);
    check(&row, &[("actor.user.name", "\"ann\""), ("api.operation", "\"get\"")]);
    check(&row, &[("unmapped", r#"{"cloud":1,"who":{"a.b/c":{"more":1}}}"#)]);
}
