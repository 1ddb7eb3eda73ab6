use proptest::prelude::*;

use super::*;
use crate::decode::tests::cases;

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
        let mut keys = Keys::default();
        for _ in 0..2 {
            found.clear();
            split(&line, 6, separator, &mut keys, |key, value| found.push((&line[key.0], &line[value])));
            assert_eq!(found, want, "{body}");
        }
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

/// What pairs are, byte after byte: a value reaches to the last separator before a further key.
fn by_bytes(line: &str, separator: char) -> Vec<(String, String)> {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let (mut made, mut open, mut at, mut from) = (Vec::new(), None::<&str>, 0, 0);
    for (i, _) in line.match_indices('=') {
        let key = match open {
            None => line[at..i].trim_start_matches(separator),
            Some(key) => {
                let Some(last) = line[from..i].rfind(separator).map(|n| from + n) else {
                    from = i + 1;
                    continue;
                };
                let next = &line[last + separator.len_utf8()..i];
                from = i + 1;
                if !next.starts_with(|c: char| c.is_ascii_alphabetic()) || !is_word(next) {
                    continue;
                }
                made.push((key.to_owned(), line[at..last].trim_end_matches(separator).to_owned()));
                next
            }
        };
        (open, at, from) = (Some(key), i + 1, i + 1);
    }
    made.extend(open.map(|key| (key.to_owned(), line[at..].trim_end_matches(separator).to_owned())));
    made
}

proptest! {
    #![proptest_config(cases(512))]

    /// Whatever lines came before: their keys are only guessed.
    #[test]
    fn lines_are_split_as_byte_after_byte(
        lines in prop::collection::vec("( ?[a-c]{1,2}=|[¦|]?[a-c]{1,2}=| |=|[a-c|¦é-]){0,16}", 1..8),
        separator in "[ |¦a=-]",
    ) {
        let separator = separator.chars().next().unwrap_or(' ');
        let mut keys = Keys::default();
        for line in lines.iter().chain(&lines) {
            let mut found = Vec::new();
            split(line, 0, separator, &mut keys, |key, value| {
                found.push((line[key.0].to_owned(), line[value].to_owned()));
            });
            prop_assert_eq!(found, by_bytes(line, separator), "{:?} {:?}", line, separator);
        }
    }
}
