//! What can go wrong: a configuration that describes no fleet, and files.

use std::path::PathBuf;

/// Why a fleet could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of the configuration is outside what a fleet can have.
    #[error("{what} is {value}; it must be {must}")]
    OutOfRange {
        /// The configuration's field.
        what: &'static str,
        /// Its value.
        value: i128,
        /// What would do.
        must: &'static str,
    },
    /// The attacks and near misses need more records than half of the run.
    #[error("attacks and near misses need {planted} records of the run's {events}; raise events to {} or plant fewer", planted * 2)]
    TooFewEvents {
        /// Records of the run.
        events: u64,
        /// Records of attacks and near misses.
        planted: u64,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The truth log could not be written.
    #[error("cannot write {}", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: parquet::errors::ParquetError,
    },
}
