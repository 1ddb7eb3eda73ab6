//! Rows and groups on which a rule's expression failed, e.g. a division by zero.
//!
//! They do not match; they are counted, and the first reason is kept. The rest of the batch is evaluated all the same, so
//! no sender can stop a rule, or the pipeline, with one row.

use std::collections::BTreeMap;

use datafusion::error::DataFusionError;

use crate::rule::Rule;

/// What one rule could not evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFailure {
    /// The rule's uid.
    pub rule: String,
    /// Rows of a batch, or groups of a window.
    pub rows: u64,
    /// Why the first of them failed.
    pub error: String,
}

/// Failures since they were last taken, by rule.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<String, RuleFailure>);

impl Failures {
    /// Counts one.
    pub(crate) fn note(&mut self, rule: &Rule, error: &DataFusionError) {
        let uid = rule.uid().to_owned();
        let new = || RuleFailure { rule: rule.uid().to_owned(), rows: 0, error: error.strip_backtrace() };
        self.0.entry(uid).or_insert_with(new).rows += 1;
    }

    /// The failures; none are held afterwards.
    pub(crate) fn take(&mut self) -> Vec<RuleFailure> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}
