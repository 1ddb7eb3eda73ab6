//! A batch's rows by the partition that their `time` is in, in order.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{max, min, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::granularity::Granularity;

/// The batch cut by slot. A batch of one slot, by far the most common, is passed on as it is.
pub(super) fn split(batch: &RecordBatch, by: Granularity) -> Result<BTreeMap<i32, RecordBatch>, ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(BTreeMap::new());
    }
    let (low, high) = time_bounds(batch)?;
    if by.slot(low) == by.slot(high) {
        return Ok(BTreeMap::from([(by.slot(low), batch.clone())]));
    }
    let mut slots: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, &us) in times(batch)?.values().iter().enumerate() {
        slots.entry(by.slot(us)).or_default().push(row as u32);
    }
    let take = |(slot, rows)| Ok((slot, take_record_batch(batch, &UInt32Array::from(rows))?));
    slots.into_iter().map(take).collect()
}

/// Lowest and highest `time`; zeros if there is no row.
pub(super) fn time_bounds(batch: &RecordBatch) -> Result<(i64, i64), ArrowError> {
    let times = times(batch)?;
    Ok((min(times).unwrap_or_default(), max(times).unwrap_or_default()))
}

pub(super) fn times(batch: &RecordBatch) -> Result<&TimestampMicrosecondArray, ArrowError> {
    let column = batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    column.ok_or_else(|| ArrowError::SchemaError("no column time in microseconds".to_owned()))
}
