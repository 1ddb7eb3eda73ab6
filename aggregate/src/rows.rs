//! One batch as the rules read it: each column is taken out once, and numbered once, however many rules read it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::TableBatch;
use datafusion::error::Result as DfResult;

use crate::codes::Codes;
use crate::error::Result;
use crate::leaves::LeafCache;
use crate::sql::Input;

/// See the module's front.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) cache: LeafCache<'a>,
    pub(crate) common: Common,
    tenant: usize,
    /// By column, once it was asked for.
    codes: Vec<Option<Arc<[u32]>>>,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(batch: &'a TableBatch) -> Result<Self> {
        let mut cache = LeafCache::new(batch.table, &batch.rows);
        let common = Common::new(&mut cache)?;
        let tenant = cache.index("tenant_uid")?;
        Ok(Self { codes: vec![None; cache.columns()], cache, common, tenant })
    }

    /// The columns that a rule reads.
    ///
    /// # Errors
    /// If the batch is not in its table's schema.
    pub(crate) fn input(&mut self, input: &Input) -> Result<RecordBatch> {
        let columns = input.leaves.iter().map(|&i| self.cache.column(i)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.cache.rows()));
        Ok(RecordBatch::try_new_with_options(input.schema.clone(), columns, &options)?)
    }

    /// The numbers of the rows' tenants.
    ///
    /// # Errors
    /// If the batch is not in its table's schema.
    pub(crate) fn tenants(&mut self, codes: &mut Codes) -> DfResult<Arc<[u32]>> {
        self.codes(self.tenant, codes)
    }

    /// The numbers of a column's values, row by row.
    ///
    /// # Errors
    /// If the batch is not in its table's schema.
    pub(crate) fn codes(&mut self, leaf: usize, codes: &mut Codes) -> DfResult<Arc<[u32]>> {
        if let Some(known) = &self.codes[leaf] {
            return Ok(known.clone());
        }
        let column = self.cache.stored(leaf).map_err(|e| datafusion::error::DataFusionError::External(Box::new(e)))?;
        let numbers: Arc<[u32]> = codes.of(&column)?.into();
        self.codes[leaf] = Some(numbers.clone());
        Ok(numbers)
    }
}

/// Some rows of a batch, or all of them.
#[derive(Debug)]
pub(crate) struct Selection {
    /// None selects every row.
    rows: Option<(Vec<u32>, FilterPredicate)>,
    count: usize,
}

impl Selection {
    /// The rows for which the mask is true; all of `count` without a mask.
    pub(crate) fn new(mask: Option<&BooleanArray>, count: usize) -> Self {
        let kept = mask.map_or(count, BooleanArray::true_count);
        let rows = mask.filter(|_| kept < count).map(|mask| {
            let rows = mask.values().set_indices().map(|row| row as u32).collect();
            (rows, FilterBuilder::new(mask).optimize().build())
        });
        Self { rows, count: kept }
    }

    /// How many rows are selected.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Which rows; none if all are.
    pub(crate) fn rows(&self) -> Option<&[u32]> {
        self.rows.as_ref().map(|(rows, _)| rows.as_slice())
    }

    /// The selected rows of numbers.
    pub(crate) fn of(&self, codes: &Arc<[u32]>) -> Arc<[u32]> {
        self.rows().map_or_else(|| codes.clone(), |rows| rows.iter().map(|&row| codes[row as usize]).collect())
    }

    /// The selected rows of an input. Only the columns that `is_read` holds are right: of the others only the length is.
    ///
    /// # Errors
    /// If arrow cannot filter a column.
    pub(crate) fn input(&self, input: &RecordBatch, is_read: &[bool]) -> DfResult<RecordBatch> {
        let Some((_, predicate)) = &self.rows else { return Ok(input.clone()) };
        let column = |(column, is_read): (&ArrayRef, &bool)| {
            if *is_read { predicate.filter(column) } else { Ok(column.slice(0, self.count)) }
        };
        let columns = input.columns().iter().zip(is_read).map(column).collect::<std::result::Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        Ok(RecordBatch::try_new_with_options(input.schema(), columns, &options)?)
    }
}

/// Columns of a batch that every rule needs.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) tenants: ArrayRef,
    pub(crate) times: ArrayRef,
    pub(crate) received: ArrayRef,
    pub(crate) offsets: ArrayRef,
    pub(crate) records: ArrayRef,
}

/// One row of them.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) index: usize,
    pub(crate) tenant: &'a str,
    pub(crate) time: i64,
    pub(crate) received_at: i64,
    pub(crate) offset: i64,
    pub(crate) record: i32,
}

impl Common {
    fn new(cache: &mut LeafCache<'_>) -> Result<Self> {
        Ok(Self {
            tenants: cache.named("tenant_uid")?,
            times: cache.named("time")?,
            received: cache.named("_received_at")?,
            offsets: cache.named("_offset")?,
            records: cache.named("_record")?,
        })
    }

    pub(crate) fn filter(&self, predicate: &FilterPredicate) -> Result<Self> {
        Ok(Self {
            tenants: predicate.filter(&self.tenants)?,
            times: predicate.filter(&self.times)?,
            received: predicate.filter(&self.received)?,
            offsets: predicate.filter(&self.offsets)?,
            records: predicate.filter(&self.records)?,
        })
    }

    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        Row {
            index,
            tenant: self.tenants.as_string::<i32>().value(index),
            time: self.times()[index],
            received_at: self.received()[index],
            offset: self.offsets()[index],
            record: self.records()[index],
        }
    }

    pub(crate) fn times(&self) -> &[i64] {
        self.times.as_primitive::<TimestampMicrosecondType>().values()
    }

    pub(crate) fn received(&self) -> &[i64] {
        self.received.as_primitive::<TimestampMicrosecondType>().values()
    }

    pub(crate) fn offsets(&self) -> &[i64] {
        self.offsets.as_primitive::<Int64Type>().values()
    }

    pub(crate) fn records(&self) -> &[i32] {
        self.records.as_primitive::<Int32Type>().values()
    }
}
