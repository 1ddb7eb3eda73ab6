//! What rules were asked, and the rows and groups on which an expression of theirs failed, e.g. a division by zero.
//!
//! Those do not match; they are counted, and the first reason is kept. The rest of the batch is evaluated all the same, so
//! no sender can stop a rule, or the pipeline, with one row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::DataFusionError;

use crate::rule::{Rule, RuleSet};

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

/// What one rule was asked in a range or a step.
#[derive(Debug, Clone)]
pub struct RuleWork {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Rows of its tables, or groups of its windows.
    pub asked: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How long that took; zero where no clock was given.
    pub spent: Duration,
}

/// Failures and work since they were last taken, by rule.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    failed: BTreeMap<String, RuleFailure>,
    asked: BTreeMap<String, (u64, Duration)>,
}

impl Failures {
    /// Counts a failure.
    pub(crate) fn note(&mut self, rule: &Rule, error: &DataFusionError) {
        let uid = rule.uid().to_owned();
        let new = || RuleFailure { rule: rule.uid().to_owned(), rows: 0, error: error.strip_backtrace() };
        self.failed.entry(uid).or_insert_with(new).rows += 1;
    }

    /// Counts rows or groups that a rule was asked about.
    pub(crate) fn ask(&mut self, rule: &Rule, rows: usize, spent: Duration) {
        match self.asked.get_mut(rule.uid()) {
            Some(known) => *known = (known.0 + rows as u64, known.1 + spent),
            None => drop(self.asked.insert(rule.uid().to_owned(), (rows as u64, spent))),
        }
    }

    /// The failures, and the work of these rules; none is held afterwards.
    pub(crate) fn take(&mut self, rules: &RuleSet) -> (Vec<RuleFailure>, Vec<RuleWork>) {
        let Self { failed, asked } = std::mem::take(self);
        let work = rules.rules().iter().filter_map(|rule| {
            let (asked, spent) = *asked.get(rule.uid())?;
            let failed = failed.get(rule.uid()).map_or(0, |failure| failure.rows);
            Some(RuleWork { rule: rule.clone(), asked, failed, spent })
        });
        let work = work.collect();
        (failed.into_values().collect(), work)
    }
}
