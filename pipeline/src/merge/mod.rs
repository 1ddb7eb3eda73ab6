//! The merge thread: joins the deltas of all partitions, group by group, step by step, each step a ledger entry.
//!
//! Which groups are this process's follows the partitions: group g goes with partition g mod P of the lead topic ([`Roster`]).
//! That only keeps workers out of each other's way; the ledger lets one of them take a step, whoever tries.

mod group;
mod redo;
mod roster;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::Deltas;
use dataflow::{OffsetRange, PartitionId};
use sinks::{AlertChain, SourceEntry};
use uuid::Uuid;

use crate::clock;
use crate::queue::{Receiver, Weigh};
use crate::shard::ShardContext;
use crate::stages::Completion;
use group::{Group, Ranged, Stepped, Surroundings, entries_from};
pub(crate) use redo::{redo, rules_of};
pub(crate) use roster::Roster;

/// What the merge thread is told.
pub(crate) enum ToMerge {
    /// A range of ours is in the ledger, and its deltas are these.
    Range {
        partition: PartitionId,
        range: OffsetRange,
        /// Of its entry.
        attempt: Uuid,
        deltas: Deltas,
        watermark: Option<i64>,
        received_min: Option<i64>,
        received_max: Option<i64>,
        /// Of the tables that enriched it.
        versions: BTreeMap<String, String>,
    },
    /// A partition of ours is caught up and silent.
    Idle(PartitionId),
    /// A topic that is shared with other workers has this partition, whoever reads it.
    Added(PartitionId),
    /// Nothing more of the partition comes, whoever read it.
    Gone(PartitionId),
    /// A partition is ours now.
    Assigned(PartitionId),
    /// A partition is someone else's now.
    Revoked(PartitionId),
    /// Where a partition that someone else reads ends.
    LogEnd(PartitionId, i64),
}

impl Weigh for ToMerge {
    fn rows(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        match self {
            ToMerge::Range { deltas, .. } => deltas.bytes(),
            _ => 0,
        }
    }
}

/// The merge thread stopped; its own error says why.
#[derive(Debug, thiserror::Error)]
#[error("the merge stage is gone")]
pub(crate) struct MergeGone;

/// Partitions of ours are followed in the ledger too, for what others wrote of them, but only every so many turns.
const OWN_FOLLOW_TURNS: u64 = 10;

/// The merge thread.
pub(crate) struct Merger {
    context: ShardContext,
    input: Receiver<ToMerge>,
    roster: Roster,
    owned: BTreeSet<PartitionId>,
    groups: BTreeMap<u32, Group>,
    idle: BTreeSet<PartitionId>,
    /// When each partition last had a range, by our clock.
    heard_at: BTreeMap<PartitionId, Instant>,
    started_at: Instant,
    stepped_at: Instant,
    turn: u64,
    /// Once whole, the last step closes every window.
    completion: Arc<Completion>,
}

impl Merger {
    pub(crate) fn new(
        context: ShardContext,
        input: Receiver<ToMerge>,
        roster: Roster,
        completion: Arc<Completion>,
    ) -> Self {
        let now = clock::instant();
        Self {
            context,
            input,
            roster,
            owned: BTreeSet::new(),
            groups: BTreeMap::new(),
            idle: BTreeSet::new(),
            heard_at: BTreeMap::new(),
            started_at: now,
            stepped_at: now,
            turn: 0,
            completion,
        }
    }

    /// Works until every shard is gone; then takes the last step.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let interval = self.context.config.worker.step_interval;
        let tick = (interval / 4).max(Duration::from_millis(5));
        self.own_groups()?;
        loop {
            let (input, runtime) = (&mut self.input, self.context.runtime.clone());
            match runtime.block_on(async { tokio::time::timeout(tick, input.recv()).await }) {
                Ok(Some(item)) => self.take(item)?,
                Ok(None) => break,
                Err(_) => {}
            }
            while let Some(item) = self.input.try_recv() {
                self.take(item)?;
            }
            if clock::instant() - self.stepped_at >= interval {
                self.stepped_at = clock::instant();
                self.follow()?;
                self.step(false)?;
            }
        }
        let is_last = self.completion.is_whole();
        while self.step(is_last)? && is_last {}
        Ok(())
    }

    fn take(&mut self, item: ToMerge) -> anyhow::Result<()> {
        match item {
            ToMerge::Range { partition, range, attempt, deltas, watermark, received_min, received_max, versions } => {
                self.heard(&partition);
                let ranged = Ranged { partition, range, attempt, watermark, received_min, received_max, versions };
                for group in self.groups.values_mut() {
                    group.offer(&self.context, &ranged, &deltas)?;
                }
            }
            ToMerge::Idle(partition) => {
                self.idle.insert(partition);
            }
            ToMerge::Added(partition) => {
                if self.roster.add(partition.clone()) {
                    // It is silent only from now on.
                    self.heard(&partition);
                    self.own_groups()?;
                }
            }
            ToMerge::Gone(partition) => {
                if self.roster.remove_from_lead(&partition) {
                    self.own_groups()?;
                }
                // Of others' partitions the ledger has all that will ever come, once it is silent.
                self.log_end(partition, 0)?;
            }
            ToMerge::Assigned(partition) => {
                self.owned.insert(partition);
                self.own_groups()?;
            }
            ToMerge::Revoked(partition) => {
                self.owned.remove(&partition);
                self.idle.remove(&partition);
                self.own_groups()?;
            }
            ToMerge::LogEnd(partition, end) => self.log_end(partition, end)?,
        }
        Ok(())
    }

    fn heard(&mut self, partition: &PartitionId) {
        self.idle.remove(partition);
        self.heard_at.insert(partition.clone(), clock::instant());
    }

    /// A partition of another worker is idle if everything in it is merged and nothing has come for a while.
    fn log_end(&mut self, partition: PartitionId, end: i64) -> anyhow::Result<()> {
        let since = self.heard_at.get(&partition).copied().unwrap_or(self.started_at);
        let is_silent = clock::instant() - since >= self.context.config.worker.idle_after;
        let mut is_merged = true;
        for group in self.groups.values_mut() {
            is_merged &= group.reached(&self.context, &partition)?.unwrap_or(0) >= end;
        }
        if is_silent && is_merged && !self.owned.contains(&partition) {
            self.idle.insert(partition);
        }
        Ok(())
    }

    /// Takes groups up and lets them go, as the partitions that they go with come and went.
    fn own_groups(&mut self) -> anyhow::Result<()> {
        let lead = self.roster.lead();
        let is_ours = |g: &u32| lead.is_empty() || self.owned.contains(lead[*g as usize % lead.len()]);
        let ours: BTreeSet<u32> = (0..self.context.warehouse.merge_groups()).filter(is_ours).collect();
        let lost: Vec<u32> = self.groups.keys().filter(|g| !ours.contains(g)).copied().collect();
        for g in lost {
            self.groups.remove(&g);
            self.context.mail.release(&AlertChain::Group(g));
        }
        for g in ours {
            if !self.groups.contains_key(&g) {
                let group = Group::recover(&self.context, g)?;
                self.groups.insert(g, group);
                self.follow_all(g)?;
            }
        }
        Ok(())
    }

    /// Reads what others have put into the ledger.
    fn follow(&mut self) -> anyhow::Result<()> {
        self.turn += 1;
        let all = self.turn.is_multiple_of(OWN_FOLLOW_TURNS);
        let followed: Vec<PartitionId> =
            self.roster.partitions().iter().filter(|p| all || !self.owned.contains(p)).cloned().collect();
        followed.iter().try_for_each(|partition| self.follow_one(partition))?;
        if all {
            for partition in self.strangers() {
                self.follow_one(&partition)?;
                // Its log is no more, or nobody's concern: the ledger has all there is, once it is silent.
                self.log_end(partition, 0)?;
            }
        }
        Ok(())
    }

    /// Groups are mostly at the same place, and the ledger is asked for it once.
    fn follow_one(&mut self, partition: &PartitionId) -> anyhow::Result<()> {
        let mut found: BTreeMap<i64, Vec<SourceEntry>> = BTreeMap::new();
        for group in self.groups.values_mut() {
            let Some(from) = group.reached(&self.context, partition)? else { continue };
            let entries = match found.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(entries_from(&self.context, partition, from)?),
            };
            group.take_in(&self.context, entries)?;
        }
        if found.values().any(|entries| !entries.is_empty()) {
            self.heard(partition);
        }
        Ok(())
    }

    /// What groups have merged of sources that this process has not: topics that are gone, or that the configuration left out.
    fn strangers(&self) -> BTreeSet<PartitionId> {
        let merged = self.groups.values().flat_map(Group::merged);
        merged.filter(|partition| !self.roster.partitions().contains(partition)).cloned().collect()
    }

    /// A group that was just taken up reads everything that waits for it.
    fn follow_all(&mut self, number: u32) -> anyhow::Result<()> {
        let Some(group) = self.groups.get_mut(&number) else { return Ok(()) };
        for partition in self.roster.partitions() {
            while group.follow(&self.context, partition)? > 0 {}
        }
        Ok(())
    }

    /// Takes the next step of every group. True if another worker was faster in any.
    fn step(&mut self, is_last: bool) -> anyhow::Result<bool> {
        // Before ranges are merged that shards made under them.
        self.context.rules.refresh();
        let (partitions, idle) = (self.roster.partitions(), &self.idle);
        let mut lost = Vec::new();
        for (number, group) in &mut self.groups {
            if group.step(&self.context, &Surroundings { partitions, idle, is_last })? == Stepped::Lost {
                lost.push(*number);
            }
        }
        let sum =
            |of: fn(&Group) -> usize| i64::try_from(self.groups.values().map(of).sum::<usize>()).unwrap_or(i64::MAX);
        self.context.telemetry.state_bytes.set(sum(Group::bytes));
        self.context.telemetry.state_keys.set(sum(Group::keys));
        for number in &lost {
            tracing::info!(group = number, "another worker took a step of the merge group; resuming after it");
            self.groups.remove(number);
        }
        self.own_groups()?;
        Ok(!lost.is_empty())
    }
}
