//! From a Parquet footer to what Iceberg's manifest says of the columns.

use std::collections::HashSet;

use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use ::parquet::file::statistics::Statistics;
use arrow::datatypes::{DataType, Field, Schema};
use dataflow::{LeafKind, Table};

use super::properties::column_path;
use crate::ledger::ColumnMetrics;
use crate::warehouse::schema::field_id;

/// A leaf column of the file.
#[derive(Debug, Clone)]
pub(super) struct LeafColumn {
    id: i32,
    /// In a list: readers count elements there, not rows, so no counts and no bounds are given.
    repeated: bool,
    /// Whether bounds help anybody: not for JSON text and bytes.
    bounded: bool,
}

/// The leaf columns in the order of the file.
pub(super) fn leaf_columns(table: Table, schema: &Schema) -> Vec<LeafColumn> {
    let unbounded: HashSet<String> = table
        .layout()
        .leaves
        .iter()
        .filter(|l| matches!(l.kind, LeafKind::Json | LeafKind::Binary))
        .map(|l| column_path(&l.path).string())
        .collect();
    let mut leaves = Vec::new();
    for field in schema.fields() {
        collect(field, field.name().clone(), false, &mut |path, id, repeated| {
            leaves.push(LeafColumn { id, repeated, bounded: !repeated && !unbounded.contains(path) });
        });
    }
    leaves
}

fn collect(field: &Field, path: String, repeated: bool, push: &mut impl FnMut(&str, i32, bool)) {
    match field.data_type() {
        DataType::Struct(fields) => {
            for child in fields {
                collect(child, format!("{path}.{}", child.name()), repeated, push);
            }
        }
        DataType::List(element) => collect(element, format!("{path}.list.element"), true, push),
        _ => push(&path, field_id(field).unwrap_or_default(), repeated),
    }
}

/// What the footer says, summed over the row groups.
pub(super) fn column_metrics(leaves: &[LeafColumn], footer: &ParquetMetaData) -> Vec<ColumnMetrics> {
    let mut all: Vec<ColumnMetrics> = leaves.iter().map(|l| ColumnMetrics { id: l.id, ..Default::default() }).collect();
    for group in footer.row_groups() {
        for ((leaf, metrics), chunk) in leaves.iter().zip(&mut all).zip(group.columns()) {
            metrics.bytes += chunk.compressed_size().unsigned_abs();
            if !leaf.repeated {
                add_counts(metrics, chunk);
            }
            if leaf.bounded {
                widen(metrics, chunk.statistics());
            }
        }
    }
    all
}

fn add_counts(metrics: &mut ColumnMetrics, chunk: &ColumnChunkMetaData) {
    *metrics.values.get_or_insert(0) += chunk.num_values().unsigned_abs();
    if let Some(statistics) = chunk.statistics() {
        *metrics.nulls.get_or_insert(0) += statistics.null_count_opt().unwrap_or(0);
    }
}

/// Takes a row group's bounds in. A group of nulls only has none and widens nothing.
fn widen(metrics: &mut ColumnMetrics, statistics: Option<&Statistics>) {
    let Some(statistics) = statistics else { return };
    let (Some(low), Some(high)) = (statistics.min_bytes_opt(), statistics.max_bytes_opt()) else { return };
    let below = |a: &[u8], b: &[u8]| is_below(statistics, a, b);
    if metrics.lower.as_deref().is_none_or(|l| below(low, l)) {
        metrics.lower = Some(low.to_vec());
    }
    if metrics.upper.as_deref().is_none_or(|u| below(u, high)) {
        metrics.upper = Some(high.to_vec());
    }
}

/// Parquet's plain encoding of our types is Iceberg's single-value serialization: little-endian integers, one byte for a
/// boolean, UTF-8. Strings compare by bytes.
fn is_below(statistics: &Statistics, a: &[u8], b: &[u8]) -> bool {
    let int = |x: &[u8]| x.iter().rev().fold(sign(x), |n, &byte| n << 8 | i64::from(byte));
    match statistics {
        Statistics::Int32(_) | Statistics::Int64(_) => int(a) < int(b),
        _ => a < b,
    }
}

fn sign(little_endian: &[u8]) -> i64 {
    if little_endian.last().is_some_and(|&top| top >= 0x80) { -1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use ::parquet::data_type::ByteArray;
    use ::parquet::file::statistics::ValueStatistics;

    use super::*;

    fn widened(groups: &[Option<Statistics>]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let mut metrics = ColumnMetrics::default();
        groups.iter().for_each(|g| widen(&mut metrics, g.as_ref()));
        (metrics.lower, metrics.upper)
    }

    proptest::proptest! {
        #[test]
        fn integer_bounds_are_those_of_all_groups(groups in proptest::collection::vec((i64::MIN.., 0i64..=i64::MAX), 1..9)) {
            let pairs: Vec<(i64, i64)> = groups.iter().map(|&(a, add)| (a, a.saturating_add(add))).collect();
            let stats = |&(low, high): &(i64, i64)| Some(Statistics::Int64(ValueStatistics::new(Some(low), Some(high), None, None, false)));
            let (lower, upper) = widened(&pairs.iter().map(stats).collect::<Vec<_>>());
            let low = pairs.iter().map(|p| p.0).min().expect("some").to_le_bytes().to_vec();
            let high = pairs.iter().map(|p| p.1).max().expect("some").to_le_bytes().to_vec();
            assert_eq!((lower, upper), (Some(low), Some(high)));
            let small = |&(low, high): &(i64, i64)| {
                let (low, high) = ((low >> 32) as i32, (high >> 32) as i32);
                Some(Statistics::Int32(ValueStatistics::new(Some(low), Some(high), None, None, false)))
            };
            let (lower, _) = widened(&pairs.iter().map(small).collect::<Vec<_>>());
            let low = pairs.iter().map(|p| (p.0 >> 32) as i32).min().expect("some").to_le_bytes().to_vec();
            assert_eq!(lower, Some(low));
        }
    }

    #[test]
    fn groups_of_nulls_and_groups_without_statistics_widen_nothing() {
        let text = |low: &str, high: &str| {
            Some(Statistics::ByteArray(ValueStatistics::new(
                Some(ByteArray::from(low)),
                Some(ByteArray::from(high)),
                None,
                None,
                false,
            )))
        };
        let nulls = Some(Statistics::ByteArray(ValueStatistics::new(None, None, None, Some(4), false)));
        assert_eq!(widened(&[nulls.clone(), None]), (None, None));
        let (lower, upper) = widened(&[nulls.clone(), text("b", "d"), nulls, text("a", "é")]);
        assert_eq!((lower.as_deref(), upper.as_deref()), (Some(&b"a"[..]), Some("é".as_bytes())));
    }
}
