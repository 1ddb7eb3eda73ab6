//! Batches to Iceberg tables, exactly once: object layout, ledger, Parquet files, guarded commits.
//!
//! **Data in:** batches of one [`Destination`] each, cut into offset ranges of one partition, or into steps of a
//! merge group. **Data out:** Iceberg tables that any engine reads, and the ledger that says what is in them.
//!
//! The order of things, for a range `[s, n)` of a partition:
//!
//! ```text
//! Encoder::open    -> Warehouse::stage -> Ledger::create_source -> Committer::commit_pending
//!   (bytes)           (invisible file)    (the commit point)       (redo: files become rows of the table)
//! ```
//!
//! Invariants:
//! - A ledger entry is created once and never changes; entries of a partition form a chain `start -> next`.
//! - A data file is visible only if an entry names it; a table holds exactly the files of the entries below its
//!   `palisade.next` of each partition. Both change in one Iceberg commit, checked by [`commit::GuardedCatalog`].
//! - Of a chain only what is below its floor is deleted, and a floor leaves all that anything may need ([`upkeep`]). Nothing
//!   is read from Kafka's group offsets.
//! - A property-only change commits an empty snapshot, so that every change of `palisade.next` is pinned by the
//!   snapshot requirement of the commit.
//!
//! Absent on purpose: expiry of snapshots, compaction.

pub mod backup;
pub mod commit;
pub mod config;
mod destination;
pub mod error;
mod granularity;
pub mod http;
pub mod ledger;
pub mod outbox;
pub mod parquet;
pub mod step;
pub mod store;
pub mod upkeep;
pub mod warehouse;

pub use commit::{CommitReport, Committer, Extent, Miss, TableCommit, TableNews};
pub use config::{CatalogConfig, RestConfig, Root, Route, Routes, Secret, StoreConfig, WarehouseConfig};
pub use destination::{Destination, Namespace};
pub use error::{Class, Error};
pub use ledger::{Collected, Created, Floor, Ledger, MergeEntry, ObjectRef, SourceEntry, StagedFile, TableFiles};
pub use outbox::{AlertChain, AlertTopic, Outbox, OutgoingAlert, Receiver};
pub use parquet::{EncodedFile, Encoder, OpenFiles};
pub use step::Step;
pub use warehouse::{Announced, MERGE_TABLES, Nexts, Origin, Warehouse};

#[cfg(test)]
mod tests;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
