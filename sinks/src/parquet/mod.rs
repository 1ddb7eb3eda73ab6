//! Batches to Parquet files, one a day of `time`: synchronous, in memory, on the thread that owns the rows.
//!
//! Dictionary encoding on keyword columns only, DELTA_BINARY_PACKED integers and times, zstd(1), statistics a row group,
//! no bloom filters, no embedded Arrow schema (so that keywords read as plain strings), Iceberg field ids.
//! Rows keep their order within a day.

mod days;
mod footer;
mod metrics;
mod properties;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use dataflow::Table;
use iceberg::spec::SchemaRef as IcebergSchemaRef;

use crate::ledger::ColumnMetrics;
use crate::step::{self, Step};
use crate::warehouse::schema::with_field_ids;
use crate::{Error, Result, WarehouseConfig};

pub use footer::footer_rows;

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
    tables: Arc<BTreeMap<Table, TableEncoder>>,
}

/// How one table is encoded.
#[derive(Debug)]
struct TableEncoder {
    /// Our columns with Iceberg's field ids.
    schema: SchemaRef,
    properties: WriterProperties,
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
                properties: properties::writer_properties(config, table),
                schema: arrow,
                schema_id: schema.schema_id(),
                spec_id,
            };
            Ok((table, encoder))
        };
        let tables: Result<BTreeMap<Table, TableEncoder>> = tables.into_iter().map(encode).collect();
        Ok(Self { tables: Arc::new(tables?) })
    }

    /// The rows as files, one a day, days ascending; no file if there is no row. The batches' schema is
    /// `table.schema()`.
    ///
    /// # Errors
    /// [`Error::Encode`] if a batch is of another schema.
    pub fn encode(&self, table: Table, batches: &[RecordBatch]) -> Result<Vec<EncodedFile>> {
        let fail = |source: ParquetError| Error::Encode { table, source };
        let encoder = self.tables.get(&table).expect("the warehouse makes an encoder for every table");
        let days = days::split(batches).map_err(|e| fail(e.into()))?;
        let files: Result<Vec<EncodedFile>> =
            days.iter().map(|(day, rows)| encoder.encode_day(table, *day, rows).map_err(fail)).collect();
        step::reached(Step::FilesEncoded);
        files
    }
}

impl TableEncoder {
    fn encode_day(
        &self,
        table: Table,
        day: i32,
        batches: &[RecordBatch],
    ) -> std::result::Result<EncodedFile, ParquetError> {
        let options = ArrowWriterOptions::new().with_properties(self.properties.clone()).with_skip_arrow_metadata(true);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new_with_options(&mut bytes, self.schema.clone(), options)?;
        for batch in batches {
            writer.write(batch)?;
        }
        let footer = writer.close()?;
        let (time_min, time_max) = days::time_bounds(batches);
        Ok(EncodedFile {
            table,
            day,
            rows: footer.file_metadata().num_rows().unsigned_abs(),
            bytes: bytes.into(),
            time_min,
            time_max,
            schema_id: self.schema_id,
            spec_id: self.spec_id,
            split_offsets: footer.row_groups().iter().filter_map(|g| g.file_offset()).collect(),
            columns: metrics::column_metrics(&self.leaves, &footer),
        })
    }
}

#[cfg(test)]
mod tests;
