//! Synthetic fleets in the vendors' wire formats, with labelled attacks: the oracle that the pipeline is measured against.
//!
//! **Data in:** a [`FleetConfig`]; nothing else, no clock and no file.
//! **Data out:** records in the formats of [`Mix`] and in VPC flow log text, as a [`GeneratorSource`], as files, or sent to a target by
//! a schedule ([`send()`]); the truth, a row an event, of what must stand in which table; labels of attacks and near misses;
//! and the [`score()`] of the alerts that came out.
//!
//! ```text
//! FleetConfig -> Fleet -+- plan: attacks and near misses, offsets ----> labels.json --> score
//!                       +- cursor(partition, offset) -> record -+-> render -> bytes -> source, files, send -> report
//!                                                               +-> truth rows ------> truth.parquet
//! ```
//!
//! Invariants:
//! - The same configuration gives the same bytes, truth and labels on every machine, whatever is read first.
//! - A record is a function of (seed, partition, offset): a cursor starts anywhere for the price of a binary search.
//! - Bytes and truth are both made from the record; neither is made from the other.
//! - In a partition no record's event time is more than `max_disorder_us` (at least a second) below an earlier one's, but
//!   for those that are late on purpose, that a device kept while it could not be reached, or that are sent once more.
//! - No source of the background, and no near miss, meets a starter rule; every attack that one covers does, within one
//!   window, and meets its own rule only; the other attacks meet none. In the background that holds at any rate of records.
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
mod learn;
mod mix;
mod plan;
mod record;
mod render;
mod schedule;
mod score;
mod send;
mod source;
mod truth;

pub use config::{Facts, FleetConfig, Knobs, Rate, Traffic};
pub use cursor::{PartitionCursor, RecordKind, RecordMeta};
pub use error::Error;
pub use files::{Compression, write_files, write_stream};
pub use fleet::Fleet;
pub use fleet::people::UserName;
pub use kafka::{Brokers, PartitionPlace, create_topic, write_kafka};
pub use label::{Label, RecordRange};
pub use learn::Learner;
pub use mix::Mix;
pub use schedule::{Schedule, rate};
pub use score::{AlertSeen, FalseAlert, RuleScore, Score, score};
pub use send::{
    Endpoint, Framing, KEY_TEMPLATE, Keys, Latencies, Place, Post, Progress, Report, SendOptions, Shard, Target,
    Timing, send,
};
pub use source::{ChunkLimits, GeneratorSource, Pace};
pub use truth::TruthRow;
