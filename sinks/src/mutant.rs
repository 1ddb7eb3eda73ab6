//! Known mistakes of the protocol, chosen by the environment variable `PALISADE_MUTANT`. Only with the feature `mutants`.
//!
//! - `no-guard`: a commit does not look at the base it is built on, and an attempt that failed is sent again as it was
//!   (what a stock iceberg transaction does).
//! - `greedy-collection`: collection looks at the age of entries alone.
//! - `commit-before-entry`: the pipeline calls [`crate::Committer::commit_unrecorded`] before it creates the entry.

use std::sync::LazyLock;

static MUTANT: LazyLock<String> = LazyLock::new(|| std::env::var("PALISADE_MUTANT").unwrap_or_default());

/// Commits do not check their base.
pub fn no_guard() -> bool {
    *MUTANT == "no-guard"
}

/// Data files go into the tables before the ledger entry exists.
pub fn commit_before_entry() -> bool {
    *MUTANT == "commit-before-entry"
}

/// Collection asks nobody whether an entry is still needed.
pub fn greedy_collection() -> bool {
    *MUTANT == "greedy-collection"
}
