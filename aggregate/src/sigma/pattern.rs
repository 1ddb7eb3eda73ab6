//! A Sigma text with its wildcards -> a pattern that values are held against.
//!
//! `*` is any text, `?` one character; a backslash takes the meaning from a wildcard or another backslash, and is itself before
//! anything else. Case does not count unless the rule says so: pattern and value are folded, character by character.

use memchr::memmem::Finder;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// `?`
    One,
    /// `*`
    Many,
}

/// The pieces of a text as it is written in a rule.
pub(super) fn parts(written: &str) -> Vec<Part> {
    let (mut parts, mut text) = (Vec::new(), String::new());
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        let wildcard = match c {
            '*' => Part::Many,
            '?' => Part::One,
            '\\' => {
                text.push(chars.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\'));
                continue;
            }
            _ => {
                text.push(c);
                continue;
            }
        };
        push_text(&mut parts, &mut text);
        parts.push(wildcard);
    }
    push_text(&mut parts, &mut text);
    parts
}

fn push_text(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// The text, if it has no wildcard.
pub(super) fn plain(parts: &[Part]) -> Option<&str> {
    match parts {
        [] => Some(""),
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// What a value must look like.
#[derive(Debug)]
pub(super) struct Pattern {
    shape: Shape,
    is_cased: bool,
}

#[derive(Debug)]
enum Shape {
    Anything,
    Equal(String),
    Prefix(String),
    Suffix(String),
    Within(Box<Finder<'static>>),
    Glob(Vec<Token>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
}

impl Pattern {
    pub(super) fn new(parts: &[Part], is_cased: bool) -> Self {
        let mut own: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Many if own.last() == Some(&Part::Many) => {}
                Part::Text(text) if !is_cased => {
                    own.push(Part::Text(text.chars().flat_map(char::to_lowercase).collect()))
                }
                other => own.push(other.clone()),
            }
        }
        Self { shape: Shape::of(&own), is_cased }
    }

    /// True if it may begin and end anywhere in the value.
    pub(super) fn is_within(&self) -> bool {
        match &self.shape {
            Shape::Anything | Shape::Within(_) => true,
            Shape::Glob(tokens) => [tokens.first(), tokens.last()] == [Some(&Token::Many); 2],
            Shape::Equal(_) | Shape::Prefix(_) | Shape::Suffix(_) => false,
        }
    }

    /// `folded`: the value without case.
    pub(super) fn matches(&self, text: &str, folded: &str) -> bool {
        let text = if self.is_cased { text } else { folded };
        match &self.shape {
            Shape::Anything => true,
            Shape::Equal(wanted) => text == wanted,
            Shape::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Shape::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Shape::Within(finder) => finder.find(text.as_bytes()).is_some(),
            Shape::Glob(tokens) => glob(tokens, text),
        }
    }
}

impl Shape {
    fn of(parts: &[Part]) -> Self {
        match parts {
            [Part::Many] => Self::Anything,
            [Part::Text(text), Part::Many] => Self::Prefix(text.clone()),
            [Part::Many, Part::Text(text)] => Self::Suffix(text.clone()),
            [Part::Many, Part::Text(text), Part::Many] => Self::Within(Box::new(Finder::new(text).into_owned())),
            parts => match plain(parts) {
                Some(text) => Self::Equal(text.to_owned()),
                None => Self::Glob(parts.iter().flat_map(tokens).collect()),
            },
        }
    }
}

fn tokens(part: &Part) -> Vec<Token> {
    match part {
        Part::Text(text) => text.chars().map(Token::Char).collect(),
        Part::One => vec![Token::One],
        Part::Many => vec![Token::Many],
    }
}

/// The last `*` takes as little as it can, then one character more each time the rest does not fit.
fn glob(tokens: &[Token], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut again = None;
    loop {
        match tokens.get(at) {
            Some(Token::Many) => {
                at += 1;
                again = Some((at, rest.clone()));
                continue;
            }
            Some(token) => {
                let mut after = rest.clone();
                if after.next().is_some_and(|c| *token == Token::One || *token == Token::Char(c)) {
                    (at, rest) = (at + 1, after);
                    continue;
                }
            }
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((back, from)) = &mut again else { return false };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*back, from.clone());
    }
}

/// Writes the text without case into a buffer.
pub(super) fn fold(text: &str, folded: &mut String) {
    folded.clear();
    if text.is_ascii() {
        folded.push_str(text);
        folded.make_ascii_lowercase();
    } else {
        folded.extend(text.chars().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_their_escapes() {
        let text = |t: &str| Part::Text(t.to_owned());
        for (written, want) in [
            ("", vec![]),
            ("a*b?", vec![text("a"), Part::Many, text("b"), Part::One]),
            (r"a\*b", vec![text("a*b")]),
            (r"a\\*", vec![text(r"a\"), Part::Many]),
            (r"\Windows\", vec![text(r"\Windows\")]),
            (r"\\?\x", vec![text(r"\"), Part::One, text(r"\x")]),
        ] {
            assert_eq!(parts(written), want, "{written}");
        }
    }

    #[test]
    fn patterns_match() {
        for (written, value, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "x", true),
            ("GetObject", "getobject", true),
            ("get*", "GetObject", true),
            ("*object", "GetObject", true),
            ("*tob*", "GetObject", true),
            ("*tob*", "GetTable", false),
            ("g?t*t", "GetObject", true),
            ("g?t", "gt", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("a*a", "a", false),
            ("?", "ß", true),
            ("É*", "été", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
        ] {
            let mut folded = String::new();
            fold(value, &mut folded);
            assert_eq!(Pattern::new(&parts(written), false).matches(value, &folded), want, "{written} on {value}");
        }
    }

    #[test]
    fn case_counts_where_the_rule_says_so() {
        let pattern = Pattern::new(&parts("Get*"), true);
        assert!(pattern.matches("GetObject", "getobject") && !pattern.matches("getObject", "getobject"));
    }
}
