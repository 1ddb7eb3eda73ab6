//! `palisade tables expire`: collection by hand, chain by chain.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use sinks::Warehouse;
use sinks::upkeep::{Amount, ChainReport, Held, Kind, Report};

use super::print;
use crate::cli::ExpireArgs;
use crate::listing::Listing;
use crate::summary::grouped;
use crate::{setup, upkeep};

/// What was done, or would be.
#[derive(Debug, Serialize)]
struct Outcome {
    dry_run: bool,
    chains: Vec<Line>,
    /// By kind of object.
    deleted: BTreeMap<&'static str, Sum>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Sum {
    objects: u64,
    bytes: u64,
}

/// A chain.
#[derive(Debug, Default, Serialize)]
struct Line {
    chain: String,
    /// Where it began, and where it begins now.
    from: i64,
    to: i64,
    entries: u64,
    /// Exchange files or merge states, marks and old floors.
    others: u64,
    bytes: u64,
    /// Why more that is old enough is kept.
    kept: Option<String>,
    /// True if that is something that is not as it should be.
    faulty: bool,
}

/// Collects, or says what would be collected. The exit code is 1 if a chain is not as it should be.
///
/// # Errors
/// If the ledger cannot be listed, or the tables not be moved along.
pub(super) async fn run(warehouse: &Warehouse, args: &ExpireArgs) -> anyhow::Result<ExitCode> {
    let mut outcome = Outcome { dry_run: args.dry_run, chains: Vec::new(), deleted: BTreeMap::new() };
    let policy = upkeep::policy(args.older_than);
    if args.dry_run {
        outcome.add(warehouse.plan_collection(&policy).await?);
    } else {
        let writer = setup::writer_name();
        while outcome.add(warehouse.collect(&policy, &writer).await?) {}
    }
    print(&outcome, args.at.output, |out, terminal| outcome.write_text(out, terminal))?;
    let is_faulty = outcome.chains.iter().any(|line| line.faulty);
    Ok(if is_faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Outcome {
    /// Adds a turn. True if there is more.
    fn add(&mut self, report: Report) -> bool {
        for (kind, Amount { objects, bytes }) in report.deleted() {
            let sum = self.deleted.entry(kind.name()).or_default();
            (sum.objects, sum.bytes) = (sum.objects + objects, sum.bytes + bytes);
        }
        for chain in report.chains {
            let name = chain.chain.path();
            match self.chains.iter_mut().find(|line| line.chain == name) {
                Some(line) => line.add(&chain),
                None => {
                    let mut line = Line { chain: name, from: chain.from, ..Line::default() };
                    line.add(&chain);
                    self.chains.push(line);
                }
            }
        }
        report.more
    }

    fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let header = ["chain", "from", "to", "entries", "others", "bytes", "more is kept since"];
        let mut listing = Listing::new(&header, &[1, 2, 3, 4, 5]);
        let number = |n: u64| if terminal { grouped(n) } else { n.to_string() };
        for line in &self.chains {
            let kept = line.kept.clone().unwrap_or_default();
            let kept = if line.faulty { format!("FAULT: {kept}") } else { kept };
            let numbers = [number(line.entries), number(line.others), number(line.bytes)];
            let mut row = vec![line.chain.clone(), line.from.to_string(), line.to.to_string()];
            row.extend(numbers);
            row.push(kept);
            listing.push(row);
        }
        listing.write(out, terminal)?;
        if terminal {
            let objects: u64 = self.deleted.values().map(|sum| sum.objects).sum();
            let bytes: u64 = self.deleted.values().map(|sum| sum.bytes).sum();
            let what = if self.dry_run { "would be deleted; nothing was" } else { "deleted" };
            writeln!(out, "{} objects of {} bytes {what}", grouped(objects), grouped(bytes))?;
        }
        Ok(())
    }
}

impl Line {
    fn add(&mut self, chain: &ChainReport) {
        self.to = chain.to;
        for (kind, amount) in &chain.deleted {
            let sum = if *kind == Kind::Entry { &mut self.entries } else { &mut self.others };
            *sum += amount.objects;
            self.bytes += amount.bytes;
        }
        self.kept = chain.held.as_ref().map(ToString::to_string);
        self.faulty = matches!(chain.held, Some(Held::Fault(_)));
    }
}

#[cfg(test)]
mod tests {
    use sinks::AlertChain;

    use super::*;

    fn turn(from: i64, to: i64, entries: u64, held: Option<Held>) -> Report {
        let deleted = BTreeMap::from([
            (Kind::Entry, Amount { objects: entries, bytes: 10 }),
            (Kind::State, Amount { objects: 1, bytes: 5 }),
        ]);
        Report { chains: vec![ChainReport { chain: AlertChain::Group(0), from, to, deleted, held }], more: to < 9 }
    }

    #[test]
    fn turns_add_up_to_a_line_a_chain() {
        let mut outcome = Outcome { dry_run: false, chains: Vec::new(), deleted: BTreeMap::new() };
        assert!(outcome.add(turn(0, 4, 4, None)));
        assert!(!outcome.add(turn(4, 9, 5, Some(Held::Fault("a gap".to_owned())))));
        let mut text = Vec::new();
        outcome.write_text(&mut text, false).expect("a buffer takes all");
        let want =
            "chain\tfrom\tto\tentries\tothers\tbytes\tmore is kept since\n_merge/0\t0\t9\t9\t2\t30\tFAULT: a gap\n";
        assert_eq!(String::from_utf8(text).expect("text"), want);
        let json = serde_json::to_value(&outcome).expect("JSON");
        assert_eq!(json["deleted"]["entry"]["objects"], 9);
        assert_eq!((&json["chains"][0]["faulty"], &json["chains"][0]["to"]), (&true.into(), &9.into()));
    }
}
