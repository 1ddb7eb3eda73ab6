//! What was measured on a machine: `calibration.yaml`, which `--calibrate` writes and a plan reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where a calibration is written and looked for, unless `--calibration` says otherwise.
pub(crate) const DEFAULT_FILE: &str = "calibration.yaml";

/// The figures of one machine and one build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calibration {
    /// Version of Palisade.
    pub(crate) palisade: String,
    /// `release`, or `debug`, whose figures say nothing about a deployment.
    pub(crate) build: String,
    /// RFC 3339, UTC.
    pub(crate) measured_at: String,
    pub(crate) machine: Machine,
    pub(crate) run: Run,
    pub(crate) cpu_seconds_per_million: Cpu,
    pub(crate) storage: Storage,
    pub(crate) commit: Commit,
    pub(crate) memory: Memory,
}

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    pub(crate) cores: u32,
    pub(crate) cpu: String,
    pub(crate) memory_bytes: u64,
}

/// The run of the whole pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) events: u64,
    pub(crate) event_bytes: f64,
    pub(crate) seconds: f64,
    /// As fast as it goes, on all cores, the start not counted.
    pub(crate) events_per_second: f64,
    pub(crate) cpu_seconds: f64,
    /// Of this, for the start: rules, tables, catalog.
    pub(crate) startup_cpu_seconds: f64,
}

/// Cpu-seconds a million events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cpu {
    /// The whole pipeline on the run's mix of formats, the start not counted.
    pub(crate) total: f64,
    /// Of this, the threads that own partitions; 0 if the system does not say.
    pub(crate) shards: f64,
    /// Of this, the merge thread; 0 if the system does not say.
    pub(crate) merge: f64,
    /// What `total` holds beside the formats' stages: reading, merging, files, ledger, commits.
    pub(crate) rest: f64,
    /// The stages alone, one thread, a format at a time.
    pub(crate) formats: BTreeMap<String, Stages>,
}

/// One format's stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stages {
    /// Its share of the run's events.
    pub(crate) share: f64,
    /// Bytes of an event.
    pub(crate) event_bytes: f64,
    pub(crate) decode: f64,
    pub(crate) enrich: f64,
    pub(crate) detect: f64,
    pub(crate) encode: f64,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    /// Bytes of data files an event.
    pub(crate) bytes_per_event: f64,
    /// Data files that a partition's flush makes.
    pub(crate) files_per_flush: f64,
    /// Tables that had rows.
    pub(crate) tables: u32,
}

/// What commits cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commit {
    /// Data files committed.
    pub(crate) files: u64,
    /// Seconds of commits, a data file.
    pub(crate) seconds_per_file: f64,
}

/// What is held in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// Resident once rules, tables and catalog are loaded.
    pub(crate) base_bytes: u64,
    pub(crate) peak_bytes: u64,
    /// What an event holds from its receipt until it can be queried, window state included.
    pub(crate) bytes_per_open_event: f64,
}

/// Why there are no measured figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CalibrationError {
    #[error(
        "{}: no measured figures, and a plan makes none up: measure this machine with `palisade plan --calibrate`, or name \
         another machine's figures with --calibration FILE", .0.display()
    )]
    Missing(PathBuf),
    #[error("--calibration {}: {what}; measure again with `palisade plan --calibrate`", file.display())]
    Unusable { file: PathBuf, what: String },
}

impl Calibration {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`CalibrationError`] with the file and the way out.
    pub(crate) fn load(file: &Path) -> Result<Self, CalibrationError> {
        let unusable = |what: String| CalibrationError::Unusable { file: file.to_owned(), what };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(CalibrationError::Missing(file.to_owned()));
            }
            Err(e) => return Err(unusable(e.to_string())),
        };
        let found: Self =
            serde_saphyr::from_str(&text).map_err(|e| unusable(super::first_line(&e.without_snippet())))?;
        found.check().map_err(unusable)?;
        Ok(found)
    }

    /// # Errors
    /// Names the first figure that no machine can have.
    fn check(&self) -> Result<(), String> {
        let cpu = &self.cpu_seconds_per_million;
        let positive = [
            ("machine.cores", f64::from(self.machine.cores)),
            ("run.event_bytes", self.run.event_bytes),
            ("run.events_per_second", self.run.events_per_second),
            ("cpu_seconds_per_million.total", cpu.total),
            ("storage.bytes_per_event", self.storage.bytes_per_event),
            ("storage.files_per_flush", self.storage.files_per_flush),
        ];
        let not_negative = [
            ("cpu_seconds_per_million.shards", cpu.shards),
            ("cpu_seconds_per_million.merge", cpu.merge),
            ("cpu_seconds_per_million.rest", cpu.rest),
            ("commit.seconds_per_file", self.commit.seconds_per_file),
            ("memory.bytes_per_open_event", self.memory.bytes_per_open_event),
        ];
        let of_formats = cpu.formats.values().flat_map(|s| [s.share, s.decode, s.enrich, s.detect, s.encode]);
        let wrong = |(_, n): &&(&str, f64)| !(n.is_finite() && *n >= 0.0);
        if let Some((name, n)) = positive.iter().find(|(_, n)| !(n.is_finite() && *n > 0.0)) {
            return Err(format!("{name} is {n}, not above 0"));
        }
        if let Some((name, n)) = not_negative.iter().find(wrong) {
            return Err(format!("{name} is {n}, below 0"));
        }
        let sizes = cpu.formats.values().map(|s| s.event_bytes);
        match cpu.formats.is_empty() || of_formats.into_iter().any(|n| !(n.is_finite() && n >= 0.0)) {
            true => Err("cpu_seconds_per_million.formats has no usable figures".to_owned()),
            false if sizes.into_iter().any(|n| !(n.is_finite() && n > 0.0)) => {
                Err("cpu_seconds_per_million.formats: event_bytes is not above 0".to_owned())
            }
            false => Ok(()),
        }
    }

    /// As YAML, with a line about where it comes from.
    ///
    /// # Errors
    /// If it cannot be said in YAML.
    pub(crate) fn to_yaml(&self) -> anyhow::Result<String> {
        Ok(format!(
            "# Measured by `palisade plan --calibrate`; read by `palisade plan`.\n{}",
            serde_saphyr::to_string(self)?
        ))
    }
}

/// Four significant digits: what a shared machine measures is not better.
pub(crate) fn rounded(n: f64) -> f64 {
    if n == 0.0 || !n.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - n.abs().log10().floor() as i32);
    (n * scale).round() / scale
}

#[cfg(test)]
mod tests;
