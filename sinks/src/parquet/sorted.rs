//! The rows of a file by tenant and time, so that readers who ask for either skip row groups.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::slots;

/// The columns, in order; both ascend, and neither is ever null.
pub(crate) const SORT_COLUMNS: [&str; 2] = ["tenant_uid", "time"];

/// Rows of a batch that is made.
const BATCH_ROWS: usize = 8192;

/// Where a row is: batch and row.
type Place = (usize, usize);

/// All rows of the batches, in order. Rows of the same tenant and time keep theirs.
pub(super) fn sorted(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, ArrowError> {
    let places = places(batches)?;
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    places.chunks(BATCH_ROWS).map(|places| interleave_record_batch(&batches, places)).collect()
}

fn places(batches: &[RecordBatch]) -> Result<Vec<Place>, ArrowError> {
    let mut tenants: BTreeMap<String, Vec<(i64, Place)>> = BTreeMap::new();
    for (nth, batch) in batches.iter().enumerate() {
        let missing = || ArrowError::SchemaError(format!("no column {}", SORT_COLUMNS[0]));
        let names = cast(batch.column_by_name(SORT_COLUMNS[0]).ok_or_else(missing)?, &DataType::Utf8)?;
        let (names, times) = (names.as_string::<i32>(), slots::times(batch)?);
        for row in 0..batch.num_rows() {
            let name = if names.is_valid(row) { names.value(row) } else { "" };
            let rows = match tenants.get_mut(name) {
                Some(rows) => rows,
                None => tenants.entry(name.to_owned()).or_default(),
            };
            rows.push((times.value(row), (nth, row)));
        }
    }
    tenants.values_mut().for_each(|rows| rows.sort_unstable());
    Ok(tenants.into_values().flatten().map(|(_, place)| place).collect())
}
