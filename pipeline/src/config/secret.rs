//! Values that nobody should read in a log or a configuration file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A secret, or where it is: `{env: NAME}`, `{file: PATH}`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a secret is {env: NAME}, {file: PATH} or a text; a text of digits stands in quotes")]
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
    /// The secret. `place` is its key; paths are relative to `base`.
    ///
    /// # Errors
    /// Names the key and what to change. No secret is named.
    pub(super) fn reveal(&self, base: &Path, place: &str) -> Result<String, String> {
        let found = match self {
            Self::Text(text) => text.clone(),
            Self::Kept(RawKept { env: Some(name), file: None }) => {
                std::env::var(name).map_err(|_| format!("{place}: the environment has no variable {name}"))?
            }
            Self::Kept(RawKept { env: None, file: Some(file) }) => {
                let path = base.join(file);
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|e| format!("{place}: {} cannot be read: {e}", path.display()))?;
                // Editors and `echo` end a file with one.
                text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned()
            }
            Self::Kept(_) => return Err(format!("{place}: {{env: NAME}} or {{file: PATH}}, one of the two")),
        };
        match found.is_empty() || found.contains('\0') {
            true => Err(format!("{place}: is empty, or holds a NUL")),
            false => Ok(found),
        }
    }
}
