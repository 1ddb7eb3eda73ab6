//! Intake: one task a source, from the source to the shards that own its partitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use dataflow::{PartitionId, Positions, Source, SourceEvent, Stop};
use prometheus::IntGaugeVec;
use sinks::Warehouse;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::claims::Claims;
use crate::clock;
use crate::discovery::Discovery;
use crate::flight::Flight;
use crate::merge::ToMerge;
use crate::queue::{Lanes, Sender};
use crate::shard::ToShard;

/// Which shard owns which partition of a source: one after the other takes the next partition that comes, whosever it is. A source
/// has a lane of its own in each shard's queue: what others send does not stand before it.
#[derive(Clone)]
pub(crate) struct Routes {
    shards: Arc<[Lanes<ToShard>]>,
    /// By shard; of the shards that have a partition of the source.
    lanes: BTreeMap<usize, Sender<ToShard>>,
    /// Partitions of all sources that were given to a shard.
    placed: Arc<AtomicUsize>,
    own: BTreeMap<PartitionId, usize>,
}

impl Routes {
    /// # Panics
    /// Without a shard.
    pub(crate) fn new(shards: Vec<Lanes<ToShard>>) -> Self {
        assert!(!shards.is_empty(), "a worker has a shard");
        Self { shards: shards.into(), lanes: BTreeMap::new(), placed: Arc::default(), own: BTreeMap::new() }
    }

    fn add(&mut self, partition: &PartitionId) {
        let Self { shards, lanes, placed, own } = self;
        let place = || placed.fetch_add(1, Ordering::Relaxed) % shards.len();
        let shard = *own.entry(partition.clone()).or_insert_with(place);
        lanes.entry(shard).or_insert_with(|| shards[shard].open());
    }

    fn shard(&self, partition: &PartitionId) -> Option<&Sender<ToShard>> {
        self.own.get(partition).and_then(|shard| self.lanes.get(shard))
    }
}

/// How often a shared source hears of positions and of partitions that were lost to another worker.
const CLAIMS_EVERY: Duration = Duration::from_secs(1);

/// Where intake delivers.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) routes: Routes,
    pub(crate) to_merge: Sender<ToMerge>,
    pub(crate) claims: Claims,
    pub(crate) warehouse: Warehouse,
    pub(crate) pause: Pause,
    pub(crate) stopped: StoppedPartitions,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Partitions that are not read until somebody acts, as a metric tells them.
#[derive(Clone)]
pub(crate) struct StoppedPartitions {
    gauge: IntGaugeVec,
    kinds: HashMap<PartitionId, &'static str>,
}

impl StoppedPartitions {
    pub(crate) fn new(gauge: IntGaugeVec) -> Self {
        Self { gauge, kinds: HashMap::new() }
    }

    fn add(&mut self, partition: &PartitionId, kind: &'static str) {
        self.remove(partition);
        self.gauge.with_label_values(&[&*partition.topic, kind]).inc();
        self.kinds.insert(partition.clone(), kind);
    }

    fn remove(&mut self, partition: &PartitionId) {
        if let Some(kind) = self.kinds.remove(partition) {
            self.gauge.with_label_values(&[&*partition.topic, kind]).dec();
        }
    }
}

/// A source is not read on while more waits for its tables than is allowed.
#[derive(Clone)]
pub(crate) struct Pause {
    limit: u64,
    flight: Flight,
    is_on: bool,
}

impl Pause {
    /// So many bytes of data files may wait for their tables.
    pub(crate) fn new(flight: Flight, limit: usize) -> Self {
        Self { limit: limit as u64, flight, is_on: false }
    }

    fn note(&mut self) {
        let waiting = self.flight.uncommitted();
        match (self.is_on, waiting >= self.limit) {
            (false, true) => {
                tracing::warn!(
                    waiting,
                    limit = self.limit,
                    "the tables do not take in what is read; the source pauses"
                );
                self.flight.telemetry().sources_paused.inc();
            }
            (true, false) => {
                tracing::info!(waiting, "the source goes on");
                self.flight.telemetry().sources_paused.dec();
            }
            _ => return,
        }
        self.is_on = !self.is_on;
    }
}

/// A stage behind is gone; its own error says why.
struct Gone;

/// The intake of every source, of those too that are found while the worker runs.
pub(crate) struct Intakes {
    intake: Intake,
    running: JoinSet<anyhow::Result<bool>>,
    seeking: JoinSet<anyhow::Result<()>>,
    to_found: mpsc::Sender<Box<dyn Source>>,
    found: mpsc::Receiver<Box<dyn Source>>,
}

impl Intakes {
    pub(crate) fn new(intake: Intake) -> Self {
        let (to_found, found) = mpsc::channel(1);
        Self { intake, running: JoinSet::new(), seeking: JoinSet::new(), to_found, found }
    }

    /// Reads the sources too that are found from now on.
    pub(crate) fn seek(&mut self, discovery: Discovery) {
        self.seeking.spawn(discovery.run(self.to_found.clone(), self.intake.stop.clone()));
    }

    /// Reads a source from these positions on.
    pub(crate) fn start(&mut self, source: Box<dyn Source>, positions: Positions) {
        let mut intake = self.intake.clone();
        source.partitions().iter().for_each(|partition| intake.add(partition, source.is_shared()));
        self.running.spawn(intake.run(source, positions));
    }

    /// Waits for every source's end, the signal, or a stage that failed. True if every source came to its end.
    ///
    /// # Errors
    /// The first source that failed.
    pub(crate) async fn join(mut self, until_end: bool, mut failed: watch::Receiver<bool>) -> anyhow::Result<bool> {
        let mut ended = true;
        while !self.running.is_empty() || !self.seeking.is_empty() {
            tokio::select! {
                Some(source) = self.found.recv() => self.start(source, Positions::new()),
                Some(result) = self.running.join_next() => ended &= result??,
                Some(result) = self.seeking.join_next() => result??,
                _ = failed.wait_for(|f| *f) => return Ok(false),
            }
        }
        if !until_end && ended {
            tokio::select! {
                () = stopped(&mut self.intake.stop) => {}
                _ = failed.wait_for(|f| *f) => {}
            }
            return Ok(false);
        }
        Ok(ended)
    }
}

impl Intake {
    fn add(&mut self, partition: &PartitionId, is_shared: bool) {
        self.routes.add(partition);
        if is_shared {
            self.claims.share(partition.clone());
        }
    }

    /// Reads the source until its end or until `stop`. Returns true if it came to its end.
    ///
    /// # Errors
    /// If the source cannot go on. A stage that is gone ends intake quietly: its own error says why.
    async fn run(mut self, mut source: Box<dyn Source>, starts: Positions) -> anyhow::Result<bool> {
        let own = source.partitions();
        if source.is_shared() {
            for partition in own {
                if self.deliver(SourceEvent::Added(partition)).await?.is_err() {
                    return Ok(false);
                }
            }
        } else {
            source
                .seek(&starts.iter().filter(|(p, _)| own.contains(p)).map(|(p, at)| (p.clone(), *at)).collect())
                .await?;
            for partition in &own {
                let position = starts.get(partition).copied().unwrap_or(0);
                if self.deliver(SourceEvent::Assigned(partition.clone(), position)).await?.is_err() {
                    return Ok(false);
                }
            }
        }
        let mut claims = tokio::time::interval(CLAIMS_EVERY);
        let mut stop = self.stop.clone();
        loop {
            self.pause.note();
            let event = tokio::select! {
                event = async {
                    self.pause.flight.room(self.pause.limit).await;
                    source.next_event().await
                } => event?,
                () = stopped(&mut stop) => return Ok(false),
                _ = claims.tick(), if source.is_shared() => {
                    self.settle_claims(&mut source).await?;
                    continue;
                }
            };
            if matches!(event, SourceEvent::EndOfInput) {
                return Ok(true);
            }
            if self.deliver(event).await?.is_err() {
                return Ok(false);
            }
        }
    }

    async fn deliver(&mut self, event: SourceEvent) -> anyhow::Result<Result<(), Gone>> {
        let (to_shard, to_merge) = match event {
            SourceEvent::Chunk(chunk) => (Some((chunk.partition.clone(), ToShard::Chunk(chunk))), None),
            SourceEvent::CaughtUp(p) => (Some((p.clone(), ToShard::CaughtUp(p))), None),
            SourceEvent::Silent(p, time) => (Some((p.clone(), ToShard::Silent(p, time))), None),
            SourceEvent::Added(p) => {
                self.add(&p, true);
                (None, Some(ToMerge::Added(p)))
            }
            SourceEvent::Assigned(p, position) => {
                tracing::info!(partition = %p, position, "assigned");
                self.pause.flight.telemetry().reads(&p.topic);
                self.pause.flight.telemetry().assigned.with_label_values(&[&*p.topic]).inc();
                self.stopped.remove(&p);
                (Some((p.clone(), ToShard::Assigned(p.clone(), position))), Some(ToMerge::Assigned(p)))
            }
            SourceEvent::Revoked(p) => {
                tracing::info!(partition = %p, "revoked");
                self.pause.flight.telemetry().revoked.with_label_values(&[&*p.topic]).inc();
                self.stopped.remove(&p);
                self.pause.flight.telemetry().lag.forget(&p);
                (Some((p.clone(), ToShard::Revoked(p.clone()))), Some(ToMerge::Revoked(p)))
            }
            SourceEvent::Stopped(p, Stop { kind, why }) => {
                tracing::error!(partition = %p, why, "a partition is not read on; the others are");
                self.stopped.add(&p, kind);
                (Some((p.clone(), ToShard::Stopped(p))), None)
            }
            // Whatever is open of it is all there will be.
            SourceEvent::Gone(p) => (Some((p.clone(), ToShard::CaughtUp(p.clone()))), Some(ToMerge::Gone(p))),
            SourceEvent::Lag(p, lag) => {
                self.pause.flight.telemetry().lag.tell(&p, lag, clock::now_us());
                (None, None)
            }
            SourceEvent::LogEnd(p, end) => (None, Some(ToMerge::LogEnd(p, end))),
            SourceEvent::EndOfInput => (None, None),
        };
        if let Some((partition, item)) = to_shard {
            let shard = self.routes.shard(&partition);
            let shard = shard.with_context(|| format!("{partition}: the source did not announce it"))?;
            if shard.send(item).await.is_err() {
                return Ok(Err(Gone));
            }
        }
        match to_merge {
            Some(item) => Ok(self.to_merge.send(item).await.map_err(|_| Gone)),
            None => Ok(Ok(())),
        }
    }

    /// Continues partitions after what others wrote of them, and tells the source how far the ledger is.
    async fn settle_claims(&self, source: &mut Box<dyn Source>) -> anyhow::Result<()> {
        let fenced = self.claims.take_fenced(self.routes.own.keys());
        if !fenced.is_empty() {
            let all = self.warehouse.start_positions().await?;
            let positions = all.into_iter().filter(|(p, _)| fenced.contains(p)).collect();
            source.seek(&positions).await?;
        }
        let durable = self.claims.take_durable(self.routes.own.keys());
        if !durable.is_empty() {
            source.acknowledge(&durable).await?;
        }
        Ok(())
    }
}

/// Ends when `stop` turns true, or when nobody can turn it any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}
