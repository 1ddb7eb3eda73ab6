//! Every formula of the plan, and nothing else: pure functions of numbers. docs/capacity.md says them in words.
//!
//! Units are in the names: `_s` seconds, `_bytes` bytes, `per_million` cpu-seconds a million events, which are microseconds
//! an event; rates are a second; shares and loads are fractions. Absent: any measured figure. They come from a calibration.

/// Days of a year and hours of a month, as prices mean them.
pub(crate) const YEAR_DAYS: f64 = 365.0;
pub(crate) const MONTH_HOURS: f64 = 730.0;
pub(crate) const MONTH_SECONDS: f64 = MONTH_HOURS * 3600.0;
pub(crate) const DAY_SECONDS: f64 = 86_400.0;

/// Objects that a commit writes to a table beside data files: a manifest, a manifest list, the metadata.
const OBJECTS_A_COMMIT: f64 = 3.0;
/// Objects that a commit reads of a table: the metadata, the manifest list.
const READS_A_COMMIT: f64 = 2.0;
/// Objects that a flush writes beside data files: the ledger entry, the exchange file. Both are read once.
const OBJECTS_A_FLUSH: f64 = 2.0;
/// The part of the promised time that is planned away; the rest is for catching up after a pause.
const SLO_PLANNED: f64 = 2.0 / 3.0;

/// A rate at the end of year `year` (1 is the first) that grows by `growth` a year.
pub(crate) fn grown(rate: f64, growth: f64, year: u32) -> f64 {
    rate * (1.0 + growth).powi(i32::try_from(year).unwrap_or(i32::MAX))
}

/// Events that are kept at the end of year `year`, if none was before year 1 and each is kept for `retention_days`:
/// the rate's integral over that time, continuously grown.
pub(crate) fn kept_events(rate: f64, growth: f64, year: u32, retention_days: f64) -> f64 {
    let to = f64::from(year);
    let from = (to - retention_days / YEAR_DAYS).max(0.0);
    let base = 1.0 + growth;
    let years = if growth.abs() < 1e-9 { to - from } else { (base.powf(to) - base.powf(from)) / base.ln() };
    rate * years * YEAR_DAYS * DAY_SECONDS
}

/// What one format's event costs: decoding and encoding grow with its size, the rest does not.
pub(crate) fn stages_per_million(per_byte: f64, per_event: f64, size_ratio: f64) -> f64 {
    per_byte * size_ratio + per_event
}

/// Cores that work at `rate`.
pub(crate) fn busy_cores(rate: f64, per_million: f64) -> f64 {
    rate * per_million / 1e6
}

/// Events a second that `cores` take.
pub(crate) fn rate_of(cores: f64, per_million: f64) -> f64 {
    cores * 1e6 / per_million
}

/// Workers that must run, so that their cores are busy for at most `utilization`.
pub(crate) fn active_workers(busy_cores: f64, utilization: f64, worker_cores: u32) -> u64 {
    whole(busy_cores / utilization / f64::from(worker_cores))
}

/// Partitions: one is read by one thread, which is busy for at most `utilization`; and no core of `workers` is without one.
pub(crate) fn partitions(
    rate: f64,
    shard_per_million: f64,
    utilization: f64,
    active_workers: u64,
    worker_cores: u32,
) -> u64 {
    let by_rate = whole(busy_cores(rate, shard_per_million) / utilization);
    let by_cores = active_workers * u64::from(worker_cores);
    by_rate.max(by_cores).next_multiple_of(active_workers.max(1))
}

/// Merge groups: each is one thread, busy for at most `utilization`.
pub(crate) fn merge_groups(rate: f64, merge_per_million: f64, utilization: f64) -> u64 {
    whole(busy_cores(rate, merge_per_million) / utilization)
}

/// Flush and commit interval: an event waits for a flush, then for a commit, then the commit takes its time. None if the
/// promise leaves less than a second for each.
pub(crate) fn intervals_s(slo_s: f64, commit_s: f64) -> Option<f64> {
    let each = (slo_s * SLO_PLANNED - commit_s) / 2.0;
    (each >= 1.0).then(|| each.floor())
}

/// The longest that an event waits until it can be queried.
pub(crate) fn queryable_s(interval_s: f64, commit_s: f64) -> f64 {
    2.0 * interval_s + commit_s
}

/// Flushes a second: by the clock, or sooner when `flush_rows` are open.
pub(crate) fn flushes(rate: f64, partitions: u64, interval_s: f64, flush_rows: f64) -> f64 {
    let partitions = partitions as f64;
    partitions * (1.0 / interval_s).max(rate / partitions / flush_rows)
}

/// Share of its time that the committer is busy: it takes one file after the other, one commit at a time.
pub(crate) fn committer_load(files: f64, commit_s_per_file: f64) -> f64 {
    files * commit_s_per_file
}

/// Objects written a month.
pub(crate) fn writes_a_month(files: f64, flushes: f64, commits: f64, tables: f64) -> f64 {
    (files + OBJECTS_A_FLUSH * flushes + OBJECTS_A_COMMIT * commits * tables) * MONTH_SECONDS
}

/// Objects read a month by the pipeline itself; queries come on top.
pub(crate) fn reads_a_month(flushes: f64, commits: f64, tables: f64) -> f64 {
    (OBJECTS_A_FLUSH * flushes + READS_A_COMMIT * commits * tables) * MONTH_SECONDS
}

/// Memory of a worker: what it has without events, its queues full, and its open events. An event is open from its receipt
/// until it can be queried.
pub(crate) fn worker_memory_bytes(
    base_bytes: f64,
    queues_bytes: f64,
    worker_rate: f64,
    open_s: f64,
    bytes_per_open_event: f64,
) -> f64 {
    base_bytes + queues_bytes + worker_rate * open_s * bytes_per_open_event
}

/// Bytes that a topic's brokers hold.
pub(crate) fn topic_bytes(rate: f64, event_bytes: f64, retention_days: f64, replication: u32) -> f64 {
    rate * event_bytes * retention_days * DAY_SECONDS * f64::from(replication)
}

/// The next whole number, at least 1. Rounding of the division does not make one more of a whole number.
fn whole(n: f64) -> u64 {
    (n - 1e-9).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests;
