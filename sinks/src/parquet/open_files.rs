//! One table's files while rows still come: one a day of `time`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::writer::SerializedFileWriter;
use arrow::array::RecordBatch;
use dataflow::Table;

use super::row_group::RowGroup;
use super::{EncodedFile, TableEncoder, days, metrics};
use crate::step::{self, Step};
use crate::{Error, Result};

/// Days that are encoded as their rows come. An open file holds buffers for every column, and a hostile clock names
/// thousands of days: rows of further days wait as they are.
const DAYS_OPEN_MAX: usize = 4;

/// See the module's front.
pub struct OpenFiles {
    table: Table,
    encoder: Arc<TableEncoder>,
    days: BTreeMap<i32, DayFile>,
    /// Rows of days that are not open, and their bytes.
    waiting: BTreeMap<i32, Vec<RecordBatch>>,
    waiting_bytes: usize,
}

struct DayFile {
    writer: SerializedFileWriter<Vec<u8>>,
    /// The row group that rows are added to.
    open: Option<RowGroup>,
    time_min: i64,
    time_max: i64,
}

impl OpenFiles {
    pub(super) fn new(table: Table, encoder: Arc<TableEncoder>) -> Self {
        Self { table, encoder, days: BTreeMap::new(), waiting: BTreeMap::new(), waiting_bytes: 0 }
    }

    /// Adds rows. The batch's schema is that of the table.
    ///
    /// # Errors
    /// [`Error::Encode`] if it is another; the files are then of no use.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let fail = fail(self.table);
        if batch.schema() != self.table.schema() {
            return Err(fail(ParquetError::General("the batch has other columns".to_owned())));
        }
        for (day, rows) in days::split(batch).map_err(|e| fail(e.into()))? {
            if self.days.len() < DAYS_OPEN_MAX || self.days.contains_key(&day) {
                self.write_day(day, &rows).map_err(fail)?;
            } else {
                self.waiting_bytes += rows.get_array_memory_size();
                self.waiting.entry(day).or_default().push(rows);
            }
        }
        Ok(())
    }

    fn write_day(&mut self, day: i32, rows: &RecordBatch) -> ParquetResult<()> {
        let file = match self.days.get_mut(&day) {
            Some(file) => file,
            None => self.days.entry(day).or_insert(DayFile::new(&self.encoder)?),
        };
        file.write(&self.encoder, rows)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.days.values().map(DayFile::bytes).sum::<usize>()
    }

    #[cfg(test)]
    pub(super) fn days_open(&self) -> usize {
        self.days.len()
    }

    /// The files, days ascending; none if there was no row.
    ///
    /// # Errors
    /// [`Error::Encode`] if a column cannot be written.
    pub fn finish(self) -> Result<Vec<EncodedFile>> {
        let Self { table, encoder, days, waiting, .. } = self;
        let mut files = Vec::with_capacity(days.len() + waiting.len());
        for (day, file) in days {
            files.push(file.finish(table, day, &encoder).map_err(fail(table))?);
        }
        for (day, batches) in waiting {
            let mut file = DayFile::new(&encoder).map_err(fail(table))?;
            batches.iter().try_for_each(|rows| file.write(&encoder, rows)).map_err(fail(table))?;
            files.push(file.finish(table, day, &encoder).map_err(fail(table))?);
        }
        files.sort_by_key(|file| file.day);
        step::reached(Step::FilesEncoded);
        Ok(files)
    }
}

impl DayFile {
    fn new(encoder: &TableEncoder) -> ParquetResult<Self> {
        let schema = encoder.parquet.root_schema_ptr();
        let writer = SerializedFileWriter::new(Vec::new(), schema, encoder.properties.clone())?;
        Ok(Self { writer, open: None, time_min: i64::MAX, time_max: i64::MIN })
    }

    fn bytes(&self) -> usize {
        self.writer.inner().len() + self.open.as_ref().map_or(0, RowGroup::bytes)
    }

    fn write(&mut self, encoder: &TableEncoder, rows: &RecordBatch) -> ParquetResult<()> {
        let (low, high) = days::time_bounds(rows)?;
        (self.time_min, self.time_max) = (self.time_min.min(low), self.time_max.max(high));
        let rows_max = encoder.properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let bytes_max = encoder.properties.max_row_group_bytes().unwrap_or(usize::MAX);
        let mut from = 0;
        while from < rows.num_rows() {
            let group = match &mut self.open {
                Some(group) => group,
                open => open.insert(RowGroup::new(&self.writer, &encoder.schema)?),
            };
            let len = (rows.num_rows() - from).min(rows_max - group.rows());
            group.write(&encoder.parts, &rows.slice(from, len))?;
            from += len;
            if group.rows() >= rows_max || group.bytes() >= bytes_max {
                self.end_row_group()?;
            }
        }
        Ok(())
    }

    fn end_row_group(&mut self) -> ParquetResult<()> {
        self.open.take().map_or(Ok(()), |group| group.close(&mut self.writer))
    }

    fn finish(mut self, table: Table, day: i32, encoder: &TableEncoder) -> ParquetResult<EncodedFile> {
        self.end_row_group()?;
        let footer = self.writer.finish()?;
        Ok(EncodedFile {
            table,
            day,
            rows: footer.file_metadata().num_rows().unsigned_abs(),
            bytes: std::mem::take(self.writer.inner_mut()).into(),
            time_min: self.time_min,
            time_max: self.time_max,
            schema_id: encoder.schema_id,
            spec_id: encoder.spec_id,
            split_offsets: footer.row_groups().iter().filter_map(|g| g.file_offset()).collect(),
            columns: metrics::column_metrics(&encoder.leaves, &footer),
        })
    }
}

fn fail(table: Table) -> impl Fn(ParquetError) -> Error + Copy {
    move |source| Error::Encode { table, source }
}
