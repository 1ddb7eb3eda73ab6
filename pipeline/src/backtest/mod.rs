//! Rules over rows that are stored, by the very stages that run live.
//!
//! **Data in:** the warehouse's tables at one snapshot each, rules, a range of time. **Data out:** alerts, in the order of time.
//!
//! The range is read slice by slice. A row belongs to the slice of its window time, which is the event time, or the receipt of a row
//! that claims to be of the future; so no row is late, and when a slice has been read the watermark is its end. Within a slice
//! order means nothing: how rows are split and batched changes no alert. What is held is the state of open windows and one
//! slice's deltas.
//!
//! Invariants:
//! - An alert counts if its window begins within the range, or its row is of it. For windows that begin within it and end
//!   behind it, rows behind the range are read too.
//! - Rows that were read back stand aside, and alerts of our own are no events: no rule has seen them live.
//! - Alert ids are those of a live run over the same rows.
//!
//! Absent: late rows. A live run that missed rows for their lateness gave fewer alerts; a backtest says what was there to find.

mod rows;
mod stages;
mod tally;

use std::collections::BTreeSet;
use std::sync::Arc;

use aggregate::{Held, RuleFailure, RuleSet};
use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use dataflow::{Table, TableBatch};
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::reprocess::IS_REPROCESSED;
use crate::warehouse_sql::query;
use rows::Reader;
use stages::Stages;

pub(crate) use tally::{RuleTally, Tally};

/// A slice is at least and at most so long.
const SLICE_US: (i64, i64) = (60_000_000, 3_600_000_000);

/// A range becomes so many slices, within those bounds.
const SLICES: i64 = 200;

/// What a row's own clock may be ahead by, before its receipt counts: as windows have it.
const AHEAD: &str = "CAST(time AS BIGINT) - CAST(_received_at AS BIGINT) > 300000000";

/// Which rows are events that rules see.
fn is_event() -> String {
    format!("substr(_topic, 1, 1) <> '_' AND NOT {IS_REPROCESSED}")
}

/// A stretch of window time, microseconds UTC; the end is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What there is in the tables that the rules read.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    rows: u64,
    /// Of all window times: the first, and the one after the last.
    times: Option<(i64, i64)>,
    any_ahead: bool,
}

/// How far a backtest is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) slices: u64,
    pub(crate) slices_done: u64,
    pub(crate) rows_read: u64,
}

/// Who is told what happens.
pub(crate) trait Watch {
    /// The range is known.
    fn begin(&mut self, range: Range);

    /// Alerts of the range: rows of `detection_finding`, revisions of one alert in their order.
    ///
    /// # Errors
    /// If they cannot be kept: the backtest ends.
    fn alerts(&mut self, alerts: &TableBatch) -> anyhow::Result<()>;

    /// After each slice.
    fn progress(&mut self, progress: Progress);
}

/// What was read.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// As asked for, or as far as rows go.
    pub(crate) range: Range,
    pub(crate) rows_read: u64,
    /// Rows of the tables that the rules read, of all time.
    pub(crate) rows_stored: u64,
    pub(crate) tables: Vec<Table>,
    pub(crate) failures: Vec<RuleFailure>,
    /// Alerts that were kept back, those of windows that begin behind the range among them.
    pub(crate) held: Vec<Held>,
}

/// Runs the rules over a range; without bounds, over all that is stored.
///
/// # Errors
/// If the tables cannot be read, or what the watcher says.
pub(crate) async fn run(
    session: &SessionContext,
    rules: &Arc<RuleSet>,
    (from, to): (Option<i64>, Option<i64>),
    watch: &mut impl Watch,
) -> anyhow::Result<Done> {
    let tables: BTreeSet<Table> = rules.rules().iter().flat_map(|rule| rule.tables()).copied().collect();
    let stored = stored(session, &tables).await?;
    let (first, end) = stored.times.unwrap_or_default();
    let range = Range { from: from.unwrap_or(first), to: to.unwrap_or(end).max(from.unwrap_or(first)) };
    let tail = rules.rules().iter().map(|rule| rule.max_window_us()).max().unwrap_or_default();
    let read = Range { from: range.from.max(first), to: range.to.saturating_add(tail).min(end) };
    watch.begin(range);
    // Without a bound, windows count that begin before the first row.
    let counted = Range { from: from.unwrap_or(i64::MIN), to: to.unwrap_or(i64::MAX) };
    let mut stages = Stages::new(rules, counted);
    let readers: Vec<Reader> = tables.iter().map(|table| Reader::new(*table, rules)).collect();
    let slices = slices(read);
    let mut progress = Progress { slices: slices.len() as u64, ..Progress::default() };
    for slice in slices {
        for reader in &readers {
            let sql = reader.sql(slice, stored.any_ahead);
            let mut batches = session.sql(&sql).await?.execute_stream().await.context("the rows of a slice")?;
            while let Some(batch) = batches.next().await {
                let batch = batch.with_context(|| format!("rows of {}", reader.table()))?;
                progress.rows_read += batch.num_rows() as u64;
                stages.take(reader.partitions(&batch)?, watch)?;
            }
        }
        stages.end_slice(slice.to, watch)?;
        progress.slices_done += 1;
        watch.progress(progress);
    }
    stages.end(watch)?;
    let (rows_read, rows_stored) = (progress.rows_read, stored.rows);
    let tables = tables.into_iter().collect();
    let (failures, held) = stages.into_reports();
    Ok(Done { range, rows_read, rows_stored, tables, failures, held })
}

fn slices(range: Range) -> Vec<Range> {
    let length = ((range.to - range.from) / SLICES).clamp(SLICE_US.0, SLICE_US.1);
    // On whole slices since 1970, so that windows end where slices do.
    let first = range.from.div_euclid(length);
    let last = (range.to - 1).div_euclid(length);
    let cut = |n: i64| Range { from: (n * length).max(range.from), to: ((n + 1) * length).min(range.to) };
    if range.from < range.to { (first..=last).map(cut).collect() } else { Vec::new() }
}

async fn stored(session: &SessionContext, tables: &BTreeSet<Table>) -> anyhow::Result<Stored> {
    let mut all = Stored::default();
    for table in tables {
        let us = format!("CASE WHEN {AHEAD} THEN CAST(_received_at AS BIGINT) ELSE CAST(time AS BIGINT) END");
        let sql = format!(
            "SELECT count(*), coalesce(min({us}), 0), coalesce(max({us}), 0), \
                    coalesce(sum(CASE WHEN {AHEAD} THEN 1 ELSE 0 END), 0) FROM {table} WHERE {}",
            is_event()
        );
        for batch in query(session, &sql).await.with_context(|| format!("the rows of {table}"))? {
            let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
            if number(0) == 0 {
                continue;
            }
            let (first, end) = (number(1), number(2).saturating_add(1));
            let (low, high) = all.times.unwrap_or((first, end));
            all.times = Some((low.min(first), high.max(end)));
            all.rows += u64::try_from(number(0)).unwrap_or_default();
            all.any_ahead |= number(3) > 0;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_range_once_and_end_on_whole_minutes() {
        const MINUTE: i64 = 60_000_000;
        let range = Range { from: MINUTE / 2, to: 3 * MINUTE + 1 };
        let found = slices(range);
        let want = [(MINUTE / 2, MINUTE), (MINUTE, 2 * MINUTE), (2 * MINUTE, 3 * MINUTE), (3 * MINUTE, 3 * MINUTE + 1)];
        assert_eq!(found, want.map(|(from, to)| Range { from, to }));
        assert_eq!(slices(Range { from: 5, to: 5 }), []);
        let long = slices(Range { from: 0, to: 30 * 24 * 60 * MINUTE });
        assert_eq!(long.len(), 30 * 24, "an hour each at most");
    }
}
