//! Functions of lists of times.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::error::Result;

/// `interval_variation(list of times)`: how uneven the times between one and the next are, as their standard deviation
/// divided by their mean. 0 is a clock, 1 is chance. NULL for fewer than three times, or if all are one.
pub(super) fn interval_variation(args: &[ArrayRef]) -> Result<ArrayRef> {
    let lists = args[0].as_list::<i32>().iter();
    let of =
        |list: Option<ArrayRef>| variation(list?.as_primitive::<TimestampMicrosecondType>().iter().flatten().collect());
    Ok(Arc::new(lists.map(of).collect::<Float64Array>()))
}

fn variation(mut times: Vec<i64>) -> Option<f64> {
    times.sort_unstable();
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let number = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / number;
    if gaps.len() < 2 || mean <= 0.0 {
        return None;
    }
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / number;
    Some(variance.sqrt() / mean)
}
