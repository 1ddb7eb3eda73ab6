//! The steps of the protocol that a crash can fall between, so that tests can crash there.
//!
//! Normally [`reached`] does nothing. A process that wants to know installs one observer with [`observe`].

use std::fmt;
use std::sync::OnceLock;

/// A point of the protocol. Each is passed right after what it is named for, unless the name says before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The warehouse is open: cluster compared, tables there.
    WarehouseOpened,
    /// The resume positions were read.
    PositionsRead,
    /// The files of a batch are encoded, in memory.
    FilesEncoded,
    /// A data file of a range is durable, and invisible.
    FileStaged,
    /// The exchange file of a range is durable.
    ExchangeWritten,
    /// Before the entry of a range is created.
    SourceEntryBefore,
    /// The entry of a range exists: the range is committed.
    SourceEntryAfter,
    /// A data file of a merge step is durable, and invisible.
    MergeFileStaged,
    /// A merge state is durable.
    StateWritten,
    /// Before the entry of a merge step is created.
    MergeEntryBefore,
    /// The entry of a merge step exists.
    MergeEntryAfter,
    /// Before a table's commit is made.
    TableCommitBefore,
    /// A table's commit is built on the base that it will be checked against, and not yet sent.
    TableCommitBuilt,
    /// A table's commit was answered.
    TableCommitAfter,
    /// A table is done and the next one not begun.
    BetweenTables,
    /// What waited at the start is committed.
    RolledForward,
    /// A chain has a new floor; nothing below it is deleted yet.
    FloorWritten,
    /// An exchange file or a merge state below a floor is deleted; the entry beside it is there.
    ObjectDeleted,
    /// An entry below a floor is deleted.
    EntryDeleted,
}

impl Step {
    /// Every step, in the order of a run.
    pub const ALL: [Step; 19] = [
        Step::WarehouseOpened,
        Step::PositionsRead,
        Step::FilesEncoded,
        Step::FileStaged,
        Step::ExchangeWritten,
        Step::SourceEntryBefore,
        Step::SourceEntryAfter,
        Step::MergeFileStaged,
        Step::StateWritten,
        Step::MergeEntryBefore,
        Step::MergeEntryAfter,
        Step::TableCommitBefore,
        Step::TableCommitBuilt,
        Step::TableCommitAfter,
        Step::BetweenTables,
        Step::RolledForward,
        Step::FloorWritten,
        Step::ObjectDeleted,
        Step::EntryDeleted,
    ];

    /// True for a step of collection: only a warehouse that is old enough comes to it.
    pub const fn is_of_collection(self) -> bool {
        matches!(self, Step::FloorWritten | Step::ObjectDeleted | Step::EntryDeleted)
    }

    /// The step in traces and test plans.
    pub const fn name(self) -> &'static str {
        match self {
            Step::WarehouseOpened => "warehouse_opened",
            Step::PositionsRead => "positions_read",
            Step::FilesEncoded => "files_encoded",
            Step::FileStaged => "file_staged",
            Step::ExchangeWritten => "exchange_written",
            Step::SourceEntryBefore => "source_entry_before",
            Step::SourceEntryAfter => "source_entry_after",
            Step::MergeFileStaged => "merge_file_staged",
            Step::StateWritten => "state_written",
            Step::MergeEntryBefore => "merge_entry_before",
            Step::MergeEntryAfter => "merge_entry_after",
            Step::TableCommitBefore => "table_commit_before",
            Step::TableCommitBuilt => "table_commit_built",
            Step::TableCommitAfter => "table_commit_after",
            Step::BetweenTables => "between_tables",
            Step::RolledForward => "rolled_forward",
            Step::FloorWritten => "floor_written",
            Step::ObjectDeleted => "object_deleted",
            Step::EntryDeleted => "entry_deleted",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is called at each step.
pub type Observer = Box<dyn Fn(Step) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Installs the process's observer. The first one stays; false if there was one.
pub fn observe(observer: Observer) -> bool {
    OBSERVER.set(observer).is_ok()
}

/// Says that a step was reached. Public, since some steps are the pipeline's own.
pub fn reached(step: Step) {
    if let Some(observer) = OBSERVER.get() {
        observer(step);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Step::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), Step::ALL.len());
        let is_plain = |n: &&str| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(names.iter().all(is_plain), "they are arguments of test plans");
        assert!(Step::ALL.is_sorted(), "in the order of a run");
    }
}
