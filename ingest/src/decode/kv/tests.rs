use proptest::prelude::*;

use super::*;
use crate::decode::Limits;
use crate::decode::tests::cases;

fn pairs(line: &str, dialect: Dialect) -> Vec<String> {
    let mut pairs = Pairs::default();
    split(line, 0..line.len(), dialect, &mut pairs);
    pairs.iter(line).map(|(key, value)| format!("{key}={value}")).collect()
}

#[test]
fn pairs_divided_by_spaces() {
    for (line, want) in [
        ("a=1 b=2", vec!["a=1", "b=2"]),
        (r#"a="x y" b="""#, vec!["a=x y", "b="]),
        (r#"a="say \"hi\" \\ C:\x" b=1"#, vec![r#"a=say "hi" \ C:\x"#, "b=1"]),
        ("msg=User logged in user=ann", vec!["msg=User logged in", "user=ann"]),
        ("url=/x?a=1&b=2 c=3", vec!["url=/x?a=1&b=2", "c=3"]),
        ("url=/x?a=1 b=", vec!["url=/x?a=1", "b="]),
        ("head of it a=1", vec!["text=head of it", "a=1"]),
        (r#"a="1" tail here b=2 "#, vec!["a=1", "text=tail here", "b=2"]),
        (r#"a="never closed b=2"#, vec![r#"a="never closed"#, "b=2"]),
        ("no pair at all", vec!["text=no pair at all"]),
        ("=1 a=2", vec!["text==1", "a=2"]),
        ("a==b", vec!["a==b"]),
        ("", vec![]),
    ] {
        assert_eq!(pairs(line, Dialect::PLAIN), want, "{line}");
    }
}

#[test]
fn pairs_divided_by_another_character() {
    let semicolons = Dialect { pair: b';', value: b':', ..Dialect::PLAIN };
    let line = r#"time:"2026; 1"; action:"drop"; rule:Clean up;stray; src:192.0.2.1"#;
    let want = ["time=2026; 1", "action=drop", "rule=Clean up", "text=stray", "src=192.0.2.1"];
    assert_eq!(pairs(line, semicolons), want);
    let bars = Dialect { pair: b'|', value: b'=', ..Dialect::PLAIN };
    assert_eq!(pairs("a=1|b=x=y||c=", bars), ["a=1", "b=x=y", "c="]);
    let apostrophes = Dialect { quote: Some(b'\''), ..Dialect::PLAIN };
    assert_eq!(pairs(r#"a='x y' b='' c='it\'s' d="1 2""#, apostrophes), ["a=x y", "b=", "c=it's", r#"d="1 2""#]);
    let escaped = Dialect { escapes: true, ..bars };
    assert_eq!(pairs(r"a=x\=y|b=1\|2|c=C:\\|d=\q", escaped), ["a=x=y", "b=1|2", r"c=C:\", r"d=\q"]);
}

#[test]
fn structured_data_with_and_without_identifiers() {
    let semicolons = Dialect { pair: b';', value: b':', ..Dialect::PLAIN };
    for (line, dialect, want) in [
        (r#"[a@1 k="v]" b="x y"][c d="1"]"#, Dialect::PLAIN, vec!["k=v]", "b=x y", "d=1"]),
        ("[a@1][b@1]", Dialect::PLAIN, vec![]),
        (r#"[k:"v;]"; b:"1"]"#, semicolons, vec!["k=v;]", "b=1"]),
        (r#"[a@1 k:"v"; b:1;]"#, semicolons, vec!["k=v", "b=1"]),
        ("-", Dialect::PLAIN, vec![]),
    ] {
        let mut pairs = Pairs::default();
        split_structured(line, 0..line.len(), dialect, &mut pairs);
        let found: Vec<String> = pairs.iter(line).map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(found, want, "{line}");
    }
}

#[test]
fn more_pairs_than_allowed_are_known() {
    let limits = Limits { json_keys_max: 7, string_bytes_max: 5, ..Limits::default() };
    let mut found = Pairs::new(&limits);
    for (count, fits) in [(7, true), (8, false)] {
        let line = "k=v ".repeat(count);
        found.clear();
        split(&line, 0..line.len(), Dialect::PLAIN, &mut found);
        assert_eq!((found.len(), found.check(&line, &limits).is_ok()), (7, fits));
    }
    for (line, fits) in [("k=12345", true), ("k=123456", false), ("k12345=v", false)] {
        found.clear();
        split(line, 0..line.len(), Dialect::PLAIN, &mut found);
        assert_eq!(found.check(line, &limits).is_ok(), fits, "{line}");
    }
}

/// What pairs divided by spaces are, byte after byte: a key stands before a value mark and behind a space, or, where no
/// value is open, at once.
fn by_bytes(line: &str, mark: u8) -> Vec<String> {
    let bytes = line.as_bytes();
    let (mut made, mut open, mut at, mut space) = (Vec::new(), None, 0, None);
    let mut value = |open: Option<&str>, text: &str| match open {
        Some(key) => made.push(format!("{key}={}", text.trim())),
        None if text.trim().is_empty() => {}
        None => made.push(format!("text={}", text.trim())),
    };
    for i in 0..bytes.len() {
        if bytes[i] == b' ' {
            space = Some(i);
        }
        if bytes[i] != mark {
            continue;
        }
        let start = match space.take() {
            Some(space) => space + 1,
            None if open.is_none() && (at == 0 || bytes[at - 1] != mark) => at,
            None => continue,
        };
        let is_key = |b: &u8| b.is_ascii_alphanumeric() || b"_-.[]@$".contains(b);
        if start < i && bytes[start..i].iter().all(is_key) {
            value(open, &line[at..start.saturating_sub(1).max(at)]);
            (open, at) = (Some(&line[start..i]), i + 1);
        }
    }
    value(open, &line[at..]);
    made
}

proptest! {
    #![proptest_config(cases(512))]

    /// Whatever lines came before: their keys are only guessed.
    #[test]
    fn lines_are_split_as_byte_after_byte(lines in prop::collection::vec("( ?[a-c]{1,2}[=:]| |[=:]|[a-c\"é-]){0,16}", 1..8)) {
        for mark in *b"=:" {
            let dialect = Dialect { value: mark, quote: None, ..Dialect::PLAIN };
            let mut found = Pairs::default();
            for line in lines.iter().chain(&lines) {
                found.clear();
                split(line, 0..line.len(), dialect, &mut found);
                prop_assert_eq!(found.texts(line), by_bytes(line, mark), "{:?}", line);
            }
        }
    }

    /// What is not white space, a quote or a separator is in a pair, in order.
    #[test]
    fn nothing_is_lost(line in "[a-c=\" ;:|é]{0,40}") {
        for dialect in [Dialect::PLAIN, Dialect { pair: b';', value: b':', ..Dialect::PLAIN }, Dialect::CEF] {
            let kept = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
            let found: String = pairs(&line, dialect).iter().map(|p| p.strip_prefix("text=").unwrap_or(p).to_owned()).collect();
            prop_assert_eq!(kept(&found), kept(&line), "{:?}", dialect);
        }
    }

    #[test]
    fn any_text_can_be_split(line in "\\PC{0,80}", pair in "[ ;|\t]", quote in "[\"' ]", escapes: bool) {
        let quote = quote.bytes().next().filter(|b| *b != b' ');
        let dialect = Dialect { pair: pair.as_bytes()[0], value: b'=', quote, escapes };
        prop_assert!(pairs(&line, dialect).len() <= line.len());
    }
}
