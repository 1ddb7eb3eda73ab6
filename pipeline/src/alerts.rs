//! Alerts leave here, once their ledger entry exists: counted, timed, and shown to whoever watches.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use dataflow::TableBatch;

use crate::shard::ShardContext;

/// Announces durable alerts. `oldest_us` is the receipt of the oldest event behind them; without it each alert stands
/// for its own event and carries that event's receipt.
pub(crate) fn announce(alerts: &TableBatch, now_us: i64, oldest_us: Option<i64>, context: &ShardContext) {
    let rows = &alerts.rows;
    let received = rows.column_by_name("_received_at").map(|c| c.as_primitive::<TimestampMicrosecondType>());
    for row in 0..rows.num_rows() {
        let since = oldest_us.or_else(|| received.map(|r| r.value(row))).unwrap_or(now_us);
        context.flight.alert(since, now_us, 1);
        let kind = if activity(rows, row) == 1 { "create" } else { "update" };
        let rule = nested_text(rows, &["finding_info", "analytic", "uid"], row).unwrap_or_default();
        context.telemetry.alerts.with_label_values(&[&rule, kind]).inc();
        if let Some(title) = nested_text(rows, &["finding_info", "title"], row) {
            tracing::info!(rule, kind, title, "alert");
        }
    }
}

fn activity(rows: &RecordBatch, row: usize) -> i32 {
    rows.column_by_name("activity_id").map_or(0, |c| c.as_primitive::<Int32Type>().value(row))
}

/// The text at a path of nested columns, if the row has one.
fn nested_text(rows: &RecordBatch, path: &[&str], row: usize) -> Option<String> {
    let (first, rest) = path.split_first()?;
    let mut column = rows.column_by_name(first)?.clone();
    for name in rest {
        column = column.as_struct_opt()?.column_by_name(name)?.clone();
    }
    if column.is_null(row) {
        return None;
    }
    if let Some(keys) = column.as_dictionary_opt::<Int32Type>() {
        let values = keys.values().as_string::<i32>();
        return Some(values.value(usize::try_from(keys.keys().value(row)).ok()?).to_owned());
    }
    Some(column.as_string_opt::<i32>()?.value(row).to_owned())
}
