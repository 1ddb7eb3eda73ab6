//! The fleet as records of Kafka: a partition of the fleet is the partition of the topic that its identity names.
//!
//! A record's offset in the truth is its offset in Kafka. That holds because topics must be empty, records of a partition
//! are sent in order by an idempotent producer, and every acknowledgement is compared with the offset that was expected.
//! A record has no key; its header `tenant` says whose it is, its timestamp is the receive time that the pace gives it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dataflow::PartitionId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::util::Timeout;

use crate::cursor::PartitionCursor;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::source::Pace;

/// How long the cluster may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// Between two questions whether a broker has heard of a new topic.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How long acknowledgements are awaited when the producer's queue is full.
const BACK_PRESSURE: Duration = Duration::from_millis(5);

/// Records between two looks at acknowledgements.
const POLL_EVERY: u64 = 256;

/// The producer: what it holds is bounded by 64 MiB and 200,000 records; what is not delivered in two minutes has failed.
const PRODUCER: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("compression.type", "zstd"),
    ("linger.ms", "20"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "200000"),
    ("message.timeout.ms", "120000"),
];

/// Creates a topic with the cluster's default replication, unless it exists.
///
/// # Errors
/// [`Error::Kafka`] if the cluster does not answer or refuses; [`Error::KafkaPartitions`] if the topic exists with
/// another number of partitions.
pub async fn create_topic(brokers: &str, topic: &str, partitions: i32) -> Result<(), Error> {
    let failed = |cause| Error::Kafka { what: format!("cannot create topic {topic} at {brokers}"), cause };
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().map_err(failed)?;
    if partitions_of(admin.inner(), topic).map_err(failed)?.is_some() {
        return check_partitions(admin.inner(), topic, partitions);
    }
    let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(-1))];
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    let results = admin.create_topics(&topics, &options).await.map_err(failed)?;
    match results.into_iter().find_map(Result::err) {
        Some((_, code)) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(failed(KafkaError::AdminOp(code))),
        _ => {
            heard_of(admin.inner(), topic).await.map_err(failed)?;
            check_partitions(admin.inner(), topic, partitions)
        }
    }
}

/// Waits until the brokers have heard of a topic that the controller has made.
async fn heard_of<C: ClientContext>(client: &rdkafka::client::Client<C>, topic: &str) -> Result<(), KafkaError> {
    for _ in 0..ANSWER.as_millis() / ASK_AGAIN.as_millis() {
        if partitions_of(client, topic)?.is_some_and(|partitions| partitions > 0) {
            break;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(())
}

/// Sends every record of the fleet in the order in which it is due and waits for all acknowledgements. Returns their
/// number. `now` tells microseconds UTC.
///
/// # Errors
/// [`Error::KafkaPartitions`] and [`Error::KafkaNotEmpty`] before anything is sent; [`Error::Kafka`] if the cluster does
/// not answer; [`Error::KafkaRecord`] and [`Error::KafkaOffset`] name the first record that was not acknowledged, or not at
/// its offset.
pub fn write_kafka(fleet: &Fleet, brokers: &str, pace: Pace, now: fn() -> i64) -> Result<u64, Error> {
    let mut config = client(brokers);
    for (name, value) in PRODUCER {
        config.set(name, value);
    }
    let producer: BaseProducer<Deliveries> = config
        .create_with_context(Deliveries::default())
        .map_err(|cause| Error::Kafka { what: format!("cannot make a producer for {brokers}"), cause })?;
    let writer = Writer { producer, fleet, pace, now };
    writer.check_topics()?;
    writer.send_all()?;
    writer.finish()
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "palisade-loadgen");
    config
}

/// How many partitions a topic has; none if there is no such topic. All topics are asked for: to ask for one may create it.
fn partitions_of<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    topic: &str,
) -> Result<Option<usize>, KafkaError> {
    let metadata = client.fetch_metadata(None, ANSWER)?;
    Ok(metadata.topics().iter().find(|t| t.name() == topic).map(|t| t.partitions().len()))
}

fn check_partitions<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    topic: &str,
    need: i32,
) -> Result<(), Error> {
    let found = partitions_of(client, topic)
        .map_err(|cause| Error::Kafka { what: format!("cannot read the partitions of topic {topic}"), cause })?;
    let have = found.unwrap_or(0);
    if usize::try_from(need) == Ok(have) {
        Ok(())
    } else {
        Err(Error::KafkaPartitions { topic: topic.to_owned(), have, need })
    }
}

/// What became of the records.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    /// The first that went wrong.
    failure: Mutex<Option<Error>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The offset that the record must get.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, expected: usize) {
        let place = |message: &BorrowedMessage<'_>| PartitionPlace {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: expected as i64,
        };
        match result {
            Ok(message) if message.offset() == expected as i64 => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(message) => self.fail(Error::KafkaOffset { place: place(message), got: message.offset() }),
            Err((cause, message)) => self.fail(Error::KafkaRecord { place: place(message), cause: cause.clone() }),
        }
    }
}

impl Deliveries {
    fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn check(&self) -> Result<(), Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// Where a record was to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlace {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset, as the truth has it.
    pub offset: i64,
}

impl std::fmt::Display for PartitionPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {}, partition {}, offset {}", self.topic, self.partition, self.offset)
    }
}

/// A partition being sent.
struct Lane<'f> {
    cursor: PartitionCursor<'f>,
    id: PartitionId,
    headers: OwnedHeaders,
}

struct Writer<'f> {
    producer: BaseProducer<Deliveries>,
    fleet: &'f Fleet,
    pace: Pace,
    now: fn() -> i64,
}

impl<'f> Writer<'f> {
    /// Every topic has the fleet's partitions, and they are empty.
    fn check_topics(&self) -> Result<(), Error> {
        let ids = self.fleet.partitions();
        for id in &ids {
            if id.partition == 0 {
                let need = ids.iter().filter(|other| other.topic == id.topic).count();
                check_partitions(self.producer.client(), &id.topic, need as i32)?;
            }
            let marks = self.producer.client().fetch_watermarks(&id.topic, id.partition, ANSWER);
            let (_, next) = marks.map_err(|cause| {
                let what = format!("cannot read the offsets of topic {}, partition {}", id.topic, id.partition);
                Error::Kafka { what, cause }
            })?;
            if next != 0 {
                return Err(Error::KafkaNotEmpty { topic: id.topic.to_string(), partition: id.partition, next });
            }
        }
        Ok(())
    }

    fn lane(&self, id: PartitionId) -> Option<Lane<'f>> {
        let tenant = self.fleet.tenant(&id)?;
        let headers = OwnedHeaders::new().insert(Header { key: "tenant", value: Some(&*tenant) });
        Some(Lane { cursor: self.fleet.cursor(&id, 0)?, id, headers })
    }

    fn send_all(&self) -> Result<(), Error> {
        let mut lanes: Vec<Lane<'_>> = self.fleet.partitions().into_iter().filter_map(|id| self.lane(id)).collect();
        let mut line = Vec::new();
        let mut sent = 0;
        loop {
            let first =
                lanes.iter_mut().filter_map(|l| Some((l.cursor.peek_schedule_us()?, l))).min_by_key(|(us, _)| *us);
            let Some((schedule_us, lane)) = first else { return Ok(()) };
            let due_us = self.pace.due_us(schedule_us, self.fleet);
            self.wait_until(due_us);
            let Some(meta) = lane.cursor.next(&mut line) else { return Ok(()) };
            self.send(lane, meta.offset, &line, due_us)?;
            sent += 1;
            if sent % POLL_EVERY == 0 {
                self.look()?;
            }
        }
    }

    /// Takes acknowledgements that are there, and says whether all went well.
    fn look(&self) -> Result<(), Error> {
        self.producer.poll(Duration::ZERO);
        self.producer.context().check()
    }

    /// In an open loop, takes acknowledgements until the record is due.
    fn wait_until(&self, due_us: i64) {
        if matches!(self.pace, Pace::Open { .. }) {
            let wait_us = u64::try_from(due_us - (self.now)()).unwrap_or(0);
            if wait_us > 0 {
                self.producer.poll(Duration::from_micros(wait_us));
            }
        }
    }

    fn send(&self, lane: &Lane<'_>, offset: i64, line: &[u8], due_us: i64) -> Result<(), Error> {
        let id = &lane.id;
        let mut record: BaseRecord<'_, (), [u8], usize> = BaseRecord::with_opaque_to(&id.topic, offset as usize)
            .partition(id.partition)
            .payload(line)
            .timestamp(due_us.div_euclid(1_000))
            .headers(lane.headers.clone());
        loop {
            record = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((cause, _)) => {
                    let place = PartitionPlace { topic: id.topic.to_string(), partition: id.partition, offset };
                    return Err(Error::KafkaRecord { place, cause });
                }
            };
            self.producer.poll(BACK_PRESSURE);
            self.producer.context().check()?;
        }
    }

    /// Waits until every record is acknowledged or has failed: the producer gives up on a record by itself.
    fn finish(self) -> Result<u64, Error> {
        self.producer
            .flush(Timeout::Never)
            .map_err(|cause| Error::Kafka { what: "cannot wait for acknowledgements".to_owned(), cause })?;
        self.producer.context().check()?;
        Ok(self.producer.context().acknowledged.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
