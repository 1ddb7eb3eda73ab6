//! `palisade loadgen --to`: sends by a schedule, tells its progress on a terminal, and reports.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use dataflow::ClientSettings;
use loadgen::{Fleet, FleetConfig, Keys, Latencies, Pace, Progress, Report, Schedule, SendOptions, Target, Timing};

use super::partitioned;
use crate::cli::{Output, SendArgs, WriteArgs};
use crate::clock;
use crate::summary::{grouped, pairs};

/// Sends and reports. Exit code 1 if a record was not sent.
pub(super) fn run(args: &WriteArgs, config: FleetConfig, target: &Target) -> anyhow::Result<ExitCode> {
    let schedule = schedule(&args.send)?;
    let start_us = args.send.start_at.map_or_else(clock::now_us, jiff::Timestamp::as_microsecond);
    let timing = timing(args, schedule.as_ref(), target, (config.span_us, start_us))?;
    let events = schedule.map_or(Ok(config.events), |schedule| events(args, &schedule, config.events))?;
    let config = partitioned(FleetConfig { events, ..config }, args.partitions)?;
    let partitions = i32::try_from(config.tenants.saturating_mul(config.partitions_per_tenant))?;
    let fleet = match target {
        Target::Kafka { topic, .. } => Fleet::in_topic(config, topic)?,
        _ => Fleet::new(config)?,
    };
    let mut options = options(args, target, timing);
    if let Target::Kafka { brokers, topic } = target {
        let brokers = super::reached(args, brokers)?;
        crate::block_on(async { Ok(loadgen::create_topic(&brokers, topic, partitions).await?) })?;
        options.kafka = brokers.settings;
    }
    let report = loadgen::send(&fleet, &options, &mut tell).with_context(|| format!("--to {}", shown(target)))?;
    clear();
    if let Some(dir) = args.out.as_deref().filter(|_| args.send.shard.is_first()) {
        write_truth(&fleet, dir)?;
    }
    print(&report, args.send.output, target)?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_truth(fleet: &Fleet, dir: &Path) -> anyhow::Result<()> {
    fleet.write_truth(dir)?;
    eprintln!("labels.json and truth.parquet in {}", dir.display());
    Ok(())
}

/// The shape that was asked for, if one was.
fn schedule(args: &SendArgs) -> anyhow::Result<Option<Schedule>> {
    if let Some(path) = &args.curve {
        let text = std::fs::read_to_string(path).with_context(|| format!("--curve {}", path.display()))?;
        let curve = Schedule::parse_curve(&text).with_context(|| format!("--curve {}", path.display()))?;
        return Ok(Some(curve));
    }
    Ok([&args.rate, &args.ramp, &args.step].into_iter().find_map(Clone::clone))
}

/// How many records are due in the time that was asked for, or in the shape's own; without either, what --events says.
fn events(args: &WriteArgs, schedule: &Schedule, events: u64) -> anyhow::Result<u64> {
    let asked = args.duration.map(|duration| i64::try_from(duration.as_micros())).transpose()?;
    let events = asked.or(schedule.shape_us()).map_or(events, |us| schedule.records_before(us));
    if events == 0 {
        bail!("no record is due in --duration; raise it, or the rate");
    }
    Ok(events)
}

fn timing(
    args: &WriteArgs,
    schedule: Option<&Schedule>,
    target: &Target,
    (span_us, start_wall_us): (i64, i64),
) -> anyhow::Result<Timing> {
    if let Some(schedule) = schedule {
        return Ok(Timing::Schedule { schedule: Arc::new(schedule.clone()), start_wall_us });
    }
    let micros = |duration: Duration| i64::try_from(duration.as_micros());
    Ok(match (args.duration, target) {
        (Some(duration), _) => Timing::Pace(Pace::Open { start_wall_us, wall_span_us: micros(duration)? }),
        // A record of Kafka has a time.
        (None, Target::Kafka { .. }) => Timing::Pace(super::pace(args, span_us, start_wall_us)?),
        (None, _) => Timing::Free,
    })
}

fn options(args: &WriteArgs, target: &Target, timing: Timing) -> SendOptions {
    let send = &args.send;
    let environment = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let keys = environment("AWS_ACCESS_KEY_ID").zip(environment("AWS_SECRET_ACCESS_KEY"));
    let session_token = environment("AWS_SESSION_TOKEN");
    let mut target = target.clone();
    if let Target::S3(place) = &mut target {
        place.endpoint = place.endpoint.take().or_else(|| environment("AWS_ENDPOINT_URL"));
        place.region = place.region.take().or_else(|| environment("AWS_REGION"));
    }
    SendOptions {
        target,
        timing,
        shard: send.shard,
        connections: send.connections,
        ca: send.ca.clone(),
        kafka: ClientSettings::default(),
        hec_token: environment("PALISADE_HEC_TOKEN"),
        keys: keys.map(|(access_key, secret_key)| Keys { access_key, secret_key, session_token }),
        key_template: send.key.clone(),
        patience: send.patience,
        progress_every: Duration::from_secs(1),
        now: clock::now_us,
    }
}

/// A target as an error names it.
fn shown(target: &Target) -> String {
    match target {
        Target::Stdout => "-".to_owned(),
        Target::Dir(dir) => dir.display().to_string(),
        Target::Udp(endpoint) | Target::Stream(endpoint, _) => endpoint.to_string(),
        Target::Http(post) | Target::Hec(post) => post.endpoint.to_string(),
        Target::S3(place) => format!("s3://{}", place.bucket),
        Target::Kafka { brokers, topic } => format!("kafka://{brokers}/{topic}"),
    }
}

/// One line, written over once a second; on a terminal only.
fn tell(progress: &Progress) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{}", line(progress));
    }
}

/// Takes the line of progress away.
fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

fn line(progress: &Progress) -> String {
    let stalled = match progress.stalled {
        0 => String::new(),
        count => format!("; {count} connections wait"),
    };
    format!(
        "{:.0} s: {} of {} intended now sent, {} failed, lag {:.0} ms, back-pressure {:.1} s{stalled}",
        progress.seconds,
        grouped(progress.sent),
        grouped(progress.intended),
        grouped(progress.failed),
        progress.lag_seconds * 1e3,
        progress.stalled_seconds,
    )
}

/// On standard output, unless the records are there.
fn print(report: &Report, output: Output, target: &Target) -> anyhow::Result<()> {
    let (mut out, is_terminal): (Box<dyn Write>, bool) = match target {
        Target::Stdout => (Box::new(std::io::stderr()), std::io::stderr().is_terminal()),
        _ => (Box::new(std::io::stdout()), std::io::stdout().is_terminal()),
    };
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(report)?)?,
        Output::Text if is_terminal => pairs(&mut out, &rows(report))?,
        Output::Text => {
            for (name, value) in rows(report) {
                writeln!(out, "{name}: {value}")?;
            }
        }
    }
    Ok(())
}

/// What a report says, for people.
fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let acknowledged = report.acknowledged.map_or_else(|| "the protocol has none".to_owned(), grouped);
    let mut rows = vec![
        ("intended", grouped(report.intended)),
        ("sent", grouped(report.sent)),
        ("acknowledged", acknowledged),
        ("failed", grouped(report.failed)),
        ("not tried", grouped(report.unsent)),
        ("seconds", format!("{:.1}", report.seconds)),
        ("events a second", grouped(report.events_per_second as u64)),
        ("late by more than 10 ms", grouped(report.late)),
        ("back-pressure, seconds", format!("{:.2}", report.back_pressure_seconds)),
        ("tries again", grouped(report.retries)),
    ];
    let latencies = |l: Latencies| format!("p50 {:.1}, p99 {:.1}, max {:.1}", l.p50, l.p99, l.max);
    rows.extend(report.handed_ms.map(|l| ("intended to sent, ms", latencies(l))));
    rows.extend(report.acknowledged_ms.map(|l| ("intended to acknowledged, ms", latencies(l))));
    rows.extend(report.first_trouble.clone().map(|cause| ("first trouble", cause)));
    rows.extend(report.gave_up.clone().map(|cause| ("gave up", cause)));
    rows
}

#[cfg(test)]
mod tests;
