//! A decision made true, or only counted.

use std::collections::BTreeMap;

use dataflow::mutant;

use super::look::{Objects, Placed};
use super::plan::{ChainView, Decision, Held, View};
use super::{Amount, ChainReport, Kind};
use crate::Result;
use crate::ledger::{Floor, Ledger};
use crate::outbox::AlertChain;
use crate::step::{self, Step};

/// One chain and what was decided for it.
pub(super) struct Job<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) view: &'a View,
    pub(super) decision: Decision,
}

impl Job<'_> {
    fn chain_view(&self) -> Option<&ChainView> {
        let chain = match &self.decision.chain {
            AlertChain::Partition(partition) => self.view.sources.get(partition),
            AlertChain::Group(group) => self.view.merges.get(group),
        };
        chain?.as_ref().ok()
    }

    /// The floor that the chain gets, with the sums of all below; None if it keeps the one it has.
    fn new_floor(&self) -> Option<Floor> {
        let Decision { chain, from, to, .. } = &self.decision;
        let view = self.chain_view().filter(|_| to > from)?;
        let mut collected = view.floor.as_ref().map(|floor| floor.collected.clone()).unwrap_or_default();
        view.links.iter().filter(|link| link.start < *to).for_each(|link| collected += &link.sums);
        Some(Floor { chain: chain.path(), position: *to, collected })
    }

    /// What is to be deleted, in order.
    ///
    /// # Errors
    /// The reason to delete nothing.
    async fn doomed(&self) -> std::result::Result<Vec<(Kind, Placed)>, String> {
        let floor = match self.chain_view() {
            Some(view) if self.decision.to > self.decision.from || view.floor.is_some() => self.decision.to,
            _ => return Ok(Vec::new()),
        };
        let objects = Objects::list(self.ledger, &self.decision.chain).await?;
        let beside = match self.decision.chain {
            AlertChain::Partition(_) => Kind::Exchange,
            AlertChain::Group(_) => Kind::State,
        };
        let mut below: Vec<(Kind, Placed)> = Vec::new();
        let beside_below = floor + i64::from(mutant::is("collects-one-too-many"));
        let deltas = objects.deltas.into_iter().filter(|placed| placed.position < beside_below);
        below.extend(deltas.map(|placed| (beside, placed)));
        let entries = objects.entries.into_iter().filter(|placed| placed.position < floor);
        below.extend(entries.map(|placed| (Kind::Entry, placed)));
        // From old to new; an entry after what stands beside it.
        below.sort_by_key(|(kind, placed)| (placed.position, *kind == Kind::Entry));
        let marks = objects.marks.into_values().flat_map(all_but_the_last);
        below.extend(marks.map(|placed| (Kind::Mark, placed)));
        let lower = objects.floors.into_iter().filter(|placed| placed.position < floor);
        below.extend(lower.map(|placed| (Kind::Floor, placed)));
        Ok(below)
    }

    fn report(self, deleted: BTreeMap<Kind, Amount>, fault: Option<String>) -> ChainReport {
        let Decision { chain, from, to, held, .. } = self.decision;
        ChainReport { chain, from, to, deleted, held: fault.map(Held::Fault).or(held) }
    }
}

fn all_but_the_last(mut placed: Vec<Placed>) -> impl Iterator<Item = Placed> {
    placed.pop();
    placed.into_iter()
}

fn add(sums: &mut BTreeMap<Kind, Amount>, kind: Kind, placed: &Placed) {
    let sum = sums.entry(kind).or_default();
    sum.objects += 1;
    sum.bytes += placed.object.bytes;
}

/// What would be deleted.
pub(super) async fn count(job: Job<'_>) -> ChainReport {
    let mut sums = BTreeMap::new();
    match job.doomed().await {
        Ok(doomed) => doomed.iter().for_each(|(kind, placed)| add(&mut sums, *kind, placed)),
        Err(why) => return job.report(sums, Some(why)),
    }
    job.report(sums, None)
}

/// Writes the floor, then deletes what is below.
pub(super) async fn delete(job: Job<'_>) -> ChainReport {
    let mut sums = BTreeMap::new();
    let doomed = match job.doomed().await {
        Ok(doomed) => doomed,
        Err(why) => return job.report(sums, Some(why)),
    };
    let done = raise_and_delete(job.ledger, job.new_floor(), doomed, &mut sums).await;
    let fault = done.err().map(|e| e.to_string());
    job.report(sums, fault)
}

async fn raise_and_delete(
    ledger: &Ledger,
    floor: Option<Floor>,
    doomed: Vec<(Kind, Placed)>,
    sums: &mut BTreeMap<Kind, Amount>,
) -> Result<()> {
    if let Some(floor) = floor {
        ledger.put_floor(&floor).await?;
        step::reached(Step::FloorWritten);
    }
    for (kind, placed) in doomed {
        ledger.store().delete(&placed.object.path).await?;
        add(sums, kind, &placed);
        match kind {
            Kind::Exchange | Kind::State => step::reached(Step::ObjectDeleted),
            Kind::Entry => step::reached(Step::EntryDeleted),
            Kind::Mark | Kind::Floor => {}
        }
    }
    Ok(())
}
