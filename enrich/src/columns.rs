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

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::network::Address;
    use crate::testing::{batch, texts};

    /// Values 0, 1, ... for distinct addresses in the order they come; addresses above 192.0.2.99 have none.
    fn values(addresses: &Addresses) -> Vec<i32> {
        let (mut values, mut next) = (vec![7, 7, 7], 0);
        for_each_address(&mut values, addresses, |address| {
            if address.0 > Address::from_v4(0xc000_0263).0 {
                return NULL;
            }
            next += 1;
            next - 1
        });
        values
    }

    #[test]
    fn rows_get_the_value_of_their_address() {
        let mut addresses = Addresses::new();
        addresses.read(&batch(&[
            (Some("192.0.2.1"), Some("192.0.2.1")),
            (Some("192.0.2.2"), None),
            (Some("192.0.2.100"), Some("192.0.2.1")),
        ]));
        let values = values(&addresses);
        let src = integers(&values, addresses.src());
        let numbers: Vec<_> = src.as_primitive::<Int32Type>().iter().collect();
        assert_eq!(numbers, [Some(0), Some(1), None]);
        let dictionary = Arc::new(StringArray::from(vec!["zero", "one"]));
        let dst = keywords(&values, addresses.dst(), &dictionary);
        assert_eq!(texts(&dst), [Some("zero".to_owned()), None, Some("zero".to_owned())]);
    }

    #[test]
    fn a_column_without_nulls_has_no_null_buffer() {
        let all = integers(&[NULL, 4, 5], &[1, 2, 1]);
        assert!(all.nulls().is_none());
        let none = keywords(&[NULL], &[0, 0], &Arc::new(StringArray::from(Vec::<&str>::new())));
        assert_eq!((none.len(), none.null_count()), (2, 2), "an empty dictionary is good enough for nulls");
        assert_eq!(keywords(&[NULL], &[], &Arc::new(StringArray::from(vec!["x"]))).len(), 0);
    }
}
