//! What became of the records, measured from the time at which each was intended to be sent.
//!
//! A worker that waits for its target sends later records late, and their latency counts from when they were due: what a
//! closed loop would leave out ("coordinated omission") is in the figures by construction.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::task::Poll;

use dataflow::Latency;

use super::batch::Batch;

/// A record that is handed over later than this after its time is late. Timers wake every millisecond.
pub(crate) const LATE_US: i64 = 10_000;

/// A worker's counts, for all to see.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// When the first record that is not sent was due; `i64::MAX` after the last.
    pub(crate) oldest_due_us: AtomicI64,
    /// When the first record that is in no batch is due; `i64::MAX` after the last.
    pub(crate) next_due_us: AtomicI64,
    /// Since when the target has not taken anything; 0 while it does.
    pub(crate) stalled_since_us: AtomicI64,
    pub(crate) stalled_us: AtomicI64,
}

impl Gauge {
    /// Changes whenever anything is sent, acknowledged or given up.
    pub(crate) fn progress(&self) -> u64 {
        self.bytes.load(Relaxed) + self.acknowledged.load(Relaxed) + self.failed.load(Relaxed)
    }
}

/// What a worker writes its counts with.
pub(crate) struct Meter {
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) handed: Latency,
    pub(crate) acknowledged: Latency,
    /// Why the first record failed, or was sent again.
    pub(crate) first_trouble: Option<String>,
    /// When the last record was sent or given up; 0 before that.
    pub(crate) ended_us: i64,
    now: fn() -> i64,
    /// False if records have no time: nothing is late.
    is_open: bool,
}

impl Meter {
    pub(crate) fn new(gauge: Arc<Gauge>, now: fn() -> i64, is_open: bool) -> Self {
        let (handed, acknowledged) = (Latency::new(), Latency::new());
        Self { gauge, handed, acknowledged, first_trouble: None, ended_us: 0, now, is_open }
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.now)()
    }

    /// These records were taken by the socket, the file, or the client library.
    pub(crate) fn handed(&mut self, batch: &Batch, records: Range<usize>) {
        let bytes = batch.start(records.end) - batch.start(records.start);
        self.sent(records.len() as u64, bytes as u64);
        if self.is_open {
            let late = lags(batch, records, self.now_us(), &mut self.handed);
            self.gauge.late.fetch_add(late, Relaxed);
        }
    }

    /// The target has said that it holds these records. That is also the first that is known of their sending.
    pub(crate) fn acknowledged(&mut self, batch: &Batch, records: Range<usize>) {
        let bytes = batch.start(records.end) - batch.start(records.start);
        self.sent(records.len() as u64, bytes as u64);
        self.gauge.acknowledged.fetch_add(records.len() as u64, Relaxed);
        if self.is_open {
            let late = lags(batch, records, self.now_us(), &mut self.acknowledged);
            self.gauge.late.fetch_add(late, Relaxed);
        }
    }

    /// Nothing more will be sent.
    pub(crate) fn end(&mut self) {
        self.due(None, None);
        self.ended_us = self.now_us();
    }

    /// One record was taken by a client library.
    pub(crate) fn handed_one(&mut self, due_us: i64, bytes: usize) {
        self.sent(1, bytes as u64);
        if self.is_open {
            let lag_us = self.now_us() - due_us;
            self.handed.record(lag_us, 1);
            self.gauge.late.fetch_add(u64::from(lag_us > LATE_US), Relaxed);
        }
    }

    fn sent(&self, records: u64, bytes: u64) {
        self.gauge.sent.fetch_add(records, Relaxed);
        self.gauge.bytes.fetch_add(bytes, Relaxed);
    }

    /// The target will not take these records.
    pub(crate) fn failed(&mut self, records: usize, cause: &str) {
        self.gauge.failed.fetch_add(records as u64, Relaxed);
        self.trouble(cause);
    }

    /// Something goes on again after this.
    pub(crate) fn retried(&mut self, cause: &str) {
        self.gauge.retries.fetch_add(1, Relaxed);
        self.trouble(cause);
    }

    fn trouble(&mut self, cause: &str) {
        self.first_trouble.get_or_insert_with(|| cause.to_owned());
    }

    /// The first record that is not sent, and the first that is in no batch.
    pub(crate) fn due(&self, oldest_us: Option<i64>, next_us: Option<i64>) {
        self.gauge.oldest_due_us.store(oldest_us.unwrap_or(i64::MAX), Relaxed);
        self.gauge.next_due_us.store(next_us.unwrap_or(i64::MAX), Relaxed);
    }

    /// Awaits the target. What it does not take at once is back-pressure, from `from_us` on.
    pub(crate) async fn waiting<T>(&self, from_us: i64, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(result) = first {
            return result;
        }
        self.stall(from_us);
        let result = work.await;
        self.flow();
        result
    }

    /// The target takes nothing, from `from_us` or from now on.
    pub(crate) fn stall(&self, from_us: i64) {
        self.flow();
        self.gauge.stalled_since_us.store(self.now_us().max(from_us), Relaxed);
    }

    /// The target takes again.
    pub(crate) fn flow(&self) {
        let since_us = self.gauge.stalled_since_us.swap(0, Relaxed);
        if since_us != 0 {
            self.gauge.stalled_us.fetch_add((self.now_us() - since_us).max(0), Relaxed);
        }
    }
}

/// Records how long after its time each was handled; returns how many were late.
fn lags(batch: &Batch, records: Range<usize>, now_us: i64, latency: &mut Latency) -> u64 {
    let mut late = 0;
    for due_us in batch.due_us(records) {
        latency.record(now_us - due_us, 1);
        late += u64::from(now_us - due_us > LATE_US);
    }
    late
}
