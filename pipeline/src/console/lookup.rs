//! What the console asks for when somebody looks: rules, tables and their snapshots, dead letters, an alert with its evidence, SQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use datafusion::execution::context::SQLOptions;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sinks::Warehouse;
use tokio::sync::Semaphore;

use crate::clock;
use crate::commands::tables::{SnapshotLine, TableLine, named, snapshot_lines, table_lines};
use crate::rules::Tally;
use crate::telemetry::{AtWork, Telemetry};
use crate::warehouse_sql;

/// Rows that an answer holds at most.
const ROWS_MAX: usize = 1_000;
/// Snapshots of a table, the newest.
const SNAPSHOTS_MAX: usize = 50;
/// A query may hold so much memory, and take so long.
const MEMORY: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// A rule and how it fares in this process.
#[derive(Debug, Serialize)]
pub(super) struct RuleLine {
    uid: String,
    name: String,
    title: String,
    level: &'static str,
    file: String,
    alerts: u64,
    disabled: bool,
    #[serde(flatten)]
    tally: Tally,
}

/// The rules, and those that are disabled.
pub(super) fn rules(at_work: &AtWork, telemetry: &Telemetry) -> Vec<RuleLine> {
    let (loaded, tallies) = at_work.rules.loaded();
    let alerts = telemetry.alerts_by_rule();
    let line = |rule: &Arc<aggregate::Rule>| RuleLine {
        uid: rule.uid().to_owned(),
        name: rule.name().to_owned(),
        title: rule.title().to_owned(),
        level: rule.level().word(),
        file: rule.file().to_owned(),
        alerts: alerts.get(rule.uid()).copied().unwrap_or(0),
        disabled: at_work.rules.is_disabled(rule),
        tally: tallies.get(rule.fingerprint()).copied().unwrap_or_default(),
    };
    loaded.rules().iter().map(line).collect()
}

/// Every table at its current snapshot.
pub(super) async fn tables(warehouse: Warehouse) -> anyhow::Result<Vec<TableLine>> {
    table_lines(&warehouse).await
}

/// A table's newest snapshots, the newest first.
pub(super) async fn snapshots(warehouse: Warehouse, table: String) -> anyhow::Result<Vec<SnapshotLine>> {
    let found = named(&table, &warehouse.find_destinations().await?)?;
    let mut lines = snapshot_lines(&warehouse, found).await?;
    lines.reverse();
    lines.truncate(SNAPSHOTS_MAX);
    Ok(lines)
}

/// The newest dead letters, with their reasons and how they begin.
pub(super) async fn dead_letters(warehouse: Warehouse, turn: Arc<Semaphore>) -> anyhow::Result<Answer> {
    let query = "SELECT _received_at AS received, reason, detail, tenant_uid AS tenant, _topic AS topic, _partition_id AS partition, \
                 _offset AS offset, raw_size AS bytes, coalesce(substr(TRY_CAST(raw AS VARCHAR), 1, 200), '(not UTF-8: see raw in the table)') AS record \
                 FROM dead_letter ORDER BY _received_at DESC LIMIT 50";
    sql(warehouse, turn, query.to_owned()).await
}

/// An alert's row, with its evidence: `seen` if it is one of the newest, otherwise what the table has.
pub(super) async fn alert(
    warehouse: Warehouse,
    turn: Arc<Semaphore>,
    revision: String,
    seen: Option<RecordBatch>,
) -> anyhow::Result<Answer> {
    if let Some(row) = seen {
        return Answer::of(&[row], clock::instant());
    }
    if !revision.chars().all(|c| c.is_ascii_alphanumeric() || "-/".contains(c)) {
        bail!("`{revision}` is no id of an alert");
    }
    let query = format!("SELECT * FROM detection_finding WHERE metadata.uid = '{revision}' LIMIT 1");
    sql(warehouse, turn, query).await
}

/// Rows of a query.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    columns: Vec<String>,
    /// An object a row.
    rows: Box<RawValue>,
    count: usize,
    /// There are more.
    truncated: bool,
    ms: f64,
}

/// Runs a query that reads, when it is its turn.
pub(super) async fn sql(warehouse: Warehouse, turn: Arc<Semaphore>, query: String) -> anyhow::Result<Answer> {
    let _permit = turn.acquire().await?;
    let started = clock::instant();
    let run = async {
        let session = warehouse_sql::session_within(&warehouse, MEMORY).await?;
        let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        warehouse_sql::first_rows(&session, &query, reads, ROWS_MAX + 1).await
    };
    let batches = tokio::time::timeout(PATIENCE, run)
        .await
        .with_context(|| format!("takes longer than {PATIENCE:?}; ask for less, or use `palisade sql`"))??;
    Answer::of(&batches, started)
}

impl Answer {
    fn of(batches: &[RecordBatch], started: Instant) -> anyhow::Result<Self> {
        let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let columns =
            batches.first().map_or_else(Vec::new, |b| b.schema().fields().iter().map(|f| f.name().clone()).collect());
        let mut writer = arrow::json::ArrayWriter::new(Vec::new());
        let mut left = ROWS_MAX;
        for batch in batches {
            let shown = batch.slice(0, batch.num_rows().min(left));
            left -= shown.num_rows();
            writer.write(&shown)?;
        }
        writer.finish()?;
        let text = String::from_utf8(writer.into_inner())?;
        let rows = RawValue::from_string(if text.is_empty() { Value::Array(Vec::new()).to_string() } else { text })?;
        let ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(Self { columns, rows, count: found.min(ROWS_MAX), truncated: found > ROWS_MAX, ms })
    }
}
