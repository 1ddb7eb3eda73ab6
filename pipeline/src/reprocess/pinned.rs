//! The input of a request: tables at fixed snapshots, and what of them is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use dataflow::{PartitionId, Table};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg_datafusion::table::IcebergStaticTableProvider;
use serde::{Deserialize, Serialize};
use sinks::{Destination, Warehouse};

use super::request::{Stretch, holds_records, snapshots};
use super::selection::Selection;
use super::{IS_REPROCESSED, origin_columns};
use crate::warehouse_sql::{self, Provider, query, texts};

/// Memory of the queries; what is sorted beyond it goes to disk.
const MEMORY_BYTES: usize = 1 << 30;

/// Rows at a time: of the longest records, half a gigabyte.
const BATCH_ROWS: usize = 512;

/// What decides which records are read. The same value gives the same records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    pub(crate) selection: Selection,
    /// Of each table that has one.
    pub(crate) snapshots: BTreeMap<Destination, i64>,
    /// Requests whose results are not read: they would end as they did.
    pub(crate) tried: Vec<u32>,
}

/// What there is to read, and what is selected and cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// In the order of reading.
    pub(crate) stretches: Vec<Stretch>,
    /// Records to read, by the table that holds their bytes.
    pub(crate) records: BTreeMap<Table, u64>,
    /// Rows that are selected and not read, by why.
    pub(crate) left_out: BTreeMap<String, u64>,
}

impl Found {
    /// Records to read.
    pub(crate) fn total(&self) -> u64 {
        self.records.values().sum()
    }
}

impl Pinned {
    /// The tables as they are now.
    ///
    /// # Errors
    /// If the catalog fails.
    pub(crate) async fn now(warehouse: &Warehouse, selection: Selection, tried: Vec<u32>) -> anyhow::Result<Self> {
        Ok(Self { selection, snapshots: snapshots(warehouse).await?, tried })
    }

    /// A session whose tables are at the snapshots.
    ///
    /// # Errors
    /// If a table cannot be loaded or no longer has its snapshot.
    pub(crate) async fn session(&self, warehouse: &Warehouse) -> anyhow::Result<SessionContext> {
        let config = SessionConfig::new().with_batch_size(BATCH_ROWS);
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
        let session = SessionContext::new_with_config_rt(config, runtime);
        let mut tables: BTreeMap<Destination, Provider> = BTreeMap::new();
        for table in warehouse.find_destinations().await?.into_iter().filter(|table| holds_records(*table)) {
            let loaded = warehouse.load_table(table).await?;
            let provider: Provider = match self.snapshots.get(&table) {
                Some(id) => {
                    let provider = IcebergStaticTableProvider::try_new_from_table_snapshot(loaded, *id).await;
                    Arc::new(provider.with_context(|| format!("{table} at the snapshot {id}"))?)
                }
                None => {
                    let schema = schema_to_arrow_schema(loaded.metadata().current_schema())?;
                    Arc::new(EmptyTable::new(Arc::new(schema)))
                }
            };
            tables.insert(table, provider);
        }
        warehouse_sql::register(&session, tables)?;
        Ok(session)
    }

    /// Rows that are selected and stand, with the bytes that they hold, and in `left_out` why one is not read.
    fn standing(&self) -> String {
        let parts: Vec<String> = self.selection.0.iter().map(|part| rows(part.table, &part.condition)).collect();
        let tried: String = self.tried.iter().map(|number| format!(" AND p.request <> {number}")).collect();
        let same =
            |other: &str| ["topic", "incarnation", "part", "off"].map(|c| format!("p.{c} = {other}.{c}")).join(" AND ");
        format!(
            "WITH picked AS ({picked}), latest AS ({latest}), several AS ({several}) \
             SELECT p.*, CASE WHEN s.off IS NOT NULL THEN 'one of several events of a record' \
                              WHEN p.is_cut THEN 'cut at the line limit' \
                              WHEN p.raw IS NULL AND p.raw_data IS NULL THEN 'no raw_data' END AS left_out \
             FROM picked p LEFT JOIN latest l ON {with_latest} \
                           LEFT JOIN several s ON {with_several} AND p.request = s.request \
             WHERE p.request = coalesce(l.request, 0){tried}",
            picked = parts.join(" UNION ALL "),
            latest = latest(),
            several = several(),
            with_latest = same("l"),
            with_several = same("s"),
        )
    }

    /// Looks what there is to read.
    ///
    /// # Errors
    /// If a condition is no SQL, or the tables cannot be read.
    pub(crate) async fn find(&self, session: &SessionContext) -> anyhow::Result<Found> {
        let standing = self.standing();
        let mut found = Found::default();
        let sql = format!("SELECT tbl, left_out, count(*) AS n FROM ({standing}) GROUP BY tbl, left_out");
        for batch in query(session, &sql).await.context("the rows to read back")? {
            let (tables, whys, counts) = (texts(&batch, "tbl")?, texts(&batch, "left_out")?, batch.column(2));
            let counts = counts.as_primitive::<Int64Type>();
            for (row, (table, why)) in tables.into_iter().zip(whys).enumerate() {
                let n = u64::try_from(counts.value(row)).unwrap_or(0);
                let table = table.as_deref().and_then(Table::by_name);
                match (why, table) {
                    (Some(why), _) => *found.left_out.entry(why).or_default() += n,
                    (None, Some(table)) => *found.records.entry(table).or_default() += n,
                    (None, None) => {}
                }
            }
        }
        let sql = format!(
            "SELECT topic, incarnation, CAST(part AS BIGINT) AS part, min(off) AS low, max(off) AS high, count(*) AS n \
             FROM ({standing}) WHERE left_out IS NULL GROUP BY topic, incarnation, part ORDER BY topic, incarnation, part"
        );
        for batch in query(session, &sql).await.context("the partitions to read back")? {
            let (topics, incarnations) = (texts(&batch, "topic")?, texts(&batch, "incarnation")?);
            let number = |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
            for (row, (topic, incarnation)) in topics.into_iter().zip(incarnations).enumerate() {
                let partition = i32::try_from(number(2, row))?;
                let (topic, incarnation) = (topic.unwrap_or_default(), incarnation.unwrap_or_default());
                let origin = PartitionId::new(topic, incarnation, partition);
                let (offsets, records) = ((number(3, row), number(4, row) + 1), u64::try_from(number(5, row))?);
                found.stretches.push(Stretch { origin, offsets, records });
            }
        }
        Ok(found)
    }

    /// The records of a stretch from an offset on, in order: `off`, `received_at`, `tenant`, `raw` or `raw_data`, `size`.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(crate) async fn records(
        &self,
        session: &SessionContext,
        stretch: &Stretch,
        from: i64,
    ) -> anyhow::Result<SendableRecordBatchStream> {
        let quoted = |text: &str| text.replace('\'', "''");
        let Stretch { origin, offsets, .. } = stretch;
        let sql = format!(
            "SELECT off, received_at, tenant, raw, raw_data, size FROM ({}) \
             WHERE left_out IS NULL AND topic = '{}' AND incarnation = '{}' AND part = {} AND off >= {from} AND off < {} \
             ORDER BY off",
            self.standing(),
            quoted(&origin.topic),
            quoted(&origin.incarnation),
            origin.partition,
            offsets.1
        );
        Ok(session.sql(&sql).await?.execute_stream().await?)
    }

    /// First lines of files that name the columns of the lines below them, by the number of the file.
    ///
    /// # Errors
    /// If the tables cannot be read.
    pub(crate) async fn heads(
        &self,
        session: &SessionContext,
        origin: &PartitionId,
    ) -> anyhow::Result<BTreeMap<i64, Vec<u8>>> {
        let quoted = |text: &str| text.replace('\'', "''");
        let sql = format!(
            "SELECT _offset AS off, raw FROM dead_letter WHERE reason = 'header' AND _topic = '{}' AND _incarnation = '{}' \
             AND _partition_id = {} AND _offset & 4294967295 = 0",
            quoted(&origin.topic),
            quoted(&origin.incarnation),
            origin.partition
        );
        let mut heads = BTreeMap::new();
        for batch in query(session, &sql).await? {
            let raw = cast(batch.column(1), &DataType::Binary)?;
            let offsets = batch.column(0).as_primitive::<Int64Type>().values();
            let lines = raw.as_binary::<i32>().iter().map(|line| line.unwrap_or_default().to_vec());
            heads.extend(offsets.iter().map(|offset| offset >> 32).zip(lines));
        }
        Ok(heads)
    }
}

/// A table's rows that meet the condition: where their record stood, and the bytes that they hold.
fn rows(table: Table, condition: &str) -> String {
    let (raw, raw_data, size, is_cut) = match table {
        Table::DeadLetter => {
            // The length of what is no UTF-8 is not known here; a record that was cut within a character is none.
            let cut = "reason = 'too_long' AND raw_size > coalesce(octet_length(TRY_CAST(raw AS VARCHAR)), 0)";
            ("raw", "CAST(NULL AS VARCHAR)", "raw_size", cut)
        }
        _ => ("CAST(NULL AS BYTEA)", "raw_data", "CAST(NULL AS BIGINT)", "FALSE"),
    };
    format!(
        "SELECT {}, '{table}' AS tbl, _received_at AS received_at, tenant_uid AS tenant, {raw} AS raw, {raw_data} AS raw_data, \
                {size} AS size, {is_cut} AS is_cut \
         FROM {table} WHERE substr(_topic, 1, 1) <> '_' AND ({condition})",
        origin_columns()
    )
}

/// The latest request that read each record, of those that any did.
fn latest() -> String {
    let tables = Table::EVENTS.into_iter().chain([Table::DeadLetter]);
    let all: Vec<String> =
        tables.map(|t| format!("SELECT {} FROM {t} WHERE {IS_REPROCESSED}", origin_columns())).collect();
    format!(
        "SELECT topic, incarnation, part, off, max(request) AS request FROM ({}) GROUP BY topic, incarnation, part, off",
        all.join(" UNION ALL ")
    )
}

/// Records that hold several events: the text of one is not the record.
fn several() -> String {
    let of = |t| format!("SELECT {} FROM {t} WHERE _record > 0 AND substr(_topic, 1, 1) <> '_'", origin_columns());
    let all: Vec<String> = Table::EVENTS.into_iter().map(of).collect();
    format!("SELECT DISTINCT topic, incarnation, part, off, request FROM ({})", all.join(" UNION ALL "))
}
