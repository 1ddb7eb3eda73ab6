use super::*;

fn parse(text: &'static str) -> Result<FieldTable, FieldError> {
    FieldTable::parse("x.fields", text, Table::NetworkActivity, &["action", "user"])
}

#[test]
fn a_table_answers_by_column_and_by_name() {
    let table = parse(
        "# comment\n\ncol_a  NameA,NameB  src_endpoint.ip ip\ncol_b  -  -\n-  Only.Inner.Port  src_endpoint.port port\nc X :user\n",
    )
    .expect("a right table");
    assert_eq!(table.columns().iter().map(|c| c.name).collect::<Vec<_>>(), ["col_a", "col_b", "c"]);
    for name in ["NameA", "NameB"] {
        assert!(
            matches!(table.to(0, &mut Place::default(), name.as_bytes()), To::Column(t) if t.convert == Convert::Ip),
            "{name}"
        );
    }
    assert!(matches!(table.to(0, &mut Place::default(), b"X"), To::Slot(1)));
    assert!(matches!(table.to(0, &mut Place::default(), b"col_a"), To::Unknown));
    let &To::Object(only) = table.to(0, &mut Place::default(), b"Only") else { panic!("Only is an object") };
    let &To::Object(inner) = table.to(only, &mut Place::default(), b"Inner") else { panic!("Inner is an object") };
    assert_eq!((table.path(only), table.path(inner)), ("Only", "Only.Inner"));
    assert!(matches!(table.to(inner, &mut Place::default(), b"Port"), To::Column(t) if t.convert == Convert::Port));
    assert!(matches!(table.to(inner, &mut Place::default(), b"Other"), To::Unknown));
}

#[test]
fn a_wrong_table_says_where() {
    for (text, want) in [
        ("a", "x.fields:1: a field has a column, a JSON name and where it goes"),
        ("\n# b\na A :nowhere", "x.fields:3: no slot \"nowhere\""),
        ("a A no.such.path", "x.fields:1: no.such.path: no such column of network_activity, or another kind"),
        (
            "a A src_endpoint.port ip",
            "x.fields:1: src_endpoint.port: no such column of network_activity, or another kind",
        ),
        (
            "a A src_endpoint.ip magic",
            "x.fields:1: src_endpoint.ip: no such column of network_activity, or another kind",
        ),
        (
            "a A src_endpoint.ip+src_port",
            "x.fields:1: src_endpoint.ip+src_port: no such column of network_activity, or another kind",
        ),
        ("a A -\nb A -", "x.fields:2: A stands twice"),
    ] {
        assert_eq!(parse(text).map(|_| ()).map_err(|e| e.to_string()), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn columns_change_places() {
    let table = parse("a - -\nb - -\nc - -").expect("a right table").with_columns_exchanged("a", "c");
    assert_eq!(table.columns().iter().map(|c| c.name).collect::<Vec<_>>(), ["c", "b", "a"]);
}

#[test]
fn a_column_knows_the_objects_it_makes() {
    let src = Objects::named("src_endpoint");
    let proxy = Objects::named("src_endpoint.proxy_endpoint");
    let port = Target::of(Table::NetworkActivity, "src_endpoint.port");
    assert!(port.touches == src && port.satisfies.is_empty());
    let ip = Target::of(Table::NetworkActivity, "src_endpoint.ip");
    assert!(ip.touches == src && ip.satisfies == src);
    let nat = Target::of(Table::NetworkActivity, "src_endpoint.proxy_endpoint.ip");
    assert!(nat.touches == src.with(proxy) && nat.satisfies == proxy);
    assert!(Target::of(Table::NetworkActivity, "app_name").touches.is_empty());
}

#[test]
fn names_that_look_alike_are_told_apart() {
    let mut names = Names::default();
    // Of all lengths around those of a word and of a print; the last three differ only where no print looks.
    let alike = [
        "a",
        "b",
        "ab",
        "ba",
        "1234567",
        "12345678",
        "123456789",
        "1234567a89",
        "12345678-middle1-12345678",
        "12345678901234567890123a",
        "12345678901234567890123b",
        "123456789012a45678901234",
        "firstbyt-a-----------middleby---lastbyte",
        "firstbyt-b-----------middleby---lastbyte",
        "firstbyt-c-----------middleby---lastbyte",
    ];
    for (i, name) in alike.into_iter().enumerate() {
        names.add(name, To::Slot(i as u8)).expect("each stands once");
    }
    for (i, name) in alike.into_iter().enumerate() {
        assert!(matches!(names.get(name.as_bytes()), Some(To::Slot(s)) if usize::from(*s) == i), "{name}");
        let mut other = name.to_owned();
        other.replace_range(other.len() / 3..other.len() / 3 + 1, "~");
        assert!(names.get(other.as_bytes()).is_none(), "{other}");
    }
    assert!(names.get(b"").is_none() && Names::<To>::default().get(b"").is_none());
}

#[test]
fn a_form_of_pairs_names_columns_by_its_keys() {
    let names = "# comment\nother cs1 Other\ncol_a cs1,start Rule/PolicyRule\ncol_b cs1,end\n";
    let table =
        parse("col_a NameA src_endpoint.ip ip\ncol_b - -\n- NameC :user\n").and_then(|t| t.with_form("x.names", names));
    let table = table.expect("a right table");
    let name = |form, key| table.key(form, &mut Default::default(), key, "Pan").map(|k| k.field.name);
    for (key, want) in [
        ("cs1", Some("col_a")),
        ("start", Some("col_a")),
        ("end", Some("col_b")),
        ("NameA", Some("col_a")),
        ("PanNameA", Some("col_a")),
        ("PanNameC", Some("NameC")),
        ("Pancs1", None),
        ("other", None),
    ] {
        assert_eq!(name(0, key), want, "{key}");
    }
    assert_eq!((name(1, "cs1"), name(1, "NameA")), (None, Some("col_a")));
    let key = table.key(0, &mut Default::default(), "cs1", "Pan").expect("a key");
    assert!(key.has_labels() && key.is_labeled("Rule") && key.is_labeled("policy rule") && !key.is_labeled("Role"));
    assert!(!table.key(0, &mut Default::default(), "end", "Pan").expect("a key").has_labels());
    let error = parse("a - -").and_then(|t| t.with_form("x.names", "a")).expect_err("no keys");
    assert_eq!(error.to_string(), "x.names:1: a column has its keys");
}
