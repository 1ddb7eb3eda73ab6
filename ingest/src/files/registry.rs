//! The create-once registry: number -> an immutable range of bytes.
//!
//! One shelf a topic ([`Shelf`]). `source.json` fixes topic and partition count; `<20 digits>.json` is a registration;
//! `<20 digits>.records` says how many records a registration turned out to hold, once it was read to its end.
//! Numbers rise from 0 without gaps: whoever registers reads all entries first and then creates the next, if it does not
//! exist. So among any number of processes each number is given once, and nobody registers what another has registered.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::FilesError;
use super::fingerprint::Fingerprint;
use super::shelf::Shelf;

/// How a file's bytes become lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A registered range of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// From the entry's name.
    #[serde(skip)]
    pub(super) number: u32,
    pub(super) path: String,
    pub(super) start_byte: u64,
    pub(super) end_byte: u64,
    pub(super) compression: Compression,
    /// Microseconds UTC.
    pub(super) registered_at: i64,
    pub(super) fingerprint: Fingerprint,
}

impl Registration {
    /// The offset of its first record.
    pub(super) fn offset(&self) -> i64 {
        i64::from(self.number) << 32
    }

    pub(super) fn changed(&self, what: impl Into<String>) -> FilesError {
        FilesError::Changed { path: self.path.clone(), number: self.number, what: what.into() }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    format: u32,
    topic: String,
    partitions: u32,
}

/// The registry as far as it was read.
#[derive(Debug)]
pub(super) struct Registry {
    shelf: Arc<dyn Shelf>,
    next: u32,
    /// The last registration of each path.
    latest: HashMap<String, Arc<Registration>>,
}

/// Offsets are 63 bits: 31 for the number.
const NUMBER_LIMIT: u32 = 1 << 31;

impl Registry {
    /// Opens or begins the registry of a topic. Entries are read by [`Registry::refresh`].
    pub(super) fn open(shelf: Arc<dyn Shelf>, topic: &str, partitions: u32) -> Result<Self, FilesError> {
        shelf.prepare().map_err(|e| FilesError::io("create", &shelf.place(), e))?;
        let registry = Self { shelf, next: 0, latest: HashMap::new() };
        let own = Owner { format: 1, topic: topic.to_owned(), partitions };
        let name = "source.json";
        if !registry.create_json(name, &own)? {
            let found: Owner = registry.read_json(name)?.ok_or_else(|| registry.damaged("source.json is gone"))?;
            if found != own {
                return Err(registry.damaged(&format!(
                    "it belongs to topic {:?} with {} partitions, not to {topic:?} with {partitions}; both are part of \
                     every row's identity and stay as they are",
                    found.topic, found.partitions
                )));
            }
        }
        Ok(registry)
    }

    /// Reads what was registered since the last call, by anybody, and adds it to `found`.
    pub(super) fn refresh(&mut self, found: &mut Vec<Arc<Registration>>) -> Result<(), FilesError> {
        let before = found.len();
        while let Some(mut entry) = self.read_json::<Registration>(&entry_name(self.next, "json"))? {
            entry.number = self.next;
            found.push(self.note(entry));
        }
        if found.len() > before {
            // What another process linked may not be durable yet, and rows will name these numbers.
            self.shelf.settle().map_err(|e| FilesError::io("sync", &self.shelf.place(), e))?;
        }
        Ok(())
    }

    fn note(&mut self, entry: Registration) -> Arc<Registration> {
        let entry = Arc::new(entry);
        self.latest.insert(entry.path.clone(), entry.clone());
        self.next += 1;
        entry
    }

    /// Fails if an entry was removed from the middle: numbers after a gap would be given a second time.
    pub(super) fn check_gaps(&self) -> Result<(), FilesError> {
        let names = self.shelf.names().map_err(|e| FilesError::io("list", &self.shelf.place(), e))?;
        let mut numbers = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<u32>().ok());
        // Another process may have registered the next one since.
        if numbers.any(|n| n > self.next) && self.read(&entry_name(self.next, "json"))?.is_none() {
            return Err(self.damaged(&format!("number {} is missing; restore the folder", self.next)));
        }
        Ok(())
    }

    /// The last registration of a path.
    pub(super) fn latest(&self, path: &str) -> Option<&Arc<Registration>> {
        self.latest.get(path)
    }

    /// Registers under the next number; none if another process took it: refresh and look again.
    pub(super) fn register(&mut self, mut entry: Registration) -> Result<Option<Arc<Registration>>, FilesError> {
        if self.next == NUMBER_LIMIT {
            return Err(self.damaged("all 2^31 numbers are used; read on under a new topic"));
        }
        entry.number = self.next;
        let created = self.create_json(&entry_name(self.next, "json"), &entry)?;
        Ok(created.then(|| self.note(entry)))
    }

    /// The number that the next registration will have.
    pub(super) fn next_number(&self) -> u32 {
        self.next
    }

    /// How many records a registration holds, if it was ever read to its end.
    pub(super) fn records(&self, number: u32) -> Result<Option<u64>, FilesError> {
        self.read_json(&entry_name(number, "records"))
    }

    /// Notes how many records a registration held; compares if that was noted before.
    pub(super) fn note_records(&self, entry: &Registration, records: u64) -> Result<(), FilesError> {
        let name = entry_name(entry.number, "records");
        if self.create_json(&name, &records)? {
            return Ok(());
        }
        match self.read_json::<u64>(&name)? {
            Some(noted) if noted != records => {
                Err(entry.changed(format!("has {records} records now and had {noted} when it was first read")))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, what: &str) -> FilesError {
        FilesError::Registry { folder: self.shelf.place(), what: what.to_owned() }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FilesError> {
        self.shelf.read(name).map_err(|e| FilesError::io("read", &self.place(name), e))
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FilesError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|e| self.damaged(&format!("{}: {e}", self.place(name).display())))
    }

    fn create_json<T: Serialize>(&self, name: &str, value: &T) -> Result<bool, FilesError> {
        let text = serde_json::to_string(value).map_err(|e| self.damaged(&e.to_string()))?;
        self.shelf.create(name, text.as_bytes()).map_err(|e| FilesError::io("create", &self.place(name), e))
    }

    fn place(&self, name: &str) -> PathBuf {
        self.shelf.place().join(name)
    }
}

fn entry_name(number: u32, kind: &str) -> String {
    format!("{number:020}.{kind}")
}
