//! What shards tell intake of shared partitions: where another worker was faster, and how far the ledger is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataflow::{PartitionId, Positions};

/// Cheap to clone; one a worker. Bounded by the number of partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    shared: BTreeSet<PartitionId>,
    fenced: BTreeSet<PartitionId>,
    durable: Positions,
}

impl Claims {
    /// The worker shares the partition with others.
    pub(crate) fn share(&self, partition: PartitionId) {
        self.told().shared.insert(partition);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if other workers may write to the partition.
    pub(crate) fn is_shared(&self, partition: &PartitionId) -> bool {
        self.told().shared.contains(partition)
    }

    /// The ledger has a range of another worker where ours was to go.
    pub(crate) fn fence(&self, partition: PartitionId) {
        self.told().fenced.insert(partition);
    }

    /// All below `next` is in the ledger.
    pub(crate) fn note_durable(&self, partition: &PartitionId, next: i64) {
        let mut told = self.told();
        if told.shared.contains(partition) {
            told.durable.insert(partition.clone(), next);
        }
    }

    /// Those of `own` that were fenced since the last call.
    pub(crate) fn take_fenced<'a>(&self, own: impl Iterator<Item = &'a PartitionId>) -> Vec<PartitionId> {
        let mut told = self.told();
        own.filter(|p| told.fenced.remove(*p)).cloned().collect()
    }

    /// How far those of `own` have come since the last call.
    pub(crate) fn take_durable<'a>(&self, own: impl Iterator<Item = &'a PartitionId>) -> Positions {
        let mut told = self.told();
        own.filter_map(|p| told.durable.remove_entry(p)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_takes_its_own_once() {
        let partition = |n| PartitionId::new("t", "i", n);
        let claims = Claims::default();
        [0, 1].into_iter().for_each(|n| claims.share(partition(n)));
        claims.fence(partition(0));
        claims.note_durable(&partition(1), 5);
        claims.note_durable(&partition(1), 9);
        claims.note_durable(&partition(7), 1); // not shared: nobody would ask
        assert_eq!(claims.take_fenced([partition(1)].iter()), []);
        assert_eq!(claims.take_fenced([partition(0)].iter()), [partition(0)]);
        assert_eq!(claims.take_fenced([partition(0)].iter()), []);
        assert_eq!(claims.take_durable([partition(1), partition(7)].iter()), Positions::from([(partition(1), 9)]));
        assert!(claims.take_durable([partition(1)].iter()).is_empty());
    }
}
