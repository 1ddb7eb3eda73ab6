//! What is asked for, checked: the rates, sizes and promises that a plan must meet.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

use super::calibration::Calibration;
use crate::cli::PlanArgs;

/// Spare workers of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redundancy {
    /// As many may fail at once.
    Spare(u64),
    /// Every worker twice.
    Double,
}

impl Redundancy {
    /// Workers that are started for so many that must run.
    pub(crate) fn workers(self, active: u64) -> u64 {
        match self {
            Redundancy::Spare(spare) => active + spare,
            Redundancy::Double => active * 2,
        }
    }
}

impl FromStr for Redundancy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("n+").and_then(|spare| spare.parse().ok()) {
            Some(spare) => Ok(Redundancy::Spare(spare)),
            None if text == "n" => Ok(Redundancy::Spare(0)),
            None if text == "2n" => Ok(Redundancy::Double),
            None => Err("say n+1, n+2, ... or 2n".to_owned()),
        }
    }
}

impl std::fmt::Display for Redundancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Redundancy::Spare(spare) => write!(f, "n+{spare}"),
            Redundancy::Double => f.write_str("2n"),
        }
    }
}

impl Serialize for Redundancy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// See the module's front.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Demand {
    pub(crate) devices: Option<u64>,
    /// Mean of all regions.
    pub(crate) events_per_second: f64,
    pub(crate) peak_factor: f64,
    pub(crate) event_bytes: f64,
    /// Shares of the formats, 1 in sum.
    pub(crate) formats: BTreeMap<String, f64>,
    pub(crate) growth: f64,
    pub(crate) years: u32,
    pub(crate) retention_days: f64,
    pub(crate) regions: u32,
    pub(crate) redundancy: Redundancy,
    pub(crate) slo_seconds: f64,
    pub(crate) worker_cores: u32,
    pub(crate) worker_memory_bytes: Option<f64>,
    pub(crate) worker_network_bytes_per_second: Option<f64>,
    pub(crate) utilization: f64,
    pub(crate) replication: u32,
    pub(crate) topic_retention_days: f64,
}

impl Demand {
    /// What the arguments ask for; what they leave open is as it was measured.
    ///
    /// # Errors
    /// Names the flag that cannot be met, and what would do.
    pub(crate) fn new(args: &PlanArgs, measured: &Calibration) -> anyhow::Result<Self> {
        let formats = formats(args.formats.as_deref(), measured)?;
        let sizes = &measured.cpu_seconds_per_million.formats;
        let event_bytes = match args.event_bytes {
            Some(size) if size.as_u64() == 0 => bail!("--event-bytes 0: an event has bytes; say 600B"),
            Some(size) => size.as_u64() as f64,
            None => formats.iter().filter_map(|(name, share)| Some(share * sizes.get(name)?.event_bytes)).sum(),
        };
        Ok(Self {
            devices: args.devices,
            events_per_second: rate(args)?,
            peak_factor: args.peak_factor,
            event_bytes,
            formats,
            growth: args.growth,
            years: args.years,
            retention_days: args.retention,
            regions: args.regions,
            redundancy: args.redundancy,
            slo_seconds: args.slo.as_secs_f64(),
            worker_cores: args.worker_cores.unwrap_or(measured.machine.cores).max(1),
            worker_memory_bytes: args.worker_memory.map(|size| size.as_u64() as f64),
            worker_network_bytes_per_second: args.worker_network_gbit.map(|gbit| gbit * 1e9 / 8.0),
            utilization: args.utilization,
            replication: args.replication,
            topic_retention_days: args.topic_retention,
        })
    }

    /// Bytes of an event, as a multiple of what was measured for this mix.
    pub(crate) fn size_ratio(&self, measured: &Calibration) -> f64 {
        let sizes = &measured.cpu_seconds_per_million.formats;
        let bytes: f64 =
            self.formats.iter().filter_map(|(name, share)| Some(share * sizes.get(name)?.event_bytes)).sum();
        self.event_bytes / bytes
    }
}

fn rate(args: &PlanArgs) -> anyhow::Result<f64> {
    match (args.events_per_second, args.devices, args.events_per_device) {
        (Some(rate), ..) => Ok(rate),
        (None, Some(devices), Some(each)) => Ok(devices as f64 * each),
        (None, Some(devices), None) => bail!(
            "--devices {devices}: how much does each send? Add --events-per-device, or say --events-per-second for all"
        ),
        (None, None, _) => bail!("no rate: say --events-per-second, or --devices and --events-per-device"),
    }
}

/// Shares of the formats, 1 in sum: as asked, or as measured.
fn formats(asked: Option<&[(String, f64)]>, measured: &Calibration) -> anyhow::Result<BTreeMap<String, f64>> {
    let known = &measured.cpu_seconds_per_million.formats;
    let shares: BTreeMap<String, f64> = match asked {
        None => known.iter().map(|(name, stages)| (name.clone(), stages.share)).collect(),
        Some(asked) => {
            let mut shares = BTreeMap::new();
            for (name, share) in asked {
                let names = || known.keys().cloned().collect::<Vec<_>>().join(", ");
                known.get(name).with_context(|| format!("--formats {name}: not measured; there are {}", names()))?;
                *shares.entry(name.clone()).or_default() += share;
            }
            shares
        }
    };
    let sum: f64 = shares.values().sum();
    if sum <= 0.0 {
        bail!("--formats: the shares are 0 in sum");
    }
    Ok(shares.into_iter().map(|(name, share)| (name, share / sum)).collect())
}

/// `30%` or `0.3`.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let n: f64 = digits.trim().parse().map_err(|_| "say 30% or 0.3".to_owned())?;
    if n.is_finite() && (0.0..=100.0 * unit).contains(&n) { Ok(n / unit) } else { Err("say 30% or 0.3".to_owned()) }
}

/// `90d`, `12w`, `2y`, `36h`: in days.
pub(crate) fn days(text: &str) -> Result<f64, String> {
    let wrong = || "say 90d, 12w, 2y or 36h".to_owned();
    let text = text.trim();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let days = match unit {
        'h' => 1.0 / 24.0,
        'd' => 1.0,
        'w' => 7.0,
        'y' => super::formulas::YEAR_DAYS,
        _ => return Err(wrong()),
    };
    let n: f64 = digits.trim().parse().map_err(|_| wrong())?;
    if n.is_finite() && n > 0.0 { Ok(n * days) } else { Err(wrong()) }
}

/// `panos_csv=70`
pub(crate) fn share(text: &str) -> Result<(String, f64), String> {
    let one = || {
        let (name, share) = text.split_once('=')?;
        let share: f64 = share.trim().parse().ok()?;
        (share.is_finite() && share >= 0.0).then(|| (name.trim().replace('-', "_"), share))
    };
    one().ok_or_else(|| "say panos_csv=70,cloudtrail=30".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_become_numbers() {
        for (text, want) in [("30%", 0.3), ("0.3", 0.3), ("150%", 1.5), ("0", 0.0)] {
            assert!((fraction(text).expect(text) - want).abs() < 1e-12, "{text}");
        }
        for (text, want) in [("90d", 90.0), ("2w", 14.0), ("2y", 730.0), ("36h", 1.5)] {
            assert!((days(text).expect(text) - want).abs() < 1e-12, "{text}");
        }
        assert_eq!(share("panos-csv=70"), Ok(("panos_csv".into(), 70.0)));
        for (text, want) in [("n+2", Redundancy::Spare(2)), ("N", Redundancy::Spare(0)), ("2n", Redundancy::Double)] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn other_words_are_refused_with_those_that_would_do() {
        for text in ["", "x", "-1%", "1e999"] {
            assert_eq!(fraction(text), Err("say 30% or 0.3".to_owned()), "{text}");
        }
        for text in ["", "d", "0d", "90", "-1d", "5é"] {
            assert_eq!(days(text), Err("say 90d, 12w, 2y or 36h".to_owned()), "{text}");
        }
        assert!(share("panos_csv").is_err() && share("a=-1").is_err());
        assert_eq!("3n".parse::<Redundancy>(), Err("say n+1, n+2, ... or 2n".to_owned()));
    }
}
