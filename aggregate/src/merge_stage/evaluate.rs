//! A window's groups: panes merged, HAVING and SELECT applied.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::row::{RowConverter, SortField};
use dataflow::schema::UTC;
use datafusion::error::Result as DfResult;

use super::rule_state::AlertKey;
use crate::alert::{Hot, selected};
use crate::error::{AggregateError, Result};
use crate::evidence::EvidenceRow;
use crate::group_table::{GroupTable, StateLayout, truth};
use crate::late::list_json;
use crate::rule::Rule;
use crate::sql::{OutputKey, WindowPlan};

/// Keys as bytes that are equal where the keys are.
pub(super) type Keys = HashSet<Box<[u8]>>;

/// One group of a window that has, or had, an alert.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(super) tenant: String,
    /// The key columns as a JSON list.
    pub(super) key: String,
    /// HAVING holds.
    pub(super) passes: bool,
    /// The selected columns as a JSON object.
    pub(super) values: String,
    pub(super) hot: Hot,
    pub(super) evidence: Vec<EvidenceRow>,
}

/// The groups for which HAVING holds, and those whose alert `stands` though it does not; in the order of tenant and key.
/// Only groups among `changed`, if given.
pub(super) fn evaluate(
    rule: &Rule,
    plan: &Arc<WindowPlan>,
    layout: &StateLayout,
    start: i64,
    states: &[&RecordBatch],
    changed: Option<&Keys>,
    stands: Option<&dyn Fn(&AlertKey) -> bool>,
) -> Result<Vec<Evaluated>> {
    let failed = AggregateError::evaluate(rule.uid());
    let mut table = GroupTable::new(plan, layout.clone(), rule.evidence()).map_err(&failed)?;
    for state in states {
        match changed {
            None => table.merge(state).map_err(&failed)?,
            Some(keys) => table.merge(&among(layout, state, keys)?).map_err(&failed)?,
        }
    }
    if table.len() == 0 {
        return Ok(Vec::new());
    }
    let (groups, results) = table.take_results().map_err(&failed)?;
    let window = (start, start + plan.spec.size);
    let output = output_batch(plan, &groups, results, window)?;
    let passes = having(plan, &output).map_err(&failed)?;
    let rows = wanted(&groups, &passes, stands);
    let columns = project(plan, &output, &rows).map_err(&failed)?;
    let columns: Vec<(&str, ArrayRef)> = columns.iter().map(|(n, a)| (*n, a.clone())).collect();
    let mut all: Vec<Evaluated> = Vec::with_capacity(rows.len());
    for (i, &row) in rows.iter().enumerate() {
        let (tenant, key) = alert_key(&groups, row as usize);
        let (values, hot) = selected(&columns, i);
        let (passes, evidence) = (passes.value(row as usize), table.evidence.of(row as usize));
        all.push(Evaluated { tenant, key, passes, values, hot, evidence });
    }
    all.sort_by(|a, b| (&a.tenant, &a.key).cmp(&(&b.tenant, &b.key)));
    Ok(all)
}

/// The keys of a state batch.
pub(super) fn key_bytes(layout: &StateLayout, state: &RecordBatch) -> Result<Vec<Box<[u8]>>> {
    let fields = layout.schema.fields()[..layout.group].iter().map(|f| SortField::new(f.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let rows = converter.convert_columns(&state.columns()[..layout.group])?;
    Ok(rows.iter().map(|row| row.as_ref().into()).collect())
}

/// The rows of a state whose key is among `keys`.
fn among(layout: &StateLayout, state: &RecordBatch, keys: &Keys) -> Result<RecordBatch> {
    let mask: BooleanArray = key_bytes(layout, state)?.iter().map(|key| Some(keys.contains(key))).collect();
    Ok(filter_record_batch(state, &mask)?)
}

/// What the aggregate of the plan would give: group columns with the window's bounds, then results.
fn output_batch(
    plan: &WindowPlan,
    groups: &[ArrayRef],
    results: Vec<ArrayRef>,
    window: (i64, i64),
) -> Result<RecordBatch> {
    let rows = groups[0].len();
    let time = |us: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![us; rows]).with_timezone(UTC)) };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.output.schema.fields().len());
    for key in &plan.output.group {
        columns.push(match key {
            OutputKey::Key(index) => groups[index + 1].clone(),
            OutputKey::WindowStart => time(window.0),
            OutputKey::WindowEnd => time(window.1),
            OutputKey::WindowTime => time(window.1 - 1),
        });
    }
    columns.extend(results);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(plan.output.schema.clone(), columns, &options)?)
}

fn having(plan: &WindowPlan, output: &RecordBatch) -> DfResult<BooleanArray> {
    match &plan.output.having {
        None => Ok(BooleanArray::from(vec![true; output.num_rows()])),
        Some(having) => Ok(truth(&having.evaluate(output)?.into_array(output.num_rows())?)),
    }
}

fn wanted(groups: &[ArrayRef], passes: &BooleanArray, stands: Option<&dyn Fn(&AlertKey) -> bool>) -> Vec<u32> {
    let had = |row: usize| stands.is_some_and(|stands| stands(&alert_key(groups, row)));
    (0..passes.len()).filter(|&row| passes.value(row) || had(row)).map(|row| row as u32).collect()
}

fn alert_key(groups: &[ArrayRef], row: usize) -> AlertKey {
    let keys: Vec<&dyn Array> = groups[1..].iter().map(AsRef::as_ref).collect();
    (groups[0].as_string::<i32>().value(row).to_owned(), list_json(&keys, row))
}

fn project<'a>(plan: &'a WindowPlan, output: &RecordBatch, rows: &[u32]) -> DfResult<Vec<(&'a str, ArrayRef)>> {
    let output = take_record_batch(output, &UInt32Array::from(rows.to_vec()))?;
    let evaluate = |(name, e): &'a (String, Arc<dyn datafusion::physical_expr::PhysicalExpr>)| {
        Ok((name.as_str(), e.evaluate(&output)?.into_array(output.num_rows())?))
    };
    plan.output.projection.iter().map(evaluate).collect()
}
