//! One merge group as this process sees it: its state, what it has merged, and what waits for its next step.
//!
//! Step k applies ranges in (partition, offset) order, moves the combined watermark, and fires what became due. State
//! after k is a pure function of state k-1 and the ranges of step k, so whoever takes a group over redoes it from the ledger
//! and the exchange files; no source is read again for it (PROTOCOL.md, merge groups).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use aggregate::{Delta, Deltas, MergeStage, StepOutput, StepStamp};
use anyhow::{Context, bail};
use dataflow::{OffsetRange, PartitionId, Positions, Watermark, mutant};
use sinks::{AlertChain, Created, Ledger, MergeEntry, Origin, SourceEntry};
use uuid::Uuid;

use crate::alerts;
use crate::clock;
use crate::open_tables::OpenTables;
use crate::rules::Half;
use crate::shard::{ShardContext, versions};
use crate::traces::Span;

use super::redo::{RULES, load_delta, range, redo, rules_of, start};

/// A range that is in the ledger: what every group is offered.
#[derive(Clone)]
pub(super) struct Ranged {
    pub(super) partition: PartitionId,
    pub(super) range: OffsetRange,
    /// Of its entry.
    pub(super) attempt: Uuid,
    pub(super) watermark: Option<i64>,
    pub(super) received_min: Option<i64>,
    pub(super) received_max: Option<i64>,
    /// Of the tables that enriched it.
    pub(super) versions: BTreeMap<String, String>,
}

/// A range that waits for its step.
struct Pending {
    ranged: Ranged,
    delta: Delta,
}

/// What the partitions are at a step.
pub(super) struct Surroundings<'a> {
    /// Every partition of every source, whoever reads it.
    pub(super) partitions: &'a BTreeSet<PartitionId>,
    /// Those that are caught up and silent.
    pub(super) idle: &'a BTreeSet<PartitionId>,
    /// Every source came to its end: close every window.
    pub(super) is_last: bool,
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// Taken, or nothing was to be done.
    Ours,
    /// Another worker took it: what we hold of the group is void.
    Lost,
}

/// See the module's front.
pub(super) struct Group {
    number: u32,
    stage: MergeStage,
    next_step: i64,
    /// Merged up to here.
    vector: Positions,
    /// Merged or pending up to here.
    reached: Positions,
    watermarks: BTreeMap<PartitionId, i64>,
    /// When the last record that is merged was received.
    received: BTreeMap<PartitionId, i64>,
    pending: Vec<Pending>,
    /// What enriched the ranges of the last step that merged any: named by the alerts and the entry of a step.
    versions: BTreeMap<String, String>,
    /// The partitions that were idle at the last step.
    idle: BTreeSet<PartitionId>,
    state_at: Instant,
}

impl Group {
    /// The group after its last step in the ledger: the newest state, and the steps after it redone.
    ///
    /// # Errors
    /// If an object that the ledger names is missing or damaged.
    pub(super) fn recover(context: &ShardContext, number: u32) -> anyhow::Result<Self> {
        let mut group = Self {
            number,
            stage: MergeStage::new(context.rules.set(), number),
            next_step: 0,
            vector: Positions::new(),
            reached: Positions::new(),
            watermarks: BTreeMap::new(),
            received: BTreeMap::new(),
            pending: Vec::new(),
            versions: versions(context.rules.set(), &context.enrich),
            idle: BTreeSet::new(),
            state_at: clock::instant(),
        };
        let redone = context.runtime.block_on(group.redo_steps(context));
        redone.with_context(|| format!("merge group {number}"))?;
        context.mail.waits(&AlertChain::Group(number));
        Ok(group)
    }

    async fn redo_steps(&mut self, context: &ShardContext) -> anyhow::Result<()> {
        let ledger = context.warehouse.ledger();
        let mut to_redo = Vec::new();
        let mut at = context.warehouse.merge_head(self.number).await?;
        if let Some(entry) = at.take_if(|_| mutant::is("no-restore")) {
            self.adopt(&entry);
        }
        while let Some(entry) = at {
            if let Some(stage) = self.stored(context, &entry).await? {
                self.stage = stage;
                self.adopt(&entry);
                break;
            }
            at = self.before(ledger, &entry).await?;
            to_redo.push(entry);
        }
        for entry in to_redo.iter().rev() {
            self.redo(context, entry).await.with_context(|| format!("redo of merge step {}", entry.step))?;
        }
        self.reached.clone_from(&self.vector);
        Ok(())
    }

    /// The state after a step; none if none was kept, or one that another release wrote and this one does not read.
    async fn stored(&self, context: &ShardContext, entry: &MergeEntry) -> anyhow::Result<Option<MergeStage>> {
        let Some(object) = &entry.state else { return Ok(None) };
        let bytes = context.warehouse.ledger().get_object(object).await?;
        let rules = rules_of(&context.warehouse, context.rules.set(), entry).await?;
        match MergeStage::restore(&rules, self.number, &bytes) {
            Err(e) if e.is_of_another_version() => {
                let (group, state) = (self.number, &object.path);
                tracing::warn!(group, state, why = %e, "a merge state is of another release; an older one is taken up instead");
                Ok(None)
            }
            stage => Ok(Some(stage.with_context(|| format!("merge state {}", object.path))?)),
        }
    }

    /// The step before one that has no state to begin at; none before the first. Without the steps that are collected nothing can
    /// be built again: to begin with no state would be to miscount.
    async fn before(&self, ledger: &Ledger, entry: &MergeEntry) -> anyhow::Result<Option<MergeEntry>> {
        let Some(before) = entry.step.checked_sub(1).filter(|step| *step >= 0) else { return Ok(None) };
        let entry = ledger.get_merge(self.number, before).await?;
        let entry = entry.with_context(|| {
            format!(
                "no state that this release reads is kept, and steps up to {before} are collected: run the release that wrote the \
                 newest state, or a newer one (docs/upgrade.md)"
            )
        })?;
        Ok(Some(entry))
    }

    async fn redo(&mut self, context: &ShardContext, entry: &MergeEntry) -> anyhow::Result<()> {
        if self.versions.get(RULES) != entry.versions.get(RULES) || self.next_step == 0 {
            self.stage.set_rules(&rules_of(&context.warehouse, context.rules.set(), entry).await?)?;
        }
        redo(context.warehouse.ledger(), &mut self.stage, &self.vector, entry).await?;
        self.adopt(entry);
        Ok(())
    }

    fn adopt(&mut self, entry: &MergeEntry) {
        self.next_step = entry.step + 1;
        self.versions.clone_from(&entry.versions);
        self.vector.clone_from(&entry.vector);
        for (partition, watermark) in &entry.partition_watermarks {
            // Idleness is not inherited: it must be seen anew that nothing waits.
            if let Watermark::EventTime(time) = watermark
                && *time > i64::MIN
            {
                self.watermarks.insert(partition.clone(), *time);
            }
        }
    }

    /// Bytes of window state.
    pub(super) fn bytes(&self) -> usize {
        self.stage.bytes()
    }

    /// Keys of window state.
    pub(super) fn keys(&self) -> usize {
        self.stage.keys()
    }

    /// Every partition of which something is merged.
    pub(super) fn merged(&self) -> impl Iterator<Item = &PartitionId> {
        self.vector.keys()
    }

    /// A range that this process has just put into the ledger.
    ///
    /// # Errors
    /// If the ranges before it, which others wrote, cannot be read.
    pub(super) fn offer(&mut self, context: &ShardContext, ranged: &Ranged, deltas: &Deltas) -> anyhow::Result<()> {
        let Ranged { partition, range, .. } = ranged;
        let mut reached = self.reached(context, partition)?.unwrap_or(range.start);
        while reached < range.start && self.follow(context, partition)? > 0 {
            reached = self.reached(context, partition)?.unwrap_or(range.start);
        }
        if reached > range.start {
            return Ok(()); // read from the ledger before it was handed over
        }
        let delta = deltas.for_group(self.number).cloned().unwrap_or_else(|| Delta::empty(self.number));
        self.push(ranged.clone(), delta)
    }

    /// Reads what the ledger has of the partition beyond what was reached, up to a bound. How many ranges there were.
    ///
    /// # Errors
    /// If the ledger or an exchange file cannot be read.
    pub(super) fn follow(&mut self, context: &ShardContext, partition: &PartitionId) -> anyhow::Result<usize> {
        let Some(from) = self.reached(context, partition)? else { return Ok(0) };
        let found = entries_from(context, partition, from)?;
        self.take_in(context, &found)?;
        Ok(found.len())
    }

    /// Entries that others wrote, the first of which begins where the group is.
    ///
    /// # Errors
    /// If an exchange file cannot be read.
    pub(super) fn take_in(&mut self, context: &ShardContext, entries: &[SourceEntry]) -> anyhow::Result<()> {
        for entry in entries {
            let delta = context.runtime.block_on(load_delta(context.warehouse.ledger(), entry, self.number))?;
            let ranged = Ranged {
                partition: entry.partition.clone(),
                range: range(entry),
                attempt: entry.attempt,
                watermark: entry.watermark,
                received_min: entry.received_min,
                received_max: entry.received_max,
                versions: entry.versions.clone(),
            };
            self.push(ranged, delta)?;
        }
        Ok(())
    }

    /// Up to where the partition is merged or pending; none if it has no entry yet.
    pub(super) fn reached(&mut self, context: &ShardContext, partition: &PartitionId) -> anyhow::Result<Option<i64>> {
        let first = context.runtime.block_on(start(context.warehouse.ledger(), &self.reached, partition))?;
        if let Some(first) = first {
            self.reached.insert(partition.clone(), first);
        }
        Ok(first)
    }

    fn push(&mut self, ranged: Ranged, delta: Delta) -> anyhow::Result<()> {
        let reached = self.reached.insert(ranged.partition.clone(), ranged.range.next);
        if let Some(reached) = reached.filter(|r| *r != ranged.range.start) {
            bail!("{}: merged up to {reached}, next range starts at {}", ranged.partition, ranged.range.start);
        }
        self.pending.push(Pending { ranged, delta });
        Ok(())
    }

    /// Applies what waits, as the next step of the group.
    ///
    /// # Errors
    /// What cannot be written or merged.
    pub(super) fn step(&mut self, context: &ShardContext, around: &Surroundings<'_>) -> anyhow::Result<Stepped> {
        let now = clock::now_us();
        if self.pending.is_empty() && self.idle == *around.idle && !around.is_last && !self.is_woken(around, now) {
            return Ok(Stepped::Ours);
        }
        let oldest = self.pending.iter().filter_map(|p| p.ranged.received_min).min();
        let versions = self.step_versions(context);
        if !Arc::ptr_eq(self.stage.rules(), context.rules.set()) {
            self.stage.set_rules(context.rules.set())?;
        }
        let merged = self.pending.iter().map(|p| p.ranged.attempt).collect();
        self.apply_pending()?;
        self.idle.clone_from(around.idle);
        let watermarks = self.partition_watermarks(around);
        let combined = Watermark::combine(watermarks.values().copied());
        let due = if around.is_last { combined.max(self.stage.close_all_watermark()) } else { combined };
        // A partition that was idle and spoke again may be behind; what is closed stays closed.
        let watermark = due.max(self.stage.watermark());
        let stamp = StepStamp { step: self.next_step, at: now, received_until: self.received_until(around, now) };
        let output = self.stage.step(stamp, watermark, &self.vector, &versions)?;

        let mut entry = MergeEntry::empty(self.number, stamp.step, stamp.at, &context.writer, Uuid::new_v4());
        entry.vector.clone_from(&self.vector);
        (entry.partition_watermarks, entry.received_until) = (watermarks, stamp.received_until);
        (entry.watermark, entry.versions, entry.windows_closed) = (watermark, versions, output.windows_closed);
        entry.outbox = output.alerts.as_ref().map(alerts::ids).unwrap_or_default();
        self.write(context, &mut entry, &output, around.is_last)?;
        match context.runtime.block_on(context.warehouse.ledger().create_merge(&entry))? {
            Created::New | Created::Ours => {}
            Created::Taken(_) | Created::Collected => {
                context.telemetry.ledger_conflicts.with_label_values(&["merge"]).inc();
                return Ok(Stepped::Lost);
            }
        }
        self.adopt(&entry);
        report(context, &entry, &output, oldest.unwrap_or(stamp.at));
        trace(context, &entry, merged);
        context.note_work(Half::Merge, &output.work)?;
        Ok(Stepped::Ours)
    }

    /// The versions behind the step: of the ranges it merges, or else of the last that were merged; the rules are its own.
    fn step_versions(&self, context: &ShardContext) -> BTreeMap<String, String> {
        let merged = union(self.pending.iter().map(|p| &p.ranged.versions));
        let mut versions = if merged.is_empty() { self.versions.clone() } else { merged };
        versions.insert(RULES.to_owned(), context.rules.set().version().to_owned());
        versions
    }

    fn apply_pending(&mut self) -> anyhow::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by(|a, b| {
            (&a.ranged.partition, a.ranged.range.start).cmp(&(&b.ranged.partition, b.ranged.range.start))
        });
        for Pending { ranged, delta } in pending {
            self.stage.apply(&ranged.partition, ranged.range, &delta)?;
            self.vector.insert(ranged.partition.clone(), ranged.range.next);
            self.watermarks.extend(ranged.watermark.map(|time| (ranged.partition.clone(), time)));
            self.received.extend(ranged.received_max.map(|time| (ranged.partition, time)));
        }
        Ok(())
    }

    /// True if a watch has something to judge though nothing came.
    fn is_woken(&self, around: &Surroundings<'_>, now: i64) -> bool {
        let wakes_at = self.stage.wakes_at();
        wakes_at.is_some_and(|at| self.received_until(around, now).is_some_and(|until| at <= until))
    }

    /// Everything that was received before it is merged: of a partition that is caught up and silent, all up to now. None if a
    /// partition has not said anything yet.
    fn received_until(&self, around: &Surroundings<'_>, now: i64) -> Option<i64> {
        let of = |partition: &PartitionId| match around.idle.contains(partition) {
            true => Some(now),
            // Whoever stamps records may have a clock that is ahead.
            false => self.received.get(partition).map(|time| (*time).min(now)),
        };
        self.partitions(around).into_iter().map(of).min().flatten()
    }

    fn partitions<'a>(&'a self, around: &'a Surroundings<'_>) -> BTreeSet<&'a PartitionId> {
        around.partitions.iter().chain(self.vector.keys()).collect()
    }

    /// A partition that has not said anything yet holds every window open.
    fn partition_watermarks(&self, around: &Surroundings<'_>) -> BTreeMap<PartitionId, Watermark> {
        let all = self.partitions(around);
        let of = |partition: &PartitionId| match self.watermarks.get(partition) {
            _ if around.idle.contains(partition) => Watermark::Idle,
            Some(time) => Watermark::EventTime(*time),
            None => Watermark::EventTime(i64::MIN),
        };
        all.into_iter().map(|partition| (partition.clone(), of(partition))).collect()
    }

    /// The step's files, and its state if that is due.
    fn write(
        &mut self,
        context: &ShardContext,
        entry: &mut MergeEntry,
        output: &StepOutput,
        is_last: bool,
    ) -> anyhow::Result<()> {
        let origin = Origin::Step { group: self.number, step: entry.step };
        let mut files = OpenTables::default();
        for batch in output.alerts.iter().chain(&output.late) {
            files.write(batch, &context.warehouse, &context.runtime)?;
        }
        entry.tables = files.stage(origin, entry.attempt, &context.warehouse, &context.runtime)?;
        if is_last || clock::instant() - self.state_at >= context.config.worker.state_interval {
            self.state_at = clock::instant();
            let state = self.stage.snapshot()?;
            let put = context.warehouse.ledger().put_state(self.number, entry.step, entry.attempt, state.into());
            entry.state = Some(context.runtime.block_on(put)?);
        }
        Ok(())
    }
}

/// Entries of one partition read at a time.
const FOLLOW_ENTRIES: usize = 256;

/// What the ledger has of the partition from there on, up to a bound.
pub(super) fn entries_from(
    context: &ShardContext,
    partition: &PartitionId,
    from: i64,
) -> anyhow::Result<Vec<SourceEntry>> {
    Ok(context.runtime.block_on(context.warehouse.ledger().walk(partition, from, FOLLOW_ENTRIES))?)
}

/// The entry exists: count, and let the alerts leave.
fn report(context: &ShardContext, entry: &MergeEntry, output: &StepOutput, oldest_us: i64) {
    let telemetry = &context.telemetry;
    telemetry.ledger_entries.with_label_values(&["merge"]).inc();
    telemetry.windows_closed.inc_by(output.windows_closed);
    telemetry.late_rows.inc_by(output.late_rows);
    telemetry.key_limit_rows.inc_by(output.overflow_rows);
    telemetry.rules.note_failures(&output.failures);
    telemetry.note_held(&output.held);
    if let Some(watermark) = entry.watermark {
        telemetry.watermark.with_label_values(&["all"]).set(watermark / 1_000_000);
    }
    if let Some(batch) = &output.alerts {
        alerts::announce(batch, (entry.attempt, clock::now_us()), Some(oldest_us), context);
        context.mail.waits(&AlertChain::Group(entry.group));
    }
}

/// Tells of a step that has its entry, and of the ranges that it merged.
fn trace(context: &ShardContext, entry: &MergeEntry, merged: Vec<Uuid>) {
    context.telemetry.traces.tell(|| {
        let span = Span::whole("step", entry.attempt, (entry.at, clock::now_us()))
            .with("palisade.group", i64::from(entry.group))
            .with("palisade.step", entry.step)
            .with("palisade.windows_closed", entry.windows_closed)
            .with("palisade.alerts", entry.outbox.len() as u64);
        Span { made_of: merged, ..span }
    });
}

/// Every version of each table, joined by `+` where ranges differ.
fn union<'a>(ranges: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<&String, BTreeSet<&str>> = BTreeMap::new();
    for (name, version) in ranges.flatten() {
        all.entry(name).or_default().insert(version);
    }
    all.into_iter().map(|(name, versions)| (name.clone(), Vec::from_iter(versions).join("+"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_every_version_behind_it() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        let ranges =
            [of(&[("intel", "2"), ("scope", "1")]), of(&[("intel", "1"), ("scope", "1")]), of(&[("asn", "7")])];
        assert_eq!(union(ranges.iter()), of(&[("asn", "7"), ("intel", "1+2"), ("scope", "1")]));
        assert_eq!(union([].iter()), BTreeMap::new());
    }
}
