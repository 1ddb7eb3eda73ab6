//! `palisade tables list`: every table with its size and age.

use std::io::Write;

use serde::Serialize;
use sinks::{Destination, Warehouse};

use super::{at, print};
use crate::cli::Output;
use crate::listing::Listing;
use crate::summary::grouped;

/// A table at its current snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    table: String,
    rows: u64,
    files: u64,
    bytes: u64,
    snapshots: usize,
    last_commit: Option<String>,
    schema_id: i32,
}

/// Prints a line a table.
///
/// # Errors
/// If a table cannot be loaded.
pub(super) async fn run(warehouse: &Warehouse, output: Output) -> anyhow::Result<()> {
    let lines = lines(warehouse).await?;
    print(&lines, output, |out, terminal| text(&lines, out, terminal))
}

/// Every table at its current snapshot.
///
/// # Errors
/// If a table cannot be loaded.
pub(crate) async fn lines(warehouse: &Warehouse) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for table in warehouse.find_destinations().await? {
        lines.push(line(table, &warehouse.load_table(table).await?));
    }
    Ok(lines)
}

fn line(table: Destination, loaded: &iceberg::table::Table) -> Line {
    let metadata = loaded.metadata();
    let current = metadata.current_snapshot();
    let total = |name: &str| {
        let text = current.and_then(|s| s.summary().additional_properties.get(name));
        text.and_then(|t| t.parse().ok()).unwrap_or(0)
    };
    Line {
        table: table.to_string(),
        rows: total("total-records"),
        files: total("total-data-files"),
        bytes: total("total-files-size"),
        snapshots: metadata.snapshots().len(),
        last_commit: current.map(|s| at(s.timestamp_ms())),
        schema_id: metadata.current_schema_id(),
    }
}

fn text(lines: &[Line], out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let header = ["table", "rows", "files", "bytes", "snapshots", "last commit", "schema"];
    let mut listing = Listing::new(&header, &[1, 2, 3, 4, 6]);
    let number = |n: u64| if terminal { grouped(n) } else { n.to_string() };
    for l in lines {
        let commit = l.last_commit.clone().unwrap_or_else(|| "never".to_owned());
        let (rows, files) = (number(l.rows), number(l.files));
        let (snapshots, schema) = (l.snapshots.to_string(), l.schema_id.to_string());
        listing.push(vec![l.table.clone(), rows, files, number(l.bytes), snapshots, commit, schema]);
    }
    listing.write(out, terminal)
}
