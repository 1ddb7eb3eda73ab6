//! ingest
pub mod files;
