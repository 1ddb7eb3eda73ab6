//! Where each of a sequence of values ends, kept as Arrow wants it: offsets, with a zero before the first.

use arrow::buffer::OffsetBuffer;

#[derive(Debug)]
pub(super) struct Ends(Vec<i32>);

impl Ends {
    pub(super) fn new() -> Self {
        Self(vec![0])
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.0.len() - 1
    }

    /// Where the last value ends.
    #[inline]
    pub(super) fn last(&self) -> usize {
        self.0.last().map_or(0, |&end| end as usize)
    }

    /// Start and end of a value.
    #[inline]
    pub(super) fn span(&self, value: usize) -> std::ops::Range<usize> {
        self.0[value] as usize..self.0[value + 1] as usize
    }

    #[inline]
    pub(super) fn push(&mut self, end: usize) {
        self.0.push(i32::try_from(end).expect("a batch's column stays below 2 GiB"));
    }

    /// Moves the end of the last value.
    pub(super) fn extend_last(&mut self, end: usize) {
        self.0.pop();
        self.push(end);
    }

    /// Empty values up to `len` of them.
    pub(super) fn pad(&mut self, len: usize) {
        let last = self.0.last().copied().unwrap_or(0);
        self.0.resize(len + 1, last);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len + 1);
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    /// The offsets; no value is left.
    pub(super) fn finish(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(std::mem::replace(&mut self.0, vec![0]).into())
    }
}
