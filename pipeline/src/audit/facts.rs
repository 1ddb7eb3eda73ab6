//! What ledger, catalog and manifests say, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dataflow::PartitionId;
use iceberg::spec::DataContentType;
use serde_json::Value;
use sinks::commit::RANGES_PROPERTY;
use sinks::{Destination, Floor, Ledger, MergeEntry, Nexts, SourceEntry, TableFiles, Warehouse};

use super::foreign::Foreign;
use crate::reprocess;
use crate::rules::{self, Held};

/// A chain of entries: of a partition, or of a merge group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Source(PartitionId),
    Merge(u32),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Source(partition) => partition.fmt(f),
            Key::Merge(group) => write!(f, "_merge/{group}"),
        }
    }
}

impl Key {
    /// True for a chain of records that were read back: no rule sees them, and no merge step merges them.
    pub(crate) fn is_reprocessed(&self) -> bool {
        matches!(self, Key::Source(partition) if reprocess::origin(partition).is_some())
    }

    /// As a snapshot's summary names it.
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("_merge/") {
            Some(group) => group.parse().ok().map(Key::Merge),
            None => PartitionId::parse(text).map(Key::Source),
        }
    }
}

/// An entry of either kind, as far as the checks need it alike.
#[derive(Debug)]
pub(crate) enum Entry {
    Source(Box<SourceEntry>),
    Merge(Box<MergeEntry>),
}

impl Entry {
    /// The position after it.
    pub(crate) fn next(&self) -> i64 {
        match self {
            Entry::Source(entry) => entry.next,
            Entry::Merge(entry) => entry.step + 1,
        }
    }

    pub(crate) fn tables(&self) -> &BTreeMap<Destination, TableFiles> {
        match self {
            Entry::Source(entry) => &entry.tables,
            Entry::Merge(entry) => &entry.tables,
        }
    }

    /// Versions of what decided its rows.
    pub(crate) fn versions(&self) -> &BTreeMap<String, String> {
        match self {
            Entry::Source(entry) => &entry.versions,
            Entry::Merge(entry) => &entry.versions,
        }
    }

    pub(crate) fn source(&self) -> Option<&SourceEntry> {
        match self {
            Entry::Source(entry) => Some(entry),
            Entry::Merge(_) => None,
        }
    }

    pub(crate) fn merge(&self) -> Option<&MergeEntry> {
        match self {
            Entry::Source(_) => None,
            Entry::Merge(entry) => Some(entry),
        }
    }

    /// What a file's columns say is a hint for readers, and most of an entry's size.
    fn light(mut self) -> Self {
        let tables = match &mut self {
            Entry::Source(entry) => &mut entry.tables,
            Entry::Merge(entry) => &mut entry.tables,
        };
        tables.values_mut().flat_map(|t| &mut t.files).for_each(|f| f.columns = Vec::new());
        self
    }
}

/// Every entry of one chain, by where it begins.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) key: Key,
    /// Where it begins if older entries are collected, and what those said.
    pub(crate) floor: Option<Floor>,
    pub(crate) entries: BTreeMap<i64, Entry>,
    gone: Vec<i64>,
    /// Entries that cannot be read, and why.
    pub(crate) unreadable: Vec<String>,
}

impl Chain {
    fn empty(key: Key) -> Self {
        Self { key, floor: None, entries: BTreeMap::new(), gone: Vec::new(), unreadable: Vec::new() }
    }

    fn take(&mut self, start: i64, entry: sinks::Result<Option<Entry>>) {
        match entry {
            Ok(Some(entry)) => drop(self.entries.insert(start, entry.light())),
            Ok(None) => self.gone.push(start),
            Err(e) => self.unreadable.push(e.to_string()),
        }
    }

    fn above(mut self, floor: sinks::Result<Option<Floor>>) -> Self {
        match floor {
            Ok(floor) => self.floor = floor,
            Err(e) => self.unreadable.push(e.to_string()),
        }
        let from = self.floor.as_ref().map_or(i64::MIN, |floor| floor.position);
        self.entries.retain(|start, _| *start >= from);
        let gone = std::mem::take(&mut self.gone).into_iter().filter(|start| *start >= from);
        self.unreadable.extend(gone.map(|start| format!("{}: the entry at {start} is gone again", self.key)));
        self
    }

    /// The entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.entries.iter().map(|(start, entry)| (*start, entry))
    }

    /// Where the chain begins and where it ends.
    pub(crate) fn ends(&self) -> Option<(i64, i64)> {
        let (first, _) = self.entries.first_key_value()?;
        let (_, last) = self.entries.last_key_value()?;
        Some((*first, last.next()))
    }
}

/// A data file that the current snapshot shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveFile {
    pub(crate) location: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// What one commit took in, by its snapshot's summary.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) snapshot: i64,
    /// Chain, first position, next position.
    pub(crate) ranges: Vec<(Key, i64, i64)>,
}

/// A table as the catalog has it.
#[derive(Debug)]
pub(crate) struct TableFacts {
    pub(crate) table: Destination,
    pub(crate) loaded: iceberg::table::Table,
    pub(crate) nexts: BTreeMap<Key, i64>,
    /// In the order in which they were made.
    pub(crate) commits: Vec<Commit>,
    /// None if a manifest cannot be read.
    pub(crate) files: Option<Vec<LiveFile>>,
    /// What others did to it.
    pub(crate) foreign: Foreign,
    /// Files of the current snapshot that mask rows of others: deletes that no engine has merged yet.
    pub(crate) masks: usize,
    /// What of its metadata cannot be read, and why.
    pub(crate) unreadable: Vec<String>,
}

impl TableFacts {
    /// The table's position on a chain.
    pub(crate) fn next(&self, key: &Key) -> Option<i64> {
        self.nexts.get(key).copied()
    }

    /// Rows of the current snapshot's data files, masked ones included.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().flatten().map(|f| f.rows).sum()
    }
}

/// See the module's front.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) ledger: Ledger,
    /// Sources first, then merge groups.
    pub(crate) chains: Vec<Chain>,
    pub(crate) tables: Vec<TableFacts>,
    /// What each version of the rules held that an entry names, where that was recorded.
    pub(crate) rule_sets: BTreeMap<String, Held>,
}

impl Facts {
    /// Reads everything. What cannot be read is a fact too; only a store or catalog that does not answer is an error.
    ///
    /// # Errors
    /// If the ledger cannot be listed or a table not be loaded.
    pub(crate) async fn read(warehouse: &Warehouse) -> anyhow::Result<Self> {
        let ledger = warehouse.ledger().clone();
        let mut chains = Vec::new();
        for partition in ledger.partitions().await? {
            chains.push(source_chain(&ledger, partition).await?);
        }
        for group in ledger.merge_groups().await? {
            chains.push(merge_chain(&ledger, group).await?);
        }
        let mut tables = Vec::new();
        for table in warehouse.find_destinations().await? {
            tables.push(table_facts(warehouse, table).await?);
        }
        let mut facts = Self { ledger, chains, tables, rule_sets: BTreeMap::new() };
        let mut versions: BTreeSet<String> =
            facts.entries().filter_map(|(_, _, entry)| entry.versions().get("rules").cloned()).collect();
        versions.extend(facts.floors().flat_map(|(_, floor)| floor.collected.rules.iter().cloned()));
        for version in versions {
            if let Some(held) = rules::held(warehouse, &version).await? {
                facts.rule_sets.insert(version, held);
            }
        }
        Ok(facts)
    }

    pub(crate) fn chain(&self, key: &Key) -> Option<&Chain> {
        self.chains.iter().find(|c| c.key == *key)
    }

    /// True if records were read back.
    pub(crate) fn any_reprocessed(&self) -> bool {
        self.chains.iter().any(|chain| chain.key.is_reprocessed())
    }

    /// Rows of a table by its entries, those that are collected included.
    pub(crate) fn said_rows(&self, table: &TableFacts) -> u64 {
        let taken = self.entries().filter(|(key, start, _)| table.next(key).is_some_and(|next| *start < next));
        let said: u64 = taken.filter_map(|(_, _, entry)| entry.tables().get(&table.table)).map(|t| t.rows).sum();
        said + self.floors().filter_map(|(_, floor)| floor.collected.rows.get(&table.table)).sum::<u64>()
    }

    /// Rows that another engine may have deleted: those that a table has fewer than its entries say, where that can be so.
    pub(crate) fn deleted_rows(&self) -> u64 {
        let fewer = |table: &TableFacts| {
            let fewer = self.said_rows(table).saturating_sub(table.rows());
            if table.foreign.explains(fewer) { fewer } else { 0 }
        };
        self.tables.iter().map(fewer).sum()
    }

    /// Why what was found in rows may not be found in them again, if another engine deleted any.
    pub(crate) fn why_rows_are_gone(&self) -> Option<String> {
        let rows = self.deleted_rows();
        if let Some(table) = self.tables.iter().find(|t| t.masks > 0) {
            return Some(format!("{}: another engine masks rows with {} delete files", table.table, table.masks));
        }
        (rows > 0).then(|| format!("{rows} rows were deleted by another engine, or with snapshots that are expired"))
    }

    /// Chains whose older entries are collected.
    pub(crate) fn floors(&self) -> impl Iterator<Item = (&Key, &Floor)> {
        self.chains.iter().filter_map(|chain| Some((&chain.key, chain.floor.as_ref()?)))
    }

    /// True if a data file's name says that its entry is collected. The name does not say of which topic it is.
    pub(crate) fn is_collected(&self, location: &str) -> bool {
        self.floors().any(|(key, floor)| is_below(key, floor.position, location))
    }

    /// Entries of all chains: chain, start, entry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Key, i64, &Entry)> {
        self.chains.iter().flat_map(|chain| chain.iter().map(move |(start, entry)| (&chain.key, start, entry)))
    }
}

/// True for `<partition>-<start>-<next>-<uuid>.parquet` and `merge-<group>-<step>-<uuid>.parquet` of entries below a position.
fn is_below(key: &Key, position: i64, location: &str) -> bool {
    let parse = || {
        let name = location.rsplit('/').next()?.strip_suffix(".parquet")?;
        let (origin, _) = name.split_at_checked(name.len().checked_sub(37)?)?;
        let (chain, at) = origin.rsplit_once('-')?;
        let at: i64 = at.parse().ok()?;
        Some(match key {
            Key::Source(partition) => {
                let (number, _) = chain.split_once('-')?;
                number.parse() == Ok(partition.partition) && at <= position
            }
            Key::Merge(group) => chain.strip_prefix("merge-")?.parse() == Ok(*group) && at < position,
        })
    };
    parse().unwrap_or(false)
}

async fn source_chain(ledger: &Ledger, partition: PartitionId) -> anyhow::Result<Chain> {
    let mut chain = Chain::empty(Key::Source(partition.clone()));
    for start in ledger.starts(&partition).await? {
        let entry = ledger.get_source(&partition, start).await;
        chain.take(start, entry.map(|entry| entry.map(|entry| Entry::Source(Box::new(entry)))));
    }
    // After the entries: those that somebody collected in between are below it.
    Ok(chain.above(ledger.floor(&partition).await))
}

async fn merge_chain(ledger: &Ledger, group: u32) -> anyhow::Result<Chain> {
    let mut chain = Chain::empty(Key::Merge(group));
    for step in ledger.steps(group).await? {
        let entry = ledger.get_merge(group, step).await;
        chain.take(step, entry.map(|entry| entry.map(|entry| Entry::Merge(Box::new(entry)))));
    }
    Ok(chain.above(ledger.floor_merge(group).await))
}

async fn table_facts(warehouse: &Warehouse, table: Destination) -> anyhow::Result<TableFacts> {
    let loaded = warehouse.load_table(table).await?;
    let mut unreadable = Vec::new();
    let nexts = match Nexts::read(&warehouse.config().region, table, loaded.metadata()) {
        Ok(nexts) => keyed(nexts),
        Err(e) => {
            unreadable.push(e.to_string());
            BTreeMap::new()
        }
    };
    let read = async { Ok((live_files(&loaded).await?, Foreign::read(&loaded).await?)) };
    let (files, foreign) = match read.await {
        Ok((files, foreign)) => (Some(files), foreign),
        Err(e) => {
            let e: iceberg::Error = e;
            unreadable.push(format!("{table}: {e}"));
            (None, Foreign::default())
        }
    };
    let (files, masks) = match files {
        Some((files, masks)) => (Some(files), masks),
        None => (None, 0),
    };
    let commits = commits(&loaded);
    Ok(TableFacts { table, loaded, nexts, commits, files, foreign, masks, unreadable })
}

fn keyed(nexts: Nexts) -> BTreeMap<Key, i64> {
    let sources = nexts.sources.into_iter().map(|(partition, next)| (Key::Source(partition), next));
    sources.chain(nexts.merges.into_iter().map(|(group, next)| (Key::Merge(group), next))).collect()
}

/// The data files of the current snapshot, and how many mask rows of them.
///
/// # Errors
/// If the manifest list or a manifest cannot be read.
pub(crate) async fn live_files(loaded: &iceberg::table::Table) -> iceberg::Result<(Vec<LiveFile>, usize)> {
    let Some(snapshot) = loaded.metadata().current_snapshot() else { return Ok((Vec::new(), 0)) };
    let (mut files, mut masks) = (Vec::new(), 0);
    for manifest in loaded.manifest_list_reader(snapshot).load().await?.entries() {
        let manifest = manifest.load_manifest(loaded.file_io()).await?;
        for e in manifest.entries().iter().filter(|e| e.is_alive()) {
            if e.content_type() == DataContentType::Data {
                let location = e.file_path().to_owned();
                files.push(LiveFile { location, rows: e.record_count(), bytes: e.file_size_in_bytes() });
            } else {
                masks += 1;
            }
        }
    }
    Ok((files, masks))
}

/// Palisade's commits by their snapshots' summaries. Snapshots of other programs (maintenance) say nothing of ranges.
fn commits(loaded: &iceberg::table::Table) -> Vec<Commit> {
    let mut snapshots: Vec<_> = loaded.metadata().snapshots().collect();
    snapshots.sort_by_key(|s| s.sequence_number());
    let commit = |s: &iceberg::spec::SnapshotRef| {
        let text = s.summary().additional_properties.get(RANGES_PROPERTY)?;
        Some(Commit { snapshot: s.snapshot_id(), ranges: ranges(text)? })
    };
    snapshots.into_iter().filter_map(commit).collect()
}

/// Reads `[["topic@incarnation/0", start, next], ...]`.
fn ranges(text: &str) -> Option<Vec<(Key, i64, i64)>> {
    let Value::Array(all) = serde_json::from_str(text).ok()? else { return None };
    all.iter().map(|r| Some((Key::parse(r.get(0)?.as_str()?)?, r.get(1)?.as_i64()?, r.get(2)?.as_i64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_whether_its_entry_is_collected() {
        let uuid = "0b0e4dc1-7ab4-4b7f-9a0f-3f6c2a4d7e11";
        let (source, merge) = (Key::Source(PartitionId::new("fw", "i1", 3)), Key::Merge(3));
        for (key, position, name, want) in [
            (&source, 20, "3-10-20", true),
            (&source, 19, "3-10-20", false),
            (&source, 20, "4-10-20", false),
            (&source, 20, "merge-3-10", false),
            (&merge, 11, "merge-3-10", true),
            (&merge, 10, "merge-3-10", false),
            (&merge, 11, "merge-4-10", false),
            (&merge, 11, "3-10-20", false),
        ] {
            let location = format!("/w/local/data/t/2026-11-20/{name}-{uuid}.parquet");
            assert_eq!(is_below(key, position, &location), want, "{key} {position} {name}");
        }
        assert!(!is_below(&source, 20, "/w/part-0001.parquet") && !is_below(&source, 20, "x"));
    }

    #[test]
    fn a_summary_names_partitions_and_merge_groups() {
        let read = ranges(r#"[["fw@i1/0",5,12],["_merge/3",0,2]]"#).expect("as we write it");
        assert_eq!(read, [(Key::Source(PartitionId::new("fw", "i1", 0)), 5, 12), (Key::Merge(3), 0, 2)]);
        for bad in ["{}", "[[\"fw\",1,2]]", "[[\"fw@i/0\",1]]", "x"] {
            assert!(ranges(bad).is_none(), "{bad}");
        }
    }
}
