//! The merge stage: one thread that joins the deltas of all partitions, step by step, each step a ledger entry.
//!
//! Step k applies ranges in (partition, offset) order, moves the combined watermark, and fires what became due. State
//! after k is a pure function of state k-1 and the ranges of step k, so that a restart redoes it from the ledger and the
//! exchange files; no source is read again for it (PROTOCOL.md, merge groups).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aggregate::{Delta, MergeStage, StepOutput, StepStamp};
use anyhow::{Context, bail};
use dataflow::{OffsetRange, PartitionId, Positions, Watermark};
use sinks::{Created, Ledger, MergeEntry, Origin, SourceEntry};
use uuid::Uuid;

use crate::alerts;
use crate::clock;
use crate::queue::{Receiver, Weigh};
use crate::shard::{ShardContext, stage_files, versions};

/// There is one group until groups are shared by processes.
pub(crate) const GROUP: u32 = 0;

/// What shards hand over once their ledger entry exists.
pub(crate) enum ToMerge {
    /// A range and its deltas.
    Range {
        partition: PartitionId,
        range: OffsetRange,
        delta: Delta,
        watermark: Option<i64>,
        received_min: Option<i64>,
        /// Of the tables that enriched it.
        versions: BTreeMap<String, String>,
    },
    /// The partition is caught up and silent.
    Idle(PartitionId),
}

impl Weigh for ToMerge {
    fn rows(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        match self {
            ToMerge::Range { delta, .. } => delta.bytes(),
            ToMerge::Idle(_) => 0,
        }
    }
}

/// The merge thread stopped; its own error says why.
#[derive(Debug, thiserror::Error)]
#[error("the merge stage is gone")]
pub(crate) struct MergeGone;

/// A range that waits for its step.
struct Pending {
    partition: PartitionId,
    range: OffsetRange,
    delta: Delta,
    watermark: Option<i64>,
    received_min: Option<i64>,
    versions: BTreeMap<String, String>,
}

/// The merge thread.
pub(crate) struct Merger {
    context: ShardContext,
    input: Receiver<ToMerge>,
    stage: MergeStage,
    next_step: i64,
    vector: Positions,
    watermarks: BTreeMap<PartitionId, Watermark>,
    pending: Vec<Pending>,
    idle: Vec<PartitionId>,
    /// What enriched the ranges of the last step that merged any: named by the alerts and the entry of a step.
    versions: BTreeMap<String, String>,
    /// Every source came to its end: the last step closes every window.
    ended: Arc<AtomicBool>,
    stepped_at: Instant,
    state_at: Instant,
}

impl Merger {
    /// Rebuilds the state after the last step and queues the ranges that no step has merged.
    ///
    /// # Errors
    /// If an object that the ledger names is missing or damaged.
    pub(crate) async fn recover(
        context: ShardContext,
        input: Receiver<ToMerge>,
        partitions: &[PartitionId],
        ended: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let now = clock::instant();
        let watermarks = partitions.iter().map(|p| (p.clone(), Watermark::EventTime(i64::MIN))).collect();
        let mut merger = Self {
            stage: MergeStage::new(&context.rules, GROUP),
            versions: versions(&context.rules, &context.enrich),
            context,
            input,
            next_step: 0,
            vector: Positions::new(),
            watermarks,
            pending: Vec::new(),
            idle: Vec::new(),
            ended,
            stepped_at: now,
            state_at: now,
        };
        merger.redo_steps().await?;
        merger.queue_unmerged(partitions).await?;
        Ok(merger)
    }

    /// Loads the newest state and redoes the steps after it.
    async fn redo_steps(&mut self) -> anyhow::Result<()> {
        let ledger = self.context.warehouse.ledger().clone();
        let mut to_redo = Vec::new();
        let mut at = self.context.warehouse.merge_head(GROUP).await?;
        while let Some(entry) = at {
            if let Some(object) = &entry.state {
                let bytes = ledger.get_object(object).await?;
                self.stage = MergeStage::restore(&self.context.rules, GROUP, &bytes)
                    .with_context(|| format!("merge state {}", object.path))?;
                self.adopt(&entry);
                break;
            }
            let before = entry.step - 1;
            to_redo.push(entry);
            at = if before < 0 { None } else { ledger.get_merge(GROUP, before).await? };
        }
        for entry in to_redo.iter().rev() {
            self.redo(&ledger, entry).await.with_context(|| format!("redo of merge step {}", entry.step))?;
        }
        Ok(())
    }

    async fn redo(&mut self, ledger: &Ledger, entry: &MergeEntry) -> anyhow::Result<()> {
        for (partition, next) in &entry.vector {
            let mut at = self.vector.get(partition).copied().unwrap_or(0);
            while at < *next {
                let source = ledger.get_source(partition, at).await?;
                let source = source.with_context(|| format!("{partition}: no ledger entry at {at}"))?;
                let delta = load_delta(ledger, &source).await?;
                self.stage.apply(partition, range(&source), &delta)?;
                at = source.next;
            }
        }
        let stamp = StepStamp { step: entry.step, at: entry.at };
        self.stage.step(stamp, entry.watermark, &entry.vector, &entry.versions)?;
        self.adopt(entry);
        Ok(())
    }

    fn adopt(&mut self, entry: &MergeEntry) {
        self.next_step = entry.step + 1;
        self.versions.clone_from(&entry.versions);
        self.vector.clone_from(&entry.vector);
        for (partition, watermark) in &entry.partition_watermarks {
            // Idleness is not inherited: the source must say again that nothing waits.
            if let Watermark::EventTime(_) = watermark {
                self.watermarks.insert(partition.clone(), *watermark);
            }
        }
    }

    /// Each partition's watermark at the end of its chain, where it has one.
    pub(crate) fn watermarks(&self) -> BTreeMap<PartitionId, i64> {
        let merged = self.watermarks.iter().filter_map(|(p, w)| match w {
            Watermark::EventTime(t) if *t > i64::MIN => Some((p.clone(), *t)),
            _ => None,
        });
        let pending = self.pending.iter().filter_map(|p| Some((p.partition.clone(), p.watermark?)));
        merged.chain(pending).collect()
    }

    async fn queue_unmerged(&mut self, partitions: &[PartitionId]) -> anyhow::Result<()> {
        for partition in partitions {
            let from = self.vector.get(partition).copied().unwrap_or(0);
            let ledger = self.context.warehouse.ledger().clone();
            for entry in ledger.walk(partition, from, usize::MAX).await? {
                let delta = load_delta(&ledger, &entry).await?;
                self.pending.push(Pending {
                    partition: partition.clone(),
                    range: range(&entry),
                    delta,
                    watermark: entry.watermark,
                    received_min: entry.received_min,
                    versions: entry.versions,
                });
            }
        }
        Ok(())
    }

    /// Works until every shard is gone; then takes the last step.
    ///
    /// # Errors
    /// What cannot be written, and a step that another worker has taken.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let interval = self.context.config.worker.step_interval;
        let tick = (interval / 4).max(Duration::from_millis(5));
        loop {
            let (input, runtime) = (&mut self.input, self.context.runtime.clone());
            match runtime.block_on(async { tokio::time::timeout(tick, input.recv()).await }) {
                Ok(Some(item)) => self.take(item),
                Ok(None) => break,
                Err(_) => {}
            }
            while let Some(item) = self.input.try_recv() {
                self.take(item);
            }
            if clock::instant() - self.stepped_at >= interval {
                self.step(false)?;
            }
        }
        self.step(self.ended.load(Ordering::Acquire))
    }

    fn take(&mut self, item: ToMerge) {
        match item {
            ToMerge::Range { partition, range, delta, watermark, received_min, versions } => {
                self.pending.push(Pending { partition, range, delta, watermark, received_min, versions });
            }
            ToMerge::Idle(partition) => self.idle.push(partition),
        }
    }

    /// Applies what waits. `last` closes every window.
    fn step(&mut self, last: bool) -> anyhow::Result<()> {
        self.stepped_at = clock::instant();
        if self.pending.is_empty() && self.idle.is_empty() && !last {
            return Ok(());
        }
        let oldest = self.pending.iter().filter_map(|p| p.received_min).min();
        let versions = self.step_versions();
        self.apply_pending()?;
        let watermark = self.combined(last);
        let stamp = StepStamp { step: self.next_step, at: clock::now_us() };
        let output = self.stage.step(stamp, watermark, &self.vector, &versions)?;
        let entry = self.write_step(stamp, watermark, versions, &output, last)?;
        self.adopt(&entry);
        self.report(&output, watermark, oldest.unwrap_or(stamp.at));
        Ok(())
    }

    /// The versions behind the step: of the ranges it merges, or else of the last that were merged; the rules are its own.
    fn step_versions(&self) -> BTreeMap<String, String> {
        let merged = union(self.pending.iter().map(|p| &p.versions));
        let mut versions = if merged.is_empty() { self.versions.clone() } else { merged };
        versions.insert("rules".to_owned(), self.context.rules.version().to_owned());
        versions
    }

    fn apply_pending(&mut self) -> anyhow::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by(|a, b| (&a.partition, a.range.start).cmp(&(&b.partition, b.range.start)));
        for p in pending {
            let merged = self.vector.get(&p.partition).copied().unwrap_or(0);
            if p.range.start != merged {
                bail!("{}: merged up to {merged}, next range starts at {}", p.partition, p.range.start);
            }
            self.stage.apply(&p.partition, p.range, &p.delta)?;
            self.vector.insert(p.partition.clone(), p.range.next);
            if let Some(watermark) = p.watermark {
                self.watermarks.insert(p.partition, Watermark::EventTime(watermark));
            }
        }
        for partition in self.idle.drain(..) {
            self.watermarks.insert(partition, Watermark::Idle);
        }
        Ok(())
    }

    fn combined(&self, last: bool) -> Option<i64> {
        let combined = Watermark::combine(self.watermarks.values().copied());
        if last { combined.max(self.stage.close_all_watermark()) } else { combined }
    }

    fn write_step(
        &self,
        stamp: StepStamp,
        watermark: Option<i64>,
        versions: BTreeMap<String, String>,
        output: &StepOutput,
        last: bool,
    ) -> anyhow::Result<MergeEntry> {
        let due = clock::instant() - self.state_at >= self.context.config.worker.state_interval;
        let (ledger, runtime) = (self.context.warehouse.ledger(), &self.context.runtime);
        let mut entry = MergeEntry::empty(GROUP, stamp.step, stamp.at, &self.context.writer, Uuid::new_v4());
        let origin = Origin::Step { group: GROUP, step: stamp.step };
        entry.vector.clone_from(&self.vector);
        entry.partition_watermarks.clone_from(&self.watermarks);
        entry.watermark = watermark;
        entry.versions = versions;
        entry.windows_closed = output.windows_closed;
        for batch in output.alerts.iter().chain(&output.late) {
            let files =
                stage_files(&self.context, origin, entry.attempt, batch.table, std::slice::from_ref(&batch.rows))?;
            entry.tables.insert(batch.table, files);
        }
        if due || last {
            let state = self.stage.snapshot()?;
            entry.state = Some(runtime.block_on(ledger.put_state(GROUP, stamp.step, entry.attempt, state.into()))?);
        }
        match runtime.block_on(ledger.create_merge(&entry))? {
            Created::New | Created::Ours => Ok(entry),
            Created::Taken(other) => {
                bail!("merge step {}: another worker ({}) took it; stop one of the two", entry.step, other.writer)
            }
        }
    }

    /// The entry exists: count, and let the alerts leave.
    fn report(&mut self, output: &StepOutput, watermark: Option<i64>, oldest_us: i64) {
        let telemetry = &self.context.telemetry;
        telemetry.ledger_entries.with_label_values(&["merge"]).inc();
        telemetry.windows_closed.inc_by(output.windows_closed);
        telemetry.late_rows.inc_by(output.late_rows);
        telemetry.note_failures(&output.failures);
        telemetry.state_bytes.set(i64::try_from(self.stage.bytes()).unwrap_or(i64::MAX));
        if let Some(watermark) = watermark {
            telemetry.watermark.with_label_values(&["all"]).set(watermark / 1_000_000);
        }
        if let Some(batch) = &output.alerts {
            alerts::announce(batch, clock::now_us(), Some(oldest_us), &self.context);
        }
    }
}

/// Every version of each table, joined by `+` where ranges differ.
fn union<'a>(ranges: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<&String, BTreeSet<&str>> = BTreeMap::new();
    for (name, version) in ranges.flatten() {
        all.entry(name).or_default().insert(version);
    }
    all.into_iter().map(|(name, versions)| (name.clone(), Vec::from_iter(versions).join("+"))).collect()
}

fn range(entry: &SourceEntry) -> OffsetRange {
    OffsetRange { start: entry.start, next: entry.next }
}

async fn load_delta(ledger: &Ledger, entry: &SourceEntry) -> anyhow::Result<Delta> {
    match &entry.exchange {
        None => Ok(Delta::default()),
        Some(object) => {
            let bytes = ledger.get_object(object).await?;
            Delta::decode(&bytes).with_context(|| format!("exchange file {}", object.path))
        }
    }
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
