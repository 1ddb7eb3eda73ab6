//! Batches to Parquet files, one a partition of `time`: synchronous, in memory, on the thread that owns the rows.
//!
//! Dictionary encoding on keyword columns only, DELTA_BINARY_PACKED integers and times, zstd(1), statistics a row group,
//! no bloom filters, no embedded Arrow schema (so that keywords read as plain strings), Iceberg field ids.
//! Rows keep their order within a partition. A batch is encoded as it comes ([`OpenFiles`]): its buffers are free, and still in
//! cache, for the next one, and what waits for a flush is Parquet, a tenth of the size.

mod bounds;
mod footer;
mod hybrid;
mod keyword_chunk;
mod levels;
mod metrics;
mod open_files;
mod properties;
mod row_group;
mod slots;
mod sorted;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::file::properties::WriterPropertiesPtr;
use ::parquet::schema::types::SchemaDescriptor;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use iceberg::spec::{SortDirection, TableMetadata, Transform};

use crate::granularity::Granularity;
use crate::ledger::ColumnMetrics;
use crate::warehouse::schema::with_field_ids;
use crate::{Destination, Error, Result, WarehouseConfig};

pub use footer::footer_rows;
pub use open_files::OpenFiles;
pub(crate) use sorted::SORT_COLUMNS;

/// A Parquet file in memory, with what its manifest will say.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// The table of its rows.
    pub table: Destination,
    /// Its partition: hours, days or months since 1970, as the table wants.
    pub slot: i32,
    pub(crate) granularity: Granularity,
    /// Rows.
    pub rows: u64,
    /// The file.
    pub bytes: Bytes,
    /// Earliest `time`, microseconds UTC.
    pub time_min: i64,
    /// Latest `time`, microseconds UTC.
    pub time_max: i64,
    pub(crate) schema_id: i32,
    pub(crate) spec_id: i32,
    pub(crate) sort_order_id: Option<i32>,
    pub(crate) split_offsets: Vec<i64>,
    pub(crate) columns: Vec<ColumnMetrics>,
}

/// Encodes rows of every table as its Iceberg table wants them. Cheap to clone; one serves all threads.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    tables: Arc<RwLock<BTreeMap<Destination, Arc<TableEncoder>>>>,
}

/// How one table is encoded.
#[derive(Debug)]
struct TableEncoder {
    /// Our columns with Iceberg's field ids.
    schema: SchemaRef,
    /// The same in Parquet's terms.
    parquet: SchemaDescriptor,
    properties: WriterPropertiesPtr,
    /// Who writes which column.
    parts: Vec<row_group::Part>,
    /// Leaf columns in file order.
    leaves: Vec<metrics::LeafColumn>,
    schema_id: i32,
    spec_id: i32,
    granularity: Granularity,
    /// The table's name for the order of [`SORT_COLUMNS`], if it is the table's own.
    sort_order_id: Option<i32>,
    is_sorted: bool,
}

impl Encoder {
    /// Encodes for one more table, as the catalog has it.
    pub(crate) fn add(&self, config: &WarehouseConfig, to: Destination, metadata: &TableMetadata) -> Result<()> {
        let (table, schema) = (to.table(), metadata.current_schema());
        let arrow = with_field_ids(to, &table.schema(), schema)?;
        let encoder = TableEncoder {
            leaves: metrics::leaf_columns(table, &arrow),
            parquet: ArrowSchemaConverter::new()
                .convert(&arrow)
                .map_err(|source| Error::Encode { table: to, source })?,
            properties: Arc::new(properties::writer_properties(config, table)),
            parts: row_group::Part::all(&table.schema()),
            schema: arrow,
            schema_id: schema.schema_id(),
            spec_id: metadata.default_partition_spec_id(),
            granularity: granularity(to, metadata)?,
            sort_order_id: config.sort_rows.then(|| sort_order_id(metadata)).flatten(),
            is_sorted: config.sort_rows,
        };
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(to, Arc::new(encoder));
        Ok(())
    }

    /// The rows as files, one a partition, ascending; no file if there is no row. The batches' schema is
    /// `table.schema()`.
    ///
    /// # Errors
    /// [`Error::Encode`] if a batch is of another schema.
    pub fn encode(&self, table: impl Into<Destination>, batches: &[RecordBatch]) -> Result<Vec<EncodedFile>> {
        let mut files = self.open(table);
        batches.iter().try_for_each(|batch| files.write(batch))?;
        files.finish()
    }

    /// Files of the table, to be written batch by batch.
    ///
    /// # Panics
    /// If the warehouse did not open the table: it adds each that it opens.
    pub fn open(&self, table: impl Into<Destination>) -> OpenFiles {
        let table = table.into();
        let encoders = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let encoder = encoders.get(&table).expect("the warehouse has opened the table");
        OpenFiles::new(table, encoder.clone())
    }
}

fn granularity(to: Destination, metadata: &TableMetadata) -> Result<Granularity> {
    let spec = metadata.default_partition_spec();
    Granularity::of(metadata, spec).ok_or_else(|| {
        let fields: Vec<String> = spec.fields().iter().map(|f| format!("{} {}", f.name, f.transform)).collect();
        let what = format!(
            "it is partitioned by [{}]; files are written by hour, day or month of time and nothing else: change it back \
             (docs/maintenance.md)",
            fields.join(", ")
        );
        Error::Schema { table: to, what }
    })
}

/// The id of a table's own order, if that is by [`SORT_COLUMNS`].
fn sort_order_id(metadata: &TableMetadata) -> Option<i32> {
    let (order, schema) = (metadata.default_sort_order(), metadata.current_schema());
    let ids: Option<Vec<i32>> = SORT_COLUMNS.iter().map(|name| schema.field_id_by_name(name)).collect();
    let found =
        order.fields.iter().filter(|f| f.transform == Transform::Identity && f.direction == SortDirection::Ascending);
    let found: Vec<i32> = found.map(|field| field.source_id).collect();
    let is_ours = ids.is_some_and(|ids| ids == found) && order.fields.len() == SORT_COLUMNS.len();
    is_ours.then(|| i32::try_from(order.order_id).ok()).flatten()
}

#[cfg(test)]
mod tests;
