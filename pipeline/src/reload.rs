//! The thread that looks at the enrichment tables' files now and then, so that no other has to.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use enrich::{Outcome, Reloader, TableInfo};

use crate::clock;
use crate::telemetry::Telemetry;

/// Keeps the tables up to date until it is stopped.
pub(crate) struct Reloads {
    reloader: Reloader,
    interval: Duration,
    telemetry: Telemetry,
}

/// What stops [`Reloads::run`]: the sender's end.
pub(crate) fn stop() -> (SyncSender<()>, Receiver<()>) {
    sync_channel(0)
}

impl Reloads {
    /// The tables as they were loaded at the start.
    pub(crate) fn new(reloader: Reloader, interval: Duration, telemetry: Telemetry) -> Self {
        let reloads = Self { reloader, interval, telemetry };
        reloads.reloader.tables().for_each(|table| reloads.tell(&table));
        reloads
    }

    /// Checks every interval, never if it is 0, until the sender of `stopped` is dropped.
    pub(crate) fn run(mut self, stopped: &Receiver<()>) -> anyhow::Result<()> {
        let interval = if self.interval.is_zero() { Duration::MAX } else { self.interval };
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
            self.check(clock::now_us());
        }
        Ok(())
    }

    /// One look at all tables.
    fn check(&mut self, now_us: i64) {
        for (table, outcome) in self.reloader.check(now_us) {
            match outcome {
                Outcome::Unchanged => {}
                Outcome::Loaded => {
                    self.count(table, "loaded", 1);
                    self.reloader.tables().filter(|info| info.table == table).for_each(|info| self.tell(&info));
                }
                Outcome::Failed { error, repeated } => {
                    self.count(table, "failed", 1);
                    if !repeated {
                        tracing::error!(
                            table,
                            error,
                            "a changed enrichment table cannot be loaded; the last good one stays"
                        );
                    }
                }
            }
        }
    }

    fn count(&self, table: &str, outcome: &str, by: u64) {
        self.telemetry.tables.reloads.with_label_values(&[table, outcome]).inc_by(by);
    }

    /// Says which table is in force.
    fn tell(&self, info: &TableInfo) {
        let TableInfo { table, version, entries, modified_us, skipped } = info;
        // So that the first failure is an increase.
        ["loaded", "failed"].iter().for_each(|outcome| self.count(table, outcome, 0));
        let set = |gauge: &prometheus::IntGaugeVec, value: i64| gauge.with_label_values(&[*table]).set(value);
        set(&self.telemetry.tables.entries, i64::try_from(*entries).unwrap_or(i64::MAX));
        set(&self.telemetry.tables.skipped, i64::try_from(skipped.count).unwrap_or(i64::MAX));
        if let Some(modified_us) = modified_us {
            set(&self.telemetry.tables.modified, modified_us / 1_000_000);
        }
        tracing::info!(table, version, entries, "enrichment table in force");
        if skipped.count > 0 {
            let (count, first) = (skipped.count, skipped.first.join("; "));
            tracing::warn!(table, count, first, "entries of the table are not understood and left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use enrich::{EnrichConfig, TableSource};

    use super::*;

    /// 2001: no file of the test was written then.
    const NOW: i64 = 1_000_000_000_000_000;

    #[test]
    fn a_reload_is_counted_and_a_failure_each_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("list.csv");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("ip,category,confidence\n192.0.2.1,c2,50\n");
        let config = EnrichConfig { intel: vec![TableSource::File(path.clone())], ..EnrichConfig::default() };
        let reloader = Reloader::open(&config, NOW).expect("a table");
        let mut reloads = Reloads::new(reloader, Duration::ZERO, Telemetry::new());
        let counted = |reloads: &Reloads| {
            let of = |outcome| reloads.telemetry.tables.reloads.with_label_values(&["intel", outcome]).get();
            (of("loaded"), of("failed"), reloads.telemetry.tables.entries.with_label_values(&["intel"]).get())
        };
        assert_eq!(counted(&reloads), (0, 0, 1));
        write("ip,category,confidence\n192.0.2.1,c2,50\n192.0.2.2,c2,50\n");
        reloads.check(NOW);
        assert_eq!(counted(&reloads), (1, 0, 2));
        write("nothing");
        reloads.check(NOW);
        reloads.check(NOW);
        assert_eq!(counted(&reloads), (1, 2, 2));
    }

    #[test]
    fn without_an_interval_nothing_is_looked_at_and_it_ends_when_told() {
        let reloader = Reloader::open(&EnrichConfig::default(), NOW).expect("no table");
        let (stop, stopped) = stop();
        drop(stop);
        Reloads::new(reloader, Duration::ZERO, Telemetry::new()).run(&stopped).expect("ends");
    }
}
