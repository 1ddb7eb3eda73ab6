//! The fields of a VPC flow log: which there are, which a log has, and what a line of them looks like.
//!
//! A flow log has the default format, that of a later version, or one of its owner's making: any of the fields in any order.
//! A line of field names stands at the head of a file. Records are decoded without looking at others, so that any split of
//! them gives the same result: the source says with each part of a file what the file begins with. Where there is no file,
//! configuration names the fields, or the line's own values tell which version's list they are.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

/// What `vpc_flow.fields` says of each field.
pub(super) const TABLE: &str = include_str!("vpc_flow.fields");

/// Fields of the default format, the first of the list.
const DEFAULT_FIELDS: usize = 14;

/// How many fields of the list each version has, from version 3 on: a log of all fields names them in the list's order.
pub(super) const VERSIONS: [usize; 7] = [21, 25, 29, 39, 40, 41, 42];

/// Every field's name.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_ascii_whitespace().next()).collect()
});

/// How many values must have their field's own shape before a line of text is taken for a flow.
const TELLING_VALUES: usize = 3;

/// The fields of a VPC flow log, in order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct FlowFields(Vec<&'static str>);

impl Default for FlowFields {
    /// The default format: version 2.
    fn default() -> Self {
        Self::first(DEFAULT_FIELDS)
    }
}

/// Why a list of fields describes no flow log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowFieldsError {
    /// A name that no version has.
    #[error("{0:?} is not a field of a VPC flow log")]
    Unknown(String),
    /// A field named twice.
    #[error("{0:?} stands twice")]
    Twice(String),
    /// No record would have a time.
    #[error("neither start nor end is among the fields: no record would have a time")]
    NoTime,
}

impl TryFrom<Vec<String>> for FlowFields {
    type Error = FlowFieldsError;

    fn try_from(names: Vec<String>) -> Result<Self, FlowFieldsError> {
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let known = NAMES.iter().find(|n| **n == name).copied();
            match known {
                None => return Err(FlowFieldsError::Unknown(name)),
                Some(known) if fields.contains(&known) => return Err(FlowFieldsError::Twice(name)),
                Some(known) => fields.push(known),
            }
        }
        if ["start", "end"].iter().any(|time| fields.contains(time)) {
            return Ok(Self(fields));
        }
        Err(FlowFieldsError::NoTime)
    }
}

impl fmt::Display for FlowFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl FlowFields {
    /// The fields that a line of names names; none if it is no such line.
    pub(super) fn of_header(line: &str) -> Option<Self> {
        is_header(line).then(|| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().ok())?
    }

    /// The first fields of the list.
    pub(super) fn first(count: usize) -> Self {
        Self(NAMES[..count].to_vec())
    }

    /// The names, in order.
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }

    /// What the values of each field look like.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        self.0.iter().map(|name| Shape::of(name)).collect()
    }
}

/// The values of a line: those at a single `-` are empty.
pub(super) fn values(line: &str) -> impl Iterator<Item = &str> {
    line.split_ascii_whitespace().map(|value| if value == "-" { "" } else { value })
}

/// True if the line is nothing but field names, a time among them.
pub(super) fn is_header(line: &str) -> bool {
    let names = || line.split_ascii_whitespace();
    line.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && names().all(|name| NAMES.contains(&name))
        && names().any(|name| matches!(name, "start" | "end"))
        && names().nth(1).is_some()
}

/// True if the line has a value for each field, none that its field cannot have, and enough that tell.
pub(super) fn is_flow(line: &str, shapes: &[Shape]) -> bool {
    let (mut count, mut telling) = (0, 0);
    // Nearly every other line differs with its first value.
    let first = line.bytes().next().filter(u8::is_ascii_graphic);
    if let (Some(Shape::Number), Some(first)) = (shapes.first(), first)
        && !first.is_ascii_digit()
        && first != b'-'
    {
        return false;
    }
    for value in values(line) {
        let Some(shape) = shapes.get(count) else { return false };
        if !value.is_empty() {
            if !shape.fits(value) {
                return false;
            }
            telling += usize::from(*shape != Shape::Any);
        }
        count += 1;
    }
    count == shapes.len() && telling >= TELLING_VALUES
}

/// What the values of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Any,
    Number,
    Address,
    /// Twelve digits; `unknown` is written for some networks.
    Account,
    /// An identifier that begins so.
    Id(&'static str),
    Words(&'static [&'static str]),
}

impl Shape {
    fn of(field: &str) -> Self {
        match field {
            "version" | "srcport" | "dstport" | "protocol" | "packets" | "bytes" | "start" | "end" | "tcp-flags"
            | "traffic-path" => Self::Number,
            "srcaddr" | "dstaddr" | "pkt-srcaddr" | "pkt-dstaddr" => Self::Address,
            "account-id" => Self::Account,
            "interface-id" => Self::Id("eni-"),
            "vpc-id" => Self::Id("vpc-"),
            "subnet-id" => Self::Id("subnet-"),
            "instance-id" => Self::Id("i-"),
            "action" => Self::Words(&["ACCEPT", "REJECT"]),
            "log-status" => Self::Words(&["OK", "NODATA", "SKIPDATA"]),
            "flow-direction" => Self::Words(&["ingress", "egress"]),
            "type" => Self::Words(&["IPv4", "IPv6", "EFA"]),
            _ => Self::Any,
        }
    }

    fn fits(self, value: &str) -> bool {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        match self {
            Self::Any => true,
            Self::Number => digits(value),
            Self::Address => value.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':')),
            Self::Account => value == "unknown" || (value.len() == 12 && digits(value)),
            Self::Id(head) => value.starts_with(head),
            Self::Words(words) => words.contains(&value),
        }
    }
}

#[cfg(test)]
mod tests;
