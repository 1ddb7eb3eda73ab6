//! I6: time goes forward. Positions of tables from commit to commit, watermarks from entry to entry.

use std::collections::BTreeMap;

use dataflow::Watermark;

use super::facts::{Entry, Facts, Key, TableFacts};
use super::{Faults, Verdict};

/// No position and no watermark is below an earlier one.
pub(super) fn check(facts: &Facts) -> Verdict {
    let mut faults = Faults::default();
    facts.tables.iter().for_each(|table| commits(table, &mut faults));
    for chain in &facts.chains {
        let mut before: Option<(i64, &Entry)> = None;
        for (start, entry) in chain.iter() {
            if let Some((_, earlier)) = before {
                watermark(&chain.key, start, earlier, entry, &mut faults);
                vector(&chain.key, start, earlier, entry, &mut faults);
            }
            before = Some((start, entry));
        }
    }
    let commits: usize = facts.tables.iter().map(|t| t.commits.len()).sum();
    faults.verdict(format!("{commits} commits of {} tables", facts.tables.len()))
}

/// `next` from commit to commit, and in the table's property after the last.
fn commits(table: &TableFacts, faults: &mut Faults) {
    let mut reached: BTreeMap<&Key, i64> = BTreeMap::new();
    for commit in &table.commits {
        for (key, _, next) in &commit.ranges {
            let before = reached.insert(key, *next);
            if let Some(before) = before.filter(|before| next < before) {
                faults.add(|| {
                    format!("{}: snapshot {} moved {key} back from {before} to {next}", table.table, commit.snapshot)
                });
            }
        }
    }
    for (key, reached) in reached {
        let next = table.next(key);
        if next.is_none_or(|next| next < reached) {
            let next = next.map_or("absent".to_owned(), |n| n.to_string());
            faults.add(|| format!("{}: palisade.next of {key} is {next}, but {reached} was committed", table.table));
        }
    }
}

/// A partition's watermark; that of a merge step may fall when an idle partition comes back, and windows do not follow it.
fn watermark(key: &Key, at: i64, before: &Entry, after: &Entry, faults: &mut Faults) {
    let of = |entry: &Entry| entry.source().and_then(|e| e.watermark);
    if let (Some(before), Some(after)) = (of(before), of(after))
        && after < before
    {
        faults.add(|| format!("{key}: the watermark at {at} is {after}, below {before} before it"));
    }
}

/// What merge steps have merged, and each partition's watermark in them.
fn vector(key: &Key, at: i64, before: &Entry, after: &Entry, faults: &mut Faults) {
    let (Some(before), Some(after)) = (before.merge(), after.merge()) else { return };
    for (partition, merged) in &before.vector {
        let now = after.vector.get(partition).copied();
        if now.is_none_or(|now| now < *merged) {
            faults.add(|| format!("{key}: step {at} has merged {partition} up to {now:?}, below {merged} before it"));
        }
    }
    for (partition, earlier) in &before.partition_watermarks {
        if let (Watermark::EventTime(earlier), Some(Watermark::EventTime(now))) =
            (earlier, after.partition_watermarks.get(partition))
            && now < earlier
        {
            faults.add(|| format!("{key}: step {at} has {partition} at watermark {now}, below {earlier} before it"));
        }
    }
}
