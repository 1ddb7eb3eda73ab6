//! What `/status` says: the same figures as the metrics, with exact percentiles, for people and scripts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flight::Flight;
use crate::live::Progress;
use crate::summary::{Latencies, Percentiles};

/// A worker at one moment. Times are microseconds UTC.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    version: String,
    /// Of the configuration, the rules, the mappings and each enrichment table.
    #[serde(default)] // workers of an older release do not say
    versions: BTreeMap<String, String>,
    pub(crate) region: String,
    pub(crate) ready: bool,
    pub(crate) events: Events,
    pub(crate) alerts: u64,
    /// Queryable rows by table.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Iceberg commits by table.
    pub(crate) commits: BTreeMap<String, u64>,
    pub(crate) latency_ms: Latencies,
    /// From receipt to queryable, per row, by table.
    row_latency_ms: BTreeMap<String, Percentiles>,
    /// From receipt of a filter rule's event, or the step that decided a window, until the receiver took the alert, by receiver.
    alert_sent_ms: BTreeMap<String, Percentiles>,
    pub(crate) queue_rows: BTreeMap<String, u64>,
    /// What windows hold.
    pub(crate) state_bytes: u64,
    uncommitted_bytes: u64,
    pub(crate) partitions: Vec<Partition>,
}

/// What became of what was received.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) received: u64,
    pub(crate) dead_letters: BTreeMap<String, u64>,
    /// Received and not queryable yet.
    pub(crate) in_flight: u64,
    /// When the oldest of those was received.
    pub(crate) oldest_received_us: Option<i64>,
}

/// How far a partition is, by its last ledger entry of this worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Partition {
    partition: String,
    /// Offsets that wait in Kafka, as the brokers last told.
    pub(crate) lag: Option<i64>,
    watermark_us: Option<i64>,
    received_us: Option<i64>,
}

impl Partition {
    /// The topic, how far the partition is, and what waits.
    pub(crate) fn progress(&self) -> (&str, Progress, Option<i64>) {
        // TOPIC@INCARNATION/NUMBER
        let topic = self.partition.rsplit_once('@').map_or(self.partition.as_str(), |(topic, _)| topic);
        let progress = Progress { watermark: self.watermark_us, received_min: None, received_max: self.received_us };
        (topic, progress, self.lag)
    }
}

impl Status {
    /// The present moment.
    pub(crate) fn of(flight: &Flight, ready: bool) -> Self {
        let telemetry = flight.telemetry();
        let lags = telemetry.lag.offsets();
        let partition = |(id, progress): (dataflow::PartitionId, Progress)| Partition {
            lag: lags.get(&id).copied(),
            partition: id.to_string(),
            watermark_us: progress.watermark,
            received_us: progress.received_max,
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            versions: telemetry.versions.in_force(),
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
            row_latency_ms: flight
                .classes()
                .iter()
                .map(|(table, took)| (table.name().to_owned(), took.into()))
                .collect(),
            alert_sent_ms: telemetry
                .outbox
                .latencies()
                .iter()
                .map(|(name, took)| (name.clone(), took.into()))
                .collect(),
            queue_rows: telemetry.queue_rows(),
            state_bytes: telemetry.state_bytes.get().try_into().unwrap_or(0),
            uncommitted_bytes: flight.uncommitted(),
            partitions: telemetry.feed.partitions().into_iter().map(partition).collect(),
        }
    }
}
