//! Where a chain begins. What stands below its floor is gone, or soon will be, and nobody may look there.
//!
//! A floor is a create-once object, `meta/floor/<chain>/<20 digits>.floor`; the highest counts, so a chain's floor never goes
//! down. It is there before the first object below it is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use bytes::Bytes;
use dataflow::PartitionId;
use serde::{Deserialize, Serialize};

use super::{Ledger, MergeEntry, SourceEntry, TableFiles, codec, paths};
use crate::store::Create;
use crate::{Destination, Error, Result};

/// A chain's floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// `topic@incarnation/partition` or `_merge/<group>`.
    pub chain: String,
    /// The first position that is kept: an entry begins here.
    pub position: i64,
    /// What the entries below said.
    pub collected: Collected,
}

/// Sums over entries that are no more, so that an audit can still reckon with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Entries.
    pub entries: u64,
    /// Records of their ranges.
    pub records: u64,
    /// Records that were left out on purpose.
    pub filtered: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Offsets that were lost before they could be read, as somebody accepted.
    pub lost: u64,
    /// Rows by table.
    pub rows: BTreeMap<Destination, u64>,
    /// Versions of the rules that ran.
    pub rules: BTreeSet<String>,
}

impl AddAssign<&Collected> for Collected {
    fn add_assign(&mut self, more: &Collected) {
        self.entries += more.entries;
        self.records += more.records;
        self.filtered += more.filtered;
        self.dead_letters += more.dead_letters;
        self.lost += more.lost;
        more.rows.iter().for_each(|(table, rows)| *self.rows.entry(*table).or_default() += rows);
        self.rules.extend(more.rules.iter().cloned());
    }
}

impl From<&SourceEntry> for Collected {
    fn from(entry: &SourceEntry) -> Self {
        Self {
            entries: 1,
            records: entry.records,
            filtered: entry.filtered,
            dead_letters: entry.dead_letters.values().sum(),
            lost: entry.lost,
            rows: rows(&entry.tables),
            rules: rules(&entry.versions),
        }
    }
}

impl From<&MergeEntry> for Collected {
    fn from(entry: &MergeEntry) -> Self {
        Self { entries: 1, rows: rows(&entry.tables), rules: rules(&entry.versions), ..Self::default() }
    }
}

fn rules(versions: &BTreeMap<String, String>) -> BTreeSet<String> {
    versions.get("rules").cloned().into_iter().collect()
}

fn rows(tables: &BTreeMap<Destination, TableFiles>) -> BTreeMap<Destination, u64> {
    tables.iter().map(|(table, files)| (*table, files.rows)).collect()
}

impl Ledger {
    /// The floor of a partition's chain; None if nothing of it was ever collected.
    ///
    /// # Errors
    /// If the store fails, or the object is damaged.
    pub async fn floor(&self, partition: &PartitionId) -> Result<Option<Floor>> {
        self.floor_of(&partition.path()).await
    }

    /// The floor of a merge group's chain.
    ///
    /// # Errors
    /// As [`Ledger::floor`].
    pub async fn floor_merge(&self, group: u32) -> Result<Option<Floor>> {
        self.floor_of(&paths::merge_path(group)).await
    }

    pub(crate) async fn floor_of(&self, chain: &str) -> Result<Option<Floor>> {
        // A floor that is gone again made room for a higher one.
        while let Some(position) = self.floor_at(chain).await? {
            let path = self.paths.floor(chain, position);
            let Some(floor): Option<Floor> = self.read(&path).await? else { continue };
            if floor.chain != chain || floor.position != position {
                return Err(Error::damaged(&path, format!("it holds {} {}", floor.chain, floor.position)));
            }
            return Ok(Some(floor));
        }
        Ok(None)
    }

    /// As [`Ledger::floor_of`], by the name alone.
    pub(crate) async fn floor_at(&self, chain: &str) -> Result<Option<i64>> {
        let names = self.store.list(&self.paths.floors(chain)).await?;
        Ok(names.iter().rev().find_map(|name| paths::numbered(name, ".floor")))
    }

    /// Sets a chain's floor. Whoever sets the same floor at the same time sets it to the same.
    pub(crate) async fn put_floor(&self, floor: &Floor) -> Result<()> {
        let path = self.paths.floor(&floor.chain, floor.position);
        let bytes = Bytes::from(codec::encode(floor)?);
        if self.store.create(&path, bytes).await? == Create::Exists {
            let there: Option<Floor> = self.read(&path).await?;
            if there.is_some_and(|there| there != *floor) {
                return Err(Error::damaged(&path, "another floor of this position sums up otherwise"));
            }
        }
        Ok(())
    }
}
