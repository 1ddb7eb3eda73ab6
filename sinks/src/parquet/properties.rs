//! How each kind of column is written.

use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use dataflow::schema::LeafSpec;
use dataflow::{LeafKind, Table};

use crate::WarehouseConfig;

/// Bytes of a string bound, in statistics and in manifests; Iceberg's own default.
pub(super) const BOUND_BYTES: usize = 16;

/// The fastest of zstd's ordinary levels.
pub(super) const ZSTD_LEVEL: i32 = 1;

pub(super) fn zstd_level() -> ZstdLevel {
    ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()
}

pub(super) fn writer_properties(config: &WarehouseConfig, table: Table) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd_level()))
        .set_dictionary_enabled(false)
        .set_bloom_filter_enabled(false)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(BOUND_BYTES))
        .set_max_row_group_row_count(Some(config.row_group_rows))
        .set_max_row_group_bytes(Some(config.row_group_bytes))
        // The form that readers on the JVM parse: of a writer that they do not know they distrust the statistics.
        .set_created_by(concat!("palisade version ", env!("CARGO_PKG_VERSION")).to_owned());
    for leaf in &table.layout().leaves {
        let column = column_path(&leaf.path);
        if !has_statistics(leaf) {
            builder = builder.set_column_statistics_enabled(column.clone(), EnabledStatistics::None);
        }
        // Each column that parquet compresses has contexts of its own, whose making costs more than a small range's numbers, which
        // are packed already. Our own chunks of keywords share one.
        if !is_compressed_by_parquet(leaf) {
            builder = builder.set_column_compression(column.clone(), Compression::UNCOMPRESSED);
        }
        builder = match leaf.kind {
            LeafKind::Keyword => builder.set_column_dictionary_enabled(column, true),
            LeafKind::I32 | LeafKind::I64 | LeafKind::Time => {
                builder.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
            }
            LeafKind::Text | LeafKind::Json | LeafKind::Binary | LeafKind::Bool => builder,
        };
    }
    builder.build()
}

fn is_compressed_by_parquet(leaf: &LeafSpec) -> bool {
    match leaf.kind {
        LeafKind::Keyword => leaf.path.contains("[]"),
        LeafKind::Text | LeafKind::Json | LeafKind::Binary => true,
        LeafKind::I32 | LeafKind::I64 | LeafKind::Time | LeafKind::Bool => false,
    }
}

/// Nobody prunes on JSON, and documents of one kind are alike up to their ends, so comparing them is dear. Of what is nested,
/// engines prune on numbers at most: the texts worth pruning on stand as hot columns too.
pub(super) fn has_statistics(leaf: &LeafSpec) -> bool {
    match leaf.kind {
        LeafKind::Json | LeafKind::Binary => false,
        LeafKind::Keyword | LeafKind::Text => !leaf.path.contains(['.', '[']),
        LeafKind::I32 | LeafKind::I64 | LeafKind::Time | LeafKind::Bool => true,
    }
}

/// `a[].b` is `a.list.element.b` in Parquet.
pub(super) fn column_path(path: &str) -> ColumnPath {
    let parts = path.split('.').flat_map(|part| match part.strip_suffix("[]") {
        Some(list) => vec![list.to_owned(), "list".to_owned(), "element".to_owned()],
        None => vec![part.to_owned()],
    });
    ColumnPath::new(parts.collect())
}
