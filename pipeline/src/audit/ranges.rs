//! I1: each range is in each table once. A table's files are those of the entries up to its next, no more and no fewer. Of a
//! file whose entry is collected only its name is left to judge by. Files that another engine rewrote went and came with its
//! snapshots; of snapshots that are expired nothing can be said.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::{Facts, Key, TableFacts};
use super::{Faults, Verdict};

/// Files of entries and of tables are the same sets; commits took in adjoining ranges.
pub(super) fn check(facts: &Facts) -> Verdict {
    let (mut faults, mut files, mut untold) = (Faults::default(), 0, 0);
    for table in &facts.tables {
        let Some(live) = &table.files else {
            return Verdict::not_checked(format!("the manifests of {} cannot be read, see I9", table.table));
        };
        files += live.len();
        commits(table, &mut faults);
        let live: BTreeSet<&str> = live.iter().map(|f| f.location.as_str()).collect();
        table.foreign.faults.iter().for_each(|fault| faults.add(|| format!("{}: {fault}", table.table)));
        untold += compare(facts, table, &live, &mut faults);
    }
    if untold > 0 && faults.total == 0 {
        let why = "came or went with snapshots of another engine that are expired; I10 still reckons with their rows";
        return Verdict::not_checked(format!("{untold} data files {why}"));
    }
    let told = facts.tables.iter().filter_map(|t| Some(format!("; {}: {}", t.table, t.foreign.told()?)));
    faults.verdict(format!("{files} data files{}", told.collect::<String>()))
}

/// The ranges of one table's commits adjoin, and the last one ends at the table's next.
fn commits(table: &TableFacts, faults: &mut Faults) {
    let mut reached: BTreeMap<&Key, i64> = BTreeMap::new();
    for commit in &table.commits {
        for (key, start, next) in &commit.ranges {
            if let Some(end) = reached.insert(key, *next).filter(|end| end != start) {
                let how = if *start > end { "left a gap" } else { "took a range in again" };
                faults.add(|| {
                    format!("{}: snapshot {} {how}: {key} from {start}, after {end}", table.table, commit.snapshot)
                });
            }
        }
    }
    for (key, next) in &table.nexts {
        let reached = reached.get(key).copied();
        if reached.is_some_and(|reached| reached < *next) {
            faults.add(|| format!("{}: palisade.next of {key} is {next}, but commits end at {reached:?}", table.table));
        }
    }
}

/// How many files are not accounted for, but may have been before snapshots were expired.
fn compare(facts: &Facts, table: &TableFacts, live: &BTreeSet<&str>, faults: &mut Faults) -> usize {
    let (foreign, mut untold) = (&table.foreign, 0);
    let mut named: HashMap<&str, (&Key, i64, bool)> = HashMap::new();
    for (key, start, entry) in facts.entries() {
        let taken = table.next(key).is_some_and(|next| start < next);
        for file in entry.tables().get(&table.table).iter().flat_map(|t| &t.files) {
            named.insert(&file.location, (key, start, taken));
            let is_gone = taken && !live.contains(file.location.as_str()) && !foreign.removed.contains(&file.location);
            if is_gone && !foreign.is_whole {
                untold += 1;
            } else if is_gone {
                faults.add(|| {
                    format!("{}: {} of the entry {key} {start} is not in the table", table.table, file.location)
                });
            }
        }
    }
    for location in live {
        match named.get(location) {
            None if facts.is_collected(location) || foreign.added.contains(*location) => {}
            None if !foreign.is_whole => untold += 1,
            None => faults.add(|| format!("{}: no entry names {location}", table.table)),
            Some((key, start, false)) => {
                faults.add(|| {
                    format!("{}: {location} is live, but its entry {key} {start} is not below next", table.table)
                });
            }
            Some(_) => {}
        }
    }
    untold
}
