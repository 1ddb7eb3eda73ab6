//! Rows that no window saw, described exactly: partition range, tenant, key and pane (table `late_window`). Of the keys that found no
//! room the first are named; the others are one row a tenant, so that a flood of keys is no flood of rows.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use dataflow::{OffsetRange, PartitionId, Table, TableBatch, TableBuilder};

use crate::evidence::StateColumns;
use crate::json::row_json;
use crate::rule::Rule;

/// Keys of one pane and range that are named though they found no room.
pub(crate) const NAMED_KEYS_MAX: usize = 100;

/// Why windows missed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// They had closed for good.
    Late,
    /// The pane held the most keys it may.
    KeyLimit,
}

/// One pane's groups that windows ending at or before `closed_until` did not see.
#[derive(Debug)]
pub(crate) struct MissedGroups<'a> {
    pub(crate) rule: &'a Rule,
    /// Group columns (tenant, keys) first, row counts last.
    pub(crate) state: &'a RecordBatch,
    pub(crate) pane: (i64, i64),
    pub(crate) closed_until: i64,
    pub(crate) why: Missed,
}

/// Late rows being written.
#[derive(Debug)]
pub(crate) struct LateWriter {
    rows: TableBuilder,
    source: Option<(PartitionId, OffsetRange)>,
    late_rows: u64,
    overflow_rows: u64,
}

impl LateWriter {
    pub(crate) fn new() -> Self {
        Self { rows: TableBuilder::new(Table::LateWindow), source: None, late_rows: 0, overflow_rows: 0 }
    }

    /// What follows came from this range.
    pub(crate) fn begin(&mut self, partition: &PartitionId, range: OffsetRange) {
        self.source = Some((partition.clone(), range));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.rows() == 0
    }

    /// The rows, and how many events they stand for: late, and beyond the key limit.
    pub(crate) fn take(&mut self) -> (Option<TableBatch>, u64, u64) {
        let batch = (!self.is_empty()).then(|| TableBatch { table: Table::LateWindow, rows: self.rows.finish() });
        (batch, std::mem::take(&mut self.late_rows), std::mem::take(&mut self.overflow_rows))
    }

    /// Adds a row for each group that is named, and one a tenant for the others.
    pub(crate) fn push(&mut self, missed: &MissedGroups<'_>) {
        let Some((partition, range)) = self.source.clone() else { return };
        let tenants = missed.state.column(0).as_string::<i32>();
        let inputs = missed.rule.window().map_or(1, |plan| plan.inputs.len());
        let counts = StateColumns::of(missed.state, inputs);
        let all = missed.state.num_rows();
        let named = if missed.why == Missed::KeyLimit { all.min(NAMED_KEYS_MAX) } else { all };
        for row in 0..named {
            let count = counts.rows(row).sum();
            self.origin(&partition, range, tenants.value(row));
            let key = key_json(missed.rule, missed.state, row);
            self.what((missed.rule, Some(&key)), missed.pane, (count, missed.closed_until), missed.why);
            self.rows.end_row();
        }
        let mut others: BTreeMap<&str, i64> = BTreeMap::new();
        for row in named..all {
            *others.entry(tenants.value(row)).or_default() += counts.rows(row).sum::<i64>();
        }
        for (tenant, count) in others {
            self.origin(&partition, range, tenant);
            self.what((missed.rule, None), missed.pane, (count, missed.closed_until), missed.why);
            self.rows.end_row();
        }
    }

    /// Adds a row for one event of a correlation. `times`: its own, and the end of the last window that would have held it.
    pub(crate) fn push_row(
        &mut self,
        rule: &Rule,
        tenant: &str,
        key: &str,
        times: (i64, i64),
        closed_until: i64,
        why: Missed,
    ) {
        let Some((partition, range)) = self.source.clone() else { return };
        self.origin(&partition, range, tenant);
        self.what((rule, Some(key)), times, (1, closed_until), why);
        self.rows.end_row();
    }

    /// Counts what found no room and came from no range.
    pub(crate) fn note_overflow(&mut self, rows: u64) {
        self.overflow_rows += rows;
    }

    fn origin(&mut self, partition: &PartitionId, range: OffsetRange, tenant: &str) {
        self.text("_topic", &partition.topic);
        self.text("_incarnation", &partition.incarnation);
        self.rows.set_i32(Table::LateWindow.expect_leaf("_partition_id"), partition.partition);
        self.long("offset_start", range.start);
        self.long("offset_next", range.next);
        self.text("tenant_uid", tenant);
    }

    /// No key stands for many.
    fn what(
        &mut self,
        (rule, key): (&Rule, Option<&str>),
        pane: (i64, i64),
        (count, closed_until): (i64, i64),
        why: Missed,
    ) {
        self.long("time", pane.0.max(0));
        self.text("rule_uid", rule.uid());
        self.text("rule_version", &rule.version().to_string());
        self.long("pane_start", pane.0);
        self.long("pane_end", pane.1);
        key.into_iter().for_each(|key| self.text("key", key));
        self.long("rows", count);
        self.long("closed_until", closed_until);
        let counted = u64::try_from(count).unwrap_or_default();
        match why {
            Missed::Late => {
                self.text("reason", "late");
                self.late_rows += counted;
            }
            Missed::KeyLimit => {
                self.text("reason", "key_limit");
                self.overflow_rows += counted;
            }
        }
    }

    fn text(&mut self, path: &str, value: &str) {
        self.rows.set_str(Table::LateWindow.expect_leaf(path), value);
    }

    fn long(&mut self, path: &str, value: i64) {
        self.rows.set_i64(Table::LateWindow.expect_leaf(path), value);
    }
}

/// A group's key as a JSON list: what the rule groups by besides tenant and window.
fn key_json(rule: &Rule, state: &RecordBatch, row: usize) -> String {
    let keys = rule.window().map_or(0, |plan| plan.keys.len());
    let columns: Vec<&dyn Array> = state.columns()[1..=keys].iter().map(AsRef::as_ref).collect();
    row_json(&columns, row)
}
