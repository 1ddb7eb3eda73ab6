//! A user's mapping files: paths and globs -> names and texts.

use super::error::{MappingError, Place};

/// A file and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// The files of all patterns, each once; and every file that cannot be read, every pattern that is none or finds nothing.
pub(super) fn read<P: AsRef<str>>(patterns: &[P]) -> (Vec<File>, Vec<MappingError>) {
    let (mut files, mut errors) = (Vec::<File>::new(), Vec::new());
    for pattern in patterns.iter().map(AsRef::as_ref) {
        match of_pattern(pattern) {
            Ok(found) => files.extend(found),
            Err(what) => errors.push(unread(pattern, what)),
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup_by(|a, b| a.name == b.name);
    (files, errors)
}

fn of_pattern(pattern: &str) -> Result<Vec<File>, String> {
    let mut found = Vec::new();
    for path in glob::glob(pattern).map_err(|e| e.to_string())? {
        let path = path.map_err(|e| e.to_string())?;
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        found.push(File { name: path.display().to_string(), text });
    }
    if found.is_empty() { Err("no such file".to_owned()) } else { Ok(found) }
}

/// A mistake that has no place in a file.
pub(super) fn unread(file: &str, what: String) -> MappingError {
    MappingError { file: file.to_owned(), at: Place::default(), what, suggestion: None }
}

/// A number made of all names and texts.
pub(super) fn print(files: &[File]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for File { name, text } in files {
        for part in [name, text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize()
}
