//! The traits between the stages. Async only at the two ends; what lies between is plain functions on batches.

use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use async_trait::async_trait;

use crate::batch_builder::BatchBuilder;
use crate::chunk::Chunk;
use crate::dead_letter::DeadLetters;
use crate::identity::{PartitionId, Positions};

/// What a source says next.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records of one partition.
    Chunk(Chunk),
    /// Everything the partition holds so far was delivered. Chunks may follow later.
    CaughtUp(PartitionId),
    /// Of a shared source: everything that the partition held at the end of so long a time was delivered, and nothing came in it.
    /// Said again and again while that is so. Whoever is held up hears of it late, and still of the time in which it was true.
    Silent(PartitionId, Duration),
    /// All partitions are read to their end and none will grow; said once, at the end of a bounded input.
    EndOfInput,
    /// Of a shared source: the partition came into being after the source was opened, whoever reads it. Said before anything
    /// else of it.
    Added(PartitionId),
    /// Of a shared source: the partition is ours from this position on. Said again after a seek.
    Assigned(PartitionId, i64),
    /// Of a shared source: the partition is someone else's now. What is not in the ledger yet is theirs to read.
    Revoked(PartitionId),
    /// Of a shared source: the partition is no more, and what was read of it is all there will be, whoever read it. Said again and
    /// again, until it is [`SourceEvent::Added`] after all.
    Gone(PartitionId),
    /// Of a shared source: where a partition that someone else reads ends at the moment.
    LogEnd(PartitionId, i64),
    /// Of a shared source: how much waits in a partition that is ours. Said now and then.
    Lag(PartitionId, Lag),
    /// Of a shared source: the partition is ours, but is not read on until somebody acts. What was delivered stays.
    Stopped(PartitionId, Stop),
}

/// How far behind its partition's end a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Offsets that were not delivered yet; some may never be, such as markers of transactions.
    pub offsets: i64,
    /// When the last record was received that was delivered, microseconds UTC, if any was.
    pub received_us: Option<i64>,
}

/// Why a partition is not read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// One word of a closed set, for metrics.
    pub kind: &'static str,
    /// What happened, and the way out.
    pub why: String,
}

/// Why a source could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {what}")]
pub struct SourceError {
    /// The source's name in the configuration.
    pub source_name: String,
    /// What could not be done, with the place.
    pub what: String,
    /// True if trying again may help.
    pub transient: bool,
    /// The cause.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where records come from: replayable by position.
#[async_trait]
pub trait Source: Send {
    /// All partitions that there were when the source was opened, in order. A position that [`Source::seek`] does not name is the
    /// partition's beginning.
    fn partitions(&self) -> Vec<PartitionId>;

    /// True if other workers read the same partitions: who owns which is then said by events, and what is not assigned is
    /// not read. Otherwise every partition is ours.
    fn is_shared(&self) -> bool {
        false
    }

    /// Continues each named partition at its position. Called before the first [`Source::next_event`]; of a shared source
    /// also later, when the ledger turns out to be further than we are.
    async fn seek(&mut self, positions: &Positions) -> Result<(), SourceError>;

    /// The next chunk, in offset order within a partition. Never yields an offset below the sought position twice.
    /// Cancel safe: a dropped call loses no record.
    async fn next_event(&mut self) -> Result<SourceEvent, SourceError>;

    /// Says that everything below the positions is committed. A hint: correctness never rests on it.
    async fn acknowledge(&mut self, positions: &Positions) -> Result<(), SourceError>;
}

/// Turns records into rows. Bad data is a value, never an error.
pub trait Decoder: Send {
    /// Appends each record of the chunk as one or more rows, or as one dead letter. Balances:
    /// every record ends in at least one row or in exactly one dead letter, never in both.
    fn decode(&mut self, chunk: &Chunk, rows: &mut BatchBuilder, dead: &mut DeadLetters);
}

/// Adds columns to a batch from versioned tables; never drops, alters or reorders a row.
pub trait Enricher: Send {
    /// Names of the columns it fills; they are columns of every event table.
    fn columns(&self) -> &[&'static str];

    /// One array for each name of [`Enricher::columns`], of the column's type, as long as the batch.
    fn enrich(&mut self, rows: &RecordBatch) -> Vec<ArrayRef>;

    /// The version of the table it reads, for the ledger entry and for alerts.
    fn version(&self) -> &str;
}
