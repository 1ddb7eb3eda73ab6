//! What a run is doing, and what it has done.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use dataflow::Latency;
use serde::Serialize;

use super::feed::Timing;
use super::meter::{Gauge, Meter};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::source::Pace;

/// Where a run stands. Records are this process's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Since the intended start, seconds.
    pub seconds: f64,
    /// Records that will be sent in all.
    pub total: u64,
    /// Records that should have been sent by now.
    pub intended: u64,
    /// Taken by the target's socket, file or library.
    pub sent: u64,
    /// Bytes of these, framing included.
    pub bytes: u64,
    /// Acknowledged by the target.
    pub acknowledged: u64,
    /// Refused by the target, for good.
    pub failed: u64,
    /// Sent more than ten milliseconds after their time.
    pub late: u64,
    /// Tries that had to be repeated.
    pub retries: u64,
    /// How long ago the first record that is not sent was due, seconds.
    pub lag_seconds: f64,
    /// Connections whose target takes nothing now.
    pub stalled: usize,
    /// Time in which targets took nothing, over all connections, seconds.
    pub stalled_seconds: f64,
}

/// From the time at which records were intended to be sent, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    /// Half of them are below.
    pub p50: f64,
    /// 99 of a hundred are below.
    pub p99: f64,
    /// 999 of a thousand are below.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// What a run did. intended = sent + failed + unsent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Records that were to be sent.
    pub intended: u64,
    /// Taken by the target's socket, file or library.
    pub sent: u64,
    /// Acknowledged by the target; none if its protocol has no acknowledgements.
    pub acknowledged: Option<u64>,
    /// Refused by the target, for good.
    pub failed: u64,
    /// Never tried, because the sender gave up.
    pub unsent: u64,
    /// Bytes sent, framing included.
    pub bytes: u64,
    /// Since the intended start.
    pub seconds: f64,
    /// Sent, a second.
    pub events_per_second: f64,
    /// Sent more than ten milliseconds after their time.
    pub late: u64,
    /// Tries that had to be repeated.
    pub retries: u64,
    /// Time in which targets took nothing, over all connections.
    pub back_pressure_seconds: f64,
    /// From intent to the socket, file or library; none without a schedule, or if only acknowledgements are seen.
    pub handed_ms: Option<Latencies>,
    /// From intent to the acknowledgement; none without a schedule, or if there are no acknowledgements.
    pub acknowledged_ms: Option<Latencies>,
    /// Why the sender gave up, if it did.
    pub gave_up: Option<String>,
    /// Why a record failed or was sent again first, if one was.
    pub first_trouble: Option<String>,
}

impl Report {
    pub(crate) fn new(progress: &Progress, meters: &[Meter], failure: Option<&Error>) -> Self {
        let acknowledged = latencies(meters.iter().map(|m| &m.acknowledged));
        let first_trouble = meters.iter().find_map(|m| m.first_trouble.clone());
        Self {
            intended: progress.total,
            sent: progress.sent,
            acknowledged: (progress.acknowledged > 0).then_some(progress.acknowledged),
            failed: progress.failed,
            unsent: progress.total.saturating_sub(progress.sent + progress.failed),
            bytes: progress.bytes,
            seconds: progress.seconds,
            events_per_second: if progress.seconds > 0.0 { progress.sent as f64 / progress.seconds } else { 0.0 },
            late: progress.late,
            retries: progress.retries,
            back_pressure_seconds: progress.stalled_seconds,
            handed_ms: latencies(meters.iter().map(|m| &m.handed)),
            acknowledged_ms: acknowledged,
            gave_up: failure.map(chain),
            first_trouble,
        }
    }

    /// True if every record was sent.
    pub fn is_complete(&self) -> bool {
        self.sent == self.intended && self.gave_up.is_none()
    }
}

fn latencies<'a>(all: impl Iterator<Item = &'a Latency>) -> Option<Latencies> {
    let mut sum = Latency::new();
    all.for_each(|latency| sum.merge(latency));
    (sum.count() > 0).then(|| Latencies {
        p50: sum.quantile_ms(0.5),
        p99: sum.quantile_ms(0.99),
        p999: sum.quantile_ms(0.999),
        max: sum.max_ms(),
    })
}

/// An error with its causes.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// What a run is watched with.
pub(crate) struct Watch<'f> {
    fleet: &'f Fleet,
    timing: &'f Timing,
    gauges: Vec<Arc<Gauge>>,
    /// Own records, and those of the whole fleet.
    total: u64,
    all: u64,
    now: fn() -> i64,
    start_us: i64,
}

impl<'f> Watch<'f> {
    pub(crate) fn new(
        fleet: &'f Fleet,
        timing: &'f Timing,
        gauges: Vec<Arc<Gauge>>,
        total: u64,
        now: fn() -> i64,
    ) -> Self {
        let start_us = match timing {
            Timing::Schedule { start_wall_us, .. } | Timing::Pace(Pace::Open { start_wall_us, .. }) => *start_wall_us,
            Timing::Free | Timing::Pace(Pace::AsFast { .. }) => now(),
        };
        let all = fleet.partitions.iter().filter_map(|partition| u64::try_from(partition.records()).ok()).sum();
        Self { fleet, timing, gauges, total, all, now, start_us }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress_at((self.now)())
    }

    pub(crate) fn progress_at(&self, now_us: i64) -> Progress {
        let mut progress = Progress {
            seconds: (now_us - self.start_us).max(0) as f64 / 1e6,
            total: self.total,
            intended: self.intended(now_us),
            ..Progress::default()
        };
        let (mut lag_us, mut stalled_us) = (0, 0);
        for gauge in &self.gauges {
            progress.sent += gauge.sent.load(Relaxed);
            progress.bytes += gauge.bytes.load(Relaxed);
            progress.acknowledged += gauge.acknowledged.load(Relaxed);
            progress.failed += gauge.failed.load(Relaxed);
            progress.late += gauge.late.load(Relaxed);
            progress.retries += gauge.retries.load(Relaxed);
            let since_us = gauge.stalled_since_us.load(Relaxed);
            progress.stalled += usize::from(since_us != 0 && since_us < now_us);
            stalled_us += gauge.stalled_us.load(Relaxed);
            stalled_us += if since_us == 0 { 0 } else { (now_us - since_us).max(0) };
            lag_us = lag_us.max(self.lag_us(gauge.oldest_due_us.load(Relaxed), now_us));
        }
        progress.lag_seconds = lag_us as f64 / 1e6;
        progress.stalled_seconds = stalled_us as f64 / 1e6;
        progress
    }

    fn lag_us(&self, oldest_due_us: i64, now_us: i64) -> i64 {
        let is_known = self.timing.is_open() && oldest_due_us != 0;
        if is_known { now_us.saturating_sub(oldest_due_us).max(0) } else { 0 }
    }

    /// Own records that are due by now: of a share, by its part in the whole.
    fn intended(&self, now_us: i64) -> u64 {
        let share = |records: f64| ((records * self.total as f64 / self.all.max(1) as f64) as u64).min(self.total);
        match self.timing {
            Timing::Schedule { schedule, start_wall_us } => {
                share(schedule.records_before((now_us - start_wall_us).saturating_add(1)) as f64)
            }
            Timing::Pace(pace) if self.timing.is_open() => {
                let (start, end) = (pace.due_us(0, self.fleet), pace.due_us(self.fleet.config().span_us, self.fleet));
                share(self.all as f64 * ((now_us - start) as f64 / (end - start).max(1) as f64).clamp(0.0, 1.0))
            }
            Timing::Free | Timing::Pace(_) => self.gauges.iter().map(|g| g.sent.load(Relaxed)).sum(),
        }
    }
}
