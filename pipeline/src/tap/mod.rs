//! A look into the path: copies of what stages work on, for whoever asks (`palisade tap`).
//!
//! **Data in:** batches that stages offer. **Data out:** the same batches, to those who look at that stage. While nobody looks, an offer
//! costs one load. A stage never waits: what a listener has not taken is passed over, and counted. Absent on purpose: which rows are
//! shown, and how ([`Look`]).

mod look;
mod redaction;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub(crate) use look::{Look, Received, Request};
pub(crate) use redaction::Redaction;

/// Who may look at once: each costs the worker a copy of what it sees.
const LISTENERS_MAX: usize = 8;
/// Batches that wait for a listener.
const WAITING_MAX: usize = 4;

/// Where in the path something is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Records as their source gave them.
    Received,
    /// Rows, decoded and enriched.
    Events,
    /// Records that could not be decoded, as their range is written.
    DeadLetters,
    /// Alerts, once they are durable.
    Alerts,
}

impl Stage {
    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Rows that a stage offered.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Of an event its class; of a record as it was received, `received`.
    pub(crate) table: &'static str,
    pub(crate) rows: RecordBatch,
}

/// See the module's front. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Taps(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// A bit for each stage that somebody looks at.
    wanted: AtomicU32,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    taps: Vec<Tap>,
}

struct Tap {
    id: u64,
    stage: Stage,
    to: mpsc::Sender<Seen>,
    passed_over: Arc<AtomicU64>,
}

impl Taps {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at a stage; None if too many look already.
    pub(crate) fn listen(&self, stage: Stage) -> Option<Listener> {
        let (to, from) = mpsc::channel(WAITING_MAX);
        let passed_over = Arc::new(AtomicU64::new(0));
        let mut open = self.lock();
        if open.taps.len() == LISTENERS_MAX {
            return None;
        }
        let id = open.next_id;
        open.next_id += 1;
        open.taps.push(Tap { id, stage, to, passed_over: passed_over.clone() });
        self.renew(&open);
        Some(Listener { id, taps: self.clone(), from, passed_over })
    }

    /// Shows a stage's rows to those who look at it.
    pub(crate) fn offer(&self, stage: Stage, table: &'static str, rows: impl FnOnce() -> RecordBatch) {
        if self.0.wanted.load(Ordering::Relaxed) & stage.bit() == 0 {
            return;
        }
        let seen = Seen { table, rows: rows() };
        for tap in self.lock().taps.iter().filter(|tap| tap.stage == stage) {
            if tap.to.try_send(seen.clone()).is_err() {
                tap.passed_over.fetch_add(seen.rows.num_rows() as u64, Ordering::Relaxed);
            }
        }
    }

    fn renew(&self, open: &Open) {
        let wanted = open.taps.iter().fold(0, |wanted, tap| wanted | tap.stage.bit());
        self.0.wanted.store(wanted, Ordering::Relaxed);
    }
}

/// Somebody who looks, until it is dropped.
pub(crate) struct Listener {
    id: u64,
    taps: Taps,
    from: mpsc::Receiver<Seen>,
    passed_over: Arc<AtomicU64>,
}

impl Listener {
    /// What was seen next.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        self.from.recv().await
    }

    /// Rows that found no room since the last call.
    pub(crate) fn take_passed_over(&self) -> u64 {
        self.passed_over.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut open = self.taps.lock();
        open.taps.retain(|tap| tap.id != self.id);
        self.taps.renew(&open);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn rows(count: i64) -> RecordBatch {
        let numbers: Int64Array = (0..count).collect();
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).expect("a batch")
    }

    #[tokio::test]
    async fn whoever_looks_sees_its_stage_and_holds_up_nobody() {
        let taps = Taps::default();
        taps.offer(Stage::Events, "t", || panic!("nobody looks"));
        let mut listener = taps.listen(Stage::Events).expect("there is room");
        taps.offer(Stage::Alerts, "t", || panic!("nobody looks at this stage"));
        (0..WAITING_MAX as i64 + 2).for_each(|_| taps.offer(Stage::Events, "t", || rows(3)));
        assert_eq!((listener.take_passed_over(), listener.take_passed_over()), (6, 0));
        for _ in 0..WAITING_MAX {
            assert_eq!(listener.next().await.map(|seen| (seen.table, seen.rows.num_rows())), Some(("t", 3)));
        }
        drop(listener);
        taps.offer(Stage::Events, "t", || panic!("nobody looks any more"));
    }

    #[test]
    fn a_few_may_look_at_once() {
        let taps = Taps::default();
        let mut listeners: Vec<Listener> = (0..LISTENERS_MAX).filter_map(|_| taps.listen(Stage::Events)).collect();
        assert_eq!((listeners.len(), taps.listen(Stage::Alerts).is_none()), (LISTENERS_MAX, true));
        listeners.pop();
        assert!(taps.listen(Stage::Alerts).is_some());
    }
}
