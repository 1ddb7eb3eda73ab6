//! One table's files while rows still come: one a partition, which is a slot of `time`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::writer::SerializedFileWriter;
use arrow::array::RecordBatch;

use super::row_group::RowGroup;
use super::sorted::sorted;
use super::{EncodedFile, TableEncoder, metrics, slots};
use crate::step::{self, Step};
use crate::{Destination, Error, Result};

/// Slots that are encoded as their rows come. An open file holds buffers for every column, and a hostile clock names
/// thousands of slots: rows of further slots wait as they are.
const SLOTS_OPEN_MAX: usize = 4;

/// See the module's front.
pub struct OpenFiles {
    table: Destination,
    encoder: Arc<TableEncoder>,
    slots: BTreeMap<i32, SlotFile>,
    /// Rows of slots that are not open, and their bytes: of further slots, or all that are to be sorted.
    waiting: BTreeMap<i32, Vec<RecordBatch>>,
    waiting_bytes: usize,
}

struct SlotFile {
    writer: SerializedFileWriter<Vec<u8>>,
    /// The row group that rows are added to.
    open: Option<RowGroup>,
    time_min: i64,
    time_max: i64,
}

impl OpenFiles {
    pub(super) fn new(table: Destination, encoder: Arc<TableEncoder>) -> Self {
        Self { table, encoder, slots: BTreeMap::new(), waiting: BTreeMap::new(), waiting_bytes: 0 }
    }

    /// Adds rows. The batch's schema is that of the table.
    ///
    /// # Errors
    /// [`Error::Encode`] if it is another; the files are then of no use.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let fail = fail(self.table);
        if batch.schema() != self.table.table().schema() {
            return Err(fail(ParquetError::General("the batch has other columns".to_owned())));
        }
        for (slot, rows) in slots::split(batch, self.encoder.granularity).map_err(|e| fail(e.into()))? {
            let may_open = !self.encoder.is_sorted && self.slots.len() < SLOTS_OPEN_MAX;
            if may_open || self.slots.contains_key(&slot) {
                self.write_slot(slot, &rows).map_err(fail)?;
            } else {
                self.waiting_bytes += rows.get_array_memory_size();
                self.waiting.entry(slot).or_default().push(rows);
            }
        }
        Ok(())
    }

    fn write_slot(&mut self, slot: i32, rows: &RecordBatch) -> ParquetResult<()> {
        let file = match self.slots.get_mut(&slot) {
            Some(file) => file,
            None => self.slots.entry(slot).or_insert(SlotFile::new(&self.encoder)?),
        };
        file.write(&self.encoder, rows)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.slots.values().map(SlotFile::bytes).sum::<usize>()
    }

    #[cfg(test)]
    pub(super) fn slots_open(&self) -> usize {
        self.slots.len()
    }

    /// The files, slots ascending; none if there was no row.
    ///
    /// # Errors
    /// [`Error::Encode`] if a column cannot be written.
    pub fn finish(self) -> Result<Vec<EncodedFile>> {
        let Self { table, encoder, slots, waiting, .. } = self;
        let mut files = Vec::with_capacity(slots.len() + waiting.len());
        for (slot, file) in slots {
            files.push(file.finish(table, slot, &encoder).map_err(fail(table))?);
        }
        for (slot, batches) in waiting {
            let mut file = SlotFile::new(&encoder).map_err(fail(table))?;
            let batches =
                if encoder.is_sorted { sorted(&batches).map_err(|e| fail(table)(e.into()))? } else { batches };
            batches.iter().try_for_each(|rows| file.write(&encoder, rows)).map_err(fail(table))?;
            files.push(file.finish(table, slot, &encoder).map_err(fail(table))?);
        }
        files.sort_by_key(|file| file.slot);
        step::reached(Step::FilesEncoded);
        Ok(files)
    }
}

impl SlotFile {
    fn new(encoder: &TableEncoder) -> ParquetResult<Self> {
        let schema = encoder.parquet.root_schema_ptr();
        let writer = SerializedFileWriter::new(Vec::new(), schema, encoder.properties.clone())?;
        Ok(Self { writer, open: None, time_min: i64::MAX, time_max: i64::MIN })
    }

    fn bytes(&self) -> usize {
        self.writer.inner().len() + self.open.as_ref().map_or(0, RowGroup::bytes)
    }

    fn write(&mut self, encoder: &TableEncoder, rows: &RecordBatch) -> ParquetResult<()> {
        let (low, high) = slots::time_bounds(rows)?;
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

    fn finish(mut self, table: Destination, slot: i32, encoder: &TableEncoder) -> ParquetResult<EncodedFile> {
        self.end_row_group()?;
        let footer = self.writer.finish()?;
        Ok(EncodedFile {
            table,
            slot,
            granularity: encoder.granularity,
            rows: footer.file_metadata().num_rows().unsigned_abs(),
            bytes: std::mem::take(self.writer.inner_mut()).into(),
            time_min: self.time_min,
            time_max: self.time_max,
            schema_id: encoder.schema_id,
            spec_id: encoder.spec_id,
            sort_order_id: encoder.sort_order_id,
            split_offsets: footer.row_groups().iter().filter_map(|g| g.file_offset()).collect(),
            columns: metrics::column_metrics(&encoder.leaves, &footer),
        })
    }
}

fn fail(table: Destination) -> impl Fn(ParquetError) -> Error + Copy {
    move |source| Error::Encode { table, source }
}
