//! The repository tests itself: who may depend on whom, what a source file may look like, and whether dashboards, rules
//! and documents still speak of what exists.
//!
//! Each check is a function from text to a list of faults (`where: what`), tried on bad text first and then on the tree.

mod dashboards;
mod dependencies;
pub(crate) mod python;
mod tree;

use std::path::{Path, PathBuf};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("pipeline/ lies in the workspace").to_owned()
}

/// The folder of what `.ci/setup` made.
pub(crate) fn cache() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Some(std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?.join("palisade"))
}

/// The text of a file, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Fails with one fault a line.
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
