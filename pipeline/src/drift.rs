//! What sources send for the first time: counted, and told in one log line, whichever shard sees it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use ingest::decode::{Drift, DriftKind};
use prometheus::IntCounterVec;

/// Names that are remembered as told; those beyond are counted by each shard and told no more.
const TOLD_MAX: usize = 100_000;

/// Names in one log line.
const NAMES_MAX: usize = 20;

/// See the module's front. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DriftLog {
    told: Arc<Mutex<HashSet<Drift>>>,
    pub(crate) counts: IntCounterVec,
}

impl DriftLog {
    pub(crate) fn new(counts: IntCounterVec) -> Self {
        // So that the first is an increase.
        DriftKind::ALL.iter().for_each(|kind| counts.with_label_values(&[kind.name()]).inc_by(0));
        Self { told: Arc::default(), counts }
    }

    /// Counts what no shard has told of, and logs a line for each source, decoder and kind.
    pub(crate) fn tell(&self, found: Vec<Drift>) {
        if found.is_empty() {
            return;
        }
        let mut fresh = self.fresh(found);
        fresh.sort();
        for group in fresh.chunk_by(|a, b| (&a.source, a.by, a.kind) == (&b.source, b.by, b.kind)) {
            let Drift { source, by, kind, .. } = &group[0];
            let names: Vec<&str> = group.iter().take(NAMES_MAX).map(|drift| drift.name.as_str()).collect();
            let (names, further) = (names.join(", "), group.len().saturating_sub(NAMES_MAX));
            tracing::warn!(%source, decoder = by, %kind, names, further, "{}", meaning(*kind));
        }
    }

    fn fresh(&self, found: Vec<Drift>) -> Vec<Drift> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for drift in found {
            if told.contains(&drift) {
                continue;
            }
            self.counts.with_label_values(&[drift.kind.name()]).inc();
            if told.len() < TOLD_MAX {
                told.insert(drift.clone());
                fresh.push(drift);
            }
        }
        fresh
    }
}

fn meaning(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::LogType => "the source sends log types that no decoder knows; they are base_event rows",
        DriftKind::Layout => "the source sends longer lines than the decoder knows; what is new stays in unmapped",
        DriftKind::Key => "the source sends names that no attribute takes; they stay in unmapped",
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Telemetry;

    use super::*;

    #[test]
    fn a_name_is_counted_once_whichever_shard_sees_it() {
        let telemetry = Telemetry::new();
        let drift =
            |name: &str| Drift { source: "fw".into(), by: "traffic", kind: DriftKind::Key, name: name.to_owned() };
        let (a, b) = (telemetry.clone(), telemetry.clone());
        a.drift.tell(vec![drift("x"), drift("y")]);
        b.drift.tell(vec![drift("y"), drift("z")]);
        let counted = |kind: DriftKind| telemetry.drift.counts.with_label_values(&[kind.name()]).get();
        assert_eq!(DriftKind::ALL.map(counted), [0, 0, 3]);
    }
}
