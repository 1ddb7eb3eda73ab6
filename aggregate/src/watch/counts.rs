//! The records of a range, counted by slot, tenant and source.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt16Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use dataflow::{PartitionId, Reason, Table};
use datafusion::error::{DataFusionError, Result as DfResult};

use super::{WatchPlan, slot_of};
use crate::codes::{Codes, NULL};
use crate::error::{AggregateError, Result};
use crate::group_keys::GroupKeys;
use crate::merge_group;
use crate::rows::Rows;

/// What a delta ships: a row for each slot, tenant and source.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let keys = (0..3).map(|i| Field::new(format!("key{i}"), DataType::Utf8, true));
    let all = [Field::new("slot", DataType::Int64, false), Field::new("tenant_uid", DataType::Utf8, false)];
    let numbers = [
        Field::new("records", DataType::Int64, false),
        Field::new("dead_letters", DataType::Int64, false),
        Field::new("time", DataType::Int64, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("record", DataType::Int32, false),
        Field::new("input", DataType::UInt16, false),
    ];
    Arc::new(Schema::new(all.into_iter().chain(keys).chain(numbers).collect::<Vec<_>>()))
});

/// Whose columns name the source of a record: vendor, product, and the device, by the first that is there.
pub(super) const SOURCE: [&str; 5] =
    ["metadata.product.vendor_name", "metadata.product.name", "device.hostname", "device.name", "device.uid"];

/// Bytes of a group, roughly.
const GROUP_BYTES: usize = 64;

/// See the module's front. One a rule.
#[derive(Debug)]
pub(crate) struct WatchCounts {
    /// Slot, tenant, and three keys.
    keys: GroupKeys,
    groups: Vec<usize>,
    counts: Vec<Count>,
}

/// One group's.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    records: i64,
    dead: i64,
    /// Its evidence: of a silence the last row, of dead letters the first that is one.
    row: Option<(i64, i64, i32, u16)>,
}

impl WatchCounts {
    pub(crate) fn new() -> Self {
        Self { keys: GroupKeys::new(5), groups: Vec::new(), counts: Vec::new() }
    }

    /// Bytes held, for budgets.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.size() + self.counts.len() * GROUP_BYTES
    }

    /// Counts the rows of a batch of one of the watched tables.
    ///
    /// # Errors
    /// If the batch is not in its table's schema.
    pub(crate) fn take_in(
        &mut self,
        plan: &WatchPlan,
        input: usize,
        partition: &PartitionId,
        (rows, codes): (&mut Rows<'_>, &mut Codes),
    ) -> DfResult<()> {
        let is_dead = rows.cache.table() == Table::DeadLetter;
        let slots: Arc<[u32]> = rows.common.received().iter().map(|us| codes.integer(slot_of(*us))).collect();
        let (tenants, [a, b, c]) = (rows.tenants(codes)?, source(plan, partition, rows, codes)?);
        let columns = [slots, tenants, a, b, c];
        let runs = runs(&columns, events(rows, is_dead)?.as_deref());
        self.keys.intern(
            &columns.map(|column| runs.iter().map(|run| column[run.start]).collect::<Vec<_>>()),
            &mut self.groups,
        );
        self.counts.resize(self.keys.len(), Count::default());
        let takes_first = matches!(plan, WatchPlan::DeadLetters(_));
        let (times, offsets, records) = (rows.common.times(), rows.common.offsets(), rows.common.records());
        for (group, run) in self.groups.iter().zip(runs) {
            let count = &mut self.counts[*group];
            let rows = i64::try_from(run.len()).unwrap_or(i64::MAX);
            count.records += rows;
            count.dead += if is_dead { rows } else { 0 };
            let row = if takes_first { run.start } else { run.end - 1 };
            let (offset, input) = (offsets[row], u16::try_from(input).unwrap_or(u16::MAX));
            let is_better = |(_, known, ..): (i64, i64, i32, u16)| (known > offset) == takes_first && known != offset;
            if (is_dead || !takes_first) && count.row.is_none_or(is_better) {
                count.row = Some((times[row], offset, records[row], input));
            }
        }
        Ok(())
    }

    /// The counts of each merge group; none are held afterwards.
    ///
    /// # Errors
    /// If Arrow cannot make the columns, which it can.
    pub(crate) fn split(&mut self, codes: &Codes, source: &str, groups: NonZeroU32) -> Result<Vec<RecordBatch>> {
        let taken = std::mem::replace(self, Self::new());
        let failed = AggregateError::evaluate("a watch");
        let text = |column: usize| codes.values(&DataType::Utf8, &taken.keys.column(column)).map_err(&failed);
        let long =
            |of: fn(&Count) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(taken.counts.iter().map(of))) };
        let rows = taken.counts.iter().map(|count| count.row.unwrap_or_default());
        let mut columns = vec![codes.values(&DataType::Int64, &taken.keys.column(0)).map_err(&failed)?];
        for column in 1..5 {
            columns.push(text(column)?);
        }
        columns.extend([long(|c| c.records), long(|c| c.dead), long(|c| c.row.unwrap_or_default().0)]);
        columns.push(Arc::new(StringArray::from_iter_values(taken.counts.iter().map(|_| source))));
        columns.push(long(|c| c.row.map_or(NO_ROW, |row| row.1)));
        columns.push(Arc::new(Int32Array::from_iter_values(rows.clone().map(|row| row.2))));
        columns.push(Arc::new(UInt16Array::from_iter_values(rows.map(|row| row.3))));
        let all = RecordBatch::try_new(SCHEMA.clone(), columns)?;
        // After the slot come the tenant and the keys.
        Ok(merge_group::split(all, 1..5, groups)?)
    }
}

/// The offset of no row.
pub(super) const NO_ROW: i64 = -1;

/// Rows behind one another that have the same numbers, and hold an event.
fn runs(columns: &[Arc<[u32]>; 5], is_event: Option<&[bool]>) -> Vec<Range<usize>> {
    let holds = |row: usize| is_event.is_none_or(|is| is[row]);
    let is_like = |row: usize, before: usize| {
        holds(row) == holds(before) && columns.iter().all(|column| column[row] == column[before])
    };
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in 0..columns[0].len() {
        match runs.last_mut() {
            Some(run) if is_like(row, run.start) => run.end = row + 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs.retain(|run| holds(run.start));
    runs
}

/// Which rows hold an event: of dead letters not those that nobody could decode; none if all do.
fn events(rows: &mut Rows<'_>, is_dead: bool) -> DfResult<Option<Vec<bool>>> {
    if !is_dead {
        return Ok(None);
    }
    let reasons = rows.cache.named("reason").map_err(|e| DataFusionError::External(Box::new(e)))?;
    let no_events = Reason::NO_EVENTS.map(Reason::name);
    let holds = |reason: Option<&str>| reason.is_none_or(|reason| !no_events.contains(&reason));
    Ok(Some(reasons.as_string::<i32>().iter().map(holds).collect()))
}

/// The numbers of each row's source: of a silence vendor, product and device, of dead letters the topic.
fn source(
    plan: &WatchPlan,
    partition: &PartitionId,
    rows: &mut Rows<'_>,
    codes: &mut Codes,
) -> DfResult<[Arc<[u32]>; 3]> {
    let count = rows.cache.rows();
    let none: Arc<[u32]> = vec![NULL; count].into();
    if matches!(plan, WatchPlan::DeadLetters(_)) {
        let topic = codes.of(&StringArray::from(vec![&*partition.topic]))?[0];
        return Ok([vec![topic; count].into(), none.clone(), none]);
    }
    let own = plan.columns(rows.cache.table());
    let mut column = |name: &str| match rows.cache.position(name).filter(|_| own.contains(&name)) {
        Some(leaf) => rows.codes(leaf, codes),
        None => Ok(none.clone()),
    };
    let [vendor, product, hostname, name, uid] = SOURCE;
    let (vendor, product) = (column(vendor)?, column(product)?);
    let names = [column(hostname)?, column(name)?, column(uid)?];
    let first = |row: usize| names.iter().map(|codes| codes[row]).find(|code| *code != NULL).unwrap_or(NULL);
    Ok([vendor, product, (0..count).map(first).collect()])
}
