//! The ledger: create-once entries that say which range, or which merge step, is committed, and with which files.
//!
//! The key of an entry is where it begins, so the store's create-if-absent lets exactly one writer take each range,
//! with no coordinator. Walking a chain is following `next` from entry to entry, from its floor ([`Floor`]) or above.

pub(crate) mod codec;
#[cfg(test)]
mod damage;
mod entry;
mod floor;
pub(crate) mod paths;
mod recent;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dataflow::{PartitionId, mutant};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::step::{self, Step};
use crate::store::{Create, ObjectStore};
use crate::{Error, Result};

pub use codec::PROTOCOL_VERSION;
pub(crate) use entry::Entry;
pub use entry::{ColumnMetrics, MergeEntry, ObjectRef, SourceEntry, StagedFile, TableFiles};
pub use floor::{Collected, Floor};
pub(crate) use paths::Paths;
use recent::Recent;

/// What creating an entry found.
#[derive(Debug, Clone, PartialEq)]
pub enum Created<E> {
    /// The entry is new.
    New,
    /// This very attempt had created it before: its response was lost.
    Ours,
    /// Another attempt was first. Whoever sees this forgets what it holds of the chain and resumes after that entry.
    Taken(Box<E>),
    /// The position is below the chain's floor: others took it and went on, long ago. The entry counts for nothing. To be
    /// met as [`Created::Taken`].
    Collected,
}

/// The ledger of one region. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Arc<dyn ObjectStore>,
    paths: Arc<Paths>,
    recent: Arc<Mutex<Recent>>,
}

impl Ledger {
    /// The ledger of `region` in a store.
    pub fn new(store: Arc<dyn ObjectStore>, region: &str) -> Self {
        let recent = Arc::new(Mutex::new(Recent::new(recent::BYTES)));
        Self { store, paths: Arc::new(Paths::new(region)), recent }
    }

    /// The same ledger, which keeps so many bytes of what [`Ledger::get_shared`] and [`Ledger::get_source_shared`] read, and has read
    /// nothing yet.
    pub fn keeping(&self, bytes: usize) -> Self {
        Self { recent: Arc::new(Mutex::new(Recent::new(bytes))), ..self.clone() }
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Creates the entry of a range: the commit point. After an error it is unknown whether the entry exists; call again
    /// with the same entry.
    ///
    /// # Errors
    /// If the entry is no range, or the store fails.
    pub async fn create_source(&self, entry: &SourceEntry) -> Result<Created<SourceEntry>> {
        entry.check()?;
        step::reached(Step::SourceEntryBefore);
        let path = self.paths.source_entry(&entry.partition, entry.start);
        let place = (entry.partition.path(), entry.start);
        let created = self.create(&path, entry, place, |e: &SourceEntry| e.attempt == entry.attempt).await?;
        step::reached(Step::SourceEntryAfter);
        Ok(created)
    }

    /// Creates step `entry.step` of its group. As [`Ledger::create_source`].
    ///
    /// # Errors
    /// If the step is below 0, or the store fails.
    pub async fn create_merge(&self, entry: &MergeEntry) -> Result<Created<MergeEntry>> {
        entry.check()?;
        step::reached(Step::MergeEntryBefore);
        let path = self.paths.merge_entry(entry.group, entry.step);
        let place = (paths::merge_path(entry.group), entry.step);
        let created = self.create(&path, entry, place, |e: &MergeEntry| e.attempt == entry.attempt).await?;
        step::reached(Step::MergeEntryAfter);
        Ok(created)
    }

    /// The floor is asked for after the entry is there: a name that collection has made free again can be taken only then, so a
    /// writer that slept for longer than anything is kept is always found out.
    async fn create<E: Entry>(
        &self,
        path: &str,
        entry: &E,
        (chain, at): (String, i64),
        is_ours: impl Fn(&E) -> bool,
    ) -> Result<Created<E>> {
        let mut kept = entry.clone();
        kept.relocate(|location| self.below_root(location).unwrap_or(location).to_owned());
        let bytes = Bytes::from(codec::encode(&kept)?);
        if mutant::is("overwritten-entry") {
            self.store.put(path, bytes).await?;
            return Ok(Created::New);
        }
        let created = match self.store.create(path, bytes).await? {
            Create::New => Created::New,
            Create::Exists => match self.read_entry(path).await? {
                Some(other) if is_ours(&other) => Created::Ours,
                Some(other) => return Ok(Created::Taken(Box::new(other))),
                None => Created::Collected,
            },
        };
        let is_below = self.floor_at(&chain).await?.is_some_and(|floor| at < floor);
        match created {
            _ if is_below => Ok(Created::Collected),
            Created::Collected => {
                Err(Error::Missing { path: path.to_owned(), named_by: "its own creation".to_owned() })
            }
            created => Ok(created),
        }
    }

    /// The entry that begins at `start`, if that range is committed.
    ///
    /// # Errors
    /// If the store fails, or the object is damaged or of another protocol.
    pub async fn get_source(&self, partition: &PartitionId, start: i64) -> Result<Option<SourceEntry>> {
        let path = self.paths.source_entry(partition, start);
        let bytes = self.store.get(&path).await?;
        bytes.map(|bytes| self.source_of(&path, &bytes, partition, start)).transpose()
    }

    /// As [`Ledger::get_source`], for a reader that comes back for entries which others of its process have read too.
    ///
    /// # Errors
    /// As [`Ledger::get_source`].
    pub async fn get_source_shared(&self, partition: &PartitionId, start: i64) -> Result<Option<SourceEntry>> {
        let path = self.paths.source_entry(partition, start);
        if let Some(bytes) = self.recent().get(&path) {
            return self.source_of(&path, &bytes, partition, start).map(Some);
        }
        let Some(bytes) = self.store.get(&path).await? else { return Ok(None) };
        self.recent().keep(&path, &bytes);
        self.source_of(&path, &bytes, partition, start).map(Some)
    }

    fn source_of(&self, path: &str, bytes: &[u8], partition: &PartitionId, start: i64) -> Result<SourceEntry> {
        let e: SourceEntry = self.located(codec::decode(path, bytes)?);
        let inside = format!("it holds [{}, {}) of {}", e.start, e.next, e.partition);
        ensure(e.partition == *partition && e.start == start && e.next > start, path, &inside)?;
        Ok(e)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Step `step` of a group, if it was taken.
    ///
    /// # Errors
    /// As [`Ledger::get_source`].
    pub async fn get_merge(&self, group: u32, step: i64) -> Result<Option<MergeEntry>> {
        let path = self.paths.merge_entry(group, step);
        let entry: Option<MergeEntry> = self.read_entry(&path).await?;
        if let Some(e) = &entry {
            let inside = format!("it holds step {} of group {}", e.step, e.group);
            ensure(e.group == group && e.step == step, &path, &inside)?;
        }
        Ok(entry)
    }

    async fn read_entry<E: Entry>(&self, path: &str) -> Result<Option<E>> {
        Ok(self.read(path).await?.map(|entry| self.located(entry)))
    }

    /// The entry with the places of its files as readers find them.
    fn located<E: Entry>(&self, mut entry: E) -> E {
        entry.relocate(|kept| match kept.starts_with('/') || kept.contains("://") {
            true => kept.to_owned(),
            false => self.store.location(kept),
        });
        entry
    }

    /// The path in the store of what readers find at a location; none if that is not below the store's root.
    pub(crate) fn below_root<'l>(&self, location: &'l str) -> Option<&'l str> {
        location.strip_prefix(&self.store.location(""))
    }

    pub(crate) async fn read<E: DeserializeOwned>(&self, path: &str) -> Result<Option<E>> {
        match self.store.get(path).await? {
            None => Ok(None),
            Some(bytes) => codec::decode(path, &bytes).map(Some),
        }
    }

    /// The chain of entries from the one that begins at `from`, at most `limit`; empty if that range is not committed.
    ///
    /// # Errors
    /// As [`Ledger::get_source`].
    pub async fn walk(&self, partition: &PartitionId, from: i64, limit: usize) -> Result<Vec<SourceEntry>> {
        let mut entries = Vec::new();
        let mut at = from;
        while entries.len() < limit
            && let Some(entry) = self.get_source(partition, at).await?
        {
            at = entry.next;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The steps of a group from `from` on, at most `limit`.
    ///
    /// # Errors
    /// As [`Ledger::get_source`].
    pub async fn walk_merge(&self, group: u32, from: i64, limit: usize) -> Result<Vec<MergeEntry>> {
        let mut entries = Vec::new();
        while entries.len() < limit
            && let Some(entry) = self.get_merge(group, from + entries.len() as i64).await?
        {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Every partition that has a folder in the ledger, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn partitions(&self) -> Result<Vec<PartitionId>> {
        let mut partitions = Vec::new();
        let folder = self.paths.ledger();
        for topic in self.store.list(&folder).await?.iter().filter(|t| *t != paths::MERGE) {
            for number in self.store.list(&format!("{folder}/{topic}")).await? {
                partitions.extend(PartitionId::parse(&format!("{topic}/{number}")));
            }
        }
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// Every merge group that has a step, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn merge_groups(&self) -> Result<Vec<u32>> {
        let names = self.store.list(&self.paths.merge_groups()).await?;
        let mut groups: Vec<u32> = names.iter().filter_map(|n| n.parse().ok()).collect();
        groups.sort_unstable();
        Ok(groups)
    }

    /// Where the oldest entry of a partition begins that is kept: at the chain's floor, if it has one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn first(&self, partition: &PartitionId) -> Result<Option<i64>> {
        Ok(self.starts(partition).await?.first().copied())
    }

    /// The oldest step of a group that is kept.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn first_merge(&self, group: u32) -> Result<Option<i64>> {
        Ok(self.steps(group).await?.first().copied())
    }

    /// Where every entry of a partition begins from its floor on, in order, whether or not a chain leads there: for audits.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn starts(&self, partition: &PartitionId) -> Result<Vec<i64>> {
        self.starts_of(&partition.path()).await
    }

    /// Every step from the floor on that a group has an entry of, in order: for audits.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn steps(&self, group: u32) -> Result<Vec<i64>> {
        self.starts_of(&paths::merge_path(group)).await
    }

    async fn starts_of(&self, chain: &str) -> Result<Vec<i64>> {
        let mut starts = self.all_starts(chain).await?;
        // After the names: one that is deleted in between is below the floor that is found.
        let floor = self.floor_at(chain).await?.unwrap_or(i64::MIN);
        starts.retain(|start| *start >= floor);
        Ok(starts)
    }

    /// As [`Ledger::starts`], with those below the floor that are not deleted yet.
    pub(crate) async fn all_starts(&self, chain: &str) -> Result<Vec<i64>> {
        let names = self.store.list(&self.paths.entries(chain)).await?;
        Ok(names.iter().filter_map(|name| paths::entry_start(name)).collect())
    }

    /// Writes the exchange file of a range; durable and unnamed until the range's entry names it.
    ///
    /// # Errors
    /// If the store fails, or the attempt wrote one before.
    pub async fn put_exchange(
        &self,
        partition: &PartitionId,
        start: i64,
        attempt: Uuid,
        bytes: Bytes,
    ) -> Result<ObjectRef> {
        let object = self.put_new(self.paths.exchange(partition, start, attempt), bytes).await?;
        step::reached(Step::ExchangeWritten);
        Ok(object)
    }

    /// Writes the state of a merge group after a step; unnamed until the step's entry names it.
    ///
    /// # Errors
    /// As [`Ledger::put_exchange`].
    pub async fn put_state(&self, group: u32, step: i64, attempt: Uuid, bytes: Bytes) -> Result<ObjectRef> {
        let object = self.put_new(self.paths.state(group, step, attempt), bytes).await?;
        step::reached(Step::StateWritten);
        Ok(object)
    }

    /// Writes an object under a name of its own. A name that is taken by the same bytes is our own, written by a call
    /// whose response was lost.
    pub(crate) async fn put_new(&self, path: String, bytes: Bytes) -> Result<ObjectRef> {
        let object = ObjectRef { crc: crc32fast::hash(&bytes), bytes: bytes.len() as u64, path };
        if self.store.create(&object.path, bytes).await? == Create::Exists {
            self.get_object(&object).await?;
        }
        Ok(object)
    }

    /// The bytes of an object that an entry names.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Damaged`] if it is not there as it was written.
    pub async fn get_object(&self, object: &ObjectRef) -> Result<Bytes> {
        let path = &object.path;
        let named_by = || "a ledger entry".to_owned();
        let bytes = self.store.get(path).await?;
        let bytes = bytes.ok_or_else(|| Error::Missing { path: path.clone(), named_by: named_by() })?;
        let crc = crc32fast::hash(&bytes);
        let found = format!("{} bytes of checksum {crc:08x}, not {} of {:08x}", bytes.len(), object.bytes, object.crc);
        ensure(bytes.len() as u64 == object.bytes && crc == object.crc, path, &found)?;
        Ok(bytes)
    }

    /// As [`Ledger::get_object`], for an object of which others of this process need other parts at about the same time.
    ///
    /// # Errors
    /// As [`Ledger::get_object`].
    pub async fn get_shared(&self, object: &ObjectRef) -> Result<Bytes> {
        if let Some(bytes) = self.recent().get(&object.path) {
            return Ok(bytes);
        }
        let bytes = self.get_object(object).await?;
        self.recent().keep(&object.path, &bytes);
        Ok(bytes)
    }
}

fn ensure(holds: bool, path: &str, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::damaged(path, otherwise)) }
}

#[cfg(test)]
mod tests;
