//! Events between receipt and being queryable: what the latency of each event is made of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use dataflow::{Latency, PartitionId};

use crate::telemetry::Telemetry;

/// When the events of one open range were received, to the millisecond.
#[derive(Debug, Default, Clone)]
pub(crate) struct Received {
    /// Milliseconds UTC and how many events, in order of arrival.
    counts: Vec<(i64, u64)>,
    pub(crate) min_us: Option<i64>,
    pub(crate) max_us: Option<i64>,
}

impl Received {
    /// Notes `events` received at `at_us`.
    pub(crate) fn note(&mut self, at_us: i64, events: u64) {
        self.min_us = Some(self.min_us.map_or(at_us, |m| m.min(at_us)));
        self.max_us = Some(self.max_us.map_or(at_us, |m| m.max(at_us)));
        let ms = at_us.div_euclid(1000);
        match self.counts.last_mut() {
            Some((last, n)) if *last == ms => *n += events,
            _ => self.counts.push((ms, events)),
        }
    }

    fn events(&self) -> u64 {
        self.counts.iter().map(|(_, n)| n).sum()
    }
}

/// Ranges whose entry exists and whose rows are not queryable yet, and the latencies of those that are.
#[derive(Clone)]
pub(crate) struct Flight {
    shared: Arc<Mutex<Shared>>,
    telemetry: Telemetry,
}

#[derive(Default)]
struct Shared {
    /// With the tables that have yet to take the range in.
    open: HashMap<(PartitionId, i64), (Received, usize)>,
    queryable: Latency,
    alerts: Latency,
}

impl Flight {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self { shared: Arc::default(), telemetry }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The range that starts at `start` is about to get its ledger entry, with rows for so many tables.
    pub(crate) fn depart(&self, partition: &PartitionId, start: i64, received: Received, tables: usize) {
        if tables > 0 {
            self.lock().open.insert((partition.clone(), start), (received, tables));
        }
    }

    /// One table took the range in at `now_us`; after the last one all of its rows are queryable.
    pub(crate) fn arrive(&self, partition: &PartitionId, start: i64, now_us: i64) {
        let mut shared = self.lock();
        let Entry::Occupied(mut open) = shared.open.entry((partition.clone(), start)) else { return };
        open.get_mut().1 -= 1;
        if open.get().1 > 0 {
            return;
        }
        let (received, _) = open.remove();
        for (ms, events) in &received.counts {
            let took_us = now_us - ms * 1000;
            shared.queryable.record(took_us, *events);
            // The Prometheus histogram takes one observation at a time; the range's buckets stay few.
            let seconds = took_us as f64 / 1e6;
            (0..*events).for_each(|_| self.telemetry.queryable_latency.observe(seconds));
        }
        let events = i64::try_from(received.events()).unwrap_or(i64::MAX);
        self.telemetry.in_flight.sub(events);
    }

    /// `count` alerts became durable at `now_us`; `received_us` is the receipt of the oldest event behind them.
    pub(crate) fn alert(&self, received_us: i64, now_us: i64, count: u64) {
        self.lock().alerts.record(now_us - received_us, count);
        let seconds = (now_us - received_us) as f64 / 1e6;
        (0..count).for_each(|_| self.telemetry.alert_latency.observe(seconds.max(0.0)));
    }

    /// Latencies so far: to queryable, and of alerts.
    pub(crate) fn latencies(&self) -> (Latency, Latency) {
        let shared = self.lock();
        (shared.queryable.clone(), shared.alerts.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_counts_with_its_own_receipt() {
        let flight = Flight::new(Telemetry::new());
        let partition = PartitionId::new("t", "i", 0);
        let mut received = Received::default();
        received.note(1_000_000, 99);
        received.note(1_000_500, 1);
        received.note(2_000_000, 1);
        assert_eq!((received.min_us, received.max_us, received.events()), (Some(1_000_000), Some(2_000_000), 101));
        flight.depart(&partition, 0, received, 2);
        flight.arrive(&partition, 0, 2_500_000);
        assert_eq!(flight.latencies().0.count(), 0, "one table of two");
        flight.arrive(&partition, 0, 3_000_000);
        flight.arrive(&partition, 0, 9_000_000); // a second commit of the same range changes nothing
        let (queryable, _) = flight.latencies();
        assert_eq!(queryable.count(), 101);
        assert!((queryable.quantile_ms(0.5) - 2000.0).abs() < 3.0 && (queryable.quantile_ms(0.0) - 1000.0).abs() < 2.0);
    }
}
