//! Rule files and files of exceptions, read at once: what rules are made of, and whether that has changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::file::RuleText;
use crate::error::{RuleError, RuleErrors};

/// Names and texts of rule files and of files of exceptions, in the order in which their paths were given.
#[derive(Debug, Clone, Default)]
pub struct RuleFiles {
    texts: Vec<(String, String)>,
    exceptions: Vec<(String, String)>,
    modified_us: Option<i64>,
}

impl RuleFiles {
    /// Reads files; a folder means the `*.yaml` and `*.yml` files in it and below, in the order of their names.
    ///
    /// # Errors
    /// Every file and folder that cannot be read.
    pub fn read(paths: &[PathBuf], exceptions: &[PathBuf]) -> Result<Self, RuleErrors> {
        let (files, errors) = Self::survey(paths, exceptions);
        if errors.is_empty() { Ok(files) } else { Err(RuleErrors(errors)) }
    }

    /// What can be read, and what cannot.
    pub(super) fn survey(paths: &[PathBuf], exceptions: &[PathBuf]) -> (Self, Vec<RuleError>) {
        let (mut files, mut errors) = (Self::default(), Vec::new());
        files.texts = files.texts_of(paths, &mut errors);
        files.exceptions = files.texts_of(exceptions, &mut errors);
        (files, errors)
    }

    fn texts_of(&mut self, paths: &[PathBuf], errors: &mut Vec<RuleError>) -> Vec<(String, String)> {
        let (mut found, mut texts) = (Vec::new(), Vec::new());
        for path in paths {
            errors.extend(walk(path, &mut found).err());
        }
        for path in found {
            match fs::read_to_string(&path) {
                Ok(text) => texts.push((path.display().to_string(), text)),
                Err(error) => errors.push(unreadable(&path, &error)),
            }
            self.modified_us = self.modified_us.max(modified_us(&path));
        }
        texts
    }

    /// Name and text of each rule file.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Name and text of each file of exceptions.
    pub fn exceptions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exceptions.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// When the newest file was written, microseconds UTC; none without files.
    pub fn modified_us(&self) -> Option<i64> {
        self.modified_us
    }

    /// Line and column of a word within the value of a file's top-level key.
    pub fn place(&self, file: &str, key: &str, word: &str) -> (u64, u64) {
        let found = self.texts().find(|(name, _)| *name == file);
        found.map_or((1, 1), |(name, text)| RuleText { name, text }.place_within(key, word))
    }

    /// True if names and texts are those of the other.
    pub fn is_same(&self, other: &RuleFiles) -> bool {
        (&self.texts, &self.exceptions) == (&other.texts, &other.exceptions)
    }

    /// Names of the rule files that the other lacks, or has with another text.
    pub fn changed_since(&self, other: &RuleFiles) -> BTreeSet<&str> {
        let known: BTreeSet<(&str, &str)> = other.texts().collect();
        self.texts().filter(|file| !known.contains(file)).map(|(name, _)| name).collect()
    }
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), RuleError> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|e| unreadable(path, &e))?;
    let entries: Result<Vec<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries.map_err(|e: std::io::Error| unreadable(path, &e))?;
    entries.retain(|p| p.is_dir() || p.extension().is_some_and(|e| e == "yaml" || e == "yml"));
    entries.sort();
    entries.iter().try_for_each(|entry| walk(entry, files))
}

fn modified_us(path: &Path) -> Option<i64> {
    let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

fn unreadable(path: &Path, error: &std::io::Error) -> RuleError {
    let what = format!("cannot read it: {error}");
    RuleError { file: path.display().to_string(), line: 1, column: 1, what, suggestion: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_text_or_a_name_that_was_not_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        let read = || RuleFiles::read(&[dir.path().to_owned()], &[]).expect("readable");
        write("a.yaml", "1");
        write("b.yml", "2");
        write("c.txt", "no rule");
        let before = read();
        assert_eq!(before.texts().map(|(_, text)| text).collect::<Vec<_>>(), ["1", "2"]);
        assert!(before.modified_us().is_some() && before.is_same(&read()));
        write("b.yml", "3");
        write("d.yaml", "4");
        let after = read();
        let stems = |names: BTreeSet<&str>| {
            let stem = |name: &str| Path::new(name).file_name().expect("a name").to_string_lossy().into_owned();
            names.into_iter().map(stem).collect::<Vec<_>>()
        };
        assert_eq!(stems(after.changed_since(&before)), ["b.yml", "d.yaml"]);
        fs::remove_file(dir.path().join("d.yaml")).expect("removed");
        assert!(!read().is_same(&after) && read().changed_since(&after).is_empty(), "a file that is gone");
    }
}
