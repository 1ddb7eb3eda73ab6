//! What flows through Palisade and what may happen to it. No I/O, no clock, no randomness, no async runtime.
//!
//! **Data in:** raw records as [`Chunk`]s of one partition and offset range.
//! **Data out:** Arrow batches in the OCSF schema, one [`Table`] each, every row with the identity columns of [`identity`].
//!
//! Invariants:
//! - A row's identity (`_topic, _incarnation, _partition_id, _offset, _record`) is decided by the source and never changes.
//! - A batch's schema is [`Table::schema`] exactly; there is one schema a table.
//! - A bad record is a value ([`DeadLetters`]), never an error; one record never fails a batch.
//! - `tenant_uid` comes from the chunk, never from the payload.
//!
//! Absent on purpose: any format, vendor, window, file or network. Those belong to the crates of floor 1.

pub mod batch_builder;
pub mod chunk;
pub mod client_settings;
pub mod contracts;
pub mod dead_letter;
pub mod identity;
pub mod json;
pub mod latency;
pub mod mutant;
pub mod print;
pub mod schema;
pub mod time;
pub mod watermark;
pub mod yaml;

pub use batch_builder::{BatchBuilder, Shared, Stamp, TableBuilder};
pub use chunk::{Chunk, ChunkBuffers, ChunkBuilder, Record};
pub use client_settings::ClientSettings;
pub use contracts::{Decoder, Enricher, Lag, Source, SourceError, SourceEvent, Stop};
pub use dead_letter::{DeadLetters, Reason};
pub use identity::{OffsetRange, PartitionId, Positions, RowId};
pub use latency::Latency;
pub use schema::{Leaf, LeafKind, Table};
pub use watermark::{PartitionClock, Watermark};

/// A batch of rows of one table, in that table's schema.
#[derive(Debug, Clone)]
pub struct TableBatch {
    /// The table the rows belong to.
    pub table: Table,
    /// The rows; the schema is `table.schema()`.
    pub rows: arrow::array::RecordBatch,
}
