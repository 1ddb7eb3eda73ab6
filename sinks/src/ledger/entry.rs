//! What a ledger entry says. Entries are redo records: everything a table, a topic or a merge needs to take the range in.

use std::collections::BTreeMap;

use dataflow::{PartitionId, Reason, Watermark};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::codec::{hex, pairs};
use crate::{Destination, Error, Result};

/// A range `[start, next)` of a partition, taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// The partition.
    pub partition: PartitionId,
    /// First offset.
    pub start: i64,
    /// The offset to read next, above `start`; the key of the following entry.
    pub next: i64,
    /// Who wrote it, for people.
    pub writer: String,
    /// How often the writer took the partition over, for people.
    pub generation: u64,
    /// Unique to the attempt that made the entry: tells a lost response from another writer.
    pub attempt: Uuid,
    /// Versions of rules, enrichment and configuration that shaped the rows.
    pub versions: BTreeMap<String, String>,
    /// Data files by table; tables without rows are left out.
    pub tables: BTreeMap<Destination, TableFiles>,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Records of the range.
    pub records: u64,
    /// Records of the range that were left out on purpose.
    pub filtered: u64,
    /// Offsets of the range that the source had deleted before they were read, as somebody accepted; all of it, or none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// The partition's watermark after the range, microseconds UTC.
    pub watermark: Option<i64>,
    /// Earliest receive time of the range, microseconds UTC.
    pub received_min: Option<i64>,
    /// Latest receive time of the range, microseconds UTC.
    pub received_max: Option<i64>,
    /// The deltas of the range for the merge groups.
    pub exchange: Option<ObjectRef>,
    /// Ids of alerts that leave once the entry exists.
    pub outbox: Vec<String>,
}

/// Step `step` of a merge group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergeEntry {
    /// The group.
    pub group: u32,
    /// The step, from 0.
    pub step: i64,
    /// When it was decided, microseconds UTC; for latency, never for a decision.
    pub at: i64,
    /// Who wrote it, for people.
    pub writer: String,
    /// Unique to the attempt that made the entry.
    pub attempt: Uuid,
    /// Versions of the rules whose windows were merged.
    pub versions: BTreeMap<String, String>,
    /// Next offset merged, of every partition of the rules' topics.
    #[serde(with = "pairs")]
    pub vector: BTreeMap<PartitionId, i64>,
    /// Each partition's watermark.
    #[serde(with = "pairs")]
    pub partition_watermarks: BTreeMap<PartitionId, Watermark>,
    /// The combined watermark.
    pub watermark: Option<i64>,
    /// Everything that was received before it is merged, microseconds UTC; none if a partition's end is not known.
    pub received_until: Option<i64>,
    /// Windows the step closed.
    pub windows_closed: u64,
    /// Alert and late-window files by table.
    pub tables: BTreeMap<Destination, TableFiles>,
    /// Ids of alerts that leave once the entry exists.
    pub outbox: Vec<String>,
    /// The merge state after the step, when it was due.
    pub state: Option<ObjectRef>,
}

/// Files of one table in one entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableFiles {
    /// The files.
    pub files: Vec<StagedFile>,
    /// Rows over all files.
    pub rows: u64,
}

impl FromIterator<StagedFile> for TableFiles {
    fn from_iter<I: IntoIterator<Item = StagedFile>>(files: I) -> Self {
        let files: Vec<StagedFile> = files.into_iter().collect();
        let rows = files.iter().map(|f| f.rows).sum();
        Self { files, rows }
    }
}

/// A durable Parquet file that no table shows yet, with all that its table's manifest will say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Where readers find it: an absolute path or a URI. An entry's object names it from the root of the store, so that a
    /// warehouse can be copied.
    pub location: String,
    /// Its partition: hours, days or months since 1970, as the partition spec says.
    #[serde(alias = "day")]
    pub slot: i32,
    /// Rows.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Earliest `time`, microseconds UTC.
    pub time_min: i64,
    /// Latest `time`, microseconds UTC.
    pub time_max: i64,
    /// The table's schema when it was encoded.
    pub schema_id: i32,
    /// The table's partition spec when it was encoded.
    pub spec_id: i32,
    /// The table's sort order that its rows are in, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_order_id: Option<i32>,
    /// Where row groups begin.
    pub split_offsets: Vec<i64>,
    /// What the footer says of each column.
    pub columns: Vec<ColumnMetrics>,
}

/// What a manifest says of a column of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnMetrics {
    /// Iceberg's field id.
    pub id: i32,
    /// Compressed bytes.
    pub bytes: u64,
    /// Values, nulls included; None within lists.
    pub values: Option<u64>,
    /// Nulls; None within lists.
    pub nulls: Option<u64>,
    /// At or below every value, in Iceberg's single-value serialization.
    #[serde(with = "hex", default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Vec<u8>>,
    /// At or above every value.
    #[serde(with = "hex", default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<Vec<u8>>,
}

/// An object that an entry names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its path in the store.
    pub path: String,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// Its size.
    pub bytes: u64,
}

/// An entry as the ledger keeps it.
pub(crate) trait Entry: Clone + Serialize + DeserializeOwned {
    /// The files it names, by table.
    fn tables(&mut self) -> &mut BTreeMap<Destination, TableFiles>;

    /// Says of each file where it is in another way.
    fn relocate(&mut self, to: impl Fn(&str) -> String) {
        for file in self.tables().values_mut().flat_map(|table| &mut table.files) {
            file.location = to(&file.location);
        }
    }
}

impl Entry for SourceEntry {
    fn tables(&mut self) -> &mut BTreeMap<Destination, TableFiles> {
        &mut self.tables
    }
}

impl Entry for MergeEntry {
    fn tables(&mut self) -> &mut BTreeMap<Destination, TableFiles> {
        &mut self.tables
    }
}

impl SourceEntry {
    /// An entry without rows, for the caller to fill.
    pub fn empty(partition: PartitionId, start: i64, next: i64, writer: &str, attempt: Uuid) -> Self {
        Self {
            partition,
            start,
            next,
            writer: writer.to_owned(),
            generation: 0,
            attempt,
            versions: BTreeMap::new(),
            tables: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            records: 0,
            filtered: 0,
            lost: 0,
            watermark: None,
            received_min: None,
            received_max: None,
            exchange: None,
            outbox: Vec::new(),
        }
    }

    /// The entry of a range that the source had deleted before it was read.
    pub fn of_loss(partition: PartitionId, start: i64, next: i64, writer: &str, attempt: Uuid) -> Self {
        let lost = u64::try_from(next.saturating_sub(start)).unwrap_or(0);
        Self { lost, ..Self::empty(partition, start, next, writer, attempt) }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let PartitionId { topic, incarnation, partition } = &self.partition;
        let fail = |what: String| Err(Error::InvalidEntry(what));
        if self.start < 0 || self.next <= self.start {
            return fail(format!("{}: [{}, {}) is no range", self.partition, self.start, self.next));
        }
        if *partition < 0 || topic.is_empty() || [topic, incarnation].iter().any(|n| n.contains(['/', '\0'])) {
            return fail(format!("{}: not a partition that can stand in a path", self.partition));
        }
        let length = u64::try_from(self.next - self.start).unwrap_or(0);
        if self.lost > 0 && (self.lost != length || self.records > 0 || !self.tables.is_empty()) {
            return fail(format!(
                "{}: {} of {length} offsets are lost, but it holds records",
                self.partition, self.lost
            ));
        }
        check_rows(&self.tables)
    }
}

impl MergeEntry {
    /// A step that closed nothing, for the caller to fill.
    pub fn empty(group: u32, step: i64, at: i64, writer: &str, attempt: Uuid) -> Self {
        Self {
            group,
            step,
            at,
            writer: writer.to_owned(),
            attempt,
            versions: BTreeMap::new(),
            vector: BTreeMap::new(),
            partition_watermarks: BTreeMap::new(),
            watermark: None,
            received_until: None,
            windows_closed: 0,
            tables: BTreeMap::new(),
            outbox: Vec::new(),
            state: None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.step < 0 {
            return Err(Error::InvalidEntry(format!("merge group {}: step {} is below 0", self.group, self.step)));
        }
        check_rows(&self.tables)
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn check_rows(tables: &BTreeMap<Destination, TableFiles>) -> Result<()> {
    for (table, files) in tables {
        let sum: u64 = files.files.iter().map(|f| f.rows).sum();
        if sum != files.rows {
            return Err(Error::InvalidEntry(format!("{table}: {} rows, but its files hold {sum}", files.rows)));
        }
    }
    Ok(())
}
