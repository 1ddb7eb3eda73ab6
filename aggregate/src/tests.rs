//! Rows, rules and readers for this crate's tests.

use std::num::NonZeroU32;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use dataflow::json::JsonRows;
use dataflow::{OffsetRange, PartitionId, Positions, Record, Table, TableBatch, TableBuilder};

use crate::leaves::Leaves;
use crate::{Delta, Deltas, MergeStage, RuleSet, SourceStage, StepOutput, StepStamp};

/// Microseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) tenant: &'static str,
    pub(crate) time: i64,
    pub(crate) received: i64,
    pub(crate) src_ip: Option<String>,
    pub(crate) dst_port: Option<i32>,
    pub(crate) bytes_out: Option<i64>,
}

/// A connection of tenant acme, received when it happened.
pub(crate) fn event(time: i64, src_ip: &str, dst_port: i32) -> Event {
    let src_ip = Some(src_ip.to_owned());
    Event { tenant: "acme", time, received: time, src_ip, dst_port: Some(dst_port), bytes_out: Some(1) }
}

pub(crate) fn partition(number: i32) -> PartitionId {
    PartitionId::new("fw", "i", number)
}

/// The connections at offsets from `start`.
pub(crate) fn batch(partition: &PartitionId, start: i64, events: &[Event]) -> TableBatch {
    let table = Table::NetworkActivity;
    let mut b = TableBuilder::new(table);
    for (event, offset) in events.iter().zip(start..) {
        b.set_i64(table.expect_leaf("time"), event.time);
        if let Some(ip) = &event.src_ip {
            b.set_str(table.expect_leaf("src_endpoint.ip"), ip);
        }
        if let Some(port) = event.dst_port {
            b.set_i32(table.expect_leaf("dst_endpoint.port"), port);
        }
        if let Some(bytes) = event.bytes_out {
            b.set_i64(table.expect_leaf("traffic.bytes_out"), bytes);
        }
        let record = Record { payload: b"", offset, received_at: event.received, full_len: 0 };
        b.end_event(partition, event.tenant, &record, 0);
    }
    TableBatch { table, rows: b.finish() }
}

/// A rule set of one rule: a head's further lines, and SQL.
pub(crate) fn rule(head: &str, sql: &str) -> Arc<RuleSet> {
    rules(&[(head, sql)])
}

/// Rules numbered in their ids.
pub(crate) fn rules(all: &[(&str, &str)]) -> Arc<RuleSet> {
    let text = |(i, (head, sql)): (usize, &(&str, &str))| {
        let sql = sql.lines().map(|l| format!("  {}\n", l.trim())).collect::<String>();
        format!("title: Rule {i}\nid: 00000000-0000-4000-8000-{i:012}\nversion: 1\nlevel: low\n{head}\nsql: |\n{sql}")
    };
    let texts: Vec<String> = all.iter().enumerate().map(text).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|t| ("rule.yaml", t.as_str())).collect();
    RuleSet::from_texts(&texts).unwrap_or_else(|e| panic!("{e}"))
}

/// The delta of one range of events, with one merge group.
pub(crate) fn delta(rules: &Arc<RuleSet>, partition: &PartitionId, start: i64, events: &[Event]) -> Delta {
    deltas(rules, partition, start, events, NonZeroU32::MIN).into_groups().remove(0)
}

/// The deltas of one range of events.
pub(crate) fn deltas(
    rules: &Arc<RuleSet>,
    partition: &PartitionId,
    start: i64,
    events: &[Event],
    groups: NonZeroU32,
) -> Deltas {
    let mut stage = SourceStage::new(rules, partition.clone(), 0, None, groups);
    stage.process(&batch(partition, start, events)).expect("processed");
    stage.take_delta().expect("a delta").deltas
}

/// Applies one range of events.
pub(crate) fn apply(merge: &mut MergeStage, rules: &Arc<RuleSet>, number: i32, start: i64, events: &[Event]) {
    let partition = partition(number);
    let delta = delta(rules, &partition, start, events);
    let range = OffsetRange { start, next: start + events.len() as i64 };
    merge.apply(&partition, range, &delta).expect("applied");
}

/// A step at time `step`.
pub(crate) fn step(merge: &mut MergeStage, step: i64, watermark: Option<i64>) -> StepOutput {
    let stamp = StepStamp { step, at: step, received_until: None };
    merge.step(stamp, watermark, &Positions::new(), &Default::default()).expect("a step")
}

/// A column of alerts as text; empty where null.
pub(crate) fn texts(batch: &TableBatch, path: &str) -> Vec<String> {
    let column: ArrayRef = if Table::EVENTS.contains(&batch.table) {
        let leaves = Leaves::of(batch.table);
        leaves.extract(&batch.rows, leaves.index(path).expect(path)).expect(path)
    } else {
        cast(batch.rows.column_by_name(path).expect(path), &DataType::Utf8).expect(path)
    };
    (0..column.len()).map(|row| crate::json::text(&column, row)).collect()
}

/// An integer column.
pub(crate) fn integers(column: &ArrayRef) -> Vec<i64> {
    column.as_primitive::<Int64Type>().values().to_vec()
}

/// Alerts as lines: activity, revision, window start in seconds, tenant, selected values.
pub(crate) fn lines(alerts: Option<&TableBatch>) -> Vec<String> {
    let Some(alerts) = alerts else { return Vec::new() };
    let column = |path| texts(alerts, path);
    let starts = alerts.rows.column_by_name("_window_start").expect("a column");
    let starts = cast(starts, &DataType::Int64).expect("an integer");
    let (activity, revision, tenant, values) =
        (column("activity_name"), column("_revision"), column("tenant_uid"), column("unmapped"));
    let line = |i: usize| {
        let start: i64 = crate::json::text(&starts, i).parse().unwrap_or_default();
        format!("{} {} {} {} {}", activity[i], revision[i], start / SECOND, tenant[i], values[i])
    };
    (0..alerts.rows.num_rows()).map(line).collect()
}

/// Alerts as OCSF JSON.
pub(crate) fn ocsf(alerts: &TableBatch) -> Vec<String> {
    let rows = JsonRows::new(alerts.table, &alerts.rows);
    let row = |i| {
        let mut out = String::new();
        rows.write(i, &mut out);
        out
    };
    (0..rows.rows()).map(row).collect()
}
