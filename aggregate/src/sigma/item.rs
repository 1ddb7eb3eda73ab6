//! One line of a detection, `field|modifiers: values`: does a row meet it? Yes or no, never unknown.
//!
//! A value that is not there meets nothing, not even `neq`; `not` around the search that holds the line is then true.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use super::field::{Columns, Field, Scratch};
use super::json::Kind;
use super::modifiers::Order;
use super::pattern::{Pattern, fold};
use super::time_part::TimePart;

/// See the module's front.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) of: Of,
    pub(super) part: Option<TimePart>,
    pub(super) tests: Vec<Test>,
    /// Every test is met, each by some value; else one test by one value.
    pub(super) all: bool,
    pub(super) is_negated: bool,
}

/// Whose values are looked at.
#[derive(Debug)]
pub(super) enum Of {
    Field(Field),
    /// A keyword: the record as it came, or where it is not kept, all texts of the row.
    Row {
        raw: Option<Field>,
        texts: Vec<Field>,
    },
}

/// What a value may be held against.
#[derive(Debug)]
pub(super) enum Test {
    /// Any of these patterns: one, or a text in each of its encodings.
    Patterns(Vec<Pattern>),
    Regex(Regex),
    Cidr(IpNet),
    /// The number, or its text.
    Same(f64, String),
    Number(Order, f64),
    Field(Field, Reference),
}

/// How the values of two fields are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) how: How,
    pub(super) is_cased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Equal,
    Contains,
    StartsWith,
    EndsWith,
    Number(Order),
}

/// Buffers for the values of one row.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    value: Scratch,
    other: Scratch,
    folded: String,
    other_folded: String,
    part: String,
}

impl Item {
    /// True if the row meets it.
    pub(super) fn holds(&self, columns: &Columns<'_>, row: usize, buffers: &mut Buffers) -> bool {
        if self.is_negated && !self.of.is_there(columns, row, &mut buffers.value) {
            return false;
        }
        let holds = if self.all {
            self.tests.iter().all(|test| self.any(std::slice::from_ref(test), columns, row, buffers))
        } else {
            self.any(&self.tests, columns, row, buffers)
        };
        holds != self.is_negated
    }

    fn any(&self, tests: &[Test], columns: &Columns<'_>, row: usize, buffers: &mut Buffers) -> bool {
        let Buffers { value, other, folded, other_folded, part } = buffers;
        let mut scratch = Other { columns, row, scratch: other, folded: other_folded };
        self.of.each(columns, row, value, &mut |text, kind| {
            let text = match self.part {
                None => text,
                Some(wanted) => {
                    let Some(number) = wanted.of(text) else { return false };
                    *part = number.to_string();
                    part.as_str()
                }
            };
            fold(text, folded);
            tests.iter().any(|test| test.holds(text, folded, kind, &mut scratch))
        })
    }

    /// How much it costs to ask, beside others.
    pub(super) fn cost(&self) -> u32 {
        let own = match &self.of {
            Of::Field(field) => field.cost(),
            Of::Row { .. } => 40,
        };
        let heavy = |test: &Test| match test {
            Test::Regex(_) => 4,
            Test::Field(field, _) => field.cost(),
            _ => 0,
        };
        own + self.tests.iter().map(heavy).max().unwrap_or(0)
    }
}

impl Of {
    fn each(
        &self,
        columns: &Columns<'_>,
        row: usize,
        scratch: &mut Scratch,
        found: &mut impl FnMut(&str, Kind) -> bool,
    ) -> bool {
        match self {
            Self::Field(field) => field.each(columns, row, scratch, found),
            Self::Row { raw, texts } => match raw {
                Some(raw) if raw.is_there(columns, row, scratch) => raw.each(columns, row, scratch, found),
                _ => texts.iter().any(|field| field.each(columns, row, scratch, found)),
            },
        }
    }

    fn is_there(&self, columns: &Columns<'_>, row: usize, scratch: &mut Scratch) -> bool {
        self.each(columns, row, scratch, &mut |_, _| true)
    }
}

/// The row, for tests that look at another field of it.
struct Other<'b, 'c> {
    columns: &'b Columns<'c>,
    row: usize,
    scratch: &'b mut Scratch,
    folded: &'b mut String,
}

impl Test {
    fn holds(&self, text: &str, folded: &str, kind: Kind, other: &mut Other<'_, '_>) -> bool {
        match self {
            Self::Patterns(patterns) => {
                patterns.iter().any(|p| (kind != Kind::Inner || p.is_within()) && p.matches(text, folded))
            }
            Self::Regex(regex) => regex.is_match(text),
            _ if kind != Kind::Scalar => false,
            Self::Cidr(net) => text.parse::<IpAddr>().is_ok_and(|ip| net.contains(&ip)),
            Self::Same(number, written) => text == written || text.parse().is_ok_and(|value: f64| value == *number),
            Self::Number(order, bound) => text.parse().is_ok_and(|value| order.holds(value, *bound)),
            Self::Field(field, reference) => {
                let Other { columns, row, scratch, folded: other_folded } = other;
                field.each(columns, *row, scratch, &mut |wanted, _| {
                    fold(wanted, other_folded);
                    let (value, wanted) =
                        if reference.is_cased { (text, wanted) } else { (folded, other_folded.as_str()) };
                    reference.how.holds(value, wanted)
                })
            }
        }
    }
}

impl How {
    fn holds(self, value: &str, wanted: &str) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::Contains => value.contains(wanted),
            Self::StartsWith => value.starts_with(wanted),
            Self::EndsWith => value.ends_with(wanted),
            Self::Number(order) => match (value.parse(), wanted.parse()) {
                (Ok(value), Ok(wanted)) => order.holds(value, wanted),
                _ => false,
            },
        }
    }
}
