//! `palisade tables orphans`: files that nothing names.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use sinks::Warehouse;
use sinks::upkeep::Orphan;

use super::{at, print};
use crate::cli::OrphansArgs;
use crate::clock;
use crate::listing::Listing;
use crate::summary::grouped;

/// A younger file may be on its way into an entry.
const DELETE_AGE_MIN: Duration = Duration::from_secs(3_600);

/// A file.
#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    path: String,
    bytes: u64,
    written_at: String,
}

/// All of them, and what was done.
#[derive(Debug, Serialize)]
struct Outcome {
    deleted: bool,
    bytes: u64,
    files: Vec<Line>,
}

/// Lists them, or deletes them.
///
/// # Errors
/// If anything that may name a file cannot be read, or the age is too low to delete by.
pub(super) async fn run(warehouse: &Warehouse, args: &OrphansArgs) -> anyhow::Result<()> {
    if args.delete && args.older_than < DELETE_AGE_MIN {
        bail!("--older-than: with --delete at least 1h: a worker may still name what is younger");
    }
    let age = i64::try_from(args.older_than.as_micros()).unwrap_or(i64::MAX);
    let orphans = warehouse.orphans(clock::now_us().saturating_sub(age)).await?;
    if args.delete {
        warehouse.delete_orphans(&orphans).await?;
    }
    let outcome = Outcome {
        deleted: args.delete,
        bytes: orphans.iter().map(|orphan| orphan.object.bytes).sum(),
        files: orphans.iter().map(line).collect(),
    };
    print(&outcome, args.at.output, |out, terminal| outcome.write_text(out, terminal))
}

fn line(orphan: &Orphan) -> Line {
    let Orphan { kind, object } = orphan;
    let written_at = at(object.written_at / 1000);
    Line { kind: kind.name(), path: object.path.clone(), bytes: object.bytes, written_at }
}

impl Outcome {
    fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let mut listing = Listing::new(&["kind", "written at", "bytes", "file"], &[2]);
        let number = |n: u64| if terminal { grouped(n) } else { n.to_string() };
        for file in &self.files {
            listing.push(vec![file.kind.to_owned(), file.written_at.clone(), number(file.bytes), file.path.clone()]);
        }
        listing.write(out, terminal)?;
        if terminal {
            let what = if self.deleted { "deleted" } else { "that nothing names; --delete deletes them" };
            writeln!(out, "{} files of {} bytes {what}", self.files.len(), grouped(self.bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_a_line_a_file() {
        let file = Line { kind: "data", path: "local/data/t/x.parquet".to_owned(), bytes: 7, written_at: at(0) };
        let outcome = Outcome { deleted: false, bytes: 7, files: vec![file] };
        let mut text = Vec::new();
        outcome.write_text(&mut text, false).expect("a buffer takes all");
        let want = "kind\twritten at\tbytes\tfile\ndata\t1970-01-01T00:00:00Z\t7\tlocal/data/t/x.parquet\n";
        assert_eq!(String::from_utf8(text).expect("text"), want);
    }
}
