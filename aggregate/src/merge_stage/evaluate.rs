//! A window's groups: panes merged, HAVING and SELECT applied.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int64Type;
use dataflow::schema::UTC;
use datafusion::error::Result as DfResult;

use super::given::AlertKey;
use crate::alert::{Hot, selected};
use crate::codes::Codes;
use crate::error::{AggregateError, Result};
use crate::evidence::{Evidence, EvidenceRow, StateColumns};
use crate::exception::Verdict;
use crate::failures::Failures;
use crate::group_table::{GroupTable, StateLayout, truth};
use crate::json::row_json;
use crate::rule::Rule;
use crate::sql::{OutputKey, PhysicalRef, WindowPlan};

/// One group of a window that has, or had, an alert.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(super) tenant: String,
    /// The key columns as a JSON list.
    pub(super) key: String,
    /// Start and end.
    pub(super) window: (i64, i64),
    /// HAVING holds.
    pub(super) passes: bool,
    /// What exceptions say of it; nothing where HAVING does not hold.
    pub(super) verdict: Verdict,
    /// The selected columns as a JSON object.
    pub(super) values: String,
    pub(super) hot: Hot,
    pub(super) evidence: Vec<EvidenceRow>,
}

/// One evaluation: of one window, or of sessions.
pub(super) struct Question<'a> {
    pub(super) rule: &'a Rule,
    pub(super) plan: &'a Arc<WindowPlan>,
    pub(super) layout: &'a StateLayout,
    /// The window's start and end; none if each group is a session, whose number stands before the tenant.
    pub(super) window: Option<(i64, i64)>,
    /// States of its panes, of the keys that are asked about.
    pub(super) states: Vec<RecordBatch>,
    /// Whether an alert of a key and window stands, or is held back.
    pub(super) stands: &'a dyn Fn(&AlertKey, (i64, i64)) -> bool,
}

/// The groups for which HAVING holds, and those whose alert stands though it does not; in the order of tenant, key and window.
pub(super) fn evaluate(mut question: Question<'_>, failures: &mut Failures) -> Result<Vec<Evaluated>> {
    if question.states.is_empty() {
        return Ok(Vec::new());
    }
    let states = std::mem::take(&mut question.states);
    let (question, plan) = (&question, question.plan);
    let failed = AggregateError::evaluate(question.rule.uid());
    let mut codes = Codes::default();
    let (mut table, states) = merged(question, states, &mut codes)?;
    let (mut groups, mut results) = table.take_results(&codes).map_err(&failed)?;
    let windows = windows(question, &mut groups, &mut results);
    let output = output_batch(plan, &groups, results, &windows)?;
    failures.ask(question.rule, output.num_rows(), Duration::ZERO);
    let mut passes = Vec::with_capacity(output.num_rows());
    judge(question, &output, &mut passes, failures);
    let rows = question.wanted(&groups, &windows, &passes);
    let (rows, columns) = project(question, &output, rows, failures)?;
    let evidence = evidence(question, &states, &rows, passes.len());
    // A window belongs to the day that it ends in, midnight itself to the day before.
    let times: Vec<i64> = rows.iter().map(|&row| windows[row as usize].1 - 1).collect();
    let verdicts = question.rule.exceptions.of_columns(question.rule, &columns, &times, failures)?;
    let mut all: Vec<Evaluated> = Vec::with_capacity(rows.len());
    for (i, &row) in rows.iter().enumerate() {
        let row = row as usize;
        let (tenant, key) = alert_key(&groups, row);
        let (values, hot) = selected(&columns, i);
        let (window, passes) = (windows[row], passes[row]);
        let verdict = if passes { verdicts[i] } else { Verdict::default() };
        all.push(Evaluated { tenant, key, window, passes, verdict, values, hot, evidence: evidence.of(i) });
    }
    all.sort_by(|a, b| (&a.tenant, &a.key, a.window).cmp(&(&b.tenant, &b.key, b.window)));
    Ok(all)
}

/// A state batch and the group of each of its rows.
type Grouped = (RecordBatch, Vec<usize>);

fn merged(question: &Question<'_>, states: Vec<RecordBatch>, codes: &mut Codes) -> Result<(GroupTable, Vec<Grouped>)> {
    let failed = AggregateError::evaluate(question.rule.uid());
    let mut table = GroupTable::new(question.plan, question.layout.clone(), 0).map_err(&failed)?;
    let mut grouped = Vec::with_capacity(states.len());
    for state in states {
        let groups = table.merge_aggregates(&state, codes).map_err(&failed)?.to_vec();
        grouped.push((state, groups));
    }
    Ok((table, grouped))
}

/// Evidence of the groups in `rows`, in their order: of all others it is not even merged.
fn evidence(question: &Question<'_>, states: &[Grouped], rows: &[u32], groups: usize) -> Evidence {
    let mut place: Vec<Option<usize>> = vec![None; groups];
    for (i, &row) in rows.iter().enumerate() {
        place[row as usize] = Some(i);
    }
    let inputs = question.plan.inputs.len();
    let mut evidence = Evidence::new(question.rule.evidence(), inputs);
    for (state, groups) in states.iter().filter(|_| !rows.is_empty()) {
        let pairs = groups.iter().enumerate().filter_map(|(row, &group)| Some((row, place[group]?)));
        evidence.merge(&StateColumns::of(state, inputs), pairs, rows.len());
    }
    evidence
}

/// The window of each group. Of sessions their numbers and the times of their first and last rows are taken out: the rule knows
/// of neither.
fn windows(question: &Question<'_>, groups: &mut Vec<ArrayRef>, results: &mut Vec<ArrayRef>) -> Vec<(i64, i64)> {
    if let Some(window) = question.window {
        return vec![window; groups[0].len()];
    }
    groups.remove(0);
    let bounds = results.split_off(results.len() - 2);
    let [first, last] = [&bounds[0], &bounds[1]].map(|times| times.as_primitive::<Int64Type>().values());
    let spec = question.plan.spec;
    first.iter().zip(last).map(|(first, last)| (*first, spec.session_end(*last))).collect()
}

/// What the aggregate of the plan would give: group columns with the window's bounds, then results.
fn output_batch(
    plan: &WindowPlan,
    groups: &[ArrayRef],
    results: Vec<ArrayRef>,
    windows: &[(i64, i64)],
) -> Result<RecordBatch> {
    let time = |of: fn(&(i64, i64)) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(windows.iter().map(of)).with_timezone(UTC))
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.output.schema.fields().len());
    for key in &plan.output.group {
        columns.push(match key {
            OutputKey::Key(index) => groups[index + 1].clone(),
            OutputKey::WindowStart => time(|window| window.0),
            OutputKey::WindowEnd => time(|window| window.1),
            OutputKey::WindowTime => time(|window| window.1 - 1),
        });
    }
    columns.extend(results);
    let options = RecordBatchOptions::new().with_row_count(Some(windows.len()));
    Ok(RecordBatch::try_new_with_options(plan.output.schema.clone(), columns, &options)?)
}

/// Appends for each group whether HAVING holds. Where it fails, it does not hold, and that is told.
fn judge(question: &Question<'_>, output: &RecordBatch, passes: &mut Vec<bool>, failures: &mut Failures) {
    let rows = output.num_rows();
    match having(question.plan, output) {
        Ok(mask) => passes.extend(mask.values()),
        Err(error) if rows == 1 => {
            failures.note(question.rule, &error);
            passes.push(false);
        }
        Err(_) => {
            judge(question, &output.slice(0, rows / 2), passes, failures);
            judge(question, &output.slice(rows / 2, rows - rows / 2), passes, failures);
        }
    }
}

fn having(plan: &WindowPlan, output: &RecordBatch) -> DfResult<BooleanArray> {
    match &plan.output.having {
        None => Ok(BooleanArray::from(vec![true; output.num_rows()])),
        Some(having) => Ok(truth(&having.evaluate(output)?.into_array(output.num_rows())?)),
    }
}

impl Question<'_> {
    fn wanted(&self, groups: &[ArrayRef], windows: &[(i64, i64)], passes: &[bool]) -> Vec<u32> {
        let is_wanted = |row: &usize| passes[*row] || (self.stands)(&alert_key(groups, *row), windows[*row]);
        (0..passes.len()).filter(is_wanted).map(|row| row as u32).collect()
    }
}

fn alert_key(groups: &[ArrayRef], row: usize) -> AlertKey {
    let keys: Vec<&dyn Array> = groups[1..].iter().map(AsRef::as_ref).collect();
    (groups[0].as_string::<i32>().value(row).to_owned(), row_json(&keys, row))
}

/// Columns by name.
type Columns<'a> = Vec<(&'a str, ArrayRef)>;

/// The selected columns of some groups. Groups on which SELECT fails are told and left out.
fn project<'a>(
    question: &Question<'a>,
    output: &RecordBatch,
    mut rows: Vec<u32>,
    failures: &mut Failures,
) -> Result<(Vec<u32>, Columns<'a>)> {
    let plan = question.plan;
    if let Ok(columns) = columns(plan, output, &rows) {
        return Ok((rows, columns));
    }
    rows.retain(|&row| match columns(plan, output, &[row]) {
        Ok(_) => true,
        Err(error) => {
            failures.note(question.rule, &error);
            false
        }
    });
    let columns = columns(plan, output, &rows).map_err(AggregateError::evaluate(question.rule.uid()))?;
    Ok((rows, columns))
}

fn columns<'a>(plan: &'a WindowPlan, output: &RecordBatch, rows: &[u32]) -> DfResult<Columns<'a>> {
    let output = take_record_batch(output, &UInt32Array::from(rows.to_vec()))?;
    let evaluate =
        |(name, e): &'a (String, PhysicalRef)| Ok((name.as_str(), e.evaluate(&output)?.into_array(output.num_rows())?));
    plan.output.projection.iter().map(evaluate).collect()
}
