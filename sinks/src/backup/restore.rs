//! A copy becomes a warehouse: chains end where the copy does, tables name the files where they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow::PartitionId;
use iceberg::Catalog;
use iceberg::io::FileIO;

use super::Checkpoint;
use super::metadata::Kept;
use crate::ledger::{Ledger, ObjectRef, TableFiles, paths};
use crate::outbox::AlertChain;
use crate::warehouse::{self, Connected, MERGE_TABLES, Nexts, timed};
use crate::{Destination, Error, Result, WarehouseConfig};

/// What a restored warehouse holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// When the checkpoint was made that its tables come from, microseconds since 1970.
    pub at: i64,
    /// Tables.
    pub tables: u64,
    /// Files in them, which all are there.
    pub files: u64,
    /// Where each partition's source goes on.
    pub resume: BTreeMap<PartitionId, i64>,
    /// Ledger entries above the tables that are whole, and will be committed.
    pub waiting: u64,
    /// Entries that named what is not there, and those after them: they are deleted, and what they stood for is read again.
    pub cut: u64,
}

/// A copy, and the catalog that is to name its tables.
struct Site {
    config: WarehouseConfig,
    ledger: Ledger,
    catalog: Arc<dyn Catalog>,
    io: FileIO,
    /// The sizes of all files and deltas that are there.
    there: BTreeMap<String, u64>,
}

/// What is to be done, when all has been looked at.
struct Plan {
    checkpoint: Checkpoint,
    tables: BTreeMap<Destination, Kept>,
    /// Entries and marks of receivers beyond the ends of their chains: merge steps before ranges.
    beyond: Vec<String>,
    restored: Restored,
}

/// Makes the copy at `config.root` a warehouse, by its newest checkpoint that is whole there. No worker may run on it. The catalog
/// must not know the tables, or as they were made by a warehouse that was opened and never written to. May be called again.
///
/// # Errors
/// [`Error::Restore`] if there is no checkpoint that is whole, or the catalog has other tables of that name; otherwise if the
/// store or the catalog fails.
pub async fn restore(config: WarehouseConfig) -> Result<Restored> {
    config.check()?;
    let Connected { store, catalog, io } = warehouse::connect(&config).await?;
    let ledger = Ledger::new(store, &config.region);
    let listed = ledger.store().list_deep(ledger.paths().region()).await?;
    let there = listed.into_iter().map(|object| (object.path, object.bytes)).collect();
    let site = Site { config, ledger, catalog, io, there };
    let mut plan = site.plan().await?;
    for path in &plan.beyond {
        site.ledger.store().delete(path).await?;
    }
    for (table, kept) in std::mem::take(&mut plan.tables) {
        site.register(table, kept, &plan.checkpoint).await?;
    }
    Ok(plan.restored)
}

impl Site {
    /// Reads everything that the restored warehouse will need.
    async fn plan(&self) -> Result<Plan> {
        let root = self.config.root.to_string();
        let checkpoints = self.ledger.checkpoints().await?;
        let mut why = format!("{root} holds no checkpoint of region {}", self.config.region);
        for checkpoint in checkpoints {
            let at = dataflow::time::rfc3339(checkpoint.at);
            if self.config.cluster_id.as_ref().is_some_and(|id| *id != checkpoint.cluster_id) {
                let (expected, found) = (self.config.cluster_id.clone().unwrap_or_default(), checkpoint.cluster_id);
                return Err(Error::OtherCluster { root, expected, found });
            }
            match self.plan_by(checkpoint).await {
                Err(error @ (Error::Missing { .. } | Error::Damaged { .. } | Error::Restore(_))) => {
                    tracing::warn!(%error, "the checkpoint of {at} is not whole here; an older one is looked at");
                    why = format!("no checkpoint is whole in {root}; of that of {at}: {error}");
                }
                planned => return planned,
            }
        }
        let way = "`palisade tables backup` writes one";
        Err(Error::Restore(format!("{why}; {way}")))
    }

    async fn plan_by(&self, checkpoint: Checkpoint) -> Result<Plan> {
        let mut tables = BTreeMap::new();
        let mut restored = Restored { at: checkpoint.at, ..Restored::default() };
        for (table, path) in &checkpoint.tables {
            let kept = Kept::read(&self.ledger, &checkpoint, *table, path).await?;
            for (path, bytes) in kept.files(&checkpoint)? {
                self.ensure(&path, bytes, &format!("the current snapshot of {table}"))?;
                restored.files += 1;
            }
            tables.insert(*table, kept);
        }
        restored.tables = tables.len() as u64;
        let mut beyond = Vec::new();
        let mut heads = BTreeMap::new();
        for partition in self.ledger.partitions().await? {
            let head = self.follow(&partition, &tables, &mut restored).await?;
            self.cut_marks(&AlertChain::Partition(partition.clone()), head, &mut beyond);
            heads.insert(partition, head);
        }
        for group in self.ledger.merge_groups().await? {
            let end = self.follow_merge(group, &tables, &heads, &mut restored).await?;
            self.cut_marks(&AlertChain::Group(group), end, &mut beyond);
            for step in self.ledger.steps(group).await?.into_iter().filter(|step| *step >= end) {
                beyond.push(self.ledger.paths().merge_entry(group, step));
                restored.cut += 1;
            }
        }
        for (partition, head) in &heads {
            for start in self.ledger.starts(partition).await?.into_iter().filter(|start| start >= head) {
                beyond.push(self.ledger.paths().source_entry(partition, start));
                restored.cut += 1;
            }
        }
        restored.resume = heads;
        Ok(Plan { checkpoint, tables, beyond, restored })
    }

    /// The end of what is whole of a partition's chain.
    async fn follow(
        &self,
        partition: &PartitionId,
        tables: &BTreeMap<Destination, Kept>,
        restored: &mut Restored,
    ) -> Result<i64> {
        let mut claims: BTreeSet<i64> =
            tables.values().filter_map(|t| t.nexts.sources.get(partition).copied()).collect();
        let first = self.ledger.first(partition).await?;
        // A table that has not heard of the partition has nothing of it.
        let is_known = |kept: &Kept| kept.nexts.sources.contains_key(partition);
        let lowest = first.filter(|_| !tables.values().all(is_known));
        let Some(mut at) = claims.iter().copied().chain(lowest).min() else { return Ok(first.unwrap_or(0)) };
        self.ensure_kept(&partition.path(), at).await?;
        claims.remove(&at);
        while let Some(entry) = self.ledger.get_source(partition, at).await? {
            let is_in = |table: &Destination| {
                tables.get(table).and_then(|t| t.nexts.sources.get(partition)).is_some_and(|next| *next > at)
            };
            if !self.is_whole(&entry.tables, entry.exchange.as_ref(), is_in) {
                break;
            }
            at = entry.next;
            claims.remove(&at);
            restored.waiting += 1;
        }
        match claims.first() {
            None => Ok(at),
            Some(next) => {
                Err(Error::Restore(format!("a table has {partition} up to {next}, the ledger is whole up to {at}")))
            }
        }
    }

    /// The first step of a group that is not whole.
    async fn follow_merge(
        &self,
        group: u32,
        tables: &BTreeMap<Destination, Kept>,
        heads: &BTreeMap<PartitionId, i64>,
        restored: &mut Restored,
    ) -> Result<i64> {
        let next_of = |table: &Destination| tables.get(table).and_then(|t| t.nexts.merges.get(&group)).copied();
        let nexts: Vec<i64> = MERGE_TABLES.iter().filter_map(|table| next_of(&(*table).into())).collect();
        let first = self.ledger.first_merge(group).await?.unwrap_or(0);
        let mut at =
            if nexts.len() == MERGE_TABLES.len() { nexts.iter().copied().min().unwrap_or(first) } else { first };
        self.ensure_kept(&paths::merge_path(group), at).await?;
        while let Some(entry) = self.ledger.get_merge(group, at).await? {
            let is_in = |table: &Destination| next_of(table).is_some_and(|next| next > at);
            let is_merged = entry.vector.iter().all(|(p, next)| heads.get(p).is_none_or(|head| next <= head));
            if !is_merged || !self.is_whole(&entry.tables, entry.state.as_ref(), is_in) {
                break;
            }
            at += 1;
            restored.waiting += 1;
        }
        match nexts.into_iter().max() {
            Some(next) if next > at => Err(Error::Restore(format!(
                "a table has merge group {group} up to {next}, the ledger is whole up to {at}"
            ))),
            _ => Ok(at),
        }
    }

    /// What tables lack must not have been collected since: nothing of it would come back, and all after it would be cut.
    async fn ensure_kept(&self, chain: &str, at: i64) -> Result<()> {
        match self.ledger.floor_at(chain).await? {
            Some(floor) if at < floor => {
                let what = "the checkpoint is older than what is kept of the ledger";
                Err(Error::Restore(format!(
                    "tables need {chain} from {at} on, which is collected up to {floor}: {what}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether all is there that an entry names, and no table has yet.
    fn is_whole(
        &self,
        tables: &BTreeMap<Destination, TableFiles>,
        beside: Option<&ObjectRef>,
        is_in: impl Fn(&Destination) -> bool,
    ) -> bool {
        let files = tables.iter().filter(|(table, _)| !is_in(table)).flat_map(|(_, files)| &files.files);
        let mut files = files.map(|file| (self.ledger.below_root(&file.location), file.bytes));
        let is_there = |path: &str, bytes: u64| self.there.get(path) == Some(&bytes);
        files.all(|(path, bytes)| path.is_some_and(|path| is_there(path, bytes)))
            && beside.is_none_or(|object| is_there(&object.path, object.bytes))
    }

    fn ensure(&self, path: &str, bytes: u64, named_by: &str) -> Result<()> {
        match self.there.get(path) {
            Some(there) if *there == bytes => Ok(()),
            Some(there) => Err(Error::damaged(path, format!("it has {there} bytes, {named_by} says {bytes}"))),
            None => Err(Error::Missing { path: path.to_owned(), named_by: named_by.to_owned() }),
        }
    }

    /// Marks of receivers that were sent what the chain no longer has: it will be made again, with the same ids, and sent.
    fn cut_marks(&self, chain: &AlertChain, end: i64, beyond: &mut Vec<String>) {
        let receivers = format!("{}/", self.ledger.paths().receivers());
        let folder = format!("/{}/", chain.path());
        let marks = self.there.keys().filter(|path| path.starts_with(&receivers));
        for path in marks {
            let Some((_, name)) = path.rsplit_once(&folder) else { continue };
            if paths::numbered(name, ".sent").is_some_and(|below| below > end) {
                beyond.push(path.clone());
            }
        }
    }

    /// Gives the catalog the table, unless it has it already.
    async fn register(&self, table: Destination, kept: Kept, checkpoint: &Checkpoint) -> Result<()> {
        let Self { config, catalog, .. } = self;
        let ident = warehouse::ident(config, table);
        warehouse::open_namespace(config, catalog.as_ref(), ident.namespace()).await?;
        let action = format!("restore table {table}");
        if timed(config, &action, catalog.table_exists(&ident)).await? {
            let loaded = timed(config, &action, catalog.load_table(&ident)).await?;
            let has = loaded.metadata();
            let nexts = Nexts::read(&config.region, table, has)?;
            let is_here = has.location().starts_with(&self.ledger.store().location(""));
            if is_here && has.current_snapshot_id() == kept.metadata.current_snapshot_id() && nexts == kept.nexts {
                return Ok(());
            }
            if has.current_snapshot().is_some() || nexts != Nexts::default() {
                let what = "the catalog has a table of that name that is not the one in the checkpoint: name another catalog or \
                            namespace, or drop the table if it is the one that is lost";
                return Err(Error::Restore(format!("{}.{}: {what}", ident.namespace().to_url_string(), ident.name())));
            }
            timed(config, &action, catalog.drop_table(&ident)).await?;
        }
        let location = kept.write(&self.ledger, checkpoint, &self.io).await?;
        timed(config, &action, catalog.register_table(&ident, location)).await?;
        Ok(())
    }
}
