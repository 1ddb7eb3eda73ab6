//! Redo of ledger entries: their files become rows of the tables, in one Iceberg commit a table.
//!
//! A commit moves `palisade.next` of every partition it takes in, in the same transaction as the files, on the very base
//! that its walk of the ledger began on ([`GuardedCatalog`]). What a commit was answered is not believed: the table is
//! loaded again and says whether the snapshot is there. So a lost response, a timeout and a crash end alike, in another
//! walk from where the table is. Nothing is ever deleted.

mod guard;
mod manifest;
mod plan;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{self, Arc, PoisonError};
use std::time::Duration;

use dataflow::{OffsetRange, PartitionId, Positions, Table, mutant};
use iceberg::spec::TableMetadata;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::ledger::{MergeEntry, SourceEntry};
use crate::step::{self, Step};
use crate::warehouse::Warehouse;
use crate::{Class, Destination, Error, Result};

pub use guard::GuardedCatalog;
use plan::{Memory, Pass, Plan};

/// The tables in commit order: alerts after the rows they speak of.
const COMMIT_ORDER: [Table; 15] = [
    Table::NetworkActivity,
    Table::HttpActivity,
    Table::DnsActivity,
    Table::DhcpActivity,
    Table::Authentication,
    Table::TunnelActivity,
    Table::ApiActivity,
    Table::ApplicationLifecycle,
    Table::EventLogActivity,
    Table::InventoryInfo,
    Table::DeviceConfigStateChange,
    Table::BaseEvent,
    Table::DetectionFinding,
    Table::DeadLetter,
    Table::LateWindow,
];

/// A class's place in [`COMMIT_ORDER`].
fn rank(table: Table) -> usize {
    COMMIT_ORDER.iter().position(|t| *t == table).unwrap_or(COMMIT_ORDER.len())
}

/// Snapshot summary: the ranges and merge steps taken in, as JSON.
pub const RANGES_PROPERTY: &str = "palisade.ranges";
/// Snapshot summary: the lowest watermark of the entries taken in.
pub const WATERMARK_PROPERTY: &str = "palisade.watermark";
/// Snapshot summary: who committed.
pub const WRITER_PROPERTY: &str = "palisade.writer";
/// Snapshot summary: which attempt, unique.
pub const COMMIT_PROPERTY: &str = "palisade.commit";

/// What a call of [`Committer::commit_pending`] did.
#[derive(Debug, Default)]
pub struct CommitReport {
    /// The commits made, in order; tables that nothing waited for are left out.
    pub commits: Vec<TableCommit>,
    /// More waits than one commit takes: call again at once.
    pub more: bool,
}

/// One commit of one table.
#[derive(Debug)]
pub struct TableCommit {
    /// The table.
    pub table: Destination,
    /// The snapshot that holds it.
    pub snapshot_id: i64,
    /// Data files added.
    pub files: usize,
    /// Rows added.
    pub rows: u64,
    /// Bytes of the data files.
    pub bytes: u64,
    /// The ranges that the table took in, entries without rows for it included.
    pub ranges: BTreeMap<PartitionId, OffsetRange>,
    /// The merge steps that the table took in, by group.
    pub steps: BTreeMap<u32, Range<i64>>,
    /// The entries whose rows of this table became readable with this commit.
    pub entries: Vec<Arc<SourceEntry>>,
    /// The merge steps whose rows of this table became readable with this commit.
    pub merges: Vec<Arc<MergeEntry>>,
    /// Attempts it took.
    pub attempts: u32,
    /// The table afterwards.
    pub extent: Extent,
}

/// How large a table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Data files of the current snapshot.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Snapshots that are kept.
    pub snapshots: u64,
}

impl Extent {
    fn of(metadata: &TableMetadata) -> Self {
        let summary = metadata.current_snapshot().map(|snapshot| &snapshot.summary().additional_properties);
        let total = |name: &str| summary.and_then(|summary| summary.get(name)?.parse().ok()).unwrap_or(0);
        let snapshots = metadata.snapshots().len() as u64;
        Self { files: total("total-data-files"), bytes: total("total-files-size"), snapshots }
    }
}

impl CommitReport {
    /// Rows added, over all tables.
    pub fn rows(&self) -> u64 {
        self.commits.iter().map(|c| c.rows).sum()
    }
}

/// Why an attempt at a commit has to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// Another worker or another engine committed first.
    Fenced,
    /// The catalog or the store failed or did not answer.
    Failed,
}

impl Miss {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Miss::Fenced => "fenced",
            Miss::Failed => "failed",
        }
    }

    fn of(error: &Error) -> Self {
        match error {
            Error::Fenced { .. } => Miss::Fenced,
            Error::Catalog { source, .. } if source.kind() == iceberg::ErrorKind::CatalogCommitConflicts => {
                Miss::Fenced
            }
            _ => Miss::Failed,
        }
    }
}

/// Commits what waits in the ledger. Any number may run at once; they fence each other, table by table.
#[derive(Debug)]
pub struct Committer {
    warehouse: Warehouse,
    writer: String,
    /// One pass at a time within a committer.
    memory: Mutex<Memory>,
    told: Told,
    /// Attempts since somebody last asked.
    missed: sync::Mutex<BTreeMap<(Destination, Miss), u64>>,
    guarded: bool,
}

/// Hears of a table that has all rows below these positions now, whoever committed them.
pub type TableNews = dyn Fn(Destination, &Positions) + Send + Sync;

/// Who wants to hear of each table as soon as it is done, and not at the end of a pass.
#[derive(Default)]
struct Told(Option<Arc<TableNews>>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "somebody" } else { "nobody" })
    }
}

/// How far a commit goes when no file waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lag {
    /// Leave the table behind until it lags by the configured number of entries.
    Allowed,
    /// Move every table to the ledger's end.
    None,
}

impl Committer {
    pub(crate) fn new(warehouse: Warehouse, writer: &str) -> Self {
        let guarded = !mutant::is("no-guard");
        let (memory, missed) = (Mutex::new(Memory::of(writer)), sync::Mutex::default());
        Self { warehouse, writer: writer.to_owned(), memory, told: Told::default(), missed, guarded }
    }

    /// Tells of each table as soon as it is done, also in passes that fail at a later one.
    #[must_use]
    pub fn telling(self, news: Arc<TableNews>) -> Self {
        Self { told: Told(Some(news)), ..self }
    }

    /// Attempts that came to nothing since the last call, also those of passes that failed.
    pub fn take_missed(&self) -> BTreeMap<(Destination, Miss), u64> {
        std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn miss(&self, table: Destination, error: &Error) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        *missed.entry((table, Miss::of(error))).or_default() += 1;
    }

    /// Commits the files of all waiting entries, one commit a table. Safe to drop at any point: the next call goes on.
    ///
    /// # Errors
    /// The first table that could not be committed ends the pass; tables before it are done.
    pub async fn commit_pending(&self) -> Result<CommitReport> {
        self.pass(Lag::Allowed).await
    }

    /// As [`Committer::commit_pending`], and every table's `palisade.next` reaches the ledger's end, also where no entry
    /// touched it: before a clean stop, and for audits.
    ///
    /// # Errors
    /// As [`Committer::commit_pending`].
    pub async fn settle(&self) -> Result<CommitReport> {
        self.until_done(Lag::None).await
    }

    /// Commits what an earlier run left in the ledger: before the first record is read.
    ///
    /// # Errors
    /// As [`Committer::commit_pending`].
    pub async fn roll_forward(&self) -> Result<CommitReport> {
        let report = self.until_done(Lag::Allowed).await?;
        step::reached(Step::RolledForward);
        Ok(report)
    }

    async fn until_done(&self, lag: Lag) -> Result<CommitReport> {
        let mut total = self.pass(lag).await?;
        while total.more {
            let report = self.pass(lag).await?;
            total.more = report.more;
            total.commits.extend(report.commits);
        }
        Ok(total)
    }

    async fn pass(&self, lag: Lag) -> Result<CommitReport> {
        let mut memory = self.memory.lock().await;
        let mut pass = Pass::begin(&self.warehouse).await?;
        let mut report = CommitReport::default();
        while let Some(table) = pass.next_table() {
            let (commit, more) = self.commit_table(table, lag, &mut pass, &mut memory).await?;
            report.commits.extend(commit);
            report.more |= more;
            if let (Some(tell), Some(ends)) = (&self.told.0, pass.ends(table)) {
                tell(table, ends);
            }
            step::reached(Step::BetweenTables);
        }
        Ok(report)
    }

    /// Builds and sends until the table has all that waits, or the attempts are used up.
    async fn commit_table(
        &self,
        table: Destination,
        lag: Lag,
        pass: &mut Pass,
        memory: &mut Memory,
    ) -> Result<(Option<TableCommit>, bool)> {
        let config = self.warehouse.config();
        if lag == Lag::Allowed && pass.is_idle(&self.warehouse, table, memory).await? {
            return Ok((None, false));
        }
        let mut kept = None;
        for attempt in 1.. {
            let plan = match kept.take() {
                Some(plan) => plan,
                None => Plan::build(&self.warehouse, table, pass, memory).await?,
            };
            let lags = if lag == Lag::None { !plan.sets.is_empty() } else { plan.behind >= config.lag_entries_max };
            if plan.files.is_empty() && !lags {
                pass.done(&plan);
                return Ok((None, plan.more));
            }
            let sent = self.send(&plan).await;
            if let Err(e) = &sent {
                self.miss(table, e);
            }
            match sent {
                Ok((snapshot_id, extent)) => {
                    pass.done(&plan);
                    let more = plan.more;
                    return Ok((Some(plan.committed(snapshot_id, extent, attempt)), more));
                }
                // No attempt of this pass is late enough.
                Err(e @ Error::ClockBehind { .. }) => return Err(e),
                Err(e) if attempt >= config.commit_attempts_max || e.class() == Class::Permanent => return Err(e),
                Err(e) => tracing::debug!(%table, attempt, error = %e, "commit is tried again"),
            }
            // A stock transaction sends again what it has; we look again at what the table has.
            kept = (!self.guarded).then_some(plan);
            tokio::time::sleep(backoff(config.commit_backoff_ms, attempt)).await;
        }
        unreachable!("the loop ends by a return")
    }

    /// Sends a plan once. Ok only if the table, loaded again, has the snapshot.
    async fn send(&self, plan: &Plan) -> Result<(i64, Extent)> {
        let action = format!("commit to {}", plan.table);
        let commit = Uuid::new_v4();
        let expected = if self.guarded { plan.expected.clone() } else { BTreeMap::new() };
        let config = self.warehouse.config().clone();
        let guard = GuardedCatalog::new(self.warehouse.catalog(), config, plan.table, expected);
        let transaction = self.transaction(plan, commit).map_err(|e| Error::catalog(&action, e))?;
        step::reached(Step::TableCommitBefore);
        let answer = transaction.commit(&guard).await;
        step::reached(Step::TableCommitAfter);
        if let Some(fenced) = guard.fenced() {
            return Err(fenced);
        }
        let now = self.warehouse.load_table(plan.table).await?;
        let id = commit.to_string();
        let is_ours =
            |s: &&iceberg::spec::SnapshotRef| s.summary().additional_properties.get(COMMIT_PROPERTY) == Some(&id);
        match (now.metadata().snapshots().find(is_ours), answer) {
            (Some(snapshot), _) => Ok((snapshot.snapshot_id(), Extent::of(now.metadata()))),
            // Of a kind that says only that something is invalid.
            (None, Err(e))
                if ["Invalid snapshot timestamp", "Invalid update timestamp"]
                    .iter()
                    .any(|w| e.message().starts_with(w)) =>
            {
                let changed_at = dataflow::time::rfc3339(now.metadata().last_updated_ms().saturating_mul(1_000));
                Err(Error::ClockBehind { table: plan.table, changed_at })
            }
            (None, Err(e)) => Err(Error::catalog(action, e)),
            (None, Ok(_)) => {
                let lost = "the catalog said yes, but the snapshot is not there";
                Err(Error::catalog(action, iceberg::Error::new(iceberg::ErrorKind::Unexpected, lost)))
            }
        }
    }

    /// Files and `palisade.next` in one transaction. The append is there even without files: it brings the requirement
    /// that the snapshot is still the one checked, which a change of properties alone does not have.
    fn transaction(&self, plan: &Plan, commit: Uuid) -> iceberg::Result<Transaction> {
        let transaction = Transaction::new(&plan.base);
        let mut properties = transaction.update_table_properties();
        for (key, next) in &plan.sets {
            properties = properties.set(key.clone(), next.to_string());
        }
        let transaction = properties.apply(transaction)?;
        let append = transaction
            .fast_append()
            .with_check_duplicate(false)
            .set_snapshot_properties(self.summary(plan, commit))
            .add_data_files(manifest::data_files(plan.base.metadata(), &plan.files)?);
        append.apply(transaction)
    }

    fn summary(&self, plan: &Plan, commit: Uuid) -> HashMap<String, String> {
        let ranges = plan.ranges.iter().map(|(p, r)| serde_json::json!([p.path(), r.start, r.next]));
        let steps = plan.steps.iter().map(|(g, s)| serde_json::json!([format!("_merge/{g}"), s.start, s.end]));
        let ranges = serde_json::Value::Array(ranges.chain(steps).collect());
        let mut summary = HashMap::from([
            (RANGES_PROPERTY.to_owned(), ranges.to_string()),
            (WRITER_PROPERTY.to_owned(), self.writer.clone()),
            (COMMIT_PROPERTY.to_owned(), commit.to_string()),
        ]);
        summary.extend(plan.watermark.map(|w| (WATERMARK_PROPERTY.to_owned(), w.to_string())));
        summary
    }

    /// The mutant `commit-before-entry`: puts the files of an entry that the ledger does not have into the tables.
    ///
    /// # Errors
    /// As [`Committer::commit_pending`].
    pub async fn commit_unrecorded(&self, entry: &SourceEntry) -> Result<()> {
        let range = OffsetRange { start: entry.start, next: entry.next };
        for &table in entry.tables.keys() {
            let base = self.warehouse.load_table(table).await?;
            let region = &self.warehouse.config().region;
            let nexts = crate::warehouse::Nexts::read(region, table, base.metadata())?;
            let mut plan = Plan::empty(table, base);
            plan.take_source(Arc::new(entry.clone()));
            plan.move_source(region, &entry.partition, nexts.sources.get(&entry.partition).copied(), range);
            self.send(&plan).await?;
        }
        Ok(())
    }
}

impl Plan {
    fn committed(self, snapshot_id: i64, extent: Extent, attempts: u32) -> TableCommit {
        TableCommit {
            table: self.table,
            snapshot_id,
            files: self.files.len(),
            rows: self.files.iter().map(|f| f.rows).sum(),
            bytes: self.files.iter().map(|f| f.bytes).sum(),
            ranges: self.ranges,
            steps: self.steps,
            entries: self.entries,
            merges: self.merges,
            attempts,
            extent,
        }
    }
}

/// Doubles from `first_ms`, at most 32 times that.
pub(crate) fn backoff(first_ms: u64, attempt: u32) -> Duration {
    Duration::from_millis(first_ms.saturating_mul(1 << (attempt - 1).min(5)))
}

#[cfg(test)]
pub(crate) mod tests;
