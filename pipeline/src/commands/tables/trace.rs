//! `palisade tables trace`: from an alert to the rows behind it, and from a row to the ledger entry, the files and the snapshots that
//! brought it.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, bail};
use dataflow::{PartitionId, RowId};
use serde::Serialize;
use serde_json::Value;
use sinks::commit::RANGES_PROPERTY;
use sinks::{Destination, TableFiles, Warehouse};
use uuid::Uuid;

use super::print;
use crate::cli::Output;
use crate::listing::Listing;
use crate::warehouse_sql;

/// The topic of rows that merge steps make.
const MERGE: &str = "_merge";
/// How the topic begins of an alert that a single event gave: then come the rule, and the event's topic.
const RULE: &str = "_rule/";

/// A row, and how it came.
#[derive(Debug, Serialize)]
struct Line {
    /// `alert`, `evidence` or `row`.
    what: &'static str,
    /// Of an alert its id and revision, otherwise the row's.
    id: String,
    /// None if the entry is collected, or there was none.
    entry: Option<EntryLine>,
}

/// The ledger entry that holds the row.
#[derive(Debug, Serialize)]
struct EntryLine {
    /// The partition or the merge group.
    chain: String,
    /// From the first offset, or step, to the one after the last.
    range: (i64, i64),
    /// The id of the attempt that wrote it: names of its files hold it.
    attempt: Uuid,
    writer: String,
    /// When the first record of the range was received, or the step was decided.
    time: String,
    versions: BTreeMap<String, String>,
    files: Vec<String>,
    /// The snapshot that took the entry in, by table; tables whose snapshot is expired are left out.
    snapshots: BTreeMap<String, i64>,
}

/// Prints where the alert, or the row, comes from.
///
/// # Errors
/// If there is no such alert, or the id is none.
pub(super) async fn run(warehouse: &Warehouse, id: &str, output: Output) -> anyhow::Result<()> {
    let lines = match row_id(id) {
        Some(row) => vec![line(warehouse, "row", id.to_owned(), &row).await?],
        None => alert(warehouse, id).await?,
    };
    print(&lines, output, |out, terminal| text(&lines, out, terminal))
}

/// `topic@incarnation/partition/offset`, and a record within it.
fn row_id(text: &str) -> Option<RowId> {
    let (rest, last) = text.rsplit_once('/')?;
    let last: i64 = last.parse().ok()?;
    if let Some((partition, offset)) = rest.rsplit_once('/')
        && let (Some(partition), Ok(offset)) = (PartitionId::parse(partition), offset.parse())
    {
        return Some(RowId { partition, offset, record: i32::try_from(last).ok()? });
    }
    Some(RowId { partition: PartitionId::parse(rest)?, offset: last, record: 0 })
}

/// Each revision of an alert, or the one that is named, and the rows that it names.
async fn alert(warehouse: &Warehouse, id: &str) -> anyhow::Result<Vec<Line>> {
    let session = warehouse_sql::session(warehouse).await?;
    let quoted = id.replace('\'', "''");
    let query = format!(
        "SELECT metadata.uid AS revision, _topic, _incarnation, _partition_id, _offset, _record, evidences FROM detection_finding \
         WHERE finding_info.uid = '{quoted}' OR metadata.uid = '{quoted}' ORDER BY _revision"
    );
    let batches = warehouse_sql::query(&session, &query).await?;
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let found: Vec<Value> = serde_json::from_slice(&writer.into_inner()).unwrap_or_default();
    if found.is_empty() {
        bail!(
            "`{id}` is no alert in detection_finding (finding_info.uid), and no row's id (topic@incarnation/partition/offset); an alert \
             may be on its way there"
        );
    }
    let mut lines = Vec::new();
    for row in &found {
        let revision = row["revision"].as_str().unwrap_or(id);
        let own = own_id(row).with_context(|| format!("alert {revision}: its row has no identity"))?;
        lines.push(line(warehouse, "alert", revision.to_owned(), &own).await?);
        for evidence in row["evidences"].as_array().into_iter().flatten() {
            let Some(uid) = evidence["uid"].as_str() else { continue };
            if let Some(row) = row_id(uid) {
                lines.push(line(warehouse, "evidence", uid.to_owned(), &row).await?);
            }
        }
    }
    Ok(lines)
}

fn own_id(row: &Value) -> Option<RowId> {
    let number = |name: &str| row[name].as_i64();
    let partition = i32::try_from(number("_partition_id")?).ok()?;
    let partition = PartitionId::new(row["_topic"].as_str()?, row["_incarnation"].as_str()?, partition);
    Some(RowId { partition, offset: number("_offset")?, record: i32::try_from(number("_record")?).ok()? })
}

async fn line(warehouse: &Warehouse, what: &'static str, id: String, row: &RowId) -> anyhow::Result<Line> {
    let PartitionId { topic, incarnation, partition } = &row.partition;
    let of_event = topic.strip_prefix(RULE).and_then(|rest| rest.split_once('/'));
    let entry = match (&**topic, of_event) {
        (MERGE, _) => step(warehouse, u32::try_from(*partition)?, row.offset).await?,
        (_, Some((_, topic))) => {
            range(warehouse, &PartitionId::new(topic, incarnation.clone(), *partition), row.offset).await?
        }
        _ => range(warehouse, &row.partition, row.offset).await?,
    };
    Ok(Line { what, id, entry })
}

/// The entry whose range holds the offset.
async fn range(warehouse: &Warehouse, partition: &PartitionId, offset: i64) -> anyhow::Result<Option<EntryLine>> {
    let starts = warehouse.ledger().starts(partition).await?;
    let Some(start) = starts.into_iter().rfind(|start| *start <= offset) else { return Ok(None) };
    let Some(entry) = warehouse.ledger().get_source(partition, start).await?.filter(|e| offset < e.next) else {
        return Ok(None);
    };
    let chain = partition.path();
    Ok(Some(EntryLine {
        snapshots: snapshots(warehouse, &chain, start, &entry.tables).await?,
        range: (start, entry.next),
        attempt: entry.attempt,
        writer: entry.writer,
        time: entry.received_min.map_or_else(String::new, dataflow::time::rfc3339),
        versions: entry.versions,
        files: files(&entry.tables),
        chain,
    }))
}

/// The entry of a step.
async fn step(warehouse: &Warehouse, group: u32, step: i64) -> anyhow::Result<Option<EntryLine>> {
    let Some(entry) = warehouse.ledger().get_merge(group, step).await? else { return Ok(None) };
    let chain = format!("{MERGE}/{group}");
    Ok(Some(EntryLine {
        snapshots: snapshots(warehouse, &chain, step, &entry.tables).await?,
        range: (step, step + 1),
        attempt: entry.attempt,
        writer: entry.writer,
        time: dataflow::time::rfc3339(entry.at),
        versions: entry.versions,
        files: files(&entry.tables),
        chain,
    }))
}

fn files(tables: &BTreeMap<Destination, TableFiles>) -> Vec<String> {
    tables.values().flat_map(|table| &table.files).map(|file| file.location.clone()).collect()
}

/// The snapshots that took in what begins at `start` of a chain.
async fn snapshots(
    warehouse: &Warehouse,
    chain: &str,
    start: i64,
    tables: &BTreeMap<Destination, TableFiles>,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut found = BTreeMap::new();
    for table in tables.keys() {
        let loaded = warehouse.load_table(*table).await?;
        let took_in = |snapshot: &&iceberg::spec::SnapshotRef| {
            let ranges = snapshot.summary().additional_properties.get(RANGES_PROPERTY);
            let ranges = ranges.and_then(|text| serde_json::from_str::<Vec<(String, i64, i64)>>(text).ok());
            ranges.into_iter().flatten().any(|(name, from, to)| name == chain && from <= start && start < to)
        };
        if let Some(snapshot) = loaded.metadata().snapshots().find(took_in) {
            found.insert(table.to_string(), snapshot.snapshot_id());
        }
    }
    Ok(found)
}

fn text(lines: &[Line], out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let header = ["what", "id", "entry", "attempt", "writer", "time", "snapshots"];
    let mut listing = Listing::new(&header, &[]);
    for Line { what, id, entry } in lines {
        let mut row = vec![(*what).to_owned(), id.clone()];
        match entry {
            None => row.extend(["collected"].into_iter().chain([""; 4]).map(str::to_owned)),
            Some(e) => {
                let snapshots: Vec<String> = e.snapshots.iter().map(|(table, id)| format!("{table} {id}")).collect();
                let range = format!("{} [{}, {})", e.chain, e.range.0, e.range.1);
                row.extend([range, e.attempt.to_string(), e.writer.clone(), e.time.clone(), snapshots.join(", ")]);
            }
        }
        listing.push(row);
    }
    listing.write(out, terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_with_or_without_its_record() {
        let row = |record| RowId { partition: PartitionId::new("fw", "7780-a", 3), offset: 2883, record };
        assert_eq!(row_id("fw@7780-a/3/2883/1"), Some(row(1)));
        assert_eq!(row_id("fw@7780-a/3/2883"), Some(row(0)));
        for none in ["ae2d91ac-f5cc-5405-a2c1-3b320e29e0a0", "ae2d91ac-f5cc-5405-a2c1-3b320e29e0a0/1", "fw/3/1", ""] {
            assert_eq!(row_id(none), None, "{none}");
        }
    }
}
