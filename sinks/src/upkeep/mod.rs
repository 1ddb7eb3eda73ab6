//! Collection: what of the ledger nobody can need any more is deleted.
//!
//! ```text
//! chain of entries:  |--- deleted ---|--- kept: young, or needed ---|
//!                                    ^ floor                        ^ head
//! ```
//!
//! **Data in:** chains, tables, a time. **Data out:** higher floors, and fewer objects. A chain is collected in two moves: its
//! floor is written, then what is below is deleted, the oldest first, an entry after the objects beside it. Whoever walks a
//! chain begins at its floor or above, so a crash at any point leaves a chain that can be walked, and the next turn goes on
//! with what is left below.
//!
//! Invariants:
//! - Above a floor is everything that a table, a merge group or a receiver of alerts may still ask for ([`plan`]).
//! - What is not as it should be, or not known, keeps its whole chain, and a reader is told why.
//! - A floor never goes down. Several workers may collect at once: they set the same floors, and delete what is below.
//!
//! Absent on purpose: data files, which are their tables' ([`orphans`] finds those that never were), and snapshots, which query
//! engines expire.

mod apply;
mod look;
mod orphans;
pub(crate) mod plan;

use std::collections::BTreeMap;
use std::fmt;

use dataflow::PartitionId;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use crate::Result;
use crate::outbox::AlertChain;
use crate::warehouse::Warehouse;
use plan::{Decision, View};

pub use orphans::{Litter, Orphan};
pub use plan::Held;

/// Chains that are collected at the same time.
const CHAINS_AT_ONCE: usize = 8;

/// What may go.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The time, microseconds since 1970.
    pub now: i64,
    /// How long everything is kept at least, microseconds.
    pub retention_us: i64,
    /// True for a partition that no merge group takes in.
    pub is_unmerged: fn(&PartitionId) -> bool,
}

impl Policy {
    /// What was written before may go.
    fn horizon(&self) -> i64 {
        self.now.saturating_sub(self.retention_us)
    }
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A ledger entry.
    Entry,
    /// The deltas of a range.
    Exchange,
    /// A merge state.
    State,
    /// How far a receiver had alerts, before a later mark.
    Mark,
    /// A floor below a higher one.
    Floor,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Entry, Kind::Exchange, Kind::State, Kind::Mark, Kind::Floor];

    /// The kind in metrics and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Entry => "entry",
            Kind::Exchange => "exchange",
            Kind::State => "state",
            Kind::Mark => "mark",
            Kind::Floor => "floor",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Objects and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// How large, together.
    pub bytes: u64,
}

/// What was done with one chain, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The chain.
    pub chain: AlertChain,
    /// Where it began.
    pub from: i64,
    /// Where it begins now.
    pub to: i64,
    /// What is deleted.
    pub deleted: BTreeMap<Kind, Amount>,
    /// Why entries that are old enough are kept.
    pub held: Option<Held>,
}

/// What a turn of collection did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Chain by chain, partitions before merge groups.
    pub chains: Vec<ChainReport>,
    /// More is old enough: another turn would go on.
    pub more: bool,
}

impl Report {
    /// What was deleted, by kind.
    pub fn deleted(&self) -> BTreeMap<Kind, Amount> {
        let mut sums: BTreeMap<Kind, Amount> = BTreeMap::new();
        for (kind, amount) in self.chains.iter().flat_map(|chain| &chain.deleted) {
            let sum = sums.entry(*kind).or_default();
            sum.objects += amount.objects;
            sum.bytes += amount.bytes;
        }
        sums
    }

    /// Chains that are left as they are since something is not as it should be, and what.
    pub fn faults(&self) -> impl Iterator<Item = (&AlertChain, &str)> {
        self.chains.iter().filter_map(|chain| match &chain.held {
            Some(Held::Fault(why)) => Some((&chain.chain, why.as_str())),
            _ => None,
        })
    }
}

impl Warehouse {
    /// What a turn of collection would delete. Nothing is.
    ///
    /// # Errors
    /// If the ledger cannot be listed at all.
    pub async fn plan_collection(&self, policy: &Policy) -> Result<Report> {
        let view = look::look(self, policy).await?;
        let decisions = plan::plan(&view, policy.horizon());
        Ok(self.each(&view, decisions, true).await)
    }

    /// One turn of collection. Tables that hold entries back only because nothing touched them are moved along first, under the
    /// name `writer`. Safe to drop at any point, and to run in any number of processes.
    ///
    /// # Errors
    /// If the ledger cannot be listed at all, or the tables not be moved along. What is wrong with one chain is in the report.
    pub async fn collect(&self, policy: &Policy, writer: &str) -> Result<Report> {
        let mut view = look::look(self, policy).await?;
        let mut decisions = plan::plan(&view, policy.horizon());
        if decisions.iter().any(|decision| matches!(decision.held, Some(Held::Table(_)))) {
            self.committer(writer).settle().await?;
            view = look::look(self, policy).await?;
            decisions = plan::plan(&view, policy.horizon());
        }
        Ok(self.each(&view, decisions, false).await)
    }

    /// Counts or deletes what a plan lets go of each chain.
    async fn each(&self, view: &View, decisions: Vec<Decision>, is_dry: bool) -> Report {
        let more = decisions.iter().any(|decision| decision.more);
        let mut jobs: Vec<BoxFuture<'_, ChainReport>> = Vec::with_capacity(decisions.len());
        for decision in decisions {
            let job = apply::Job { ledger: self.ledger(), view, decision };
            jobs.push(if is_dry { apply::count(job).boxed() } else { apply::delete(job).boxed() });
        }
        let chains = futures::stream::iter(jobs).buffered(CHAINS_AT_ONCE).collect().await;
        Report { chains, more }
    }
}

#[cfg(test)]
mod tests;
