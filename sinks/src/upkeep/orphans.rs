//! Files that nothing names: what attempts left that never came to their entry, and commits that failed.
//!
//! Named is what any snapshot of any table holds or held, what the tables' metadata speaks of, and what any entry of the ledger
//! names. A file that nothing names may still be on its way into an entry, so only those are told of that have been there for
//! days. If anything that may name a file cannot be read, no file is told of.

use std::collections::BTreeSet;
use std::fmt;

use futures::StreamExt;
use iceberg::table::Table as IcebergTable;

use crate::ledger::{Ledger, ObjectRef, TableFiles};
use crate::store::{Listed, is_temporary};
use crate::warehouse::Warehouse;
use crate::{Destination, Error, Result};

/// Files that are deleted at the same time.
const DELETES_AT_ONCE: usize = 16;

/// What an orphan was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Litter {
    /// A Parquet file.
    Data,
    /// A manifest, a list of manifests, or a table's metadata.
    Metadata,
    /// The deltas of a range.
    Exchange,
    /// A merge state.
    State,
    /// A file that was being written when its process ended.
    Temporary,
}

impl Litter {
    /// Its name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Litter::Data => "data",
            Litter::Metadata => "metadata",
            Litter::Exchange => "exchange",
            Litter::State => "state",
            Litter::Temporary => "temporary",
        }
    }
}

impl fmt::Display for Litter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that nothing names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it was to be.
    pub kind: Litter,
    /// The file.
    pub object: Listed,
}

impl Warehouse {
    /// The region's files that nothing names and that were written before `written_before`, by path.
    ///
    /// # Errors
    /// If the store, a table's metadata or an entry cannot be read; [`Error::Moved`] if tables name files that are not below
    /// this warehouse's root.
    pub async fn orphans(&self, written_before: i64) -> Result<Vec<Orphan>> {
        // Before anything is read that names files: what is named afterwards is of files that are not listed, or young.
        let files = self.files().await?;
        let mut named = entries(self.ledger()).await?;
        for table in self.find_destinations().await? {
            let loaded = self.load_table(table).await?;
            self.is_at_home(table, &loaded)?;
            in_snapshots(table, &loaded, &mut named).await?;
        }
        let store = self.ledger().store();
        let is_orphan =
            |file: &Listed| file.written_at < written_before && !named.contains(&store.location(&file.path));
        Ok(files.into_iter().filter(|orphan| is_orphan(&orphan.object)).collect())
    }

    /// Deletes orphans that [`Warehouse::orphans`] found. Calling again is safe.
    ///
    /// # Errors
    /// If the store fails; some may be deleted then.
    pub async fn delete_orphans(&self, orphans: &[Orphan]) -> Result<()> {
        let store = self.ledger().store();
        let deletes = orphans.iter().map(|orphan| store.delete(&orphan.object.path));
        let done: Vec<Result<()>> = futures::stream::iter(deletes).buffered(DELETES_AT_ONCE).collect().await;
        done.into_iter().collect()
    }

    /// Every file of a kind that can be an orphan.
    async fn files(&self) -> Result<Vec<Orphan>> {
        let paths = self.ledger().paths();
        let mut found = Vec::new();
        for object in self.ledger().store().list_deep(paths.region()).await? {
            found.extend(kind(paths.region(), &object.path).map(|kind| Orphan { kind, object }));
        }
        Ok(found)
    }

    /// A warehouse that was moved holds tables that name every file where it was: all would look unnamed.
    pub(crate) fn is_at_home(&self, table: Destination, loaded: &IcebergTable) -> Result<()> {
        let store = self.ledger().store();
        let root = store.location("");
        let location = loaded.metadata().location();
        if location.starts_with(&root) {
            Ok(())
        } else {
            Err(Error::Moved { table, location: location.to_owned(), root })
        }
    }
}

/// What a path of the region is, if that may be deleted when nothing names it.
fn kind(region: &str, path: &str) -> Option<Litter> {
    let below = path.strip_prefix(region)?.strip_prefix('/')?;
    let (folder, rest) = below.split_once('/')?;
    let ends = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
    match folder {
        _ if is_temporary(path) => Some(Litter::Temporary),
        "data" if rest.contains("/metadata/") => ends(&[".avro", ".metadata.json"]).then_some(Litter::Metadata),
        "data" => ends(&[".parquet"]).then_some(Litter::Data),
        "exchange" => ends(&[".arrow"]).then_some(Litter::Exchange),
        "state" => ends(&[".arrow"]).then_some(Litter::State),
        _ => None,
    }
}

/// The locations of all that any entry of the ledger names, above a floor or below.
async fn entries(ledger: &Ledger) -> Result<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    for partition in ledger.partitions().await? {
        for start in ledger.all_starts(&partition.path()).await? {
            if let Some(entry) = ledger.get_source(&partition, start).await? {
                add(ledger, entry.tables.values(), entry.exchange, &mut named);
            }
        }
    }
    for group in ledger.merge_groups().await? {
        for step in ledger.all_starts(&crate::ledger::paths::merge_path(group)).await? {
            if let Some(entry) = ledger.get_merge(group, step).await? {
                add(ledger, entry.tables.values(), entry.state, &mut named);
            }
        }
    }
    Ok(named)
}

fn add<'a>(
    ledger: &Ledger,
    tables: impl Iterator<Item = &'a TableFiles>,
    beside: Option<ObjectRef>,
    named: &mut BTreeSet<String>,
) {
    named.extend(tables.flat_map(|files| &files.files).map(|file| file.location.clone()));
    named.extend(beside.map(|object| ledger.store().location(&object.path)));
}

/// The locations of all that a table's snapshots hold, and of the metadata that says so.
async fn in_snapshots(table: Destination, loaded: &IcebergTable, named: &mut BTreeSet<String>) -> Result<()> {
    let metadata = loaded.metadata();
    named.extend(loaded.metadata_location().map(str::to_owned));
    named.extend(metadata.metadata_log().iter().map(|log| log.metadata_file.clone()));
    named.extend(metadata.statistics_iter().map(|statistics| statistics.statistics_path.clone()));
    named.extend(metadata.partition_statistics_iter().map(|statistics| statistics.statistics_path.clone()));
    let mut read = BTreeSet::new();
    for snapshot in metadata.snapshots() {
        named.insert(snapshot.manifest_list().to_owned());
        let failed = |e| Error::catalog(format!("read the manifests of {table}"), e);
        for file in loaded.manifest_list_reader(snapshot).load().await.map_err(failed)?.entries() {
            if !read.insert(file.manifest_path.clone()) {
                continue;
            }
            // Files that the snapshot deleted as well: an older one may hold them.
            let manifest = file.load_manifest(loaded.file_io()).await.map_err(failed)?;
            named.extend(manifest.entries().iter().map(|entry| entry.file_path().to_owned()));
        }
    }
    named.extend(read);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_an_orphan_is_looked_at() {
        let cases = [
            ("r/data/dns_activity/2026-11-20/0-1-2-u.parquet", Some(Litter::Data)),
            ("r/data/dns_activity/metadata/00001-u.metadata.json", Some(Litter::Metadata)),
            ("r/data/dns_activity/metadata/u-m0.avro", Some(Litter::Metadata)),
            ("r/data/dns_activity/metadata/version-hint.text", None),
            ("r/data/dns_activity/2026-11-20/notes.txt", None),
            ("r/exchange/fw@i/0/00000000000000000001-u.arrow", Some(Litter::Exchange)),
            ("r/state/_merge/0/00000000000000000001-u.arrow", Some(Litter::State)),
            ("r/ledger/fw@i/0/.tmp-u", Some(Litter::Temporary)),
            ("r/ledger/fw@i/0/00000000000000000001.entry", None),
            ("r/meta/cluster.json", None),
            ("other/data/dns_activity/2026-11-20/0-1-2-u.parquet", None),
        ];
        for (path, want) in cases {
            assert_eq!(kind("r", path), want, "{path}");
        }
    }
}
