use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{DictionaryArray, Int32Array, ListArray, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use proptest::collection::vec;
use proptest::option;

use super::*;

/// What a row holds; an inner `None` is a null struct, an outer one a null above it.
#[derive(Debug, Clone)]
struct Row {
    plain: Option<String>,
    inner: Option<(Option<String>, i32, Option<Option<String>>)>,
    list: Vec<String>,
    required: String,
}

fn keyword_type() -> DataType {
    DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())
}

fn schema() -> SchemaRef {
    let keyword = |name| Field::new(name, keyword_type(), true);
    let deep = DataType::Struct(vec![keyword("deepest")].into());
    let inner = vec![keyword("name"), Field::new("number", DataType::Int32, true), Field::new("deep", deep, true)];
    Arc::new(Schema::new(vec![
        keyword("plain"),
        Field::new("inner", DataType::Struct(inner.into()), true),
        Field::new("list", DataType::List(Arc::new(Field::new("element", keyword_type(), true))), true),
        Field::new("required", keyword_type(), false),
    ]))
}

fn keywords<'r>(texts: impl Iterator<Item = Option<&'r str>>) -> ArrayRef {
    Arc::new(texts.collect::<DictionaryArray<Int32Type>>())
}

fn batch(rows: &[Row]) -> RecordBatch {
    let schema = schema();
    let DataType::Struct(inner_fields) = schema.field(1).data_type().clone() else { unreachable!("a struct") };
    let DataType::Struct(deep_fields) = inner_fields[2].data_type().clone() else { unreachable!("a struct") };
    let DataType::List(element) = schema.field(2).data_type().clone() else { unreachable!("a list") };
    let inner = |row: &Row| row.inner.clone();
    let nulls = |valid: Vec<bool>| Some(NullBuffer::from(valid));
    // Under a null struct stands a value, which nobody may read.
    let below = |text: Option<Option<String>>| text.unwrap_or(Some("beneath a null".to_owned()));
    let own = |texts: Vec<Option<String>>| keywords(texts.iter().map(Option::as_deref));
    let deepest = rows.iter().map(|r| below(inner(r).and_then(|i| i.2))).collect();
    let deep_valid = rows.iter().map(|r| r.inner.as_ref().is_none_or(|i| i.2.is_some())).collect();
    let deep = StructArray::new(deep_fields, vec![own(deepest)], nulls(deep_valid));
    let names = own(rows.iter().map(|r| below(inner(r).map(|i| i.0))).collect());
    let numbers = Int32Array::from_iter_values(rows.iter().map(|r| r.inner.as_ref().map_or(7, |i| i.1)));
    let inner_valid = rows.iter().map(|r| r.inner.is_some()).collect();
    let inner = StructArray::new(inner_fields, vec![names, Arc::new(numbers), Arc::new(deep)], nulls(inner_valid));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|r| r.list.len()));
    let list = ListArray::new(element, offsets, keywords(rows.iter().flat_map(|r| &r.list).map(|t| Some(&**t))), None);
    let columns: Vec<ArrayRef> = vec![
        keywords(rows.iter().map(|r| r.plain.as_deref())),
        Arc::new(inner),
        Arc::new(list),
        keywords(rows.iter().map(|r| Some(&*r.required))),
    ];
    RecordBatch::try_new(schema, columns).expect("a batch")
}

/// The batches in one file, a row group each `group` of them.
fn written(batches: &[RecordBatch], group: usize) -> (Vec<u8>, ParquetMetaData) {
    let (schema, parts) = (schema(), Part::all(&schema()));
    let parquet = ArrowSchemaConverter::new().convert(&schema).expect("converts");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(Vec::new(), parquet.root_schema_ptr(), properties).expect("a file");
    for batches in batches.chunks(group) {
        let mut open = RowGroup::new(&file, &schema).expect("a row group");
        batches.iter().for_each(|batch| open.write(&parts, batch).expect("written"));
        assert_eq!(open.rows(), batches.iter().map(RecordBatch::num_rows).sum::<usize>());
        open.close(&mut file).expect("closed");
    }
    let footer = file.finish().expect("a footer");
    (std::mem::take(file.inner_mut()), footer)
}

/// Everything as text, as another reader sees it.
fn text(batches: &[RecordBatch]) -> String {
    let all = arrow::compute::concat_batches(&batches[0].schema(), batches).expect("alike");
    let plain = |column: &ArrayRef| match column.data_type() {
        kind if is_keyword(kind) => cast(column, &DataType::Utf8).expect("casts"),
        _ => column.clone(),
    };
    let columns = all.columns().iter().map(plain);
    let names = all.schema();
    let columns = names.fields().iter().map(|f| f.name().clone()).zip(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
    arrow::util::pretty::pretty_format_batches(&[batch.expect("a batch")]).expect("prints").to_string()
}

fn read(bytes: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("a Parquet file");
    reader.with_batch_size(1 << 20).build().expect("a reader").map(|b| b.expect("reads")).collect()
}

fn any_row() -> impl proptest::strategy::Strategy<Value = Row> {
    use proptest::strategy::Strategy;
    let word = || "[a-d]{0,2}|[a-z]{1,30}";
    let inner = option::weighted(0.8, (option::of(word()), 0..9, option::of(option::of(word()))));
    (option::of(word()), inner, vec(word(), 0..3), word()).prop_map(|(plain, inner, list, required)| Row {
        plain,
        inner,
        list,
        required,
    })
}

proptest::proptest! {
    #[test]
    fn rows_come_back_as_they_were(batches in vec(vec(any_row(), 1..60), 1..6), group in 1usize..4) {
        let batches: Vec<RecordBatch> = batches.iter().map(|rows| batch(rows)).collect();
        let (bytes, footer) = written(&batches, group);
        assert_eq!(footer.num_row_groups(), batches.len().div_ceil(group));
        assert_eq!(text(&read(bytes)), text(&batches));
    }
}

fn row(n: usize, plain: String) -> Row {
    let inner = (!n.is_multiple_of(3)).then_some((None, n as i32, None));
    Row { plain: Some(plain), inner, list: Vec::new(), required: "always".to_owned() }
}

#[test]
fn a_dictionary_that_grows_too_large_gives_way_to_texts() {
    let texts = |batch: usize| (0..4_000).map(move |n| format!("{:060}", batch * 4_000 + n % 3_999));
    let batches: Vec<RecordBatch> =
        (0..9).map(|b| batch(&texts(b).enumerate().map(|(n, text)| row(n, text)).collect::<Vec<_>>())).collect();
    let (bytes, footer) = written(&batches, 9);
    let chunk = footer.row_group(0).column(0);
    assert!(chunk.encodings().any(|e| e == ::parquet::basic::Encoding::RLE_DICTIONARY));
    let bounds = chunk.statistics().expect("statistics");
    assert_eq!(bounds.null_count_opt(), Some(0));
    assert_eq!(bounds.min_bytes_opt(), Some(&b"0000000000000000"[..]));
    let uncompressed = chunk.uncompressed_size();
    assert!((2_000_000..2_400_000).contains(&uncompressed), "texts once in a dictionary or page: {uncompressed}");
    assert_eq!(text(&read(bytes)), text(&batches));
}

#[test]
fn a_column_of_one_value_or_none_costs_next_to_nothing() {
    let rows: Vec<Row> = (0..5_000).map(|n| row(n, "alike".to_owned())).collect();
    let (bytes, footer) = written(&vec![batch(&rows); 20], 20);
    let chunk = |n| footer.row_group(0).column(n);
    assert!([0, 1, 5].iter().all(|&n| chunk(n).compressed_size() < 500), "{footer:?}");
    assert_eq!(chunk(1).dictionary_page_offset(), None);
    assert_eq!(chunk(0).num_values(), 100_000);
    let column = read(bytes)[0].column(0).clone();
    assert!(column.as_any().downcast_ref::<StringArray>().is_some_and(|c| c.iter().all(|v| v == Some("alike"))));
}
