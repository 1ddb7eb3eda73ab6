//! The ledger itself: each chain leads from its first entry to its last, each merge step follows the one before, and every
//! table stands on a position of the chain.

use super::facts::{Chain, Facts, Key};
use super::{Faults, Verdict};

/// Chains without gap or fork; positions of tables, and of merge steps, on them.
pub(super) fn check(facts: &Facts) -> Verdict {
    let mut faults = Faults::default();
    for chain in &facts.chains {
        chain.unreadable.iter().for_each(|what| faults.add(|| what.clone()));
        links(chain, &mut faults);
        first_commits(facts, chain, &mut faults);
    }
    positions(facts, &mut faults);
    vectors(facts, &mut faults);
    let entries: usize = facts.chains.iter().map(|c| c.entries.len()).sum();
    faults.verdict(format!("{entries} entries in {} chains", facts.chains.len()))
}

/// The start of each entry is the next of the one before.
fn links(chain: &Chain, faults: &mut Faults) {
    let mut at = None;
    for (start, entry) in chain.iter() {
        match at {
            Some(end) if start > end => {
                faults.add(|| format!("{}: no entry at {end}; the next one begins at {start}", chain.key))
            }
            Some(end) if start < end => {
                faults.add(|| format!("{}: the entry at {start} begins before {end}, the end of another", chain.key))
            }
            _ => {}
        }
        at = Some(entry.next());
    }
}

/// The chain begins where the tables' first commits began: entries are never collected.
fn first_commits(facts: &Facts, chain: &Chain, faults: &mut Faults) {
    let Some((first, _)) = chain.ends() else { return };
    for table in &facts.tables {
        let ranges = table.commits.iter().flat_map(|c| &c.ranges).filter(|r| r.0 == chain.key);
        if let Some(began) = ranges.map(|r| r.1).min().filter(|began| *began < first) {
            faults.add(|| format!("{}: begins at {first}, but {} took it in from {began} on", chain.key, table.table));
        }
    }
}

/// Every `palisade.next` is where an entry begins, or the chain's end.
fn positions(facts: &Facts, faults: &mut Faults) {
    for table in &facts.tables {
        for (key, next) in &table.nexts {
            if !is_on_chain(facts.chain(key), *next) {
                faults.add(|| {
                    format!("{}: palisade.next of {key} is {next}, which is no position of the ledger", table.table)
                });
            }
        }
    }
}

/// What merge steps say they merged are positions as well.
fn vectors(facts: &Facts, faults: &mut Faults) {
    for (key, step, entry) in facts.entries() {
        for (partition, next) in entry.merge().iter().flat_map(|m| &m.vector) {
            if *next > 0 && !is_on_chain(facts.chain(&Key::Source(partition.clone())), *next) {
                faults.add(|| {
                    format!("{key}: step {step} merged {partition} up to {next}, which is no position of the ledger")
                });
            }
        }
    }
}

fn is_on_chain(chain: Option<&Chain>, position: i64) -> bool {
    chain.is_some_and(|c| c.entries.contains_key(&position) || c.ends().is_some_and(|(_, end)| end == position))
}
