//! One value for each distinct address -> one array value for each row.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Int32Type;

use crate::addresses::Addresses;

/// Stands for null among the values of distinct addresses; real values are not negative.
pub(crate) const NULL: i32 = -1;

/// Clears `values` and fills it with [`NULL`] for "no address" and `f` of each distinct address.
pub(crate) fn for_each_address(
    values: &mut Vec<i32>,
    addresses: &Addresses,
    f: impl FnMut(crate::network::Address) -> i32,
) {
    values.clear();
    values.push(NULL);
    values.extend(addresses.distinct().iter().copied().map(f));
}

/// The integer column of rows whose addresses have these values.
pub(crate) fn integers(values: &[i32], rows: &[u32]) -> ArrayRef {
    let (values, nulls) = gather(values, rows);
    Arc::new(Int32Array::new(values.into(), nulls))
}

/// The keyword column of rows whose addresses have these dictionary keys.
pub(crate) fn keywords(keys: &[i32], rows: &[u32], dictionary: &Arc<StringArray>) -> ArrayRef {
    let (keys, nulls) = gather(keys, rows);
    let keys = Int32Array::new(keys.into(), nulls);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, dictionary.clone()))
}

fn gather(values: &[i32], rows: &[u32]) -> (Vec<i32>, Option<NullBuffer>) {
    let mut out: Vec<i32> = rows.iter().map(|&row| values[row as usize]).collect();
    if out.iter().all(|&v| v >= 0) {
        return (out, None);
    }
    let valid = BooleanBuffer::collect_bool(out.len(), |i| out[i] >= 0);
    out.iter_mut().for_each(|v| *v = (*v).max(0));
    (out, Some(NullBuffer::new(valid)))
}
