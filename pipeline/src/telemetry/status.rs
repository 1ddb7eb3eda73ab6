//! What `/status` says: the same figures as the metrics, with exact percentiles, for people and scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::flight::Flight;
use crate::summary::{Latencies, Percentiles};

/// A worker at one moment. Times are microseconds UTC.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    region: String,
    ready: bool,
    events: Events,
    alerts: u64,
    /// Queryable rows by table.
    rows: BTreeMap<String, u64>,
    /// Iceberg commits by table.
    commits: BTreeMap<String, u64>,
    latency_ms: Latencies,
    /// From receipt to queryable, per row, by table.
    row_latency_ms: BTreeMap<&'static str, Percentiles>,
    /// From receipt of a filter rule's event, or the step that decided a window, until the receiver took the alert, by receiver.
    alert_sent_ms: BTreeMap<String, Percentiles>,
    queue_rows: BTreeMap<String, u64>,
    uncommitted_bytes: u64,
    partitions: Vec<Partition>,
}

/// What became of what was received.
#[derive(Debug, Serialize)]
struct Events {
    received: u64,
    dead_letters: BTreeMap<String, u64>,
    /// Received and not queryable yet.
    in_flight: u64,
    /// When the oldest of those was received.
    oldest_received_us: Option<i64>,
}

/// How far a partition is, by its last ledger entry of this worker.
#[derive(Debug, Serialize)]
struct Partition {
    partition: String,
    /// Offsets that wait in Kafka, as the brokers last told.
    lag: Option<i64>,
    watermark_us: Option<i64>,
    received_us: Option<i64>,
}

impl Status {
    /// The present moment.
    pub(crate) fn of(flight: &Flight, ready: bool) -> Self {
        let telemetry = flight.telemetry();
        let lags = telemetry.lag.offsets();
        let partition = |(id, progress): (dataflow::PartitionId, crate::live::Progress)| Partition {
            lag: lags.get(&id).copied(),
            partition: id.to_string(),
            watermark_us: progress.watermark,
            received_us: progress.received_max,
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            region: telemetry.region.clone(),
            ready,
            events: Events {
                received: telemetry.received_total(),
                dead_letters: telemetry.dead_letters_by_reason(),
                in_flight: telemetry.in_flight.get().try_into().unwrap_or(0),
                oldest_received_us: flight.oldest_us(),
            },
            alerts: telemetry.alerts_total(),
            rows: telemetry.rows_committed(),
            commits: telemetry.commits(),
            latency_ms: (&flight.steps()).into(),
            row_latency_ms: flight.classes().iter().map(|(table, latency)| (table.name(), latency.into())).collect(),
            alert_sent_ms: telemetry
                .outbox
                .latencies()
                .iter()
                .map(|(name, took)| (name.clone(), took.into()))
                .collect(),
            queue_rows: telemetry.queue_rows(),
            uncommitted_bytes: flight.uncommitted(),
            partitions: telemetry.feed.partitions().into_iter().map(partition).collect(),
        }
    }
}
