//! One virtual partition: its registrations in the order of their numbers, as chunks.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dataflow::{Chunk, ChunkBuffers, ChunkBuilder, PartitionId};

use super::content::{self, Content, ReadFailure};
use super::error::FilesError;
use super::lines::Lines;
use super::registry::{Compression, Registration, Registry};

/// What a chunk pays for a record beside its bytes, so that empty lines fill a chunk too.
const RECORD_COST: usize = 40;

/// A registration's records are numbered in 32 bits.
const RECORDS_LIMIT: u64 = 1 << 32;

/// How much is held at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) line: usize,
    pub(super) chunk: usize,
}

/// The reading state of a partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: PartitionId,
    tenant: Arc<str>,
    /// The next offset to deliver.
    position: i64,
    /// Not yet delivered to their ends.
    files: VecDeque<Arc<Registration>>,
    /// The first of `files`, if it is being read.
    open: Option<Records>,
    /// It was said that everything is delivered.
    pub(super) is_caught_up: bool,
    buffers: ChunkBuffers,
}

impl Partition {
    pub(super) fn new(id: PartitionId, tenant: Arc<str>, buffers: ChunkBuffers) -> Self {
        Self { id, tenant, position: 0, files: VecDeque::new(), open: None, is_caught_up: false, buffers }
    }

    /// Adds a registration; numbers rise.
    pub(super) fn add(&mut self, entry: Arc<Registration>) {
        self.files.push_back(entry);
    }

    /// Continues at `position`, which a chunk of this partition once gave as its next offset.
    pub(super) fn seek(&mut self, position: i64) {
        self.open = None;
        self.position = position;
        self.files.retain(|entry| entry.offset() >> 32 >= position >> 32);
    }

    /// The next records, of one registration; none if all are delivered. After an error the same call may be made again.
    pub(super) fn next_chunk(&mut self, registry: &Registry, limits: Limits) -> Result<Option<Chunk>, FilesError> {
        while let Some(entry) = self.files.front().cloned() {
            let mut records = match self.open.take() {
                Some(records) => records,
                None => {
                    let wanted = u64::try_from(self.position - entry.offset()).unwrap_or(0);
                    if wanted > 0 && registry.records(entry.number)? == Some(wanted) {
                        self.files.pop_front(); // delivered before: the file itself may be gone by now
                        continue;
                    }
                    Records::open(&entry, wanted, limits.line)?
                }
            };
            let mut chunk = ChunkBuilder::reusing(self.id.clone(), self.tenant.clone(), self.position, &self.buffers);
            if records.fill(&mut chunk, limits)? {
                registry.note_records(&entry, records.next)?;
                chunk.advance_to(entry.offset() + records.next as i64);
                self.files.pop_front();
            } else {
                self.open = Some(records);
            }
            let chunk = chunk.finish();
            if chunk.offsets.next > chunk.offsets.start {
                self.position = chunk.offsets.next;
                self.is_caught_up = false;
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

/// A registration being read.
#[derive(Debug)]
struct Records {
    entry: Arc<Registration>,
    lines: Lines<Content>,
    line_limit: usize,
    /// The index of the next record.
    next: u64,
    /// The rest cannot be read, and a record says so.
    is_cut_short: bool,
    /// The first line of the file.
    head: Option<Bytes>,
}

impl Records {
    /// Opens the file and passes over the first records.
    fn open(entry: &Arc<Registration>, skip: u64, line_limit: usize) -> Result<Self, FilesError> {
        let content = Content::open(entry, skip)?;
        let lines = Lines::new(content, line_limit, entry.start_byte == 0);
        let head = if entry.start_byte == 0 { None } else { content::head(entry, line_limit)? };
        let mut records = Self { entry: entry.clone(), lines, line_limit, next: 0, is_cut_short: false, head };
        while records.next < skip {
            if !records.next(|_, _, _| ())? {
                let held = records.next;
                return Err(entry.changed(format!("holds {held} records; {skip} were read from it before")));
            }
        }
        Ok(records)
    }

    /// Fills the chunk; true if the registration is at its end.
    fn fill(&mut self, chunk: &mut ChunkBuilder, limits: Limits) -> Result<bool, FilesError> {
        let is_at_end = self.push(chunk, limits)?;
        chunk.set_head(self.head.clone());
        Ok(is_at_end)
    }

    fn push(&mut self, chunk: &mut ChunkBuilder, limits: Limits) -> Result<bool, FilesError> {
        let (offset, received_at) = (self.entry.offset(), self.entry.registered_at);
        while chunk.bytes() + chunk.len() * RECORD_COST < limits.chunk {
            let more = self.next(|index, line, full_len| {
                chunk.push_cut(line, full_len, offset + index as i64, received_at);
            })?;
            if !more {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives the next record to `take`: its index, its bytes, its length in the source. False at the end.
    #[inline]
    fn next(&mut self, take: impl FnOnce(u64, &[u8], u64)) -> Result<bool, FilesError> {
        let index = self.next;
        if self.is_cut_short {
            return Ok(false);
        }
        if index == RECORDS_LIMIT - 1 {
            return Ok(self.cut_short("holds more than 2^32 records", take));
        }
        let mut take = Some(take);
        let begins = index == 0 && self.entry.start_byte == 0;
        let head = &mut self.head;
        let result = self.lines.next(|line, full_len| {
            if begins {
                *head = content::head_of(line, full_len);
            }
            if let Some(take) = take.take() {
                take(index, line, full_len);
            }
        });
        match (result, take) {
            (Ok(true), _) => self.next += 1,
            (Err(error), Some(take)) => return self.fail(error, take),
            (_, _) => return Ok(false),
        }
        Ok(true)
    }

    #[cold]
    fn fail(&mut self, error: std::io::Error, take: impl FnOnce(u64, &[u8], u64)) -> Result<bool, FilesError> {
        let kind = match self.entry.compression {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        match ReadFailure::of(&error) {
            ReadFailure::System => Err(FilesError::io("read", Path::new(&self.entry.path), error)),
            ReadFailure::Shrank => Err(self.entry.changed("shrank while it was read")),
            ReadFailure::Damaged => Ok(self.cut_short(&format!("{kind} data is damaged or incomplete"), take)),
            ReadFailure::TooExpanded => {
                Ok(self.cut_short(&format!("{kind} data expands to more than 200 times its size and 64 MiB"), take))
            }
        }
    }

    /// Ends the registration with a record that says what is not read, followed by the line that was under way. Its length
    /// is given as one more than is known, so that it is a cut record and becomes a dead letter.
    fn cut_short(&mut self, why: &str, take: impl FnOnce(u64, &[u8], u64)) -> bool {
        let (path, bytes) = (&self.entry.path, self.lines.bytes());
        let mut payload =
            format!("palisade: {path}: {why}; what follows its first {bytes} bytes was not read").into_bytes();
        if !self.lines.partial().is_empty() {
            payload.push(b'\n');
            payload.extend_from_slice(self.lines.partial());
        }
        let full_len = payload.len() as u64 + 1;
        payload.truncate(self.line_limit);
        take(self.next, &payload, full_len);
        self.next += 1;
        self.is_cut_short = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_number_and_index() {
        let text = r#"{"path":"/x","start_byte":0,"end_byte":9,"compression":"none","registered_at":5,
            "fingerprint":{"head_len":9,"head_crc":1}}"#;
        let mut entry: Registration = serde_json::from_str(text).expect("a registration");
        entry.number = (1 << 31) - 1;
        assert_eq!(entry.offset() + (RECORDS_LIMIT as i64 - 1), i64::MAX);
    }
}
