//! `palisade tables snapshots`: what each commit brought, and which ranges it took in.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use sinks::commit::{RANGES_PROPERTY, WRITER_PROPERTY};
use sinks::{Destination, Warehouse};

use super::{at, print};
use crate::cli::Output;
use crate::listing::Listing;
use crate::summary::grouped;

/// One snapshot, the oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    id: i64,
    time: String,
    operation: String,
    added_rows: u64,
    added_files: u64,
    added_bytes: u64,
    /// `palisade.ranges`: chain, first position, next position.
    ranges: Value,
    writer: Option<String>,
}

/// Prints a line a snapshot.
///
/// # Errors
/// If the table cannot be loaded.
pub(super) async fn run(warehouse: &Warehouse, table: Destination, output: Output) -> anyhow::Result<()> {
    let lines = lines(warehouse, table).await?;
    print(&lines, output, |out, terminal| text(&lines, out, terminal))
}

/// A table's snapshots, the oldest first.
///
/// # Errors
/// If the table cannot be loaded.
pub(crate) async fn lines(warehouse: &Warehouse, table: Destination) -> anyhow::Result<Vec<Line>> {
    let loaded = warehouse.load_table(table).await?;
    let mut snapshots: Vec<_> = loaded.metadata().snapshots().collect();
    snapshots.sort_by_key(|s| s.sequence_number());
    Ok(snapshots.into_iter().map(line).collect())
}

fn line(snapshot: &iceberg::spec::SnapshotRef) -> Line {
    let summary = &snapshot.summary().additional_properties;
    let number = |name: &str| summary.get(name).and_then(|t| t.parse().ok()).unwrap_or(0);
    let ranges = summary.get(RANGES_PROPERTY).and_then(|t| serde_json::from_str(t).ok());
    Line {
        id: snapshot.snapshot_id(),
        time: at(snapshot.timestamp_ms()),
        operation: snapshot.summary().operation.as_str().to_owned(),
        added_rows: number("added-records"),
        added_files: number("added-data-files"),
        added_bytes: number("added-files-size"),
        ranges: ranges.unwrap_or(Value::Null),
        writer: summary.get(WRITER_PROPERTY).cloned(),
    }
}

/// `fw@i1/0 [5, 12)`, one after the other.
fn ranges(value: &Value) -> String {
    let one = |r: &Value| {
        let (name, from, to) = (r.get(0)?.as_str()?, r.get(1)?.as_i64()?, r.get(2)?.as_i64()?);
        Some(format!("{name} [{from}, {to})"))
    };
    let all = value.as_array().into_iter().flatten();
    all.filter_map(one).collect::<Vec<_>>().join(", ")
}

fn text(lines: &[Line], out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let header = ["id", "time", "operation", "rows", "files", "bytes", "ranges", "writer"];
    let mut listing = Listing::new(&header, &[3, 4, 5]);
    let number = |n: u64| if terminal { grouped(n) } else { n.to_string() };
    for l in lines {
        let added = [number(l.added_rows), number(l.added_files), number(l.added_bytes)];
        let mut row = vec![l.id.to_string(), l.time.clone(), l.operation.clone()];
        row.extend(added);
        row.extend([ranges(&l.ranges), l.writer.clone().unwrap_or_default()]);
        listing.push(row);
    }
    listing.write(out, terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_as_intervals() {
        let value = serde_json::json!([["fw@i1/0", 5, 12], ["_merge/0", 0, 2], "odd"]);
        assert_eq!(ranges(&value), "fw@i1/0 [5, 12), _merge/0 [0, 2)");
        assert_eq!(ranges(&Value::Null), "");
    }
}
