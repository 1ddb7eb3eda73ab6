//! What stages tell of single alerts and partitions, for whoever watches. Bounded: an alert beyond the bound is only counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use dataflow::PartitionId;
use loadgen::AlertSeen;
use serde::Serialize;

/// Alerts that wait to be looked at.
const ALERTS_MAX: usize = 10_000;

/// The newest alerts, for pages.
pub(crate) const RECENT_MAX: usize = 100;

/// An alert that has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) alert: AlertSeen,
    /// When it was durable, microseconds UTC.
    pub(crate) at_us: i64,
}

/// An alert as a page lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Recent {
    /// `metadata.uid`: alert and revision.
    pub(crate) revision: String,
    /// When it was durable, microseconds UTC.
    pub(crate) at_us: i64,
    pub(crate) title: String,
    pub(crate) rule: String,
    pub(crate) tenant: String,
    pub(crate) severity: String,
    /// `create` or `update`.
    pub(crate) kind: &'static str,
    /// What it is about.
    pub(crate) key: BTreeMap<String, String>,
    /// Its row, with the evidence: nobody who looks has to wait for the table.
    #[serde(skip)]
    pub(crate) row: Option<RecordBatch>,
}

/// How far a partition is, by its last ledger entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) watermark: Option<i64>,
    pub(crate) received_min: Option<i64>,
    pub(crate) received_max: Option<i64>,
}

/// See the module's front. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    alerts: Vec<Announced>,
    /// The newest first.
    recent: VecDeque<Recent>,
    partitions: BTreeMap<PartitionId, Progress>,
    /// Earliest receipt of all.
    began_us: Option<i64>,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An alert has left.
    pub(crate) fn announce(&self, alert: Announced, recent: Recent) {
        let mut held = self.lock();
        held.recent.truncate(RECENT_MAX - 1);
        held.recent.push_front(recent);
        if held.alerts.len() < ALERTS_MAX {
            held.alerts.push(alert);
        }
    }

    /// A range of the partition is in the ledger.
    pub(crate) fn progress(&self, partition: &PartitionId, progress: Progress) {
        let mut held = self.lock();
        held.began_us = [held.began_us, progress.received_min].into_iter().flatten().min();
        match held.partitions.get_mut(partition) {
            Some(known) => *known = progress,
            None => drop(held.partitions.insert(partition.clone(), progress)),
        }
    }

    /// The alerts since the last call.
    pub(crate) fn take_alerts(&self) -> Vec<Announced> {
        std::mem::take(&mut self.lock().alerts)
    }

    /// The newest alerts, the newest first.
    pub(crate) fn recent(&self) -> Vec<Recent> {
        self.lock().recent.iter().cloned().collect()
    }

    /// The row of an alert, if it is one of the newest.
    pub(crate) fn alert(&self, revision: &str) -> Option<RecordBatch> {
        self.lock().recent.iter().find(|recent| recent.revision == revision)?.row.clone()
    }

    /// How far each partition is.
    pub(crate) fn partitions(&self) -> BTreeMap<PartitionId, Progress> {
        self.lock().partitions.clone()
    }

    /// When the first event was received.
    pub(crate) fn began_us(&self) -> Option<i64> {
        self.lock().began_us
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn alerts_are_taken_once_and_bounded() {
        let feed = Feed::default();
        let alert = AlertSeen {
            rule: "r".to_owned(),
            tenant: "t".to_owned(),
            key: BTreeMap::new(),
            window_start: 0,
            window_end: 1,
        };
        let recent = |at_us| Recent {
            revision: format!("a/{at_us}"),
            at_us,
            title: "t".to_owned(),
            rule: "r".to_owned(),
            tenant: "t".to_owned(),
            severity: "low".to_owned(),
            kind: "create",
            key: BTreeMap::new(),
            row: Some(RecordBatch::new_empty(Arc::new(Schema::empty()))),
        };
        let last = ALERTS_MAX as i64 + 4;
        (0..=last).for_each(|at_us| feed.announce(Announced { alert: alert.clone(), at_us }, recent(at_us)));
        assert_eq!(feed.take_alerts().len(), ALERTS_MAX);
        assert!(feed.take_alerts().is_empty());
        assert!(feed.alert(&format!("a/{last}")).is_some() && feed.alert("a/0").is_none(), "of the newest");
        let recent = feed.recent();
        assert_eq!((recent.len(), recent[0].at_us), (RECENT_MAX, last));
    }

    #[test]
    fn the_first_receipt_stays_and_progress_is_the_last() {
        let feed = Feed::default();
        let partition = PartitionId::new("t", "i", 0);
        for min in [500, 300, 900] {
            let progress = Progress { received_min: Some(min), received_max: Some(min + 1), watermark: Some(min) };
            feed.progress(&partition, progress);
        }
        assert_eq!(feed.began_us(), Some(300));
        assert_eq!(feed.partitions()[&partition].watermark, Some(900));
    }
}
