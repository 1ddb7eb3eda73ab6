use std::collections::HashMap;
use std::ops::Range;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::{Compression, Encoding};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int64Type};
use dataflow::{LeafKind, Table};
use iceberg::spec::TableMetadataBuilder;

use super::*;
use crate::warehouse::tests::{NOON, partition, rows, text};

const DAY: i64 = dataflow::time::DAY_US;

/// An encoder without a catalog: field ids as a new table gets them.
fn encoder(config: &WarehouseConfig) -> Encoder {
    let encoder = Encoder::default();
    for table in Table::ALL {
        let metadata = metadata(table);
        encoder.add(config, table.into(), &metadata).expect("the table is as we made it");
    }
    encoder
}

/// A new table's.
fn metadata(table: Table) -> TableMetadata {
    let schema = crate::warehouse::schema::iceberg_schema(table).expect("converts");
    let spec = crate::warehouse::schema::partition_spec(table, &schema).expect("a column time");
    let order = iceberg::spec::SortOrder::unsorted_order();
    let version = iceberg::spec::FormatVersion::V2;
    let builder = TableMetadataBuilder::new(schema, spec, order, "/w".to_owned(), version, HashMap::new());
    builder.expect("valid").build().expect("valid").metadata
}

fn encode(table: Table, offsets: Range<i64>) -> Vec<EncodedFile> {
    encoder(&WarehouseConfig::default()).encode(table, &[rows(table, &partition(0), offsets)]).expect("encodes")
}

fn decode(file: &EncodedFile) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone()).expect("a Parquet file");
    reader.build().expect("a reader").map(|b| b.expect("reads")).collect()
}

fn metrics<'a>(file: &'a EncodedFile, path: &str) -> &'a ColumnMetrics {
    let schema = crate::warehouse::schema::iceberg_schema(file.table.table()).expect("converts");
    let id = schema.field_by_name(path).expect("a column").id;
    file.columns.iter().find(|c| c.id == id).expect("every leaf has metrics")
}

#[test]
fn every_table_comes_back_as_it_was_one_file_a_day() {
    for table in Table::ALL {
        let batch = rows(table, &partition(0), 0..50);
        let files = encode(table, 0..50);
        assert_eq!(files.len(), 3, "{table}");
        let read: Vec<RecordBatch> = files.iter().flat_map(decode).collect();
        assert_eq!(text(&read), text(&[batch]), "{table}");
        assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), 50);
        for (nth, file) in files.iter().enumerate() {
            assert_eq!(i64::from(file.slot), NOON / DAY + nth as i64);
            assert!(file.time_min.div_euclid(DAY) == i64::from(file.slot), "{}", file.time_min);
            assert!(file.time_max.div_euclid(DAY) == i64::from(file.slot) && file.time_max > file.time_min);
        }
    }
}

#[test]
fn rows_keep_their_order_within_a_day_over_batches() {
    let table = Table::BaseEvent;
    let batches =
        [rows(table, &partition(0), 7..30), rows(table, &partition(0), 0..7), rows(table, &partition(0), 0..0)];
    let files = encoder(&WarehouseConfig::default()).encode(table, &batches).expect("encodes");
    let offsets = |file: &EncodedFile| -> Vec<i64> {
        let read = decode(file);
        read.iter().flat_map(|b| b["_offset"].as_primitive::<Int64Type>().values().to_vec()).collect()
    };
    assert_eq!(offsets(&files[0]), [9, 12, 15, 18, 21, 24, 27, 0, 3, 6]);
    assert!(encoder(&WarehouseConfig::default()).encode(table, &batches[2..]).expect("encodes").is_empty());
    assert!(encoder(&WarehouseConfig::default()).encode(table, &[]).expect("encodes").is_empty());
}

#[test]
fn rows_are_sorted_by_tenant_and_time_if_that_is_wanted() {
    let table = Table::DnsActivity;
    let of = |tenant: &str, offsets: Range<i64>| {
        let batch = rows(table, &partition(0), offsets);
        let at = batch.schema().index_of("tenant_uid").expect("a column");
        let names: arrow::array::StringArray = (0..batch.num_rows()).map(|_| Some(tenant)).collect();
        let mut columns = batch.columns().to_vec();
        columns[at] = arrow::compute::cast(&names, columns[at].data_type()).expect("a keyword");
        RecordBatch::try_new(batch.schema(), columns).expect("the same columns")
    };
    let batches = [of("globex", 5..60), of("acme", 70..90), of("globex", 0..5), of("acme", 60..70)];
    let plain = encoder(&WarehouseConfig::default()).encode(table, &batches).expect("encodes");
    let config = WarehouseConfig { sort_rows: true, row_group_rows: 7, ..WarehouseConfig::default() };
    let files = encoder(&config).encode(table, &batches).expect("encodes");
    for (file, plain) in files.iter().zip(&plain) {
        assert_eq!(text(&decode(file)), text(&decode(plain)), "the same rows, though in another order");
        let mut keys = Vec::new();
        for batch in decode(file) {
            let tenants = arrow::compute::cast(batch.column_by_name("tenant_uid").expect("a column"), &DataType::Utf8);
            let (tenants, times) = (tenants.expect("text"), slots::times(&batch).expect("times"));
            let tenants = tenants.as_string::<i32>();
            keys.extend((0..batch.num_rows()).map(|row| (tenants.value(row).to_owned(), times.value(row))));
        }
        assert!(keys.is_sorted() && keys.first() != keys.last(), "{keys:?}");
        assert_eq!(
            (file.slot, file.rows, file.time_min, file.time_max),
            (plain.slot, plain.rows, plain.time_min, plain.time_max)
        );
    }
    assert_eq!(files.len(), plain.len());
}

#[test]
fn a_clock_that_names_many_slots_opens_few_files_at_a_time() {
    let table = Table::BaseEvent;
    let batch = rows(table, &partition(0), 0..40);
    let times = TimestampMicrosecondArray::from_iter_values((0..40).map(|n| NOON + (n % 20) * DAY));
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of("time").expect("there")] = Arc::new(times.with_timezone(dataflow::schema::UTC));
    let batch = RecordBatch::try_new(batch.schema(), columns).expect("a batch");
    let mut open = encoder(&WarehouseConfig::default()).open(table);
    assert_eq!(open.bytes(), 0);
    open.write(&batch.slice(0, 30)).expect("written");
    open.write(&batch.slice(30, 10)).expect("written");
    assert_eq!(open.slots_open(), 4);
    assert!(open.bytes() > 0);
    let files = open.finish().expect("encodes");
    assert_eq!(files.iter().map(|f| i64::from(f.slot) - NOON / DAY).collect::<Vec<_>>(), Vec::from_iter(0..20));
    assert!(files.iter().all(|f| f.rows == 2 && f.time_min == f.time_max));
}

#[test]
fn columns_are_written_as_their_kind_wants() {
    for table in Table::ALL {
        let file = &encode(table, 0..200)[0];
        let reader = SerializedFileReader::new(file.bytes.clone()).expect("a Parquet file");
        let footer = reader.metadata();
        assert!(footer.file_metadata().key_value_metadata().is_none(), "no embedded Arrow schema");
        let kinds: std::collections::HashMap<String, LeafKind> =
            table.layout().leaves.iter().map(|l| (properties::column_path(&l.path).string(), l.kind)).collect();
        assert_eq!(footer.row_group(0).num_columns(), kinds.len());
        let mut dictionaries = 0;
        for chunk in footer.row_group(0).columns() {
            let path = chunk.column_path().string();
            let kind = kinds.get(&path).unwrap_or_else(|| panic!("{table}: {path} is no leaf"));
            let dictionary = chunk.dictionary_page_offset().is_some();
            // A column without a value has no dictionary.
            let numbered = chunk.encodings().any(|e| e == Encoding::RLE_DICTIONARY);
            assert!(numbered == dictionary && (*kind == LeafKind::Keyword || !dictionary), "{table} {path}");
            dictionaries += usize::from(dictionary);
            let delta = chunk.encodings().any(|e| e == Encoding::DELTA_BINARY_PACKED);
            assert_eq!(delta, matches!(kind, LeafKind::I32 | LeafKind::I64 | LeafKind::Time), "{table} {path}");
            let is_number = matches!(kind, LeafKind::I32 | LeafKind::I64 | LeafKind::Time | LeafKind::Bool);
            assert_eq!(chunk.compression() == Compression::UNCOMPRESSED, is_number, "{table} {path}");
            assert!(chunk.bloom_filter_offset().is_none(), "{table} {path}");
            let is_nested_text = path.contains('.') && matches!(kind, LeafKind::Keyword | LeafKind::Text);
            let is_opaque = matches!(kind, LeafKind::Json | LeafKind::Binary);
            assert_eq!(chunk.statistics().is_none(), is_nested_text || is_opaque, "{table} {path}");
            assert!(chunk.column_descr().self_type().get_basic_info().has_id(), "{table} {path} has no field id");
        }
        assert!(dictionaries > 3, "{table} has keywords");
    }
}

#[test]
fn manifests_learn_counts_and_bounds() {
    // Day 0 holds offsets 0, 3, .., 27.
    let file = &encode(Table::NetworkActivity, 0..30)[0];
    let long =
        |bytes: &Option<Vec<u8>>| i64::from_le_bytes(bytes.as_deref().expect("a bound")[..8].try_into().expect("8"));
    let offset = metrics(file, "_offset");
    assert_eq!((offset.values, offset.nulls), (Some(10), Some(0)));
    assert_eq!((long(&offset.lower), long(&offset.upper)), (0, 27));
    let time = metrics(file, "time");
    assert_eq!((long(&time.lower), long(&time.upper)), (file.time_min, file.time_max));
    let topic = metrics(file, "_topic");
    assert_eq!((topic.lower.as_deref(), topic.upper.as_deref()), (Some(&b"fw"[..]), Some(&b"fw"[..])));
    let message = metrics(file, "message");
    assert_eq!(message.values, Some(10));
    if message.nulls != Some(10) {
        let (low, high) = (message.lower.as_deref().expect("low"), message.upper.as_deref().expect("high"));
        assert!(low.len() <= 16 && high.len() <= 16 && low < high, "bounds are cut at 16 bytes");
        assert!(std::str::from_utf8(low).is_ok() && std::str::from_utf8(high).is_ok(), "cut between characters");
    }
    let list = metrics(file, "metadata.labels.element");
    assert_eq!((list.values, list.nulls, &list.lower), (None, None, &None), "a list counts elements, not rows");
    let json = metrics(file, "unmapped");
    assert!(json.lower.is_none() && json.values == Some(10), "nobody prunes on JSON");
    assert!(file.columns.iter().all(|c| c.bytes > 0));
}

#[test]
fn bounds_hold_over_all_row_groups_negative_numbers_included() {
    let config = WarehouseConfig { row_group_rows: 4, ..WarehouseConfig::default() };
    let table = Table::NetworkActivity;
    let file = &encoder(&config).encode(table, &[rows(table, &partition(0), 0..30)]).expect("encodes")[0];
    let whole = &encode(table, 0..30)[0];
    assert_eq!((file.split_offsets.len(), whole.split_offsets.len()), (3, 1));
    let mut negative = 0;
    for (a, b) in file.columns.iter().zip(&whole.columns) {
        let of = |c: &ColumnMetrics| (c.id, c.values, c.nulls, c.lower.clone(), c.upper.clone());
        assert_eq!(of(a), of(b));
        negative += usize::from(a.lower.as_deref().is_some_and(|l| l.len() == 8 && l[7] == 0xff));
    }
    assert!(negative > 0, "the rows have negative numbers");
}

#[test]
fn a_batch_of_another_table_is_an_error() {
    let encoder = encoder(&WarehouseConfig::default());
    let wrong = rows(Table::DeadLetter, &partition(0), 0..3);
    for table in Table::EVENTS {
        let error = encoder.encode(table, std::slice::from_ref(&wrong)).expect_err("refused");
        assert!(error.to_string().starts_with(&format!("cannot encode rows of {table}: ")), "{error}");
    }
    let keep = wrong.schema().index_of("time").expect("there");
    let others: Vec<usize> = (0..wrong.num_columns()).filter(|&i| i != keep).collect();
    let timeless = wrong.project(&others).expect("projects");
    assert!(encoder.encode(Table::DeadLetter, &[timeless]).is_err());
}
