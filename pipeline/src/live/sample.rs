//! Telemetry, flight and feed -> [`View`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Watched;
use super::detections::Detections;
use super::feed::Progress;
use super::view::{Queue, TableLine, TopicLine, View};
use crate::clock;
use crate::flight::Steps;

/// How long a bar of the rate's history stands for, and how many there are.
const BAR: Duration = Duration::from_secs(1);
const BARS: usize = 120;

/// Looks again and again; holds what a view needs of earlier looks.
pub(super) struct Sampler {
    watched: Watched,
    detections: Detections,
    started: Instant,
    bar_at: Instant,
    bar_received: u64,
    rates: Vec<u64>,
    stopping: bool,
}

impl Sampler {
    pub(super) fn new(mut watched: Watched) -> Self {
        let now = clock::instant();
        let detections = Detections::new(watched.planted.take());
        Self { watched, detections, started: now, bar_at: now, bar_received: 0, rates: Vec::new(), stopping: false }
    }

    /// The end was asked for.
    pub(super) fn stopping(&mut self) {
        self.stopping = true;
    }

    /// The present moment.
    pub(super) fn sample(&mut self) -> View {
        let (now, now_us) = (clock::instant(), clock::now_us());
        let received = self.watched.telemetry.received_total();
        self.rate(now, received);
        let Watched { telemetry, flight, .. } = &self.watched;
        self.detections.take(telemetry.feed.take_alerts());
        let Steps { queryable, alert, .. } = flight.steps();
        let rows = telemetry.queue_rows();
        let queue = |&(name, rows_max): &(&'static str, u64)| Queue {
            name,
            rows: rows.get(name).copied().unwrap_or(0),
            rows_max,
        };
        let commits = telemetry.commits();
        let committed = telemetry.rows_committed();
        let table = |(name, commits): (&String, &u64)| TableLine {
            name: name.clone(),
            commits: *commits,
            rows: committed.get(name).copied().unwrap_or(0),
        };
        View {
            title: self.watched.title,
            elapsed_s: (now - self.started).as_secs(),
            total: self.watched.total,
            received,
            committed: committed.values().sum(),
            in_flight: positive(telemetry.in_flight.get()),
            dead_letters: telemetry.dead_letters_total(),
            alerts: telemetry.alerts_total(),
            rate: self.rates.last().copied().unwrap_or(0),
            rates: self.rates.clone(),
            queryable: (&queryable).into(),
            alert: (&alert).into(),
            queues: self.watched.queue_rows.iter().map(queue).collect(),
            state_bytes: positive(telemetry.state_bytes.get()),
            tables: commits.iter().map(table).collect(),
            topics: topics(telemetry.feed.partitions().iter().map(|(p, progress)| (&*p.topic, progress)), now_us),
            detections: self.detections.lines(now_us, telemetry.feed.began_us()),
            scored: self.detections.is_scored(),
            stopping: self.stopping,
            log: Vec::new(),
        }
    }

    /// A bar a second; looks in between change nothing.
    fn rate(&mut self, now: Instant, received: u64) {
        let since = now - self.bar_at;
        if since < BAR {
            return;
        }
        let rate = received.saturating_sub(self.bar_received) as f64 / since.as_secs_f64();
        if self.rates.len() == BARS {
            self.rates.remove(0);
        }
        self.rates.push(rate as u64);
        (self.bar_at, self.bar_received) = (now, received);
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Topics by their slowest partition, against the fastest of all.
fn topics<'a>(partitions: impl Iterator<Item = (&'a str, &'a Progress)>, now_us: i64) -> Vec<TopicLine> {
    let mut by_topic: BTreeMap<&str, Vec<&Progress>> = BTreeMap::new();
    partitions.for_each(|(topic, progress)| by_topic.entry(topic).or_default().push(progress));
    let highest = by_topic.values().flatten().filter_map(|p| p.watermark).max();
    let line = |(topic, partitions): (&str, Vec<&Progress>)| {
        let watermark = partitions.iter().filter_map(|p| p.watermark).min();
        let received = partitions.iter().filter_map(|p| p.received_max).max();
        TopicLine {
            name: topic.to_owned(),
            partitions: partitions.len(),
            watermark,
            behind_us: highest.zip(watermark).map_or(0, |(high, low)| high - low),
            age_us: received.map_or(0, |at| (now_us - at).max(0)),
        }
    };
    by_topic.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Flight;
    use crate::telemetry::Telemetry;

    fn sampler() -> Sampler {
        let telemetry = Telemetry::new();
        telemetry.received.with_label_values(&["t"]).inc_by(500);
        telemetry.table_commits.with_label_values(&["network_activity", "committed"]).inc_by(3);
        telemetry.committed.with_label_values(&["network_activity"]).inc_by(400);
        telemetry.queue("shard").add(70, 1);
        let flight = Flight::new(telemetry.clone());
        let queue_rows = [("shard", 100), ("merge", 100)];
        Sampler::new(Watched { title: "t", telemetry, flight, total: None, planted: None, queue_rows })
    }

    #[test]
    fn a_view_says_what_counters_say() {
        let view = sampler().sample();
        assert_eq!((view.received, view.committed, view.queues[0].rows, view.queues[1].rows), (500, 400, 70, 0));
        assert_eq!((view.tables[0].commits, view.tables[0].rows), (3, 400));
    }

    #[test]
    fn a_rate_is_over_a_second_or_more() {
        let mut sampler = sampler();
        let start = sampler.bar_at;
        sampler.rate(start + Duration::from_millis(500), 1_000);
        assert!(sampler.rates.is_empty());
        sampler.rate(start + Duration::from_secs(2), 1_000);
        assert_eq!(sampler.rates, [500]);
        (3..300).for_each(|n| sampler.rate(start + Duration::from_secs(n), 1_000));
        assert_eq!(sampler.rates.len(), BARS);
    }

    #[test]
    fn a_topic_is_as_far_as_its_slowest_partition() {
        let at = |watermark: i64, received: i64| Progress {
            watermark: Some(watermark),
            received_min: None,
            received_max: Some(received),
        };
        let (a, b, c) = (at(100, 50), at(40, 70), at(90, 10));
        let lines = topics([("x", &a), ("x", &b), ("y", &c)].into_iter(), 100);
        let shown: Vec<_> = lines.iter().map(|l| (l.name.as_str(), l.partitions, l.behind_us, l.age_us)).collect();
        assert_eq!(shown, [("x", 2, 60, 30), ("y", 1, 10, 90)]);
    }
}
