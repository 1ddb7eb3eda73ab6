//! Why a table could not be loaded. All are permanent: the file or the configuration has to change.

use std::path::PathBuf;

/// Why a table could not be loaded.
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
    /// Not an MMDB, or a damaged one.
    #[error("{name} is not an MMDB {of} database: {source}")]
    Mmdb {
        /// The file, or `builtin`.
        name: String,
        /// What it should tell: `country` or `asn`.
        of: &'static str,
        /// The cause.
        source: maxminddb::MaxMindDbError,
    },
    /// An MMDB of something else.
    #[error("{name} ({database_type}) holds no {of} in its records; looked for {keys}")]
    MmdbKind {
        /// The file, or `builtin`.
        name: String,
        /// What it should tell: `country` or `asn`.
        of: &'static str,
        /// What the database says it is.
        database_type: String,
        /// The keys of the layouts that are read.
        keys: &'static str,
    },
    /// A place in a text file is wrong.
    #[error("{name}:{line}:{column}: {what}")]
    Text {
        /// The file, or `builtin`.
        name: String,
        /// The line, from 1.
        line: u64,
        /// The character within the line, from 1.
        column: u64,
        /// What is wrong and what is expected.
        what: String,
    },
    /// `builtin` where the program has no table of its own.
    #[error("{table}: there is no builtin table; name a file")]
    NoBuiltin {
        /// The key in the configuration.
        table: &'static str,
    },
    /// An entry of `internal_networks` is not a network.
    #[error("internal_networks: {text:?} is not an address or a network such as 10.0.0.0/8")]
    Network {
        /// The entry.
        text: String,
    },
}

/// Entries that a table's files hold and the table does not: they are not understood. The others work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// The first of them: file, id and reason.
    pub first: Vec<String>,
}

/// Skipped entries that are named one by one.
const NAMED: usize = 10;

impl Skipped {
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(what());
        }
    }
}
