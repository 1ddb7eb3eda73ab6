//! Batches to Parquet files, one a day of `time`: synchronous, in memory, on the thread that owns the rows.
//!
//! Dictionary encoding on keyword columns only, DELTA_BINARY_PACKED integers and times, zstd(1), statistics a row group,
//! no bloom filters, no embedded Arrow schema (so that keywords read as plain strings), Iceberg field ids.
//! Rows keep their order within a day. A batch is encoded as it comes ([`OpenFiles`]): its buffers are free, and still in
//! cache, for the next one, and what waits for a flush is Parquet, a tenth of the size.

mod bounds;
mod days;
mod footer;
mod hybrid;
mod keyword_chunk;
mod levels;
mod metrics;
mod open_files;
mod properties;
mod row_group;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::file::properties::WriterPropertiesPtr;
use ::parquet::schema::types::SchemaDescriptor;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use dataflow::Table;
use iceberg::spec::SchemaRef as IcebergSchemaRef;

use crate::ledger::ColumnMetrics;
use crate::warehouse::schema::with_field_ids;
use crate::{Error, Result, WarehouseConfig};

pub use footer::footer_rows;
pub use open_files::OpenFiles;

/// A Parquet file in memory, with what its manifest will say.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    /// The table of its rows.
    pub table: Table,
    /// Its partition: days since 1970-01-01.
    pub day: i32,
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
    pub(crate) split_offsets: Vec<i64>,
    pub(crate) columns: Vec<ColumnMetrics>,
}

/// Encodes rows of every table as its Iceberg table wants them. Cheap to clone; one serves all threads.
#[derive(Debug, Clone)]
pub struct Encoder {
    tables: BTreeMap<Table, Arc<TableEncoder>>,
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
}

impl Encoder {
    /// An encoder for tables as the catalog has them.
    pub(crate) fn new(
        config: &WarehouseConfig,
        tables: impl IntoIterator<Item = (Table, IcebergSchemaRef, i32)>,
    ) -> Result<Self> {
        let encode = |(table, schema, spec_id): (Table, IcebergSchemaRef, i32)| {
            let arrow = with_field_ids(table, &table.schema(), &schema)?;
            let encoder = TableEncoder {
                leaves: metrics::leaf_columns(table, &arrow),
                parquet: ArrowSchemaConverter::new()
                    .convert(&arrow)
                    .map_err(|source| Error::Encode { table, source })?,
                properties: Arc::new(properties::writer_properties(config, table)),
                parts: row_group::Part::all(&table.schema()),
                schema: arrow,
                schema_id: schema.schema_id(),
                spec_id,
            };
            Ok((table, Arc::new(encoder)))
        };
        Ok(Self { tables: tables.into_iter().map(encode).collect::<Result<_>>()? })
    }

    /// The rows as files, one a day, days ascending; no file if there is no row. The batches' schema is
    /// `table.schema()`.
    ///
    /// # Errors
    /// [`Error::Encode`] if a batch is of another schema.
    pub fn encode(&self, table: Table, batches: &[RecordBatch]) -> Result<Vec<EncodedFile>> {
        let mut files = self.open(table);
        batches.iter().try_for_each(|batch| files.write(batch))?;
        files.finish()
    }

    /// Files of the table, to be written batch by batch.
    ///
    /// # Panics
    /// If the warehouse has no such table: it makes an encoder for every one.
    pub fn open(&self, table: Table) -> OpenFiles {
        let encoder = self.tables.get(&table).expect("the warehouse makes an encoder for every table");
        OpenFiles::new(table, encoder.clone())
    }
}

#[cfg(test)]
mod tests;
