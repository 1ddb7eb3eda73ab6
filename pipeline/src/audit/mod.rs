//! The audit of a warehouse: the invariants of the protocol, checked on what is stored, while no worker needs to run.
//!
//! One file an invariant family. [`facts`] reads ledger, catalog and manifests once; each check looks at the facts, or asks
//! the tables in SQL, and gives a [`Verdict`]. A check that rests on something broken says so and does not fail as well: the
//! first thing that is wrong is named, not its consequences. Nothing is written, nothing repaired.

mod aggregates;
mod balance;
mod chains;
mod facts;
mod files;
mod foreign;
mod identity;
mod progress;
mod ranges;
mod references;
mod seen;
mod state;
mod tenants;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aggregate::RuleSet;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use sinks::Warehouse;

use crate::warehouse_sql;

pub(crate) use facts::Facts;

/// Faults that a verdict shows.
const SHOWN: usize = 5;

/// What an audit may compare the warehouse with.
pub(crate) struct Against {
    /// The folder of the generator's own log, if it was the source.
    pub(crate) truth: Option<PathBuf>,
    /// The rules that ran.
    pub(crate) rules: Arc<RuleSet>,
    /// The tenant of each topic, as the configuration says; empty if none was given.
    pub(crate) tenants: BTreeMap<String, String>,
}

/// One invariant and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Its number in the protocol.
    pub(crate) id: &'static str,
    /// What has to hold.
    pub(crate) what: &'static str,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
}

/// How an invariant stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It holds; what was looked at.
    Ok { detail: String },
    /// It does not; the first objects that show it, and how many there are.
    Failed { faults: Vec<String>, total: usize },
    /// It was not checked, and why.
    NotChecked { reason: String },
}

impl Verdict {
    fn not_checked(reason: impl Into<String>) -> Self {
        Verdict::NotChecked { reason: reason.into() }
    }

    pub(crate) fn failed(&self) -> bool {
        matches!(self, Verdict::Failed { .. })
    }
}

/// Faults being collected: the first few in words, all of them counted.
#[derive(Debug, Default)]
struct Faults {
    first: Vec<String>,
    total: usize,
}

impl Faults {
    fn add(&mut self, fault: impl FnOnce() -> String) {
        self.total += 1;
        if self.first.len() < SHOWN {
            self.first.push(fault());
        }
    }

    /// The verdict, with what was looked at in case it is good.
    fn verdict(self, detail: impl Into<String>) -> Verdict {
        match self.total {
            0 => Verdict::Ok { detail: detail.into() },
            total => Verdict::Failed { faults: self.first, total },
        }
    }
}

/// Hears what is looked at next.
pub(crate) type Tell<'a> = &'a (dyn Fn(&'static str) + Sync);

/// Checks every invariant, in the order of the protocol.
///
/// # Errors
/// If the ledger or the catalog cannot be listed at all.
pub(crate) async fn audit(warehouse: &Warehouse, against: &Against, tell: Tell<'_>) -> anyhow::Result<Vec<Check>> {
    tell("ledger, catalog and manifests");
    let facts = Facts::read(warehouse).await?;
    let session = warehouse_sql::session(warehouse).await;
    let sql = match &session {
        Ok(session) => Ok(session),
        Err(e) => Err(format!("the tables cannot be read: {e:#}")),
    };
    let chains = chains::check(&facts);
    let progress = after(&[("chains", &chains)], || progress::check(&facts));
    let below = [("chains", &chains), ("I6", &progress)];
    let ranges = after(&below, || ranges::check(&facts));
    tell("I2: data files");
    let files = files::check(&facts).await;
    tell("I3: row identities");
    let identity = asked(identity::check(&facts, sql.clone(), against).await);
    tell("I4: rules as batch SQL");
    let aggregates = match broken(&below).or_else(|| facts.why_rows_are_gone()) {
        Some(reason) => Verdict::not_checked(reason),
        None => asked(aggregates::check(&facts, sql.clone(), &against.rules).await),
    };
    tell("I8: tenants");
    let tenants = asked(tenants::check(sql.clone(), against).await);
    tell("I9: everything that is named");
    let references = references::check(&facts).await;
    tell("I7: merge states");
    let states = match broken(&[below[0], below[1], ("I9", &references)]) {
        Some(reason) => Verdict::not_checked(reason),
        None => asked(state::check(&facts, warehouse, &against.rules).await),
    };
    tell("I10: records and rows");
    let balance = match broken(&below) {
        Some(reason) => Verdict::not_checked(reason),
        None => asked(balance::check(&facts, sql).await),
    };
    let calm = "it compares with a calm run of the same input; keep one and compare detection_finding";
    let checks = [
        ("chains", "ledger chains have no gap, and all that a start needs is on them", chains),
        ("I1", "a table holds exactly the files of the entries up to its next", ranges),
        ("I2", "no data file is live twice, and each holds the rows it is said to", files),
        ("I3", "row identities are distinct", identity),
        ("I4", "alerts equal the same rules run as batch SQL over the tables", aggregates),
        ("I5", "alerts equal those of a calm run", Verdict::not_checked(calm)),
        ("I6", "next and watermarks never go back", progress),
        ("I7", "merge state equals state rebuilt from the beginning", states),
        ("I8", "no row of one tenant under another", tenants),
        ("I9", "all that entries and snapshots name exists as it was written", references),
        ("I10", "received = rows + dead letters + filtered", balance),
    ];
    Ok(checks.into_iter().map(|(id, what, verdict)| Check { id, what, verdict }).collect())
}

/// The session of the tables, or why there is none.
type Sql<'a> = Result<&'a SessionContext, String>;

/// Why a check cannot be made, if one that it rests on failed.
fn broken(below: &[(&str, &Verdict)]) -> Option<String> {
    let (id, _) = below.iter().find(|(_, verdict)| verdict.failed())?;
    Some(format!("it rests on {id}, which failed"))
}

fn after(below: &[(&str, &Verdict)], check: impl FnOnce() -> Verdict) -> Verdict {
    broken(below).map_or_else(check, Verdict::not_checked)
}

/// A check that could not ask its question is not a failure of what it asks about.
fn asked(verdict: anyhow::Result<Verdict>) -> Verdict {
    verdict.unwrap_or_else(|e| Verdict::not_checked(format!("{e:#}")))
}

#[cfg(test)]
mod tests;
