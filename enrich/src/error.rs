//! Why a chain could not be built. All are permanent: the file or the configuration has to change.

use std::path::PathBuf;

/// Why a chain could not be built.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Not an MMDB.
    #[error("{name} is not an MMDB country database: {source}")]
    Mmdb {
        /// The file, or `builtin`.
        name: String,
        /// The cause.
        source: maxminddb::MaxMindDbError,
    },
    /// An MMDB of something else.
    #[error(
        "{name} ({database_type}) holds no country in its first records; looked for country.iso_code, country_code \
         and country"
    )]
    NoCountry {
        /// The file, or `builtin`.
        name: String,
        /// What the database says it is.
        database_type: String,
    },
    /// A line of an indicator list is wrong.
    #[error("{name}:{line}: {what}")]
    Indicator {
        /// The file, or `builtin`.
        name: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong and what is expected.
        what: String,
    },
    /// An entry of `internal_networks` is not a network.
    #[error("internal_networks: {text:?} is not an address or a network such as 10.0.0.0/8")]
    Network {
        /// The entry.
        text: String,
    },
}
