//! Every metric of the binary, in one list. Labels are closed sets: no address, user or rule text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aggregate::{Held, Rule};
use dataflow::{Reason, Table};
use ingest::kafka::KafkaError;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use sinks::Miss;
use sinks::upkeep::Kind;

use super::families::{
    ExtentMetrics, LagMetrics, LatencyMetrics, OutboxMetrics, RuleMetrics, TableMetrics, UpkeepMetrics, VersionMetrics,
};
use super::latencies::Latencies;
use crate::drift::DriftLog;
use crate::live::Feed;
use crate::tap::Taps;
use crate::traces::Traces;

const COMMIT_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The worker's metrics.
#[derive(Clone)]
pub(crate) struct Telemetry {
    registry: Registry,
    /// Empty if there is none.
    pub(crate) region: String,
    /// What counters cannot say, for whoever watches the terminal.
    pub(crate) feed: Feed,
    /// What stages work on, for whoever looks.
    pub(crate) taps: Taps,
    /// What became of each entry, for a collector.
    pub(crate) traces: Traces,
    pub(crate) records: IntCounterVec,
    pub(crate) received: IntCounterVec,
    pub(crate) committed: IntCounterVec,
    pub(crate) dead_letters: IntCounterVec,
    pub(crate) drift: DriftLog,
    pub(crate) abandoned: IntCounter,
    pub(crate) assigned: IntCounterVec,
    pub(crate) revoked: IntCounterVec,
    pub(crate) partitions_stopped: IntGaugeVec,
    pub(crate) topics_refused: IntGaugeVec,
    pub(crate) offsets_lost: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) uncommitted_bytes: IntGauge,
    pub(crate) sources_paused: IntGauge,
    pub(crate) alerts: IntCounterVec,
    pub(crate) outbox: OutboxMetrics,
    pub(crate) rules: RuleMetrics,
    pub(crate) alerts_held: IntCounterVec,
    pub(crate) late_rows: IntCounter,
    pub(crate) key_limit_rows: IntCounter,
    pub(crate) latency: LatencyMetrics,
    pub(crate) lag: LagMetrics,
    pub(crate) watermark: IntGaugeVec,
    pub(crate) ledger_entries: IntCounterVec,
    pub(crate) ledger_conflicts: IntCounterVec,
    pub(crate) table_commits: IntCounterVec,
    pub(crate) commit_duration: Histogram,
    pub(crate) extent: ExtentMetrics,
    pub(crate) state_bytes: IntGauge,
    pub(crate) state_keys: IntGauge,
    pub(crate) windows_closed: IntCounter,
    pub(crate) tables: TableMetrics,
    pub(crate) upkeep: UpkeepMetrics,
    pub(crate) versions: VersionMetrics,
    pub(crate) mapping_reloads: IntCounterVec,
    pub(crate) rule_reloads: IntCounterVec,
    queue_rows: IntGaugeVec,
    queue_bytes: IntGaugeVec,
    queue_wait: Latencies,
    cpu: prometheus::Counter,
    resident: IntGauge,
}

/// The gauges of one queue.
#[derive(Clone)]
pub(crate) struct QueueGauges {
    name: &'static str,
    rows: IntGauge,
    bytes: IntGauge,
    wait: Latencies,
}

impl QueueGauges {
    /// Gauges of no registry.
    pub(crate) fn detached() -> Self {
        let gauge = || IntGauge::new("detached", "detached").expect("a valid name");
        let wait = Latencies::new("detached", "detached", &["queue"]).expect("a valid name");
        Self { name: "detached", rows: gauge(), bytes: gauge(), wait }
    }

    pub(crate) fn add(&self, rows: usize, bytes: usize) {
        self.rows.add(rows as i64);
        self.bytes.add(bytes as i64);
    }

    /// An item has left that waited for so long, for its room first.
    pub(crate) fn remove(&self, rows: usize, bytes: usize, waited: Duration) {
        self.rows.sub(rows as i64);
        self.bytes.sub(bytes as i64);
        let us = i64::try_from(waited.as_micros()).unwrap_or(i64::MAX);
        self.wait.note(&[self.name], [(us, rows.max(1) as u64)]);
    }
}

/// Registers metrics; names and labels are ours and valid, so a failure is a bug.
pub(super) struct Make(Registry);

impl Make {
    pub(super) fn add<M: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<M>) -> M {
        let metric = made.expect("metric names are valid");
        self.0.register(Box::new(metric.clone())).expect("a metric is registered once");
        metric
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn latencies(&self, name: &str, help: &str, labels: &[&str]) -> Latencies {
        self.add(Latencies::new(name, help, labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }
}

fn drift(make: &Make) -> DriftLog {
    DriftLog::new(make.counters(
        "palisade_drift_total",
        "Log types, layouts and names that a source sent for the first time and no decoder knows.",
        &["kind"],
    ))
}

fn assigned(make: &Make) -> IntCounterVec {
    make.counters("palisade_partitions_assigned_total", "Partitions that became ours.", &["source"])
}

fn revoked(make: &Make) -> IntCounterVec {
    make.counters("palisade_partitions_revoked_total", "Partitions that were given to another worker.", &["source"])
}

fn ledger_conflicts(make: &Make) -> IntCounterVec {
    make.counters(
        "palisade_ledger_conflicts_total",
        "Entries that were not created since another worker's was there.",
        &["chain"],
    )
}

fn partitions_stopped(make: &Make) -> IntGaugeVec {
    make.gauges(
        "palisade_partitions_stopped",
        "Partitions of ours that are not read until somebody acts.",
        &["source", "reason"],
    )
}

fn topics_refused(make: &Make) -> IntGaugeVec {
    make.gauges("palisade_topics_refused", "Topics that a pattern takes and that cannot be read.", &["pattern"])
}

fn late_rows(make: &Make) -> IntCounter {
    make.counter("palisade_late_rows_total", "Rows that came after their window had closed for good.")
}

fn key_limit_rows(make: &Make) -> IntCounter {
    make.counter("palisade_key_limit_rows_total", "Rows of keys beyond the limit on a rule's keys: no window saw them.")
}

fn uncommitted_bytes(make: &Make) -> IntGauge {
    make.gauge("palisade_uncommitted_bytes", "Bytes of data files that wait for their tables.")
}

fn sources_paused(make: &Make) -> IntGauge {
    make.gauge("palisade_sources_paused", "Sources that wait for the tables to take in what was read.")
}

fn offsets_lost(make: &Make) -> IntCounterVec {
    make.counters(
        "palisade_offsets_lost_total",
        "Offsets that the source deleted before they were read, as --accept-loss recorded.",
        &["source"],
    )
}

fn alerts_held(make: &Make) -> IntCounterVec {
    make.counters(
        "palisade_alerts_held_total",
        "Alerts that an exception or suppression kept back; `expired`: that left since their exception had expired.",
        &["rule", "by"],
    )
}

fn mapping_reloads(make: &Make) -> IntCounterVec {
    make.counters(
        "palisade_mapping_reloads_total",
        "Checks that found changed mapping files: loaded, or failed, again at each check while they cannot be.",
        &["outcome"],
    )
}

fn rule_reloads(make: &Make) -> IntCounterVec {
    make.counters(
        "palisade_rule_reloads_total",
        "Checks that found changed rule files: loaded, or failed, again at each check while they cannot be.",
        &["outcome"],
    )
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

fn abandoned(make: &Make) -> IntCounter {
    make.counter("palisade_events_abandoned_total", "Events that were left to another worker, which reads them again.")
}

fn traces(make: &Make) -> Traces {
    Traces::new(make.counters("palisade_trace_spans_total", "Spans of traces by what became of them.", &["outcome"]))
}

fn queue_wait(make: &Make) -> Latencies {
    make.latencies("palisade_queue_wait", "From the wish to enter the queue to leaving it, per row", &["queue"])
}

impl Telemetry {
    /// Metrics of no region.
    pub(crate) fn new() -> Self {
        Self::in_registry(Registry::new(), "")
    }

    /// Metrics that name the region each.
    pub(crate) fn of_region(region: &str) -> Self {
        let labels = HashMap::from([("region".to_owned(), region.to_owned())]);
        Self::in_registry(Registry::new_custom(None, Some(labels)).expect("a label that is valid"), region)
    }

    fn in_registry(registry: Registry, region: &str) -> Self {
        let make = Make(registry);
        let build = make.gauges("palisade_build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            region: region.to_owned(),
            feed: Feed::default(),
            taps: Taps::default(),
            traces: traces(&make),
            records: make.counters("palisade_records_read_total", "Records read from the source.", &["source"]),
            received: make.counters(
                "palisade_events_received_total",
                "Events decoded, and records that became dead letters.",
                &["source"],
            ),
            committed: make.counters("palisade_events_committed_total", "Rows that are queryable.", &["table"]),
            dead_letters: make.counters("palisade_dead_letters_total", "Records that were not decoded.", &["reason"]),
            drift: drift(&make),
            abandoned: abandoned(&make),
            assigned: assigned(&make),
            revoked: revoked(&make),
            partitions_stopped: partitions_stopped(&make),
            topics_refused: topics_refused(&make),
            offsets_lost: offsets_lost(&make),
            in_flight: make.gauge("palisade_records_in_flight", "Events received and not yet queryable."),
            uncommitted_bytes: uncommitted_bytes(&make),
            sources_paused: sources_paused(&make),
            alerts: make.counters("palisade_alerts_total", "Alerts, new and revised.", &["rule", "kind"]),
            outbox: OutboxMetrics::new(&make),
            rules: RuleMetrics::new(&make),
            alerts_held: alerts_held(&make),
            late_rows: late_rows(&make),
            key_limit_rows: key_limit_rows(&make),
            latency: LatencyMetrics::new(&make),
            lag: LagMetrics::new(&make),
            watermark: make.gauges(
                "palisade_watermark_timestamp_seconds",
                "Lowest watermark over the topic's active partitions, event time.",
                &["topic"],
            ),
            ledger_entries: make.counters("palisade_ledger_entries_total", "Ledger entries created.", &["chain"]),
            ledger_conflicts: ledger_conflicts(&make),
            table_commits: make.counters("palisade_table_commits_total", "Iceberg commits.", &["table", "outcome"]),
            extent: ExtentMetrics::new(&make),
            commit_duration: make.histogram(
                "palisade_commit_duration_seconds",
                "One turn of the committer over all tables.",
                COMMIT_BUCKETS,
            ),
            state_keys: make.gauge("palisade_window_state_keys", "Keys that open windows hold, in each pane anew."),
            state_bytes: make.gauge("palisade_window_state_bytes", "Memory that open windows hold."),
            windows_closed: make.counter("palisade_windows_closed_total", "Windows evaluated for good."),
            tables: TableMetrics::new(&make),
            upkeep: UpkeepMetrics::new(&make),
            versions: VersionMetrics::new(&make),
            mapping_reloads: mapping_reloads(&make),
            rule_reloads: rule_reloads(&make),
            queue_rows: make.gauges("palisade_queue_rows", "Rows waiting in a queue.", &["queue"]),
            queue_bytes: make.gauges("palisade_queue_bytes", "Bytes waiting in a queue.", &["queue"]),
            queue_wait: queue_wait(&make),
            cpu: make.add(prometheus::Counter::new(
                "process_cpu_seconds_total",
                "CPU time of the process, user and system.",
            )),
            resident: make.gauge("process_resident_memory_bytes", "Resident memory of the process."),
            registry: make.0,
        }
        .counted_from_zero()
    }

    /// Exports each series whose labels are known from the start: a counter that appears with its first event has not risen, as
    /// Prometheus sees it.
    fn counted_from_zero(self) -> Self {
        let zero = |counters: &IntCounterVec, labels: &[&str]| drop(counters.with_label_values(labels));
        Reason::ALL.iter().for_each(|reason| zero(&self.dead_letters, &[reason.name()]));
        Kind::ALL.iter().for_each(|kind| zero(&self.upkeep.deleted, &[kind.name()]));
        ["sent", "failed", "dropped"].iter().for_each(|outcome| zero(&self.traces.spans, &[outcome]));
        for chain in ["source", "merge"] {
            zero(&self.ledger_entries, &[chain]);
            zero(&self.ledger_conflicts, &[chain]);
        }
        for outcome in ["loaded", "failed"] {
            zero(&self.mapping_reloads, &[outcome]);
            zero(&self.rule_reloads, &[outcome]);
        }
        for table in Table::ALL {
            zero(&self.committed, &[table.name()]);
            ["committed", Miss::Fenced.name(), Miss::Failed.name()]
                .iter()
                .for_each(|outcome| zero(&self.table_commits, &[table.name(), outcome]));
        }
        self
    }

    /// Exports the series of a topic that is read from now on, as [`Self::counted_from_zero`].
    pub(crate) fn reads(&self, topic: &str) {
        for counters in [&self.records, &self.received, &self.assigned, &self.revoked] {
            counters.with_label_values(&[topic]);
        }
        self.latency.begin(topic);
        KafkaError::STOPS.iter().for_each(|kind| drop(self.partitions_stopped.with_label_values(&[topic, kind])));
    }

    /// Names the rules that are loaded, disabled ones among them, and exports what they do, as [`Self::counted_from_zero`].
    pub(crate) fn detects(&self, rules: &[Arc<Rule>]) {
        self.rules.name(rules);
        rules.iter().for_each(|rule| drop(self.alerts.with_label_values(&[rule.uid(), "create"])));
    }

    /// The gauges of a queue.
    pub(crate) fn queue(&self, name: &'static str) -> QueueGauges {
        QueueGauges {
            name,
            wait: self.queue_wait.clone(),
            rows: self.queue_rows.with_label_values(&[name]),
            bytes: self.queue_bytes.with_label_values(&[name]),
        }
    }

    /// Counts alerts that were kept back.
    pub(crate) fn note_held(&self, held: &[Held]) {
        for Held { rule, by, alerts, .. } in held {
            self.alerts_held.with_label_values(&[rule, by.name()]).inc_by(*alerts);
        }
    }

    /// Records read, over all sources.
    pub(crate) fn records_total(&self) -> u64 {
        total(&self.records)
    }

    /// Records read, of each source.
    pub(crate) fn records_by_source(&self) -> BTreeMap<String, u64> {
        by_label(&self.records, "source")
    }

    /// Events received, over all sources.
    pub(crate) fn received_total(&self) -> u64 {
        total(&self.received)
    }

    /// Dead letters, by reason.
    pub(crate) fn dead_letters_by_reason(&self) -> BTreeMap<String, u64> {
        some(by_label(&self.dead_letters, "reason"))
    }

    /// Alerts, new and revised, over all rules.
    pub(crate) fn alerts_total(&self) -> u64 {
        total(&self.alerts)
    }

    /// New alerts, by rule.
    pub(crate) fn alerts_by_rule(&self) -> BTreeMap<String, u64> {
        by_label(&self.alerts, "rule")
    }

    /// Dead letters, over all reasons.
    pub(crate) fn dead_letters_total(&self) -> u64 {
        total(&self.dead_letters)
    }

    /// Rows that wait, by queue.
    pub(crate) fn queue_rows(&self) -> BTreeMap<String, u64> {
        by_label(&self.queue_rows, "queue")
    }

    /// Iceberg commits that were made, by table.
    pub(crate) fn commits(&self) -> BTreeMap<String, u64> {
        let made = |table: &Table| self.table_commits.with_label_values(&[table.name(), "committed"]).get();
        Table::ALL.iter().map(|table| (table.name().to_owned(), made(table))).filter(|(_, made)| *made > 0).collect()
    }

    /// Rows that are queryable, by table.
    pub(crate) fn rows_committed(&self) -> BTreeMap<String, u64> {
        some(by_label(&self.committed, "table"))
    }

    /// The Prometheus text format.
    pub(crate) fn render(&self) -> String {
        self.cpu.inc_by((super::cpu_seconds() - self.cpu.get()).max(0.0));
        self.resident.set(i64::try_from(super::resident_bytes()).unwrap_or(i64::MAX));
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// The sum over all labels.
fn total(counters: &IntCounterVec) -> u64 {
    let families = counters.collect();
    families.iter().flat_map(|f| f.get_metric()).map(|m| m.get_counter().get_value() as u64).sum()
}

/// What is not 0.
fn some(mut counts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    counts.retain(|_, count| *count > 0);
    counts
}

/// The sums by one label.
fn by_label(metrics: &impl Collector, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for metric in metrics.collect().iter().flat_map(|f| f.get_metric()) {
        let name = metric.get_label().iter().find(|l| l.name() == label).map_or("", |l| l.value());
        let value = metric.get_counter().get_value().max(metric.get_gauge().get_value());
        *sums.entry(name.to_owned()).or_default() += value.max(0.0) as u64;
    }
    sums
}

#[cfg(test)]
mod tests {
    use dataflow::{Lag, PartitionId};

    use super::*;

    #[test]
    fn the_binary_exports_what_is_listed_for_dashboards() {
        let telemetry = Telemetry::new();
        let of_one = [&telemetry.records, &telemetry.received, &telemetry.committed, &telemetry.dead_letters];
        of_one.iter().for_each(|vector| vector.with_label_values(&["x"]).inc());
        telemetry.partitions_stopped.with_label_values(&["x", "retention"]).inc();
        telemetry.topics_refused.with_label_values(&["x"]).set(1);
        telemetry.offsets_lost.with_label_values(&["x"]).inc();
        telemetry.alerts.with_label_values(&["x", "create"]).inc();
        telemetry.table_commits.with_label_values(&["x", "committed"]).inc();
        [&telemetry.extent.files, &telemetry.extent.snapshots].iter().for_each(|g| g.with_label_values(&["x"]).set(1));
        telemetry.latency.step.note(&["decoded", "x"], [(1, 1)]);
        telemetry.latency.queryable.note(&["x", "standard"], [(1, 1)]);
        telemetry.latency.note_times("x", [(0, 1_500_000), (3_600_000_000, 0)].into_iter());
        telemetry.latency.class.note(&["x"], [(1, 1)]);
        telemetry.latency.newest.with_label_values(&["x"]).set(1.0);
        telemetry.latency.alert.note(&[], [(1, 1)]);
        telemetry.lag.tell(&PartitionId::new("x", "i", 3), Lag { offsets: 5, received_us: Some(1_000_000) }, 3_000_000);
        telemetry.ledger_entries.with_label_values(&["source"]).inc();
        telemetry.watermark.with_label_values(&["all"]).set(1);
        telemetry.rules.set_all("x");
        telemetry.alerts_held.with_label_values(&["x", "exception"]).inc();
        telemetry.tables.reloads.with_label_values(&["intel", "loaded"]).inc();
        [&telemetry.tables.modified, &telemetry.tables.entries, &telemetry.tables.skipped]
            .iter()
            .for_each(|gauge| gauge.with_label_values(&["intel"]).set(1));
        telemetry.mapping_reloads.with_label_values(&["loaded"]).inc();
        telemetry.rule_reloads.with_label_values(&["loaded"]).inc();
        let versions =
            |rules: &str| [("config", "c"), ("rules", rules)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        ["1", "2"].iter().for_each(|rules| telemetry.versions.tell(versions(rules)));
        telemetry.outbox.known("x");
        telemetry.upkeep.deleted.with_label_values(&["entry"]).inc();
        telemetry.queue("merge").add(1, 1);
        telemetry.queue("merge").remove(1, 1, Duration::ZERO);
        telemetry.outbox.taken("x", &[], 1);
        telemetry.assigned.with_label_values(&["x"]).inc();
        telemetry.revoked.with_label_values(&["x"]).inc();
        telemetry.ledger_conflicts.with_label_values(&["source"]).inc();
        let families = telemetry.registry.gather();
        families
            .iter()
            .for_each(|family| assert!(family.help().ends_with('.'), "{}: {}", family.name(), family.help()));
        let mut exported: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
        exported.sort();
        let list = include_str!("../../../dashboards/metrics.txt").lines().filter(|l| !l.starts_with('#'));
        let mut listed: Vec<&str> = list.filter_map(|l| l.split_whitespace().next()).collect();
        listed.sort_unstable();
        assert_eq!(exported, listed);
        let text = telemetry.render();
        for line in [
            "palisade_events_received_total{source=\"x\"} 1",
            "palisade_source_lag_records{partition=\"3\",source=\"x\"} 5",
            "palisade_source_lag_seconds{partition=\"3\",source=\"x\"} 2",
            "palisade_event_delay_seconds_sum{source=\"x\"} 1.5",
            "palisade_time_suspect_rows_total{source=\"x\"} 1",
            "palisade_version_info{name=\"config\",version=\"c\"} 1",
            "palisade_version_info{name=\"rules\",version=\"2\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("{name=\"rules\",version=\"1\"}"), "one version of each");
        telemetry.lag.forget(&PartitionId::new("x", "i", 3));
        assert!(!telemetry.render().contains("palisade_source_lag_records{"));
        assert_eq!((telemetry.received_total(), telemetry.alerts_total()), (1, 1));
    }
}
