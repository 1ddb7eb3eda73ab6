//! What must hold of a record for a mapping to take it.

use std::fmt;

use crate::decode::json::{At, Doc, Value};
use crate::decode::pairs::Pairs;

use super::plan::HeaderField;
use super::words::Pattern;

/// One entry of `match:`.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) key: Key,
    pub(super) test: Test,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Header(HeaderField),
    /// A field; in JSON a path of members.
    Field(Vec<&'static str>),
}

#[derive(Debug)]
pub(super) enum Test {
    Present,
    Absent,
    AnyOf(Vec<Pattern>),
}

impl Test {
    /// True if a value that is there passes.
    #[inline]
    pub(super) fn takes(&self, text: Option<&str>) -> bool {
        match (self, text) {
            (Self::Present, _) => true,
            (Self::Absent, _) | (Self::AnyOf(_), None) => false,
            (Self::AnyOf(patterns), Some(text)) => patterns.iter().any(|p| p.fits(text)),
        }
    }

    fn names_values(&self) -> bool {
        matches!(self, Self::AnyOf(_))
    }

    fn is_exact(&self) -> bool {
        matches!(self, Self::AnyOf(patterns) if patterns.iter().all(|p| matches!(p, Pattern::Whole(_))))
    }
}

/// How much conditions tell: values first, then how exact they are, then how many there are at all.
pub(super) fn weight(conditions: &[Condition]) -> (usize, usize, usize) {
    let count = |tells: fn(&Test) -> bool| conditions.iter().filter(|c| tells(&c.test)).count();
    (count(Test::names_values), count(Test::is_exact), conditions.len())
}

impl Condition {
    /// True if it holds of an object of a document; `first` is the place of the path's first member.
    pub(super) fn holds(&self, doc: Doc<'_>, first: Option<At>) -> bool {
        let Key::Field(path) = &self.key else { return true };
        let at = first.and_then(|at| super::exec::member(doc, at, &path[1..]));
        match at.map(|at| doc.value(at)) {
            None | Some(Value::Null) => matches!(self.test, Test::Absent),
            Some(value) => self.test.takes(value.scalar()),
        }
    }
}

impl Condition {
    /// True if it holds of pairs; one on a header says nothing of them.
    pub(super) fn holds_of_pairs(&self, pairs: &Pairs, line: &str) -> bool {
        let Key::Field(path) = &self.key else { return true };
        match pairs.iter(line).find(|(name, value)| *name == path[0] && !value.is_empty()) {
            Some((_, value)) => self.test.takes(Some(value)),
            None => matches!(self.test, Test::Absent),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Header(field) => f.write_str(field.name())?,
            Key::Field(path) => f.write_str(&path.join("."))?,
        }
        match &self.test {
            Test::Present => f.write_str(" is there"),
            Test::Absent => f.write_str(" is not there"),
            Test::AnyOf(patterns) => {
                for (i, pattern) in patterns.iter().enumerate() {
                    write!(f, "{}{pattern}", if i == 0 { " = " } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

/// Conditions, one after the other.
pub(super) struct Conditions<'a>(pub(super) &'a [Condition]);

impl fmt::Display for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, c)| write!(f, "{}{c}", if i > 0 { ", " } else { "" }))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(text) => f.write_str(text),
            Self::Head(text) => write!(f, "{text}*"),
            Self::Tail(text) => write!(f, "*{text}"),
            Self::Within(text) => write!(f, "*{text}*"),
        }
    }
}
