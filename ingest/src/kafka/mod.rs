//! Apache Kafka: a topic read by a consumer group, each partition from where the ledger says.
//!
//! **Data in:** messages; their timestamp is the receive time, their value the record. **Data out:** chunks in offset order,
//! and who owns which partition.
//!
//! ```text
//! broker -> librdkafka -> poll thread (one a source) -> bounded channel -> KafkaSource::next_event
//!                          |  rebalance callback: asks the ledger where each new partition continues, assigns there
//!                          |  channel full: waits; full for long: pauses the partitions and keeps polling
//! ```
//!
//! Invariants:
//! - No position comes from the group's offsets: they are written as a hint for lag dashboards, and never read.
//! - No record below a partition's position is delivered, whatever an earlier fetch still brings.
//! - What is said of a partition lies between its [`SourceEvent::Assigned`] and its [`SourceEvent::Revoked`].
//! - A topic that was deleted and made again under the same name has another incarnation (Kafka's topic id). If that happens
//!   while it is read, no record of the new one is delivered.
//! - A partition whose position the broker's log does not hold stops, and says so; the others go on.
//! - A topic that is deleted while it is read stops: what was read of it is not given back, since nobody can read it again.
//! - A partition that is added to the topic is announced with [`SourceEvent::Added`] by every member, before anything else is said of it.
//!
//! A bounded run ([`KafkaConfig::follow`] is false) joins no group: it reads every partition to the end it had at the
//! start, and a partition that has to stop ends it with an error.
//!
//! TLS and SASL are librdkafka's, by its settings. [`RecordSender`] sends canaries. Absent on purpose: transactions as a producer.

mod brokers;
mod config;
mod error;
mod heard;
mod poller;
mod rebalance;
mod sender;
mod tenant;
mod topics;

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use dataflow::{OffsetRange, PartitionId, Positions, Source, SourceError, SourceEvent};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;

pub use config::KafkaConfig;
pub use error::KafkaError;
pub use sender::RecordSender;
pub use tenant::{TenantRule, UNASSIGNED};
pub use topics::{TopicFinder, TopicPattern};

use brokers::{Brokers, TopicFacts};
use poller::{Command, Poller};

/// Where partitions continue. Asked on the poll thread, inside the rebalance callback; may block on the store.
pub trait StartPositions: Send + Sync {
    /// The next offset of each of the partitions that the ledger knows; the others are left out.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    fn positions(&self, partitions: &[PartitionId]) -> Result<Positions, BoxedError>;

    /// The broker has deleted a range that was never read. True if somebody has accepted that and it is recorded: reading then
    /// goes on after the range. Otherwise the partition stops.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    fn accept_loss(&self, _partition: &PartitionId, _lost: OffsetRange) -> Result<bool, BoxedError> {
        Ok(false)
    }
}

/// Whatever a ledger's error is.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Requests that may wait for the poll thread.
const COMMANDS: usize = 16;

/// The source. Dropping it ends the poll thread and leaves the group.
#[derive(Debug)]
pub struct KafkaSource {
    topic: String,
    cluster: Option<String>,
    partitions: Vec<PartitionId>,
    events: mpsc::Receiver<Result<SourceEvent, KafkaError>>,
    /// None once the source is being dropped.
    commands: Option<mpsc::Sender<Command>>,
    poll: Option<JoinHandle<()>>,
}

impl KafkaSource {
    /// Asks the brokers for the topic, and starts reading.
    ///
    /// # Errors
    /// If the brokers do not answer within the configured time, or do not have the topic.
    pub fn open(config: KafkaConfig, starts: Arc<dyn StartPositions>) -> Result<Self, SourceError> {
        let topic = config.topic.clone();
        let asked = Brokers::new(&config).and_then(|brokers| brokers.topic(&topic));
        let opened = asked.and_then(|facts| Self::open_as(config, &facts, starts));
        opened.map_err(|e| e.into_source(&topic))
    }

    /// Opens the topic as the brokers told of it.
    fn open_as(config: KafkaConfig, facts: &TopicFacts, starts: Arc<dyn StartPositions>) -> Result<Self, KafkaError> {
        let (topic, cluster) = (config.topic.clone(), facts.cluster.clone());
        let (to_source, events) = mpsc::channel(config.queue_chunks.max(1));
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let poller = Poller::connect(config, facts, starts, to_source, inbox)?;
        let partitions = poller.partitions();
        let poll = std::thread::Builder::new().name(format!("kafka-{topic}")).spawn(move || poller.run());
        let poll = Some(poll.map_err(KafkaError::Thread)?);
        Ok(Self { topic, cluster, partitions, events, commands: Some(commands), poll })
    }

    /// Kafka's id of the cluster.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    async fn command(&self, command: Command) -> Result<(), SourceError> {
        let sent = match &self.commands {
            Some(commands) => commands.send(command).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(KafkaError::Stopped.into_source(&self.topic)) }
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.clone()
    }

    /// Says who owns what by events.
    fn is_shared(&self) -> bool {
        true
    }

    /// Continues partitions that are ours at other positions: someone else has committed what we were reading. Each is
    /// announced again with [`SourceEvent::Assigned`]; chunks that come before it are of the past.
    async fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        self.command(Command::Seek(positions.clone())).await
    }

    /// Cancel safe.
    async fn next_event(&mut self) -> Result<SourceEvent, SourceError> {
        let stopped = || Err(KafkaError::Stopped);
        self.events.recv().await.unwrap_or_else(stopped).map_err(|e| e.into_source(&self.topic))
    }

    async fn acknowledge(&mut self, positions: &Positions) -> Result<(), SourceError> {
        self.command(Command::Acknowledge(positions.clone())).await
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // Both ends that the thread listens to close; it leaves the group and ends.
        self.events.close();
        self.commands = None;
        let Some(poll) = self.poll.take() else { return };
        // It may be waiting for the ledger, whose answers come by the very thread that would wait for it here.
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => _ = tokio::task::block_in_place(|| poll.join()),
            _ => _ = poll.join(),
        }
    }
}

#[cfg(test)]
mod tests;
