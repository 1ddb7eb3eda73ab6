//! Known mistakes of the protocol, one of which the environment variable `PALISADE_MUTANT` chooses. Only with the feature
//! `mutants`; docs/exactly-once.md lists them, and what catches each.

use std::sync::{LazyLock, OnceLock};

static MUTANT: LazyLock<String> = LazyLock::new(|| std::env::var("PALISADE_MUTANT").unwrap_or_default());
static WRITER: OnceLock<String> = OnceLock::new();

/// True if this mistake is to be made.
pub fn is(name: &str) -> bool {
    *MUTANT == name
}

/// Who this process is in ledger entries.
pub(crate) fn know_writer(writer: &str) {
    _ = WRITER.set(writer.to_owned());
}

/// `no-re-commit`: a start takes what others put into the ledger as committed.
pub(crate) fn forgets(writer: &str) -> bool {
    is("no-re-commit") && WRITER.get().is_some_and(|own| own != writer)
}
