//! Partitions that cannot be read on: their position is not in the broker's log, or the topic is another one or none.

use dataflow::{SourceEvent, Stop};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Poller;
use crate::kafka::KafkaError;

/// Partitions that wait and are asked for at once.
const ASKED_AT_ONCE: usize = 4;

impl Poller {
    /// What was read of the partition leaves; nothing more of it is read. A bounded run cannot come to its end then.
    pub(super) fn stop(&mut self, partition: i32, why: KafkaError) -> Result<(), KafkaError> {
        let Some(kind) = why.stops_partition().filter(|_| self.config.follow) else { return Err(why) };
        self.halt(partition, Stop { kind, why: why.to_string() });
        Ok(())
    }

    /// As [`Self::stop`], for all that are ours, whatever stopped them before.
    pub(super) fn stop_all(&mut self, why: KafkaError) -> Result<(), KafkaError> {
        let Some(kind) = why.stops_partition().filter(|_| self.config.follow) else { return Err(why) };
        (self.is_over, self.is_deleted) = (true, matches!(why, KafkaError::Deleted { .. }));
        let stop = Stop { kind, why: why.to_string() };
        let ours: Vec<i32> = self.lanes.keys().chain(&self.stopped).chain(&self.waiting).copied().collect();
        self.waiting.clear();
        ours.into_iter().for_each(|partition| self.halt(partition, stop.clone()));
        Ok(())
    }

    /// The brokers have no topic of the name any more.
    pub(super) fn stop_deleted(&mut self) -> Result<(), KafkaError> {
        if self.is_over {
            return Ok(());
        }
        self.stop_all(KafkaError::Deleted { topic: self.config.topic.clone() })
    }

    /// The group gives the topic out after all: brokers that had not heard of it yet were asked.
    pub(super) fn return_if_deleted(&mut self) {
        if std::mem::take(&mut self.is_deleted) {
            self.is_over = false;
            self.known.clear();
        }
    }

    /// It is told as stopped until brokers say where its log ends.
    pub(super) fn wait_for(&mut self, partition: i32, why: &KafkaError) {
        if self.waiting.insert(partition) {
            let stop = Stop { kind: KafkaError::UNREACHABLE, why: format!("{why}; it is read once they answer") };
            self.backlog.push_back(SourceEvent::Stopped(self.id(partition), stop));
        }
    }

    /// Nothing keeps the partition from being read, or it is not ours any more.
    pub(super) fn forget_stops(&mut self, partition: i32) {
        self.stopped.remove(&partition);
        self.waiting.remove(&partition);
    }

    /// Asks for what brokers did not say before.
    pub(super) fn ask_again(&mut self) -> Result<(), KafkaError> {
        if std::mem::take(&mut self.is_unsure) {
            self.hold_against_logs()?;
        }
        // In turn: each may take its second.
        let turn: Vec<i32> = {
            let (before, after) = (self.waiting.range(..=self.asked), self.waiting.range(self.asked + 1..));
            after.chain(before).copied().take(ASKED_AT_ONCE).collect()
        };
        let Some(last) = turn.last() else { return Ok(()) };
        self.asked = *last;
        self.consumer.context().assign_late(&self.consumer, &turn)
    }

    fn halt(&mut self, partition: i32, stop: Stop) {
        self.close(partition);
        self.lanes.remove(&partition);
        self.stopped.insert(partition);
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.config.topic, partition);
        // Only spares the brokers: the client refuses it for a partition that it was not told to read.
        let _ = self.consumer.pause(&list);
        self.backlog.push_back(SourceEvent::Stopped(self.id(partition), stop));
    }

    /// A partition's position is outside the broker's log, and the client does not say which one's. Those that are stop; the
    /// others are read on where they are.
    pub(super) fn hold_against_logs(&mut self) -> Result<(), KafkaError> {
        let positions: Vec<(i32, i64)> = self.lanes.iter().map(|(p, lane)| (*p, lane.position)).collect();
        for (partition, position) in positions {
            match self.log_ends(partition).and_then(|ends| within(partition, Some(position), ends)) {
                Err(why) if why.is_transient() && self.config.follow => self.is_unsure = true,
                Err(why) => self.stop(partition, why)?,
                Ok(position) => self.seek_client(partition, position)?,
            }
        }
        Ok(())
    }
}

/// The position to continue at, held against the broker's log `[low, high)`.
pub(in crate::kafka) fn within(partition: i32, known: Option<i64>, (low, high): (i64, i64)) -> Result<i64, KafkaError> {
    match known {
        None => Ok(low),
        Some(position) if position < low => Err(KafkaError::Retention { partition, position, low }),
        Some(position) if position > high => Err(KafkaError::Truncated { partition, position, high }),
        Some(position) => Ok(position),
    }
}

/// The topic is not there any more; it was when the source was opened.
pub(super) fn is_deletion(error: &ClientError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::UnknownTopic | Code::UnknownTopicOrPartition))
}

/// The position is not in the broker's log, and `auto.offset.reset` is `error`.
pub(super) fn is_outside_log(error: &ClientError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}
