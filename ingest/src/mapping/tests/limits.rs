//! Limits of mappings, at the limit and one past it.

use super::*;

fn error_of(yaml: &str) -> Option<String> {
    Mappings::only(&[("own.yaml", yaml)]).err().map(|errors| errors[0].what.clone())
}

#[test]
fn names_that_mappings_of_a_format_match_on() {
    // Those that ship have some; a set is of one origin.
    let file = |names: usize| {
        let one = |i: usize| {
            format!(
                "name: m{i}\nproduct: {{vendor: V, name: P}}\nformat: kv\nmatch: {{k{i}: x}}\nclass: base_event\ntime: received\n---\n"
            )
        };
        (0..names).map(one).collect::<String>()
    };
    assert_eq!(error_of(&file(128)), None);
    assert_eq!(error_of(&file(129)).as_deref(), Some("m128: mappings of one format match on more than 128 names"));
}

#[test]
fn fields_that_need_slots() {
    let file = |fields: usize| {
        // Two alternatives an attribute.
        let names = ["message", "status_detail", "status_code"];
        let from = |range: std::ops::Range<usize>| range.map(|i| format!("f{i}")).collect::<Vec<_>>().join(", ");
        let third = fields / 3;
        let parts = [0..third, third..2 * third, 2 * third..fields];
        let attributes = names.iter().zip(parts).map(|(name, range)| format!("  {name}: [{}]\n", from(range)));
        format!("{HEAD}attributes:\n{}", attributes.collect::<String>())
    };
    let max = crate::decode::row::SLOTS;
    assert_eq!(error_of(&file(max)), None);
    let want = format!("more than {max} fields are used by steps, alternatives or several attributes");
    assert_eq!(error_of(&file(max + 1)), Some(want));
}

#[test]
fn templates_within_templates() {
    let file = |depth: usize| {
        let first = "template: t0\nproduct: {vendor: V, name: P}\nformat: kv\nclass: base_event\ntime: received\n---\n"
            .to_owned();
        let further = (1..depth).map(|i| format!("template: t{i}\nuse: t{}\n---\n", i - 1)).collect::<String>();
        format!("{first}{further}name: m\nuse: t{}\nmatch: {{a: b}}\n", depth - 1)
    };
    assert_eq!(error_of(&file(8)), None);
    assert_eq!(error_of(&file(9)).as_deref(), Some("no template t0"));
    let cycle = "template: t\nuse: t\n---\nname: m\nuse: t\nmatch: {a: b}\n";
    assert_eq!(error_of(cycle).as_deref(), Some("no template t"));
}

#[test]
fn parts_of_a_template_of_text() {
    let file = |fields: usize| {
        let text: String = (0..fields).map(|i| format!("{{f{i}}}-")).collect();
        format!("{HEAD}attributes:\n  message: {{template: '{}'}}\n", text.trim_end_matches('-'))
    };
    // A field and a dash are two parts; the last has no dash.
    assert_eq!(error_of(&file(6)), None);
    assert_eq!(error_of(&file(7)).as_deref(), Some("a template has at most 12 parts"));
}
