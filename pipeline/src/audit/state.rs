//! I7: a merge state is what its steps make of the deltas. Each state of a group is built again, step by step, from the beginning of
//! its chain, or from the oldest state where older steps are collected. States of releases that write others are passed over and
//! counted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use aggregate::{MergeStage, RuleSet};
use anyhow::Context;
use dataflow::{PartitionId, Positions};
use sinks::{Ledger, MergeEntry, Warehouse};

use super::facts::{Facts, Key};
use super::{Faults, Verdict};
use crate::merge::{redo, rules_of};

/// Bytes of ranges that are kept while one group after the other needs its part of them.
const KEPT: usize = 512 << 20;

/// Rebuilds and compares, all groups in the order in which their steps were taken: a range is then needed by all at about the same time,
/// and read once.
pub(super) async fn check(facts: &Facts, warehouse: &Warehouse, rules: &Arc<RuleSet>) -> anyhow::Result<Verdict> {
    if let Some(reason) = missing_rules(facts, rules) {
        return Ok(Verdict::not_checked(reason));
    }
    let (ledger, floors) = (warehouse.ledger().keeping(KEPT), source_floors(facts));
    let (mut faults, mut groups) = (Faults::default(), Vec::new());
    for chain in &facts.chains {
        let Key::Merge(group) = chain.key else { continue };
        let entries = chain.iter().filter_map(|(_, entry)| entry.merge()).collect();
        let mut rebuilt = Rebuilt::begin(warehouse, &ledger, rules, group);
        if let Err(e) = rebuilt.find_steps(entries, chain.floor.is_some(), &floors).await {
            faults.add(|| format!("{}: {e:#}", chain.key));
        }
        groups.push(rebuilt);
    }
    let has_more = |group: &&mut Rebuilt<'_>| !group.to_redo.is_empty();
    while let Some(group) = groups.iter_mut().filter(has_more).min_by_key(|group| group.to_redo[0].at) {
        if let Err(e) = group.follow(&mut faults).await {
            group.to_redo.clear();
            faults.add(|| format!("{}: {e:#}", Key::Merge(group.group)));
        }
    }
    let sum = |of: fn(&Rebuilt<'_>) -> usize| groups.iter().map(of).sum::<usize>();
    let (states, steps, others) = (sum(|g| g.compared), sum(|g| g.redone), sum(|g| g.unread));
    let more =
        if others > 0 { format!("; {others} states are of another release: not compared") } else { String::new() };
    Ok(faults.verdict(format!("{states} states, {steps} steps done again{more}")))
}

/// A group's state as its steps give it.
struct Rebuilt<'a> {
    warehouse: &'a Warehouse,
    ledger: &'a Ledger,
    rules: &'a Arc<RuleSet>,
    group: u32,
    stage: MergeStage,
    vector: Positions,
    /// Of the rules that the stage has; none before the first step.
    version: Option<Option<&'a String>>,
    /// Up to the last that has a state.
    to_redo: VecDeque<&'a MergeEntry>,
    redone: usize,
    compared: usize,
    /// States that this release does not read.
    unread: usize,
}

impl<'a> Rebuilt<'a> {
    fn begin(warehouse: &'a Warehouse, ledger: &'a Ledger, rules: &'a Arc<RuleSet>, group: u32) -> Self {
        Self {
            warehouse,
            ledger,
            rules,
            group,
            stage: MergeStage::new(rules, group),
            vector: Positions::new(),
            version: None,
            to_redo: VecDeque::new(),
            redone: 0,
            compared: 0,
            unread: 0,
        }
    }

    /// Finds where to begin, and what is to be done from there on.
    async fn find_steps(
        &mut self,
        mut steps: Vec<&'a MergeEntry>,
        is_collected: bool,
        floors: &Positions,
    ) -> anyhow::Result<()> {
        let states = || steps.iter().enumerate().filter(|(_, step)| step.state.is_some()).map(|(at, _)| at);
        let (Some(oldest), Some(newest)) = (states().next(), states().next_back()) else { return Ok(()) };
        steps.truncate(newest + 1);
        let merged: Positions = floors.iter().filter(|(p, _)| steps[newest].vector.contains_key(*p)).map(own).collect();
        if (!is_collected && merged.is_empty()) || self.begin_at_state(&mut steps, oldest, &merged).await? {
            self.to_redo = steps.into();
        }
        Ok(())
    }

    /// Does the next step again, and compares its state if it has one.
    async fn follow(&mut self, faults: &mut Faults) -> anyhow::Result<()> {
        let Some(step) = self.to_redo.pop_front() else { return Ok(()) };
        self.redo(step).await.with_context(|| format!("step {}", step.step))?;
        self.redone += 1;
        if step.state.is_some() {
            self.compare(step, faults).await?;
        }
        Ok(())
    }

    /// Takes up the oldest state that can be read and after which no step needs what is below the floors: chains of partitions may
    /// be collected before the group's own. False if there is none.
    async fn begin_at_state(
        &mut self,
        steps: &mut Vec<&'a MergeEntry>,
        oldest: usize,
        floors: &Positions,
    ) -> anyhow::Result<bool> {
        for at in oldest..steps.len() {
            let step = steps[at];
            let is_above = floors.iter().all(|(p, floor)| step.vector.get(p).is_some_and(|next| next >= floor));
            if step.state.is_none() || !is_above {
                continue;
            }
            if let Some(stage) = self.stored(steps[at]).await? {
                self.stage = stage;
                self.take(steps[at]);
                steps.drain(..=at);
                return Ok(true);
            }
            self.unread += 1;
        }
        Ok(false)
    }

    async fn redo(&mut self, step: &'a MergeEntry) -> anyhow::Result<()> {
        if self.version != Some(step.versions.get("rules")) {
            self.stage.set_rules(&rules_of(self.warehouse, self.rules, step).await?)?;
        }
        redo(self.ledger, &mut self.stage, &self.vector, step).await?;
        self.take(step);
        Ok(())
    }

    fn take(&mut self, step: &'a MergeEntry) {
        self.vector.clone_from(&step.vector);
        self.version = Some(step.versions.get("rules"));
    }

    /// A state that is wrong is told once: those after it are compared with what follows from it.
    async fn compare(&mut self, step: &MergeEntry, faults: &mut Faults) -> anyhow::Result<()> {
        let Some(stored) = self.stored(step).await? else {
            self.unread += 1;
            return Ok(());
        };
        self.compared += 1;
        if stored.snapshot()? != self.stage.snapshot()? {
            let (group, step) = (self.group, step.step);
            faults.add(|| format!("_merge/{group}: the state of step {step} is not what the steps up to it give"));
            self.stage = stored;
        }
        Ok(())
    }

    /// None if another release wrote it, and this one does not read it.
    async fn stored(&self, step: &MergeEntry) -> anyhow::Result<Option<MergeStage>> {
        let object = step.state.as_ref().context("the step has no state")?;
        let bytes = self.warehouse.ledger().get_object(object).await?;
        let rules = rules_of(self.warehouse, self.rules, step).await?;
        match MergeStage::restore(&rules, self.group, &bytes) {
            Err(e) if e.is_of_another_version() => Ok(None),
            stage => stage.map(Some).with_context(|| format!("state of step {}", step.step)),
        }
    }
}

/// Where the chains of partitions begin whose older entries are collected.
fn source_floors(facts: &Facts) -> Positions {
    let of = |(key, floor): (&Key, &sinks::Floor)| match key {
        Key::Source(partition) => Some((partition.clone(), floor.position)),
        Key::Merge(_) => None,
    };
    facts.floors().filter_map(of).collect()
}

fn own((partition, position): (&PartitionId, &i64)) -> (PartitionId, i64) {
    (partition.clone(), *position)
}

/// Why states cannot be built again: rules that took a step are not among those that are given.
fn missing_rules(facts: &Facts, rules: &RuleSet) -> Option<String> {
    let given: BTreeSet<&str> = rules.rules().iter().map(|rule| rule.fingerprint()).collect();
    let steps = facts.entries().filter(|(_, _, entry)| entry.merge().is_some());
    let versions: BTreeSet<&String> = steps.filter_map(|(_, _, entry)| entry.versions().get("rules")).collect();
    versions.into_iter().filter(|version| *version != rules.version()).find_map(|version| {
        let Some(held) = facts.rule_sets.get(version) else {
            return Some(format!("what version {version} of the rules held was never recorded"));
        };
        let gone = held.iter().find(|(fingerprint, _)| !given.contains(fingerprint.as_str()));
        gone.map(|(_, rule)| format!("the rule {} version {} took steps and is not given", rule.uid, rule.version))
    })
}
