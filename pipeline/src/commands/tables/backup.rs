//! `palisade tables backup`: a checkpoint, and a copy of what belongs to the warehouse.

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use sinks::Warehouse;
use sinks::backup::Backup;

use super::print;
use crate::cli::{BackupArgs, Output};
use crate::clock;
use crate::config::Config;
use crate::summary::grouped;

/// What was done.
#[derive(Debug, Serialize)]
struct Outcome {
    /// The root of the copy; none if a checkpoint was all that was asked for.
    to: Option<String>,
    tables: u64,
    objects: u64,
    copied: u64,
    bytes: u64,
}

/// Backs up.
///
/// # Errors
/// If a store or the catalog fails, or `--to` names the same warehouse, or one of another region.
pub(super) async fn run(warehouse: &Warehouse, args: &BackupArgs) -> anyhow::Result<()> {
    let mut target = None;
    if let Some(file) = &args.to {
        let to = Config::load(file)?.warehouse;
        let from = warehouse.config();
        // The same bucket's name at another service is another bucket.
        if (&to.root, &to.store.endpoint) == (&from.root, &from.store.endpoint) {
            bail!("--to {}: its warehouse is this one: {}", file.display(), to.root);
        }
        if to.region != from.region {
            let (ours, theirs) = (&from.region, &to.region);
            bail!(
                "--to {}: region: it is {theirs}, the warehouse's is {ours}; paths and positions name it",
                file.display()
            );
        }
        let root = to.root.to_string();
        let store = to.open_store().await.with_context(|| format!("warehouse {root}"))?;
        target = Some((root, store));
    }
    let is_shown = std::io::stderr().is_terminal() && args.at.output == Output::Text;
    let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let progress = |copied: u64, all: u64| {
        bar.set_length(all);
        bar.set_position(copied);
    };
    let (to, store) = target.unzip();
    let Backup { objects, copied, bytes, tables } = warehouse.back_up(store, clock::now_us(), &progress).await?;
    bar.finish_and_clear();
    let outcome = Outcome { to, tables, objects, copied, bytes };
    print(&outcome, args.at.output, |out, terminal| outcome.write_text(out, terminal))
}

impl Outcome {
    fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let number = |n: u64| if terminal { grouped(n) } else { n.to_string() };
        let tables = number(self.tables);
        match &self.to {
            None => writeln!(out, "checkpoint of {tables} tables"),
            Some(to) => {
                let (objects, copied, bytes) = (number(self.objects), number(self.copied), number(self.bytes));
                writeln!(
                    out,
                    "checkpoint of {tables} tables in {to}: {copied} of {objects} objects were new, {bytes} bytes"
                )
            }
        }
    }
}
