//! Who owns which partition: the group's decisions, carried out inside librdkafka's callback, on the poll thread.

use std::sync::{Arc, Mutex, PoisonError};

use dataflow::{PartitionId, Positions};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::poller::within;
use super::{KafkaConfig, KafkaError, StartPositions};

/// What the group decided, in order.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(i32, i64),
    Revoked(i32),
    Failed(KafkaError),
}

/// The client's context: answers rebalances and keeps what happened for the poll loop.
pub(super) struct Group {
    topic: String,
    ids: Arc<[PartitionId]>,
    starts: Arc<dyn StartPositions>,
    timeout: std::time::Duration,
    changes: Mutex<Vec<Change>>,
}

impl Group {
    pub(super) fn new(config: &KafkaConfig, ids: Arc<[PartitionId]>, starts: Arc<dyn StartPositions>) -> Self {
        let (topic, timeout) = (config.topic.clone(), config.timeout);
        Self { topic, ids, starts, timeout, changes: Mutex::default() }
    }

    /// What happened since the last call.
    pub(super) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, change: Change) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    /// Where each of the partitions continues: the ledger's position, or the log's beginning if the ledger knows none.
    ///
    /// # Errors
    /// If the ledger or the broker does not answer, or the broker does not hold the position.
    pub(super) fn positions<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partitions: &[i32],
    ) -> Result<Vec<(i32, i64)>, KafkaError> {
        let id = |p: &i32| usize::try_from(*p).ok().and_then(|i| self.ids.get(i)).ok_or(KafkaError::NewPartition(*p));
        let ids: Vec<PartitionId> = partitions.iter().map(|p| id(p).cloned()).collect::<Result<_, _>>()?;
        let known: Positions = self.starts.positions(&ids).map_err(KafkaError::Positions)?;
        let position = |(partition, id): (&i32, &PartitionId)| {
            let marks = consumer.fetch_watermarks(&self.topic, *partition, self.timeout);
            let marks = marks.map_err(KafkaError::client(format!("partition {partition}: ask for the log's ends")))?;
            Ok((*partition, within(*partition, known.get(id).copied(), marks)?))
        };
        partitions.iter().zip(&ids).map(position).collect()
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        let mut positions = self.positions(consumer, &partitions)?;
        let mut assigned = TopicPartitionList::new();
        for (partition, position) in &positions {
            let added = assigned.add_partition_offset(&self.topic, *partition, Offset::Offset(*position));
            added.map_err(KafkaError::client("name a position"))?;
        }
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&assigned),
            _ => consumer.assign(&assigned),
        };
        done.map_err(KafkaError::client("take partitions over"))?;
        positions.drain(..).for_each(|(partition, position)| self.note(Change::Assigned(partition, position)));
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        list.elements().iter().for_each(|e| self.note(Change::Revoked(e.partition())));
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        done.map_err(KafkaError::client("give partitions back"))
    }
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            self.note(Change::Failed(error));
        }
    }
}
