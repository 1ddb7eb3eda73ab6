//! Commits what the ledger holds and the tables do not: on an interval, and until nothing waits at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntGaugeVec;
use sinks::{Class, CommitReport, Destination, Extent};
use tokio::sync::watch;

use crate::clock;
use crate::flight::Flight;
use crate::intake::stopped;
use crate::pace::Pace;
use crate::telemetry::Telemetry;

/// The committer's task.
pub(crate) struct Committer {
    tables: sinks::Committer,
    interval: Duration,
    pace: Pace,
    /// Each table as the last commit left it.
    extents: BTreeMap<Destination, Extent>,
    telemetry: Telemetry,
}

impl Committer {
    pub(crate) fn new(
        tables: sinks::Committer,
        interval: Duration,
        pace: Pace,
        flight: Flight,
        telemetry: Telemetry,
    ) -> Self {
        let tables = tables.telling(Arc::new(move |table, ends| flight.arrive(table, ends, clock::now_us())));
        Self { tables, interval, pace, extents: BTreeMap::new(), telemetry }
    }

    /// Commits every `interval` until `stop` says so, then once more.
    ///
    /// # Errors
    /// What trying again will not mend; a transient failure waits for the next turn.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut next = tokio::time::Instant::from_std(clock::instant());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {
                    next = tokio::time::Instant::from_std(clock::instant()) + self.pace.of(self.interval);
                    match self.commit().await {
                        Err(e) if e.class() == Class::Transient => {
                            tracing::warn!("commit: {e}; trying again at the next turn");
                        }
                        other => other?,
                    }
                }
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

    async fn commit(&mut self) -> Result<(), sinks::Error> {
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

    /// The largest table of each class: labels are a closed set, tenants are not.
    fn tell_extents(&self) {
        let mut largest: BTreeMap<&str, Extent> = BTreeMap::new();
        for (table, extent) in &self.extents {
            let most = largest.entry(table.table().name()).or_default();
            most.files = most.files.max(extent.files);
            most.snapshots = most.snapshots.max(extent.snapshots);
        }
        for (class, extent) in largest {
            let set = |gauge: &IntGaugeVec, n: u64| {
                gauge.with_label_values(&[class]).set(i64::try_from(n).unwrap_or(i64::MAX))
            };
            set(&self.telemetry.extent.files, extent.files);
            set(&self.telemetry.extent.snapshots, extent.snapshots);
        }
        self.pace.note(&self.extents, &self.telemetry);
    }

    fn took(&self, report: &CommitReport, started: Instant) {
        if !report.commits.is_empty() {
            self.telemetry.commit_duration.observe(started.elapsed().as_secs_f64());
        }
    }

    fn count_missed(&self) {
        for ((table, miss), attempts) in self.tables.take_missed() {
            self.telemetry.table_commits.with_label_values(&[table.table().name(), miss.name()]).inc_by(attempts);
        }
    }

    fn note(&mut self, report: &CommitReport) {
        for commit in &report.commits {
            let name = commit.table.table().name();
            self.telemetry.table_commits.with_label_values(&[name, "committed"]).inc();
            self.telemetry.committed.with_label_values(&[name]).inc_by(commit.rows);
            self.extents.insert(commit.table, commit.extent);
        }
        if !report.commits.is_empty() {
            self.tell_extents();
        }
    }
}
