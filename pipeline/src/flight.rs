//! Events between receipt and being queryable: what the latency of each event is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dataflow::{Latency, OffsetRange, PartitionId, Positions, Table};
use sinks::Destination;
use tokio::sync::watch;
use uuid::Uuid;

use crate::telemetry::{self, Telemetry};
use crate::traces::Span;

/// How many events were received when, to the millisecond, in order of arrival.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    by_ms: Vec<(i64, u64)>,
    min_us: Option<i64>,
    max_us: Option<i64>,
}

impl Counts {
    /// Notes `events` received at `at_us`.
    pub(crate) fn note(&mut self, at_us: i64, events: u64) {
        self.min_us = Some(self.min_us.map_or(at_us, |m| m.min(at_us)));
        self.max_us = Some(self.max_us.map_or(at_us, |m| m.max(at_us)));
        let ms = at_us.div_euclid(1000);
        match self.by_ms.last_mut() {
            Some((last, n)) if *last == ms => *n += events,
            _ => self.by_ms.push((ms, events)),
        }
    }

    /// Adds what came later.
    fn extend(&mut self, later: Self) {
        self.min_us = [self.min_us, later.min_us].into_iter().flatten().min();
        self.max_us = self.max_us.max(later.max_us);
        self.by_ms.extend(later.by_ms);
    }

    /// How many events were noted.
    pub(crate) fn events(&self) -> u64 {
        self.by_ms.iter().map(|(_, n)| n).sum()
    }

    /// How long ago they were received, in microseconds, and how many each time; nothing if nothing is measured.
    fn took(&self, now_us: i64) -> impl Iterator<Item = (i64, u64)> + '_ {
        let measured = if telemetry::measures() { self.by_ms.as_slice() } else { &[] };
        measured.iter().map(move |(ms, events)| (now_us - ms * 1000, *events))
    }
}

/// When the events of one open range were received.
#[derive(Debug, Default, Clone)]
pub(crate) struct Received {
    /// Of each tier of tenants, records that became dead letters among them.
    tiers: BTreeMap<Arc<str>, Counts>,
    /// Rows by class.
    classes: BTreeMap<Table, Counts>,
}

impl Received {
    /// Notes events of a tenant of that tier.
    pub(crate) fn note(&mut self, tier: &Arc<str>, counts: Counts) {
        self.tiers.entry(tier.clone()).or_default().extend(counts);
    }

    /// Notes when the rows of a batch were received.
    pub(crate) fn note_rows(&mut self, class: Table, received_us: impl IntoIterator<Item = i64>) {
        if !telemetry::measures() {
            return;
        }
        let counts = self.classes.entry(class).or_default();
        received_us.into_iter().for_each(|us| counts.note(us, 1));
    }

    /// When the first was received.
    pub(crate) fn min_us(&self) -> Option<i64> {
        self.tiers.values().filter_map(|counts| counts.min_us).min()
    }

    /// When the last was received.
    pub(crate) fn max_us(&self) -> Option<i64> {
        self.tiers.values().filter_map(|counts| counts.max_us).max()
    }

    /// How many events were noted.
    pub(crate) fn events(&self) -> u64 {
        self.tiers.values().map(Counts::events).sum()
    }

    fn took(&self, now_us: i64) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.tiers.values().flat_map(move |counts| counts.took(now_us))
    }
}

/// How long events took from their receipt to each step of the path, and alerts from the receipt of the oldest event behind them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Steps {
    /// Until they were decoded.
    pub(crate) decoded: Latency,
    /// Until their range had its ledger entry: from there nothing is lost.
    pub(crate) ledger: Latency,
    /// Until every row of their range was queryable.
    pub(crate) queryable: Latency,
    /// Until the alert's ledger entry was there.
    pub(crate) alert: Latency,
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
    /// When the first event was received of each range that has no entry yet.
    begun: HashMap<PartitionId, i64>,
    open: HashMap<(PartitionId, i64), Open>,
    steps: Steps,
    /// Of rows, until they could be queried, by class.
    classes: BTreeMap<Table, Latency>,
}

/// A range whose rows cannot all be queried yet.
struct Open {
    next: i64,
    attempt: Uuid,
    /// When its files were written.
    departed_us: i64,
    received: Arc<Received>,
    /// The tables that have yet to take the range in, and the bytes that each is to take.
    tables: BTreeMap<Destination, u64>,
}

/// A range whose files are written.
pub(crate) struct Departing<'a> {
    pub(crate) partition: &'a PartitionId,
    pub(crate) range: OffsetRange,
    pub(crate) attempt: Uuid,
    pub(crate) at_us: i64,
    pub(crate) received: Arc<Received>,
    /// Bytes of rows for each table.
    pub(crate) tables: BTreeMap<Destination, u64>,
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

    /// Events of the partition were decoded at `now_us`.
    pub(crate) fn decoded(&self, partition: &PartitionId, counts: &Counts, now_us: i64) {
        let Some(first_us) = counts.min_us else { return };
        let mut shared = self.lock();
        let begun = shared.begun.entry(partition.clone()).or_insert(first_us);
        *begun = (*begun).min(first_us);
        counts.took(now_us).for_each(|(us, events)| shared.steps.decoded.record(us, events));
        drop(shared);
        self.telemetry.latency.step.note(&["decoded", &partition.topic], counts.took(now_us));
    }

    /// What was open of the partition is somebody else's to read.
    pub(crate) fn abandon(&self, partition: &PartitionId, received: &Received) {
        self.lock().begun.remove(partition);
        self.left(received.events());
    }

    fn left(&self, events: u64) {
        self.telemetry.in_flight.sub(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// The range is about to get its ledger entry.
    pub(crate) fn depart(&self, departing: Departing<'_>) {
        let Departing { partition, range, attempt, at_us, received, tables } = departing;
        if !tables.is_empty() {
            let bytes: u64 = tables.values().sum();
            self.count(|waiting| *waiting += bytes);
            let open = Open { next: range.next, attempt, departed_us: at_us, received, tables };
            self.lock().open.insert((partition.clone(), range.start), open);
        }
    }

    /// The range has its entry since `now_us`.
    pub(crate) fn recorded(&self, partition: &PartitionId, received: &Received, now_us: i64) {
        let mut shared = self.lock();
        shared.begun.remove(partition);
        received.took(now_us).for_each(|(us, events)| shared.steps.ledger.record(us, events));
        drop(shared);
        self.telemetry.latency.step.note(&["ledger", &partition.topic], received.took(now_us));
    }

    /// The range did not get its entry after all.
    pub(crate) fn retract(&self, partition: &PartitionId, start: i64) {
        let Some(open) = self.lock().open.remove(&(partition.clone(), start)) else { return };
        self.count(|waiting| *waiting -= open.tables.values().sum::<u64>());
    }

    /// At `now_us` the table has all rows below the positions, whoever committed them. With the last of its tables, a range
    /// is queryable.
    pub(crate) fn arrive(&self, table: Destination, positions: &Positions, now_us: i64) {
        let mut shared = self.lock();
        let (mut of_table, mut landed, mut bytes) = (Vec::new(), Vec::new(), 0);
        shared.open.retain(|(partition, _), open| {
            let has_it = positions.get(partition).is_some_and(|have| *have >= open.next);
            if has_it && let Some(size) = open.tables.remove(&table) {
                bytes += size;
                self.telemetry.traces.tell(|| {
                    let commit = Span::part("commit", open.attempt, (open.departed_us, now_us));
                    commit.with("palisade.table", table.table().name()).with("palisade.bytes", size)
                });
                of_table.push(open.received.clone());
            }
            let is_open = !open.tables.is_empty();
            if !is_open {
                landed.push((partition.topic.clone(), open.received.clone()));
            }
            is_open
        });
        let took = landed.iter().flat_map(|(_, received)| received.took(now_us));
        took.for_each(|(us, events)| shared.steps.queryable.record(us, events));
        drop(shared);
        self.count(|waiting| *waiting -= bytes);
        self.tell_class(table.table(), &of_table, now_us);
        for (source, received) in &landed {
            for (tier, counts) in &received.tiers {
                self.telemetry.latency.queryable.note(&[source, tier], counts.took(now_us));
            }
        }
        self.left(landed.iter().map(|(_, received)| received.events()).sum());
    }

    /// A class's rows of these ranges can be queried.
    fn tell_class(&self, class: Table, ranges: &[Arc<Received>], now_us: i64) {
        let rows = || ranges.iter().filter_map(|received| received.classes.get(&class));
        if let Some(newest_us) = rows().filter_map(|counts| counts.max_us).max() {
            let mut shared = self.lock();
            let latency = shared.classes.entry(class).or_default();
            rows().flat_map(|counts| counts.took(now_us)).for_each(|(us, events)| latency.record(us, events));
            drop(shared);
            self.telemetry.latency.class.note(&[class.name()], rows().flat_map(|counts| counts.took(now_us)));
            let newest = self.telemetry.latency.newest.with_label_values(&[class.name()]);
            newest.set(newest.get().max(newest_us as f64 / 1e6));
        }
    }

    /// `count` alerts became durable at `now_us`; `received_us` is the receipt of the oldest event behind them.
    pub(crate) fn alert(&self, received_us: i64, now_us: i64, count: u64) {
        self.lock().steps.alert.record(now_us - received_us, count);
        self.telemetry.latency.alert.note(&[], [(now_us - received_us, count)]);
    }

    /// Latencies so far.
    pub(crate) fn steps(&self) -> Steps {
        self.lock().steps.clone()
    }

    /// Latencies of rows so far, by class.
    pub(crate) fn classes(&self) -> BTreeMap<Table, Latency> {
        self.lock().classes.clone()
    }

    /// When the oldest event was received that cannot be queried yet: what a latency that is measured on arrival does not show while
    /// nothing arrives.
    pub(crate) fn oldest_us(&self) -> Option<i64> {
        let shared = self.lock();
        let open = shared.open.values().filter_map(|open| open.received.min_us());
        shared.begun.values().copied().chain(open).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(received: &[(i64, u64)]) -> Counts {
        let mut counts = Counts::default();
        received.iter().for_each(|(us, events)| counts.note(*us, *events));
        counts
    }

    fn received(of: &[(i64, u64)]) -> Received {
        let mut received = Received::default();
        received.note(&"gold".into(), counts(of));
        received
    }

    fn departing(partition: &PartitionId, (start, next): (i64, i64), received: Arc<Received>) -> Departing<'_> {
        let tables = BTreeMap::from([(Table::NetworkActivity.into(), 30), (Table::DeadLetter.into(), 3)]);
        Departing { partition, range: OffsetRange { start, next }, attempt: Uuid::nil(), at_us: 0, received, tables }
    }

    #[test]
    fn each_event_counts_with_its_own_receipt() {
        let flight = Flight::new(Telemetry::new());
        let partition = PartitionId::new("t", "i", 0);
        let events = [(1_000_000, 99), (1_000_500, 1), (2_000_000, 1)];
        flight.decoded(&partition, &counts(&events), 2_010_000);
        assert_eq!(flight.oldest_us(), Some(1_000_000), "its range is not in the ledger yet");
        let mut received = received(&events);
        received.note_rows(Table::NetworkActivity, [1_000_000; 90]);
        received.note_rows(Table::DeadLetter, [2_000_000; 11]);
        assert_eq!((received.min_us(), received.max_us(), received.events()), (Some(1_000_000), Some(2_000_000), 101));
        let received = Arc::new(received);
        flight.depart(departing(&partition, (0, 101), received.clone()));
        flight.recorded(&partition, &received, 2_100_000);
        let at = |next| Positions::from([(partition.clone(), next)]);
        flight.arrive(Table::NetworkActivity.into(), &at(101), 2_500_000);
        flight.arrive(Table::DeadLetter.into(), &at(100), 2_600_000);
        assert_eq!((flight.steps().queryable.count(), flight.oldest_us()), (0, Some(1_000_000)), "one table of two");
        flight.arrive(Table::DeadLetter.into(), &at(101), 3_000_000);
        flight.arrive(Table::DeadLetter.into(), &at(150), 9_000_000); // a later commit changes nothing
        let Steps { decoded, ledger, queryable, .. } = flight.steps();
        assert_eq!([&decoded, &ledger, &queryable].map(Latency::count), [101; 3]);
        let about = |latency: &Latency, ms: f64| (latency.quantile_ms(0.5) - ms).abs() < 3.0;
        assert!(about(&decoded, 1010.0) && about(&ledger, 1100.0) && about(&queryable, 2000.0));
        assert!((queryable.quantile_ms(0.0) - 1000.0).abs() < 2.0);
        assert_eq!(flight.oldest_us(), None);
        let classes = flight.classes();
        assert_eq!(classes[&Table::NetworkActivity].count(), 90);
        assert!(about(&classes[&Table::NetworkActivity], 1500.0) && about(&classes[&Table::DeadLetter], 1000.0));
        let exported = flight.telemetry.render();
        for line in [
            "palisade_class_latency_seconds_bucket{table=\"network_activity\",le=\"2\"} 90",
            "palisade_class_latency_seconds_bucket{table=\"dead_letter\",le=\"1\"} 11",
            "palisade_class_newest_timestamp_seconds{table=\"dead_letter\"} 2",
            "palisade_queryable_latency_seconds_count{source=\"t\",tier=\"gold\"} 101",
            "palisade_step_latency_seconds_count{step=\"ledger\",source=\"t\"} 101",
        ] {
            assert!(exported.lines().any(|l| l == line), "{line} in\n{exported}");
        }
    }

    #[tokio::test]
    async fn sources_wait_while_too_many_bytes_wait_for_their_tables() {
        let flight = Flight::new(Telemetry::new());
        let partition = PartitionId::new("t", "i", 0);
        let depart = |start| {
            flight.depart(departing(&partition, (start, start + 10), Arc::default()));
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
        let telemetry = Telemetry::new();
        let flight = Flight::new(telemetry.clone());
        let partition = PartitionId::new("t", "i", 0);
        let received = Arc::new(received(&[(1_000_000, 7)]));
        telemetry.in_flight.set(7);
        flight.depart(departing(&partition, (0, 7), received.clone()));
        flight.retract(&partition, 0);
        flight.abandon(&partition, &received);
        for table in [Table::NetworkActivity, Table::DeadLetter] {
            flight.arrive(table.into(), &Positions::from([(partition.clone(), 9)]), 2_000_000);
        }
        assert_eq!((flight.steps().queryable.count(), flight.oldest_us(), telemetry.in_flight.get()), (0, None, 0));
    }
}
