//! Files as a replayable source: bounded (read what is there, then end) or following (read what is added).
//!
//! **Data in:** the regular files that the globs match: plain, gzip (many members) or zstd (many frames), told apart by
//! their first bytes, not by name. **Data out:** one record a line, as [`dataflow::Chunk`]s.
//!
//! A file becomes readable when it is *registered*: a create-once entry in the registry gives it the next number
//! and fixes path, byte range and receive time ([`registry`]). So a registration is an immutable sequence of records:
//!
//! - `_offset` = number << 32 | index of the record; `_partition_id` = number modulo the fixed count of partitions;
//!   `_received_at` = the time of registration; `_incarnation` = [`incarnation`] of the topic.
//! - Reading again, from any position, by any process, yields the same records under the same identity. If the bytes are
//!   no longer there, or are others, that is an error that says so, never a silent difference.
//! - A plain file that grew is registered again for what was added; when following, up to its last line end, otherwise
//!   to its end. A long plain file is registered in pieces, which spreads it over the partitions.
//! - A chunk says what its file begins with ([`dataflow::Chunk::head`]): a line of field names reaches every part of the file.
//! - Every line is a record, an empty one too. CRLF ends a line as LF does. A byte order mark at the start is skipped.
//! - A line beyond the line limit is delivered as its beginning with its whole length ([`dataflow::Record::is_cut`]); one that
//!   is an array of records, as clouds store them (`{"Records":[`), as its elements, a record each.
//! - Compressed data that is damaged, cut off, or expands too far ends in one cut record that says in its payload which
//!   file it was and what was not read; the decoder makes it a dead letter. Nothing is lost silently, and no file is
//!   held in memory: a partition holds one chunk, one line and the decompressor's window (at most 32 MiB).
//!
//! Absent on purpose: renamed files. A file is known by its path; logs that rotate by renaming need names that do not
//! repeat (a date), or the tool that rotates them as a sender.

mod content;
mod elements;
mod error;
mod fingerprint;
mod lines;
mod partition;
mod registry;
mod scan;
mod shelf;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataflow::{PartitionId, Positions, Source, SourceError, SourceEvent};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

pub use content::head_of;
pub use error::FilesError;
pub use lines::Lines;
pub use shelf::{Folder, Shelf};
use worker::{Step, Worker};

/// How often the globs are looked up again when following.
const POLL: Duration = Duration::from_secs(1);

/// Namespace of the incarnations of file topics; drawn once at random.
const FILE_TOPICS: Uuid = Uuid::from_u128(0x8d5c_41f7_2f0e_4b57_9a64_d3b9_0c5e_71a2);

/// What to read and where to register it.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// The topic's name.
    pub topic: String,
    /// Whose records they are.
    pub tenant: Arc<str>,
    /// Patterns of paths (`*`, `?`, `[a-z]`, `**`).
    pub globs: Vec<String>,
    /// Count of virtual partitions, at least 1. Fixed for the life of the registry.
    pub partitions: u32,
    /// Wait for more when all is read; otherwise end.
    pub follow: bool,
    /// Longest line, in bytes, that is delivered whole.
    pub line_limit: usize,
    /// A chunk ends when it holds this much: payload and bookkeeping.
    pub chunk_bytes: usize,
    /// Where the registrations are, of this topic alone. Keep them as long as the tables.
    pub registry: Arc<dyn Shelf>,
}

impl FilesConfig {
    /// One partition, bounded, with the default limits (1 MiB a line and a chunk), registered in a folder.
    pub fn new(topic: &str, tenant: &str, globs: Vec<String>, registry: PathBuf) -> Self {
        Self {
            topic: topic.to_owned(),
            tenant: tenant.into(),
            globs,
            partitions: 1,
            follow: false,
            line_limit: 1 << 20,
            chunk_bytes: 1 << 20,
            registry: Arc::new(Folder(registry)),
        }
    }
}

/// The incarnation of a file topic: a UUIDv5 of its name. It needs no entry of its own, because the registry lives as
/// long as the warehouse and never gives a number twice, so a (topic, offset) never means another record.
pub fn incarnation(topic: &str) -> Uuid {
    Uuid::new_v5(&FILE_TOPICS, topic.as_bytes())
}

/// The source. Reading happens on the runtime's blocking threads, one step at a time.
#[derive(Debug)]
pub struct FileSource {
    topic: String,
    partitions: Vec<PartitionId>,
    state: State,
    follow: bool,
    poll: Duration,
    next_scan: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Idle(Box<Worker>),
    Busy(JoinHandle<(Box<Worker>, Result<Step, FilesError>)>),
    /// A step panicked; the source cannot go on.
    Lost,
}

impl FileSource {
    /// Opens the registry and registers what the globs match. `now` gives microseconds UTC; it becomes the receive time
    /// of files registered from here on, and nothing else.
    ///
    /// # Errors
    /// If a glob is wrong or, when not following, matches no file; if the registry belongs to another topic or count of
    /// partitions or is damaged; if a registered file was changed; if files cannot be read.
    pub fn open(config: FilesConfig, now: fn() -> i64) -> Result<Self, SourceError> {
        let (topic, follow) = (config.topic.clone(), config.follow);
        let worker = Worker::open(config, now).map_err(|e| e.into_source_error(&topic))?;
        let partitions = worker.partitions();
        let state = State::Idle(Box::new(worker));
        Ok(Self { topic, partitions, state, follow, poll: POLL, next_scan: None })
    }

    /// Starts a step unless one is under way (its caller was canceled), and waits for it.
    async fn step(&mut self) -> Result<Step, FilesError> {
        self.start();
        let State::Busy(step) = &mut self.state else { return Err(FilesError::Lost) };
        match step.await {
            Ok((worker, result)) => {
                self.state = State::Idle(worker);
                result
            }
            Err(_) => {
                self.state = State::Lost;
                Err(FilesError::Lost)
            }
        }
    }

    fn start(&mut self) {
        let scan = self.scan_is_due();
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(mut worker) => State::Busy(tokio::task::spawn_blocking(move || {
                let result = worker.step(scan);
                (worker, result)
            })),
            other => other,
        };
    }

    #[expect(clippy::disallowed_methods, reason = "when to look for files again; no record depends on it")]
    fn scan_is_due(&mut self) -> bool {
        let (now, idle) = (Instant::now(), matches!(self.state, State::Idle(_)));
        let due = self.follow && idle && self.next_scan.is_none_or(|at| now >= at);
        if due {
            self.next_scan = Some(now + self.poll);
        }
        due
    }

    async fn wait_for_scan(&self) {
        match self.next_scan {
            Some(at) => tokio::time::sleep_until(at).await,
            None => tokio::time::sleep(self.poll).await,
        }
    }
}

#[async_trait]
impl Source for FileSource {
    fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.clone()
    }

    async fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        match &mut self.state {
            State::Idle(worker) => worker.seek(positions),
            _ => Err(FilesError::Lost),
        }
        .map_err(|e| e.into_source_error(&self.topic))
    }

    /// Cancel safe: a step that is under way when the call is dropped is taken up by the next call. After
    /// [`SourceEvent::EndOfInput`] a further call never returns.
    async fn next_event(&mut self) -> Result<SourceEvent, SourceError> {
        loop {
            match self.step().await.map_err(|e| e.into_source_error(&self.topic))? {
                Step::Event(event) => return Ok(event),
                Step::Wait => self.wait_for_scan().await,
                Step::Ended => std::future::pending().await,
            }
        }
    }

    /// Nothing to do: files keep no position of ours.
    async fn acknowledge(&mut self, _positions: &Positions) -> Result<(), SourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
