//! Alerts leave here, once their ledger entry exists: counted, timed, and shown to whoever watches.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::TableBatch;
use loadgen::AlertSeen;
use uuid::Uuid;

use crate::live::{Announced, RECENT_MAX, Recent};
use crate::shard::ShardContext;
use crate::tap::Stage;
use crate::traces::Span;

/// Alerts of one entry that have a span each; of a flood its entry says how many there were.
const TRACED_MAX: usize = 100;

/// The ids of alerts, for the entry that will hold them.
pub(crate) fn ids(alerts: &TableBatch) -> Vec<String> {
    (0..alerts.rows.num_rows()).filter_map(|row| nested_text(&alerts.rows, &["finding_info", "uid"], row)).collect()
}

/// Announces durable alerts. `oldest_us` is the receipt of the oldest event behind them; without it each alert stands
/// for its own event and carries that event's receipt. `attempt` is that of their entry.
pub(crate) fn announce(
    alerts: &TableBatch,
    (attempt, now_us): (Uuid, i64),
    oldest_us: Option<i64>,
    context: &ShardContext,
) {
    let rows = &alerts.rows;
    context.telemetry.taps.offer(Stage::Alerts, alerts.table.name(), || rows.clone());
    let received = rows.column_by_name("_received_at").map(|c| c.as_primitive::<TimestampMicrosecondType>());
    for row in 0..rows.num_rows() {
        let since = oldest_us.or_else(|| received.map(|r| r.value(row))).unwrap_or(now_us);
        context.flight.alert(since, now_us, 1);
        let kind = if activity(rows, row) == 1 { "create" } else { "update" };
        let rule = nested_text(rows, &["finding_info", "analytic", "uid"], row).unwrap_or_default();
        context.telemetry.alerts.with_label_values(&[&rule, kind]).inc();
        let alert = seen(rows, row, context);
        let text = |path: &[&str]| nested_text(rows, path, row).unwrap_or_default();
        let recent = Recent {
            revision: text(&["metadata", "uid"]),
            at_us: now_us,
            title: text(&["finding_info", "title"]),
            rule: alert.rule.clone(),
            tenant: alert.tenant.clone(),
            severity: text(&["severity"]).to_lowercase(),
            kind,
            key: alert
                .key
                .iter()
                .filter(|(name, _)| !name.starts_with('_'))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            // Of a flood the last ones stay in view.
            row: (rows.num_rows() - row <= RECENT_MAX).then(|| copy(rows, row)).flatten(),
        };
        tracing::info!(rule, kind, title = recent.title, "alert");
        if row < TRACED_MAX {
            context.telemetry.traces.tell(|| {
                let span = Span::part("alert", attempt, (since, now_us)).with("palisade.rule", rule.as_str());
                span.with("palisade.alert", recent.revision.as_str()).with("palisade.kind", kind)
            });
        }
        context.telemetry.feed.announce(Announced { alert, at_us: now_us }, recent);
    }
}

/// A row that does not hold on to the others.
fn copy(rows: &RecordBatch, row: usize) -> Option<RecordBatch> {
    take_record_batch(rows, &UInt32Array::from(vec![u32::try_from(row).ok()?])).ok()
}

/// The alert as the fleet's scorer takes it: see [`crate::account::alerts`], which reads the same from the table.
fn seen(rows: &RecordBatch, row: usize, context: &ShardContext) -> AlertSeen {
    let uid = nested_text(rows, &["finding_info", "analytic", "uid"], row).unwrap_or_default();
    let rule = context.rules.set().rules().iter().find(|r| r.uid() == uid);
    let named = |name: &str| Some((name.to_owned(), nested_text(rows, &[name], row)?));
    let mut key: BTreeMap<String, String> = ["src_ip", "dst_ip", "user_name"].into_iter().filter_map(named).collect();
    key.extend(number(rows, "dst_port", row).map(|port| ("dst_port".to_owned(), port.to_string())));
    let at = |name: &str| {
        let times = rows.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        times.is_valid(row).then(|| times.value(row))
    };
    let time = at("time").unwrap_or_default();
    if at("start_time").is_none() {
        let offset = rows.column_by_name("_offset").map_or(0, |c| c.as_primitive::<Int64Type>().value(row));
        key.insert("_offset".to_owned(), (offset & 0xffff_ffff).to_string());
        key.extend(number(rows, "_partition_id", row).map(|n| ("_partition_id".to_owned(), n.to_string())));
        key.extend(number(rows, "_record", row).map(|n| ("_record".to_owned(), n.to_string())));
    }
    AlertSeen {
        rule: rule.map_or(uid.as_str(), |r| r.name()).to_owned(),
        tenant: nested_text(rows, &["tenant_uid"], row).unwrap_or_default(),
        key,
        window_start: at("start_time").unwrap_or(time),
        window_end: at("end_time").unwrap_or(time),
    }
}

fn number(rows: &RecordBatch, name: &str, row: usize) -> Option<i32> {
    let column = rows.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
    column.is_valid(row).then(|| column.value(row))
}

fn activity(rows: &RecordBatch, row: usize) -> i32 {
    rows.column_by_name("activity_id").map_or(0, |c| c.as_primitive::<Int32Type>().value(row))
}

/// The text at a path of nested columns, if the row has one.
pub(crate) fn nested_text(rows: &RecordBatch, path: &[&str], row: usize) -> Option<String> {
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
