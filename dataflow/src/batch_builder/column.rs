//! One leaf's values, padded with nulls on demand and cut back when a row is aborted.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Int32Array, Int64Array, ListArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};

use super::keywords::Keywords;
use crate::schema::{LeafKind, UTC};
use crate::schema::{LeafSpec, element_field};

#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    /// For a list: where each row's values end.
    list_ends: Option<Vec<i32>>,
    valid: BooleanBufferBuilder,
    any_null: bool,
    kind: LeafKind,
    path: &'static str,
}

#[derive(Debug)]
enum Values {
    Keyword(Vec<i32>, Box<Keywords>),
    Bytes { bytes: Vec<u8>, ends: Vec<i32> },
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(BooleanBufferBuilder),
}

impl Values {
    fn new(kind: LeafKind) -> Self {
        match kind {
            LeafKind::Keyword => Self::Keyword(Vec::new(), Box::new(Keywords::new())),
            LeafKind::Text | LeafKind::Json | LeafKind::Binary => Self::Bytes { bytes: Vec::new(), ends: Vec::new() },
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

    fn pad(&mut self, len: usize) {
        match self {
            Self::Keyword(keys, _) => keys.resize(len, 0),
            Self::Bytes { ends, .. } => {
                let last = ends.last().copied().unwrap_or(0);
                ends.resize(len, last);
            }
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
                bytes.truncate(ends.last().map_or(0, |&e| e as usize));
            }
            Self::I32(v) => v.truncate(len),
            Self::I64(v) => v.truncate(len),
            Self::Bool(v) => v.truncate(len),
        }
    }

    fn push_bytes(&mut self, value: &[u8]) -> bool {
        let Self::Bytes { bytes, ends } = self else { return false };
        bytes.extend_from_slice(value);
        ends.push(i32::try_from(bytes.len()).expect("a batch's column stays below 2 GiB"));
        true
    }

    fn push_str(&mut self, value: &str) -> bool {
        if let Self::Keyword(keys, keywords) = self {
            keys.push(keywords.key(value));
            return true;
        }
        self.push_bytes(value.as_bytes())
    }

    fn finish(&mut self, kind: LeafKind, nulls: Option<NullBuffer>) -> ArrayRef {
        match self {
            Self::Keyword(keys, keywords) => keywords.finish(std::mem::take(keys), nulls),
            Self::Bytes { bytes, ends } => {
                let ends = std::mem::take(ends);
                let offsets = OffsetBuffer::new(std::iter::once(0).chain(ends).collect::<Vec<i32>>().into());
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

impl Column {
    pub(super) fn new(leaf: &'static LeafSpec) -> Self {
        Self {
            values: Values::new(leaf.kind),
            list_ends: leaf.is_list.then(Vec::new),
            valid: BooleanBufferBuilder::new(0),
            any_null: false,
            kind: leaf.kind,
            path: &leaf.path,
        }
    }

    /// Rows (or elements) that have a value or a null so far.
    pub(super) fn len(&self) -> usize {
        self.valid.len()
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

    /// Nulls up to `row`; false if `row` has its value already.
    #[inline]
    fn reach(&mut self, row: usize) -> bool {
        let len = self.valid.len();
        if len > row {
            return false;
        }
        if len < row {
            self.pad(row);
        }
        true
    }

    fn pad(&mut self, len: usize) {
        self.any_null |= len > self.valid.len();
        self.valid.append_n(len - self.valid.len(), false);
        match &mut self.list_ends {
            None => self.values.pad(len),
            Some(ends) => ends.resize(len, self.values.len() as i32),
        }
    }

    #[inline]
    pub(super) fn set_str(&mut self, row: usize, value: &str) -> bool {
        let free = self.reach(row);
        if free {
            let ok = self.values.push_str(value);
            self.mark(ok);
        }
        free
    }

    #[inline]
    pub(super) fn set_bytes(&mut self, row: usize, value: &[u8]) -> bool {
        let free = self.reach(row);
        if free {
            assert_eq!(self.kind, LeafKind::Binary, "{} does not hold bytes", self.path);
            let ok = self.values.push_bytes(value);
            self.mark(ok);
        }
        free
    }

    #[inline]
    pub(super) fn set_i32(&mut self, row: usize, value: i32) -> bool {
        let free = self.reach(row);
        if free {
            let ok = if let Values::I32(v) = &mut self.values {
                v.push(value);
                true
            } else {
                false
            };
            self.mark(ok);
        }
        free
    }

    #[inline]
    pub(super) fn set_i64(&mut self, row: usize, value: i64) -> bool {
        let free = self.reach(row);
        if free {
            let ok = if let Values::I64(v) = &mut self.values {
                v.push(value);
                true
            } else {
                false
            };
            self.mark(ok);
        }
        free
    }

    #[inline]
    pub(super) fn set_bool(&mut self, row: usize, value: bool) -> bool {
        let free = self.reach(row);
        if free {
            let ok = if let Values::Bool(v) = &mut self.values {
                v.append(value);
                true
            } else {
                false
            };
            self.mark(ok);
        }
        free
    }

    /// Adds to the list of `row`.
    pub(super) fn push_str(&mut self, row: usize, value: &str) {
        let fresh = self.reach(row);
        let ok = self.values.push_str(value);
        let count = self.values.len() as i32;
        let ends = self.list_ends.as_mut().unwrap_or_else(|| panic!("{} is not a list", self.path));
        if fresh {
            ends.push(count);
            self.mark(ok);
        } else if let Some(end) = ends.last_mut() {
            *end = count;
        }
    }

    #[inline]
    fn mark(&mut self, ok: bool) {
        assert!(ok, "{} holds {:?}", self.path, self.kind);
        self.valid.append(true);
    }

    /// Forgets rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if self.valid.len() <= len {
            return;
        }
        self.valid.truncate(len);
        match &mut self.list_ends {
            None => self.values.truncate(len),
            Some(ends) => {
                ends.truncate(len);
                let kept = ends.last().map_or(0, |&e| e as usize);
                self.values.truncate(kept);
            }
        }
    }

    /// The array of `rows` values; the column is empty afterwards.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        if self.valid.len() < rows {
            self.pad(rows);
        }
        let valid = self.valid.finish();
        let nulls = std::mem::take(&mut self.any_null).then(|| NullBuffer::new(valid));
        match &mut self.list_ends {
            None => self.values.finish(self.kind, nulls),
            Some(ends) => {
                let offsets = std::iter::once(0).chain(std::mem::take(ends)).collect::<Vec<i32>>();
                let values = self.values.finish(self.kind, None);
                Arc::new(ListArray::new(element_field(self.kind), OffsetBuffer::new(offsets.into()), values, nulls))
            }
        }
    }
}
