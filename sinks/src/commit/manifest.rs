//! From the ledger's words about a file to those of Iceberg's manifest.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Schema, Struct, TableMetadata};
use iceberg::{Error, ErrorKind, Result};

use crate::granularity::Granularity;
use crate::ledger::{ColumnMetrics, StagedFile};

/// The files as a manifest names them.
pub(super) fn data_files(metadata: &TableMetadata, files: &[StagedFile]) -> Result<Vec<DataFile>> {
    files.iter().map(|file| data_file(metadata, file)).collect()
}

fn data_file(metadata: &TableMetadata, file: &StagedFile) -> Result<DataFile> {
    let (schema, spec) = (metadata.current_schema(), metadata.default_partition_spec());
    let granularity = Granularity::of(metadata, spec).filter(|_| file.spec_id == metadata.default_partition_spec_id());
    let granularity = granularity.ok_or_else(|| {
        let what = format!(
            "{} waits, of partition spec {}, but the table has {} now: change the spec back, let the workers commit what waits \
             and stop, then change it (docs/maintenance.md)",
            file.location,
            file.spec_id,
            metadata.default_partition_spec_id()
        );
        Error::new(ErrorKind::DataInvalid, what)
    })?;
    let columns = &file.columns;
    let counts = |of: fn(&ColumnMetrics) -> Option<u64>| -> HashMap<i32, u64> {
        columns.iter().filter_map(|c| Some((c.id, of(c)?))).collect()
    };
    let mut builder = DataFileBuilder::default();
    if let Some(id) = file.sort_order_id {
        builder.sort_order_id(id);
    }
    builder
        .content(DataContentType::Data)
        .file_path(file.location.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(granularity.literal(file.slot))]))
        .partition_spec_id(file.spec_id)
        .record_count(file.rows)
        .file_size_in_bytes(file.bytes)
        .column_sizes(counts(|c| Some(c.bytes)))
        .value_counts(counts(|c| c.values))
        .null_value_counts(counts(|c| c.nulls))
        .lower_bounds(bounds(schema, columns, |c| c.lower.as_deref())?)
        .upper_bounds(bounds(schema, columns, |c| c.upper.as_deref())?)
        .split_offsets(Some(file.split_offsets.clone()))
        .build()
        .map_err(|e| Error::new(ErrorKind::DataInvalid, format!("{}: {e}", file.location)))
}

/// A column that the table no longer has is left out: a bound is a hint.
fn bounds(
    schema: &Schema,
    columns: &[ColumnMetrics],
    of: fn(&ColumnMetrics) -> Option<&[u8]>,
) -> Result<HashMap<i32, Datum>> {
    let mut bounds = HashMap::new();
    for column in columns {
        let kind = schema.field_by_id(column.id).and_then(|f| f.field_type.as_primitive_type());
        if let (Some(bytes), Some(kind)) = (of(column), kind) {
            bounds.insert(column.id, Datum::try_from_bytes(bytes, kind.clone())?);
        }
    }
    Ok(bounds)
}
