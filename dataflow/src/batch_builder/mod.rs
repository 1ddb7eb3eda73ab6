//! Rows being written: one column builder a leaf, nesting only at the end.
//!
//! A decoder sets leaves of the current row in any order and ends the row, or aborts it and leaves no trace. Three kinds
//! of leaves, by what a row costs:
//!
//! ```text
//!                       what a row does            what the end of the batch does
//!   set by the row      a push, see `column`       takes the buffers, pads with nulls
//!   shared by a run     compares a pointer         fills the run: partition and tenant, and the writer's stamp
//!   shared by all       nothing                    fills the batch: the class; untouched leaves: one null array a kind
//! ```
//!
//! Nothing is allocated a row once the buffers have grown, and they grow at once to what the last batch needed.

mod column;
mod ends;
mod keywords;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, RecordBatch, StructArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};

use crate::TableBatch;
use crate::chunk::Record;
use crate::identity::PartitionId;
use crate::schema::{Layout, Leaf, LeafKind, LeafSpec, Node, OCSF_VERSION, Place, Table};

use column::Column;
pub use column::Shared;
use ends::Ends;

/// The rows of one table. See the module's front.
#[derive(Debug)]
pub struct TableBuilder {
    table: Table,
    layout: &'static Layout,
    columns: Vec<Column>,
    /// Complete rows; the current row has this index.
    rows: usize,
    /// For each list of structs: where each complete row's elements end, and how many elements exist.
    lists: Vec<Elements>,
    leaves: Leaves,
    /// Rows of one partition and tenant, up to the last complete row.
    origin: Option<Run<Origin>>,
    /// Rows with one stamp, up to the last complete row.
    stamp: Option<Run<Stamp>>,
    is_stamped: bool,
}

/// Values that every row of a writer has alike.
pub type Stamp = Arc<[(Leaf, Shared<'static>)]>;

#[derive(Debug)]
struct Elements {
    /// Elements up to and including each complete row.
    ends: Ends,
    /// Elements begun so far, the current row's included.
    begun: usize,
}

/// Consecutive rows that share some values, from this one on.
#[derive(Debug)]
struct Run<T> {
    from: usize,
    shared: T,
}

#[derive(Debug)]
struct Origin {
    partition: PartitionId,
    tenant: Box<str>,
}

/// Leaves that the builder fills itself.
#[derive(Debug)]
struct Leaves {
    /// Topic, incarnation and partition.
    partition: Option<[Leaf; 3]>,
    /// Offset, record and receive time.
    record: Option<[Leaf; 3]>,
    tenant: Leaf,
    /// The class's constants, for an OCSF class.
    class: Vec<(Leaf, Shared<'static>)>,
}

impl Leaves {
    fn of(table: Table) -> Self {
        let all = |paths: [&str; 3]| match paths.map(|path| table.leaf(path)) {
            [Some(a), Some(b), Some(c)] => Some([a, b, c]),
            _ => None,
        };
        let record = all(["_offset", "_record", "_received_at"]);
        let class = table.ocsf_class().map(|(uid, name, category_uid, category)| {
            [
                ("class_uid", Shared::I32(uid)),
                ("class_name", Shared::Text(name)),
                ("category_uid", Shared::I32(category_uid)),
                ("category_name", Shared::Text(category)),
                ("metadata.version", Shared::Text(OCSF_VERSION)),
            ]
        });
        Self {
            partition: record.and_then(|_| all(["_topic", "_incarnation", "_partition_id"])),
            record,
            tenant: table.expect_leaf("tenant_uid"),
            class: class.into_iter().flatten().map(|(path, value)| (table.expect_leaf(path), value)).collect(),
        }
    }
}

impl TableBuilder {
    /// No rows.
    pub fn new(table: Table) -> Self {
        let layout = table.layout();
        Self {
            table,
            layout,
            columns: layout.leaves.iter().map(Column::new).collect(),
            rows: 0,
            lists: layout.lists.iter().map(|_| Elements { ends: Ends::new(), begun: 0 }).collect(),
            leaves: Leaves::of(table),
            origin: None,
            stamp: None,
            is_stamped: false,
        }
    }

    /// The table.
    pub fn table(&self) -> Table {
        self.table
    }

    /// Complete rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        let shared = self.leaves.class.len() + 4 + self.stamp.as_ref().map_or(0, |s| s.shared.len());
        self.columns.iter().map(Column::bytes).sum::<usize>() + self.rows * shared * size_of::<i32>()
    }

    /// Sets a string column (keyword, text or JSON) of the current row, or of the current element. Returns false, and
    /// changes nothing, if it is set already.
    ///
    /// # Panics
    /// If the leaf is not of that kind: the field tables are checked when they are loaded.
    #[inline]
    pub fn set_str(&mut self, leaf: Leaf, value: &str) -> bool {
        let row = self.current(leaf);
        self.columns[leaf.index()].set_str(row, value)
    }

    /// Sets a binary column. As [`TableBuilder::set_str`].
    #[inline]
    pub fn set_bytes(&mut self, leaf: Leaf, value: &[u8]) -> bool {
        let row = self.current(leaf);
        self.columns[leaf.index()].set_bytes(row, value)
    }

    /// Sets a 32-bit column. As [`TableBuilder::set_str`].
    #[inline]
    pub fn set_i32(&mut self, leaf: Leaf, value: i32) -> bool {
        let row = self.current(leaf);
        self.columns[leaf.index()].set_i32(row, value)
    }

    /// Sets a 64-bit or time column (microseconds UTC). As [`TableBuilder::set_str`].
    #[inline]
    pub fn set_i64(&mut self, leaf: Leaf, value: i64) -> bool {
        let row = self.current(leaf);
        self.columns[leaf.index()].set_i64(row, value)
    }

    /// Sets a boolean column. As [`TableBuilder::set_str`].
    #[inline]
    pub fn set_bool(&mut self, leaf: Leaf, value: bool) -> bool {
        let row = self.current(leaf);
        self.columns[leaf.index()].set_bool(row, value)
    }

    /// Adds a value to a list-of-strings column of the current row.
    #[inline]
    pub fn push_str(&mut self, leaf: Leaf, value: &str) {
        let row = self.current(leaf);
        self.columns[leaf.index()].push_str(row, value);
    }

    /// True if the current row (or element) has the leaf set.
    pub fn is_set(&self, leaf: Leaf) -> bool {
        self.columns[leaf.index()].len() > self.current(leaf)
    }

    /// Begins an element of a list of structs; leaves within it then mean this element.
    pub fn begin_element(&mut self, list: &str) {
        let list = self.layout.lists.iter().position(|l| l == list);
        let list = list.unwrap_or_else(|| panic!("table {} has no list {list:?}", self.table));
        self.lists[list].begun += 1;
    }

    #[inline]
    fn current(&self, leaf: Leaf) -> usize {
        match self.columns[leaf.index()].element_of {
            None => self.rows,
            Some(list) => {
                debug_assert!(self.lists[list].begun > 0, "an element is begun before its leaves are set");
                self.lists[list].begun - 1
            }
        }
    }

    /// Begins a row whose stamp will be one of these. A row of another writer may itself set what the stamp of the rows
    /// before it has: they get their values first.
    #[inline]
    pub fn begin_row(&mut self, stamps: [&Stamp; 2]) {
        let goes_on = |run: &Run<Stamp>| stamps.iter().any(|stamp| Arc::ptr_eq(&run.shared, stamp));
        if self.stamp.as_ref().is_some_and(|run| !goes_on(run)) {
            self.fill_stamp();
            self.stamp = None;
        }
    }

    /// The current row has the values of the stamp. Costs nothing while row after row has the same one.
    #[inline]
    pub fn stamp(&mut self, stamp: &Stamp) {
        if !self.stamp.as_ref().is_some_and(|run| Arc::ptr_eq(&run.shared, stamp)) {
            self.fill_stamp();
            self.stamp = Some(Run { from: self.rows, shared: stamp.clone() });
        }
        self.is_stamped = true;
    }

    /// Ends the row of an event with its identity and, for an OCSF class, the class's constants.
    #[inline]
    pub fn end_event(&mut self, partition: &PartitionId, tenant: &str, record: &Record<'_>, index: i32) {
        let same = |run: &Run<Origin>| run.shared.partition == *partition && *run.shared.tenant == *tenant;
        if !self.origin.as_ref().is_some_and(same) {
            self.fill_origin();
            let shared = Origin { partition: partition.clone(), tenant: tenant.into() };
            self.origin = Some(Run { from: self.rows, shared });
        }
        if let Some([offset, rec, received_at]) = self.leaves.record {
            self.set_i64(offset, record.offset);
            self.set_i32(rec, index);
            self.set_i64(received_at, record.received_at);
        }
        self.advance();
    }

    /// Ends the row as it stands; an OCSF class's constants are added.
    pub fn end_row(&mut self) {
        self.fill_origin();
        self.origin = None;
        self.advance();
    }

    #[inline]
    fn advance(&mut self) {
        if !std::mem::take(&mut self.is_stamped) {
            self.fill_stamp();
            self.stamp = None;
        }
        self.rows += 1;
        for list in &mut self.lists {
            list.ends.push(list.begun);
        }
        if self.rows == 1 {
            self.columns.iter_mut().for_each(Column::reserve);
        }
    }

    /// Forgets what the current row has set.
    pub fn abort_row(&mut self) {
        self.is_stamped = false;
        for list in &mut self.lists {
            list.begun = list.ends.last();
        }
        for column in &mut self.columns {
            column.truncate(column.element_of.map_or(self.rows, |list| self.lists[list].begun));
        }
    }

    fn fill_origin(&mut self) {
        let Some(Run { from, shared: Origin { partition, tenant } }) = &self.origin else { return };
        let mut fill = |leaf: Leaf, value| self.columns[leaf.index()].fill(*from, self.rows, value);
        if let Some([topic, incarnation, number]) = self.leaves.partition {
            fill(topic, Shared::Text(&partition.topic));
            fill(incarnation, Shared::Text(&partition.incarnation));
            fill(number, Shared::I32(partition.partition));
        }
        fill(self.leaves.tenant, Shared::Text(tenant));
    }

    fn fill_stamp(&mut self) {
        let Some(run) = &self.stamp else { return };
        for &(leaf, value) in &*run.shared {
            self.columns[leaf.index()].fill(run.from, self.rows, value);
        }
    }

    /// The rows as a batch; the builder is empty afterwards and knows how much room the next one needs.
    ///
    /// # Panics
    /// If a required column was not set in some row.
    pub fn finish(&mut self) -> RecordBatch {
        self.fill_origin();
        self.fill_stamp();
        for &(leaf, value) in &self.leaves.class {
            self.columns[leaf.index()].fill(0, self.rows, value);
        }
        let arrays = self.finish_columns();
        let lists: Vec<OffsetBuffer<i32>> = self.lists.iter_mut().map(|l| l.ends.finish()).collect();
        let columns: Vec<ArrayRef> = self.layout.nodes.iter().map(|n| assemble(n, &arrays, &lists)).collect();
        self.rows = 0;
        self.lists.iter_mut().for_each(|l| l.begun = 0);
        self.origin.iter_mut().for_each(|run| run.from = 0);
        self.stamp.iter_mut().for_each(|run| run.from = 0);
        RecordBatch::try_new(self.layout.schema.clone(), columns)
            .unwrap_or_else(|e| panic!("table {}: the builder made a bad batch: {e}", self.table))
    }

    /// An array a leaf.
    fn finish_columns(&mut self) -> Vec<ArrayRef> {
        let mut nulls: Vec<ArrayRef> = Vec::new();
        let mut finish = |column: &mut Column, leaf: &LeafSpec| {
            let len = column.element_of.map_or(self.rows, |list| self.lists[list].begun);
            column.finish(len).unwrap_or_else(|| shared_nulls(&mut nulls, &leaf.data_type(), len))
        };
        let own: Vec<ArrayRef> =
            self.columns.iter_mut().zip(&self.layout.leaves).map(|(column, leaf)| finish(column, leaf)).collect();
        let array_of = |(i, leaf): (usize, &LeafSpec)| match leaf.place {
            Place::Own => own[i].clone(),
            Place::SameAs(target) => own[target.index()].clone(),
        };
        self.layout.leaves.iter().enumerate().map(array_of).collect()
    }
}

/// One array without any value for all columns of a type and length.
fn shared_nulls(made: &mut Vec<ArrayRef>, kind: &DataType, len: usize) -> ArrayRef {
    if let Some(known) = made.iter().find(|a| a.len() == len && a.data_type() == kind) {
        return known.clone();
    }
    made.push(new_null_array(kind, len));
    made[made.len() - 1].clone()
}

fn assemble(node: &Node, arrays: &[ArrayRef], lists: &[OffsetBuffer<i32>]) -> ArrayRef {
    match node {
        Node::Leaf(leaf) => arrays[leaf.index()].clone(),
        Node::Struct(field, children) => assemble_struct(field, children, arrays, lists),
        Node::List(field, list, children) => {
            let DataType::List(element) = field.data_type() else { unreachable!("a list node has a list field") };
            let values = assemble_struct(element, children, arrays, lists);
            let offsets = lists[*list].clone();
            let some: Vec<bool> = offsets.lengths().map(|len| len > 0).collect();
            Arc::new(ListArray::new(element.clone(), offsets, values, Some(NullBuffer::from(some))))
        }
    }
}

/// A struct is null where all of its children are.
fn assemble_struct(field: &FieldRef, children: &[Node], arrays: &[ArrayRef], lists: &[OffsetBuffer<i32>]) -> ArrayRef {
    let DataType::Struct(fields) = field.data_type() else { unreachable!("a struct node has a struct field") };
    let columns: Vec<ArrayRef> = children.iter().map(|c| assemble(c, arrays, lists)).collect();
    let nulls = any_valid(&columns);
    Arc::new(StructArray::new(fields.clone(), columns, nulls))
}

/// Validity of rows in which at least one column is valid; none if every row is.
fn any_valid(columns: &[ArrayRef]) -> Option<NullBuffer> {
    let mut valid: Option<arrow::buffer::BooleanBuffer> = None;
    for column in columns {
        let nulls = column.nulls()?;
        valid = Some(match valid {
            None => nulls.inner().clone(),
            Some(v) => &v | nulls.inner(),
        });
    }
    valid.map(NullBuffer::new).filter(|n| n.null_count() > 0)
}

/// Builders of every event table.
#[derive(Debug)]
pub struct BatchBuilder {
    tables: Vec<TableBuilder>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// No rows in any table.
    pub fn new() -> Self {
        Self { tables: Table::EVENTS.iter().map(|&t| TableBuilder::new(t)).collect() }
    }

    /// The builder of an event table.
    ///
    /// # Panics
    /// If the table is not one of [`Table::EVENTS`].
    #[inline]
    pub fn table(&mut self, table: Table) -> &mut TableBuilder {
        let index = Table::EVENTS.iter().position(|&t| t == table);
        &mut self.tables[index.unwrap_or_else(|| panic!("{table} is not an event table"))]
    }

    /// Complete rows over all tables.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(TableBuilder::rows).sum()
    }

    /// Bytes held over all tables.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(TableBuilder::bytes).sum()
    }

    /// The rows, a batch for each table that has any. The builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<TableBatch> {
        self.tables
            .iter_mut()
            .filter(|t| t.rows() > 0)
            .map(|t| TableBatch { table: t.table(), rows: t.finish() })
            .collect()
    }
}

/// The kind of a leaf, for field tables that are checked when loaded.
pub fn leaf_kind(table: Table, leaf: Leaf) -> LeafKind {
    table.layout().leaves[leaf.index()].kind
}

#[cfg(test)]
mod tests;
