//! Backing a warehouse up: what belongs to it is looked up, and what the copy lacks is copied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::ManifestContentType;

use super::Checkpoint;
use crate::ledger::{Ledger, ObjectRef, TableFiles};
use crate::store::ObjectStore;
use crate::warehouse::{Nexts, Warehouse};
use crate::{Destination, Error, Result};

/// Objects that are copied at the same time; each is in memory meanwhile.
const COPIES_AT_ONCE: usize = 4;

/// Tables that are looked at at the same time, and manifests of each.
const TABLES_AT_ONCE: usize = 4;
const MANIFESTS_AT_ONCE: usize = 8;

/// Upkeep and other engines may delete what was just looked up: then all is looked up again.
const LOOKS: u32 = 4;

/// What a backup did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// Objects that belong to the warehouse.
    pub objects: u64,
    /// Those of them that were copied now.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Tables in the checkpoint.
    pub tables: u64,
}

/// What a table's metadata says.
struct Seen {
    table: Destination,
    /// The path of its metadata file.
    metadata: String,
    nexts: Nexts,
    /// The paths of its current snapshot's lists and files.
    named: BTreeSet<String>,
}

/// Told after each object: how many are copied, of how many that are to be.
pub type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

impl Warehouse {
    /// Writes a checkpoint of `now`, microseconds since 1970, here, so that a copy of the store that others make can be restored; and if `to` is given, copies what
    /// that store lacks, the checkpoint last. Workers may go on meanwhile.
    ///
    /// # Errors
    /// If a store or the catalog fails; if a table's files are not below the root, or rows were deleted from it without its files
    /// being rewritten.
    pub async fn back_up(&self, to: Option<Arc<dyn ObjectStore>>, now: i64, progress: Progress<'_>) -> Result<Backup> {
        for look in 1.. {
            match self.back_up_once(to.as_ref(), now, progress).await {
                Err(Error::Missing { path, .. }) if look < LOOKS => {
                    tracing::debug!(path, "is gone since it was looked up; all is looked up again");
                }
                done => return done,
            }
        }
        unreachable!("the loop ends by a return")
    }

    async fn back_up_once(
        &self,
        to: Option<&Arc<dyn ObjectStore>>,
        now: i64,
        progress: Progress<'_>,
    ) -> Result<Backup> {
        let ledger = self.ledger();
        let marks = files_below(ledger, &ledger.paths().receivers()).await?;
        let (checkpoint, mut stages, nexts) = self.look_at_tables(now).await?;
        let (named, entries) = named_by_entries(ledger, &nexts).await?;
        stages.push(named);
        stages.push(files_below(ledger, &ledger.paths().meta()).await?);
        stages.push(marks);
        stages.push(entries);
        let mut done = Backup { tables: checkpoint.tables.len() as u64, ..Backup::default() };
        if let Some(to) = to {
            self.copy(to, stages, &mut done, progress).await?;
            Ledger::new(to.clone(), ledger.paths().region()).keep_checkpoint(&checkpoint).await?;
        }
        ledger.keep_checkpoint(&checkpoint).await?;
        Ok(done)
    }

    /// Each table's metadata, and the files of its current snapshot.
    async fn look_at_tables(
        &self,
        now: i64,
    ) -> Result<(Checkpoint, Vec<BTreeSet<String>>, BTreeMap<Destination, Nexts>)> {
        let root = self.store().location("");
        let mut checkpoint = Checkpoint {
            at: now,
            cluster_id: self.cluster_id().to_owned(),
            root: root.trim_end_matches('/').to_owned(),
            tables: BTreeMap::new(),
        };
        let (mut files, mut nexts) = (BTreeSet::new(), BTreeMap::new());
        let tables = self.find_destinations().await?;
        let looks = tables.into_iter().map(|table| self.look_at(table, &checkpoint));
        let found: Vec<Seen> = futures::stream::iter(looks).buffered(TABLES_AT_ONCE).try_collect().await?;
        for Seen { table, metadata, nexts: has, named } in found {
            files.extend(named);
            files.insert(metadata.clone());
            checkpoint.tables.insert(table, metadata);
            nexts.insert(table, has);
        }
        Ok((checkpoint, vec![files], nexts))
    }

    async fn look_at(&self, table: Destination, checkpoint: &Checkpoint) -> Result<Seen> {
        let loaded = self.load_table(table).await?;
        self.is_at_home(table, &loaded)?;
        let failed = |e| Error::catalog(format!("read the manifests of {table}"), e);
        let metadata = checkpoint.path(loaded.metadata_location_result().map_err(failed)?)?.to_owned();
        let nexts = Nexts::read(&self.config().region, table, loaded.metadata())?;
        let mut seen = Seen { table, metadata, nexts, named: BTreeSet::new() };
        let Some(snapshot) = loaded.metadata().current_snapshot() else { return Ok(seen) };
        seen.named.insert(checkpoint.path(snapshot.manifest_list())?.to_owned());
        let lists = loaded.manifest_list_reader(snapshot).load().await.map_err(failed)?;
        if lists.entries().iter().any(|list| list.content == ManifestContentType::Deletes) {
            let what = "rows were deleted from it without its files being rewritten (merge-on-read), and such deletes name files by \
                        their place: rewrite the table first (docs/maintenance.md)";
            return Err(Error::Schema { table, what: what.to_owned() });
        }
        let manifests = lists.entries().iter().map(|list| list.load_manifest(loaded.file_io()));
        let mut manifests = futures::stream::iter(manifests).buffered(MANIFESTS_AT_ONCE);
        while let Some(manifest) = manifests.try_next().await.map_err(failed)? {
            for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
                seen.named.insert(checkpoint.path(entry.file_path())?.to_owned());
            }
        }
        for list in lists.entries() {
            seen.named.insert(checkpoint.path(&list.manifest_path)?.to_owned());
        }
        Ok(seen)
    }

    /// Copies what `to` lacks, one stage after the other.
    async fn copy(
        &self,
        to: &Arc<dyn ObjectStore>,
        stages: Vec<BTreeSet<String>>,
        done: &mut Backup,
        progress: Progress<'_>,
    ) -> Result<()> {
        let there = to.list_deep(self.ledger().paths().region()).await?;
        let there: BTreeSet<String> = there.into_iter().map(|object| object.path).collect();
        done.objects = stages.iter().map(|stage| stage.len() as u64).sum();
        let lacking = |stage: BTreeSet<String>| stage.difference(&there).cloned().collect::<Vec<_>>();
        let stages: Vec<Vec<String>> = stages.into_iter().map(lacking).collect();
        let all = stages.iter().map(|stage| stage.len() as u64).sum();
        for stage in stages {
            let copies = stage.iter().map(|path| copy(self.store(), to, path));
            let mut copies = futures::stream::iter(copies).buffer_unordered(COPIES_AT_ONCE);
            while let Some(bytes) = copies.try_next().await? {
                done.copied += 1;
                done.bytes += bytes;
                progress(done.copied, all);
            }
        }
        Ok(())
    }
}

async fn copy(from: &Arc<dyn ObjectStore>, to: &Arc<dyn ObjectStore>, path: &str) -> Result<u64> {
    let bytes = from.get(path).await?;
    let named_by = || "what was just looked up".to_owned();
    let bytes = bytes.ok_or_else(|| Error::Missing { path: path.to_owned(), named_by: named_by() })?;
    let size = bytes.len() as u64;
    to.put(path, bytes).await?;
    Ok(size)
}

/// All objects of a folder but checkpoints, which are written when all else is there.
async fn files_below(ledger: &Ledger, folder: &str) -> Result<BTreeSet<String>> {
    let listed = ledger.store().list_deep(folder).await?;
    let checkpoints = ledger.paths().checkpoints();
    let is_wanted = |path: &String| !path.starts_with(&checkpoints) && !crate::store::is_temporary(path);
    Ok(listed.into_iter().map(|object| object.path).filter(is_wanted).collect())
}

/// The entries from the floors on, and what they name: files that tables lack, deltas and states.
async fn named_by_entries(
    ledger: &Ledger,
    nexts: &BTreeMap<Destination, Nexts>,
) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut named, mut entries) = (BTreeSet::new(), BTreeSet::new());
    for group in ledger.merge_groups().await? {
        for step in ledger.steps(group).await? {
            let path = ledger.paths().merge_entry(group, step);
            let Some(entry) = ledger.get_merge(group, step).await? else { return Err(gone(path, "the ledger's list")) };
            entries.insert(path);
            let is_in = |table| nexts.get(table).and_then(|n| n.merges.get(&group)).is_some_and(|next| *next > step);
            add(ledger, entry.tables.iter().filter(|(table, _)| !is_in(table)), entry.state, &mut named);
        }
    }
    for partition in ledger.partitions().await? {
        for start in ledger.starts(&partition).await? {
            let path = ledger.paths().source_entry(&partition, start);
            let Some(entry) = ledger.get_source(&partition, start).await? else {
                return Err(gone(path, "the ledger's list"));
            };
            entries.insert(path);
            let is_in =
                |table| nexts.get(table).and_then(|n| n.sources.get(&partition)).is_some_and(|next| *next > start);
            add(ledger, entry.tables.iter().filter(|(table, _)| !is_in(table)), entry.exchange, &mut named);
        }
    }
    Ok((named, entries))
}

fn gone(path: String, named_by: &str) -> Error {
    Error::Missing { path, named_by: named_by.to_owned() }
}

fn add<'a>(
    ledger: &Ledger,
    tables: impl Iterator<Item = (&'a Destination, &'a TableFiles)>,
    beside: Option<ObjectRef>,
    named: &mut BTreeSet<String>,
) {
    let files = tables.flat_map(|(_, table)| &table.files);
    named.extend(files.filter_map(|file| ledger.below_root(&file.location)).map(str::to_owned));
    named.extend(beside.map(|object| object.path));
}
