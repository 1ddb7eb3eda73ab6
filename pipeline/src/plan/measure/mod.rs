//! Measures this machine: the whole pipeline over a fleet's files, and each format's stages alone.
//!
//! **Data in:** a seed and how long it may take. **Data out:** a [`Calibration`]. Three runs of growing size in a temporary
//! folder: a tiny one, which is the start and little else; a small one, which says how large the last may be; and the one
//! that counts. What the start costs is taken off, since a deployment starts once. Absent: the generator's own cost, which
//! is spent before a run.

mod run;
mod stages;
mod threads;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Fleet, FleetConfig};

use super::calibration::{Calibration, Commit, Cpu, Machine, Memory, Run, Stages, Storage, rounded};
use crate::clock;
use run::RunFigures;

/// Records of the tiny and of the small run: the least that holds one attack a rule, and what takes about a second.
const TINY_RECORDS: u64 = 5_000;
const SMALL_RECORDS: u64 = 25_000;
/// Records of the run that counts, whatever time there is: fewer say nothing, more fill the disk.
const RECORDS: std::ops::RangeInclusive<u64> = 50_000..=40_000_000;
/// The least that is worth measuring.
const DURATION_MIN: Duration = Duration::from_secs(2);
/// Shares of the time for the run that counts, and for the stages; making the fleet takes the rest.
const RUN_SHARE: f64 = 0.5;
const STAGES_SHARE: f64 = 0.25;

/// Measures for about `duration`.
///
/// # Errors
/// If the pipeline fails, or there is no room for its files.
pub(crate) async fn measure(seed: u64, duration: Duration) -> anyhow::Result<Calibration> {
    if duration < DURATION_MIN {
        bail!("--duration {duration:?}: too short to measure anything; at least {DURATION_MIN:?}");
    }
    let dir = tempfile::tempdir().context("a temporary folder to measure in")?;
    let at = |name: &str| dir.path().join(name);
    eprintln!(
        "measuring for about {duration:?}: the start, then a small run, then the one that counts, then each format"
    );
    let tiny = run::bounded(fleet(seed, TINY_RECORDS)?, &at("tiny")).await?;
    let small = run::bounded(fleet(seed, SMALL_RECORDS)?, &at("small")).await?;
    // The start included: on a busy machine a difference of two short runs may be anything.
    let rate = small.events as f64 / small.seconds.max(0.01);
    let records = ((rate * duration.as_secs_f64() * RUN_SHARE) as u64).clamp(*RECORDS.start(), *RECORDS.end());
    let large = run::bounded(fleet(seed, records)?, &at("large")).await?;
    let stages = stages::measure(seed, duration.mul_f64(STAGES_SHARE), large.warehouse.encoder())?;
    let shares = run::shares(fleet(seed, SMALL_RECORDS)?.as_ref());
    Ok(calibration(seed, &tiny, &large, stages, &shares))
}

fn fleet(seed: u64, records: u64) -> anyhow::Result<Box<Fleet>> {
    let rare = records < SMALL_RECORDS;
    let (attacks, near_misses) = if rare { (0, 0) } else { (1, 1) };
    let config = FleetConfig { seed, events: records, attacks, near_misses, ..FleetConfig::default() };
    Ok(Box::new(Fleet::new(config)?))
}

fn calibration(
    seed: u64,
    start: &RunFigures,
    run: &RunFigures,
    stages: BTreeMap<&'static str, stages::Figures>,
    shares: &BTreeMap<&'static str, f64>,
) -> Calibration {
    // The start is what the tiny run cost, less its events.
    let events = (run.events - start.events) as f64;
    let per_million = |large: f64, tiny: f64| ((large - tiny) / events * 1e6).max(0.0);
    let total = per_million(run.cpu_seconds, start.cpu_seconds);
    let formats: BTreeMap<String, Stages> = stages
        .into_iter()
        .map(|(name, f)| {
            let share = shares.get(name).copied().unwrap_or(0.0);
            (name.to_owned(), f.stages(share))
        })
        .collect();
    let of_stages: f64 = formats.values().map(|s| s.share * (s.decode + s.enrich + s.detect + s.encode)).sum();
    let startup = (start.cpu_seconds - start.events as f64 * total / 1e6).max(0.0);
    let open = run.sampled.in_flight_max.max(1) as f64;
    let held = run.sampled.resident_max.saturating_sub(start.sampled.resident_max) as f64;
    Calibration {
        palisade: env!("CARGO_PKG_VERSION").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        measured_at: dataflow::time::rfc3339(clock::now_us()),
        machine: machine(),
        run: Run {
            seed,
            events: run.events,
            event_bytes: rounded(run.bytes as f64 / run.events as f64),
            seconds: rounded(run.seconds),
            events_per_second: rounded(events / (run.seconds - start.seconds).max(0.01)),
            cpu_seconds: rounded(run.cpu_seconds),
            startup_cpu_seconds: rounded(startup),
        },
        cpu_seconds_per_million: Cpu {
            total: rounded(total),
            shards: rounded(per_million(run.sampled.cpu("shard-"), start.sampled.cpu("shard-"))),
            merge: rounded(per_million(run.sampled.cpu("merge"), start.sampled.cpu("merge"))),
            rest: rounded((total - of_stages).max(0.0)),
            formats,
        },
        storage: Storage {
            bytes_per_event: rounded(run.stored_bytes as f64 / run.events as f64),
            files_per_flush: rounded(run.files as f64 / run.flushes.max(1) as f64),
            tables: run.tables,
        },
        commit: Commit { files: run.files, seconds_per_file: rounded(run.commit_seconds / run.files.max(1) as f64) },
        memory: Memory {
            base_bytes: start.sampled.resident_max,
            peak_bytes: run.sampled.resident_max,
            bytes_per_open_event: rounded(held / open),
        },
    }
}

fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok());
    Machine {
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        cpu: value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        memory_bytes: memory.unwrap_or(0) * 1024,
    }
}

/// Where a run keeps its things.
fn subfolder(dir: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = dir.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("{}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests;
