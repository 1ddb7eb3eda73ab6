//! Events between receipt and being queryable: what the latency of each event is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dataflow::{Latency, OffsetRange, PartitionId, Positions};
use sinks::Destination;
use tokio::sync::watch;

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

    /// How many events were noted.
    pub(crate) fn events(&self) -> u64 {
        self.counts.iter().map(|(_, n)| n).sum()
    }
}

/// Ranges whose entry exists and whose rows are not queryable yet, and the latencies of those that are.
#[derive(Clone)]
pub(crate) struct Flight {
    shared: Arc<Mutex<Shared>>,
    /// Bytes of data files that wait for their tables.
    uncommitted: watch::Sender<u64>,
    telemetry: Telemetry,
}

#[derive(Default)]
struct Shared {
    open: HashMap<(PartitionId, i64), Open>,
    queryable: Latency,
    alerts: Latency,
}

/// A range whose rows cannot all be queried yet.
struct Open {
    next: i64,
    received: Received,
    /// The tables that have yet to take the range in, and the bytes that each is to take.
    tables: BTreeMap<Destination, u64>,
}

impl Flight {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self { shared: Arc::default(), uncommitted: watch::Sender::new(0), telemetry }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of data files that wait for their tables.
    pub(crate) fn uncommitted(&self) -> u64 {
        *self.uncommitted.borrow()
    }

    /// Returns when fewer bytes than the limit wait for their tables.
    pub(crate) async fn room(&self, limit: u64) {
        // The sender is ours, so it is there.
        let _ = self.uncommitted.subscribe().wait_for(|waiting| *waiting < limit).await;
    }

    fn count(&self, change: impl FnOnce(&mut u64)) {
        self.uncommitted.send_modify(change);
        self.telemetry.uncommitted_bytes.set(i64::try_from(self.uncommitted()).unwrap_or(i64::MAX));
    }

    /// The range is about to get its ledger entry, with so many bytes of rows for these tables.
    pub(crate) fn depart(
        &self,
        partition: &PartitionId,
        range: OffsetRange,
        received: Received,
        tables: BTreeMap<Destination, u64>,
    ) {
        if !tables.is_empty() {
            let bytes: u64 = tables.values().sum();
            self.count(|waiting| *waiting += bytes);
            self.lock().open.insert((partition.clone(), range.start), Open { next: range.next, received, tables });
        }
    }

    /// The range did not get its entry after all.
    pub(crate) fn retract(&self, partition: &PartitionId, start: i64) -> Received {
        let Some(open) = self.lock().open.remove(&(partition.clone(), start)) else { return Received::default() };
        self.count(|waiting| *waiting -= open.tables.values().sum::<u64>());
        open.received
    }

    /// At `now_us` the table has all rows below the positions, whoever committed them. With the last of its tables, a range
    /// is queryable.
    pub(crate) fn arrive(&self, table: Destination, positions: &Positions, now_us: i64) {
        let mut shared = self.lock();
        let (mut landed, mut bytes) = (Vec::new(), 0);
        shared.open.retain(|(partition, _), open| {
            if positions.get(partition).is_some_and(|have| *have >= open.next) {
                bytes += open.tables.remove(&table).unwrap_or(0);
            }
            let is_open = !open.tables.is_empty();
            if !is_open {
                landed.push(std::mem::take(&mut open.received));
            }
            is_open
        });
        self.count(|waiting| *waiting -= bytes);
        for (ms, events) in landed.iter().flat_map(|received| &received.counts) {
            let took_us = now_us - ms * 1000;
            shared.queryable.record(took_us, *events);
            // The Prometheus histogram takes one observation at a time; the range's buckets stay few.
            let seconds = took_us as f64 / 1e6;
            (0..*events).for_each(|_| self.telemetry.queryable_latency.observe(seconds));
        }
        let events: u64 = landed.iter().map(Received::events).sum();
        self.telemetry.in_flight.sub(i64::try_from(events).unwrap_or(i64::MAX));
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
    use dataflow::Table;

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
        let range = OffsetRange { start: 0, next: 101 };
        flight.depart(
            &partition,
            range,
            received,
            BTreeMap::from([(Table::NetworkActivity.into(), 30), (Table::DeadLetter.into(), 3)]),
        );
        let at = |next| Positions::from([(partition.clone(), next)]);
        flight.arrive(Table::NetworkActivity.into(), &at(101), 2_500_000);
        flight.arrive(Table::DeadLetter.into(), &at(100), 2_600_000);
        assert_eq!(flight.latencies().0.count(), 0, "one table of two");
        flight.arrive(Table::DeadLetter.into(), &at(101), 3_000_000);
        flight.arrive(Table::DeadLetter.into(), &at(150), 9_000_000); // a later commit changes nothing
        let (queryable, _) = flight.latencies();
        assert_eq!(queryable.count(), 101);
        assert!((queryable.quantile_ms(0.5) - 2000.0).abs() < 3.0 && (queryable.quantile_ms(0.0) - 1000.0).abs() < 2.0);
    }

    #[tokio::test]
    async fn sources_wait_while_too_many_bytes_wait_for_their_tables() {
        let flight = Flight::new(Telemetry::new());
        let partition = PartitionId::new("t", "i", 0);
        let depart = |start| {
            let tables = BTreeMap::from([(Table::NetworkActivity.into(), 30), (Table::DeadLetter.into(), 3)]);
            flight.depart(&partition, OffsetRange { start, next: start + 10 }, Received::default(), tables);
        };
        let at = |next| Positions::from([(partition.clone(), next)]);
        depart(0);
        flight.room(34).await;
        depart(10);
        let mut room = std::pin::pin!(flight.room(34));
        for (arrives, waits) in [(None, true), (Some(0), true), (Some(10), false)] {
            for table in [Table::NetworkActivity, Table::DeadLetter] {
                arrives.iter().for_each(|next| flight.arrive(table.into(), &at(*next), 1));
            }
            assert_eq!(futures::poll!(&mut room).is_pending(), waits, "{arrives:?}");
        }
        assert_eq!((flight.uncommitted(), flight.telemetry.uncommitted_bytes.get()), (33, 33));
        flight.retract(&partition, 10);
        assert_eq!((flight.uncommitted(), flight.telemetry.uncommitted_bytes.get()), (0, 0));
    }

    #[test]
    fn a_range_that_another_worker_took_is_nobodys_latency() {
        let flight = Flight::new(Telemetry::new());
        let partition = PartitionId::new("t", "i", 0);
        let mut received = Received::default();
        received.note(1_000_000, 7);
        flight.depart(
            &partition,
            OffsetRange { start: 0, next: 7 },
            received,
            BTreeMap::from([(Table::BaseEvent.into(), 5)]),
        );
        assert_eq!(flight.retract(&partition, 0).events(), 7);
        flight.arrive(Table::BaseEvent.into(), &Positions::from([(partition, 9)]), 2_000_000);
        assert_eq!(flight.latencies().0.count(), 0);
    }
}
