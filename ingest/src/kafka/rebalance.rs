//! Who owns which partition: the group's decisions, carried out inside librdkafka's callback, on the poll thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataflow::{OffsetRange, PartitionId, Positions};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::error::is_final;
use super::heard::{Heard, Trouble};
use super::poller::within;
use super::{KafkaConfig, KafkaError, StartPositions};

/// How long brokers are asked again for the ends of partitions: another one leads a dead broker's partitions within less, and the group
/// waits for a member for longer. For where nothing can be done without an answer.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// The same where a partition can be taken over later, while the others are read.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// The shortest time that a question gets.
const ANSWER: Duration = Duration::from_secs(1);

/// Before brokers that could not say are asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// What the group decided, in order.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(i32, i64),
    Revoked(i32),
    /// It is ours, but is not read.
    Stopped(i32, KafkaError),
    /// It is ours, and brokers did not say where its log ends: it is to be taken over once they do.
    Waiting(i32, KafkaError),
    /// None of the topic's partitions can be read on.
    StoppedAll(KafkaError),
    Failed(KafkaError),
}

/// A position that the broker's log holds, or why it does not.
pub(super) type Held = Result<i64, KafkaError>;

/// What rows call the topic: its partitions share all but the number.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) name: Arc<str>,
    pub(super) incarnation: Arc<str>,
}

impl Rows {
    pub(super) fn id(&self, partition: i32) -> PartitionId {
        PartitionId::new(self.name.clone(), self.incarnation.clone(), partition)
    }
}

/// The client's context: answers rebalances and keeps what happened for the poll loop.
pub(super) struct Group {
    topic: String,
    rows: Rows,
    starts: Arc<dyn StartPositions>,
    timeout: Duration,
    heard: Heard,
    state: Mutex<State>,
    /// Nothing is read any more: what the group still gives us is not asked after.
    is_leaving: AtomicBool,
}

#[derive(Default)]
struct State {
    changes: Vec<Change>,
    /// Partitions that the group gave us and that the client was not told to read.
    left_out: BTreeSet<i32>,
    is_other_topic: bool,
    /// Where the logs of partitions ended that are read, by the brokers' last answers, since they were last asked for.
    log_ends: BTreeMap<i32, i64>,
}

impl Group {
    pub(super) fn new(config: &KafkaConfig, rows: Rows, starts: Arc<dyn StartPositions>) -> Self {
        let (topic, timeout) = (config.topic.clone(), config.timeout);
        Self {
            topic,
            rows,
            starts,
            timeout,
            heard: Heard::default(),
            state: Mutex::default(),
            is_leaving: false.into(),
        }
    }

    /// What happened since the last call.
    pub(super) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().changes)
    }

    /// Where logs end, as far as it was heard since the last call.
    pub(super) fn take_log_ends(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.state().log_ends)
    }

    /// From now on partitions are taken over to be given back.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// The last thing that went wrong with a broker.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.heard.trouble()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: Change) {
        self.state().changes.push(change);
    }

    /// Notes once that another topic bears our topic's name. librdkafka fetches by id: it says so before it brings a record
    /// of that other topic.
    fn compare_id(&self) {
        if let Some(why) = self.other_topic() {
            let mut state = self.state();
            if !std::mem::replace(&mut state.is_other_topic, true) {
                state.changes.push(Change::StoppedAll(why));
            }
        }
    }

    /// Why nothing of the topic can be read on, if it is another one.
    fn other_topic(&self) -> Option<KafkaError> {
        let was = self.rows.incarnation.to_string();
        let found = self.heard.id(&self.topic)?.simple().to_string();
        (was != found).then(|| KafkaError::Recreated { topic: self.topic.clone(), was, found })
    }

    /// Where each of the partitions continues: the ledger's position, or the log's beginning if the ledger knows none. Or why
    /// the broker does not hold the position, or did not say in time.
    ///
    /// # Errors
    /// If the ledger does not answer, or the broker says what nobody but an operator can mend.
    pub(super) fn positions<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partitions: &[i32],
        patience: Duration,
    ) -> Result<Vec<(i32, Held)>, KafkaError> {
        let began = now();
        let ids: Vec<PartitionId> = partitions.iter().map(|p| self.rows.id(*p)).collect();
        let known: Positions = self.starts.positions(&ids).map_err(KafkaError::Positions)?;
        let position = |(partition, id): (&i32, &PartitionId)| {
            let held = match self.log_ends(consumer, *partition, || patience.saturating_sub(began.elapsed())) {
                Ok(ends) => self.position(id, known.get(id).copied(), ends)?,
                Err(error) if error.is_transient() => Err(error),
                Err(error) => return Err(error),
            };
            Ok((*partition, held))
        };
        partitions.iter().zip(&ids).map(position).collect()
    }

    /// Where a partition's log begins and ends; brokers that cannot say yet are asked again while there is time left.
    fn log_ends<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partition: i32,
        left: impl Fn() -> Duration,
    ) -> Result<(i64, i64), KafkaError> {
        let ask =
            || consumer.fetch_watermarks(&self.topic, partition, left().clamp(ANSWER.min(self.timeout), self.timeout));
        let ends = ask_on(ask, || !left().is_zero());
        ends.map_err(KafkaError::client(format!("partition {partition}: ask for the log's ends")))
    }

    /// The position, held against the log; after what was lost, if that is accepted.
    pub(super) fn position(&self, id: &PartitionId, known: Option<i64>, marks: (i64, i64)) -> Result<Held, KafkaError> {
        let held = within(id.partition, known, marks);
        if let Err(KafkaError::Retention { position, low, .. }) = held {
            let lost = OffsetRange { start: position, next: low };
            if self.starts.accept_loss(id, lost).map_err(KafkaError::Positions)? {
                return Ok(Ok(low));
            }
        }
        Ok(held)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
        let assigned = self.take_over(consumer, &partitions, SHORT_PATIENCE)?;
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&assigned),
            _ => consumer.assign(&assigned),
        };
        done.map_err(KafkaError::client("take partitions over"))?;
        resume(consumer, &assigned)
    }

    /// Takes over what had to wait, if brokers say now where the logs end. Only a cooperative group lets partitions wait.
    pub(super) fn assign_late(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> Result<(), KafkaError> {
        self.state().left_out.retain(|partition| !partitions.contains(partition));
        let assigned = self.take_over(consumer, partitions, Duration::ZERO)?;
        if assigned.count() == 0 {
            return Ok(());
        }
        consumer.incremental_assign(&assigned).map_err(KafkaError::client("take partitions over"))?;
        resume(consumer, &assigned)
    }

    /// What the client is to be told to read of the partitions, and where. Notes what becomes of each.
    fn take_over(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[i32],
        patience: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        let (mut assigned, mut changes) = (TopicPartitionList::new(), Vec::new());
        let can_wait = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let patience = if can_wait { patience } else { LONG_PATIENCE };
        let positions = match self.other_topic() {
            _ if self.is_leaving.load(Ordering::Relaxed) => {
                self.state().left_out.extend(partitions);
                Vec::new()
            }
            None => self.positions(consumer, partitions, patience)?,
            Some(_) => partitions.iter().filter_map(|p| Some((*p, Err(self.other_topic()?)))).collect(),
        };
        for (partition, position) in positions {
            match position {
                Ok(position) => {
                    let added = assigned.add_partition_offset(&self.topic, partition, Offset::Offset(position));
                    added.map_err(KafkaError::client("name a position"))?;
                    changes.push(Change::Assigned(partition, position));
                }
                Err(why) if why.is_transient() && !can_wait => return Err(why),
                Err(why) => {
                    self.state().left_out.insert(partition);
                    let change = if why.is_transient() { Change::Waiting } else { Change::Stopped };
                    changes.push(change(partition, why));
                }
            }
        }
        changes.into_iter().for_each(|change| self.note(change));
        Ok(assigned)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let mut read = TopicPartitionList::new();
        for partition in list.elements().iter().map(|e| e.partition()) {
            self.note(Change::Revoked(partition));
            if !self.state().left_out.remove(&partition) {
                read.add_partition(&self.topic, partition);
            }
        }
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(&read),
            _ => consumer.unassign(),
        };
        done.map_err(KafkaError::client("give partitions back"))
    }
}

/// A partition that was paused when it left comes back paused: the client keeps that with the partition.
fn resume(consumer: &BaseConsumer<Group>, assigned: &TopicPartitionList) -> Result<(), KafkaError> {
    consumer.resume(assigned).map_err(KafkaError::client("resume partitions"))
}

/// Asks again after what may pass by itself, as long as there is time.
fn ask_on<T>(
    mut ask: impl FnMut() -> Result<T, ClientError>,
    mut has_time: impl FnMut() -> bool,
) -> Result<T, ClientError> {
    loop {
        match ask() {
            Err(error) if !is_final(&error) && has_time() => std::thread::park_timeout(PAUSE),
            answer => return answer,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an answer is waited for")]
fn now() -> Instant {
    Instant::now()
}

impl ClientContext for Group {
    fn log(&self, _: RDKafkaLogLevel, _: &str, line: &str) {
        if self.heard.log(line) {
            self.compare_id();
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.heard.error(&error, reason);
    }

    fn stats(&self, told: Statistics) {
        let partitions = told.topics.get(&self.topic).into_iter().flat_map(|topic| topic.partitions.values());
        // Of one that was not fetched yet it is negative.
        let ends = partitions.filter(|p| p.hi_offset >= 0).map(|p| (p.partition, p.hi_offset));
        self.state().log_ends.extend(ends);
    }
}

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

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn what_passes_is_asked_again_and_only_while_there_is_time() {
        let answers = |codes: &[Option<Code>], time: usize| {
            let (mut codes, mut times) = (codes.iter(), 0..time);
            let ask = || match codes.next().expect("no question more") {
                Some(code) => Err(ClientError::MetadataFetch(*code)),
                None => Ok(()),
            };
            let answer = ask_on(ask, || times.next().is_some()).map_err(|e| e.rdkafka_error_code().expect("a code"));
            (answer, codes.len())
        };
        let (unknown, moved) = (Some(Code::UnknownPartition), Some(Code::NotLeaderForPartition));
        // Of the client: a broker that is down has left its list while it was being asked.
        let gone = Some(Code::DestroyBroker);
        assert_eq!(answers(&[None], 9), (Ok(()), 0));
        assert_eq!(answers(&[unknown, moved, gone, None], 9), (Ok(()), 0));
        assert_eq!(answers(&[unknown, unknown, None], 1), (Err(Code::UnknownPartition), 1));
        assert_eq!(answers(&[Some(Code::Authentication), None], 9), (Err(Code::Authentication), 1));
    }
}
