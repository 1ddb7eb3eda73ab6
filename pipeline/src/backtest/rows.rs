//! Stored rows -> batches as shards have them: one partition each, keywords as dictionaries, every column in its place.

use std::collections::{BTreeMap, BTreeSet};

use aggregate::RuleSet;
use anyhow::Context;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Int32Type};
use dataflow::{PartitionId, Table, TableBatch};

use super::{AHEAD, Range, is_event};
use crate::warehouse_sql::texts;

/// What alerts show of any row, whether its rule reads it or not.
const SHOWN: [&str; 5] = ["src_ip", "dst_ip", "src_port", "dst_port", "user_name"];

/// Reads one table for some rules.
#[derive(Debug)]
pub(super) struct Reader {
    table: Table,
    /// Top-level columns that are read; the others are null.
    columns: Vec<&'static str>,
}

impl Reader {
    /// What the rules read of the table, and what no row can be without.
    pub(super) fn new(table: Table, rules: &RuleSet) -> Self {
        let reads = rules.rules().iter().flat_map(|rule| rule.reads()).filter(|(own, _)| *own == table);
        let read: BTreeSet<String> =
            reads.flat_map(|(_, paths)| paths).filter_map(|p| Some(p.split(['.', '[']).next()?.to_owned())).collect();
        let nodes = table.layout().schema.fields();
        let is_read = |name: &str, nullable: bool| {
            !nullable || name.starts_with('_') || SHOWN.contains(&name) || name == "time" || read.contains(name)
        };
        let columns = nodes.iter().filter(|f| is_read(f.name(), f.is_nullable())).map(|f| f.name().as_str());
        Self { table, columns: columns.collect() }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// The rows of a slice. If no row is ahead of its receipt, a row's event time is its window time.
    pub(super) fn sql(&self, slice: Range, any_ahead: bool) -> String {
        let at = |us: i64| format!("arrow_cast({us}, 'Timestamp(Microsecond, Some(\"+00:00\"))')");
        let (from, to) = (at(slice.from), at(slice.to));
        let when = match any_ahead {
            false => format!("time >= {from} AND time < {to}"),
            // The event time of such a row is behind its window time: files of later days hold it.
            true => {
                let us = format!("CASE WHEN {AHEAD} THEN _received_at ELSE time END");
                format!("time >= {from} AND {us} >= {from} AND {us} < {to}")
            }
        };
        let columns: Vec<String> = self.columns.iter().map(|name| format!("\"{name}\"")).collect();
        format!("SELECT {} FROM {} WHERE {when} AND {}", columns.join(", "), self.table, is_event())
    }

    /// A batch of the query's result, by the partitions that its rows came from.
    ///
    /// # Errors
    /// If a column is not there or holds another type.
    pub(super) fn partitions(&self, rows: &RecordBatch) -> anyhow::Result<Vec<(PartitionId, TableBatch)>> {
        let whole = self.in_place(rows)?;
        let mut of: BTreeMap<PartitionId, Vec<u32>> = BTreeMap::new();
        let (topics, incarnations) = (texts(rows, "_topic")?, texts(rows, "_incarnation")?);
        let numbers = cast(rows.column_by_name("_partition_id").context("no column _partition_id")?, &DataType::Int32)?;
        let numbers = numbers.as_primitive::<Int32Type>();
        for (row, (topic, incarnation)) in topics.into_iter().zip(incarnations).enumerate() {
            let (topic, incarnation) = (topic.unwrap_or_default(), incarnation.unwrap_or_default());
            of.entry(PartitionId::new(topic, incarnation, numbers.value(row))).or_default().push(u32::try_from(row)?);
        }
        let table = self.table;
        if of.len() == 1 {
            return Ok(of
                .into_keys()
                .map(|partition| (partition, TableBatch { table, rows: whole.clone() }))
                .collect());
        }
        let part = |(partition, rows): (PartitionId, Vec<u32>)| {
            Ok((partition, TableBatch { table, rows: take_record_batch(&whole, &UInt32Array::from(rows))? }))
        };
        of.into_iter().map(part).collect()
    }

    /// In the table's own schema.
    fn in_place(&self, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let schema = self.table.schema();
        let column = |field: &arrow::datatypes::FieldRef| -> anyhow::Result<ArrayRef> {
            match rows.column_by_name(field.name()) {
                None => Ok(new_null_array(field.data_type(), rows.num_rows())),
                Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
                Some(column) => cast(column, field.data_type()).with_context(|| format!("column {}", field.name())),
            }
        };
        let columns = schema.fields().iter().map(column).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: T\nid: 3f2b6a4e-1111-4222-8333-444455556666\nversion: 1\nlevel: low\n\
                        sql: SELECT src_ip FROM network_activity WHERE connection_info.protocol_name = 'tcp'\n";

    fn reader() -> Reader {
        Reader::new(Table::NetworkActivity, &RuleSet::from_texts(&[("r", RULE)]).expect("a rule"))
    }

    #[test]
    fn columns_that_no_rule_reads_are_not_read() {
        let reader = reader();
        for name in ["connection_info", "time", "_received_at", "tenant_uid", "src_ip"] {
            assert!(reader.columns.contains(&name), "{name}: {:?}", reader.columns);
        }
        assert!(!reader.columns.contains(&"unmapped"), "{:?}", reader.columns);
    }

    #[test]
    fn rows_of_the_future_belong_to_the_slice_of_their_receipt() {
        let slice = Range { from: 0, to: 60 };
        assert!(!reader().sql(slice, false).contains("_received_at ELSE"));
        assert!(reader().sql(slice, true).contains("THEN _received_at ELSE time END < "));
    }
}
