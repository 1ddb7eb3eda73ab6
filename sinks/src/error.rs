//! What can go wrong between a batch and a table.

use std::io;

use crate::Destination;

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same call may succeed later.
    Transient,
    /// It will fail until somebody acts.
    Permanent,
}

/// An error of the warehouse. Each variant says what failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object store refused or failed.
    #[error("cannot {action} {path}: {source}")]
    Store {
        /// What was tried: a verb.
        action: &'static str,
        /// The object.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// An object is not what was written.
    #[error("{path} is damaged: {what}; restore it from a copy, or the range it names cannot be committed")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// An object that the ledger or a table names does not exist.
    #[error("{path} is missing, though {named_by} names it")]
    Missing {
        /// The object.
        path: String,
        /// Who names it.
        named_by: String,
    },
    /// An object was written under a protocol this program does not know.
    #[error(
        "{path} is of protocol version {found}; this program knows {known}: use the version that wrote it, or newer"
    )]
    UnknownProtocol {
        /// The object.
        path: String,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The warehouse belongs to another cluster.
    #[error(
        "the warehouse at {root} belongs to cluster {found}, not {expected}: name another root, or the right cluster_id"
    )]
    OtherCluster {
        /// The warehouse.
        root: String,
        /// The configured cluster.
        expected: String,
        /// The recorded cluster.
        found: String,
    },
    /// A topic of that name was deleted and created again.
    #[error(
        "topic {topic} was re-created: the warehouse knows incarnation {known}, the source says {found}. What is \
             committed stays; if reading the new topic from its beginning is meant, run again with --accept-reset {topic}"
    )]
    TopicRecreated {
        /// The topic.
        topic: String,
        /// The incarnations recorded.
        known: String,
        /// The incarnation of the source.
        found: String,
    },
    /// The brokers are of another cluster than the topic's.
    #[error(
        "topic {topic} was read from Kafka cluster {known}, these brokers are of cluster {found}: correct `brokers`, or give the \
             source another `name`; if the topic has moved and is to be read from its beginning there, run again with \
             --accept-reset {topic}"
    )]
    OtherKafka {
        /// The topic.
        topic: String,
        /// The clusters recorded.
        known: String,
        /// The cluster of the brokers.
        found: String,
    },
    /// The catalog refused or failed.
    #[error("cannot {action}: {source}{}", advice(source))]
    Catalog {
        /// What was tried.
        action: String,
        /// The cause.
        source: Box<iceberg::Error>,
    },
    /// Another committer moved the table first. Nothing was written by the fenced commit.
    #[error("{table}: {key} is {have:?}, this commit began at {want:?}: another committer was first")]
    Fenced {
        /// The table.
        table: Destination,
        /// The property that moved.
        key: String,
        /// What the table says.
        have: Option<i64>,
        /// What the commit was built on.
        want: Option<i64>,
    },
    /// Iceberg takes no snapshot that is older than the table by more than a minute. Nothing was written.
    #[error(
        "{table} was changed at {changed_at}, which is more than a minute ahead of this machine's clock: this clock is wrong, or \
             that of who changed it was. Set it; what waits in the ledger is committed once the clock has passed that time"
    )]
    ClockBehind {
        /// The table.
        table: Destination,
        /// When the table was changed last, by the clock of who changed it: RFC 3339.
        changed_at: String,
    },
    /// A table claims a range that the ledger does not hold.
    #[error(
        "{table}: {key} = {next} is no position of the ledger, which goes from {first} to {end}: the ledger lost \
             entries, or somebody wrote the property"
    )]
    NotInLedger {
        /// The table.
        table: Destination,
        /// The property.
        key: String,
        /// Its value.
        next: i64,
        /// The lowest position that was followed.
        first: i64,
        /// The end of the chain.
        end: i64,
    },
    /// A walk of a chain would have to begin where entries are collected.
    #[error(
        "{chain}: position {at} is below {floor}, where the chain begins now: what stood there is collected. Asked again it \
             is fine if a table was just moved on; otherwise somebody set a palisade.next back"
    )]
    BelowFloor {
        /// The chain.
        chain: String,
        /// Where the walk would begin.
        at: i64,
        /// The chain's floor.
        floor: i64,
    },
    /// A table's files are not where the warehouse is.
    #[error(
        "table {table} is at {location}, not below {root}: if the warehouse was copied or moved there, give it an empty catalog and run \
             `palisade tables restore` (docs/recovery.md)"
    )]
    Moved {
        /// The table.
        table: Destination,
        /// Where its files are.
        location: String,
        /// The warehouse.
        root: String,
    },
    /// The catalog's table cannot hold our batches.
    #[error("table {table}: {what}")]
    Schema {
        /// The table.
        table: Destination,
        /// What does not fit.
        what: String,
    },
    /// A batch could not be encoded.
    #[error("cannot encode rows of {table}: {source}")]
    Encode {
        /// The table.
        table: Destination,
        /// The cause.
        source: ::parquet::errors::ParquetError,
    },
    /// A topic did not take a message.
    #[error("cannot send to topic {topic}: {source}{reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// What went wrong with a broker last, in brackets; empty if nothing did.
        reason: String,
        /// The cause.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// A receiver of alerts did not take one.
    #[error("cannot deliver to {to}: {what}")]
    Delivery {
        /// The receiver.
        to: String,
        /// The cause.
        what: String,
    },
    /// A warehouse cannot be copied, or a copy cannot become one.
    #[error("backup: {0} (docs/recovery.md)")]
    Restore(String),
    /// The configuration cannot be used.
    #[error("warehouse configuration: {0}")]
    Config(String),
    /// The caller's entry breaks a rule of the ledger.
    #[error("not a ledger entry: {0}")]
    InvalidEntry(String),
}

impl Error {
    /// Whether trying again may help.
    pub fn class(&self) -> Class {
        let transient = match self {
            Error::Store { source, .. } => is_transient_io(source),
            Error::Catalog { source, .. } => is_transient_catalog(source),
            Error::Fenced { .. } | Error::BelowFloor { .. } | Error::ClockBehind { .. } | Error::Delivery { .. } => {
                true
            }
            Error::Topic { source, .. } => !matches!(**source, rdkafka::error::KafkaError::ClientConfig(..)),
            _ => false,
        };
        if transient { Class::Transient } else { Class::Permanent }
    }

    pub(crate) fn store(action: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        Error::Store { action, path: path.into(), source }
    }

    pub(crate) fn catalog(action: impl Into<String>, source: iceberg::Error) -> Self {
        Error::Catalog { action: action.into(), source: Box::new(source) }
    }

    pub(crate) fn damaged(path: &str, what: impl ToString) -> Self {
        Error::Damaged { path: path.to_owned(), what: what.to_string() }
    }
}

/// A full disk is transient: space may be made. A wrong path or a missing right is not.
pub(crate) fn is_transient_io(e: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };
    !matches!(
        e.kind(),
        NotFound | PermissionDenied | InvalidInput | InvalidFilename | NotADirectory | ReadOnlyFilesystem | Unsupported
    )
}

/// The SQL catalog reports a locked database and a lost connection alike as `Unexpected`.
fn is_transient_catalog(e: &iceberg::Error) -> bool {
    use iceberg::ErrorKind::{CatalogCommitConflicts, Unexpected};
    e.retryable() || matches!(e.kind(), CatalogCommitConflicts | Unexpected)
}

/// What to do about a catalog in SQLite whose disk is at fault; its words name no place.
fn advice(e: &iceberg::Error) -> &'static str {
    let text = e.to_string();
    match () {
        () if text.contains("database or disk is full") => "; make room where the catalog's file is",
        () if text.contains("disk I/O error") => "; the disk of the catalog's file fails: look at the system's log",
        () => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_know_whether_trying_again_may_help() {
        let io = |kind| Error::store("write", "a", io::Error::from(kind));
        let catalog = |kind| Error::catalog("load a table", iceberg::Error::new(kind, "x"));
        let cases = [
            (io(io::ErrorKind::StorageFull), Class::Transient),
            (io(io::ErrorKind::TimedOut), Class::Transient),
            (io(io::ErrorKind::PermissionDenied), Class::Permanent),
            (io(io::ErrorKind::InvalidFilename), Class::Permanent),
            (catalog(iceberg::ErrorKind::CatalogCommitConflicts), Class::Transient),
            (catalog(iceberg::ErrorKind::Unexpected), Class::Transient),
            (catalog(iceberg::ErrorKind::TableNotFound), Class::Permanent),
            (Error::damaged("a", "crc"), Class::Permanent),
            (
                Error::Fenced { table: dataflow::Table::BaseEvent.into(), key: "k".into(), have: None, want: Some(1) },
                Class::Transient,
            ),
        ];
        for (error, class) in cases {
            assert_eq!(error.class(), class, "{error}");
        }
    }

    #[test]
    fn a_catalog_whose_disk_is_at_fault_says_where_to_look() {
        for (words, advice) in [
            ("database or disk is full", "make room where the catalog's file is"),
            ("disk I/O error", "look at the system's log"),
        ] {
            let said = iceberg::Error::new(iceberg::ErrorKind::Unexpected, "sqlx").with_source(io::Error::other(words));
            let error = Error::catalog("load a table", said);
            assert!(error.to_string().ends_with(advice), "{error}");
        }
    }
}
