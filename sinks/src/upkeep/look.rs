//! What there is: chains, their objects and who may need them, read before anything is planned.
//!
//! Reading never fails for one chain alone: what cannot be read, or is not known, stands in the view as the reason to leave
//! that chain as it is.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::Table;

use super::Policy;
use super::plan::{ChainView, Link, View};
use crate::ledger::{Collected, Floor, Ledger, MergeEntry, SourceEntry, paths};
use crate::outbox::{AlertChain, Since};
use crate::store::{Listed, is_temporary};
use crate::warehouse::{Nexts, Warehouse};
use crate::{Destination, Result};

/// Entries of one chain that are read at a time; a longer chain is collected in several turns.
const ENTRIES_MAX: usize = 16_384;

/// An object beside a chain and the position in its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) position: i64,
    pub(super) object: Listed,
}

/// The objects of a chain, each kind in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) entries: Vec<Placed>,
    /// Exchange files of a partition, states of a merge group.
    pub(super) deltas: Vec<Placed>,
    /// Of each receiver.
    pub(super) marks: BTreeMap<String, Vec<Placed>>,
    pub(super) floors: Vec<Placed>,
}

impl Objects {
    /// Lists them.
    ///
    /// # Errors
    /// If the store fails, or an object is there that nothing of ours writes.
    pub(super) async fn list(ledger: &Ledger, chain: &AlertChain) -> std::result::Result<Self, String> {
        let (paths, path) = (ledger.paths(), chain.path());
        let deltas = match chain {
            AlertChain::Partition(_) => paths.exchanges(&path),
            AlertChain::Group(_) => paths.states(&path),
        };
        let mut marks = BTreeMap::new();
        for receiver in ledger.store().list(&paths.receivers()).await.map_err(|e| e.to_string())? {
            let own = list(ledger, &paths.outbox(&receiver, &path), |name| paths::numbered(name, ".sent")).await?;
            marks.insert(receiver, own);
        }
        Ok(Self {
            entries: list(ledger, &paths.entries(&path), paths::entry_start).await?,
            deltas: list(ledger, &deltas, paths::attempt_start).await?,
            marks,
            floors: list(ledger, &paths.floors(&path), |name| paths::numbered(name, ".floor")).await?,
        })
    }
}

async fn list(
    ledger: &Ledger,
    folder: &str,
    position: impl Fn(&str) -> Option<i64>,
) -> std::result::Result<Vec<Placed>, String> {
    let listed = ledger.store().list_deep(folder).await.map_err(|e| e.to_string())?;
    let mut placed = Vec::with_capacity(listed.len());
    for object in listed {
        let name = object.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&object.path);
        match position(name) {
            Some(position) => placed.push(Placed { position, object }),
            None if is_temporary(name) => {}
            None => return Err(format!("{} is no object of Palisade's; move it away", object.path)),
        }
    }
    placed.sort_by_key(|placed| placed.position);
    Ok(placed)
}

/// Reads everything that a plan looks at.
///
/// # Errors
/// If the ledger cannot be listed at all.
pub(super) async fn look(warehouse: &Warehouse, policy: &Policy) -> Result<View> {
    let (ledger, mut view) = (warehouse.ledger(), View::default());
    let horizon = policy.horizon();
    // Who needs what, before what there is: every position that is named is then among those that are found, and what is needed
    // can only have become less.
    for table in Table::ALL {
        view.tables.insert(table.into(), nexts(warehouse, table.into()).await);
    }
    // Only now, all tables that were made since are known which an entry names that the shared tables have taken in.
    for table in warehouse.find_destinations().await? {
        if table.namespace().is_some() {
            view.tables.insert(table, nexts(warehouse, table).await);
        }
    }
    for group in 0..warehouse.merge_groups() {
        view.merges.insert(group, merge_chain(ledger, group, horizon).await);
    }
    for partition in ledger.partitions().await? {
        let chain = read_chain(ledger, &AlertChain::Partition(partition.clone()), horizon).await;
        let chain = chain.map(|chain| ChainView { is_unmerged: (policy.is_unmerged)(&partition), ..chain });
        view.sources.insert(partition, chain);
    }
    Ok(view)
}

async fn nexts(warehouse: &Warehouse, table: Destination) -> std::result::Result<Nexts, String> {
    warehouse.nexts(table).await.map_err(|e| e.to_string())
}

/// A merge group's chain. The state that a plan builds on must be whole.
async fn merge_chain(ledger: &Ledger, group: u32, horizon: i64) -> std::result::Result<ChainView, String> {
    let view = read_chain(ledger, &AlertChain::Group(group), horizon).await?;
    if let Some(newest) = view.links.iter().rev().find(|link| link.state.is_some()) {
        let entry = ledger.get_merge(group, newest.start).await.map_err(|e| e.to_string())?;
        if let Some(state) = entry.and_then(|entry| entry.state) {
            ledger.get_object(&state).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(view)
}

/// The entry that begins at `start`, as far as a plan needs it.
async fn link(ledger: &Ledger, chain: &AlertChain, start: i64) -> std::result::Result<Link, String> {
    let link = match chain {
        AlertChain::Partition(partition) => ledger.get_source(partition, start).await.map(|entry| entry.map(of_source)),
        AlertChain::Group(group) => ledger.get_merge(*group, start).await.map(|entry| entry.map(of_merge)),
    };
    link.map_err(|e| e.to_string())?.ok_or_else(|| format!("the entry at {start} is gone"))
}

fn of_source(entry: SourceEntry) -> Link {
    let sums = Collected::from(&entry);
    let SourceEntry { start, next, outbox, .. } = entry;
    Link { start, next, has_alerts: !outbox.is_empty(), sums, ..Link::default() }
}

fn of_merge(entry: MergeEntry) -> Link {
    let sums = Collected::from(&entry);
    let MergeEntry { step, vector, outbox, state, .. } = entry;
    let state = state.map(|_| vector);
    Link { start: step, next: step + 1, has_alerts: !outbox.is_empty(), state, sums, ..Link::default() }
}

/// The chain from its floor on. Read again if somebody else raised the floor meanwhile.
async fn read_chain(ledger: &Ledger, chain: &AlertChain, horizon: i64) -> std::result::Result<ChainView, String> {
    let path = chain.path();
    loop {
        let before = ledger.floor_at(&path).await.map_err(|e| e.to_string())?;
        let followed = follow(ledger, chain, horizon).await;
        let is_overtaken = followed.is_err() && ledger.floor_at(&path).await.map_err(|e| e.to_string())? > before;
        if !is_overtaken {
            return followed;
        }
    }
}

/// Below what position every receiver has its alerts; None if there is no receiver.
async fn cursor(ledger: &Ledger, chain: &AlertChain, objects: &Objects) -> std::result::Result<Option<i64>, String> {
    let known = ledger.known_receivers().await.map_err(|e| e.to_string())?;
    let of = |(receiver, since): &(String, Since)| {
        let mark = objects.marks.get(receiver).and_then(|marks| marks.last()).map(|mark| mark.position);
        mark.or(since.of(chain)).unwrap_or(i64::MIN)
    };
    Ok(known.iter().map(of).min())
}

/// The old entries of a chain, from one to the next.
async fn follow(ledger: &Ledger, chain: &AlertChain, horizon: i64) -> std::result::Result<ChainView, String> {
    let path = chain.path();
    let objects = Objects::list(ledger, chain).await?;
    // After the names: one that is deleted in between is below the floor that is found.
    let floor = ledger.floor_of(&path).await.map_err(|e| e.to_string())?;
    let begin = floor.as_ref().map_or(i64::MIN, |floor: &Floor| floor.position);
    let kept: Vec<&Placed> = objects.entries.iter().filter(|entry| entry.position >= begin).collect();
    let cursor = cursor(ledger, chain, &objects).await?;
    let Some(last) = kept.last().map(|entry| entry.position) else {
        return match floor {
            None => Ok(ChainView::default()),
            Some(floor) => Err(format!("no entry begins at the floor {}", floor.position)),
        };
    };
    let end = link(ledger, chain, last).await?.next;
    let mut positions: BTreeSet<i64> = kept.iter().map(|entry| entry.position).collect();
    positions.insert(end);
    let mut links: Vec<Link> = Vec::new();
    let mut at = floor.as_ref().map(|floor| floor.position);
    for entry in kept.iter().take(ENTRIES_MAX).take_while(|entry| entry.object.written_at < horizon) {
        if at.is_some_and(|at| at != entry.position) {
            return Err(format!("no entry begins at {}; the next is at {}", at.unwrap_or_default(), entry.position));
        }
        let link = Link { written_at: entry.object.written_at, ..link(ledger, chain, entry.position).await? };
        at = Some(link.next);
        links.push(link);
    }
    // The first that is not read must follow as well.
    if let Some(at) = at.filter(|at| !positions.contains(at)) {
        return Err(format!("no entry begins at {at}"));
    }
    Ok(ChainView { floor, links, positions, last, cursor, is_unmerged: false })
}
