//! Metrics that belong together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aggregate::{Rule, RuleFailure, RuleWork};
use dataflow::watermark::is_time_suspect;
use dataflow::{Lag, Latency, PartitionId};
use prometheus::{CounterVec, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use sinks::outbox::{Drained, OutgoingAlert};

use super::latencies::Latencies;
use super::metrics::Make;

/// How long events and alerts take.
#[derive(Clone)]
pub(crate) struct LatencyMetrics {
    /// What happened before we had the event.
    delay: Latencies,
    suspect: IntCounterVec,
    pub(crate) step: Latencies,
    pub(crate) queryable: Latencies,
    pub(crate) class: Latencies,
    /// The newest row of each class that is queryable.
    pub(crate) newest: GaugeVec,
    /// The oldest event that is not queryable.
    pub(crate) oldest: Gauge,
    pub(crate) alert: Latencies,
}

impl LatencyMetrics {
    pub(super) fn new(make: &Make) -> Self {
        let newest = Opts::new(
            "palisade_class_newest_timestamp_seconds",
            "When the newest row of the class was received that is queryable.",
        );
        Self {
            delay: make.latencies(
                "palisade_event_delay",
                "From an event's own time to its receipt, per row",
                &["source"],
            ),
            suspect: make.counters(
                "palisade_time_suspect_rows_total",
                "Rows whose own time lies further in the future than clocks differ.",
                &["source"],
            ),
            step: make.latencies(
                "palisade_step_latency",
                "From receipt to the step, per event; `ledger`: nothing of it can be lost any more",
                &["step", "source"],
            ),
            queryable: make.latencies(
                "palisade_queryable_latency",
                "From receipt to queryable, per event",
                &["source", "tier"],
            ),
            class: make.latencies(
                "palisade_class_latency",
                "From receipt to queryable, per row of the class",
                &["table"],
            ),
            newest: make.add(GaugeVec::new(newest, &["table"])),
            oldest: make.add(Gauge::new(
                "palisade_oldest_event_timestamp_seconds",
                "When the oldest event was received that is not queryable yet; 0 if every event is.",
            )),
            alert: make.latencies(
                "palisade_alert_latency",
                "From receipt of the oldest event that the deciding step merged to the alert being durable, per alert",
                &[],
            ),
        }
    }

    /// Counters of the source begin at 0.
    pub(super) fn begin(&self, source: &str) {
        self.suspect.with_label_values(&[source]);
    }

    /// Notes when rows of a source happened, as they say, and when they were received, both in microseconds.
    pub(crate) fn note_times(&self, source: &str, times: impl Iterator<Item = (i64, i64)> + Clone) {
        self.delay.note(&[source], times.clone().map(|(happened, received)| (received.saturating_sub(happened), 1)));
        let suspect = times.filter(|(happened, received)| is_time_suspect(*happened, *received)).count() as u64;
        if suspect > 0 {
            self.suspect.with_label_values(&[source]).inc_by(suspect);
        }
    }
}

/// What waits in partitions that are ours.
#[derive(Clone)]
pub(crate) struct LagMetrics {
    records: IntGaugeVec,
    seconds: GaugeVec,
    known: Arc<Mutex<BTreeMap<PartitionId, i64>>>,
}

impl LagMetrics {
    pub(super) fn new(make: &Make) -> Self {
        let seconds = Opts::new(
            "palisade_source_lag_seconds",
            "How long ago the last record was received that was read of the partition, while more waits; 0 if nothing does.",
        );
        Self {
            records: make.gauges(
                "palisade_source_lag_records",
                "Offsets of the partition that were not read yet.",
                &["source", "partition"],
            ),
            seconds: make.add(GaugeVec::new(seconds, &["source", "partition"])),
            known: Arc::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PartitionId, i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offsets that wait, by partition.
    pub(crate) fn offsets(&self) -> BTreeMap<PartitionId, i64> {
        self.lock().clone()
    }

    /// What waits in the partition at `now_us`.
    pub(crate) fn tell(&self, partition: &PartitionId, lag: Lag, now_us: i64) {
        let number = partition.partition.to_string();
        let labels = [&*partition.topic, number.as_str()];
        self.records.with_label_values(&labels).set(lag.offsets);
        self.lock().insert(partition.clone(), lag.offsets);
        let since_us = lag.received_us.filter(|_| lag.offsets > 0);
        self.seconds.with_label_values(&labels).set(since_us.map_or(0.0, |us| (now_us - us).max(0) as f64 / 1e6));
    }

    /// The partition is not ours any more.
    pub(crate) fn forget(&self, partition: &PartitionId) {
        let number = partition.partition.to_string();
        let labels = [&*partition.topic, number.as_str()];
        self.lock().remove(partition);
        // Of one that never told its lag there is nothing to forget.
        let _ = (self.records.remove_label_values(&labels), self.seconds.remove_label_values(&labels));
    }
}

/// What rules are asked, what that costs, and whether they answer. A rule's series begin with its first rows: there may be thousands.
#[derive(Clone)]
pub(crate) struct RuleMetrics {
    cpu: CounterVec,
    evaluations: IntCounterVec,
    failures: IntCounterVec,
    info: IntGaugeVec,
    pub(crate) disabled: IntGaugeVec,
}

impl RuleMetrics {
    pub(super) fn new(make: &Make) -> Self {
        let cpu =
            Opts::new("palisade_rule_cpu_seconds_total", "CPU time that the rule's expressions and windows took.");
        Self {
            cpu: make.add(CounterVec::new(cpu, &["rule"])),
            evaluations: make.counters(
                "palisade_rule_evaluations_total",
                "Rows, and groups of windows, that the rule was asked about.",
                &["rule"],
            ),
            failures: make.counters(
                "palisade_rule_failures_total",
                "Rows and groups on which a rule's expression failed; they did not match.",
                &["rule"],
            ),
            info: make.gauges(
                "palisade_rule_info",
                "1 for each rule that is loaded: the name of its file and its level, by the id that other series have.",
                &["rule", "name", "level"],
            ),
            disabled: make.gauges(
                "palisade_rule_disabled",
                "1 for each rule that was disabled because it failed over and over, or cost more than `rules.row_budget`.",
                &["rule"],
            ),
        }
    }

    /// A series of each for a rule of this name.
    #[cfg(test)]
    pub(super) fn set_all(&self, rule: &str) {
        self.cpu.with_label_values(&[rule]).inc();
        [&self.evaluations, &self.failures].iter().for_each(|counter| counter.with_label_values(&[rule]).inc());
        self.info.with_label_values(&[rule, "x", "high"]).set(1);
        self.disabled.with_label_values(&[rule]).set(1);
    }

    /// Names the rules that are loaded, and no others.
    pub(super) fn name(&self, rules: &[Arc<Rule>]) {
        self.info.reset();
        for rule in rules {
            self.info.with_label_values(&[rule.uid(), rule.name(), rule.level().word()]).set(1);
        }
    }

    pub(crate) fn note_work(&self, work: &[RuleWork]) {
        for RuleWork { rule, asked, spent, .. } in work {
            self.cpu.with_label_values(&[rule.uid()]).inc_by(spent.as_secs_f64());
            self.evaluations.with_label_values(&[rule.uid()]).inc_by(*asked);
        }
    }

    /// Tells of rules whose expressions failed: they are missed evaluations, never silent.
    pub(crate) fn note_failures(&self, failures: &[RuleFailure]) {
        for RuleFailure { rule, rows, error } in failures {
            self.failures.with_label_values(&[rule]).inc_by(*rows);
            tracing::error!(rule, rows, error, "a rule could not be evaluated; these rows did not match");
        }
    }
}

/// How large tables are, and what follows from that.
#[derive(Clone)]
pub(crate) struct ExtentMetrics {
    pub(crate) files: IntGaugeVec,
    pub(crate) snapshots: IntGaugeVec,
    pub(crate) stretch: IntGauge,
}

impl ExtentMetrics {
    pub(super) fn new(make: &Make) -> Self {
        Self {
            files: make.gauges(
                "palisade_table_files",
                "Data files of the class's table that has most, as the last commit left it.",
                &["table"],
            ),
            snapshots: make.gauges(
                "palisade_table_snapshots",
                "Snapshots that the class's table keeps that has most, as the last commit left it.",
                &["table"],
            ),
            stretch: make.gauge(
                "palisade_interval_stretch",
                "How many times as long flush and commit intervals are, as tables have too many small files or snapshots.",
            ),
        }
    }
}

/// Alerts on their way to receivers.
#[derive(Clone)]
pub(crate) struct OutboxMetrics {
    sent: IntCounterVec,
    failures: IntCounterVec,
    refused: IntCounterVec,
    failing_since: IntGaugeVec,
    sent_latency: Latencies,
    /// The same by receiver, for exact percentiles.
    exact: Arc<Mutex<BTreeMap<String, Latency>>>,
}

impl OutboxMetrics {
    pub(super) fn new(make: &Make) -> Self {
        Self {
            sent: make.counters("palisade_alerts_sent_total", "Alerts that the receiver took.", &["receiver"]),
            failures: make.counters(
                "palisade_alert_send_failures_total",
                "Attempts to send alerts that failed; each is made again.",
                &["receiver"],
            ),
            refused: make.counters(
                "palisade_alerts_refused_total",
                "Alerts that the receiver refused for good; they are kept.",
                &["receiver"],
            ),
            sent_latency: make.latencies(
                "palisade_alert_sent_latency",
                "From receipt of a filter rule's event, or the step that decided a window, until the receiver took the alert",
                &["receiver"],
            ),
            exact: Arc::default(),
            failing_since: make.gauges(
                "palisade_alert_delivery_failing_since_timestamp_seconds",
                "Since when no alert reaches the receiver; 0 while nothing fails.",
                &["receiver"],
            ),
        }
    }

    /// Exports a receiver before its first alert.
    pub(crate) fn known(&self, receiver: &str) {
        for counter in [&self.sent, &self.failures, &self.refused] {
            counter.with_label_values(&[receiver]);
        }
        self.failing_since.with_label_values(&[receiver]).set(0);
    }

    /// The receiver took these alerts at `now_us`.
    pub(crate) fn taken(&self, receiver: &str, alerts: &[OutgoingAlert], now_us: i64) {
        let took = || alerts.iter().map(|alert| (now_us - alert.received_us, 1));
        self.sent.with_label_values(&[receiver]).inc_by(alerts.len() as u64);
        self.sent_latency.note(&[receiver], took());
        let mut exact = self.exact.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = exact.entry(receiver.to_owned()).or_default();
        took().for_each(|(us, count)| latency.record(us, count));
    }

    /// From receipt until receivers had alerts, by receiver.
    pub(crate) fn latencies(&self) -> BTreeMap<String, Latency> {
        self.exact.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What else came of a sending.
    pub(crate) fn count(&self, receiver: &str, drained: &Drained) {
        self.refused.with_label_values(&[receiver]).inc_by(drained.refused as u64);
        self.failures.with_label_values(&[receiver]).inc_by(u64::from(drained.failed.is_some()));
    }

    pub(crate) fn failing(&self, receiver: &str, now_us: i64) {
        let since = self.failing_since.with_label_values(&[receiver]);
        if since.get() == 0 {
            since.set(now_us / 1_000_000);
        }
    }

    pub(crate) fn well(&self, receiver: &str) {
        self.failing_since.with_label_values(&[receiver]).set(0);
    }
}

/// Enrichment tables.
#[derive(Clone)]
pub(crate) struct TableMetrics {
    pub(crate) reloads: IntCounterVec,
    pub(crate) modified: IntGaugeVec,
    pub(crate) entries: IntGaugeVec,
    pub(crate) skipped: IntGaugeVec,
}

impl TableMetrics {
    pub(super) fn new(make: &Make) -> Self {
        Self {
            reloads: make.counters(
                "palisade_enrich_table_reloads_total",
                "Checks that found a changed enrichment table: loaded, or failed, again at each check while it cannot be.",
                &["table", "outcome"],
            ),
            modified: make.gauges(
                "palisade_enrich_table_modified_timestamp_seconds",
                "When the newest file of the enrichment table in force was written.",
                &["table"],
            ),
            entries: make.gauges(
                "palisade_enrich_table_entries",
                "Entries of the enrichment table in force.",
                &["table"],
            ),
            skipped: make.gauges(
                "palisade_enrich_table_skipped",
                "Entries of the files that the enrichment table in force does not hold: they are not understood.",
                &["table"],
            ),
        }
    }
}

/// Versions of what decides rows and alerts, by its name.
#[derive(Clone)]
pub(crate) struct VersionMetrics {
    info: IntGaugeVec,
    in_force: Arc<Mutex<BTreeMap<String, String>>>,
}

impl VersionMetrics {
    pub(super) fn new(make: &Make) -> Self {
        let info = make.gauges(
            "palisade_version_info",
            "1 for the version in force of the configuration, the rules, the mappings and each enrichment table.",
            &["name", "version"],
        );
        Self { info, in_force: Arc::default() }
    }

    /// These are in force, and no others.
    pub(crate) fn tell(&self, versions: BTreeMap<String, String>) {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force == versions {
            return;
        }
        for (name, old) in in_force.iter().filter(|(name, old)| versions.get(*name) != Some(old)) {
            // It was set, under the same lock.
            let _ = self.info.remove_label_values(&[name, old]);
        }
        versions.iter().for_each(|(name, version)| self.info.with_label_values(&[name, version]).set(1));
        *in_force = versions;
    }

    /// What is in force.
    pub(crate) fn in_force(&self) -> BTreeMap<String, String> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Collection of what nobody needs any more.
#[derive(Clone)]
pub(crate) struct UpkeepMetrics {
    pub(crate) deleted: IntCounterVec,
    pub(crate) bytes: IntCounter,
    pub(crate) failures: IntCounter,
    pub(crate) faults: IntGauge,
    pub(crate) success: IntGauge,
}

impl UpkeepMetrics {
    pub(super) fn new(make: &Make) -> Self {
        Self {
            deleted: make.counters(
                "palisade_upkeep_objects_deleted_total",
                "Objects of the ledger that were collected.",
                &["kind"],
            ),
            bytes: make.counter("palisade_upkeep_bytes_deleted_total", "Bytes of the objects that were collected."),
            failures: make.counter(
                "palisade_upkeep_failures_total",
                "Turns of collection that could not be made; the next one tries again.",
            ),
            faults: make.gauge(
                "palisade_upkeep_chains_faulty",
                "Chains of which nothing is collected since something is not as it should be; the log says what.",
            ),
            success: make.gauge(
                "palisade_upkeep_last_success_timestamp_seconds",
                "When a turn of collection last ended with every chain as it should be; 0 before the first.",
            ),
        }
    }
}
