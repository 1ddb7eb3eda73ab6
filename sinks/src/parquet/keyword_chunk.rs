//! A keyword column of a row group: dictionary arrays become dictionary pages without a look at each row's text.
//!
//! `parquet`'s writer hashes and compares the value of every row again. Here a batch's dictionary is numbered once, and a
//! row costs its number. A dictionary that has become too large is no longer used: pages after it hold the texts.
//!
//! Data in: batches' arrays and levels. Data out: the column chunk's bytes and what the footer says of them.

use std::hash::BuildHasher;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::page::{CompressedPage, Page, PageWriter};
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::statistics::{Statistics, ValueStatistics};
use ::parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use ::parquet::schema::types::ColumnDescPtr;
use arrow::array::{Array, AsArray, DictionaryArray, StringArray};
use arrow::datatypes::Int32Type;
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use zstd::bulk::Compressor;

use super::bounds::Bounds;
use super::hybrid::Hybrid;
use super::levels::Levels;
use super::properties::zstd_level;

/// Rows of a page.
const PAGE_ROWS: usize = 20_000;
/// Bytes of a page, before compression.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a dictionary; a batch may bring it above.
const DICTIONARY_BYTES: usize = 1 << 20;

/// Not numbered yet.
const NO_NUMBER: u32 = u32::MAX;

/// See the module's front.
pub(super) struct KeywordChunk {
    column: ColumnDescPtr,
    bounds: Option<Bounds>,
    dictionary: Dictionary,
    page: OpenPage,
    /// Complete data pages: their number of bytes is `pages_bytes`.
    pages: Vec<CompressedPage>,
    pages_bytes: usize,
    encodings: Vec<Encoding>,
    rows: usize,
    nulls: usize,
    /// Numbers of the current batch's dictionary.
    numbers: Vec<u32>,
}

#[derive(Debug)]
struct OpenPage {
    rows: usize,
    present: usize,
    levels: Hybrid,
    numbers: Hybrid,
    texts: Vec<u8>,
}

impl KeywordChunk {
    /// No rows; with bounds in its statistics or without any.
    pub(super) fn new(column: ColumnDescPtr, has_statistics: bool) -> Self {
        let levels = Hybrid::new(Hybrid::width_of(column.max_def_level().unsigned_abs().into()));
        Self {
            column,
            bounds: has_statistics.then(Bounds::default),
            dictionary: Dictionary::default(),
            page: OpenPage { rows: 0, present: 0, levels, numbers: Hybrid::new(0), texts: Vec::new() },
            pages: Vec::new(),
            pages_bytes: 0,
            encodings: Vec::new(),
            rows: 0,
            nulls: 0,
            numbers: Vec::new(),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.pages_bytes
            + self.dictionary.page.len() * 2
            + self.page.texts.len()
            + self.page.numbers.len()
            + self.page.levels.len()
    }

    /// Adds a batch's rows; the array's own nulls are in the levels.
    pub(super) fn write(
        &mut self,
        levels: &Levels,
        array: &DictionaryArray<Int32Type>,
        zstd: &mut Compressor<'_>,
    ) -> Result<()> {
        let present: usize = levels.present().map(|rows| rows.len()).sum();
        if present > 0 {
            self.write_values(levels, array, zstd)?;
        }
        for &(level, rows) in levels.runs() {
            self.page.levels.put_run(level, rows);
            self.page.rows += rows;
        }
        self.page.present += present;
        let size = self.page.levels.len() + self.page.numbers.len() + self.page.texts.len();
        if self.page.rows >= PAGE_ROWS || size >= PAGE_BYTES {
            self.end_page(zstd)?;
        }
        Ok(())
    }

    fn write_values(
        &mut self,
        levels: &Levels,
        array: &DictionaryArray<Int32Type>,
        zstd: &mut Compressor<'_>,
    ) -> Result<()> {
        let (keys, values) = (array.keys().values(), array.values().as_string::<i32>());
        let present = levels.present().flat_map(|rows| &keys[rows]);
        if self.dictionary.page.len() >= DICTIONARY_BYTES {
            self.begin_texts(zstd)?;
            let (texts, bounds) = (&mut self.page.texts, &mut self.bounds);
            present.map(|&key| values.value(key as usize)).for_each(|text| {
                bounds.iter_mut().for_each(|bounds| bounds.widen(text));
                push_plain(texts, text);
            });
            return Ok(());
        }
        self.number(present.clone(), values);
        let width = Hybrid::width_of(self.dictionary.ends.len().saturating_sub(1) as u32);
        if width > self.page.numbers.width() {
            self.widen_numbers(width, zstd)?;
        }
        let (page, numbers) = (&mut self.page.numbers, &self.numbers);
        present.for_each(|&key| page.put(numbers[key as usize]));
        Ok(())
    }

    /// Numbers of the values that rows have.
    fn number<'k>(&mut self, present: impl Iterator<Item = &'k i32>, values: &StringArray) {
        self.numbers.clear();
        self.numbers.resize(values.len(), NO_NUMBER);
        let (numbers, dictionary, bounds) = (&mut self.numbers, &mut self.dictionary, &mut self.bounds);
        present.for_each(|&key| {
            let number = &mut numbers[key as usize];
            if *number == NO_NUMBER {
                let text = values.value(key as usize);
                bounds.iter_mut().for_each(|bounds| bounds.widen(text));
                *number = dictionary.number(text);
            }
        });
    }

    /// A page's numbers have one width.
    #[cold]
    fn widen_numbers(&mut self, width: u32, zstd: &mut Compressor<'_>) -> Result<()> {
        if self.page.present > 0 {
            self.end_page(zstd)?;
        }
        self.page.numbers.finish_into(&mut Vec::new(), width);
        Ok(())
    }

    /// A page has numbers or texts.
    fn begin_texts(&mut self, zstd: &mut Compressor<'_>) -> Result<()> {
        if self.page.present > 0 && self.page.texts.is_empty() { self.end_page(zstd) } else { Ok(()) }
    }

    fn end_page(&mut self, zstd: &mut Compressor<'_>) -> Result<()> {
        let page = &mut self.page;
        let mut bytes = Vec::with_capacity(8 + page.levels.len() + page.numbers.len() + page.texts.len());
        if self.column.max_def_level() > 0 {
            bytes.extend_from_slice(&[0; 4]);
            let width = page.levels.width();
            page.levels.finish_into(&mut bytes, width);
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
        // A page without a value needs no dictionary.
        let encoding = if page.present == 0 || !page.texts.is_empty() {
            bytes.append(&mut page.texts);
            Encoding::PLAIN
        } else {
            let width = page.numbers.width();
            bytes.push(width as u8);
            page.numbers.finish_into(&mut bytes, width);
            Encoding::RLE_DICTIONARY
        };
        let buf = compressed(zstd, &bytes)?;
        self.pages_bytes += buf.len();
        let (num_values, rle) = (page.rows as u32, Encoding::RLE);
        let data = Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: rle,
            rep_level_encoding: rle,
            statistics: None,
        };
        self.pages.push(CompressedPage::new(data, bytes.len()));
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        self.rows += page.rows;
        self.nulls += page.rows - page.present;
        (page.rows, page.present) = (0, 0);
        Ok(())
    }

    /// The chunk.
    pub(super) fn close(mut self, zstd: &mut Compressor<'_>) -> Result<(Bytes, ColumnCloseResult)> {
        if self.page.rows > 0 {
            self.end_page(zstd)?;
        }
        let mut out = TrackedWrite::new(Vec::with_capacity(self.bytes() + 64 * (self.pages.len() + 1)));
        let mut writer = SerializedPageWriter::new(&mut out);
        let dictionary = std::mem::take(&mut self.dictionary);
        let mut written = Written::default();
        if !dictionary.ends.is_empty() {
            let buf = compressed(zstd, &dictionary.page)?;
            let (num_values, encoding) = (dictionary.ends.len() as u32, Encoding::PLAIN);
            let page = Page::DictionaryPage { buf, num_values, encoding, is_sorted: false };
            let spec = writer.write_page(CompressedPage::new(page, dictionary.page.len()))?;
            written.add(spec.compressed_size, spec.uncompressed_size);
            self.encodings.push(Encoding::PLAIN);
        }
        let data_at = written.bytes;
        for page in std::mem::take(&mut self.pages) {
            let spec = writer.write_page(page)?;
            written.add(spec.compressed_size, spec.uncompressed_size);
        }
        let dictionary_at = (!dictionary.ends.is_empty()).then_some(0);
        let rows_written = self.rows as u64;
        let metadata = self.metadata(&written, data_at as i64, dictionary_at)?;
        let bytes = out.into_inner()?;
        let result = ColumnCloseResult {
            bytes_written: written.bytes as u64,
            rows_written,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes.into(), result))
    }

    fn metadata(self, written: &Written, data_at: i64, dictionary_at: Option<i64>) -> Result<ColumnChunkMetaData> {
        let mut encodings = self.encodings;
        encodings.push(Encoding::RLE);
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(Compression::ZSTD(zstd_level()))
            .set_encodings(encodings)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(written.bytes as i64)
            .set_total_uncompressed_size(written.uncompressed as i64)
            .set_data_page_offset(data_at)
            .set_dictionary_page_offset(dictionary_at);
        let Some(bounds) = self.bounds else { return metadata.build() };
        let (low, high) = bounds.cut();
        let (is_low_whole, is_high_whole) = (low.1, high.1);
        let statistics = ValueStatistics::new(
            low.0.map(ByteArray::from),
            high.0.map(ByteArray::from),
            None,
            Some(self.nulls as u64),
            false,
        );
        let statistics = statistics.with_min_is_exact(is_low_whole).with_max_is_exact(is_high_whole);
        metadata.set_statistics(Statistics::ByteArray(statistics)).build()
    }
}

#[derive(Debug, Default)]
struct Written {
    bytes: usize,
    uncompressed: usize,
}

impl Written {
    fn add(&mut self, bytes: usize, uncompressed: usize) {
        self.bytes += bytes;
        self.uncompressed += uncompressed;
    }
}

/// The file's distinct values, numbered in the order they came.
#[derive(Debug, Default)]
struct Dictionary {
    /// Each value as [`push_plain`] writes it: the dictionary page.
    page: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    fn number(&mut self, text: &str) -> u32 {
        let Self { page, ends, index, hasher } = self;
        let span = |ends: &[usize], n: u32| {
            let start = (n as usize).checked_sub(1).map_or(0, |before| ends[before]) + 4;
            start..ends[n as usize]
        };
        let hash = hasher.hash_one(text.as_bytes());
        if let Some(&known) = index.find(hash, |&n| page[span(ends, n)] == *text.as_bytes()) {
            return known;
        }
        let number = ends.len() as u32;
        push_plain(page, text);
        ends.push(page.len());
        index.insert_unique(hash, number, |&n| hasher.hash_one(&page[span(ends, n)]));
        number
    }
}

/// Parquet's plain encoding of a text.
fn push_plain(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn compressed(zstd: &mut Compressor<'_>, bytes: &[u8]) -> Result<Bytes> {
    zstd.compress(bytes).map(Bytes::from).map_err(ParquetError::from)
}
