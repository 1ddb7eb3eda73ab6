//! `palisade tables`: what the warehouse holds, and whether it is as it should be.

mod audit;
mod backup;
mod describe;
mod expire;
mod list;
mod orphans;
mod receivers;
mod reprocess;
mod restore;
mod snapshots;
mod trace;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;
use sinks::Destination;

use crate::cli::{Output, TablesAction, TablesArgs};
use crate::listing::Listing;

pub(crate) use list::{Line as TableLine, lines as table_lines};
pub(crate) use snapshots::{Line as SnapshotLine, lines as snapshot_lines};

/// Runs the command.
///
/// # Errors
/// If the warehouse cannot be opened or read. An invariant that does not hold is an exit code, not an error.
pub(crate) async fn run(args: &TablesArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        TablesAction::List(at) => list::run(&at.open().await?, at.output).await?,
        TablesAction::Describe(of) => {
            let warehouse = of.at.open().await?;
            describe::run(&warehouse, named(&of.table, &warehouse.destinations())?, of.at.output).await?;
        }
        TablesAction::Snapshots(of) => {
            let warehouse = of.at.open().await?;
            snapshots::run(&warehouse, named(&of.table, &warehouse.destinations())?, of.at.output).await?;
        }
        TablesAction::Trace(args) => trace::run(&args.at.open().await?, &args.id, args.at.output).await?,
        TablesAction::Audit(audit) => {
            let warehouse = audit.at.open().await?;
            return audit::run(&warehouse, audit).await;
        }
        TablesAction::Receivers(args) => {
            receivers::run(&args.at.open().await?, args).await?;
        }
        TablesAction::Reprocess(args) => return Box::pin(reprocess::run(args)).await,
        TablesAction::Expire(args) => {
            return expire::run(&args.at.open().await?, args).await;
        }
        TablesAction::Orphans(args) => orphans::run(&args.at.open().await?, args).await?,
        TablesAction::Backup(args) => backup::run(&args.at.open().await?, args).await?,
        TablesAction::Restore(at) => restore::run(at).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The table of that name among those that there are.
pub(crate) fn named(name: &str, tables: &[Destination]) -> anyhow::Result<Destination> {
    let names: Vec<String> = tables.iter().map(Destination::to_string).collect();
    if let Some(index) = names.iter().position(|known| known == name) {
        return Ok(tables[index]);
    }
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let near = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    bail!("no table {name}; did you mean {}?", near.map_or("", String::as_str));
}

/// Prints for a person or for a machine.
fn print<T: Serialize>(
    value: &T,
    output: Output,
    text: impl FnOnce(&mut Vec<u8>, bool) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    match output {
        Output::Json => writeln!(bytes, "{}", serde_json::to_string(value)?)?,
        Output::Text => text(&mut bytes, std::io::stdout().is_terminal())?,
    }
    std::io::stdout().lock().write_all(&bytes)?;
    Ok(())
}

/// Milliseconds since 1970 as RFC 3339, to the second.
fn at(ms: i64) -> String {
    let text = dataflow::time::rfc3339(ms.saturating_mul(1000));
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

/// A heading over a listing; in a pipe it is left out, as the columns say what follows.
fn heading(out: &mut impl Write, terminal: bool, text: &str) -> std::io::Result<()> {
    if terminal { writeln!(out, "{text}") } else { Ok(()) }
}

/// Two columns: name and value.
fn pairs(rows: Vec<(String, String)>) -> Listing {
    let mut listing = Listing::new(&["name", "value"], &[]);
    rows.into_iter().for_each(|(name, value)| listing.push(vec![name, value]));
    listing
}

#[cfg(test)]
mod tests {
    use dataflow::Table;

    use super::*;

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(at(1_795_169_045_123), "2026-11-20T10:04:05Z");
    }

    #[test]
    fn an_unknown_table_is_refused_with_the_nearest() {
        let error =
            named("netwrok_activity", &Table::ALL.map(Destination::from)).expect_err("a typing error").to_string();
        assert_eq!(error, "no table netwrok_activity; did you mean network_activity?");
    }
}
