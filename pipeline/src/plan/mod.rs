//! The capacity plan: from what is asked for, and what was measured, to machines, year by year.
//!
//! **Data in:** a [`Demand`], a [`Calibration`], prices if the user has some. **Data out:** a [`Plan`], for people, for
//! machines and for Helm; and the calibration itself, which `measure/` takes on this machine.
//!
//! Every formula is in `formulas.rs`; every measured figure in `calibration.yaml`; every price in the user's file. Absent on
//! purpose: a speed, a size or a price of our own.

mod calibration;
mod demand;
mod formulas;
mod helm;
mod limits;
pub(crate) mod measure;
mod prices;
mod text;

use serde::Serialize;

pub(crate) use calibration::{Calibration, DEFAULT_FILE};
pub(crate) use demand::{Demand, Redundancy, days, fraction, share};
pub(crate) use helm::values;
use limits::Limit;
pub(crate) use prices::Prices;

use crate::config::WorkerConfig;

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// What is needed, of one region unless a name says otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) demand: Demand,
    pub(crate) measured: Measured,
    pub(crate) settings: Settings,
    pub(crate) years: Vec<Year>,
    /// Of the last year, the fullest first.
    pub(crate) limits: Vec<Limit>,
    pub(crate) bottleneck: Bottleneck,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prices: Option<Prices>,
}

/// What the plan reckons with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) calibration: String,
    pub(crate) measured_at: String,
    pub(crate) build: String,
    pub(crate) machine_cores: u32,
    /// For this mix and size of events.
    pub(crate) cpu_seconds_per_million: f64,
    /// Of this, what the thread that owns a partition does, and the merge thread.
    pub(crate) shard_cpu_seconds_per_million: f64,
    pub(crate) merge_cpu_seconds_per_million: f64,
    pub(crate) stored_bytes_per_event: f64,
    /// What the measured machine takes of such events, all its cores busy as in the measured run.
    pub(crate) machine_events_per_second: f64,
}

/// What holds for all years: it is decided once, for the last of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) partitions: u64,
    pub(crate) merge_groups: u64,
    pub(crate) flush_interval_seconds: f64,
    pub(crate) commit_interval_seconds: f64,
    pub(crate) flush_rows: u64,
}

/// One year, at its end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Year {
    pub(crate) year: u32,
    /// Of all regions.
    pub(crate) events_per_second: f64,
    pub(crate) events_per_second_peak: f64,
    pub(crate) regions: u32,
    pub(crate) workers: u64,
    pub(crate) cores: u64,
    /// Busy at the peak.
    pub(crate) cores_busy: f64,
    pub(crate) worker_memory_bytes: f64,
    /// Of one worker at the peak, what comes from the brokers and what goes to the object store.
    pub(crate) worker_network_bytes_per_second: f64,
    pub(crate) files_per_day: f64,
    pub(crate) stored_bytes: f64,
    pub(crate) object_writes_per_month: f64,
    pub(crate) object_reads_per_month: f64,
    pub(crate) topic_bytes: f64,
    /// From brokers to workers.
    pub(crate) network_bytes_per_month: f64,
    /// The longest from receipt to queryable.
    pub(crate) queryable_seconds: f64,
    /// Of all regions, a month; none without prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_per_month: Option<f64>,
}

/// What gives way first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bottleneck {
    pub(crate) name: &'static str,
    /// The first year at whose end it is full; none if it never is.
    pub(crate) full_in_year: Option<u32>,
    /// Of the last year: 1 is full.
    pub(crate) load: f64,
    pub(crate) remedy: &'static str,
}

impl Plan {
    /// Reckons everything.
    pub(crate) fn new(demand: Demand, file: &str, calibration: &Calibration, prices: Option<Prices>) -> Self {
        let measured = Measured::new(&demand, file, calibration);
        let settings = Settings::new(&demand, &measured, calibration);
        let reckoned = Reckoned { demand: &demand, measured: &measured, settings: &settings, calibration };
        let years: Vec<Year> = (1..=demand.years).map(|year| reckoned.year(year, prices.as_ref())).collect();
        let per_year: Vec<Vec<Limit>> = years.iter().map(|year| reckoned.limits(year)).collect();
        let bottleneck = limits::bottleneck(&per_year);
        let limits = per_year.into_iter().next_back().unwrap_or_default();
        Self { measured, settings, years, limits, bottleneck, prices, demand }
    }
}

impl Measured {
    fn new(demand: &Demand, file: &str, calibration: &Calibration) -> Self {
        let cpu = &calibration.cpu_seconds_per_million;
        let ratio = demand.size_ratio(calibration);
        let stages: f64 = demand
            .formats
            .iter()
            .filter_map(|(name, share)| {
                let s = cpu.formats.get(name)?;
                Some(share * formulas::stages_per_million(s.decode + s.encode, s.enrich + s.detect, ratio))
            })
            .sum();
        let total = stages + cpu.rest;
        // What a shard does beside its stages, of the measured mix; the whole where the system does not tell threads apart.
        let of_mix: f64 = cpu.formats.values().map(|s| s.share * (s.decode + s.encode + s.enrich + s.detect)).sum();
        let shard = if cpu.shards > 0.0 { stages + (cpu.shards - of_mix).max(0.0) } else { total };
        let of_run: f64 = cpu.formats.values().map(|s| s.share * s.event_bytes).sum();
        Self {
            calibration: file.to_owned(),
            measured_at: calibration.measured_at.clone(),
            build: calibration.build.clone(),
            machine_cores: calibration.machine.cores,
            cpu_seconds_per_million: total,
            shard_cpu_seconds_per_million: shard.min(total),
            merge_cpu_seconds_per_million: cpu.merge,
            stored_bytes_per_event: calibration.storage.bytes_per_event * demand.event_bytes / of_run,
            machine_events_per_second: calibration.run.events_per_second * cpu.total / total,
        }
    }
}

impl Settings {
    fn new(demand: &Demand, measured: &Measured, calibration: &Calibration) -> Self {
        let Demand { utilization, worker_cores, .. } = *demand;
        let peak = demand.region_rate(demand.years) * demand.peak_factor;
        let busy = formulas::busy_cores(peak, measured.cpu_seconds_per_million);
        let active = formulas::active_workers(busy, utilization, worker_cores);
        let shard = measured.shard_cpu_seconds_per_million;
        // A commit takes in the files of one flush of every table at least.
        let commit = calibration.commit.seconds_per_file * f64::from(calibration.storage.tables);
        let interval = formulas::intervals_s(demand.slo_seconds, commit).unwrap_or(1.0);
        Self {
            partitions: formulas::partitions(peak, shard, utilization, active, worker_cores),
            merge_groups: formulas::merge_groups(peak, measured.merge_cpu_seconds_per_million, utilization),
            flush_interval_seconds: interval,
            commit_interval_seconds: interval,
            flush_rows: WorkerConfig::default().flush_rows as u64,
        }
    }
}

impl Demand {
    /// The mean of one region at the end of a year.
    fn region_rate(&self, year: u32) -> f64 {
        formulas::grown(self.events_per_second, self.growth, year) / f64::from(self.regions)
    }
}

/// Everything that years are reckoned from.
struct Reckoned<'a> {
    demand: &'a Demand,
    measured: &'a Measured,
    settings: &'a Settings,
    calibration: &'a Calibration,
}

impl Reckoned<'_> {
    /// Data files and flushes a second, and data files that a commit takes in.
    fn files(&self, rate: f64) -> (f64, f64, f64) {
        let s = self.settings;
        let flushes = formulas::flushes(rate, s.partitions, s.flush_interval_seconds, s.flush_rows as f64);
        let files = flushes * self.calibration.storage.files_per_flush;
        (files, flushes, files * s.commit_interval_seconds)
    }

    fn year(&self, year: u32, prices: Option<&Prices>) -> Year {
        let Self { demand: d, measured: m, settings: s, calibration } = self;
        let rate = d.region_rate(year);
        let peak = rate * d.peak_factor;
        let cores_busy = formulas::busy_cores(peak, m.cpu_seconds_per_million);
        let active = formulas::active_workers(cores_busy, d.utilization, d.worker_cores);
        let workers = d.redundancy.workers(active);
        let (files, flushes, _) = self.files(rate);
        let commit_s = self.commit_s(peak);
        let tables = f64::from(calibration.storage.tables);
        let commits = 1.0 / s.commit_interval_seconds;
        let kept = formulas::kept_events(d.events_per_second / f64::from(d.regions), d.growth, year, d.retention_days);
        let queryable_seconds = formulas::queryable_s(s.flush_interval_seconds, commit_s);
        let worker_rate = peak / active as f64;
        let reckoned = Year {
            year,
            events_per_second: rate * f64::from(d.regions),
            events_per_second_peak: peak * f64::from(d.regions),
            regions: d.regions,
            workers,
            cores: workers * u64::from(d.worker_cores),
            cores_busy,
            worker_memory_bytes: formulas::worker_memory_bytes(
                calibration.memory.base_bytes as f64,
                self.queues_bytes(),
                worker_rate,
                queryable_seconds,
                calibration.memory.bytes_per_open_event * d.size_ratio(calibration),
            ),
            worker_network_bytes_per_second: worker_rate * (d.event_bytes + m.stored_bytes_per_event),
            files_per_day: files * formulas::DAY_SECONDS,
            stored_bytes: kept * m.stored_bytes_per_event,
            object_writes_per_month: formulas::writes_a_month(files, flushes, commits, tables),
            object_reads_per_month: formulas::reads_a_month(flushes, commits, tables),
            topic_bytes: formulas::topic_bytes(rate, d.event_bytes, d.topic_retention_days, d.replication),
            network_bytes_per_month: rate * d.event_bytes * formulas::MONTH_SECONDS,
            queryable_seconds,
            cost_per_month: None,
        };
        Year { cost_per_month: prices.map(|prices| prices.a_month(&reckoned)), ..reckoned }
    }

    /// Seconds of one turn of the committer.
    fn commit_s(&self, rate: f64) -> f64 {
        self.files(rate).2 * self.calibration.commit.seconds_per_file
    }

    /// The queues before a worker's shards and before its merge thread, full.
    fn queues_bytes(&self) -> f64 {
        (f64::from(self.demand.worker_cores) + 1.0) * WorkerConfig::default().queue_bytes as f64
    }
}

impl Prices {
    /// What a year's end costs a month, in all regions.
    fn a_month(&self, year: &Year) -> f64 {
        let worker_gib = year.worker_memory_bytes / GIB * year.workers as f64;
        let parts = [
            (self.core_hour, year.cores as f64 * formulas::MONTH_HOURS),
            (self.memory_gib_hour, worker_gib * formulas::MONTH_HOURS),
            (self.object_gib_month, year.stored_bytes / GIB),
            (self.object_writes_million, year.object_writes_per_month / 1e6),
            (self.object_reads_million, year.object_reads_per_month / 1e6),
            (self.topic_gib_month, year.topic_bytes / GIB),
            (self.network_gib, year.network_bytes_per_month / GIB),
        ];
        let region: f64 = parts.into_iter().filter_map(|(price, amount)| Some(price? * amount)).sum();
        region * f64::from(year.regions)
    }
}

/// A parser's message without the lines that it quotes.
fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
