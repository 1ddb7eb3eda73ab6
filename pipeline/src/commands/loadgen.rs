//! `palisade loadgen`: a synthetic fleet's logs to any target, with labels and truth; and the score of a
//! warehouse that read them.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Brokers, Fleet, FleetConfig, Pace, Target};

use crate::account::Identity;
use crate::cli::{LoadgenAction, LoadgenArgs, Output, ScoreArgs, WriteArgs};
use crate::clock;
use crate::config::Config;
use crate::score::Report;
use crate::setup;
use crate::summary::{grouped, shown};

/// Runs the command.
///
/// # Errors
/// If the fleet cannot be made so, nothing can be written, or the warehouse cannot be read.
pub(crate) fn run(args: &LoadgenArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        None => write(&args.write),
        Some(LoadgenAction::Score(args)) => crate::block_on(score(args)),
        Some(LoadgenAction::Learn(args)) => profile::learn(args),
    }
}

fn write(args: &WriteArgs) -> anyhow::Result<ExitCode> {
    let config = profile::fleet(args)?;
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
    }
    if let Some(target) = target(args)? {
        return send::run(args, config, &target);
    }
    match (&args.kafka, &args.topic, &args.out) {
        (Some(brokers), Some(topic), _) => write_kafka(args, config, &reached(args, brokers)?, topic)?,
        (_, _, Some(dir)) => write_files(args, config, dir)?,
        _ => {
            let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
            loadgen::write_stream(&Fleet::new(config)?, &mut out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where records are sent: what --to says, or the topic of --kafka if they are to be sent in a shape.
fn target(args: &WriteArgs) -> anyhow::Result<Option<Target>> {
    let send = &args.send;
    let topic = match (&send.to, &args.kafka, &args.topic) {
        (None, Some(brokers), Some(topic)) => Target::Kafka { brokers: brokers.clone(), topic: topic.clone() },
        (to, ..) => return Ok(to.clone()),
    };
    // The parser does not hold these against --kafka, which excludes the --to that they ask for.
    let is_shaped = [&send.rate, &send.ramp, &send.step].into_iter().any(Option::is_some) || send.curve.is_some();
    let is_told_how =
        send.connections > 1 || send.shard != loadgen::Shard::default() || send.start_at.is_some() || send.ca.is_some();
    if is_told_how && !is_shaped {
        bail!(
            "--connections, --shard, --start-at and --ca: with --kafka they need a --rate, --ramp, --step or --curve"
        );
    }
    Ok(is_shaped.then_some(topic))
}

fn write_files(args: &WriteArgs, config: FleetConfig, dir: &Path) -> anyhow::Result<()> {
    let fleet = Fleet::new(config)?;
    let files = loadgen::write_files(&fleet, dir, args.compression.into(), args.files)?;
    fleet.write_truth(dir)?;
    let (events, files) = (grouped(fleet.config().events), files.len());
    eprintln!("{events} records in {files} files, labels.json and truth.parquet in {}", dir.display());
    Ok(())
}

/// The truth is written last: beside it, all records are acknowledged at the offsets that it tells.
fn write_kafka(args: &WriteArgs, config: FleetConfig, brokers: &Brokers, topic: &str) -> anyhow::Result<()> {
    let fleet = Fleet::in_topic(partitioned(config, args.partitions)?, topic)?;
    let partitions = fleet.partitions().len();
    crate::block_on(async { Ok(loadgen::create_topic(brokers, topic, i32::try_from(partitions)?).await?) })?;
    let sent =
        loadgen::write_kafka(&fleet, brokers, pace(args, fleet.config().span_us, clock::now_us())?, clock::now_us)?;
    eprintln!("{} records in {partitions} partitions of topic {topic}", grouped(sent));
    if let Some(dir) = &args.out {
        fleet.write_truth(dir)?;
        eprintln!("labels.json and truth.parquet in {}", dir.display());
    }
    Ok(())
}

/// Brokers as the file of --kafka-config says to talk to them.
fn reached(args: &WriteArgs, addresses: &str) -> anyhow::Result<Brokers> {
    let settings = args.kafka_config.as_deref().map(Config::load_client).transpose()?.unwrap_or_default();
    Ok(Brokers { addresses: addresses.to_owned(), settings })
}

/// The fleet with that many partitions; with its own, if none are asked for.
fn partitioned(config: FleetConfig, partitions: Option<u32>) -> anyhow::Result<FleetConfig> {
    let tenants = config.tenants;
    let Some(partitions) = partitions else { return Ok(config) };
    if partitions == 0 || !partitions.is_multiple_of(tenants) {
        bail!("--partitions {partitions}: it must be a multiple of the {tenants} tenants");
    }
    let devices = config.devices.max(partitions);
    Ok(FleetConfig { partitions_per_tenant: partitions / tenants, devices, ..config })
}

/// From now on, or up to now.
fn pace(args: &WriteArgs, span_us: i64, now_us: i64) -> anyhow::Result<Pace> {
    let micros = |duration: Duration| i64::try_from(duration.as_micros());
    Ok(match args.duration {
        Some(duration) => Pace::Open { start_wall_us: now_us, wall_span_us: micros(duration)? },
        None => Pace::AsFast { start_wall_us: now_us - span_us, wall_span_us: span_us },
    })
}

async fn score(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let warehouse = args.at.open().await?;
    let identity = if args.kafka { Identity::Kafka } else { Identity::Files };
    let report = Report::read(&warehouse, &args.truth, identity, setup::builtin_rules()?.as_ref()).await?;
    if let Some(file) = &args.html {
        let what = format!("Truth {}, warehouse {}", shown(&args.truth), warehouse.config().root);
        std::fs::write(file, report.html(&what)).with_context(|| format!("--html {}", file.display()))?;
        eprintln!("the score as a page: {}", file.display());
    }
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.write_text(&mut out)?,
    }
    Ok(if args.strict && !report.is_perfect() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

mod profile;
mod send;

#[cfg(test)]
mod tests;
