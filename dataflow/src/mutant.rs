//! Known mistakes, one of which the environment variable `PALISADE_MUTANT` chooses, so that tests see each of them caught. They are in
//! builds for tests and with the feature `mutants`, never in a release; docs/exactly-once.md lists them, and what catches each.

use std::sync::LazyLock;

static MUTANT: LazyLock<String> = LazyLock::new(|| std::env::var("PALISADE_MUTANT").unwrap_or_default());

/// True if this mistake is to be made; known to be false to the compiler where none is possible.
#[inline]
pub fn is(name: &str) -> bool {
    cfg!(any(debug_assertions, feature = "mutants")) && *MUTANT == name
}
