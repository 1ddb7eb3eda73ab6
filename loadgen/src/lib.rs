//! Synthetic fleets in the vendors' wire formats, with labelled attacks: the oracle that the pipeline is measured against.
//!
//! **Data in:** a [`FleetConfig`]; nothing else, no clock and no file.
//! **Data out:** records in the formats of [`Mix`] and in VPC flow log text, as a [`GeneratorSource`], as files, as a stream or as records of Kafka; the truth, a row an event, of what must stand in which table; labels of attacks and near misses;
//! and the [`score()`] of the alerts that came out.
//!
//! ```text
//! FleetConfig -> Fleet -+- plan: attacks and near misses, offsets ----> labels.json --> score
//!                       +- cursor(partition, offset) -> record -+-> render -> bytes -> source, files, stream, Kafka
//!                                                               +-> truth rows ------> truth.parquet
//! ```
//!
//! Invariants:
//! - The same configuration gives the same bytes, truth and labels on every machine, whatever is read first.
//! - A record is a function of (seed, partition, offset): a cursor starts anywhere for the price of a binary search.
//! - Bytes and truth are both made from the record; neither is made from the other.
//! - In a partition no record's event time is more than `max_disorder_us` (at least a second) below an earlier one's.
//! - No source of the background, and no near miss, meets a starter rule; every attack does, within one window, and
//!   meets its own rule only. In the background that holds at any rate of records.
//!
//! Absent on purpose: any decoder. What the formats look like comes from the vendors' field pages, never from `ingest`.

mod config;
mod cursor;
mod draw;
mod error;
mod files;
mod fleet;
mod kafka;
mod label;
mod mix;
mod plan;
mod record;
mod render;
mod score;
mod source;
mod truth;

pub use config::FleetConfig;
pub use cursor::{PartitionCursor, RecordKind, RecordMeta};
pub use error::Error;
pub use files::{Compression, write_files, write_stream};
pub use fleet::Fleet;
pub use fleet::people::UserName;
pub use kafka::{PartitionPlace, create_topic, write_kafka};
pub use label::{Label, RecordRange};
pub use mix::Mix;
pub use score::{AlertSeen, FalseAlert, RuleScore, Score, score};
pub use source::{ChunkLimits, GeneratorSource, Pace};
pub use truth::TruthRow;
