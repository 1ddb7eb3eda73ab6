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
    rate: Rate,
    bars: Bars,
    stopping: bool,
}

impl Sampler {
    pub(super) fn new(mut watched: Watched) -> Self {
        let now = clock::instant();
        let detections = Detections::new(watched.planted.take());
        let (rate, bars) = (Rate { at: now, received: 0, now: 0 }, Bars::new(now));
        Self { watched, detections, started: now, rate, bars, stopping: false }
    }

    /// The end was asked for.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// The present moment.
    pub(super) fn sample(&mut self) -> View {
        let (now, now_us) = (clock::instant(), clock::now_us());
        let received = self.watched.telemetry.received_total();
        self.rate.note(now, received);
        self.bars.note(now, self.rate.now);
        let Watched { telemetry, flight, .. } = &self.watched;
        self.detections.take(telemetry.feed.take_alerts());
        let Steps { queryable, alert, .. } = flight.steps();
        let rows = telemetry.queue_rows();
        let queue = |&(name, rows_max): &(&'static str, u64)| Queue {
            name: name.to_owned(),
            rows: rows.get(name).copied().unwrap_or(0),
            rows_max: Some(rows_max),
        };
        let commits = telemetry.commits();
        let committed = telemetry.rows_committed();
        let (partitions, lags) = (telemetry.feed.partitions(), telemetry.lag.offsets());
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
            rate: self.rate.now,
            rates: self.bars.rates().to_vec(),
            queryable: (&queryable).into(),
            alert: (&alert).into(),
            queues: self.watched.queue_rows.iter().map(queue).collect(),
            state_bytes: positive(telemetry.state_bytes.get()),
            tables: commits.iter().map(table).collect(),
            topics: topics(partitions.iter().map(|(p, progress)| (&*p.topic, progress, lags.get(p).copied())), now_us),
            workers: Vec::new(),
            detections: self.detections.lines(now_us, telemetry.feed.began_us()),
            scored: self.detections.is_scored(),
            stopping: self.stopping,
            log: Vec::new(),
        }
    }
}

/// Events a second over the last second or so.
struct Rate {
    at: Instant,
    received: u64,
    now: u64,
}

impl Rate {
    fn note(&mut self, now: Instant, received: u64) {
        let since = now - self.at;
        if since >= BAR {
            let new = received.saturating_sub(self.received);
            *self = Self { at: now, received, now: (new as f64 / since.as_secs_f64()) as u64 };
        }
    }
}

/// The history of a rate: a bar a second; looks in between change nothing.
pub(super) struct Bars {
    at: Instant,
    rates: Vec<u64>,
}

impl Bars {
    pub(super) fn new(now: Instant) -> Self {
        Self { at: now, rates: Vec::new() }
    }

    pub(super) fn note(&mut self, now: Instant, rate: u64) {
        if now - self.at < BAR {
            return;
        }
        if self.rates.len() == BARS {
            self.rates.remove(0);
        }
        self.rates.push(rate);
        self.at = now;
    }

    /// The oldest first.
    pub(super) fn rates(&self) -> &[u64] {
        &self.rates
    }
}

fn positive(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Topics by their slowest partition, against the fastest of all. Of each partition: the topic, how far it is, what waits.
pub(super) fn topics<'a>(
    partitions: impl Iterator<Item = (&'a str, &'a Progress, Option<i64>)>,
    now_us: i64,
) -> Vec<TopicLine> {
    let mut by_topic: BTreeMap<&str, Vec<(&Progress, Option<i64>)>> = BTreeMap::new();
    partitions.for_each(|(topic, progress, lag)| by_topic.entry(topic).or_default().push((progress, lag)));
    let highest = by_topic.values().flatten().filter_map(|(p, _)| p.watermark).max();
    let line = |(topic, partitions): (&str, Vec<(&Progress, Option<i64>)>)| {
        let watermark = partitions.iter().filter_map(|(p, _)| p.watermark).min();
        let received = partitions.iter().filter_map(|(p, _)| p.received_max).max();
        TopicLine {
            name: topic.to_owned(),
            partitions: partitions.len(),
            watermark,
            behind_us: highest.zip(watermark).map_or(0, |(high, low)| high - low),
            age_us: received.map_or(0, |at| (now_us - at).max(0)),
            lag: partitions.iter().filter_map(|(_, lag)| *lag).reduce(|a, b| a + b),
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
        let start = clock::instant();
        let (mut rate, mut bars) = (Rate { at: start, received: 0, now: 0 }, Bars::new(start));
        let mut note = |at: Duration, received| {
            rate.note(start + at, received);
            bars.note(start + at, rate.now);
            bars.rates().to_vec()
        };
        assert!(note(Duration::from_millis(500), 1_000).is_empty());
        assert_eq!(note(Duration::from_secs(2), 1_000), [500]);
        let many = (3..300).map(|second| note(Duration::from_secs(second), 1_000)).last().expect("some");
        assert_eq!((many.len(), many[0]), (BARS, 0));
    }

    #[test]
    fn a_topic_is_as_far_as_its_slowest_partition() {
        let at = |watermark: i64, received: i64| Progress {
            watermark: Some(watermark),
            received_min: None,
            received_max: Some(received),
        };
        let (a, b, c) = (at(100, 50), at(40, 70), at(90, 10));
        let lines = topics([("x", &a, Some(3)), ("x", &b, Some(4)), ("y", &c, None)].into_iter(), 100);
        let shown: Vec<_> =
            lines.iter().map(|l| (l.name.as_str(), l.partitions, l.behind_us, l.age_us, l.lag)).collect();
        assert_eq!(shown, [("x", 2, 60, 30, Some(7)), ("y", 1, 10, 90, None)]);
    }
}
