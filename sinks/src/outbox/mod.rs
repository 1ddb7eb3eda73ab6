//! Alerts that leave: read back from what the ledger names, sent to a topic, and noted as sent.
//!
//! ```text
//! chain of entries: |--- sent, and noted ---|--- sent when the process died ---|--- waiting ---|
//!                                           ^ note                                             ^ head
//! ```
//!
//! Nothing waits in memory: whoever takes a chain up begins at its newest note, sends what it finds and notes how far it
//! came. So each alert of a durable entry leaves at least once, whichever process put the entry there and whichever died;
//! an alert's id is its key, the same each time.
//!
//! A note is a create-once object, `outbox/<chain>/<20 digits>.sent`: all alerts of the entries that begin below it were
//! acknowledged by the brokers. The first is written when a chain is taken up: from then on no alert of it is collected
//! before it has left.

mod topic;

use std::collections::{BTreeMap, HashSet};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use bytes::Bytes;
use dataflow::json::JsonRows;
use dataflow::{PartitionId, Table};

use crate::ledger::paths::merge_path;
use crate::ledger::{StagedFile, TableFiles};
use crate::warehouse::Warehouse;
use crate::{Error, Result};

pub use topic::AlertTopic;

/// A sequence of entries that may hold alerts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertChain {
    /// A partition: alerts of filter rules.
    Partition(PartitionId),
    /// A merge group: alerts of windows.
    Group(u32),
}

/// An alert as it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingAlert {
    /// `finding_info.uid`: the same for every revision, and for every sending.
    pub id: String,
    /// The OCSF Detection Finding as JSON.
    pub json: String,
}

/// Entries read at a time; a note is written after each such stretch.
const STRETCH: usize = 256;

/// Sends the alerts of chains. One process may hold several; two processes that hold the same chain send its alerts twice.
#[derive(Debug)]
pub struct Outbox {
    warehouse: Warehouse,
    topic: AlertTopic,
    sent: BTreeMap<AlertChain, i64>,
}

impl Outbox {
    /// An outbox that has looked at no chain.
    pub fn new(warehouse: Warehouse, topic: AlertTopic) -> Self {
        Self { warehouse, topic, sent: BTreeMap::new() }
    }

    /// Sends every alert of the chain's entries that is not noted as sent. Returns how many were sent.
    ///
    /// # Errors
    /// If the ledger cannot be read or the brokers do not take an alert; what was not noted is sent again by the next call.
    pub async fn drain(&mut self, chain: &AlertChain) -> Result<usize> {
        let Some(mut at) = self.position(chain).await? else { return Ok(0) };
        let (mut total, ledger) = (0, self.warehouse.ledger().clone());
        loop {
            let (next, parcels, entries) = self.stretch(chain, at).await?;
            let mut alerts = Vec::new();
            for parcel in &parcels {
                alerts.extend(self.open(parcel).await?);
            }
            self.topic.send(&alerts).await?;
            if !alerts.is_empty() || entries == STRETCH {
                self.note(chain, next).await?;
            }
            total += alerts.len();
            self.sent.insert(chain.clone(), next);
            at = next;
            if entries < STRETCH {
                // Entries without alerts are collected whoever has looked at them: go on above them.
                match ledger.floor_at(&chain.path()).await?.filter(|floor| *floor > at) {
                    Some(floor) => at = floor,
                    None => return Ok(total),
                }
            }
        }
    }

    /// Forgets a chain that another process sends now.
    pub fn release(&mut self, chain: &AlertChain) {
        self.sent.remove(chain);
    }

    /// Where the chain is to be taken up; none if it has no entry.
    async fn position(&self, chain: &AlertChain) -> Result<Option<i64>> {
        if let Some(at) = self.sent.get(chain) {
            return Ok(Some(*at));
        }
        let ledger = self.warehouse.ledger();
        let notes = ledger.store().list(&ledger.paths().outbox(&chain.path())).await?;
        let newest = notes.iter().rev().find_map(|name| name.strip_suffix(".sent")?.parse().ok());
        if newest.is_some() {
            return Ok(newest);
        }
        let first = match chain {
            AlertChain::Partition(partition) => ledger.first(partition).await?,
            AlertChain::Group(group) => ledger.first_merge(*group).await?,
        };
        if let Some(first) = first {
            self.note(chain, first).await?;
        }
        Ok(first)
    }

    /// Notes that all alerts of the entries below a position have left.
    async fn note(&self, chain: &AlertChain, below: i64) -> Result<()> {
        let ledger = self.warehouse.ledger();
        ledger.store().create(&ledger.paths().sent(&chain.path(), below), Bytes::from_static(b"{}")).await?;
        Ok(())
    }

    /// The entries from `at` on: where the stretch ends, what those with alerts hold, and how many entries there are.
    async fn stretch(&self, chain: &AlertChain, at: i64) -> Result<(i64, Vec<Parcel>, usize)> {
        let ledger = self.warehouse.ledger();
        let (next, parcels): (i64, Vec<Parcel>) = match chain {
            AlertChain::Partition(partition) => {
                let entries = ledger.walk(partition, at, STRETCH).await?;
                let next = entries.last().map_or(at, |e| e.next);
                (next, entries.into_iter().map(|e| Parcel::new(e.outbox, e.tables)).collect())
            }
            AlertChain::Group(group) => {
                let entries = ledger.walk_merge(*group, at, STRETCH).await?;
                let next = at + entries.len() as i64;
                (next, entries.into_iter().map(|e| Parcel::new(e.outbox, e.tables)).collect())
            }
        };
        let entries = parcels.len();
        Ok((next, parcels.into_iter().filter(|p| !p.ids.is_empty()).collect(), entries))
    }

    /// The alerts in an entry's files. Vendors' own findings may stand beside them.
    async fn open(&self, parcel: &Parcel) -> Result<Vec<OutgoingAlert>> {
        let mut alerts = Vec::new();
        for file in &parcel.files {
            let found = read_alerts(&self.warehouse, file).await?;
            alerts.extend(found.into_iter().filter(|alert| parcel.ids.contains(&alert.id)));
        }
        Ok(alerts)
    }
}

/// What an entry has to send: the ids of its alerts, and the files that they are in.
#[derive(Debug)]
struct Parcel {
    ids: HashSet<String>,
    files: Vec<StagedFile>,
}

impl Parcel {
    fn new(outbox: Vec<String>, mut tables: BTreeMap<Table, TableFiles>) -> Self {
        let files = tables.remove(&Table::DetectionFinding).map(|files| files.files).unwrap_or_default();
        Self { ids: outbox.into_iter().collect(), files }
    }
}

impl AlertChain {
    /// The chain in object paths: `topic@incarnation/partition` or `_merge/<group>`.
    pub fn path(&self) -> String {
        match self {
            AlertChain::Partition(partition) => partition.path(),
            AlertChain::Group(group) => merge_path(*group),
        }
    }
}

/// The alerts in a file, in order.
async fn read_alerts(warehouse: &Warehouse, file: &StagedFile) -> Result<Vec<OutgoingAlert>> {
    let table = warehouse.load_table(Table::DetectionFinding).await?;
    let read = async { table.file_io().new_input(&file.location)?.read().await };
    let bytes = read.await.map_err(|e| Error::catalog(format!("read {}", file.location), e))?;
    let mut alerts = Vec::new();
    for batch in decode(bytes).map_err(|e| Error::damaged(&file.location, e))? {
        alerts.extend(render(&batch));
    }
    Ok(alerts)
}

/// The file's rows in our own schema: Parquet keeps keywords as plain text.
fn decode(bytes: Bytes) -> std::result::Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    let schema = Table::DetectionFinding.schema();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    reader
        .map(|batch| {
            let batch = batch?;
            let columns = schema.fields().iter().zip(batch.columns()).map(|(f, c)| cast(c, f.data_type()));
            RecordBatch::try_new(schema.clone(), columns.collect::<std::result::Result<_, _>>()?)
        })
        .collect()
}

fn render(batch: &RecordBatch) -> Vec<OutgoingAlert> {
    let json = JsonRows::new(Table::DetectionFinding, batch);
    let ids = batch.column_by_name("finding_info").and_then(|c| c.as_struct_opt()?.column_by_name("uid").cloned());
    let id = |row: usize| match ids.as_ref().and_then(|ids| ids.as_string_opt::<i32>()) {
        Some(ids) if ids.is_valid(row) => ids.value(row).to_owned(),
        _ => String::new(),
    };
    let alert = |row| {
        let mut text = String::new();
        json.write(row, &mut text);
        OutgoingAlert { id: id(row), json: text }
    };
    (0..batch.num_rows()).map(alert).collect()
}

#[cfg(test)]
mod tests;
