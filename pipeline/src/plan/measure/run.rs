//! One bounded run of the pipeline over a fleet's files, as `palisade run --until-end` does it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use loadgen::{Compression, Fleet, RecordKind};
use sinks::Warehouse;
use tokio::sync::watch;

use super::subfolder;
use super::threads::{Sampled, Sampler};
use crate::clock;
use crate::config::{
    Accepted, Config, ConsoleConfig, FilesSource, RulesConfig, SourceConfig, Tiers, UpkeepConfig, WorkerConfig,
};
use crate::flight::Flight;
use crate::telemetry::{self, Health, Telemetry};
use crate::topology::{self, Worker};

/// The largest line that a file may hold.
const LINE_LIMIT: usize = 1 << 20;

/// What a run did.
pub(super) struct RunFigures {
    /// Events, of which a record may hold several.
    pub(super) events: u64,
    /// Bytes of the files that were read.
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) files: u64,
    pub(super) stored_bytes: u64,
    /// Tables with rows.
    pub(super) tables: u32,
    /// Ledger entries of sources.
    pub(super) flushes: u64,
    /// Seconds in which the committer committed.
    pub(super) commit_seconds: f64,
    pub(super) sampled: Sampled,
    pub(super) warehouse: Warehouse,
}

/// Writes the fleet's files, then reads them to their end.
pub(super) async fn bounded(fleet: Box<Fleet>, dir: &Path) -> anyhow::Result<RunFigures> {
    let logs = subfolder(dir, "logs")?;
    let config = config(&fleet, &logs, dir);
    let written = tokio::task::spawn_blocking({
        let logs = logs.clone();
        move || loadgen::write_files(&fleet, &logs, Compression::None, 1)
    });
    let written = written.await?.context("the fleet's files")?;
    let mut bytes = 0;
    for file in &written {
        bytes += std::fs::metadata(file).with_context(|| format!("{}", file.display()))?.len();
    }
    let telemetry = Telemetry::new();
    let sampler = Sampler::start(telemetry.clone())?;
    let (_go_on, stop) = watch::channel(false);
    let (started, cpu) = (clock::instant(), telemetry::cpu_seconds());
    let worker = Worker {
        config: Arc::new(config),
        telemetry: telemetry.clone(),
        health: Health::default(),
        flight: Flight::new(telemetry.clone()),
        until_end: true,
        stop,
    };
    let warehouse = topology::run(worker).await?;
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), telemetry::cpu_seconds() - cpu);
    let sampled = sampler.stop();
    // The disk may be small, and what was read is not needed any more.
    std::fs::remove_dir_all(&logs).with_context(|| format!("{}", logs.display()))?;
    let (files, stored_bytes, tables) = stored(&warehouse).await?;
    Ok(RunFigures {
        events: telemetry.received_total(),
        bytes,
        seconds,
        cpu_seconds,
        files,
        stored_bytes,
        tables,
        flushes: telemetry.ledger_entries.with_label_values(&["source"]).get(),
        commit_seconds: telemetry.commit_duration.get_sample_sum(),
        sampled,
        warehouse,
    })
}

/// As a worker is set up, but that flushes and commits come often enough for a short run to have some.
fn config(fleet: &Fleet, logs: &Path, dir: &Path) -> Config {
    let per_tenant = fleet.config().partitions_per_tenant;
    let source = |tenant: Arc<str>| {
        let topic = format!("firewall.{tenant}");
        SourceConfig::Files(FilesSource {
            globs: vec![format!("{}/{topic}-*", logs.display())],
            tenant: tenant.to_string(),
            partitions: per_tenant,
            line_limit: LINE_LIMIT,
            topic,
        })
    };
    let often = Duration::from_secs(2);
    Config {
        version: "built-in".to_owned(),
        warehouse: sinks::WarehouseConfig::at(dir.join("warehouse")),
        files_per_day_max: crate::config::FILES_PER_DAY_MAX,
        sources: fleet.tenants().into_iter().map(source).collect(),
        decode: ingest::decode::DecodeConfig::default(),
        mappings: ingest::mapping::Mappings::builtin(),
        enrich: enrich::EnrichConfig::demo(),
        rules: RulesConfig::default(),
        receivers: Vec::new(),
        worker: WorkerConfig { flush_interval: often, commit_interval: often, ..WorkerConfig::default() },
        upkeep: UpkeepConfig::default(),
        listen: None,
        follow: false,
        accepted: Accepted::default(),
        tiers: Tiers::default(),
        console: ConsoleConfig::default(),
        canary: None,
        traces: None,
    }
}

/// Data files, their bytes, and tables that have any.
async fn stored(warehouse: &Warehouse) -> anyhow::Result<(u64, u64, u32)> {
    let (mut files, mut bytes, mut tables) = (0, 0, 0);
    for table in warehouse.find_destinations().await? {
        let loaded = warehouse.load_table(table).await?;
        let Some(snapshot) = loaded.metadata().current_snapshot() else { continue };
        let total = |name: &str| -> u64 {
            snapshot.summary().additional_properties.get(name).and_then(|t| t.parse().ok()).unwrap_or(0)
        };
        files += total("total-data-files");
        bytes += total("total-files-size");
        tables += 1;
    }
    Ok((files, bytes, tables))
}

/// What a calibration calls a record's format; none of one that cannot be decoded.
pub(super) fn format_of(kind: RecordKind) -> Option<&'static str> {
    match kind {
        RecordKind::StrataJson => Some("strata_json"),
        RecordKind::PanosCsv => Some("panos_csv"),
        RecordKind::PanosCef => Some("panos_cef"),
        RecordKind::PanosLeef => Some("panos_leef"),
        RecordKind::FortiGate => Some("fortigate"),
        RecordKind::FortiGateCef => Some("fortigate_cef"),
        RecordKind::CiscoAsa => Some("cisco_asa"),
        RecordKind::GcpAudit => Some("gcp_audit"),
        RecordKind::AzureActivity => Some("azure_activity"),
        RecordKind::EntraSignIn => Some("entra_signin"),
        RecordKind::Okta => Some("okta"),
        RecordKind::CloudTrail | RecordKind::CloudTrailRecords => Some("cloudtrail"),
        RecordKind::VpcFlow => Some("vpc_flow"),
        RecordKind::Malformed(_) => None,
    }
}

/// Each format's share of a fleet's events.
pub(super) fn shares(fleet: &Fleet) -> BTreeMap<&'static str, f64> {
    let (mut counts, mut rows) = (BTreeMap::<&str, f64>::new(), Vec::new());
    for partition in fleet.partitions() {
        let Some(mut cursor) = fleet.cursor(&partition, 0) else { continue };
        while let Some(meta) = cursor.next_truth(&mut rows) {
            rows.clear();
            if let Some(format) = format_of(meta.kind) {
                *counts.entry(format).or_default() += f64::from(meta.events);
            }
        }
    }
    let all: f64 = counts.values().sum();
    counts.into_iter().map(|(format, n)| (format, n / all.max(1.0))).collect()
}
