//! A batch's rows by day of their `time` column, in order.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{max, min, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use dataflow::time::DAY_US;

/// The batch cut by day. A batch of one day, by far the most common, is passed on as it is.
pub(super) fn split(batch: &RecordBatch) -> Result<BTreeMap<i32, RecordBatch>, ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(BTreeMap::new());
    }
    let (low, high) = time_bounds(batch)?;
    if day_of(low) == day_of(high) {
        return Ok(BTreeMap::from([(day_of(low), batch.clone())]));
    }
    let mut days: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, &us) in times(batch)?.values().iter().enumerate() {
        days.entry(day_of(us)).or_default().push(row as u32);
    }
    let take = |(day, rows)| Ok((day, take_record_batch(batch, &UInt32Array::from(rows))?));
    days.into_iter().map(take).collect()
}

/// Lowest and highest `time`; zeros if there is no row.
pub(super) fn time_bounds(batch: &RecordBatch) -> Result<(i64, i64), ArrowError> {
    let times = times(batch)?;
    Ok((min(times).unwrap_or_default(), max(times).unwrap_or_default()))
}

fn day_of(us: i64) -> i32 {
    // i64 microseconds are within 106,751,991 days of 1970.
    us.div_euclid(DAY_US) as i32
}

fn times(batch: &RecordBatch) -> Result<&TimestampMicrosecondArray, ArrowError> {
    let column = batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    column.ok_or_else(|| ArrowError::SchemaError("no column time in microseconds".to_owned()))
}
