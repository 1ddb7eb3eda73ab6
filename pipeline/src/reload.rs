//! The thread that looks at the files of enrichment tables, mappings and rules now and then, so that no other has to.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use enrich::{Outcome, Reloader, TableInfo};
use ingest::mapping;

use crate::clock;
use crate::rules;
use crate::telemetry::Telemetry;

/// Keeps tables, mappings and rules up to date until it is stopped.
pub(crate) struct Reloads {
    reloader: Reloader,
    mappings: mapping::Reloader,
    rules: rules::Reloader,
    interval: Duration,
    telemetry: Telemetry,
}

/// What stops [`Reloads::run`]: the sender's end.
pub(crate) fn stop() -> (SyncSender<()>, Receiver<()>) {
    sync_channel(0)
}

impl Reloads {
    /// Tables, mappings and rules as they were loaded at the start.
    pub(crate) fn new(
        reloader: Reloader,
        mappings: mapping::Reloader,
        rules: rules::Reloader,
        interval: Duration,
        telemetry: Telemetry,
    ) -> Self {
        let reloads = Self { reloader, mappings, rules, interval, telemetry };
        reloads.telemetry.detects(reloads.rules.live().loaded().0.rules());
        reloads.reloader.tables().for_each(|table| reloads.tell(&table));
        reloads
    }

    /// Checks every interval, never if it is 0, until the sender of `stopped` is dropped.
    pub(crate) fn run(mut self, stopped: &Receiver<()>) -> anyhow::Result<()> {
        let interval = if self.interval.is_zero() { Duration::MAX } else { self.interval };
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
            self.check(clock::now_us());
            self.check_mappings(clock::now_us());
            self.check_rules(clock::now_us());
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

    /// One look at the mapping files.
    fn check_mappings(&mut self, now_us: i64) {
        match self.mappings.check(now_us) {
            mapping::Outcome::Unchanged => {}
            mapping::Outcome::Loaded => {
                self.count_mappings("loaded", 1);
                let version = self.mappings.live().mappings().version().unwrap_or_default();
                tracing::info!(version, "mappings in force");
            }
            mapping::Outcome::Failed { errors, repeated } => {
                self.count_mappings("failed", 1);
                if !repeated {
                    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    let error = errors.join("; ");
                    tracing::error!(error, "changed mapping files cannot be loaded; the last good ones stay");
                }
            }
        }
    }

    /// One look at the rule files.
    fn check_rules(&mut self, now_us: i64) {
        match self.rules.check(now_us) {
            rules::Outcome::Unchanged => {}
            rules::Outcome::Loaded(rules::Changes { added, changed, removed }) => {
                self.count_rules("loaded", 1);
                let (rules, disabled) = (self.rules.live(), self.rules.disabled());
                let (version, count) = (rules.set().version(), rules.set().rules().len());
                self.telemetry.detects(rules.loaded().0.rules());
                tracing::info!(version, count, ?added, ?changed, ?removed, "rules in force");
                self.telemetry.rules.disabled.reset();
                disabled.iter().for_each(|rule| self.telemetry.rules.disabled.with_label_values(&[rule.uid()]).set(1));
            }
            rules::Outcome::Failed { errors, repeated } => {
                self.count_rules("failed", 1);
                if !repeated {
                    let error = errors.join("; ");
                    tracing::error!(error, "changed rules cannot be loaded; the last good ones stay");
                }
            }
        }
    }

    fn count_rules(&self, outcome: &str, by: u64) {
        self.telemetry.rule_reloads.with_label_values(&[outcome]).inc_by(by);
    }

    fn count_mappings(&self, outcome: &str, by: u64) {
        self.telemetry.mapping_reloads.with_label_values(&[outcome]).inc_by(by);
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
    use std::path::PathBuf;

    use enrich::{EnrichConfig, TableSource};
    use sinks::{Warehouse, WarehouseConfig};

    use super::*;
    use crate::config::RulesConfig;

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
        let mut reloads = reloads(reloader, no_mappings(), Vec::new());
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

    fn reloads(tables: Reloader, mappings: mapping::Reloader, rules: Vec<PathBuf>) -> Reloads {
        let dir = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let rules = RulesConfig { builtin: false, paths: rules, exceptions: Vec::new(), row_budget: Duration::ZERO };
        let rules = runtime.block_on(async {
            let warehouse = Warehouse::open(WarehouseConfig::at(dir.path())).await.expect("opens");
            rules::Reloader::open(&rules, &warehouse).await.expect("right")
        });
        Reloads::new(tables, mappings, rules, Duration::ZERO, Telemetry::new())
    }

    #[test]
    fn a_failed_reload_of_rules_is_counted_each_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("rule.yaml");
        let text = "title: T\nid: 3f2b6a4e-1111-4222-8333-444455556666\nversion: 1\nlevel: low\nsql: SELECT src_ip FROM network_activity WHERE dst_port = 22";
        std::fs::write(&path, text).expect("written");
        let tables = Reloader::open(&EnrichConfig::default(), NOW).expect("tables");
        let mut reloads = reloads(tables, no_mappings(), vec![path.clone()]);
        let counted = |reloads: &Reloads| {
            ["loaded", "failed"].map(|outcome| reloads.telemetry.rule_reloads.with_label_values(&[outcome]).get())
        };
        reloads.check_rules(NOW);
        assert_eq!(counted(&reloads), [0, 0]);
        std::fs::write(&path, "nothing").expect("written");
        reloads.check_rules(NOW);
        reloads.check_rules(NOW);
        assert_eq!(counted(&reloads), [0, 2]);
    }

    fn no_mappings() -> mapping::Reloader {
        mapping::Reloader::new(Vec::new(), mapping::Mappings::builtin())
    }

    #[test]
    fn a_reload_of_mappings_is_counted_and_a_failure_each_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("own.yaml");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        let of = |name: &str| {
            format!(
                "name: {name}\nproduct: {{vendor: V, name: P}}\nformat: kv\nmatch: {{a: b}}\nclass: base_event\ntime: received\n"
            )
        };
        write(&of("first"));
        let paths = vec![path.display().to_string()];
        let loaded = mapping::Mappings::load(&paths).expect("right");
        let tables = Reloader::open(&EnrichConfig::default(), NOW).expect("tables");
        let mappings = mapping::Reloader::new(paths, loaded);
        let mut reloads = reloads(tables, mappings, Vec::new());
        let counted = |reloads: &Reloads| {
            ["loaded", "failed"].map(|outcome| reloads.telemetry.mapping_reloads.with_label_values(&[outcome]).get())
        };
        for (text, want) in [(of("first"), [0, 0]), (of("second"), [1, 0]), ("nothing".to_owned(), [1, 1])] {
            write(&text);
            reloads.check_mappings(NOW);
            assert_eq!(counted(&reloads), want, "{text}");
        }
        reloads.check_mappings(NOW);
        assert_eq!(counted(&reloads), [1, 2]);
    }

    #[test]
    fn without_an_interval_nothing_is_looked_at_and_it_ends_when_told() {
        let reloader = Reloader::open(&EnrichConfig::default(), NOW).expect("no table");
        let (stop, stopped) = stop();
        drop(stop);
        reloads(reloader, no_mappings(), Vec::new()).run(&stopped).expect("ends");
    }
}
