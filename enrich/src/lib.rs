//! What is known about an address, added to the rows that name it.
//!
//! **Data in:** batches of the event tables; an MMDB file, indicator lists and a list of networks, read once at start.
//! **Data out:** the same batches with [`dataflow::schema::ENRICHMENT_COLUMNS`] filled from `src_ip` and `dst_ip`.
//!
//! Invariants:
//! - No row is dropped, altered or moved; only the enrichment columns change. What is unknown is null.
//! - The same tables give the same columns: every table has a version made of its content ([`Chain::versions`]).
//! - Nothing is allocated a row. A batch's addresses are parsed once and each distinct one is looked up once, for both
//!   ends and all enrichers; a cache in front of the MMDB outlives the batch.
//!
//! Absent on purpose: any network, clock or reload. A changed file is a new [`Chain`]; whoever owns the old one swaps it.

mod addresses;
mod cache;
mod chain;
mod columns;
mod config;
mod country;
mod error;
mod intel;
mod metrics;
mod network;
mod scope;

pub use chain::Chain;
pub use config::{EnrichConfig, TableSource};
pub use country::Country;
pub use error::EnrichError;
pub use intel::Intel;
pub use metrics::Counts;
pub use scope::Scope;

#[cfg(test)]
mod testing;
