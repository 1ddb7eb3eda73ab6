//! Rows being written: one column builder a leaf, nesting only at the end.
//!
//! A decoder sets leaves of the current row in any order and ends the row, or aborts it and leaves no trace. Leaves that
//! a row does not set are null; they are padded lazily, so a row costs only what it sets. Nothing is allocated a row
//! once the buffers have grown.

mod column;
mod keywords;

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, StructArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};

use crate::TableBatch;
use crate::chunk::Record;
use crate::identity::PartitionId;
use crate::schema::{Layout, Leaf, LeafKind, Node, Place, Space, Table};

use column::Column;

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
    constants: Constants,
}

#[derive(Debug, Default)]
struct Elements {
    /// `ends[r]`: elements up to and including row r.
    ends: Vec<i32>,
    /// Elements begun so far, the current row's included.
    begun: usize,
}

/// Leaves that every row of the table sets alike.
#[derive(Debug)]
struct Constants {
    identity: Option<[Leaf; 6]>,
    tenant: Leaf,
    class: Option<ClassLeaves>,
}

#[derive(Debug)]
struct ClassLeaves {
    class_uid: Leaf,
    class_name: Leaf,
    category_uid: Leaf,
    category_name: Leaf,
    version: Leaf,
}

impl TableBuilder {
    /// No rows.
    pub fn new(table: Table) -> Self {
        let layout = table.layout();
        let leaf = |path| table.leaf(path);
        let identity = ["_topic", "_incarnation", "_partition_id", "_offset", "_record", "_received_at"].map(leaf);
        let class = table.ocsf_class().map(|_| ClassLeaves {
            class_uid: table.expect_leaf("class_uid"),
            class_name: table.expect_leaf("class_name"),
            category_uid: table.expect_leaf("category_uid"),
            category_name: table.expect_leaf("category_name"),
            version: table.expect_leaf("metadata.version"),
        });
        let identity = match identity {
            [Some(t), Some(i), Some(p), Some(o), Some(r), Some(a)] => Some([t, i, p, o, r, a]),
            _ => None,
        };
        Self {
            table,
            layout,
            columns: layout.leaves.iter().map(Column::new).collect(),
            rows: 0,
            lists: layout.lists.iter().map(|_| Elements::default()).collect(),
            constants: Constants { identity, tenant: table.expect_leaf("tenant_uid"), class },
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
        self.columns.iter().map(Column::bytes).sum()
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
        match self.layout.leaves[leaf.index()].space {
            Space::Row => self.rows,
            Space::Element(list) => {
                debug_assert!(self.lists[list].begun > 0, "an element is begun before its leaves are set");
                self.lists[list].begun - 1
            }
        }
    }

    /// Ends the row of an event with its identity and, for an OCSF class, the class's constants.
    pub fn end_event(&mut self, partition: &PartitionId, tenant: &str, record: &Record<'_>, index: i32) {
        if let Some([topic, incarnation, part, offset, rec, received_at]) = self.constants.identity {
            self.set_str(topic, &partition.topic);
            self.set_str(incarnation, &partition.incarnation);
            self.set_i32(part, partition.partition);
            self.set_i64(offset, record.offset);
            self.set_i32(rec, index);
            self.set_i64(received_at, record.received_at);
        }
        let tenant_uid = self.constants.tenant;
        self.set_str(tenant_uid, tenant);
        self.end_row();
    }

    /// Ends the row as it stands; an OCSF class's constants are added.
    pub fn end_row(&mut self) {
        if let (Some((uid, name, category_uid, category)), Some(leaves)) =
            (self.table.ocsf_class(), &self.constants.class)
        {
            let ClassLeaves { class_uid, class_name, category_uid: cat, category_name, version } = *leaves;
            self.set_i32(class_uid, uid);
            self.set_str(class_name, name);
            self.set_i32(cat, category_uid);
            self.set_str(category_name, category);
            self.set_str(version, crate::schema::OCSF_VERSION);
        }
        self.rows += 1;
        for list in &mut self.lists {
            list.ends.push(i32::try_from(list.begun).expect("fewer than 2^31 elements a batch"));
        }
    }

    /// Forgets what the current row has set.
    pub fn abort_row(&mut self) {
        for list in &mut self.lists {
            list.begun = list.ends.last().map_or(0, |&e| e as usize);
        }
        for (column, leaf) in self.columns.iter_mut().zip(&self.layout.leaves) {
            let rows = match leaf.space {
                Space::Row => self.rows,
                Space::Element(list) => self.lists[list].begun,
            };
            column.truncate(rows);
        }
    }

    /// The rows as a batch; the builder is empty afterwards and keeps its dictionaries' capacity.
    ///
    /// # Panics
    /// If a required column was not set in some row.
    pub fn finish(&mut self) -> RecordBatch {
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; self.columns.len()];
        for (i, leaf) in self.layout.leaves.iter().enumerate() {
            if leaf.place == Place::Own {
                let rows = match leaf.space {
                    Space::Row => self.rows,
                    Space::Element(list) => self.lists[list].begun,
                };
                arrays[i] = Some(self.columns[i].finish(rows));
            }
        }
        for (i, leaf) in self.layout.leaves.iter().enumerate() {
            if let Place::SameAs(target) = leaf.place {
                arrays[i] = arrays[target.index()].clone();
            }
        }
        let columns: Vec<ArrayRef> = self.layout.nodes.iter().map(|n| self.assemble(n, &arrays)).collect();
        self.rows = 0;
        self.lists.iter_mut().for_each(|l| *l = Elements::default());
        RecordBatch::try_new(self.layout.schema.clone(), columns)
            .unwrap_or_else(|e| panic!("table {}: the builder made a bad batch: {e}", self.table))
    }

    fn assemble(&self, node: &Node, arrays: &[Option<ArrayRef>]) -> ArrayRef {
        match node {
            Node::Leaf(leaf) => arrays[leaf.index()].clone().expect("every leaf has an array"),
            Node::Struct(field, children) => self.assemble_struct(field, children, arrays),
            Node::List(field, list, children) => {
                let DataType::List(element) = field.data_type() else { unreachable!("a list node has a list field") };
                let values = self.assemble_struct(element, children, arrays);
                let ends = &self.lists[*list].ends;
                let offsets: Vec<i32> = std::iter::once(0).chain(ends.iter().copied()).collect();
                let some: Vec<bool> = offsets.windows(2).map(|w| w[1] > w[0]).collect();
                let nulls = NullBuffer::from(some);
                Arc::new(ListArray::new(element.clone(), OffsetBuffer::new(offsets.into()), values, Some(nulls)))
            }
        }
    }

    /// A struct is null where all of its children are.
    fn assemble_struct(&self, field: &FieldRef, children: &[Node], arrays: &[Option<ArrayRef>]) -> ArrayRef {
        let DataType::Struct(fields) = field.data_type() else { unreachable!("a struct node has a struct field") };
        let columns: Vec<ArrayRef> = children.iter().map(|c| self.assemble(c, arrays)).collect();
        let len = columns[0].len();
        if columns.iter().all(|c| c.null_count() == len) {
            return new_null_array(field.data_type(), len);
        }
        let nulls = any_valid(&columns);
        Arc::new(StructArray::new(fields.clone(), columns, nulls))
    }
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
