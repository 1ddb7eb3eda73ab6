//! `palisade tables restore`: a copy becomes a warehouse.

use std::io::Write;

use serde::Serialize;
use sinks::backup::{Restored, restore};

use super::{at, heading, print};
use crate::cli::AtWarehouse;
use crate::listing::Listing;

/// What the warehouse holds now.
#[derive(Debug, Serialize)]
struct Outcome {
    /// When the checkpoint was made.
    checkpoint: String,
    tables: u64,
    files: u64,
    /// Entries that wait for the tables.
    waiting: u64,
    /// Entries that were not whole, and those after them.
    cut: u64,
    resume: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    partition: String,
    next: i64,
}

/// Restores.
///
/// # Errors
/// As [`restore`].
pub(super) async fn run(args: &AtWarehouse) -> anyhow::Result<()> {
    let Restored { at: made, tables, files, resume, waiting, cut } = restore(args.at.config()?).await?;
    let resume = resume.into_iter().map(|(partition, next)| Line { partition: partition.path(), next }).collect();
    let outcome = Outcome { checkpoint: at(made / 1000), tables, files, waiting, cut, resume };
    print(&outcome, args.output, |out, terminal| outcome.write_text(out, terminal))
}

impl Outcome {
    fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let Self { checkpoint, tables, files, waiting, cut, resume } = self;
        writeln!(out, "{tables} tables of {files} files, as of {checkpoint}")?;
        writeln!(
            out,
            "{waiting} ledger entries above them are whole, {cut} were not and are gone: their ranges are read again"
        )?;
        let mut listing = Listing::new(&["partition", "goes on at"], &[1]);
        resume.iter().for_each(|line| listing.push(vec![line.partition.clone(), line.next.to_string()]));
        heading(out, terminal, "Sources")?;
        listing.write(out, terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_lines() {
        let resume = vec![Line { partition: "fw@1/0".to_owned(), next: 70 }];
        let outcome = Outcome { checkpoint: at(0), tables: 2, files: 9, waiting: 1, cut: 3, resume };
        let mut text = Vec::new();
        outcome.write_text(&mut text, false).expect("a buffer takes all");
        let want = "2 tables of 9 files, as of 1970-01-01T00:00:00Z\n\
                    1 ledger entries above them are whole, 3 were not and are gone: their ranges are read again\n\
                    partition\tgoes on at\nfw@1/0\t70\n";
        assert_eq!(String::from_utf8(text).expect("text"), want);
    }
}
