//! SQL over the warehouse: DataFusion on the Iceberg tables' current snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use dataflow::Table;
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::common::{SchemaError, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg_datafusion::table::IcebergStaticTableProvider;
use sinks::{Destination, Namespace, Warehouse};

use crate::telemetry::available_bytes;

/// The catalog and the schema of names that say neither. A table's name there stands for all tables of its class.
const PLACE: (&str, &str) = ("warehouse", "palisade");

/// The schema of the tables that all tenants share, each alone. No namespace has this name.
const SHARED: &str = "_shared";

/// With less memory no query gets anywhere.
const MEMORY_MIN: usize = 256 << 20;

/// A table at some snapshot.
pub(crate) type Provider = Arc<dyn TableProvider>;

/// A session whose tables are the warehouse's, each at the snapshot that is current now.
///
/// # Errors
/// If the catalog or a table's metadata cannot be read.
pub(crate) async fn session(warehouse: &Warehouse) -> anyhow::Result<SessionContext> {
    tables_in(warehouse, SessionConfig::new(), available_bytes() / 2).await
}

/// As [`session`], beside a worker: on one thread at a time, with so much memory.
///
/// # Errors
/// As [`session`].
pub(crate) async fn session_within(warehouse: &Warehouse, bytes: u64) -> anyhow::Result<SessionContext> {
    tables_in(warehouse, SessionConfig::new().with_target_partitions(1), bytes).await
}

async fn tables_in(warehouse: &Warehouse, config: SessionConfig, bytes: u64) -> anyhow::Result<SessionContext> {
    let config = config.with_information_schema(true).with_default_catalog_and_schema(PLACE.0, PLACE.1);
    let session = SessionContext::new_with_config_rt(config, bounded(bytes)?);
    aggregate::register_functions(&session);
    let mut tables: BTreeMap<Destination, Provider> = BTreeMap::new();
    for table in warehouse.find_destinations().await? {
        let loaded = warehouse.load_table(table).await?;
        let provider = IcebergStaticTableProvider::try_new_from_table(loaded).await;
        tables.insert(table, Arc::new(provider.with_context(|| format!("table {table}"))?));
    }
    register_each(&session, &tables)?;
    register(&session, tables)?;
    Ok(session)
}

/// What queries may hold: what sorts and groups need beyond these bytes goes to disk, to the folder for temporary files.
fn bounded(bytes: u64) -> anyhow::Result<Arc<RuntimeEnv>> {
    let pool = FairSpillPool::new(usize::try_from(bytes)?.max(MEMORY_MIN));
    Ok(RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc()?)
}

/// Registers each class under its name: the rows of the table that all share, and of those in namespaces of their own.
///
/// # Errors
/// If two tables of a class do not go together.
pub(crate) fn register(session: &SessionContext, tables: BTreeMap<Destination, Provider>) -> anyhow::Result<()> {
    let mut classes: BTreeMap<Table, Vec<Provider>> = BTreeMap::new();
    for (table, provider) in tables {
        classes.entry(table.table()).or_default().push(provider);
    }
    for (class, mut providers) in classes {
        let first = providers.remove(0);
        if providers.is_empty() {
            session.register_table(class.name(), first)?;
            continue;
        }
        let rows = providers
            .into_iter()
            .try_fold(session.read_table(first)?, |rows, own| rows.union_by_name(session.read_table(own)?))?;
        session.register_table(class.name(), rows.into_view())?;
    }
    Ok(())
}

/// Registers each table alone, under [`name`].
fn register_each(session: &SessionContext, tables: &BTreeMap<Destination, Provider>) -> anyhow::Result<()> {
    let catalog = session.catalog(PLACE.0).context("the session's catalog")?;
    for (table, provider) in tables {
        let schema = schema(*table);
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let reference = TableReference::full(PLACE.0, schema, table.table().name());
        session.register_table(reference, provider.clone())?;
    }
    Ok(())
}

fn schema(table: Destination) -> &'static str {
    table.namespace().map_or(SHARED, Namespace::name)
}

/// A table alone, in SQL over [`session`].
pub(crate) fn name(table: Destination) -> String {
    format!("\"{}\".{}", schema(table), table.table())
}

/// Runs one query.
///
/// # Errors
/// What the planner or the scan says.
pub(crate) async fn query(session: &SessionContext, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
    let run = async { session.sql(sql).await?.collect().await };
    run.await.map_err(|error| anyhow::anyhow!(reason(&error)))
}

/// The first rows of a query, if it does no more than the options allow.
///
/// # Errors
/// What the planner or the scan says.
pub(crate) async fn first_rows(
    session: &SessionContext,
    sql: &str,
    options: SQLOptions,
    rows: usize,
) -> anyhow::Result<Vec<RecordBatch>> {
    let run = async { session.sql_with_options(sql, options).await?.limit(0, Some(rows))?.collect().await };
    run.await.map_err(|error| anyhow::anyhow!(reason(&error)))
}

/// What the planner or the scan says, once. Of a column that is not there, the nearest one instead of all that are.
pub(crate) fn reason(error: &DataFusionError) -> String {
    let root = error.find_root();
    let DataFusionError::SchemaError(schema, _) = root else { return root.to_string() };
    let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref() else { return root.to_string() };
    let likeness = |name: &str| strsim::jaro_winkler(&field.name, name);
    let names = valid_fields.iter().map(|valid| valid.name.as_str());
    match names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(near) => format!("no column {}; did you mean {near}?", field.name),
        None => format!("no column {}", field.name),
    }
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int64Type;
    use datafusion::physical_plan::{ExecutionPlan, collect};

    use super::*;

    fn spills(plan: &dyn ExecutionPlan) -> usize {
        let own = plan.metrics().and_then(|metrics| metrics.spill_count()).unwrap_or(0);
        own + plan.children().into_iter().map(|child| spills(&**child)).sum::<usize>()
    }

    #[tokio::test]
    async fn a_query_that_needs_more_memory_than_it_may_have_goes_to_disk() {
        // Each group has a set of its own: 600 MB in all.
        let sql = "SELECT count(*) AS n FROM (SELECT value, count(DISTINCT arrow_cast(value, 'Utf8')) AS of, count(*) AS n \
                   FROM generate_series(1, 60000) GROUP BY value) WHERE of = n";
        let config = SessionConfig::new().with_target_partitions(1);
        let session = SessionContext::new_with_config_rt(config, bounded(0).expect("a runtime"));
        let plan = session.sql(sql).await.expect("SQL").create_physical_plan().await.expect("a plan");
        let counted = collect(plan.clone(), session.task_ctx()).await.expect("it ends");
        assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().value(0), 60_000);
        assert!(spills(&*plan) > 0, "it was enough, or nothing counts");
    }

    #[tokio::test]
    async fn a_mistake_is_told_once_and_with_the_way_out() {
        let session = SessionContext::new();
        let rows = RecordBatch::new_empty(Table::DetectionFinding.schema());
        session.register_batch("detection_finding", rows).expect("registered");
        for (sql, want) in [
            ("SELECT window_start FROM detection_finding", "no column window_start; did you mean _window_start?"),
            ("SELECT sevrity FROM detection_finding GROUP BY 1", "no column sevrity; did you mean severity?"),
            ("SELECT 1 FROM detections", "Error during planning: table 'datafusion.public.detections' not found"),
        ] {
            assert_eq!(query(&session, sql).await.expect_err(sql).to_string(), want);
        }
        let text = format!("{:#}", query(&session, "SELEC 1").await.expect_err("no SQL"));
        assert_eq!(text.matches("SELEC").count(), 1, "{text}");
    }
}
