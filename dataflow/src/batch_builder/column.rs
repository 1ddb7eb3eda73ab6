//! One leaf's values.
//!
//! ```text
//!   row      0  1  2  3  4  5  6   (7 is being written)
//!   set      a  b  .  c
//!   values   a  b  0  c               len = 4: nobody has asked for rows 4 to 6 yet
//!   valid    1  1  0                  as far as the last null; the rest up to len is set
//! ```
//!
//! A row costs a column only what it sets: where that is the next row and there is room, a setter is a few instructions
//! without a call, and leaves the rest to one that does everything. Rows without a value are padded all at once when the column is next set, or at
//! the end; bits of validity are written for nulls only. An aborted row is cut off again.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Int32Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;

use super::ends::Ends;
use super::keywords::Keywords;
use crate::schema::{LeafKind, LeafSpec, Space, UTC, element_field};

#[derive(Debug)]
pub(super) struct Column {
    /// Rows (or elements) so far, with a value or null.
    len: usize,
    values: Values,
    valid: BooleanBufferBuilder,
    /// For a list: where each row's values end.
    list_ends: Option<Ends>,
    /// Values and bytes of the last batch: the next one will be like it.
    last: (usize, usize),
    leaf: &'static LeafSpec,
    /// The list of structs whose elements it counts; none if it counts rows.
    pub(super) element_of: Option<usize>,
}

/// Told apart by a byte of its own, which costs less to look at than a value that some vector's capacity cannot have.
#[derive(Debug)]
#[repr(u8)]
enum Values {
    Keyword(Vec<i32>, Box<Keywords>),
    Bytes { bytes: Vec<u8>, ends: Ends },
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(BooleanBufferBuilder),
}

/// A value that many rows share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared<'a> {
    /// Of a keyword column.
    Text(&'a str),
    /// Of a 32-bit column.
    I32(i32),
    /// Of a list of keywords.
    List(&'a [&'a str]),
}

impl Values {
    fn new(kind: LeafKind) -> Self {
        match kind {
            LeafKind::Keyword => Self::Keyword(Vec::new(), Box::new(Keywords::new())),
            LeafKind::Text | LeafKind::Json | LeafKind::Binary => Self::Bytes { bytes: Vec::new(), ends: Ends::new() },
            LeafKind::I32 => Self::I32(Vec::new()),
            LeafKind::I64 | LeafKind::Time => Self::I64(Vec::new()),
            LeafKind::Bool => Self::Bool(BooleanBufferBuilder::new(0)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Keyword(keys, _) => keys.len(),
            Self::Bytes { ends, .. } => ends.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    fn reserve(&mut self, (values, more): (usize, usize)) {
        match self {
            Self::Keyword(keys, _) => keys.reserve(values),
            Self::Bytes { bytes, ends } => {
                bytes.reserve(more);
                ends.reserve(values);
            }
            Self::I32(v) => v.reserve(values),
            Self::I64(v) => v.reserve(values),
            Self::Bool(_) => {}
        }
    }

    fn pad(&mut self, len: usize) {
        match self {
            Self::Keyword(keys, _) => keys.resize(len, 0),
            Self::Bytes { ends, .. } => ends.pad(len),
            Self::I32(v) => v.resize(len, 0),
            Self::I64(v) => v.resize(len, 0),
            Self::Bool(v) => v.append_n(len - v.len(), false),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Keyword(keys, _) => keys.truncate(len),
            Self::Bytes { bytes, ends } => {
                ends.truncate(len);
                bytes.truncate(ends.last());
            }
            Self::I32(v) => v.truncate(len),
            Self::I64(v) => v.truncate(len),
            Self::Bool(v) => v.truncate(len),
        }
    }

    /// False if the values are not strings.
    #[inline]
    fn push_str(&mut self, value: &str) -> bool {
        match self {
            Self::Keyword(keys, keywords) => keys.push(keywords.key(value)),
            Self::Bytes { bytes, ends } => push_bytes(bytes, ends, value.as_bytes()),
            _ => return false,
        }
        true
    }

    fn finish(&mut self, kind: LeafKind, nulls: Option<NullBuffer>) -> ArrayRef {
        match self {
            Self::Keyword(keys, keywords) => keywords.finish(std::mem::take(keys), nulls),
            Self::Bytes { bytes, ends } => {
                let offsets = ends.finish();
                let bytes = std::mem::take(bytes);
                if kind == LeafKind::Binary {
                    return Arc::new(BinaryArray::new(offsets, bytes.into(), nulls));
                }
                Arc::new(StringArray::new(offsets, bytes.into(), nulls))
            }
            Self::I32(v) => Arc::new(Int32Array::new(std::mem::take(v).into(), nulls)),
            Self::I64(v) if kind == LeafKind::Time => {
                let array = TimestampMicrosecondArray::new(std::mem::take(v).into(), nulls);
                Arc::new(array.with_timezone(UTC))
            }
            Self::I64(v) => Arc::new(Int64Array::new(std::mem::take(v).into(), nulls)),
            Self::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
        }
    }
}

#[inline]
fn push_bytes(bytes: &mut Vec<u8>, ends: &mut Ends, value: &[u8]) {
    bytes.extend_from_slice(value);
    ends.push(bytes.len());
}

impl Column {
    pub(super) fn new(leaf: &'static LeafSpec) -> Self {
        Self {
            len: 0,
            values: Values::new(leaf.kind),
            valid: BooleanBufferBuilder::new(0),
            list_ends: leaf.is_list.then(Ends::new),
            last: (0, 0),
            leaf,
            element_of: if let Space::Element(list) = leaf.space { Some(list) } else { None },
        }
    }

    /// Rows (or elements) that have a value or a null so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Keyword(keys, keywords) => keys.len() * 4 + keywords.bytes(),
            Values::Bytes { bytes, ends } => bytes.len() + ends.len() * 4,
            Values::I32(v) => v.len() * 4,
            Values::I64(v) => v.len() * 8,
            Values::Bool(v) => v.len() / 8,
        };
        values + self.list_ends.as_ref().map_or(0, |e| e.len() * 4)
    }

    /// Makes room for a batch like the last one, so that its buffers need not grow by doubling.
    pub(super) fn reserve(&mut self) {
        self.values.reserve(self.last);
    }

    /// Nulls up to `row`; false if `row` has its value already.
    #[inline]
    fn reach(&mut self, row: usize) -> bool {
        if self.len < row {
            self.pad(row);
        }
        self.len == row
    }

    #[cold]
    fn pad(&mut self, len: usize) {
        self.valid.append_n(self.len - self.valid.len(), true);
        self.valid.append_n(len - self.len, false);
        match &mut self.list_ends {
            None => self.values.pad(len),
            Some(ends) => ends.pad(len),
        }
        self.len = len;
    }

    #[inline]
    pub(super) fn set_str(&mut self, row: usize, value: &str) -> bool {
        if let Values::Keyword(keys, keywords) = &mut self.values
            && self.len == row
            && keys.len() < keys.capacity()
            && let Some(key) = keywords.recent(value)
        {
            keys.push(key);
            self.len += 1;
            return true;
        }
        self.set_any_str(row, value)
    }

    #[inline(never)]
    fn set_any_str(&mut self, row: usize, value: &str) -> bool {
        if !self.reach(row) {
            return false;
        }
        if !self.values.push_str(value) {
            self.panic_for("text");
        }
        self.len += 1;
        true
    }

    #[inline]
    pub(super) fn set_bytes(&mut self, row: usize, value: &[u8]) -> bool {
        if !self.reach(row) {
            return false;
        }
        match &mut self.values {
            Values::Bytes { bytes, ends } if self.leaf.kind == LeafKind::Binary => push_bytes(bytes, ends, value),
            _ => self.panic_for("bytes"),
        }
        self.len += 1;
        true
    }

    #[inline]
    pub(super) fn set_i32(&mut self, row: usize, value: i32) -> bool {
        match &mut self.values {
            Values::I32(v) if self.len == row && v.len() < v.capacity() => v.push(value),
            _ => return self.set_any_i32(row, value),
        }
        self.len += 1;
        true
    }

    #[inline(never)]
    fn set_any_i32(&mut self, row: usize, value: i32) -> bool {
        if !self.reach(row) {
            return false;
        }
        match &mut self.values {
            Values::I32(v) => v.push(value),
            _ => self.panic_for("an i32"),
        }
        self.len += 1;
        true
    }

    #[inline]
    pub(super) fn set_i64(&mut self, row: usize, value: i64) -> bool {
        match &mut self.values {
            Values::I64(v) if self.len == row && v.len() < v.capacity() => v.push(value),
            _ => return self.set_any_i64(row, value),
        }
        self.len += 1;
        true
    }

    #[inline(never)]
    fn set_any_i64(&mut self, row: usize, value: i64) -> bool {
        if !self.reach(row) {
            return false;
        }
        match &mut self.values {
            Values::I64(v) => v.push(value),
            _ => self.panic_for("an i64"),
        }
        self.len += 1;
        true
    }

    #[inline]
    pub(super) fn set_bool(&mut self, row: usize, value: bool) -> bool {
        if !self.reach(row) {
            return false;
        }
        match &mut self.values {
            Values::Bool(v) => v.append(value),
            _ => self.panic_for("a bool"),
        }
        self.len += 1;
        true
    }

    /// Adds to the list of `row`.
    pub(super) fn push_str(&mut self, row: usize, value: &str) {
        let fresh = self.reach(row);
        if !self.values.push_str(value) {
            self.panic_for("text");
        }
        let count = self.values.len();
        match &mut self.list_ends {
            Some(ends) if fresh => {
                ends.push(count);
                self.len += 1;
            }
            Some(ends) => ends.extend_last(count),
            None => self.panic_for("a list"),
        }
    }

    /// Sets all rows of `[from, to)` to one value. Rows that have theirs already keep it.
    pub(super) fn fill(&mut self, from: usize, to: usize, value: Shared<'_>) {
        if self.len >= to || !self.reach(from.max(self.len)) {
            return;
        }
        match (&mut self.values, value) {
            (Values::Keyword(keys, keywords), Shared::Text(text)) => {
                let key = keywords.key(text);
                keys.resize(to, key);
            }
            (Values::I32(v), Shared::I32(value)) => v.resize(to, value),
            (Values::Keyword(..), Shared::List(texts)) => {
                for (row, text) in (self.len..to).flat_map(|row| texts.iter().map(move |text| (row, text))) {
                    self.push_str(row, text);
                }
                return;
            }
            _ => self.panic_for("a shared value of another kind"),
        }
        self.len = to;
    }

    #[cold]
    fn panic_for(&self, what: &str) -> ! {
        panic!("{} holds {:?}: it cannot take {what}", self.leaf.path, self.leaf.kind);
    }

    /// Forgets rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if self.len <= len {
            return;
        }
        self.len = len;
        self.valid.truncate(len.min(self.valid.len()));
        match &mut self.list_ends {
            None => self.values.truncate(len),
            Some(ends) => {
                ends.truncate(len);
                self.values.truncate(ends.last());
            }
        }
    }

    /// The array of `rows` values, none if all are null; the column is empty afterwards.
    pub(super) fn finish(&mut self, rows: usize) -> Option<ArrayRef> {
        if self.len == 0 {
            self.last = (0, 0);
            return None;
        }
        if self.len < rows {
            self.pad(rows);
        }
        let nulls = self.nulls();
        self.last = match &self.values {
            Values::Bytes { bytes, ends } => (ends.len(), bytes.len()),
            values => (values.len(), 0),
        };
        self.len = 0;
        Some(match &mut self.list_ends {
            None => self.values.finish(self.leaf.kind, nulls),
            Some(ends) => {
                let offsets = ends.finish();
                let values = self.values.finish(self.leaf.kind, None);
                Arc::new(ListArray::new(element_field(self.leaf.kind), offsets, values, nulls))
            }
        })
    }

    /// None if no row is null.
    fn nulls(&mut self) -> Option<NullBuffer> {
        if self.valid.is_empty() {
            return None;
        }
        self.valid.append_n(self.len - self.valid.len(), true);
        Some(NullBuffer::new(self.valid.finish())).filter(|n| n.null_count() > 0)
    }
}
