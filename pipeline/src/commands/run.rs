//! `palisade run`: a worker by its configuration.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use dataflow::Table;
use sinks::Warehouse;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::account;
use crate::cli::{Output, RunArgs};
use crate::clock;
use crate::config::{Accepted, Config};
use crate::flight::Flight;
use crate::live::{self, Watched};
use crate::setup;
use crate::summary::RunSummary;
use crate::telemetry::{self, Health, Telemetry};
use crate::topology::{self, Worker};
use crate::traces::Exporter;
use crate::warehouse_sql;

/// Runs the command.
///
/// # Errors
/// What the configuration, the rules or any stage says.
pub(crate) async fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(&args.config)?;
    config.follow = !args.until_end;
    config.accepted = Accepted { resets: args.accept_reset.clone(), losses: args.accept_loss.clone() };
    let (telemetry, health) = (Telemetry::of_region(&config.warehouse.region), Health::default());
    let flight = Flight::new(telemetry.clone());
    let traces = config.traces.as_ref().map(|to| Exporter::start(to, &telemetry, &setup::writer_name())).transpose()?;
    if let Some(listen) = config.listen {
        let address = telemetry::serve(listen, &config.console, flight.clone(), health.clone()).await?;
        telemetry::announce(address, &config.console);
    }
    let watched = Watched {
        title: "palisade run",
        telemetry: telemetry.clone(),
        flight: flight.clone(),
        total: None,
        planted: None,
        queue_rows: queue_rows(&config),
    };
    let live = live::start(watched, args.no_live || args.output == Output::Json)?;
    let started = clock::instant();
    let worker = Worker {
        config: Arc::new(config),
        telemetry: telemetry.clone(),
        health,
        flight: flight.clone(),
        until_end: args.until_end,
        stop: stop_signal()?,
    };
    let ended = topology::run(worker).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    let warehouse = ended?;
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), telemetry::cpu_seconds());
    drop(live);
    let Told { rows, dead_letter_reasons, alerts } =
        if args.until_end { Told::stored(&warehouse).await? } else { Told::done(&telemetry) };
    let events = telemetry.received_total();
    let summary = RunSummary {
        records_read: telemetry.records_total(),
        events_received: events,
        alerts,
        dead_letters: dead_letter_reasons.values().sum(),
        rows,
        dead_letter_reasons,
        seconds,
        events_per_second: events as f64 / seconds,
        cpu_seconds,
        latency_ms: (&flight.steps()).into(),
        warehouse: warehouse.config().root.to_string(),
    };
    print(&summary, args.output)?;
    Ok(ExitCode::SUCCESS)
}

/// What is told at the end.
struct Told {
    /// By table.
    rows: BTreeMap<String, u64>,
    dead_letter_reasons: BTreeMap<String, u64>,
    alerts: u64,
}

impl Told {
    /// What the warehouse holds.
    async fn stored(warehouse: &Warehouse) -> anyhow::Result<Self> {
        let session = warehouse_sql::session(warehouse).await?;
        let (mut rows, dead_letter_reasons) = account::counts(&session).await?;
        let alerts = rows.remove("alerts").unwrap_or(0);
        Ok(Self { rows, dead_letter_reasons, alerts })
    }

    /// What this process did. To ask the tables of a fleet takes long, and who ends a worker waits.
    fn done(telemetry: &Telemetry) -> Self {
        let events = Table::EVENTS.map(|table| table.name());
        let mut rows = telemetry.rows_committed();
        rows.retain(|name, _| events.contains(&name.as_str()));
        Self { rows, dead_letter_reasons: telemetry.dead_letters_by_reason(), alerts: telemetry.alerts_total() }
    }
}

/// What the queues of all shards together, and of the merge stage, hold at most.
pub(crate) fn queue_rows(config: &Config) -> [(&'static str, u64); 2] {
    let rows = config.worker.queue_rows as u64;
    [("shard", rows * config.worker.shards as u64), ("merge", rows)]
}

fn print(summary: &RunSummary, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(summary)?)?,
        Output::Text => summary.write_text(&mut out)?,
    }
    Ok(())
}

/// Turns true at SIGTERM or SIGINT: what was received is then finished, and the process ends with 0.
///
/// # Errors
/// If the system will not tell of signals.
pub(crate) fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tx, rx) = watch::channel(false);
    #[expect(clippy::disallowed_methods, reason = "waits for a signal until the process ends")]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tx.send_replace(true);
        tx.closed().await;
    });
    Ok(rx)
}
