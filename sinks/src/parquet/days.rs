//! Rows by day of their `time` column, in order.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{max, min, take};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use dataflow::time::DAY_US;

/// The batches cut by day. A batch of one day, by far the most common, is passed on as it is.
pub(super) fn split(batches: &[RecordBatch]) -> Result<BTreeMap<i32, Vec<RecordBatch>>, ArrowError> {
    let mut days: BTreeMap<i32, Vec<RecordBatch>> = BTreeMap::new();
    for batch in batches.iter().filter(|b| b.num_rows() > 0) {
        let (low, high) = time_bounds(std::slice::from_ref(batch));
        if day_of(low) == day_of(high) {
            days.entry(day_of(low)).or_default().push(batch.clone());
            continue;
        }
        for (day, rows) in rows_by_day(batch)? {
            days.entry(day).or_default().push(take_rows(batch, rows)?);
        }
    }
    Ok(days)
}

/// Lowest and highest `time` over all rows; zeros if there is none.
pub(super) fn time_bounds(batches: &[RecordBatch]) -> (i64, i64) {
    let bounds = batches.iter().filter_map(|batch| {
        let times = times(batch).ok()?.as_primitive::<TimestampMicrosecondType>();
        Some((min(times)?, max(times)?))
    });
    bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default()
}

fn day_of(us: i64) -> i32 {
    // i64 microseconds are within 106,751,991 days of 1970.
    us.div_euclid(DAY_US) as i32
}

fn times(batch: &RecordBatch) -> Result<&ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError("no column time in microseconds".to_owned());
    let column = batch.column_by_name("time").ok_or_else(missing)?;
    column.as_primitive_opt::<TimestampMicrosecondType>().map(|_| column).ok_or_else(missing)
}

fn rows_by_day(batch: &RecordBatch) -> Result<BTreeMap<i32, Vec<u32>>, ArrowError> {
    let times = times(batch)?.as_primitive::<TimestampMicrosecondType>();
    let mut days: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, &us) in times.values().iter().enumerate() {
        days.entry(day_of(us)).or_default().push(row as u32);
    }
    Ok(days)
}

fn take_rows(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, ArrowError> {
    let rows = UInt32Array::from(rows);
    let columns: Result<Vec<ArrayRef>, ArrowError> = batch.columns().iter().map(|c| take(c, &rows, None)).collect();
    RecordBatch::try_new(batch.schema(), columns?)
}
