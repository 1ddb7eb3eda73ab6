//! A hit: one row that met a rule of a correlation, or one finding of a correlation below, as a key holds it.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Kind, Node};
use crate::evidence::EvidenceRow;

/// See the module's front.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    /// When it counts, microseconds.
    pub(super) time: i64,
    /// Which of the correlation's rules was met.
    pub(super) reference: u16,
    pub(super) value: Value,
    /// What it gives the correlations above, the nearest first.
    pub(super) later: Box<[Later]>,
    /// The rows it stands for: of a row itself one.
    pub(super) rows: Rows,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rows {
    One(EvidenceRow),
    Many(Box<[EvidenceRow]>),
}

impl Rows {
    pub(super) fn as_slice(&self) -> &[EvidenceRow] {
        match self {
            Rows::One(row) => std::slice::from_ref(row),
            Rows::Many(rows) => rows,
        }
    }
}

/// What a hit gives a correlation above its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    pub(super) key: Arc<str>,
    pub(super) value: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Text(Arc<str>),
    Number(f64),
}

impl Value {
    /// The value that a correlation takes from a text; none if it takes one and this is none: the hit then does not count.
    pub(super) fn of(node: &Node, text: Option<&str>) -> Option<Value> {
        match (node.kind, text) {
            (Kind::ValueCount, text) => text.map(|text| Value::Text(text.into())),
            (kind, text) if kind.is_number() => text.and_then(number).map(Value::Number),
            _ => Some(Value::None),
        }
    }

    pub(super) fn number(&self) -> f64 {
        if let Value::Number(number) = self { *number } else { 0.0 }
    }
}

/// A text that is a finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

impl Hit {
    /// By time, then by what cannot change: identity and rule.
    pub(super) fn order(&self, other: &Hit) -> Ordering {
        let rank = |hit: &Hit| (hit.time, hit.reference);
        rank(self).cmp(&rank(other)).then_with(|| self.rows.as_slice().cmp(other.rows.as_slice()))
    }

    /// Bytes held, roughly.
    pub(super) fn bytes(&self) -> usize {
        let value = if let Value::Text(text) = &self.value { text.len() } else { 0 };
        let later = self.later.iter().map(|l| 48 + l.key.len() + l.value.as_ref().map_or(0, |v| v.len()));
        let many = if let Rows::Many(rows) = &self.rows { rows.len() * size_of::<EvidenceRow>() } else { 0 };
        size_of::<Hit>() + value + later.sum::<usize>() + many
    }
}
