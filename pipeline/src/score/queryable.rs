//! When rows could be queried: by the snapshot that took in the range in which they stand.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::{Latency, PartitionId, Table};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use sinks::commit::RANGES_PROPERTY;
use sinks::{Destination, Warehouse};

use crate::reprocess::{IS_REPROCESSED, holds_records};
use crate::warehouse_sql::{self, texts};

/// Ranges of one chain, by where they begin: where they end, and when they were committed, microseconds UTC.
type Ranges = BTreeMap<i64, (i64, i64)>;

/// What the snapshots of every table took in, and when.
#[derive(Debug, Default)]
pub(super) struct Commits(BTreeMap<Destination, HashMap<String, Ranges>>);

impl Commits {
    pub(super) async fn read(warehouse: &Warehouse) -> anyhow::Result<Self> {
        let mut commits = Self::default();
        for table in warehouse.find_destinations().await? {
            commits.0.entry(table).or_default();
            let loaded = warehouse.load_table(table).await?;
            for snapshot in loaded.metadata().snapshots() {
                let ranges = snapshot.summary().additional_properties.get(RANGES_PROPERTY);
                commits.note(table, ranges.map_or("", String::as_str), snapshot.timestamp_ms() * 1000);
            }
        }
        Ok(commits)
    }

    /// Takes in a snapshot's `palisade.ranges`: chain, first position, next position.
    fn note(&mut self, table: Destination, ranges: &str, at_us: i64) {
        let ranges: Vec<Value> = serde_json::from_str(ranges).unwrap_or_default();
        for range in &ranges {
            let parts = (range[0].as_str(), range[1].as_i64(), range[2].as_i64());
            let (Some(chain), Some(from), Some(next)) = parts else { continue };
            let chains = self.0.entry(table).or_default();
            chains.entry(chain.to_owned()).or_default().insert(from, (next, at_us));
        }
    }

    /// The tables of a class.
    pub(super) fn tables(&self, class: Table) -> impl Iterator<Item = Destination> {
        self.0.keys().copied().filter(move |table| table.table() == class)
    }

    /// When the position of a chain could be queried in the table.
    pub(super) fn at(&self, table: Destination, chain: &str, position: i64) -> Option<i64> {
        self.0.get(&table)?.get(chain).and_then(|ranges| at(ranges, position))
    }
}

fn at(ranges: &Ranges, position: i64) -> Option<i64> {
    let (_, (next, at_us)) = ranges.range(..=position).next_back()?;
    (position < *next).then_some(*at_us)
}

/// Latency of every event and dead letter, from receipt to queryable. Rows whose snapshot is gone do not count.
pub(super) async fn latency(session: &SessionContext, commits: &Commits) -> anyhow::Result<Latency> {
    let mut latency = Latency::new();
    for (table, chains) in commits.0.iter().filter(|(table, _)| holds_records(**table)) {
        let sql = format!(
            "SELECT _topic, _incarnation, _partition_id, _offset, _received_at FROM {} \
             WHERE _topic NOT LIKE '\\_%' ESCAPE '\\' AND NOT {IS_REPROCESSED}",
            warehouse_sql::name(*table)
        );
        let mut batches = session.sql(&sql).await?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            record(&batch?, chains, &mut latency)?;
        }
    }
    Ok(latency)
}

fn record(batch: &RecordBatch, chains: &HashMap<String, Ranges>, latency: &mut Latency) -> anyhow::Result<()> {
    let (topics, incarnations) = (texts(batch, "_topic")?, texts(batch, "_incarnation")?);
    let numbers = (
        batch.column_by_name("_partition_id").and_then(|c| c.as_primitive_opt::<Int32Type>()),
        batch.column_by_name("_offset").and_then(|c| c.as_primitive_opt::<Int64Type>()),
        batch.column_by_name("_received_at").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()),
    );
    let (Some(partitions), Some(offsets), Some(received)) = numbers else { return Ok(()) };
    // Rows of a partition stand together.
    let (mut last, mut ranges) = (None, None);
    for row in 0..batch.num_rows() {
        let place = (&topics[row], &incarnations[row], partitions.value(row));
        if last != Some(place) {
            let (topic, incarnation) = (place.0.clone().unwrap_or_default(), place.1.clone().unwrap_or_default());
            ranges = chains.get(&PartitionId::new(topic, incarnation, place.2).path());
            last = Some(place);
        }
        if let Some(at_us) = ranges.and_then(|ranges| at(ranges, offsets.value(row))) {
            latency.record(at_us - received.value(row), 1);
        }
    }
    Ok(())
}

/// Events that took at most that long, and longer than the bucket before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Bucket {
    pub(crate) up_to_ms: f64,
    pub(crate) events: u64,
}

/// Buckets that grow by a fifth, from the first with an event to the last.
pub(super) fn histogram(latency: &Latency) -> Vec<Bucket> {
    let number = |us: u64| ((us.max(1) as f64).ln() / 1.2f64.ln()).ceil() as i32;
    let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
    latency.values_us().for_each(|(us, events)| *counts.entry(number(us)).or_default() += events);
    let (Some((first, _)), Some((last, _))) = (counts.first_key_value(), counts.last_key_value()) else {
        return Vec::new();
    };
    let bucket = |n: i32| Bucket { up_to_ms: 1.2f64.powi(n) / 1000.0, events: counts.get(&n).copied().unwrap_or(0) };
    (*first..=*last).map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_queryable_when_its_range_was_committed() {
        let mut commits = Commits::default();
        commits.note(Table::BaseEvent.into(), r#"[["fw@i/0",0,10],["_merge/0",0,2],["odd"],7]"#, 5_000);
        commits.note(Table::BaseEvent.into(), r#"[["fw@i/0",10,12]]"#, 9_000);
        commits.note(Table::DeadLetter.into(), "not JSON", 1);
        let at = |chain, position| commits.at(Table::BaseEvent.into(), chain, position);
        assert_eq!((at("fw@i/0", 0), at("fw@i/0", 9), at("fw@i/0", 10)), (Some(5_000), Some(5_000), Some(9_000)));
        assert_eq!((at("fw@i/0", 12), at("fw@i/1", 0), at("_merge/0", 1)), (None, None, Some(5_000)));
        assert_eq!(commits.at(Table::DeadLetter.into(), "fw@i/0", 0), None);
    }

    #[test]
    fn the_histogram_holds_every_event_once() {
        let mut latency = Latency::new();
        assert!(histogram(&latency).is_empty());
        latency.record(1_000, 3);
        latency.record(2_000_000, 4);
        let buckets = histogram(&latency);
        assert_eq!(buckets.iter().map(|b| b.events).sum::<u64>(), 7);
        assert_eq!((buckets[0].events, buckets[buckets.len() - 1].events), (3, 4));
        assert!(buckets[0].up_to_ms >= 1.0 && buckets[0].up_to_ms < 1.3 && buckets.len() > 10);
    }
}
