//! Values that nobody should read in a log or a configuration file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A secret, or where it is: `{env: NAME}`, `{file: PATH}`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawSecret {
    Text(String),
    Kept(RawKept),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKept {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

impl RawSecret {
    /// The secret, without white space at its ends if it comes from elsewhere. `place` is its key; paths are relative to
    /// `base`.
    ///
    /// # Errors
    /// Names the key and what to change.
    pub(super) fn reveal(self, base: &Path, place: &str) -> Result<String, String> {
        let found = match self {
            Self::Text(text) => text,
            Self::Kept(RawKept { env: Some(name), file: None }) => {
                let value = std::env::var(&name);
                value.map_err(|_| format!("{place}: the environment has no {name}"))?.trim().to_owned()
            }
            Self::Kept(RawKept { env: None, file: Some(file) }) => {
                let file = base.join(file);
                let text = std::fs::read_to_string(&file);
                text.map_err(|e| format!("{place}: cannot read {}: {e}", file.display()))?.trim().to_owned()
            }
            Self::Kept(_) => return Err(format!("{place}: give the text, {{env: NAME}} or {{file: PATH}}")),
        };
        if found.is_empty() { Err(format!("{place}: is empty")) } else { Ok(found) }
    }
}
