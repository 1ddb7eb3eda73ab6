use super::*;

#[test]
fn pairs_end_before_the_next_key() {
    for (body, separator, want) in [
        ("", ' ', vec![]),
        ("a=1", ' ', vec![("a", "1")]),
        ("a=1 b=two words c=", ' ', vec![("a", "1"), ("b", "two words"), ("c", "")]),
        ("a= b= c=3 ", ' ', vec![("a", ""), ("b", ""), ("c", "3")]),
        ("a=x?y=1&z=2 b=3", ' ', vec![("a", "x?y=1&z=2"), ("b", "3")]),
        ("a=1 + 1 =2 b=3", ' ', vec![("a", "1 + 1 =2"), ("b", "3")]),
        ("a=\"say b=2\" c=3", ' ', vec![("a", "say b=2"), ("c", "3")]),
        ("a=\"open b=2", ' ', vec![("a", "\"open"), ("b", "2")]),
        ("a=\"\" b=2", ' ', vec![("a", ""), ("b", "2")]),
        ("a=1|b=x|y|c=3|", '|', vec![("a", "1"), ("b", "x|y"), ("c", "3")]),
        ("a=1\tb=two words\tc=3", '\t', vec![("a", "1"), ("b", "two words"), ("c", "3")]),
        ("text without a pair", ' ', vec![]),
        ("ä=1 ö=2", ' ', vec![("ä", "1 ö=2")]),
        ("a=1¦b=x¦y¦c=3¦", '¦', vec![("a", "1"), ("b", "x¦y"), ("c", "3")]),
    ] {
        let line = format!("CEF:0|{body}");
        let mut found = Vec::new();
        split(&line, 6, separator, |key, value| found.push((&line[key], &line[value])));
        assert_eq!(found, want, "{body}");
    }
}

#[test]
fn values_lose_their_escapes() {
    for (value, want) in [
        (r"corp\ann", r"corp\ann"),
        (r"corp\\ann", r"corp\ann"),
        (r"corp\\\\\\\\ann", r"corp\ann"),
        (r"corp\nancy", r"corp\nancy"),
        (r"a\=b\|c", "a=b|c"),
        (r#"say \"hi\""#, r#"say "hi""#),
        (r#"\"quoted\""#, "quoted"),
        (r"end\", r"end\"),
    ] {
        let line = format!("k={value}");
        let mut pairs = Pairs::default();
        pairs.fill(&line, 0, ' ');
        assert_eq!(pairs.get(&line, "k"), want, "{value}");
    }
}

#[test]
fn pairs_hold_one_event_at_a_time() {
    let mut pairs = Pairs::default();
    for line in [r"a=x\=y b=2 c=", "b=3"] {
        pairs.fill(line, 0, ' ');
    }
    assert_eq!(pairs.iter("b=3").collect::<Vec<_>>(), [("b", "3")]);
    assert_eq!(pairs.get("b=3", "a"), "");
}
