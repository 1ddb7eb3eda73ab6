//! Commits what the ledger holds and the tables do not: on an interval, and until nothing waits at the end.

use std::time::{Duration, Instant};

use sinks::{Class, CommitReport};
use tokio::sync::watch;

use crate::clock;
use crate::flight::Flight;
use crate::intake::stopped;
use crate::telemetry::Telemetry;

/// The committer's task.
pub(crate) struct Committer {
    pub(crate) tables: sinks::Committer,
    pub(crate) interval: Duration,
    pub(crate) flight: Flight,
    pub(crate) telemetry: Telemetry,
}

impl Committer {
    /// Commits every `interval` until `stop` says so, then once more.
    ///
    /// # Errors
    /// What trying again will not mend; a transient failure waits for the next turn.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => match self.commit().await {
                    Err(e) if e.class() == Class::Transient => tracing::warn!("commit: {e}; trying again at the next turn"),
                    other => other?,
                },
                () = stopped(&mut stop) => {
                    let started = clock::instant();
                    let report = self.tables.settle().await;
                    self.count_missed();
                    let report = report?;
                    self.took(&report, started);
                    self.note(&report);
                    return Ok(());
                }
            }
        }
    }

    async fn commit(&self) -> Result<(), sinks::Error> {
        loop {
            let started = clock::instant();
            let report = self.tables.commit_pending().await;
            self.count_missed();
            let report = report?;
            self.took(&report, started);
            self.note(&report);
            if !report.more {
                return Ok(());
            }
        }
    }

    fn took(&self, report: &CommitReport, started: Instant) {
        if !report.commits.is_empty() {
            self.telemetry.commit_duration.observe(started.elapsed().as_secs_f64());
        }
    }

    fn count_missed(&self) {
        for ((table, miss), attempts) in self.tables.take_missed() {
            self.telemetry.table_commits.with_label_values(&[table.name(), miss.name()]).inc_by(attempts);
        }
    }

    fn note(&self, report: &CommitReport) {
        let now = clock::now_us();
        for commit in &report.commits {
            let name = commit.table.name();
            self.telemetry.table_commits.with_label_values(&[name, "committed"]).inc();
            self.telemetry.committed.with_label_values(&[name]).inc_by(commit.rows);
        }
        for (table, positions) in &report.ends {
            self.flight.arrive(*table, positions, now);
        }
    }
}
