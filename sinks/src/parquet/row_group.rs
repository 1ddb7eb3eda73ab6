//! One row group while rows still come: a writer a leaf column.
//!
//! Keyword columns that lie in no list have a writer of ours ([`KeywordChunk`]), all others that of `parquet`, which is given
//! each batch without the keywords.

use std::sync::Arc;

use ::parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::EnabledStatistics;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::ColumnDescPtr;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Schema, SchemaRef};
use zstd::bulk::Compressor;

use super::keyword_chunk::KeywordChunk;
use super::levels::Levels;
use super::properties::ZSTD_LEVEL;

/// A column, or a member of one, by who writes it.
#[derive(Debug)]
pub(super) enum Part {
    Keyword(FieldRef),
    /// Keywords and others.
    Mixed {
        field: FieldRef,
        parts: Vec<Part>,
        /// The struct without its keywords, if anything is left.
        rest: Option<FieldRef>,
    },
    /// No keyword, or a list.
    Whole(FieldRef),
}

impl Part {
    /// The parts of a table.
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        schema.fields().iter().map(Self::of).collect()
    }

    fn of(field: &FieldRef) -> Self {
        match field.data_type() {
            kind if is_keyword(kind) => Self::Keyword(field.clone()),
            DataType::Struct(members) => {
                let parts: Vec<Self> = members.iter().map(Self::of).collect();
                if parts.iter().all(|part| matches!(part, Self::Whole(_))) {
                    return Self::Whole(field.clone());
                }
                let rest: Fields = parts.iter().filter_map(Self::rest_field).collect();
                let without = |rest| Arc::new(Field::clone(field).with_data_type(DataType::Struct(rest)));
                Self::Mixed { field: field.clone(), rest: (!rest.is_empty()).then(|| without(rest)), parts }
            }
            _ => Self::Whole(field.clone()),
        }
    }

    /// What is left of it without the keywords.
    fn rest_field(&self) -> Option<FieldRef> {
        match self {
            Self::Keyword(_) => None,
            Self::Mixed { rest, .. } => rest.clone(),
            Self::Whole(field) => Some(field.clone()),
        }
    }

    fn rest(&self, array: &ArrayRef) -> Option<ArrayRef> {
        match self {
            Self::Keyword(_) => None,
            Self::Whole(_) => Some(array.clone()),
            Self::Mixed { parts, rest, .. } => {
                let DataType::Struct(fields) = rest.as_ref()?.data_type() else { return None };
                let all = array.as_struct();
                let columns = parts.iter().zip(all.columns()).filter_map(|(part, column)| part.rest(column)).collect();
                Some(Arc::new(StructArray::new(fields.clone(), columns, all.nulls().cloned())))
            }
        }
    }

    /// Gives each keyword its rows.
    fn write_keywords<'w>(
        &self,
        array: &ArrayRef,
        above: &Levels,
        writers: &mut impl Iterator<Item = &'w mut KeywordChunk>,
        zstd: &mut Compressor<'_>,
    ) -> Result<()> {
        match self {
            Self::Whole(_) => Ok(()),
            Self::Keyword(field) => {
                let writer = writers.next().ok_or_else(|| no_writer(field))?;
                let levels = above.below(field.is_nullable(), array.logical_nulls().as_ref());
                writer.write(&levels, array.as_dictionary::<Int32Type>(), zstd)
            }
            Self::Mixed { field, parts, .. } => {
                let levels = above.below(field.is_nullable(), array.nulls());
                let columns = array.as_struct().columns();
                parts.iter().zip(columns).try_for_each(|(part, c)| part.write_keywords(c, &levels, writers, zstd))
            }
        }
    }
}

fn is_keyword(kind: &DataType) -> bool {
    matches!(kind, DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8)
}

fn no_writer(field: &Field) -> ParquetError {
    ParquetError::General(format!("column {} has no writer", field.name()))
}

/// See the module's front.
pub(super) struct RowGroup {
    keywords: Vec<KeywordChunk>,
    others: Vec<ArrowColumnWriter>,
    /// Whose each leaf column is, in the file's order.
    is_keyword: Vec<bool>,
    rows: usize,
    zstd: Compressor<'static>,
}

impl RowGroup {
    /// The next one of the file.
    pub(super) fn new(file: &SerializedFileWriter<Vec<u8>>, schema: &SchemaRef) -> Result<Self> {
        let writers = ArrowRowGroupWriterFactory::new(file, schema.clone())
            .create_column_writers(file.flushed_row_groups().len())?;
        let mut is_keyword = Vec::with_capacity(writers.len());
        schema.fields().iter().for_each(|field| keyword_leaves(field.data_type(), &mut is_keyword));
        let columns = file.schema_descr().columns().iter();
        let keyword = |(column, _): (&ColumnDescPtr, _)| {
            let statistics = file.properties().statistics_enabled(column.path());
            KeywordChunk::new(column.clone(), statistics != EnabledStatistics::None)
        };
        Ok(Self {
            keywords: columns.zip(&is_keyword).filter(|(_, is)| **is).map(keyword).collect(),
            others: writers.into_iter().zip(&is_keyword).filter(|(_, is)| !**is).map(|(w, _)| w).collect(),
            is_keyword,
            rows: 0,
            zstd: Compressor::new(ZSTD_LEVEL)?,
        })
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.keywords.iter().map(KeywordChunk::bytes).sum::<usize>()
            + self.others.iter().map(ArrowColumnWriter::memory_size).sum::<usize>()
    }

    /// Adds rows of the table whose parts these are.
    pub(super) fn write(&mut self, parts: &[Part], batch: &RecordBatch) -> Result<()> {
        let above = Levels::of_rows(batch.num_rows());
        let (mut keywords, mut others) = (self.keywords.iter_mut(), self.others.iter_mut());
        for (part, array) in parts.iter().zip(batch.columns()) {
            part.write_keywords(array, &above, &mut keywords, &mut self.zstd)?;
            if let Some((field, rest)) = part.rest_field().zip(part.rest(array)) {
                for leaf in compute_leaves(&field, &rest)? {
                    others.next().ok_or_else(|| no_writer(&field))?.write(&leaf)?;
                }
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Puts the row group into the file.
    pub(super) fn close(self, file: &mut SerializedFileWriter<Vec<u8>>) -> Result<()> {
        let Self { keywords, others, is_keyword, mut zstd, .. } = self;
        let (mut keywords, mut others) = (keywords.into_iter(), others.into_iter());
        let mut group = file.next_row_group()?;
        for is_keyword in is_keyword {
            if !is_keyword {
                others.next().map_or(Ok(()), |other| other.close()?.append_to_row_group(&mut group))?;
            } else if let Some(keyword) = keywords.next() {
                let (bytes, closed) = keyword.close(&mut zstd)?;
                group.append_column(&bytes, closed)?;
            }
        }
        group.close()?;
        Ok(())
    }
}

/// For each leaf column whether it is a keyword's that lies in no list.
fn keyword_leaves(kind: &DataType, leaves: &mut Vec<bool>) {
    match kind {
        DataType::Struct(fields) => fields.iter().for_each(|field| keyword_leaves(field.data_type(), leaves)),
        DataType::List(element) => {
            let from = leaves.len();
            keyword_leaves(element.data_type(), leaves);
            leaves[from..].fill(false);
        }
        kind => leaves.push(is_keyword(kind)),
    }
}

#[cfg(test)]
mod tests;
