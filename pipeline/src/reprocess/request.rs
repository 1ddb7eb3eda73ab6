//! Requests: numbered create-once notes of the warehouse.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use dataflow::{PartitionId, Positions, Table};
use serde::{Deserialize, Serialize};
use sinks::{Destination, Warehouse};

use super::pinned::{Found, Pinned};
use super::reprocessed;

/// The form of the notes.
const FORMAT: u32 = 1;

/// What one request reads, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    format: u32,
    pub(crate) number: u32,
    pub(crate) pinned: Pinned,
    /// What decided what is made of the records: the program, its mappings, how it decodes.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) found: Found,
}

/// Records of one partition that are read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// Where they stood.
    pub(crate) origin: PartitionId,
    /// From the first offset to the one after the last.
    pub(crate) offsets: (i64, i64),
    pub(crate) records: u64,
}

impl Request {
    /// The partitions that the request writes, each with the position at which it is done.
    pub(crate) fn ends(&self) -> Positions {
        let end = |s: &Stretch| (reprocessed(&s.origin, self.number), s.offsets.1);
        self.found.stretches.iter().map(end).collect()
    }

    /// True once the ledger holds all of it.
    pub(crate) fn is_done(&self, positions: &Positions) -> bool {
        self.ends().iter().all(|(partition, end)| positions.get(partition).is_some_and(|at| at >= end))
    }
}

/// All requests of a warehouse, in order.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) Vec<Request>);

fn name(number: u32) -> String {
    format!("reprocess-{number:08}")
}

impl Requests {
    /// Reads them.
    ///
    /// # Errors
    /// If the store fails, or a note is not as this version writes it.
    pub(crate) async fn read(warehouse: &Warehouse) -> anyhow::Result<Self> {
        let mut requests = Vec::new();
        while let Some(bytes) = warehouse.recall(&name(requests.len() as u32 + 1)).await? {
            let name = name(requests.len() as u32 + 1);
            let request: Request = serde_json::from_slice(&bytes).with_context(|| format!("the note {name}"))?;
            requests.push(request);
        }
        Ok(Self(requests))
    }

    /// The first that is not done.
    pub(crate) fn unfinished(&self, positions: &Positions) -> Option<&Request> {
        self.0.iter().find(|request| !request.is_done(positions))
    }

    /// The numbers of those that read with these versions: their records would end as they did.
    pub(crate) fn tried_with(&self, versions: &BTreeMap<String, String>) -> Vec<u32> {
        self.0.iter().filter(|request| request.versions == *versions).map(|request| request.number).collect()
    }

    /// Begins the next request: from here on it exists, and is finished before another one begins.
    ///
    /// # Errors
    /// If the store fails, or somebody began one at the same time.
    pub(crate) async fn begin(
        &self,
        warehouse: &Warehouse,
        pinned: Pinned,
        versions: BTreeMap<String, String>,
        found: Found,
    ) -> anyhow::Result<Request> {
        let request = Request { format: FORMAT, number: self.0.len() as u32 + 1, pinned, versions, found };
        let bytes = serde_json::to_vec(&request)?;
        if warehouse.remember(&name(request.number), bytes.clone().into()).await? != bytes {
            bail!("another reprocessing was begun at the same moment; run this one again");
        }
        Ok(request)
    }
}

/// The tables' current snapshots; tables that never had one are left out.
///
/// # Errors
/// If the catalog fails.
pub(crate) async fn snapshots(warehouse: &Warehouse) -> anyhow::Result<BTreeMap<Destination, i64>> {
    let mut snapshots = BTreeMap::new();
    for table in warehouse.find_destinations().await?.into_iter().filter(|table| holds_records(*table)) {
        let loaded = warehouse.load_table(table).await?;
        snapshots.extend(loaded.metadata().current_snapshot_id().map(|id| (table, id)));
    }
    Ok(snapshots)
}

/// True for tables whose rows are records of sources.
pub(crate) fn holds_records(table: Destination) -> bool {
    table.table() == Table::DeadLetter || Table::EVENTS.contains(&table.table())
}
