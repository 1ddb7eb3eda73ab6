//! The ledger itself: each chain leads from its first entry to its last, each merge step follows the one before, and every
//! table stands on a position of the chain. Where older entries are collected, the chain begins at its floor, and all that a start
//! would need is above it.

use sinks::{Destination, MERGE_TABLES};

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
    restarts(facts, &mut faults);
    let entries: usize = facts.chains.iter().map(|c| c.entries.len()).sum();
    faults.verdict(format!("{entries} entries in {} chains{}", facts.chains.len(), checked_from(facts)))
}

/// Floors that are told.
const TOLD: usize = 3;

/// From where on the chains were checked, if older entries are collected.
fn checked_from(facts: &Facts) -> String {
    let floors: Vec<_> = facts.floors().collect();
    if floors.is_empty() {
        return String::new();
    }
    let collected: u64 = floors.iter().map(|(_, floor)| floor.collected.entries).sum();
    let told: Vec<String> =
        floors.iter().take(TOLD).map(|(key, floor)| format!("{key} from {} on", floor.position)).collect();
    let more = floors.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; {collected} older ones are collected: checked {}{more}", told.join(", "))
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

/// The chain begins at its floor, which every table has passed; without one, where the tables' first commits began.
fn first_commits(facts: &Facts, chain: &Chain, faults: &mut Faults) {
    let first = chain.ends().map(|(first, _)| first);
    if let Some(floor) = &chain.floor {
        if first != Some(floor.position) {
            faults.add(|| format!("{}: its floor is {}, but no entry begins there", chain.key, floor.position));
        }
        let takes = |table: Destination| matches!(chain.key, Key::Source(_)) || MERGE_TABLES.contains(&table.table());
        for table in facts.tables.iter().filter(|t| takes(t.table) && !t.nexts.contains_key(&chain.key)) {
            faults.add(|| {
                format!("{}: collected below {}, and {} took none of it in", chain.key, floor.position, table.table)
            });
        }
        return;
    }
    let Some(first) = first else { return };
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

/// What merge steps say they merged are positions as well, or below a floor.
fn vectors(facts: &Facts, faults: &mut Faults) {
    for (key, step, entry) in facts.entries() {
        for (partition, next) in entry.merge().iter().flat_map(|m| &m.vector) {
            let chain = facts.chain(&Key::Source(partition.clone()));
            let floor = chain.and_then(|chain| chain.floor.as_ref()).map_or(0, |floor| floor.position);
            if *next > floor && !is_on_chain(chain, *next) {
                faults.add(|| {
                    format!("{key}: step {step} merged {partition} up to {next}, which is no position of the ledger")
                });
            }
        }
    }
}

/// Whoever takes a merge group up finds a state, and every range that the state has not merged.
fn restarts(facts: &Facts, faults: &mut Faults) {
    let floors: Vec<_> = facts.floors().filter(|(key, _)| !key.is_reprocessed()).collect();
    for group in facts.chains.iter().filter(|chain| matches!(chain.key, Key::Merge(_)) && !floors.is_empty()) {
        let newest = group.entries.values().rev().filter_map(|entry| entry.merge()).find(|step| step.state.is_some());
        for (key, floor) in &floors {
            let (Key::Source(partition), Some(step)) = (key, newest) else { continue };
            let merged = step.vector.get(partition).copied();
            if merged.is_none_or(|merged| merged < floor.position) {
                let (group, step) = (&group.key, step.step);
                faults.add(|| {
                    format!(
                        "{group}: the state of step {step} needs {key} from {merged:?} on, below {}",
                        floor.position
                    )
                });
            }
        }
        if newest.is_none() {
            faults.add(|| format!("{}: no step has a state, and what they merged is collected", group.key));
        }
    }
}

fn is_on_chain(chain: Option<&Chain>, position: i64) -> bool {
    chain.is_some_and(|c| c.entries.contains_key(&position) || c.ends().is_some_and(|(_, end)| end == position))
}
