//! Bytes -> chunks -> OCSF batches and dead letters.
//!
//! **Data in:** records, where a source finds them. **Data out:** [`dataflow::Chunk`]s, and what [`decode`] makes of them:
//! rows of the OCSF tables and dead letters.
//!
//! Invariants:
//! - Every record ends in at least one row or in exactly one dead letter.
//! - The same record gives the same rows, however records are cut into chunks.
//! - No input makes it panic.
//!
//! Absent: rules, enrichment, any table format; the tenant is the chunk's.

mod aws;
mod azure;
pub mod decode;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod kafka;
pub mod mapping;
mod normalize;
mod paloalto;
