//! Exceptions: what a rule finds and nobody wants to hear of, as allow-lists with an owner, a reason and an end.
//!
//! **Data in:** exceptions files, and the rules they are for. **Data out:** for each rule conditions over what its alerts say (a
//! windowed rule's or correlation's selected columns; of a filter rule the row's own), and for each alert a [`Verdict`].
//!
//! Invariants:
//! - Whether an exception has expired is judged by the alert's own time: the event's, or the window's end. No clock is read.
//! - An alert that an exception takes away is counted; one that an expired exception would have taken leaves, and is counted too.
//! - A condition that fails on an alert takes nothing away, and that is told.
//! - They are no part of a rule's fingerprint: its window state is kept when its exceptions change.

mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::FilterPredicate;
use arrow::datatypes::{DataType, Schema};
use datafusion::error::Result as DfResult;

use crate::error::{Result, RuleError, RuleErrors};
use crate::failures::Failures;
use crate::group_table::truth;
use crate::held::{HeldAlerts, HeldBy};
use crate::rows::Rows;
use crate::rule::{Rule, RulePlan};
use crate::sql::{
    FilterPlan, PhysicalRef, SqlError, batch_condition, column_condition, nearest, row_condition, schema_of,
};

use file::ExceptionText;

/// One exception, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The file, as it was named.
    pub file: String,
    /// Its line there.
    pub line: u64,
    /// Id or name of the rule that it is for, or `*`.
    pub rule: String,
    /// SQL over what the alert says; of one that suppresses, that and for how long.
    pub condition: String,
    /// In place of a condition: for so long an alert stands for those of its key that follow, microseconds; 0 without.
    pub suppress_us: i64,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// The last day that it holds.
    pub expires: String,
    /// The first time at which it does not, microseconds UTC.
    pub until_us: i64,
    rule_at: (u64, u64),
    condition_at: (u64, u64),
    /// Of the condition's further lines.
    indent: u64,
}

impl Exception {
    /// Where it stands: `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    fn is_for(&self, rule: &Rule) -> bool {
        self.rule == "*" || self.rule.eq_ignore_ascii_case(rule.uid()) || self.rule == rule.name()
    }

    fn error(&self, (line, column): (u64, u64), what: String, suggestion: Option<String>) -> RuleError {
        RuleError { file: self.file.clone(), line, column, what, suggestion }
    }

    /// A refusal of the condition, where it stands in the file.
    fn of_condition(&self, error: SqlError) -> RuleError {
        let (line, column) = self.condition_at;
        let column = if error.line == 1 { column + error.column - 1 } else { error.column + self.indent };
        self.error((line + error.line - 1, column), error.what, error.suggestion)
    }
}

/// What the exceptions of a rule say of one alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The exception that takes it away.
    taken: Option<usize>,
    /// One that would have, had it not expired.
    expired: Option<usize>,
}

impl Verdict {
    /// True if the alert does not leave.
    pub(crate) fn is_taken(self) -> bool {
        self.taken.is_some()
    }
}

/// An exception's condition over one rule's alerts.
#[derive(Debug, Clone)]
struct Bound {
    exception: Arc<Exception>,
    place: String,
    condition: Condition,
}

#[derive(Debug, Clone)]
enum Condition {
    /// For each of the rule's tables; none where it has not the columns.
    Rows(Vec<Option<FilterPlan>>),
    Columns(PhysicalRef),
}

/// The exceptions of one rule, in the order they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exceptions {
    bound: Vec<Bound>,
    /// The entry that suppresses, if there is one: the last that is written.
    suppress: Option<Arc<Exception>>,
}

impl Exceptions {
    /// True if none takes alerts away.
    pub(crate) fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// The length that an alert stands for others, and the first time at which that is over; none if no entry says so.
    pub(crate) fn suppress(&self) -> Option<(i64, i64)> {
        self.suppress.as_ref().map(|entry| (entry.suppress_us, entry.until_us))
    }

    /// The conditions over rows.
    pub(crate) fn row_plans(&self) -> impl Iterator<Item = &FilterPlan> {
        let plans = self.bound.iter().filter_map(|bound| match &bound.condition {
            Condition::Rows(plans) => Some(plans.iter().flatten()),
            Condition::Columns(_) => None,
        });
        plans.flatten()
    }

    /// What decides which alerts they take: another text when that changes, none without exceptions.
    pub(crate) fn print(&self) -> String {
        let taken = self.bound.iter().map(|Bound { exception: e, .. }| format!("{:?} {}\n", e.condition, e.until_us));
        taken.chain(self.suppress().map(|(us, until_us)| format!("suppress {us} {until_us}\n"))).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Exception> {
        self.bound.iter().map(|bound| &*bound.exception).chain(self.suppress.as_deref())
    }

    /// Counts what a verdict says of an alert that is new.
    pub(crate) fn count(&self, rule: &Rule, verdict: Verdict, held: &mut HeldAlerts) {
        let place = |index: usize| self.bound.get(index).map(|bound| bound.place.as_str());
        match verdict {
            Verdict { taken: Some(index), .. } => held.note(rule.uid(), HeldBy::Exception, place(index)),
            Verdict { expired: Some(index), .. } => held.note(rule.uid(), HeldBy::Expired, place(index)),
            Verdict { taken: None, expired: None } => {}
        }
    }

    /// The verdict on each of some alerts, by their columns and times.
    ///
    /// # Errors
    /// If the columns are no batch.
    pub(crate) fn of_columns(
        &self,
        rule: &Rule,
        columns: &[(&str, ArrayRef)],
        times: &[i64],
        failures: &mut Failures,
    ) -> Result<Vec<Verdict>> {
        let mut verdicts = vec![Verdict::default(); times.len()];
        if self.is_empty() || times.is_empty() {
            return Ok(verdicts);
        }
        let schema = schema_of(columns.iter().map(|(name, array)| ((*name).to_owned(), array.data_type().clone())));
        let arrays = columns.iter().map(|(_, array)| array.clone()).collect();
        let batch = batch(schema, arrays, times.len())?;
        for (index, bound) in self.bound.iter().enumerate() {
            if let Condition::Columns(condition) = &bound.condition {
                bound.judge(index, &holds(rule, condition, &batch, failures), times, &mut verdicts);
            }
        }
        Ok(verdicts)
    }

    /// The verdict on each row of a table that meets a filter rule: those that `predicate` leaves of the batch.
    ///
    /// # Errors
    /// If the batch is not in its table's schema.
    pub(crate) fn of_rows(
        &self,
        rule: &Rule,
        input: usize,
        (rows, predicate): (&mut Rows<'_>, &FilterPredicate),
        times: &[i64],
        failures: &mut Failures,
    ) -> Result<Vec<Verdict>> {
        let mut verdicts = vec![Verdict::default(); times.len()];
        for (index, bound) in self.bound.iter().enumerate() {
            let Condition::Rows(plans) = &bound.condition else { continue };
            let Some(plan) = plans.get(input).and_then(Option::as_ref) else { continue };
            let batch = predicate.filter_record_batch(&rows.input(&plan.input)?)?;
            bound.judge(index, &holds(rule, &plan.predicate, &batch, failures), times, &mut verdicts);
        }
        Ok(verdicts)
    }
}

impl Exceptions {
    /// Of a filter rule, when its exceptions take a row of its table away, as SQL; none if it has no exceptions.
    ///
    /// # Errors
    /// If a condition has no such form.
    pub(crate) fn batch_sql(&self) -> std::result::Result<Option<String>, SqlError> {
        let mut parts = Vec::with_capacity(self.bound.len());
        for bound in self.bound.iter().filter(|bound| matches!(bound.condition, Condition::Rows(_))) {
            let condition = batch_condition(&bound.exception.condition)?;
            parts.push(format!("{condition} AND CAST(time AS BIGINT) < {}", bound.exception.until_us));
        }
        let any = parts.join(" OR ");
        Ok((!parts.is_empty()).then(|| format!("CASE WHEN {any} THEN true ELSE false END")))
    }
}

impl Bound {
    fn judge(&self, index: usize, holds: &[bool], times: &[i64], verdicts: &mut [Verdict]) {
        for ((holds, time), verdict) in holds.iter().zip(times).zip(verdicts) {
            let found = if *time < self.exception.until_us { &mut verdict.taken } else { &mut verdict.expired };
            if *holds {
                *found = found.or(Some(index));
            }
        }
    }
}

fn batch(schema: Schema, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.into(), columns, &options)?)
}

/// For each row whether the condition holds. Where it fails, it does not.
fn holds(rule: &Rule, condition: &PhysicalRef, rows: &RecordBatch, failures: &mut Failures) -> Vec<bool> {
    let evaluate = || -> DfResult<BooleanArray> { Ok(truth(&condition.evaluate(rows)?.into_array(rows.num_rows())?)) };
    match (evaluate(), rows.num_rows()) {
        (Ok(mask), _) => mask.values().iter().collect(),
        (Err(error), 0 | 1) => {
            failures.note(rule, &error);
            vec![false; rows.num_rows()]
        }
        (Err(_), all) => {
            let mut both = holds(rule, condition, &rows.slice(0, all / 2), failures);
            both.extend(holds(rule, condition, &rows.slice(all / 2, all - all / 2), failures));
            both
        }
    }
}

/// The exceptions of files' names and texts, and what is wrong with them.
pub(crate) fn read<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> (Vec<Arc<Exception>>, Vec<RuleError>) {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in texts {
        let (read, more) = ExceptionText { name, text }.read();
        all.extend(read.into_iter().map(Arc::new));
        errors.extend(more);
    }
    (all, errors)
}

/// Gives each rule its exceptions.
///
/// # Errors
/// Exceptions for no rule that is loaded, and conditions that are none of the rule's.
pub(crate) fn bind(rules: &mut [Rule], exceptions: &[Arc<Exception>]) -> std::result::Result<(), RuleErrors> {
    let mut errors = Vec::new();
    for exception in exceptions {
        errors.extend(bind_one(rules, exception).err());
    }
    if errors.is_empty() { Ok(()) } else { Err(RuleErrors(errors)) }
}

fn bind_one(rules: &mut [Rule], exception: &Arc<Exception>) -> std::result::Result<(), RuleError> {
    let names: Vec<String> = rules.iter().map(|rule| rule.name().to_owned()).collect();
    let (mut bound, mut refused) = (false, None);
    for rule in rules.iter_mut().filter(|rule| exception.is_for(rule)) {
        if exception.suppress_us > 0 {
            match rule.may_suppress() {
                Ok(()) => (rule.exceptions.suppress, bound) = (Some(exception.clone()), true),
                Err((what, way_out)) => {
                    let what = format!("{}: {what}", rule.name());
                    refused = refused.or(Some(exception.error(exception.condition_at, what, Some(way_out.to_owned()))));
                }
            }
            continue;
        }
        match condition(rule, &exception.condition) {
            Ok(condition) => {
                let place = exception.place();
                rule.exceptions.bound.push(Bound { exception: exception.clone(), place, condition });
                bound = true;
            }
            // One for all rules is for those that have its columns.
            Err(error) => refused = refused.or(Some(exception.of_condition(error))),
        }
    }
    match refused {
        _ if bound => Ok(()),
        Some(error) => Err(error),
        None => {
            let near = nearest(&exception.rule, names.iter().map(String::as_str));
            let what = format!("no rule {} is loaded", exception.rule);
            Err(exception.error(exception.rule_at, what, near.map(|near| format!("did you mean {near}?"))))
        }
    }
}

fn condition(rule: &Rule, text: &str) -> std::result::Result<Condition, SqlError> {
    let columns = match &rule.plan {
        RulePlan::Filter(_) => return rows_condition(rule, text),
        RulePlan::Window(plan) => {
            let kind = |e: &PhysicalRef| e.data_type(&plan.output.schema).unwrap_or(DataType::Null);
            schema_of(plan.output.projection.iter().map(|(name, e)| (name.clone(), kind(e))))
        }
        RulePlan::Correlation(plan) => schema_of(plan.alert_columns()),
        RulePlan::Watch(plan) => {
            schema_of(plan.alert_columns().into_iter().map(|(name, kind)| (name.to_owned(), kind)))
        }
    };
    column_condition(columns, text).map(Condition::Columns)
}

fn rows_condition(rule: &Rule, text: &str) -> std::result::Result<Condition, SqlError> {
    let planned: Vec<_> = rule.tables().iter().map(|table| row_condition(*table, text)).collect();
    if planned.iter().any(|plan| plan.is_ok()) {
        return Ok(Condition::Rows(planned.into_iter().map(std::result::Result::ok).collect()));
    }
    let refused = planned.into_iter().find_map(std::result::Result::err);
    Err(refused.unwrap_or(SqlError { line: 1, column: 1, what: "the rule reads no table".into(), suggestion: None }))
}
