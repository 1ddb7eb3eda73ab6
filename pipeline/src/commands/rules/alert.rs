//! An alert over time as a line of `palisade rules run`.

use std::io::Write;

use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, ListArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use dataflow::time::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was found over a stretch of time.
#[derive(Debug, Serialize)]
struct Line<'a> {
    rule_id: &'a str,
    /// A correlation's key, or what a SQL rule selects.
    group: Value,
    window_start: String,
    window_end: String,
    /// What a correlation counted or measured.
    value: Value,
    lines: Vec<i64>,
}

/// What an alert of a correlation says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correlated {
    group: serde_json::Map<String, Value>,
    value: Value,
}

/// The rules that gave some alerts.
pub(super) fn rule_ids(alerts: &RecordBatch) -> Option<ArrayRef> {
    let analytic = alerts.column_by_name("finding_info")?.as_struct_opt()?.column_by_name("analytic")?;
    cast(analytic.as_struct_opt()?.column_by_name("uid")?, &DataType::Utf8).ok()
}

/// Prints alerts of windows and correlations, a line each.
///
/// # Errors
/// If they cannot be printed, or lack a column.
pub(super) fn print(alerts: &RecordBatch, out: &mut impl Write) -> anyhow::Result<()> {
    let columns = Columns::of(alerts).context("an alert lacks a column")?;
    for row in 0..alerts.num_rows() {
        writeln!(out, "{}", serde_json::to_string(&columns.line(row))?)?;
    }
    Ok(())
}

struct Columns {
    rules: ArrayRef,
    values: ArrayRef,
    times: [ArrayRef; 2],
    evidences: ListArray,
    /// Of each element of `evidences`.
    uids: ArrayRef,
}

impl Columns {
    fn of(alerts: &RecordBatch) -> Option<Self> {
        let evidences = alerts.column_by_name("evidences")?.as_list_opt::<i32>()?.clone();
        let uids = cast(evidences.values().as_struct_opt()?.column_by_name("uid")?, &DataType::Utf8).ok()?;
        Some(Self {
            rules: rule_ids(alerts)?,
            values: cast(alerts.column_by_name("unmapped")?, &DataType::Utf8).ok()?,
            times: [alerts.column_by_name("_window_start")?.clone(), alerts.column_by_name("_window_end")?.clone()],
            evidences,
            uids,
        })
    }

    fn line(&self, row: usize) -> Line<'_> {
        let text = self.values.as_string::<i32>().value(row);
        // A SQL rule's columns may have any name, but none of them is an object.
        let (group, value) = match serde_json::from_str(text) {
            Ok(Correlated { group, value }) => (group.into(), value),
            Err(_) => (serde_json::from_str(text).unwrap_or_default(), Value::Null),
        };
        let [start, end] = self.times.each_ref().map(|times| {
            times.as_primitive_opt::<TimestampMicrosecondType>().map_or_else(String::new, |t| rfc3339(t.value(row)))
        });
        Line {
            rule_id: self.rules.as_string::<i32>().value(row),
            group,
            window_start: start,
            window_end: end,
            value,
            lines: self.lines(row),
        }
    }

    /// The lines that its rows came from.
    fn lines(&self, row: usize) -> Vec<i64> {
        let (ends, uids): (_, &StringArray) = (self.evidences.value_offsets(), self.uids.as_string());
        let range = ends[row] as usize..ends[row + 1] as usize;
        // `events@0/0/<line>/<record>`
        let line = |i: usize| uids.value(i).rsplit('/').nth(1)?.parse().ok();
        let mut lines: Vec<i64> = range.filter_map(line).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}
