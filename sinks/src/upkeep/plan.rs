//! How far each chain may be collected: a pure function of what was found, and of a time.
//!
//! A chain's floor rises over entries that are old enough, up to the lowest position that anything may still need. What is not
//! as it should be keeps the whole chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dataflow::{PartitionId, Positions, mutant};

use crate::Destination;
use crate::ledger::{Collected, Floor};
use crate::outbox::AlertChain;
use crate::warehouse::{MERGE_TABLES, Nexts};

/// All that a plan looks at. What could not be read is there as the reason why.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// `palisade.next` of every table.
    pub(crate) tables: BTreeMap<Destination, Result<Nexts, String>>,
    /// The chains of partitions.
    pub(crate) sources: BTreeMap<PartitionId, Result<ChainView, String>>,
    /// The chain of every merge group of the warehouse, also of one that has taken no step.
    pub(crate) merges: BTreeMap<u32, Result<ChainView, String>>,
}

/// A chain, from its floor on.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChainView {
    pub(crate) floor: Option<Floor>,
    /// The oldest entries in order, as far as they were read: all that are old enough, or a bounded number of them.
    pub(crate) links: Vec<Link>,
    /// Where every entry begins, and the chain's end.
    pub(crate) positions: BTreeSet<i64>,
    /// Where the newest entry begins: it is always kept.
    pub(crate) last: i64,
    /// Up to where a receiver has all alerts; None if no receiver ever took the chain up.
    pub(crate) cursor: Option<i64>,
    /// True if no merge group takes the partition in.
    pub(crate) is_unmerged: bool,
}

/// An entry, as far as the plan needs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    pub(crate) start: i64,
    pub(crate) next: i64,
    /// By the store's clock, microseconds UTC.
    pub(crate) written_at: i64,
    pub(crate) has_alerts: bool,
    /// What the state that the step names has merged; None without a state.
    pub(crate) state: Option<Positions>,
    pub(crate) sums: Collected,
}

/// What keeps entries that are old enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// A table has not taken the entries in, or stands where it stood when something last touched it.
    Table(String),
    /// A merge group may have to redo its steps from them.
    Merge(String),
    /// Their alerts have not left.
    Alerts(String),
    /// Something is not as it should be.
    Fault(String),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Table(what) | Held::Merge(what) | Held::Alerts(what) | Held::Fault(what) => f.write_str(what),
        }
    }
}

/// What may be done with one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) chain: AlertChain,
    /// The floor that the chain has, or where it begins.
    pub(crate) from: i64,
    /// The floor that it gets; `from` if nothing may go.
    pub(crate) to: i64,
    /// Why entries that are old enough stay.
    pub(crate) held: Option<Held>,
    /// More entries may be old enough than were looked at.
    pub(crate) more: bool,
}

/// A position, and who needs it and all above.
type Need = (i64, Held);

/// Decides for every chain. Entries written at `horizon` or later are kept; so is what a state written later, or the newest
/// before it, needs.
pub(crate) fn plan(view: &View, horizon: i64) -> Vec<Decision> {
    let sources = view.sources.iter().map(|(partition, chain)| {
        let needs = |chain: &ChainView| source_needs(view, partition, chain, horizon);
        decide(AlertChain::Partition(partition.clone()), chain, needs, horizon)
    });
    let merges = view.merges.iter().map(|(group, chain)| {
        let needs = |chain: &ChainView| merge_needs(view, *group, chain, horizon);
        decide(AlertChain::Group(*group), chain, needs, horizon)
    });
    sources.chain(merges).collect()
}

fn decide(
    chain: AlertChain,
    view: &Result<ChainView, String>,
    needs: impl FnOnce(&ChainView) -> Result<Vec<Need>, Held>,
    horizon: i64,
) -> Decision {
    let view = match view {
        Ok(view) => view,
        Err(why) => return Decision { chain, from: 0, to: 0, held: Some(Held::Fault(why.clone())), more: false },
    };
    let from = view.positions.first().copied().unwrap_or(0);
    let nothing = Decision { chain, from, to: from, held: None, more: false };
    if view.positions.is_empty() {
        return nothing;
    }
    let needs = if mutant::is("greedy-collection") { Ok(Vec::new()) } else { needs(view) };
    let needs = match needs {
        Ok(needs) => needs,
        Err(held) => {
            let is_told = matches!(held, Held::Fault(_)) || !old(view, horizon).is_empty();
            return Decision { held: is_told.then_some(held), ..nothing };
        }
    };
    let old = old(view, horizon);
    let oldest = old.last().map_or(from, |link| link.next.min(view.last));
    let (limit, held) = match needs.into_iter().min_by_key(|need| need.0) {
        Some((at, held)) if at < oldest => (at, Some(held)),
        _ => (oldest, None),
    };
    let on_the_way = old.iter().map(|link| link.next).filter(|at| *at <= limit.min(view.last));
    let to = on_the_way.max().unwrap_or(from);
    let more = held.is_none() && !old.is_empty() && old.len() == view.links.len() && to < view.last;
    Decision { to, held, more, ..nothing }
}

/// The entries that are old enough, up to the first that is not.
fn old(view: &ChainView, horizon: i64) -> &[Link] {
    let count = view.links.iter().take_while(|link| link.written_at < horizon).count();
    &view.links[..count]
}

/// What a partition's chain is needed for: rows of tables, deltas of merge groups, alerts on their way.
fn source_needs(view: &View, partition: &PartitionId, chain: &ChainView, horizon: i64) -> Result<Vec<Need>, Held> {
    let mut needs = Vec::new();
    for (&table, nexts) in &view.tables {
        let next = known(nexts)?.sources.get(partition).copied();
        needs.push((table_position(chain, table, next)?, Held::Table(format!("{table} has not taken them in"))));
    }
    if !chain.is_unmerged {
        for (group, merges) in &view.merges {
            needs.push(merged(partition, chain, *group, merges, horizon)?);
        }
    }
    needs.extend(unsent(chain, horizon));
    Ok(needs)
}

/// What a merge group's chain is needed for: alerts and late windows of tables, the step that a restart begins at.
fn merge_needs(view: &View, group: u32, chain: &ChainView, horizon: i64) -> Result<Vec<Need>, Held> {
    let mut needs = Vec::new();
    for (&table, nexts) in view.tables.iter().filter(|(to, _)| MERGE_TABLES.contains(&to.table())) {
        let next = known(nexts)?.merges.get(&group).copied();
        // The step before next is where whoever looks for the newest begins.
        let at = table_position(chain, table, next)? - 1;
        needs.push((at, Held::Table(format!("{table} has not taken them in"))));
    }
    let (step, _) = anchor(group, chain, horizon)?;
    needs.push((step, Held::Merge(format!("a restart begins at the state of step {step}"))));
    needs.extend(unsent(chain, horizon));
    Ok(needs)
}

fn known(nexts: &Result<Nexts, String>) -> Result<&Nexts, Held> {
    nexts.as_ref().map_err(|why| Held::Fault(why.clone()))
}

/// A table's `palisade.next`, which must be a position of the chain.
fn table_position(chain: &ChainView, table: Destination, next: Option<i64>) -> Result<i64, Held> {
    let Some(next) = next else {
        return Err(Held::Table(format!("{table} has no palisade.next of the chain yet")));
    };
    if !chain.positions.contains(&next) {
        return Err(Held::Fault(format!("{table}: palisade.next is {next}, which is no position of the chain")));
    }
    Ok(next)
}

/// Up to where a group has merged the partition, by the state that it would be redone from.
fn merged(
    partition: &PartitionId,
    chain: &ChainView,
    group: u32,
    merges: &Result<ChainView, String>,
    horizon: i64,
) -> Result<Need, Held> {
    let merges = merges.as_ref().map_err(|why| Held::Fault(format!("merge group {group}: {why}")))?;
    let (step, vector) = anchor(group, merges, horizon)?;
    let Some(next) = vector.get(partition).copied() else {
        return Err(Held::Merge(format!(
            "merge group {group} has not merged the partition in the state of step {step}"
        )));
    };
    if next > 0 && !chain.positions.contains(&next) {
        let what = format!("merge group {group}: step {step} merged up to {next}, which is no position of the chain");
        return Err(Held::Fault(what));
    }
    Ok((next, Held::Merge(format!("merge group {group} would merge them again after its state of step {step}"))))
}

/// The newest step with a state of those that are old enough. Every state that is younger stays, with all that it needs, so
/// whoever begins at one while we work comes to an end.
fn anchor(group: u32, merges: &ChainView, horizon: i64) -> Result<(i64, &Positions), Held> {
    let states = old(merges, horizon).iter().rev();
    let newest = states.filter_map(|link| Some((link.start, link.state.as_ref()?))).next();
    newest.ok_or_else(|| Held::Merge(format!("merge group {group} has no state that is old enough")))
}

/// The oldest entry whose alerts have not left.
fn unsent(chain: &ChainView, horizon: i64) -> Option<Need> {
    let cursor = chain.cursor?;
    let first = old(chain, horizon).iter().find(|link| link.start >= cursor && link.has_alerts)?;
    Some((first.start, Held::Alerts(format!("its alerts have not left: the receiver's mark is at {cursor}"))))
}
