//! Which merge group a key belongs to: the CRC-32 of its tenant and key, modulo the number of groups.
//!
//! ```text
//! group = CRC-32(["tenant",key,...]) mod G        CRC-32/ISO-HDLC (zlib's) of the JSON list in UTF-8
//! ```
//!
//! The JSON is that of alert ids ([`crate::alert::alert_id`]): it depends on values alone, never on a process, a release or
//! an Arrow type, and anyone can recompute it. The rule is no part of it: all rules see one key in one group.

use std::num::NonZeroU32;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;

use crate::json::push_row;

/// The group of one row of some columns: tenant, then keys. `text` is room to write in.
pub(crate) fn group_of(columns: &[&dyn Array], row: usize, groups: NonZeroU32, text: &mut String) -> u32 {
    text.clear();
    push_row(text, columns, row);
    crc32fast::hash(text.as_bytes()) % groups
}

/// A state's rows group by group, in their order. `key`: the columns of tenant and keys.
pub(crate) fn split(
    state: RecordBatch,
    key: std::ops::Range<usize>,
    groups: NonZeroU32,
) -> Result<Vec<RecordBatch>, ArrowError> {
    if groups.get() == 1 {
        return Ok(vec![state]);
    }
    let columns: Vec<&dyn Array> = state.columns()[key].iter().map(AsRef::as_ref).collect();
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); groups.get() as usize];
    let mut text = String::new();
    for row in 0..state.num_rows() {
        rows[group_of(&columns, row, groups, &mut text) as usize].push(row as u32);
    }
    rows.into_iter().map(|rows| take_record_batch(&state, &UInt32Array::from(rows))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

    use super::*;

    fn groups(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("above zero")
    }

    fn state(keys: &[&str]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("pane", Arc::new(Int64Array::from_iter_values(0..keys.len() as i64))),
            ("tenant_uid", Arc::new(StringArray::from(vec!["acme"; keys.len()]))),
            ("key0", Arc::new(StringArray::from(keys.to_vec()))),
        ];
        RecordBatch::try_from_iter(columns).expect("a state")
    }

    #[test]
    fn a_group_never_changes_between_releases() {
        let tenants: ArrayRef = Arc::new(StringArray::from(vec!["acme", "acme", "globex", "é\""]));
        let ips: ArrayRef = Arc::new(StringArray::from(vec![Some("10.0.0.1"), None, Some("10.0.0.1"), Some("")]));
        let ports: ArrayRef = Arc::new(Int32Array::from(vec![Some(22), Some(22), None, Some(-1)]));
        let columns = [tenants.as_ref(), ips.as_ref(), ports.as_ref()];
        let mut text = String::new();
        let of = |row, n, text: &mut String| group_of(&columns, row, groups(n), text);
        // As zlib.crc32 gives them.
        for (row, json, sixteenth, thousandth) in WANT {
            assert_eq!((of(row, 16, &mut text), of(row, 1_000, &mut text)), (sixteenth, thousandth), "{json}");
            assert_eq!(text, json);
            assert_eq!(of(row, 1, &mut text), 0);
        }
    }

    const WANT: [(usize, &str, u32, u32); 4] = [
        (0, r#"["acme","10.0.0.1",22]"#, 3, 611),
        (1, r#"["acme",null,22]"#, 2, 242),
        (2, r#"["globex","10.0.0.1",null]"#, 5, 117),
        (3, r#"["é\"","",-1]"#, 3, 707),
    ];

    #[test]
    fn the_type_of_a_number_does_not_matter() {
        let (short, long): (ArrayRef, ArrayRef) =
            (Arc::new(Int32Array::from(vec![443])), Arc::new(Int64Array::from(vec![443])));
        let of = |array: &ArrayRef| group_of(&[array.as_ref()], 0, groups(1 << 20), &mut String::new());
        assert_eq!(of(&short), of(&long));
    }

    #[test]
    fn every_row_goes_to_one_group_and_keeps_its_place_among_its_own() {
        let keys: Vec<String> = (0..100).map(|i| format!("10.0.0.{}", i % 40)).collect();
        let whole = state(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let parts = split(whole.clone(), 1..3, groups(4)).expect("split");
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
        for (group, part) in (0..).zip(&parts) {
            assert!(part.num_rows() > 0);
            let rows = crate::tests::integers(part.column(0));
            assert!(rows.is_sorted(), "{rows:?}");
            let columns = [part.column(1).as_ref(), part.column(2).as_ref()];
            let of = |row| group_of(&columns, row, groups(4), &mut String::new());
            assert!((0..part.num_rows()).all(|row| of(row) == group));
        }
        assert_eq!(split(whole.clone(), 1..3, groups(1)).expect("one"), [whole]);
    }

    #[test]
    fn addresses_spread_over_the_groups() {
        let keys: Vec<String> = (0..16_000).map(|i| format!("10.{}.{}.{}", i % 3, i / 250 % 250, i % 250)).collect();
        let whole = state(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        for part in split(whole, 1..3, groups(16)).expect("split") {
            assert!((850..=1_150).contains(&part.num_rows()), "{} of 16,000", part.num_rows());
        }
    }
}
