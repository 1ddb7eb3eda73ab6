//! What is known about an address, a host name or a user, added to the rows that name it.
//!
//! **Data in:** batches of the event tables; MMDB files, CSV lists, STIX bundles and a list of networks
//! (docs/enrichment.md).
//! **Data out:** the same batches with [`dataflow::schema::ENRICHMENT_COLUMNS`] filled from `src_ip`, `dst_ip`, the host
//! that the event asks for, and `user_name`.
//!
//! Invariants:
//! - No row is dropped, altered or moved; only the enrichment columns change. What is unknown is null.
//! - The same tables give the same columns: every table has a version made of its content ([`Chain::versions`]).
//! - Entries of a tenant are found by rows of that tenant only.
//! - Tables are read-only once loaded, whole or not at all. A chain keeps its tables until it is told to take the newest
//!   ([`Chain::refresh`]); it never sees some old and some new.
//! - Nothing is allocated a row. Each distinct address of a batch is looked up once, for both ends and all tables, behind
//!   a cache that outlives the batch; each distinct name once.
//!
//! Absent on purpose: any network, clock or thread. Whoever has them calls [`Reloader::check`].

mod addresses;
mod assets;
mod cache;
mod chain;
mod columns;
mod config;
mod csv;
mod error;
mod files;
mod identities;
mod intel;
mod metrics;
mod mmdb;
mod network;
mod prefixes;
mod reload;
mod scope;
mod snapshot;
mod table;
mod tenants;
mod texts;

pub use chain::Chain;
pub use config::{EnrichConfig, TableSource};
pub use error::{EnrichError, Skipped};
pub use metrics::Counts;
pub use reload::{Outcome, Reloader, TableInfo};

#[cfg(test)]
mod testing;
