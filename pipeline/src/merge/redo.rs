//! A merge step done again from the ledger and the exchange files: by whoever takes a group over, and by the audit.

use std::sync::Arc;

use aggregate::{Delta, Deltas, MergeStage, RuleSet, StepStamp};
use anyhow::Context;
use dataflow::{OffsetRange, PartitionId, Positions};
use sinks::{Ledger, MergeEntry, SourceEntry, Warehouse};

use crate::rules;

/// What entries call the version of the rules.
pub(super) const RULES: &str = "rules";

/// Those of the rules that took the step.
///
/// # Errors
/// If what the version held cannot be read.
pub(crate) async fn rules_of(
    warehouse: &Warehouse,
    rules: &Arc<RuleSet>,
    entry: &MergeEntry,
) -> anyhow::Result<Arc<RuleSet>> {
    rules::of_version(warehouse, rules, entry.versions.get(RULES)).await
}

/// Takes the stage from the step before to this one; `vector` is what was merged then. The stage runs the rules that took the step:
/// what others would have made of it, nobody was told.
///
/// # Errors
/// If an object that the ledger names is missing or damaged.
pub(crate) async fn redo(
    ledger: &Ledger,
    stage: &mut MergeStage,
    vector: &Positions,
    entry: &MergeEntry,
) -> anyhow::Result<()> {
    for (partition, next) in &entry.vector {
        let Some(mut at) = start(ledger, vector, partition).await? else { continue };
        while at < *next {
            let source = ledger.get_source_shared(partition, at).await?;
            let source = source.with_context(|| format!("{partition}: no ledger entry at {at}"))?;
            let delta = load_delta(ledger, &source, entry.group).await?;
            stage.apply(partition, range(&source), &delta)?;
            at = source.next;
        }
    }
    let stamp = StepStamp { step: entry.step, at: entry.at, received_until: entry.received_until };
    stage.step(stamp, entry.watermark, &entry.vector, &entry.versions)?;
    Ok(())
}

/// Where a partition's chain is taken up: at the known position, or at its first entry.
pub(super) async fn start(ledger: &Ledger, known: &Positions, partition: &PartitionId) -> anyhow::Result<Option<i64>> {
    match known.get(partition) {
        Some(position) => Ok(Some(*position)),
        None => Ok(ledger.first(partition).await?),
    }
}

pub(super) fn range(entry: &SourceEntry) -> OffsetRange {
    OffsetRange { start: entry.start, next: entry.next }
}

pub(super) async fn load_delta(ledger: &Ledger, entry: &SourceEntry, group: u32) -> anyhow::Result<Delta> {
    match &entry.exchange {
        None => Ok(Delta::empty(group)),
        Some(object) => {
            let bytes = ledger.get_shared(object).await?;
            Deltas::decode_group(&bytes, group).with_context(|| format!("exchange file {}", object.path))
        }
    }
}
