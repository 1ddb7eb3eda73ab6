//! Raw records of one partition, in offset order, in one buffer: no allocation a record, and buffers that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::identity::{OffsetRange, PartitionId};

/// Consecutive records of one partition, all of one tenant.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Where the records stand.
    pub partition: PartitionId,
    /// Whose records they are; decided by the source.
    pub tenant: Arc<str>,
    /// From the first offset of the chunk to the position after it.
    pub offsets: OffsetRange,
    /// The first line of the file that the records stand in, if they stand in one: some formats name their fields there.
    pub head: Option<Bytes>,
    buffer: Arc<Buffer>,
    spans: Vec<Span>,
}

/// Buffers of chunks that are done with, for the chunks to come. A chunk is filled by one thread and dropped by another,
/// and an allocator gives its pages back to the kernel in between.
#[derive(Debug, Clone, Default)]
pub struct ChunkBuffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl ChunkBuffers {
    /// Buffers that are kept: about as many as wait in a full queue.
    const KEPT: usize = 256;
    /// The largest that is kept.
    const BYTES_MAX: usize = 8 << 20;

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT && buffer.capacity() <= Self::BYTES_MAX {
            kept.push(buffer);
        }
    }
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    home: Option<ChunkBuffers>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    offset: i64,
    received_at: i64,
    /// The record's whole length; larger than the span if the source cut it at the line limit.
    full_len: u64,
}

/// One record of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The record's bytes, without its line end; cut at the line limit if `is_cut`.
    pub payload: &'a [u8],
    /// Its offset in the partition.
    pub offset: i64,
    /// When the source received it durably, microseconds UTC (`_received_at`).
    pub received_at: i64,
    /// Its length in the source; `payload.len()` unless the source cut it.
    pub full_len: u64,
}

impl Record<'_> {
    /// True if the source cut the record because it exceeded the line limit.
    pub fn is_cut(&self) -> bool {
        self.full_len > self.payload.len() as u64
    }
}

impl Chunk {
    /// The records in offset order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.spans.iter().map(|s| Record {
            payload: &self.buffer.bytes[s.start as usize..s.end as usize],
            offset: s.offset,
            received_at: s.received_at,
            full_len: s.full_len,
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if the chunk holds no record (it may still move the position, over offsets that hold none).
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.buffer.bytes.len() + self.spans.len() * size_of::<Span>()
    }

    /// The chunk without the records below `position`: what a seek that races with a fetch needs.
    pub fn skip_below(mut self, position: i64) -> Self {
        self.spans.retain(|s| s.offset >= position);
        self.offsets.start = self.offsets.start.max(position);
        self
    }
}

/// Collects records into a [`Chunk`].
#[derive(Debug)]
pub struct ChunkBuilder {
    partition: PartitionId,
    tenant: Arc<str>,
    start: i64,
    next: i64,
    head: Option<Bytes>,
    buffer: Vec<u8>,
    home: Option<ChunkBuffers>,
    spans: Vec<Span>,
}

impl ChunkBuilder {
    /// An empty chunk whose range begins at `start`.
    pub fn new(partition: PartitionId, tenant: Arc<str>, start: i64) -> Self {
        let (buffer, spans) = (Vec::new(), Vec::new());
        Self { partition, tenant, start, next: start, head: None, buffer, home: None, spans }
    }

    /// As [`ChunkBuilder::new`], in a buffer that goes back to `buffers` with the chunk's last clone.
    pub fn reusing(partition: PartitionId, tenant: Arc<str>, start: i64, buffers: &ChunkBuffers) -> Self {
        Self { buffer: buffers.take(), home: Some(buffers.clone()), ..Self::new(partition, tenant, start) }
    }

    /// Adds a record. Offsets rise strictly.
    ///
    /// # Panics
    /// If `offset` is below the position reached, or the chunk would pass 4 GiB: both are the source's own mistakes.
    pub fn push(&mut self, payload: &[u8], offset: i64, received_at: i64) {
        self.push_cut(payload, payload.len() as u64, offset, received_at);
    }

    /// Adds a record whose payload was cut at the line limit; `full_len` is its length in the source.
    ///
    /// # Panics
    /// As [`ChunkBuilder::push`].
    pub fn push_cut(&mut self, payload: &[u8], full_len: u64, offset: i64, received_at: i64) {
        assert!(offset >= self.next, "offset {offset} below position {} of {}", self.next, self.partition);
        let start = u32::try_from(self.buffer.len()).expect("a chunk stays below 4 GiB");
        self.buffer.extend_from_slice(payload);
        let end = u32::try_from(self.buffer.len()).expect("a chunk stays below 4 GiB");
        self.spans.push(Span { start, end, offset, received_at, full_len });
        self.next = offset + 1;
    }

    /// Says what the file that the records stand in begins with.
    pub fn set_head(&mut self, head: Option<Bytes>) {
        self.head = head;
    }

    /// Moves the position over offsets that hold no record.
    pub fn advance_to(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// Whose records they are.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if no record was added.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Payload bytes so far.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The chunk.
    pub fn finish(self) -> Chunk {
        Chunk {
            partition: self.partition,
            tenant: self.tenant,
            offsets: OffsetRange { start: self.start, next: self.next },
            head: self.head,
            buffer: Arc::new(Buffer { bytes: self.buffer, home: self.home }),
            spans: self.spans,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(buffers: &ChunkBuffers, text: &[u8]) -> Chunk {
        let mut builder = ChunkBuilder::reusing(PartitionId::new("t", "i", 0), "acme".into(), 0, buffers);
        builder.push(text, 0, 0);
        builder.finish()
    }

    #[test]
    fn a_buffer_comes_back_empty_once_no_chunk_needs_it() {
        let buffers = ChunkBuffers::default();
        let first = chunk(&buffers, b"a long first record");
        let clone = first.clone();
        drop(first);
        assert_eq!(buffers.0.lock().expect("no panic").len(), 0);
        drop(clone);
        assert_eq!(buffers.0.lock().expect("no panic").len(), 1);
        let second = chunk(&buffers, b"b");
        assert_eq!(second.records().map(|r| r.payload).collect::<Vec<_>>(), [b"b"]);
        assert_eq!(buffers.0.lock().expect("no panic").len(), 0);
    }

    #[test]
    fn few_buffers_are_kept_and_none_that_is_huge() {
        let buffers = ChunkBuffers::default();
        let many: Vec<Chunk> = (0..ChunkBuffers::KEPT + 9).map(|_| chunk(&buffers, b"x")).collect();
        drop(many);
        assert_eq!(buffers.0.lock().expect("no panic").len(), ChunkBuffers::KEPT);
        let none = ChunkBuffers::default();
        drop(chunk(&none, &vec![b'x'; ChunkBuffers::BYTES_MAX + 1]));
        assert_eq!(none.0.lock().expect("no panic").len(), 0);
    }
}
