//! Which rows a rule has seen. Rules come and go while a worker runs: entries say under which version of the rules a range or a step
//! was made, and records beside the ledger what each version held.
//!
//! A filter rule has seen the rows of the ranges whose shards ran it. So has a windowed rule, but its windows are known only if the
//! steps that merged the ranges ran it too, and if it was not taken away while they were open.

use std::collections::BTreeMap;
use std::fmt::Write;

use aggregate::{Rule, RuleSet};
use dataflow::PartitionId;
use dataflow::watermark::FUTURE_TOLERANCE_US;
use sinks::{MergeEntry, SourceEntry};

use super::facts::{Chain, Facts, Key};
use crate::rules::Recorded;

/// The rows that a rule has seen, and the stretches of time in which its windows are not known.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of each partition the ranges that the rule has seen, those that adjoin as one.
    ranges: BTreeMap<PartitionId, Vec<(i64, i64)>>,
    /// No other range exists.
    is_all: bool,
    /// It saw a part of the rows whose entries are collected, and which part is not known.
    is_lost: bool,
    unknown: Vec<(i64, i64)>,
}

/// Which versions of the rules held a rule.
struct Versions<'a> {
    facts: &'a Facts,
    rules: &'a RuleSet,
    rule: &'a Rule,
}

impl Seen {
    /// Asks the ledger.
    ///
    /// # Errors
    /// The reason why it cannot be told.
    pub(super) fn of(facts: &Facts, rules: &RuleSet, rule: &Rule) -> Result<Self, String> {
        let versions = Versions { facts, rules, rule };
        versions.check_number()?;
        let (mut seen, mut entries) = (Self { is_all: true, ..Self::default() }, Vec::new());
        seen.is_lost = versions.is_lost(facts)?;
        for (key, floor) in facts.floors().filter(|(key, _)| !key.is_reprocessed()) {
            if let Key::Source(partition) = key {
                seen.ranges.insert(partition.clone(), vec![(0, floor.position)]);
            }
        }
        for entry in sources(facts) {
            if versions.held_it(entry.versions.get("rules"))? {
                seen.add(entry);
                entries.push(entry);
            } else {
                seen.is_all = false;
            }
        }
        if rule.is_windowed() {
            for group in facts.chains.iter().filter(|chain| matches!(chain.key, Key::Merge(_))) {
                seen.unknown.extend(versions.unknown(group, &entries)?);
            }
        }
        Ok(seen)
    }

    fn add(&mut self, entry: &SourceEntry) {
        let ranges = self.ranges.entry(entry.partition.clone()).or_default();
        match ranges.last_mut() {
            Some(last) if last.1 == entry.start => last.1 = entry.next,
            _ => ranges.push((entry.start, entry.next)),
        }
    }

    /// True if it cannot be told what the rule should have found.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// True if the rule never ran, where others did.
    pub(super) fn is_nothing(&self) -> bool {
        self.ranges.is_empty() && !self.is_all
    }

    /// True if it is not known what a window's alert should be.
    pub(super) fn misses(&self, window: Option<(i64, i64)>) -> bool {
        window.is_some_and(|(start, end)| self.unknown.iter().any(|(from, to)| *from < end && start < *to))
    }

    /// The rows, as a condition in SQL; none if it has seen all.
    pub(super) fn condition(&self) -> Option<String> {
        if self.is_all {
            return None;
        }
        let mut sql = String::from("false");
        for (partition, ranges) in &self.ranges {
            let PartitionId { topic, incarnation, partition } = partition;
            let [topic, incarnation] = [topic, incarnation].map(|name| name.replace('\'', "''"));
            for (start, next) in ranges {
                let _ = write!(
                    sql,
                    " OR (_topic = '{topic}' AND _incarnation = '{incarnation}' AND _partition_id = {partition} \
                     AND _offset >= {start} AND _offset < {next})"
                );
            }
        }
        Some(format!("({sql})"))
    }
}

/// Every range of a source, partition by partition in order.
fn sources(facts: &Facts) -> impl Iterator<Item = &SourceEntry> {
    let chains = facts.chains.iter().filter(|chain| !chain.key.is_reprocessed());
    chains.flat_map(|chain| chain.entries.values().filter_map(|entry| entry.source()))
}

impl Versions<'_> {
    fn held_it(&self, version: Option<&String>) -> Result<bool, String> {
        let Some(version) = version.filter(|version| *version != self.rules.version()) else { return Ok(true) };
        let held = self.facts.rule_sets.get(version).map(|held| held.contains_key(self.rule.fingerprint()));
        held.ok_or_else(|| {
            let loaded = self.rules.version();
            format!("rules of version {version} ran, {loaded} are loaded: give the configuration with -c")
        })
    }

    /// Of entries that are collected only their versions are known: a rule that all of them held has seen all of their rows.
    fn is_lost(&self, facts: &Facts) -> Result<bool, String> {
        let floors = facts.floors().filter(|(key, _)| !key.is_reprocessed());
        for version in floors.flat_map(|(_, floor)| &floor.collected.rules) {
            if !self.held_it(Some(version))? {
                return Ok(true);
            }
        }
        // A rule that was taken away with the first step that is left lost its windows there.
        let groups = facts.chains.iter().filter(|chain| matches!(chain.key, Key::Merge(_)) && chain.floor.is_some());
        for step in groups.filter_map(|chain| chain.entries.values().next()?.merge()) {
            if self.rule.is_windowed() && !self.held_it(step.versions.get("rules"))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Alerts name the rule's version: two rules of one number cannot be told apart.
    fn check_number(&self) -> Result<(), String> {
        let is_own = |known: &Recorded| known.uid == self.rule.uid() && known.version == self.rule.version();
        let held = self.facts.rule_sets.values().flatten();
        let twice = held.into_iter().any(|(print, known)| is_own(known) && print != self.rule.fingerprint());
        let name = self.rule.name();
        if twice { Err(format!("rule {name} found other things under the same version before")) } else { Ok(()) }
    }

    /// Stretches of time in which windows of a group are not known: of ranges that were merged without the rule, and from the clock at
    /// which the rule was taken away up to the last row that it had.
    fn unknown(&self, group: &Chain, seen: &[&SourceEntry]) -> Result<Vec<(i64, i64)>, String> {
        let steps: Vec<&MergeEntry> = group.entries.values().filter_map(|entry| entry.merge()).collect();
        let runs: Vec<bool> =
            steps.iter().map(|step| self.held_it(step.versions.get("rules"))).collect::<Result<_, _>>()?;
        let merged_in = |entry: &SourceEntry| {
            let before = |step: &&MergeEntry| step.vector.get(&entry.partition).is_none_or(|next| *next < entry.next);
            steps.partition_point(before)
        };
        let of_step: Vec<(usize, (i64, i64))> = seen.iter().filter_map(|e| Some((merged_in(e), stretch(e)?))).collect();
        let unmerged = of_step.iter().filter(|(step, _)| runs.get(*step).is_some_and(|runs| !runs));
        let mut unknown: Vec<(i64, i64)> = unmerged.map(|(_, stretch)| *stretch).collect();
        let ends = (1..steps.len()).filter(|at| runs[at - 1] && !runs[*at]);
        unknown.extend(ends.filter_map(|at| {
            let last = of_step.iter().filter(|(step, _)| *step < at).map(|(_, (_, to))| *to).max()?;
            let clock = steps[..at].iter().filter_map(|step| step.watermark).max().unwrap_or(i64::MIN);
            Some((clock.saturating_sub(self.rule.allowed_lateness_us()), last))
        }));
        Ok(unknown)
    }
}

/// Where in time windows take the range's rows: from the first to after the last; none if it has none. Of a row whose time is too
/// far ahead they take the receive time.
fn stretch(entry: &SourceEntry) -> Option<(i64, i64)> {
    let files = || {
        entry
            .tables
            .iter()
            .filter(|(table, _)| dataflow::Table::EVENTS.contains(&table.table()))
            .flat_map(|(_, t)| &t.files)
    };
    let first = files().map(|file| file.time_min).min()?.min(entry.received_min.unwrap_or(i64::MAX));
    let ahead = entry.received_max.unwrap_or(i64::MAX).saturating_add(FUTURE_TOLERANCE_US);
    let last = files().map(|file| file.time_max).max()?.min(ahead);
    Some((first, last.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_ranges_that_adjoin() {
        let mut seen = Seen::default();
        let partition = PartitionId::new("it's", "i", 3);
        assert!(seen.is_nothing());
        for (start, next) in [(0, 10), (10, 20), (30, 40)] {
            seen.add(&SourceEntry::empty(partition.clone(), start, next, "w", uuid::Uuid::nil()));
        }
        let of = |start, next| {
            format!(
                "(_topic = 'it''s' AND _incarnation = 'i' AND _partition_id = 3 AND _offset >= {start} AND _offset < {next})"
            )
        };
        assert_eq!(seen.condition(), Some(format!("(false OR {} OR {})", of(0, 20), of(30, 40))));
        let all = Seen { is_all: true, ..seen };
        assert_eq!((all.condition(), all.is_nothing()), (None, false));
    }

    #[test]
    fn a_window_is_not_known_if_it_shares_time_with_a_stretch() {
        let seen = Seen { unknown: vec![(10, 20)], ..Seen::default() };
        for (window, misses) in [((0, 10), false), ((0, 11), true), ((19, 30), true), ((20, 30), false)] {
            assert_eq!(seen.misses(Some(window)), misses, "{window:?}");
        }
        assert!(!seen.misses(None), "a filter's alert is its row's");
    }
}
