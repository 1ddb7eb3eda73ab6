//! Workers watched from outside, by what their `/status` says -> [`View`].

use std::collections::BTreeMap;
use std::time::Instant;

use super::sample::{Bars, topics};
use super::view::{Queue, TableLine, View, WorkerLine, WorkerState};
use crate::summary::Percentiles;
use crate::telemetry::Status;

/// Some workers, as they last answered.
pub(crate) struct Fleet {
    workers: Vec<Asked>,
    started: Instant,
    bars: Bars,
}

struct Asked {
    address: String,
    /// The last answer, and when it came.
    last: Option<(Instant, Status)>,
    rate: u64,
    /// Why there was no answer the last time.
    trouble: Option<String>,
}

impl Fleet {
    pub(crate) fn new(addresses: &[String], now: Instant) -> Self {
        let asked = |address: &String| Asked { address: address.clone(), last: None, rate: 0, trouble: None };
        Self { workers: addresses.iter().map(asked).collect(), started: now, bars: Bars::new(now) }
    }

    /// What a worker answered, or why it did not.
    pub(crate) fn take(&mut self, worker: usize, now: Instant, answer: Result<Status, String>) {
        let Some(worker) = self.workers.get_mut(worker) else { return };
        match answer {
            Ok(status) => worker.answered(now, status),
            Err(why) => (worker.trouble, worker.rate) = (Some(why), 0),
        }
    }

    /// Why none of the workers answers, if that is so.
    pub(crate) fn silence(&self) -> Option<String> {
        let trouble = |worker: &Asked| worker.trouble.as_ref().map(|why| format!("{}: {why}", worker.address));
        self.workers.iter().map(trouble).collect::<Option<Vec<_>>>().map(|all| all.join("; "))
    }

    /// The present moment: sums, and percentiles of the slowest worker.
    pub(crate) fn view(&mut self, now: Instant, now_us: i64) -> View {
        let received = self.sum(|status| status.events.received);
        let rate = self.workers.iter().map(|worker| worker.rate).sum();
        self.bars.note(now, rate);
        let answers = || self.answers();
        let progress: Vec<_> = answers().flat_map(|status| status.partitions.iter().map(|p| p.progress())).collect();
        View {
            title: "palisade top",
            elapsed_s: (now - self.started).as_secs(),
            received,
            committed: self.sum(|status| status.rows.values().sum()),
            in_flight: self.sum(|status| status.events.in_flight),
            dead_letters: self.sum(|status| status.events.dead_letters.values().sum()),
            alerts: self.sum(|status| status.alerts),
            rate,
            rates: self.bars.rates().to_vec(),
            queryable: slowest(answers().map(|status| status.latency_ms.queryable)),
            alert: slowest(answers().map(|status| status.latency_ms.alert)),
            queues: added(answers().map(|status| &status.queue_rows))
                .into_iter()
                .map(|(name, rows)| Queue { name, rows, rows_max: None })
                .collect(),
            state_bytes: self.sum(|status| status.state_bytes),
            tables: self.tables(),
            topics: topics(progress.iter().map(|(topic, progress, lag)| (*topic, progress, *lag)), now_us),
            workers: self.workers.iter().map(|worker| worker.line(now_us)).collect(),
            ..View::default()
        }
    }

    /// What those said last that answer.
    fn answers(&self) -> impl Iterator<Item = &Status> {
        self.workers.iter().filter_map(Asked::answer)
    }

    fn sum(&self, of: impl Fn(&Status) -> u64) -> u64 {
        self.answers().map(of).sum()
    }

    fn tables(&self) -> Vec<TableLine> {
        let rows = added(self.answers().map(|status| &status.rows));
        let commits = added(self.answers().map(|status| &status.commits));
        let line =
            |(name, commits): (String, u64)| TableLine { rows: rows.get(&name).copied().unwrap_or(0), name, commits };
        commits.into_iter().map(line).collect()
    }
}

impl Asked {
    fn answered(&mut self, now: Instant, status: Status) {
        if let Some((at, before)) = &self.last
            && now > *at
        {
            // One that was started anew counts from nothing.
            let since = status.events.received.checked_sub(before.events.received).unwrap_or(status.events.received);
            self.rate = (since as f64 / (now - *at).as_secs_f64()) as u64;
        }
        (self.last, self.trouble) = (Some((now, status)), None);
    }

    fn answer(&self) -> Option<&Status> {
        self.last.as_ref().filter(|_| self.trouble.is_none()).map(|(_, status)| status)
    }

    fn line(&self, now_us: i64) -> WorkerLine {
        let state = match (&self.trouble, self.answer()) {
            (Some(why), _) => WorkerState::Silent(why.clone()),
            (None, None) => WorkerState::Unknown,
            (None, Some(status)) if status.ready => WorkerState::Ready,
            (None, Some(_)) => WorkerState::Starting,
        };
        let told = self.answer();
        let lags = |status: &Status| status.partitions.iter().filter_map(|partition| partition.lag).sum();
        WorkerLine {
            address: self.address.clone(),
            region: told.map(|status| status.region.clone()).unwrap_or_default(),
            state,
            rate: self.rate,
            in_flight: told.map_or(0, |status| status.events.in_flight),
            waits_us: told.and_then(|status| status.events.oldest_received_us).map_or(0, |at| (now_us - at).max(0)),
            lag: told.map_or(0, lags),
            queryable_p99: told.map_or(0.0, |status| status.latency_ms.queryable.p99),
            alerts: told.map_or(0, |status| status.alerts),
        }
    }
}

/// Of each percentile the highest: those of several workers cannot be merged.
fn slowest(all: impl Iterator<Item = Percentiles>) -> Percentiles {
    all.fold(Percentiles::default(), |a, b| Percentiles {
        count: a.count + b.count,
        p50: a.p50.max(b.p50),
        p99: a.p99.max(b.p99),
        p999: a.p999.max(b.p999),
        max: a.max.max(b.max),
    })
}

fn added<'a>(all: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, n) in all.flatten() {
        *sums.entry(name.clone()).or_default() += n;
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::flight::Flight;
    use crate::telemetry::Telemetry;

    /// As it comes over the wire.
    fn status(received: u64, ready: bool) -> Status {
        let telemetry = Telemetry::new();
        telemetry.received.with_label_values(&["t"]).inc_by(received);
        telemetry.table_commits.with_label_values(&["network_activity", "committed"]).inc_by(3);
        telemetry.committed.with_label_values(&["network_activity"]).inc_by(received / 2);
        telemetry.queue("shard").add(7, 1);
        let text = serde_json::to_string(&Status::of(&Flight::new(telemetry), ready)).expect("JSON");
        serde_json::from_str(&text).expect("what was written is read")
    }

    #[test]
    fn a_fleet_is_the_sum_of_who_answers() {
        let (start, addresses) = (clock::instant(), ["a:1".to_owned(), "b:1".to_owned(), "c:1".to_owned()]);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fleet = Fleet::new(&addresses, start);
        assert_eq!(fleet.view(start, 0).workers[0].state, WorkerState::Unknown);
        for (second, received) in [(1, 1_000), (3, 5_000)] {
            fleet.take(0, at(second), Ok(status(received, true)));
            fleet.take(1, at(second), Ok(status(received, false)));
            fleet.take(2, at(second), Err("refused".to_owned()));
        }
        let view = fleet.view(at(3), 0);
        assert_eq!((view.received, view.committed, view.rate), (10_000, 5_000, 4_000));
        assert_eq!((view.queues[0].name.as_str(), view.queues[0].rows, view.queues[0].rows_max), ("shard", 14, None));
        assert_eq!((view.tables[0].commits, view.tables[0].rows), (6, 5_000));
        let states: Vec<_> = view.workers.iter().map(|worker| worker.state.clone()).collect();
        assert_eq!(states, [WorkerState::Ready, WorkerState::Starting, WorkerState::Silent("refused".to_owned())]);
        assert_eq!(fleet.silence(), None);
    }

    #[test]
    fn one_that_was_started_anew_counts_from_nothing_and_one_that_is_silent_counts_no_more() {
        let start = clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fleet = Fleet::new(&["a:1".to_owned()], start);
        fleet.take(0, at(1), Ok(status(9_000, true)));
        fleet.take(0, at(2), Ok(status(500, true)));
        assert_eq!(fleet.view(at(2), 0).rate, 500);
        fleet.take(0, at(3), Err("connection refused".to_owned()));
        let view = fleet.view(at(3), 0);
        assert_eq!((view.received, view.rate), (0, 0));
        assert_eq!(fleet.silence().as_deref(), Some("a:1: connection refused"));
    }
}
