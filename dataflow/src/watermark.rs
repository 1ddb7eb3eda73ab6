//! How far event time has come, per partition and over all partitions.

use serde::{Deserialize, Serialize};

/// An event time further than this ahead of its receive time does not move the clock, and windows use the receive time.
pub const FUTURE_TOLERANCE_US: i64 = 5 * 60 * 1_000_000;

/// Event-time progress of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watermark {
    /// No row with an earlier time is expected (microseconds UTC).
    EventTime(i64),
    /// The partition is caught up and silent: it holds nobody back.
    Idle,
}

impl Watermark {
    /// The combined watermark: the minimum over all partitions that are not idle; none if all are idle or none exists.
    pub fn combine(all: impl IntoIterator<Item = Watermark>) -> Option<i64> {
        all.into_iter()
            .filter_map(|w| match w {
                Watermark::EventTime(t) => Some(t),
                Watermark::Idle => None,
            })
            .min()
    }
}

/// Follows one partition: the highest `min(event time, receive time)` seen, less a bound for disorder.
///
/// The receive time caps the event time so that one device with a fast clock makes nobody else's events late.
#[derive(Debug, Clone, Copy)]
pub struct PartitionClock {
    highest: Option<i64>,
    bound_us: i64,
}

impl PartitionClock {
    /// A clock that has seen nothing. `bound_us` is the largest disorder expected.
    pub fn new(bound_us: i64) -> Self {
        Self { highest: None, bound_us }
    }

    /// A clock that resumes from a watermark it gave before.
    pub fn resume(bound_us: i64, watermark: Option<i64>) -> Self {
        Self { highest: watermark.map(|w| w.saturating_add(bound_us)), bound_us }
    }

    /// Notes one row.
    #[inline]
    pub fn observe(&mut self, event_time: i64, received_at: i64) {
        let seen = event_time.min(received_at);
        if self.highest.is_none_or(|h| seen > h) {
            self.highest = Some(seen);
        }
    }

    /// The partition's watermark; none before the first row.
    pub fn watermark(&self) -> Option<i64> {
        self.highest.map(|h| h.saturating_sub(self.bound_us))
    }
}

/// The time that windows use for a row: its event time, or its receive time if the event time lies in the future.
#[inline]
pub fn window_time(event_time: i64, received_at: i64) -> i64 {
    if is_time_suspect(event_time, received_at) { received_at } else { event_time }
}

/// True if the event time is more than [`FUTURE_TOLERANCE_US`] ahead of the receive time.
#[inline]
pub fn is_time_suspect(event_time: i64, received_at: i64) -> bool {
    event_time.saturating_sub(received_at) > FUTURE_TOLERANCE_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_active_partition_decides() {
        use Watermark::{EventTime, Idle};
        let cases: [(&[Watermark], Option<i64>); 5] = [
            (&[], None),
            (&[Idle], None),
            (&[EventTime(5), Idle, EventTime(3)], Some(3)),
            (&[EventTime(5), EventTime(i64::MIN)], Some(i64::MIN)),
            (&[Idle, EventTime(9)], Some(9)),
        ];
        for (all, want) in cases {
            assert_eq!(Watermark::combine(all.iter().copied()), want, "{all:?}");
        }
    }

    #[test]
    fn a_fast_clock_makes_nobody_late() {
        let mut clock = PartitionClock::new(10);
        assert_eq!(clock.watermark(), None);
        clock.observe(100, 105);
        clock.observe(9_000, 110); // a device whose clock runs far ahead
        clock.observe(50, 111);
        assert_eq!(clock.watermark(), Some(100));
        assert_eq!(PartitionClock::resume(10, clock.watermark()).watermark(), Some(100));
    }

    #[test]
    fn windows_use_the_receive_time_for_a_future_event() {
        assert_eq!(window_time(FUTURE_TOLERANCE_US, 0), FUTURE_TOLERANCE_US);
        assert_eq!(window_time(FUTURE_TOLERANCE_US + 1, 0), 0);
        assert_eq!(window_time(-1, 0), -1);
    }
}
