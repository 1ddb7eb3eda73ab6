use proptest::prelude::*;

use super::*;

fn split(line: &str) -> Vec<String> {
    let mut columns = Columns::default();
    columns.split(line);
    (0..columns.len()).map(|i| columns.get(line, i).to_owned()).collect()
}

#[test]
fn columns_of_a_line() {
    let cases: [(&str, &[&str]); 17] = [
        ("", &[""]),
        ("a", &["a"]),
        ("a,b", &["a", "b"]),
        (",", &["", ""]),
        ("a,,b,", &["a", "", "b", ""]),
        (r#""a,b",c"#, &["a,b", "c"]),
        (r#""","x""#, &["", "x"]),
        (r#""say ""hi"", ann",c"#, &[r#"say "hi", ann"#, "c"]),
        (r#""ends ""so""",c"#, &[r#"ends "so""#, "c"]),
        (r#""say \"hi\" now",c"#, &[r#"say "hi" now"#, "c"]),
        (r#""C:\dir\",c"#, &[r"C:\dir\", "c"]),
        (r#"a,\"x,y,z\",b"#, &["a", "x,y,z", "b"]),
        (r#"\"x,y\""#, &["x,y"]),
        (r#"a"b,c"#, &[r#"a"b"#, "c"]),
        (r#""open,c"#, &[r#""open"#, "c"]),
        (r#"\"open,c"#, &[r#"\"open"#, "c"]),
        ("é,\"ü,\"\"ö\"", &["é", "ü,\"ö"]),
    ];
    for (line, want) in cases {
        assert_eq!(split(line), want, "{line}");
    }
}

#[test]
fn a_column_beyond_the_end_is_empty() {
    let mut columns = Columns::default();
    columns.split("a");
    assert_eq!((columns.get("a", 0), columns.get("a", 1), columns.len()), ("a", "", 1));
}

#[test]
fn a_line_leaves_nothing_to_the_next() {
    let mut columns = Columns::default();
    columns.split(r#""a ""b"" c",d,e"#);
    columns.split("x");
    assert_eq!((columns.get("x", 0), columns.len()), ("x", 1));
}

proptest! {
    #![proptest_config(crate::decode::tests::cases(200))]

    #[test]
    fn quoted_values_come_back(values in prop::collection::vec("[^\\\\]{0,12}", 1..6)) {
        let line: Vec<String> = values.iter().map(|v| format!("\"{}\"", v.replace('"', "\"\""))).collect();
        prop_assert_eq!(split(&line.join(",")), values);
    }

    #[test]
    fn commas_divide_what_has_no_quotes(line in "(\\PC|[,\\-+.]){0,60}") {
        let line = line.replace('"', "");
        prop_assert_eq!(split(&line), line.split(',').collect::<Vec<_>>());
        let mut columns = Columns::default();
        columns.split(&line);
        let filled: Vec<(usize, &str)> = line.split(',').enumerate().filter(|(_, t)| !t.is_empty()).collect();
        prop_assert_eq!(columns.filled(&line).collect::<Vec<_>>(), filled);
    }

    #[test]
    fn any_line_has_columns(line in "(\\PC|[,\"\\\\]){0,40}") {
        prop_assert!(!split(&line).is_empty());
    }
}
