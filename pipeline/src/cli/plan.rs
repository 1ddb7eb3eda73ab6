//! The arguments of `palisade plan`.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{Output, duration};
use crate::plan::{Redundancy, days, fraction, share};

pub(crate) const PLAN_HELP: &str = "\
Examples:
  palisade plan --calibrate
  palisade plan --events-per-second 50000 --growth 30% --retention 365d
  palisade plan --devices 2000 --events-per-device 40 --event-bytes 600B --slo 60s --prices prices.yaml --helm values.yaml
  palisade plan --events-per-second 50000 --output json | jq .years

A plan is made of measured figures: --calibrate measures this machine and writes calibration.yaml, which later plans read.
docs/capacity.md says every formula.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Events a second of all devices, the mean over a day.
    #[arg(long, value_name = "N", value_parser = positive, required_unless_present_any = ["calibrate", "devices"])]
    pub(crate) events_per_second: Option<f64>,
    /// Devices that send.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) devices: Option<u64>,
    /// Events a second of one device, the mean over a day.
    #[arg(long, value_name = "N", value_parser = positive, requires = "devices", conflicts_with = "events_per_second")]
    pub(crate) events_per_device: Option<f64>,
    /// The busiest minute's rate, as a multiple of the mean.
    #[arg(long, value_name = "X", default_value_t = 3.0, value_parser = factor)]
    pub(crate) peak_factor: f64,
    /// Bytes of an event as it arrives, such as 600B; without it, as measured.
    #[arg(long, value_name = "SIZE")]
    pub(crate) event_bytes: Option<ByteSize>,
    /// Shares of the formats, such as panos_csv=70,cloudtrail=30; without it, as measured.
    #[arg(long, value_name = "NAME=SHARE", value_delimiter = ',', value_parser = share)]
    pub(crate) formats: Option<Vec<(String, f64)>>,
    /// How much more comes each year: 30% or 0.3.
    #[arg(long, value_name = "RATE", default_value = "20%", value_parser = fraction)]
    pub(crate) growth: f64,
    /// Years of the table.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) years: u32,
    /// How long events are kept: 90d, 12w, 2y.
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = days)]
    pub(crate) retention: f64,
    /// Regions, each with workers, topic and warehouse of its own; the events are spread evenly.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) regions: u32,
    /// Spare workers of a region: n+0, n+1, n+2, ..., or 2n.
    #[arg(long, value_name = "N", default_value = "n+1")]
    pub(crate) redundancy: Redundancy,
    /// An event can be queried within this time of its receipt.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) slo: Duration,
    /// Cores of a worker; without it, those of the measured machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) worker_cores: Option<u32>,
    /// Memory of a worker, to be told when it is too little.
    #[arg(long, value_name = "SIZE")]
    pub(crate) worker_memory: Option<ByteSize>,
    /// Network of a worker, gigabits a second, to be told when it is too little.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) worker_network_gbit: Option<f64>,
    /// How busy cores, partitions and merge groups are at the peak, at most.
    #[arg(long, value_name = "SHARE", default_value = "70%", value_parser = utilization)]
    pub(crate) utilization: f64,
    /// Copies of a record on the brokers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) replication: u32,
    /// How long the brokers keep a record.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = days)]
    pub(crate) topic_retention: f64,
    /// A YAML file of prices; without it, no cost is shown.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Measured figures, as --calibrate writes them.
    #[arg(long, value_name = "FILE", default_value = crate::plan::DEFAULT_FILE)]
    pub(crate) calibration: PathBuf,
    /// Measures this machine and writes the figures to the file that --calibration names.
    #[arg(long)]
    pub(crate) calibrate: bool,
    /// How long to measure.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, requires = "calibrate")]
    pub(crate) duration: Duration,
    /// Decides what is measured with.
    #[arg(long, default_value_t = 1, requires = "calibrate")]
    pub(crate) seed: u64,
    /// Writes Helm values for the last year into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) helm: Option<PathBuf>,
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

fn number(text: &str) -> Result<f64, String> {
    let n: f64 = text.replace('_', "").parse().map_err(|_| "not a number".to_owned())?;
    if n.is_finite() { Ok(n) } else { Err("not a number".to_owned()) }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|n| if n > 0.0 { Ok(n) } else { Err("must be above 0".to_owned()) })
}

fn factor(text: &str) -> Result<f64, String> {
    number(text).and_then(|n| if n >= 1.0 { Ok(n) } else { Err("the peak is at least the mean: 1 or more".to_owned()) })
}

fn utilization(text: &str) -> Result<f64, String> {
    let share = fraction(text)?;
    if (0.05..=1.0).contains(&share) { Ok(share) } else { Err("must be 5% to 100%".to_owned()) }
}
