//! Where to resume: what the tables have, and how far the ledger goes beyond.

use std::collections::BTreeMap;

use dataflow::{PartitionId, Positions, Table, Watermark};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::Warehouse;
use crate::ledger::{MergeEntry, paths};
use crate::step::{self, Step};
use crate::{Destination, Error, Result};

/// Entries read at a time while a chain is followed.
const WALK_ENTRIES: usize = 1024;

/// Tables that are loaded, and chains that are followed, at the same time: a call to a bucket or a catalog takes a while.
const TABLES_AT_ONCE: usize = 8;
const CHAINS_AT_ONCE: usize = 16;

/// What a store or a catalog was asked.
type Asked<'a, T> = BoxFuture<'a, Result<T>>;

/// Collection may overtake whoever looks where to begin: then it looks again. Each time the floor has gone up.
const LOOKS: u32 = 4;

/// The table property that says which offset of a partition a table needs next.
pub(crate) fn source_key(region: &str, partition: &PartitionId) -> String {
    format!("{}{}@{}.{}", prefix(region), partition.topic, partition.incarnation, partition.partition)
}

/// The table property that says which step of a merge group a table needs next.
pub(crate) fn merge_key(region: &str, group: u32) -> String {
    format!("{}_merge.{group}", prefix(region))
}

fn prefix(region: &str) -> String {
    format!("palisade.next.{region}.")
}

/// The `palisade.next` properties of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nexts {
    /// The next offset of each partition that the table has heard of.
    pub sources: Positions,
    /// The next step of each merge group.
    pub merges: BTreeMap<u32, i64>,
}

impl Nexts {
    /// Those of `region`. Properties that are not ours are left alone; ours that are not numbers are an error.
    ///
    /// # Errors
    /// [`Error::Schema`] names the property that is not as we write it.
    pub fn read(region: &str, table: Destination, metadata: &iceberg::spec::TableMetadata) -> Result<Self> {
        let mut nexts = Self::default();
        let prefix = prefix(region);
        for (key, value) in metadata.properties() {
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            nexts.take(rest, value).ok_or_else(|| Error::Schema {
                table,
                what: format!(
                    "property {key} = {value:?} is not one of ours; it says what is committed, so nothing is \
                               guessed: restore it from an earlier metadata file"
                ),
            })?;
        }
        Ok(nexts)
    }

    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        let next: i64 = value.parse().ok()?;
        let (name, number) = key.rsplit_once('.')?;
        if name == "_merge" {
            self.merges.insert(number.parse().ok()?, next);
        } else {
            let (topic, incarnation) = name.rsplit_once('@')?;
            self.sources.insert(PartitionId::new(topic, incarnation, number.parse().ok()?), next);
        }
        Some(())
    }
}

impl Warehouse {
    pub(crate) async fn nexts(&self, table: impl Into<Destination>) -> Result<Nexts> {
        let table = table.into();
        Nexts::read(&self.config().region, table, self.load_table(table).await?.metadata())
    }

    /// The position of each partition after all that is committed: the end of its ledger chain, followed from the
    /// lowest `palisade.next` over all tables. Partitions that the warehouse does not know are not named.
    ///
    /// # Errors
    /// [`Error::NotInLedger`] if a table claims more than the ledger holds; [`Error::BelowFloor`] if it needs what is
    /// collected; otherwise if the catalog or the store fails.
    pub async fn start_positions(&self) -> Result<Positions> {
        for look in 1.. {
            match self.find_positions().await {
                Err(Error::BelowFloor { .. }) if look < LOOKS => {}
                found => return found,
            }
        }
        unreachable!("the loop ends by a return")
    }

    async fn find_positions(&self) -> Result<Positions> {
        let mut claims: BTreeMap<PartitionId, Vec<(Destination, i64)>> = BTreeMap::new();
        for partition in self.ledger().partitions().await? {
            claims.insert(partition, Vec::new());
        }
        let tables = self.find_destinations().await?;
        let mut loads: Vec<Asked<'_, (Destination, Nexts)>> = Vec::with_capacity(tables.len());
        for &table in &tables {
            loads.push(async move { Ok((table, self.nexts(table).await?)) }.boxed());
        }
        let mut loads = futures::stream::iter(loads).buffered(TABLES_AT_ONCE);
        while let Some((table, nexts)) = loads.try_next().await? {
            for (partition, next) in nexts.sources {
                claims.entry(partition).or_default().push((table, next));
            }
        }
        let mut ends: Vec<Asked<'_, Option<(PartitionId, i64)>>> = Vec::with_capacity(claims.len());
        for (partition, claims) in claims {
            let tables = tables.len();
            let end = async move {
                let end = self.resume(&partition, claims, tables).await?;
                Ok(end.map(|end| (partition, end)))
            };
            ends.push(end.boxed());
        }
        let ends: Vec<_> = futures::stream::iter(ends).buffered(CHAINS_AT_ONCE).try_collect().await?;
        step::reached(Step::PositionsRead);
        Ok(ends.into_iter().flatten().collect())
    }

    /// The end of a partition's chain; the claim of each of so many tables must be a position on the way.
    async fn resume(
        &self,
        partition: &PartitionId,
        mut claims: Vec<(Destination, i64)>,
        tables: usize,
    ) -> Result<Option<i64>> {
        let first = self.ledger().first(partition).await?;
        let lowest = if claims.len() == tables { None } else { first };
        let Some(from) = lowest.into_iter().chain(claims.iter().map(|c| c.1)).min() else { return Ok(None) };
        claims.retain(|c| c.1 != from);
        let mut end = from;
        loop {
            let entries = self.ledger().walk(partition, end, WALK_ENTRIES).await?;
            let Some(last) = entries.last() else { break };
            end = last.next;
            claims.retain(|c| !entries.iter().any(|e| e.next == c.1));
        }
        let chain = partition.path();
        if let Some(floor) = self.ledger().floor_at(&chain).await?.filter(|floor| from < *floor) {
            return Err(Error::BelowFloor { chain, at: from, floor });
        }
        match claims.first() {
            None => Ok(Some(end)),
            Some(&(table, next)) => {
                let key = source_key(&self.config().region, partition);
                Err(Error::NotInLedger { table, key, next, first: from, end })
            }
        }
    }

    /// The partition's watermark at the end of its chain; none if its entries since the last merge step do not say. It only
    /// spares a restarted partition from beginning its clock anew.
    ///
    /// # Errors
    /// If the catalog or the store fails.
    pub async fn watermark(&self, partition: &PartitionId) -> Result<Option<i64>> {
        let head = self.merge_head(0).await?;
        let merged = head.as_ref().and_then(|entry| entry.vector.get(partition).copied());
        let mut watermark = head.and_then(|entry| match entry.partition_watermarks.get(partition) {
            Some(Watermark::EventTime(time)) if *time > i64::MIN => Some(*time),
            _ => None,
        });
        let from = match merged {
            Some(next) => Some(next),
            None => self.ledger().first(partition).await?,
        };
        let Some(from) = from else { return Ok(None) };
        for entry in self.ledger().walk(partition, from, usize::MAX).await? {
            watermark = entry.watermark.or(watermark);
        }
        Ok(watermark)
    }

    /// The newest step of a merge group; None if it has not taken any.
    ///
    /// # Errors
    /// If the catalog or the store fails.
    pub async fn merge_head(&self, group: u32) -> Result<Option<MergeEntry>> {
        let Some(mut head) = self.late_step(group).await? else { return Ok(None) };
        while let Some(entry) = self.ledger().get_merge(group, head.step + 1).await? {
            head = entry;
        }
        Ok(Some(head))
    }

    /// A step of the group that is not far from its newest.
    async fn late_step(&self, group: u32) -> Result<Option<MergeEntry>> {
        for look in 1.. {
            let Some(mut step) = self.ledger().first_merge(group).await? else { return Ok(None) };
            for table in MERGE_TABLES {
                // A table's next is one past a step that exists: start there rather than at the oldest step kept.
                step = step.max(self.nexts(table).await?.merges.get(&group).map_or(0, |next| next - 1));
            }
            if let Some(entry) = self.ledger().get_merge(group, step).await? {
                return Ok(Some(entry));
            }
            let floor = self.ledger().floor_at(&paths::merge_path(group)).await?;
            if look == LOOKS || floor.is_none_or(|floor| floor <= step) {
                let path = self.ledger().paths().merge_entry(group, step);
                let named_by = "a table's palisade.next, or the ledger's own list,".to_owned();
                return Err(Error::Missing { path, named_by });
            }
        }
        unreachable!("the loop ends by a return")
    }
}

/// The tables that take rows from merge groups.
pub const MERGE_TABLES: [Table; 2] = [Table::DetectionFinding, Table::LateWindow];
