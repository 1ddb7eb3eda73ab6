//! SQL over the warehouse: DataFusion on the Iceberg tables' current snapshots.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use dataflow::Table;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg_datafusion::table::IcebergStaticTableProvider;
use sinks::Warehouse;

/// A session whose tables are the warehouse's, each at the snapshot that is current now.
///
/// # Errors
/// If the catalog or a table's metadata cannot be read.
pub(crate) async fn session(warehouse: &Warehouse) -> anyhow::Result<SessionContext> {
    let config =
        SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema("warehouse", "palisade");
    let session = SessionContext::new_with_config(config);
    for table in Table::ALL {
        register(&session, warehouse, table).await.with_context(|| format!("table {table}"))?;
    }
    Ok(session)
}

async fn register(session: &SessionContext, warehouse: &Warehouse, table: Table) -> anyhow::Result<()> {
    let loaded = warehouse.load_table(table).await?;
    let provider = IcebergStaticTableProvider::try_new_from_table(loaded).await?;
    session.register_table(table.name(), Arc::new(provider))?;
    Ok(())
}

/// Runs one query.
///
/// # Errors
/// What the planner or the scan says.
pub(crate) async fn query(session: &SessionContext, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
    Ok(session.sql(sql).await?.collect().await?)
}

/// A string column's values, whatever its encoding.
///
/// # Errors
/// If there is no such column.
pub(crate) fn texts(batch: &RecordBatch, name: &str) -> anyhow::Result<Vec<Option<String>>> {
    let column = batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
    let plain = cast(column, &DataType::Utf8)?;
    Ok(plain.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect())
}
