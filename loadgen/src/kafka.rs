//! The fleet as records of Kafka: a partition of the fleet is the partition of the topic that its identity names.
//!
//! A record's offset in the truth is its offset in Kafka. That holds because topics must be empty, records of a partition
//! are sent in order by an idempotent producer, and every acknowledgement is compared with the offset that was expected.
//! A record has no key; its header `tenant` says whose it is, its timestamp is the time at which it was intended to be sent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataflow::{ClientSettings, Latency, PartitionId};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::util::Timeout;

use crate::error::Error;
use crate::fleet::Fleet;
use crate::send::{Feed, Gauge, Item, Meter, Progress, Report, SendOptions, Shard, Timing, Watch};
use crate::source::Pace;

/// How long the cluster may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// Between two questions whether a broker has heard of a new topic.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How long acknowledgements are awaited when the producer's queue is full.
const BACK_PRESSURE: Duration = Duration::from_millis(5);

/// How long a wait for a record's time goes on without a look at anything else.
const ANSWER_EVERY: Duration = Duration::from_millis(100);

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

/// Brokers and how to talk to them.
#[derive(Debug, Clone, Default)]
pub struct Brokers {
    /// `host:port`, comma-separated.
    pub addresses: String,
    /// Settings of librdkafka, over ours: TLS and SASL among them.
    pub settings: ClientSettings,
}

/// Creates a topic with the cluster's default replication, unless it exists.
///
/// # Errors
/// [`Error::Kafka`] if the cluster does not answer or refuses; [`Error::KafkaPartitions`] if the topic exists with
/// another number of partitions.
pub async fn create_topic(brokers: &Brokers, topic: &str, partitions: i32) -> Result<(), Error> {
    let trouble = Trouble::default();
    let failed = |cause| {
        let (at, why) = (&brokers.addresses, trouble.last());
        Error::Kafka { what: format!("cannot create topic {topic} at {at}{why}"), cause }
    };
    let admin: AdminClient<Trouble> = client(brokers).create_with_context(trouble.clone()).map_err(failed)?;
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

/// What went wrong with a broker last: why questions time out.
#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl ClientContext for Trouble {
    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than why the last one was.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(reason.to_owned());
        }
    }
}

impl Trouble {
    /// To stand after what failed; empty if nothing is known.
    fn last(&self) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
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
pub fn write_kafka(fleet: &Fleet, brokers: &Brokers, pace: Pace, now: fn() -> i64) -> Result<u64, Error> {
    let timing = Timing::Pace(pace);
    let mut writer = Writer::new(fleet, brokers, &timing, Shard::default(), now)?;
    writer.send_all(&mut |_| {})?;
    writer.finish()?;
    Ok(writer.meter.gauge.acknowledged.load(Ordering::Relaxed))
}

/// Sends a share of the fleet, as [`write_kafka`] sends all of it, and reports. What fails after the beginning is in the
/// report.
pub(crate) fn send(
    fleet: &Fleet,
    brokers: &Brokers,
    options: &SendOptions,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Report, Error> {
    let mut writer = Writer::new(fleet, brokers, &options.timing, options.shard, options.now)?;
    let total = Feed::new(fleet, &options.timing, &writer.own).total();
    let watch = Watch::new(fleet, &options.timing, vec![writer.meter.gauge.clone()], total, options.now);
    let every_us = i64::try_from(options.progress_every.as_micros()).unwrap_or(i64::MAX);
    let mut told_us = (options.now)();
    let result = writer.send_all(&mut |now_us| {
        if now_us - told_us >= every_us {
            told_us = now_us;
            on_progress(&watch.progress());
        }
    });
    let result = result.and_then(|()| writer.finish());
    let acknowledged = writer.producer.context().latency.lock().unwrap_or_else(PoisonError::into_inner).clone();
    writer.meter.acknowledged = acknowledged;
    Ok(Report::new(&watch.progress(), &[writer.meter], result.as_ref().err()))
}

fn client(brokers: &Brokers) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers.addresses).set("client.id", "palisade-loadgen");
    brokers.settings.iter().for_each(|(name, value)| {
        config.set(name, value);
    });
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

/// The offset of the partition's next record. The leader of a partition that was just made may not know yet that it is.
fn end_of<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    topic: &str,
    partition: i32,
) -> Result<i64, KafkaError> {
    const NOT_YET: [RDKafkaErrorCode; 3] = [
        RDKafkaErrorCode::NotLeaderForPartition,
        RDKafkaErrorCode::LeaderNotAvailable,
        RDKafkaErrorCode::UnknownTopicOrPartition,
    ];
    let mut left = ANSWER.as_millis() / ASK_AGAIN.as_millis();
    loop {
        match client.fetch_watermarks(topic, partition, ANSWER) {
            Err(error) if left > 0 && error.rdkafka_error_code().is_some_and(|code| NOT_YET.contains(&code)) => {
                std::thread::park_timeout(ASK_AGAIN);
                left -= 1;
            }
            answer => return Ok(answer?.1),
        }
    }
}

/// What became of the records.
struct Deliveries {
    gauge: Arc<Gauge>,
    /// From intent to acknowledgement.
    latency: Mutex<Latency>,
    now: fn() -> i64,
    /// The first that went wrong.
    failure: Mutex<Option<Error>>,
}

impl ClientContext for Deliveries {}

/// What a record that is in flight must become.
struct Expected {
    /// The offset that it must get.
    offset: i64,
    /// When it was intended to be sent.
    due_us: i64,
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Expected>;

    fn delivery(&self, result: &DeliveryResult<'_>, expected: Box<Expected>) {
        let place = |message: &BorrowedMessage<'_>| PartitionPlace {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: expected.offset,
        };
        match result {
            Ok(message) if message.offset() == expected.offset => {
                self.gauge.acknowledged.fetch_add(1, Ordering::Relaxed);
                let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
                latency.record((self.now)() - expected.due_us, 1);
            }
            Ok(message) => self.fail(Error::KafkaOffset { place: place(message), got: message.offset() }),
            Err((cause, message)) => {
                self.fail(Error::KafkaRecord { place: Box::new(place(message)), cause: cause.clone() })
            }
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
struct Lane {
    id: PartitionId,
    headers: OwnedHeaders,
}

struct Writer<'f> {
    producer: BaseProducer<Deliveries>,
    fleet: &'f Fleet,
    timing: &'f Timing,
    /// The partitions that are sent.
    own: Vec<usize>,
    meter: Meter,
}

impl<'f> Writer<'f> {
    /// A producer for topics that are as they must be.
    fn new(
        fleet: &'f Fleet,
        brokers: &Brokers,
        timing: &'f Timing,
        shard: Shard,
        now: fn() -> i64,
    ) -> Result<Self, Error> {
        let mut config = client(brokers);
        for (name, value) in PRODUCER {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let gauge = Arc::<Gauge>::default();
        let deliveries = Deliveries { gauge: gauge.clone(), latency: Mutex::default(), now, failure: Mutex::default() };
        let producer: BaseProducer<Deliveries> = config.create_with_context(deliveries).map_err(|cause| {
            Error::Kafka { what: format!("cannot make a producer for {}", brokers.addresses), cause }
        })?;
        let meter = Meter::new(gauge, now, timing.is_open());
        let writer = Self { producer, fleet, timing, own: shard.partitions(fleet), meter };
        writer.check_topics()?;
        Ok(writer)
    }

    /// Every topic has the fleet's partitions, and those that are sent are empty.
    fn check_topics(&self) -> Result<(), Error> {
        let ids = self.fleet.partitions();
        for id in ids.iter().filter(|id| id.partition == 0) {
            let need = ids.iter().filter(|other| other.topic == id.topic).count();
            check_partitions(self.producer.client(), &id.topic, need as i32)?;
        }
        for id in self.own.iter().map(|at| &ids[*at]) {
            let next = end_of(self.producer.client(), &id.topic, id.partition).map_err(|cause| {
                let what = format!("cannot read the offsets of topic {}, partition {}", id.topic, id.partition);
                Error::Kafka { what, cause }
            })?;
            if next != 0 {
                return Err(Error::KafkaNotEmpty { topic: id.topic.to_string(), partition: id.partition, next });
            }
        }
        Ok(())
    }

    fn lane(&self, id: PartitionId) -> Lane {
        let tenant = self.fleet.tenant(&id);
        let headers = OwnedHeaders::new().insert(Header { key: "tenant", value: tenant.as_deref() });
        Lane { id, headers }
    }

    /// Sends everything in the order in which it is due, and gives `tell` the time now and then.
    fn send_all(&mut self, tell: &mut dyn FnMut(i64)) -> Result<(), Error> {
        let lanes: Vec<Lane> = self.fleet.partitions().into_iter().map(|id| self.lane(id)).collect();
        let mut feed = Feed::new(self.fleet, self.timing, &self.own);
        let mut line = Vec::new();
        let mut sent: u64 = 0;
        while let Some(due_us) = feed.peek_due_us() {
            self.meter.due(Some(due_us), Some(due_us));
            self.wait_until(due_us, tell);
            let Some(item) = feed.next(&mut line) else { break };
            self.send(&lanes[item.partition], item, &line)?;
            self.meter.handed_one(due_us, line.len());
            sent += 1;
            if sent.is_multiple_of(POLL_EVERY) {
                self.look()?;
                tell(self.meter.now_us());
            }
        }
        self.meter.end();
        Ok(())
    }

    /// Takes acknowledgements that are there, and says whether all went well.
    fn look(&self) -> Result<(), Error> {
        self.producer.poll(Duration::ZERO);
        self.producer.context().check()
    }

    /// In an open loop, takes acknowledgements until the record is due.
    fn wait_until(&self, due_us: i64, tell: &mut dyn FnMut(i64)) {
        while self.timing.is_open() {
            let now_us = self.meter.now_us();
            let wait_us = u64::try_from(due_us - now_us).unwrap_or(0);
            if wait_us == 0 {
                break;
            }
            self.producer.poll(Duration::from_micros(wait_us).min(ANSWER_EVERY));
            tell(now_us);
        }
    }

    fn send(&self, lane: &Lane, item: Item, line: &[u8]) -> Result<(), Error> {
        let id = &lane.id;
        let expected = Box::new(Expected { offset: item.offset, due_us: item.due_us });
        let mut record: BaseRecord<'_, (), [u8], Box<Expected>> = BaseRecord::with_opaque_to(&id.topic, expected)
            .partition(id.partition)
            .payload(line)
            .timestamp(item.due_us.div_euclid(1_000))
            .headers(lane.headers.clone());
        loop {
            record = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((cause, _)) => {
                    let place =
                        PartitionPlace { topic: id.topic.to_string(), partition: id.partition, offset: item.offset };
                    return Err(Error::KafkaRecord { place: Box::new(place), cause });
                }
            };
            self.meter.stall(0);
            self.producer.poll(BACK_PRESSURE);
            self.meter.flow();
            self.producer.context().check()?;
        }
    }

    /// Waits until every record is acknowledged or has failed: the producer gives up on a record by itself.
    fn finish(&self) -> Result<(), Error> {
        self.producer
            .flush(Timeout::Never)
            .map_err(|cause| Error::Kafka { what: "cannot wait for acknowledgements".to_owned(), cause })?;
        self.producer.context().check()
    }
}

#[cfg(test)]
mod tests;
