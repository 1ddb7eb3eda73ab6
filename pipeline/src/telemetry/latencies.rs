//! Latencies by label: a Prometheus histogram that takes any number of events at a time, and the largest of late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::clock;

/// Upper bounds in milliseconds. They hold the objectives: 30 s to queryable, 10 s to an alert.
const BOUNDS_MS: [i64; 13] = [50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000];
/// The largest latency is told for at least so long, and for less than twice as long: whoever scrapes, and however many.
const HELD: Duration = Duration::from_secs(30);

/// Latencies of events, by label: `<name>_seconds` is the histogram, `<name>_max_seconds` the largest of the last 30 to 60 seconds.
#[derive(Clone)]
pub(crate) struct Latencies(Arc<Inner>);

struct Inner {
    histogram: Desc,
    largest: Desc,
    series: Mutex<BTreeMap<Vec<String>, Series>>,
}

#[derive(Default)]
struct Series {
    /// Events by the first bound that their latency does not exceed.
    counts: [u64; BOUNDS_MS.len()],
    events: u64,
    us: u64,
    largest: Largest,
}

/// The largest value of this period and of the one before.
#[derive(Default)]
struct Largest {
    began: Option<Instant>,
    now: f64,
    before: f64,
}

impl Largest {
    fn turn(&mut self, now: Instant) {
        match self.began.map(|began| now - began) {
            Some(age) if age < HELD => return,
            Some(age) if age < HELD * 2 => self.before = self.now,
            _ => self.before = 0.0,
        }
        (self.began, self.now) = (Some(now), 0.0);
    }

    fn note(&mut self, value: f64, now: Instant) {
        self.turn(now);
        self.now = self.now.max(value);
    }

    fn read(&mut self, now: Instant) -> f64 {
        self.turn(now);
        self.now.max(self.before)
    }
}

impl Latencies {
    /// Latencies `name` with these labels. `help` ends with what is measured, without a full stop.
    ///
    /// # Errors
    /// Names that Prometheus does not take.
    pub(super) fn new(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        let names: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = |name: String, help: String| Desc::new(name, help, names.clone(), std::collections::HashMap::new());
        Ok(Self(Arc::new(Inner {
            histogram: desc(format!("{name}_seconds"), format!("{help}."))?,
            largest: desc(format!("{name}_max_seconds"), format!("{help}: the largest of the last 30 to 60 seconds."))?,
            series: Mutex::default(),
        })))
    }

    /// Notes how many events took how many microseconds each; a negative time, where clocks disagree, counts as none.
    pub(crate) fn note(&self, labels: &[&str], took: impl IntoIterator<Item = (i64, u64)>) {
        if !super::measures() {
            return;
        }
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut all = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(labels).or_default().note(took, clock::instant());
    }
}

impl Series {
    fn note(&mut self, took: impl IntoIterator<Item = (i64, u64)>, now: Instant) {
        let mut largest_us = None;
        for (us, events) in took {
            let us = us.max(0);
            if let Some(bucket) = BOUNDS_MS.iter().position(|bound| us <= bound * 1_000) {
                self.counts[bucket] += events;
            }
            self.events += events;
            self.us = self.us.saturating_add(us.unsigned_abs().saturating_mul(events));
            largest_us = largest_us.max(Some(us));
        }
        largest_us.into_iter().for_each(|us| self.largest.note(us as f64 / 1e6, now));
    }

    fn histogram(&self) -> Histogram {
        let mut below = 0;
        let bucket = |(count, bound): (&u64, i64)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound as f64 / 1e3);
            bucket.set_cumulative_count(below);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(self.counts.iter().zip(BOUNDS_MS).map(bucket).collect());
        histogram.set_sample_count(self.events);
        histogram.set_sample_sum(self.us as f64 / 1e6);
        histogram
    }
}

fn family(desc: &Desc, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

impl Collector for Latencies {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.histogram, &self.0.largest]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let names = &self.0.histogram.variable_labels;
        let now = clock::instant();
        let (mut histograms, mut largest) = (Vec::new(), Vec::new());
        let mut all = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        for (values, series) in all.iter_mut() {
            let pair = |(name, value): (&String, &String)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.clone());
                pair.set_value(value.clone());
                pair
            };
            let labels: Vec<LabelPair> = names.iter().zip(values).map(pair).collect();
            let mut metric = Metric::from_label(labels.clone());
            metric.set_histogram(series.histogram());
            histograms.push(metric);
            let mut gauge = Gauge::default();
            gauge.set_value(series.largest.read(now));
            let mut metric = Metric::from_label(labels);
            metric.set_gauge(gauge);
            largest.push(metric);
        }
        vec![
            family(&self.0.histogram, MetricType::HISTOGRAM, histograms),
            family(&self.0.largest, MetricType::GAUGE, largest),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(latencies: &Latencies) -> String {
        prometheus::TextEncoder::new().encode_to_string(&latencies.collect()).expect("well formed")
    }

    #[test]
    fn every_event_counts_once_in_each_bucket_that_holds_it() {
        let latencies = Latencies::new("took", "From a to b", &["table"]).expect("good names");
        latencies.note(&["x"], [(30_000_000, 7), (30_000_001, 2), (-5, 1)]);
        latencies.note(&["y"], [(301_000_000, 1)]);
        let text = text(&latencies);
        for line in [
            "took_seconds_bucket{table=\"x\",le=\"0.05\"} 1",
            "took_seconds_bucket{table=\"x\",le=\"20\"} 1",
            "took_seconds_bucket{table=\"x\",le=\"30\"} 8",
            "took_seconds_bucket{table=\"x\",le=\"60\"} 10",
            "took_seconds_bucket{table=\"x\",le=\"+Inf\"} 10",
            "took_seconds_count{table=\"x\"} 10",
            "took_seconds_bucket{table=\"y\",le=\"300\"} 0",
            "took_seconds_bucket{table=\"y\",le=\"+Inf\"} 1",
            "took_max_seconds{table=\"y\"} 301",
            "# HELP took_seconds From a to b.",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn the_largest_is_told_for_thirty_seconds_and_forgotten_after_sixty() {
        let start = clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut largest = Largest::default();
        largest.note(5.0, at(0));
        largest.note(3.0, at(29));
        assert_eq!(largest.read(at(29)), 5.0);
        largest.note(1.0, at(31));
        assert_eq!((largest.read(at(31)), largest.read(at(60))), (5.0, 5.0), "of the period before");
        assert_eq!(largest.read(at(62)), 1.0);
        assert_eq!(largest.read(at(200)), 0.0);
    }
}
