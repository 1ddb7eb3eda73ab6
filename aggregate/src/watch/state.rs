//! The merge half of a watch: each source's slots, judged in their order once everything received in them is merged.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, UInt16Type};
use serde::{Deserialize, Serialize};

use super::counts::{NO_ROW, SCHEMA};
use super::dead_letters::Share;
use super::source::{RowId, Source};
use super::{SLOT_US, WatchPlan, slot_of};
use crate::error::{AggregateError, Result};
use crate::json::row_json;
use crate::merge_stage::{Limits, Sink};
use crate::rule::Rule;

/// Tenant, and the source as a JSON list.
type Key = (String, String);

/// See the module's front.
#[derive(Debug)]
pub(crate) struct WatchState {
    plan: Arc<WatchPlan>,
    sources: BTreeMap<Key, Source>,
    /// The slots before it were judged.
    until: i64,
    wakes_at: Option<i64>,
}

/// What a snapshot keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    until: i64,
    sources: Vec<(Key, Source)>,
}

impl WatchState {
    pub(crate) fn new(plan: &Arc<WatchPlan>) -> Self {
        Self { plan: plan.clone(), sources: BTreeMap::new(), until: i64::MIN, wakes_at: None }
    }

    /// Bytes held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.sources.values().map(Source::bytes).sum()
    }

    pub(crate) fn keys(&self) -> usize {
        self.sources.len()
    }

    /// Adds a range's counts. How many records of it found no room.
    ///
    /// # Errors
    /// If the batch is none of counts.
    pub(crate) fn apply(&mut self, batch: &RecordBatch, limits: Limits) -> Result<u64> {
        if batch.schema() != *SCHEMA {
            return Err(AggregateError::Decode { what: "delta", why: "it has no counts of a watch".to_owned() });
        }
        let text = |column: usize| batch.column(column).as_string::<i32>();
        let long = |column: usize| batch.column(column).as_primitive::<Int64Type>().values();
        let keys: Vec<&dyn Array> = (2..2 + self.plan.keys().len()).map(|c| batch.column(c).as_ref()).collect();
        let (tenants, partitions) = (text(1), text(8));
        let (slots, records, dead, times, offsets) = (long(0), long(5), long(6), long(7), long(9));
        let numbers = batch.column(10).as_primitive::<Int32Type>().values();
        let inputs = batch.column(11).as_primitive::<UInt16Type>().values();
        let mut lost = 0;
        for row in 0..batch.num_rows() {
            let whole = |values: &[i64]| u64::try_from(values[row]).unwrap_or_default();
            let share = Share { records: whole(records), dead: whole(dead) };
            let id = (offsets[row] != NO_ROW).then(|| {
                (times[row], partitions.value(row).into(), offsets[row], numbers[row], usize::from(inputs[row]))
            });
            let key = (tenants.value(row).to_owned(), row_json(&keys, row));
            if !self.add(key, slots[row], share, id, limits) {
                lost += share.records;
            }
        }
        Ok(lost)
    }

    fn add(&mut self, key: Key, slot: i64, share: Share, row: Option<RowId>, limits: Limits) -> bool {
        if share.records == 0 {
            return true;
        }
        let room = limits.rule_keys_max.saturating_sub(self.sources.len());
        let source = match self.sources.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if room == 0 => return false,
            Entry::Vacant(new) => {
                let source = Source::new(&new.key().1);
                new.insert(source)
            }
        };
        source.add(&self.plan, slot, share, row)
    }

    /// Judges what was received before `until`, and no more than that.
    pub(crate) fn step(&mut self, rule: &Rule, until: Option<i64>, sink: &mut Sink<'_>) -> Result<()> {
        let Self { plan, sources, .. } = self;
        self.until = self.until.max(until.map_or(i64::MIN, slot_of));
        let until = self.until;
        for ((tenant, key), source) in sources.iter_mut() {
            for said in source.judge(plan, until) {
                source.say(rule, plan, (tenant, key), said, sink)?;
            }
        }
        sources.retain(|_, source| !source.is_forgotten(plan, until));
        self.wakes_at = self.next();
        Ok(())
    }

    /// When there will be something to judge, even if nothing comes.
    pub(crate) fn wakes_at(&self) -> Option<i64> {
        self.wakes_at
    }

    fn next(&self) -> Option<i64> {
        let slots = self.sources.values().filter_map(|source| source.next(&self.plan));
        slots.min().map(|slot| slot.saturating_mul(SLOT_US))
    }

    /// What a snapshot keeps of it.
    pub(crate) fn kept(&self) -> Head {
        let sources = self.sources.iter().map(|(key, source)| (key.clone(), source.clone()));
        Head { until: self.until, sources: sources.collect() }
    }

    /// Fills a new state with what [`WatchState::kept`] gave.
    pub(crate) fn restore(&mut self, head: Head) {
        (self.until, self.sources) = (head.until, head.sources.into_iter().collect());
        self.wakes_at = self.next();
    }
}
