//! Alerts read back from the files that entries name.

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use dataflow::Table;
use dataflow::json::JsonRows;
use uuid::Uuid;

use crate::ledger::StagedFile;
use crate::warehouse::Warehouse;
use crate::{Error, Result};

/// An alert as it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingAlert {
    /// `finding_info.uid`: the same for every revision, and for every sending.
    pub id: String,
    /// Of OCSF: 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal; 0 if the row has none.
    pub severity: i32,
    /// When the event behind a filter rule's alert was received, or when the step was taken that decided a window's, microseconds UTC.
    pub received_us: i64,
    /// The attempt of the entry that holds it.
    pub attempt: Uuid,
    /// The OCSF Detection Finding as JSON.
    pub json: String,
}

/// The alerts in a file of that attempt, in order.
pub(super) async fn read_alerts(warehouse: &Warehouse, file: &StagedFile, attempt: Uuid) -> Result<Vec<OutgoingAlert>> {
    let table = warehouse.load_table(Table::DetectionFinding).await?;
    let read = async { table.file_io().new_input(&file.location)?.read().await };
    let bytes = read.await.map_err(|e| Error::catalog(format!("read {}", file.location), e))?;
    let mut alerts = Vec::new();
    for batch in decode(bytes).map_err(|e| Error::damaged(&file.location, e))? {
        alerts.extend(render(&batch, attempt));
    }
    Ok(alerts)
}

/// The file's rows in our own schema: Parquet keeps keywords as plain text.
fn decode(bytes: Bytes) -> std::result::Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    let schema = Table::DetectionFinding.schema();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    reader
        .map(|batch| {
            let batch = batch?;
            let columns = schema.fields().iter().zip(batch.columns()).map(|(f, c)| cast(c, f.data_type()));
            RecordBatch::try_new(schema.clone(), columns.collect::<std::result::Result<_, _>>()?)
        })
        .collect()
}

pub(super) fn render(batch: &RecordBatch, attempt: Uuid) -> Vec<OutgoingAlert> {
    let json = JsonRows::new(Table::DetectionFinding, batch);
    let ids = batch.column_by_name("finding_info").and_then(|c| c.as_struct_opt()?.column_by_name("uid").cloned());
    let id = |row: usize| match ids.as_ref().and_then(|ids| ids.as_string_opt::<i32>()) {
        Some(ids) if ids.is_valid(row) => ids.value(row).to_owned(),
        _ => String::new(),
    };
    let severities = batch.column_by_name("severity_id").and_then(|c| c.as_primitive_opt::<Int32Type>());
    let severity = |row: usize| severities.filter(|s| s.is_valid(row)).map_or(0, |s| s.value(row));
    let received = batch.column_by_name("_received_at").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let received_us = |row: usize| received.filter(|r| r.is_valid(row)).map_or(0, |r| r.value(row));
    let alert = |row| {
        let mut text = String::new();
        json.write(row, &mut text);
        OutgoingAlert { id: id(row), severity: severity(row), received_us: received_us(row), attempt, json: text }
    };
    (0..batch.num_rows()).map(alert).collect()
}
