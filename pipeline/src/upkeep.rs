//! Collection by a running worker: a turn every so often, on a task of its own. What it cannot do is told and counted; the worker
//! goes on.

use std::time::Duration;

use dataflow::PartitionId;
use sinks::Warehouse;
use sinks::upkeep::{Kind, Policy, Report};
use tokio::sync::watch;

use crate::clock;
use crate::config::UpkeepConfig;
use crate::intake::stopped;
use crate::reprocess;
use crate::telemetry::Telemetry;

/// The collector's task.
pub(crate) struct Upkeep {
    pub(crate) warehouse: Warehouse,
    pub(crate) writer: String,
    pub(crate) config: UpkeepConfig,
    pub(crate) telemetry: Telemetry,
}

/// What may be collected now, if everything is kept for this long.
pub(crate) fn policy(retention: Duration) -> Policy {
    let retention_us = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    Policy { now: clock::now_us(), retention_us, is_unmerged }
}

/// No rule sees records that were read back, so no merge group takes them in.
fn is_unmerged(partition: &PartitionId) -> bool {
    reprocess::origin(partition).is_some()
}

impl Upkeep {
    /// Collects every `interval` until `stop` says so, which may be in the midst of a turn.
    ///
    /// # Errors
    /// None: nothing that a worker does rests on it.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        if !self.config.enabled {
            return Ok(());
        }
        let mut ticks = tokio::time::interval(self.config.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let turns = async {
            loop {
                ticks.tick().await;
                while self.turn().await {}
            }
        };
        tokio::select! {
            () = turns => {}
            () = stopped(&mut stop) => {}
        }
        Ok(())
    }

    /// True if more is old enough.
    async fn turn(&self) -> bool {
        match self.warehouse.collect(&policy(self.config.retention), &self.writer).await {
            Ok(report) => {
                self.note(&report);
                report.more
            }
            Err(e) => {
                tracing::warn!("upkeep: {e}; trying again at the next turn");
                self.telemetry.upkeep.failures.inc();
                false
            }
        }
    }

    fn note(&self, report: &Report) {
        let metrics = &self.telemetry.upkeep;
        let deleted = report.deleted();
        for (kind, amount) in &deleted {
            metrics.deleted.with_label_values(&[kind.name()]).inc_by(amount.objects);
            metrics.bytes.inc_by(amount.bytes);
        }
        let mut faults = 0;
        for (chain, why) in report.faults() {
            faults += 1;
            tracing::warn!(chain = chain.path(), "upkeep: nothing of the chain is collected: {why}");
        }
        metrics.faults.set(faults);
        if faults == 0 {
            metrics.success.set(clock::now_us() / 1_000_000);
        }
        let objects = |kind| deleted.get(&kind).map_or(0, |amount| amount.objects);
        let (entries, exchange, states) = (objects(Kind::Entry), objects(Kind::Exchange), objects(Kind::State));
        let bytes: u64 = deleted.values().map(|amount| amount.bytes).sum();
        tracing::info!(entries, exchange, states, bytes, faults, more = report.more, "upkeep: collected");
    }
}
