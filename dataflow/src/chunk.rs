//! Raw records of one partition, in offset order, in one buffer: no allocation a record.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

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
    buffer: Bytes,
    spans: Vec<Span>,
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
            payload: &self.buffer[s.start as usize..s.end as usize],
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
        self.buffer.len() + self.spans.len() * size_of::<Span>()
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
    buffer: BytesMut,
    spans: Vec<Span>,
}

impl ChunkBuilder {
    /// An empty chunk whose range begins at `start`.
    pub fn new(partition: PartitionId, tenant: Arc<str>, start: i64) -> Self {
        Self { partition, tenant, start, next: start, head: None, buffer: BytesMut::new(), spans: Vec::new() }
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
            buffer: self.buffer.freeze(),
            spans: self.spans,
        }
    }
}
