//! A rule over a batch of one table: the expression that a filter rule evaluates, and the columns that its alerts show.
//!
//! Rows that are ruled out are not looked at again: what is cheap is asked first, so that JSON is read of the few rows for which the
//! columns hold. Every answer is true or false; there is no null.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, StringBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::field::{Columns, Field, Scratch};
use super::item::{Buffers, Item};

/// A condition on a row.
#[derive(Debug)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Item(Box<Item>),
    /// The field has a value, or has none.
    Exists(Field, bool),
}

impl Node {
    /// All of them, the cheapest first.
    pub(super) fn all(mut nodes: Vec<Node>) -> Node {
        nodes.sort_by_key(Node::cost);
        if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) }
    }

    /// One of them, the cheapest first.
    pub(super) fn any(mut nodes: Vec<Node>) -> Node {
        nodes.sort_by_key(Node::cost);
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) }
    }

    fn cost(&self) -> u32 {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().map(Node::cost).sum(),
            Node::Not(inner) => inner.cost(),
            Node::Item(item) => item.cost(),
            Node::Exists(field, _) => field.cost(),
        }
    }

    /// Those of the rows for which it holds.
    fn of(&self, rows: &BooleanBuffer, columns: &Columns<'_>, buffers: &mut Buffers) -> BooleanBuffer {
        if rows.count_set_bits() == 0 {
            return rows.clone();
        }
        match self {
            Node::All(nodes) => nodes.iter().fold(rows.clone(), |left, node| node.of(&left, columns, buffers)),
            Node::Any(nodes) => {
                let none = BooleanBuffer::new_unset(rows.len());
                nodes.iter().fold(none, |met, node| {
                    let open = rows & &!&met;
                    &met | &node.of(&open, columns, buffers)
                })
            }
            Node::Not(inner) => rows & &!&inner.of(rows, columns, buffers),
            Node::Item(item) => these(rows, |row| item.holds(columns, row, buffers)),
            Node::Exists(field, wanted) => {
                let mut scratch = Scratch::default();
                these(rows, |row| field.is_there(columns, row, &mut scratch) == *wanted)
            }
        }
    }
}

fn these(rows: &BooleanBuffer, mut holds: impl FnMut(usize) -> bool) -> BooleanBuffer {
    let mut met = BooleanBufferBuilder::new(rows.len());
    met.append_n(rows.len(), false);
    rows.set_indices().filter(|&row| holds(row)).for_each(|row| met.set_bit(row, true));
    met.finish()
}

/// A rule's condition. `text` is what makes two of them the same.
#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) node: Node,
    pub(super) text: String,
}

impl Predicate {
    fn rows(&self, batch: &RecordBatch) -> BooleanBuffer {
        let all = BooleanBuffer::new_set(batch.num_rows());
        self.node.of(&all, &Columns::of(batch), &mut Buffers::default())
    }
}

impl PhysicalExpr for Predicate {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, _: &Schema) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> DfResult<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(self.rows(batch), None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an alert shows of the row: a field's first value as text.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) field: Field,
}

impl PhysicalExpr for Shown {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, _: &Schema) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn nullable(&self, _: &Schema) -> DfResult<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let (columns, mut scratch, mut texts) = (Columns::of(batch), Scratch::default(), StringBuilder::new());
        for row in 0..batch.num_rows() {
            let is_there = self.field.each(&columns, row, &mut scratch, &mut |text, _| {
                texts.append_value(text);
                true
            });
            if !is_there {
                texts.append_null();
            }
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        Ok(ColumnarValue::Array(texts))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Expressions are compared, hashed and printed by their texts.
macro_rules! by_text {
    ($name:ident, $($text:ident).+) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.$($text).+ == other.$($text).+
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.$($text).+.hash(state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.$($text).+)
            }
        }
    };
}

by_text!(Predicate, text);
by_text!(Shown, field.name);
