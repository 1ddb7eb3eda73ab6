//! `palisade demo`: the whole system on this machine, scored against what the fleet knows.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Fleet, FleetConfig};
use sinks::{Warehouse, WarehouseConfig};

use crate::account::{self, Identity};
use crate::cli::{DemoArgs, Output};
use crate::clock;
use crate::commands::run::{queue_rows, stop_signal};
use crate::config::{
    Accepted, Config, ConsoleConfig, GeneratorSource, RulesConfig, SourceConfig, Tiers, UpkeepConfig, WorkerConfig,
};
use crate::flight::Flight;
use crate::live::{self, Planted, Watched};
use crate::setup;
use crate::summary::{DemoSummary, RuleScore, shown};
use crate::telemetry::{self, Health, Telemetry};
use crate::topology::{self, Worker};
use crate::warehouse_sql;

/// Runs the command.
///
/// # Errors
/// If the folder is taken, or any stage fails. A bad score is an exit code, not an error.
pub(crate) async fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    if args.warehouse.to_string_lossy().contains("://") {
        let what = "the demo's warehouse is a folder; for a bucket write a configuration, and `palisade run`";
        bail!("{}: {what}", args.warehouse.display());
    }
    if args.warehouse.exists() {
        bail!("{}: exists already; remove it, or name another folder with --warehouse", args.warehouse.display());
    }
    let config = Arc::new(config(args));
    let fleet = Arc::new(Fleet::new(fleet_config(args))?);
    let telemetry = Telemetry::new();
    let flight = Flight::new(telemetry.clone());
    let health = Health::default();
    announce(args, &flight, &health).await;

    let watched = Watched {
        title: "palisade demo",
        telemetry: telemetry.clone(),
        flight: flight.clone(),
        total: Some(args.events),
        planted: Some(planted(args, &fleet)?),
        queue_rows: queue_rows(&config),
    };
    let live = live::start(watched, args.no_live || args.output == Output::Json)?;
    let started = clock::instant();
    let worker = Worker {
        config: config.clone(),
        telemetry: telemetry.clone(),
        health,
        flight: flight.clone(),
        until_end: true,
        stop: stop_signal()?,
    };
    let warehouse = topology::run(worker).await?;
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), telemetry::cpu_seconds());
    drop(live);

    let summary = score(args, &config, &fleet, &warehouse, &flight, seconds, cpu_seconds).await?;
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&summary)?)?,
        Output::Text => summary.write_text(&mut out)?,
    }
    let perfect =
        summary.unaccounted == 0 && summary.attacks_detected == summary.attacks_planted && summary.false_alerts == 0;
    Ok(if perfect { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the fleet will do, and when, for whoever watches.
fn planted(args: &DemoArgs, fleet: &Fleet) -> anyhow::Result<Planted> {
    let FleetConfig { start_us, span_us, .. } = *fleet.config();
    let wall_us = i64::try_from(args.duration.as_micros())?;
    Ok(Planted { labels: fleet.labels().to_vec(), start_us, span_us, wall_us })
}

fn fleet_config(args: &DemoArgs) -> FleetConfig {
    FleetConfig { seed: args.seed, events: args.events, ..FleetConfig::default() }
}

fn config(args: &DemoArgs) -> Config {
    Config {
        version: "built-in".to_owned(),
        warehouse: WarehouseConfig::at(&args.warehouse),
        files_per_day_max: crate::config::FILES_PER_DAY_MAX,
        sources: vec![SourceConfig::Generator(Box::new(GeneratorSource {
            fleet: fleet_config(args),
            duration: args.duration,
        }))],
        decode: ingest::decode::DecodeConfig::default(),
        mappings: ingest::mapping::Mappings::builtin(),
        enrich: enrich::EnrichConfig::demo(),
        rules: RulesConfig::default(),
        receivers: Vec::new(),
        worker: WorkerConfig {
            flush_interval: Duration::from_secs(2),
            commit_interval: Duration::from_secs(3),
            step_interval: Duration::from_millis(500),
            ..WorkerConfig::default()
        },
        upkeep: UpkeepConfig::default(),
        listen: None,
        tiers: Tiers::default(),
        console: ConsoleConfig::default(),
        canary: None,
        traces: None,
        follow: false,
        accepted: Accepted::default(),
    }
}

/// Says where the metrics are; the demo runs without them if the address is taken.
async fn announce(args: &DemoArgs, flight: &Flight, health: &Health) {
    let listen: Result<SocketAddr, _> = args.listen.parse();
    match listen {
        Ok(listen) => match telemetry::serve(listen, &ConsoleConfig::default(), flight.clone(), health.clone()).await {
            Ok(address) => telemetry::announce(address, &ConsoleConfig::default()),
            Err(error) => eprintln!("no metrics: {error:#}"),
        },
        Err(error) => eprintln!("no metrics: --listen {}: {error}", args.listen),
    }
}

/// Reads the warehouse back and compares it with what the fleet knows.
async fn score(
    args: &DemoArgs,
    config: &Config,
    fleet: &Fleet,
    warehouse: &Warehouse,
    flight: &Flight,
    seconds: f64,
    cpu_seconds: f64,
) -> anyhow::Result<DemoSummary> {
    let truth = args.warehouse.join("truth");
    std::fs::create_dir_all(&truth)?;
    fleet.write_truth(&truth).context("the fleet's own log")?;
    let session = warehouse_sql::session(warehouse).await?;
    let account = account::account(&session, &truth.join("truth.parquet"), Identity::Generator).await?;
    if account.unaccounted() > 0 {
        eprintln!("unaccounted: {account:?}");
    }
    let alerts = account::alerts(&session, setup::rules(config)?.as_ref()).await?;
    let score = loadgen::score(fleet.labels(), &alerts);
    Ok(DemoSummary {
        seed: args.seed,
        events_generated: account.generated,
        events_committed: account.rows,
        dead_letters: account.dead_letters,
        unaccounted: account.unaccounted(),
        attacks_planted: score.planted as u64,
        attacks_detected: score.detected as u64,
        near_misses_planted: score.near_misses as u64,
        false_alerts: score.false_alerts.len() as u64,
        rules: score.rules.iter().map(RuleScore::from).collect(),
        seconds,
        events_per_second: account.generated as f64 / seconds,
        cpu_seconds,
        latency_ms: (&flight.steps()).into(),
        warehouse: shown(Path::new(&args.warehouse)),
    })
}
