//! Intake: one task a source, from the source to the shards that own its partitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dataflow::{PartitionId, Positions, Source, SourceEvent, Stop};
use prometheus::IntGaugeVec;
use sinks::Warehouse;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::claims::Claims;
use crate::flight::Flight;
use crate::merge::ToMerge;
use crate::queue::Sender;
use crate::shard::ToShard;

/// Which shard owns which partition.
pub(crate) type Routes = Arc<HashMap<PartitionId, Sender<ToShard>>>;

/// How often a shared source hears of positions and of partitions that were lost to another worker.
const CLAIMS_EVERY: Duration = Duration::from_secs(1);

/// Where intake delivers.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) routes: Routes,
    pub(crate) to_merge: Sender<ToMerge>,
    pub(crate) claims: Claims,
    pub(crate) warehouse: Warehouse,
    pub(crate) flight: Flight,
    /// Bytes of data files that may wait for their tables before sources pause.
    pub(crate) uncommitted_max: u64,
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
struct Pause {
    limit: u64,
    flight: Flight,
    is_on: bool,
}

impl Pause {
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

impl Intake {
    /// Reads the source until its end or until `stop`. Returns true if it came to its end.
    ///
    /// # Errors
    /// If the source cannot go on. A stage that is gone ends intake quietly: its own error says why.
    pub(crate) async fn run(mut self, mut source: Box<dyn Source>, starts: Positions) -> anyhow::Result<bool> {
        let own = source.partitions();
        if !source.is_shared() {
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
        let mut pause = Pause { limit: self.uncommitted_max, flight: self.flight.clone(), is_on: false };
        loop {
            pause.note();
            let event = tokio::select! {
                event = async {
                    pause.flight.room(pause.limit).await;
                    source.next_event().await
                } => event?,
                () = stopped(&mut stop) => return Ok(false),
                _ = claims.tick(), if source.is_shared() => {
                    self.settle_claims(&mut source, &own).await?;
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
            SourceEvent::Assigned(p, position) => {
                tracing::info!(partition = %p, position, "assigned");
                self.stopped.remove(&p);
                (Some((p.clone(), ToShard::Assigned(p.clone(), position))), Some(ToMerge::Assigned(p)))
            }
            SourceEvent::Revoked(p) => {
                tracing::info!(partition = %p, "revoked");
                self.stopped.remove(&p);
                (Some((p.clone(), ToShard::Revoked(p.clone()))), Some(ToMerge::Revoked(p)))
            }
            SourceEvent::Stopped(p, Stop { kind, why }) => {
                tracing::error!(partition = %p, why, "a partition is not read on; the others are");
                self.stopped.add(&p, kind);
                (Some((p.clone(), ToShard::Stopped(p))), None)
            }
            SourceEvent::LogEnd(p, end) => (None, Some(ToMerge::LogEnd(p, end))),
            SourceEvent::EndOfInput => (None, None),
        };
        if let Some((partition, item)) = to_shard {
            let shard = self.routes.get(&partition);
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
    async fn settle_claims(&self, source: &mut Box<dyn Source>, own: &[PartitionId]) -> anyhow::Result<()> {
        let fenced = self.claims.take_fenced(own);
        if !fenced.is_empty() {
            let all = self.warehouse.start_positions().await?;
            let positions = all.into_iter().filter(|(p, _)| fenced.contains(p)).collect();
            source.seek(&positions).await?;
        }
        let durable = self.claims.take_durable(own);
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

/// Waits for every source's end, the signal, or a stage that failed. True if every source came to its end.
///
/// # Errors
/// The first source that failed.
pub(crate) async fn join(
    mut intakes: JoinSet<anyhow::Result<bool>>,
    until_end: bool,
    mut stop: watch::Receiver<bool>,
    mut failed: watch::Receiver<bool>,
) -> anyhow::Result<bool> {
    let mut ended = true;
    loop {
        tokio::select! {
            joined = intakes.join_next() => match joined {
                Some(result) => ended &= result??,
                None => break,
            },
            _ = failed.wait_for(|f| *f) => return Ok(false),
        }
    }
    if !until_end && ended {
        tokio::select! {
            _ = stop.wait_for(|s| *s) => {}
            _ = failed.wait_for(|f| *f) => {}
        }
        return Ok(false);
    }
    Ok(ended)
}
