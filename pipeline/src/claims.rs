//! What shards tell intake of shared partitions: where another worker was faster, and how far the ledger is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataflow::{PartitionId, Positions, Source};

/// Cheap to clone; one a worker. Bounded by the number of partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    shared: Arc<BTreeSet<PartitionId>>,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    fenced: BTreeSet<PartitionId>,
    durable: Positions,
}

impl Claims {
    /// For a worker that shares these partitions with others.
    pub(crate) fn new(shared: impl IntoIterator<Item = PartitionId>) -> Self {
        Self { shared: Arc::new(shared.into_iter().collect()), told: Arc::default() }
    }

    /// For a worker with these sources.
    pub(crate) fn of(sources: &[Box<dyn Source>]) -> Self {
        Self::new(sources.iter().filter(|s| s.is_shared()).flat_map(|s| s.partitions()))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if other workers may write to the partition.
    pub(crate) fn is_shared(&self, partition: &PartitionId) -> bool {
        self.shared.contains(partition)
    }

    /// The ledger has a range of another worker where ours was to go.
    pub(crate) fn fence(&self, partition: PartitionId) {
        self.told().fenced.insert(partition);
    }

    /// All below `next` is in the ledger.
    pub(crate) fn note_durable(&self, partition: &PartitionId, next: i64) {
        if self.is_shared(partition) {
            self.told().durable.insert(partition.clone(), next);
        }
    }

    /// Those of `own` that were fenced since the last call.
    pub(crate) fn take_fenced(&self, own: &[PartitionId]) -> Vec<PartitionId> {
        let mut told = self.told();
        own.iter().filter(|p| told.fenced.remove(*p)).cloned().collect()
    }

    /// How far those of `own` have come since the last call.
    pub(crate) fn take_durable(&self, own: &[PartitionId]) -> Positions {
        let mut told = self.told();
        own.iter().filter_map(|p| told.durable.remove_entry(p)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_takes_its_own_once() {
        let partition = |n| PartitionId::new("t", "i", n);
        let claims = Claims::new([partition(0), partition(1)]);
        claims.fence(partition(0));
        claims.note_durable(&partition(1), 5);
        claims.note_durable(&partition(1), 9);
        claims.note_durable(&partition(7), 1); // not shared: nobody would ask
        assert_eq!(claims.take_fenced(&[partition(1)]), []);
        assert_eq!(claims.take_fenced(&[partition(0)]), [partition(0)]);
        assert_eq!(claims.take_fenced(&[partition(0)]), []);
        assert_eq!(claims.take_durable(&[partition(1), partition(7)]), Positions::from([(partition(1), 9)]));
        assert!(claims.take_durable(&[partition(1)]).is_empty());
    }
}
