//! A shard: one thread with the partitions it owns. Decode, enrich, detect, buffer; at a flush, the range's files, its
//! deltas and then its ledger entry, which is the commit point (PROTOCOL.md, one worker, 5 and 6).

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::{RuleSet, RuleWork, SourceStage};
use anyhow::{Context, bail};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use dataflow::{BatchBuilder, Chunk, DeadLetters, Decoder, OffsetRange, PartitionId, Reason, TableBatch, mutant};
use enrich::Chain;
use ingest::decode::AutoDecoder;
use ingest::mapping;
use sinks::{AlertChain, Created, Origin, SourceEntry, TableFiles, Warehouse};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::claims::Claims;
use crate::clock;
use crate::config::{Config, WorkerConfig};
use crate::flight::{Counts, Departing, Flight, Received};
use crate::live::Progress;
use crate::merge::{MergeGone, ToMerge};
use crate::open_tables::OpenTables;
use crate::outbox::Mail;
use crate::pace::Pace;
use crate::queue::{self, Receiver, Sender, Weigh};
use crate::rules::{Disabled, Half, LiveRules};
use crate::tap::{Received as Raw, Stage};
use crate::telemetry::{self, Telemetry};
use crate::traces::Span;

/// Rows a batch: enough to spread the cost of a batch, few enough to stay in cache.
const BATCH_ROWS: usize = 8192;

/// What intake hands to a shard.
pub(crate) enum ToShard {
    /// Records of a partition that the shard owns.
    Chunk(Chunk),
    /// The partition is read to its present end.
    CaughtUp(PartitionId),
    /// Nothing came in the partition for so long, and nothing waited in it then.
    Silent(PartitionId, Duration),
    /// The partition is ours from this offset on; what we hold of it is void.
    Assigned(PartitionId, i64),
    /// The partition is someone else's: what is not in the ledger is theirs to read.
    Revoked(PartitionId),
    /// The partition is ours, but nothing more of it comes: it is not caught up.
    Stopped(PartitionId),
}

impl Weigh for ToShard {
    fn rows(&self) -> usize {
        match self {
            ToShard::Chunk(chunk) => chunk.len(),
            _ => 0,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            ToShard::Chunk(chunk) => chunk.bytes(),
            _ => 0,
        }
    }
}

/// What every shard works with.
#[derive(Clone)]
pub(crate) struct ShardContext {
    pub(crate) config: Arc<Config>,
    pub(crate) rules: LiveRules,
    pub(crate) enrich: Chain,
    pub(crate) mappings: mapping::Live,
    pub(crate) warehouse: Warehouse,
    pub(crate) writer: Arc<str>,
    pub(crate) to_merge: Sender<ToMerge>,
    pub(crate) claims: Claims,
    pub(crate) mail: Mail,
    pub(crate) flight: Flight,
    pub(crate) pace: Pace,
    pub(crate) telemetry: Telemetry,
    pub(crate) runtime: Handle,
}

impl ShardContext {
    /// The same context without a way into the merge stage, for the merge stage itself.
    pub(crate) fn detached(&self) -> Self {
        Self { to_merge: queue::closed(), ..self.clone() }
    }

    /// Notes how rules fared. One that fails over and over, or costs too much, is taken out of force and told; the rest run on.
    pub(crate) fn note_work(&self, half: Half, work: &[RuleWork]) -> anyhow::Result<()> {
        self.telemetry.rules.note_work(work);
        for Disabled { rule, why } in self.rules.note(half, work)? {
            self.telemetry.rules.disabled.with_label_values(&[rule.uid()]).set(1);
            let (name, file) = (rule.name(), rule.file());
            tracing::error!(rule = rule.uid(), name, file, why, "a rule is disabled; the others run on");
        }
        Ok(())
    }

    /// What decides the rows and alerts of a range.
    fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = versions(self.rules.set(), &self.enrich);
        versions.extend(self.mappings.mappings().version().map(|version| ("mappings".to_owned(), version)));
        versions
    }

    fn tell_versions(&self, mut versions: BTreeMap<String, String>) {
        versions.insert("config".to_owned(), self.config.version.clone());
        self.telemetry.versions.tell(versions);
    }
}

/// The shard's thread.
pub(crate) struct Shard {
    context: ShardContext,
    decoder: AutoDecoder,
    input: Receiver<ToShard>,
    partitions: HashMap<PartitionId, OpenPartition>,
    attention: Attention,
}

/// Since when nothing but silence explains that nothing comes of a partition: this thread was not held up, and its sources were not
/// told to pause.
#[derive(Debug, Clone, Copy)]
struct Attention {
    since: Instant,
}

impl Attention {
    /// A turn of the loop, which waits for a tick at most, began and ended so.
    fn note(&mut self, began: Instant, ended: Instant, tick: Duration, is_paused: bool) {
        if is_paused || ended - began > tick * 2 {
            self.since = ended;
        }
    }
}

/// A partition and its open range `[start, next)`: all that is not in the ledger yet.
struct OpenPartition {
    id: PartitionId,
    start: i64,
    next: i64,
    opened_at: Instant,
    last_chunk_at: Instant,
    caught_up: bool,
    /// As the source tells of it, since the last chunk.
    silent_for: Duration,
    idle_sent: bool,
    rows: BatchBuilder,
    dead: DeadLetters,
    stage: SourceStage,
    /// The range's files, encoded as far as its rows are sealed.
    tables: OpenTables,
    buffered_rows: usize,
    records: u64,
    dead_counts: BTreeMap<Reason, u64>,
    received: Received,
}

impl Shard {
    /// A shard without partitions.
    pub(crate) fn new(context: ShardContext, input: Receiver<ToShard>) -> Self {
        let mappings = context.mappings.mappings().clone();
        let decoder = AutoDecoder::with_mappings(context.config.decode.clone(), mappings);
        let attention = Attention { since: clock::instant() };
        context.tell_versions(context.versions());
        Self { context, decoder, input, partitions: HashMap::new(), attention }
    }

    /// Works until every sender is gone, then flushes what is open.
    ///
    /// # Errors
    /// What cannot be written, and a partition of ours alone that another worker has written to.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let tick = (self.context.config.worker.flush_interval / 4).max(Duration::from_millis(5));
        loop {
            let (input, began) = (&mut self.input, clock::instant());
            let runtime = self.context.runtime.clone();
            match runtime.block_on(async { tokio::time::timeout(tick, input.recv()).await }) {
                Ok(Some(item)) => self.take(item)?,
                Ok(None) => break,
                Err(_) => {}
            }
            self.flush_due()?;
            self.take_what_is_new()?;
            let is_paused = self.context.flight.uncommitted() >= self.context.config.worker.uncommitted_bytes as u64;
            self.attention.note(began, clock::instant(), tick, is_paused);
        }
        self.flush_all()
    }

    fn take(&mut self, item: ToShard) -> anyhow::Result<()> {
        match item {
            ToShard::Assigned(id, position) => {
                self.abandon(&id);
                let open = OpenPartition::new(&self.context, &id, position)?;
                self.context.mail.waits(&AlertChain::Partition(id.clone()));
                self.partitions.insert(id, open);
            }
            ToShard::Revoked(id) => {
                self.abandon(&id);
                self.context.mail.release(&AlertChain::Partition(id));
            }
            ToShard::Chunk(chunk) => {
                // Chunks of a partition that was taken from us may still be on their way.
                if let Some(open) = self.partitions.get_mut(&chunk.partition) {
                    open.take(chunk, &mut self.decoder, &mut self.context)?;
                }
            }
            ToShard::CaughtUp(id) => {
                // Not a reason to flush: a source that keeps up says so after every chunk.
                self.partitions.get_mut(&id).into_iter().for_each(|open| open.caught_up = true);
            }
            ToShard::Silent(id, time) => {
                self.partitions.get_mut(&id).into_iter().for_each(|open| open.silent_for = time);
            }
            ToShard::Stopped(id) => {
                let stopped = |open: &mut OpenPartition| (open.caught_up, open.silent_for) = (false, Duration::ZERO);
                self.partitions.get_mut(&id).into_iter().for_each(stopped);
            }
        }
        Ok(())
    }

    /// New enrichment tables, mappings and rules begin with new ranges: what is open is flushed with the old ones first, so that
    /// every row of a range, and its entry, has the same versions.
    fn take_what_is_new(&mut self) -> anyhow::Result<()> {
        let ShardContext { enrich, mappings, rules, .. } = &self.context;
        if !enrich.is_stale() && !mappings.is_stale() && !rules.is_stale() {
            return Ok(());
        }
        self.flush_all()?;
        self.context.enrich.refresh();
        self.context.mappings.refresh();
        self.context.rules.refresh();
        self.decoder.set_mappings(self.context.mappings.mappings().clone());
        let versions = self.context.versions();
        for partition in self.partitions.values_mut() {
            partition.stage.set_rules(self.context.rules.set());
            partition.stage.set_versions(&versions);
        }
        Ok(())
    }

    fn flush_all(&mut self) -> anyhow::Result<()> {
        let open: Vec<PartitionId> = self.partitions.keys().cloned().collect();
        open.iter().try_for_each(|id| self.flush(id))
    }

    /// Flushes what is old or large enough; tells the merge stage of partitions that fell silent.
    fn flush_due(&mut self) -> anyhow::Result<()> {
        let now = clock::instant();
        let worker = self.context.config.worker.clone();
        let due: Vec<PartitionId> = self
            .partitions
            .values()
            .filter(|p| p.is_due(&worker, &self.context.pace, now))
            .map(|p| p.id.clone())
            .collect();
        due.iter().try_for_each(|id| self.flush(id))?;
        for p in self.partitions.values_mut() {
            if p.is_silent(worker.idle_after, self.attention.since, now) && !p.idle_sent {
                p.idle_sent = true;
                let idle = ToMerge::Idle(p.id.clone());
                self.context.runtime.block_on(self.context.to_merge.send(idle)).map_err(|_| MergeGone)?;
            }
        }
        Ok(())
    }

    /// Puts the partition's open range into the ledger. If another worker has put a range there, ours is void and intake is
    /// asked to continue after theirs.
    fn flush(&mut self, id: &PartitionId) -> anyhow::Result<()> {
        let Some(open) = self.partitions.get_mut(id) else { return Ok(()) };
        if open.flush(&mut self.context)? == Flushed::Fenced {
            self.abandon(id);
            self.context.claims.fence(id.clone());
        }
        Ok(())
    }

    /// Forgets what is open of a partition: whoever owns it reads it again.
    fn abandon(&mut self, id: &PartitionId) {
        if let Some(open) = self.partitions.remove(id) {
            self.context.telemetry.abandoned.inc_by(open.received.events());
            self.context.flight.abandon(id, &open.received);
        }
    }
}

/// How a flush ended.
#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    /// The range is in the ledger, or there was none.
    Done,
    /// Another worker's range is there.
    Fenced,
}

impl OpenPartition {
    fn new(context: &ShardContext, id: &PartitionId, start: i64) -> anyhow::Result<Self> {
        let now = clock::instant();
        let disorder = i64::try_from(context.config.worker.disorder.as_micros())?;
        let watermark = context.runtime.block_on(context.warehouse.watermark(id))?;
        let groups = NonZeroU32::new(context.warehouse.merge_groups()).unwrap_or(NonZeroU32::MIN);
        let mut stage = SourceStage::new(context.rules.set(), id.clone(), disorder, watermark, groups);
        stage.set_versions(&context.versions());
        if telemetry::measures() {
            stage.set_clock(clock::thread_cpu);
        }
        Ok(Self {
            stage,
            id: id.clone(),
            start,
            next: start,
            opened_at: now,
            last_chunk_at: now,
            caught_up: false,
            silent_for: Duration::ZERO,
            idle_sent: false,
            rows: BatchBuilder::new(),
            dead: DeadLetters::new(),
            tables: OpenTables::default(),
            buffered_rows: 0,
            records: 0,
            dead_counts: BTreeMap::new(),
            received: Received::default(),
        })
    }

    fn take(&mut self, chunk: Chunk, decoder: &mut AutoDecoder, context: &mut ShardContext) -> anyhow::Result<()> {
        let chunk = chunk.skip_below(self.next);
        let chunk = mistakes::of_first_tenant(chunk);
        if self.next == self.start {
            self.opened_at = clock::instant();
        }
        self.last_chunk_at = clock::instant();
        self.caught_up = false;
        self.silent_for = Duration::ZERO;
        self.idle_sent = false;
        context.telemetry.taps.offer(Stage::Received, Raw::TABLE, || Raw::rows(&chunk));
        let before = (self.rows.rows() + self.dead.len()) as u64;
        decoder.decode(&chunk, &mut self.rows, &mut self.dead);
        context.telemetry.drift.tell(decoder.take_drift());
        let events = (self.rows.rows() + self.dead.len()) as u64 - before;
        self.note(&chunk, events, context);
        self.next = chunk.offsets.next;
        if self.rows.rows() >= BATCH_ROWS {
            self.seal(context)?;
        }
        Ok(())
    }

    /// Counts the chunk. Events of a record share its receipt; the chunk's surplus of events goes to its last record.
    fn note(&mut self, chunk: &Chunk, events: u64, context: &ShardContext) {
        let records = chunk.len() as u64;
        self.records += records;
        let mut counts = Counts::default();
        for record in chunk.records() {
            counts.note(record.received_at, 1);
        }
        if let (Some(last), true) = (chunk.records().last(), events > records) {
            counts.note(last.received_at, events - records);
        }
        context.flight.decoded(&self.id, &counts, clock::now_us());
        self.received.note(context.config.tiers.of(&chunk.tenant), counts);
        context.telemetry.records.with_label_values(&[&*self.id.topic]).inc_by(records);
        context.telemetry.received.with_label_values(&[&*self.id.topic]).inc_by(events);
        context.telemetry.in_flight.add(i64::try_from(events).unwrap_or(i64::MAX));
        for (reason, count) in self.dead.take_counts() {
            context.telemetry.dead_letters.with_label_values(&[reason.name()]).inc_by(count);
            *self.dead_counts.entry(reason).or_default() += count;
        }
    }

    /// Turns decoded rows into enriched batches that the rules have seen.
    fn seal(&mut self, context: &mut ShardContext) -> anyhow::Result<()> {
        for batch in self.rows.finish() {
            let batch = context.enrich.apply(batch);
            self.note_times(&batch, context);
            context.telemetry.taps.offer(Stage::Events, batch.table.name(), || batch.rows.clone());
            self.stage.process(&batch).with_context(|| format!("rules over {} of {}", batch.table, self.id))?;
            self.encode(&batch, context)?;
        }
        Ok(())
    }

    fn note_times(&self, batch: &TableBatch, context: &ShardContext) {
        let times =
            |name| batch.rows.column_by_name(name).map(|c| c.as_primitive::<TimestampMicrosecondType>().values());
        if let Some((happened, received)) = times("time").zip(times("_received_at")) {
            let pairs = happened.iter().copied().zip(received.iter().copied());
            context.telemetry.latency.note_times(&self.id.topic, pairs);
        }
    }

    fn encode(&mut self, batch: &TableBatch, context: &ShardContext) -> anyhow::Result<()> {
        self.buffered_rows += batch.rows.num_rows();
        if let Some(received) = batch.rows.column_by_name("_received_at") {
            let received = received.as_primitive::<TimestampMicrosecondType>();
            self.received.note_rows(batch.table, received.values().iter().copied());
        }
        self.tables.write(batch, &context.warehouse, &context.runtime)
    }

    /// True if nothing of the partition is open or on its way, and nothing came for so long. A shared source tells of it; of
    /// others it is true if they were at their end, and this thread at its work, all the while.
    fn is_silent(&self, idle_after: Duration, attentive_since: Instant, now: Instant) -> bool {
        let is_told = self.silent_for >= idle_after;
        let is_over = self.caught_up && now - self.last_chunk_at.max(attentive_since) >= idle_after;
        self.next == self.start && (is_told || is_over)
    }

    /// True if the open range is old or large enough to be flushed.
    fn is_due(&self, worker: &WorkerConfig, pace: &Pace, now: Instant) -> bool {
        let bytes = || self.rows.bytes() + self.tables.bytes();
        let full = self.buffered_rows + self.rows.rows() >= worker.flush_rows || bytes() >= worker.flush_bytes;
        full || (self.next > self.start && now - self.opened_at >= pace.of(worker.flush_interval))
    }

    /// Writes the open range and its entry; afterwards the range is the ledger's and a new one is open.
    fn flush(&mut self, context: &mut ShardContext) -> anyhow::Result<Flushed> {
        self.seal(context)?;
        if self.next == self.start {
            return Ok(Flushed::Done);
        }
        let range = OffsetRange { start: self.start, next: self.next };
        self.write(range, context).with_context(|| format!("flush of {} [{}, {})", self.id, range.start, range.next))
    }

    fn write(&mut self, range: OffsetRange, context: &ShardContext) -> anyhow::Result<Flushed> {
        let begun_us = clock::now_us();
        let dead = self.dead.finish();
        let dead = dead.filter(|_| !mutant::is("lost-dead-letter"));
        if let Some(batch) = &dead {
            context.telemetry.taps.offer(Stage::DeadLetters, batch.table.name(), || batch.rows.clone());
            self.stage.process(batch).with_context(|| format!("watches over the dead letters of {}", self.id))?;
        }
        let source = self.stage.take_delta()?;
        let source = mistakes::unseen(source, context.warehouse.merge_groups());
        context.telemetry.rules.note_failures(&source.failures);
        context.note_work(Half::Source, &source.work)?;
        context.telemetry.note_held(&source.held);
        let late_batches = [source.alerts.clone(), dead];
        late_batches.into_iter().flatten().try_for_each(|batch| self.encode(&batch, context))?;
        let mut entry = SourceEntry::empty(self.id.clone(), range.start, range.next, &context.writer, Uuid::new_v4());
        let origin = Origin::Range { partition: &self.id, start: range.start, next: range.next };
        let files = std::mem::take(&mut self.tables);
        entry.tables = files.stage(origin, entry.attempt, &context.warehouse, &context.runtime)?;
        if !source.deltas.is_empty() {
            let bytes = source.deltas.encode()?;
            let put = context.warehouse.ledger().put_exchange(&self.id, range.start, entry.attempt, bytes.into());
            entry.exchange = Some(context.runtime.block_on(put)?);
        }
        entry.outbox = source.alerts.as_ref().map(crate::alerts::ids).unwrap_or_default();
        entry.records = self.records;
        entry.dead_letters = std::mem::take(&mut self.dead_counts);
        entry.watermark = self.stage.watermark();
        mistakes::lower_watermark(&mut entry);
        (entry.received_min, entry.received_max) = (self.received.min_us(), self.received.max_us());
        entry.versions = context.versions();
        // Before the entry exists: the committer may take it in at once.
        let bytes = |files: &TableFiles| files.files.iter().map(|file| file.bytes).sum();
        let tables = entry.tables.iter().map(|(table, files)| (*table, bytes(files))).collect();
        let received = Arc::new(std::mem::take(&mut self.received));
        let departed_us = clock::now_us();
        context.flight.depart(Departing {
            partition: &self.id,
            range,
            attempt: entry.attempt,
            at_us: departed_us,
            received: received.clone(),
            tables,
        });
        if let Some(other) = self.create_entry(&entry, context)? {
            context.flight.retract(&self.id, range.start);
            self.received = Arc::unwrap_or_clone(received);
            if context.claims.is_shared(&self.id) {
                tracing::info!(partition = %self.id, other, "another worker wrote to the partition; resuming after it");
                return Ok(Flushed::Fenced);
            }
            bail!("another worker ({other}) owns the partition now; stop one of the two");
        }
        let recorded_us = clock::now_us();
        context.flight.recorded(&self.id, &received, recorded_us);
        trace(&entry, context, [begun_us, departed_us, recorded_us]);
        self.hand_over(range, source, &entry, context)?;
        Ok(Flushed::Done)
    }

    /// The commit point. Some other writer if the range was taken already.
    fn create_entry(&self, entry: &SourceEntry, context: &ShardContext) -> anyhow::Result<Option<String>> {
        if mutant::is("commit-before-entry") {
            context.runtime.block_on(context.warehouse.committer(&context.writer).commit_unrecorded(entry))?;
        }
        let other = match context.runtime.block_on(context.warehouse.ledger().create_source(entry))? {
            Created::New | Created::Ours => None,
            Created::Taken(other) => Some(other.writer),
            Created::Collected => Some("whose range is collected by now".to_owned()),
        };
        if other.is_some() {
            context.telemetry.ledger_conflicts.with_label_values(&["source"]).inc();
            return Ok(other);
        }
        context.telemetry.ledger_entries.with_label_values(&["source"]).inc();
        context.tell_versions(entry.versions.clone());
        context.claims.note_durable(&entry.partition, entry.next);
        Ok(None)
    }

    /// The entry exists: alerts may leave, the merge stage gets the deltas, a new range opens.
    fn hand_over(
        &mut self,
        range: OffsetRange,
        source: aggregate::SourceDelta,
        entry: &SourceEntry,
        context: &ShardContext,
    ) -> anyhow::Result<()> {
        let now = clock::now_us();
        if let Some(alerts) = &source.alerts {
            crate::alerts::announce(alerts, (entry.attempt, now), None, context);
            context.mail.waits(&AlertChain::Partition(self.id.clone()));
        }
        let (received_min, received_max) = (entry.received_min, entry.received_max);
        context.telemetry.feed.progress(&self.id, Progress { watermark: entry.watermark, received_min, received_max });
        let merged = ToMerge::Range {
            partition: self.id.clone(),
            range,
            attempt: entry.attempt,
            deltas: source.deltas,
            watermark: entry.watermark,
            received_min,
            received_max,
            versions: entry.versions.clone(),
        };
        context.runtime.block_on(context.to_merge.send(merged)).map_err(|_| MergeGone)?;
        (self.start, self.records) = (self.next, 0);
        self.buffered_rows = 0;
        Ok(())
    }
}

/// Tells of a range that has its entry: from its first record to the entry, and within that the writing of its files and of the entry.
fn trace(entry: &SourceEntry, context: &ShardContext, [begun_us, departed_us, recorded_us]: [i64; 3]) {
    let (traces, attempt) = (&context.telemetry.traces, entry.attempt);
    traces.tell(|| {
        Span::whole("range", attempt, (entry.received_min.unwrap_or(begun_us), recorded_us))
            .with("messaging.destination.name", &*entry.partition.topic)
            .with("messaging.destination.partition.id", entry.partition.partition.to_string().as_str())
            .with("palisade.incarnation", &*entry.partition.incarnation)
            .with("palisade.offset.start", entry.start)
            .with("palisade.offset.next", entry.next)
            .with("palisade.records", entry.records)
            .with("palisade.alerts", entry.outbox.len() as u64)
    });
    traces.tell(|| Span::part("write", attempt, (begun_us, departed_us)));
    traces.tell(|| Span::part("ledger", attempt, (departed_us, recorded_us)));
}

/// What decided the rows and alerts of an entry.
pub(crate) fn versions(rules: &RuleSet, enrich: &Chain) -> BTreeMap<String, String> {
    let mut versions = enrich.versions();
    versions.insert("rules".to_owned(), rules.version().to_owned());
    versions
}

/// Mistakes that are this stage's to make (see [`dataflow::mutant`]).
mod mistakes {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, OnceLock};

    use aggregate::{Deltas, SourceDelta};
    use dataflow::Chunk;
    use dataflow::mutant::is;
    use sinks::SourceEntry;

    /// `first-tenant`: whoever came first owns every record.
    pub(super) fn of_first_tenant(mut chunk: Chunk) -> Chunk {
        static FIRST: OnceLock<Arc<str>> = OnceLock::new();
        if is("first-tenant") {
            chunk.tenant.clone_from(FIRST.get_or_init(|| chunk.tenant.clone()));
        }
        chunk
    }

    /// `unseen-rows`: no merge group hears of any row.
    pub(super) fn unseen(mut source: SourceDelta, groups: u32) -> SourceDelta {
        if is("unseen-rows") {
            source.deltas = Deltas::empty(NonZeroU32::new(groups).unwrap_or(NonZeroU32::MIN));
        }
        source
    }

    /// `falling-watermark`: each range is an hour further back than the one before.
    pub(super) fn lower_watermark(entry: &mut SourceEntry) {
        static HOURS: AtomicI64 = AtomicI64::new(0);
        if is("falling-watermark") {
            let back = HOURS.fetch_add(1, Ordering::Relaxed) * 3_600_000_000;
            entry.watermark = entry.watermark.map(|time| time - back);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_held_up_has_heard_no_silence() {
        let (start, tick) = (clock::instant(), Duration::from_secs(1));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut attention = Attention { since: start };
        attention.note(at(0), at(1), tick, false);
        attention.note(at(1), at(3), tick, false);
        assert_eq!(attention.since, start, "it waited, and took what came");
        attention.note(at(3), at(60), tick, false);
        assert_eq!(attention.since, at(60), "a flush took long");
        attention.note(at(60), at(61), tick, true);
        assert_eq!(attention.since, at(61), "sources pause");
        attention.note(at(61), at(62), tick, false);
        assert_eq!(attention.since, at(61));
    }
}
