//! Why files could not be read as registered.

use std::io;
use std::path::{Path, PathBuf};

use dataflow::SourceError;

/// Why a file source could not go on. Only [`FilesError::Io`] may pass by itself.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A setting is out of range.
    #[error("{0}")]
    Config(String),
    /// A pattern is not a glob.
    #[error("glob {pattern:?}: {source}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// The cause.
        source: glob::PatternError,
    },
    /// Nothing to read.
    #[error("glob {pattern:?} matches no file")]
    NoFile {
        /// The pattern.
        pattern: String,
    },
    /// A path that the registry cannot hold.
    #[error("{}: the path is not UTF-8; rename the file", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A registered file is no longer what it was.
    #[error(
        "{path} (registered as number {number}) {what}; give every new file its own name and leave written ones as they \
         are, or put the old bytes back"
    )]
    Changed {
        /// The file.
        path: String,
        /// Its number.
        number: u32,
        /// How it differs.
        what: String,
    },
    /// A registered file does not exist.
    #[error(
        "{path} (registered as number {number}) is gone, and its records from index {record} on are not yet committed; \
         put it back"
    )]
    Gone {
        /// The file.
        path: String,
        /// Its number.
        number: u32,
        /// The first record that is still wanted.
        record: u64,
    },
    /// The registry cannot be used.
    #[error("registry {}: {what}", folder.display())]
    Registry {
        /// The registry's folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A position that the registry does not explain.
    #[error("cannot continue {partition} at {position}: {what}")]
    Position {
        /// The partition.
        partition: String,
        /// The position.
        position: i64,
        /// What is wrong.
        what: String,
    },
    /// A reading thread panicked or the runtime shut down.
    #[error("the reading thread ended before its time")]
    Lost,
}

impl FilesError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn into_source_error(self, topic: &str) -> SourceError {
        SourceError {
            source_name: topic.to_owned(),
            what: self.to_string(),
            transient: matches!(self, Self::Io { .. }),
            cause: Some(Box::new(self)),
        }
    }
}
