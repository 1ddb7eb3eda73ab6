//! What the brokers say of topics, asked by a client of its own before any consumer joins: ids, partitions, and whose cluster it is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::metadata::Metadata;
use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};

use super::heard::{Heard, Trouble};
use super::{KafkaConfig, KafkaError};

/// A topic as the brokers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicFacts {
    /// Kafka's topic id, as 32 hexadecimal digits.
    pub(super) id: String,
    /// Kafka's cluster id; clusters without one are none that Palisade has been tried on.
    pub(super) cluster: Option<String>,
    /// In order.
    pub(super) partitions: Vec<i32>,
}

/// The longest first wait for an answer; each further one may take twice as long.
const FIRST_TRY: Duration = Duration::from_millis(500);

/// What the client has to say is there when an answer is; to read it takes less than this, once or a few times.
const HEAR: Duration = Duration::from_millis(20);
const HEAR_TIMES: usize = 50;

/// A client that asks.
pub(super) struct Brokers {
    consumer: BaseConsumer<Asking>,
    addresses: String,
    timeout: Duration,
}

/// The client's context.
#[derive(Default)]
struct Asking(Heard);

impl ClientContext for Asking {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, line: &str) {
        self.0.log(line);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.0.error(&error, reason);
    }
}

impl ConsumerContext for Asking {}

impl Brokers {
    /// Connects when first asked.
    ///
    /// # Errors
    /// [`KafkaError::Client`] if the configuration cannot be used.
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut client = config.client();
        client.remove("group.id").remove("group.instance.id");
        Heard::listen(&mut client);
        let made = client.create_with_context(Asking::default());
        let consumer = made.map_err(KafkaError::client(format!("make a client for {}", config.brokers)))?;
        Ok(Self { consumer, addresses: config.brokers.clone(), timeout: config.timeout })
    }

    /// Asks for a topic.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::NotAllowed`], [`KafkaError::TopicId`] if the brokers know no ids; otherwise
    /// [`KafkaError::Brokers`] with what went wrong last.
    pub(super) fn topic(&self, topic: &str) -> Result<TopicFacts, KafkaError> {
        let metadata = self.metadata(Some(topic))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        match found.and_then(|t| t.error()) {
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
                return Err(KafkaError::NotAllowed { topic: topic.to_owned() });
            }
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) | None => {}
            Some(_) => return Err(KafkaError::UnknownTopic(topic.to_owned())),
        }
        let mut partitions: Vec<i32> =
            found.into_iter().flat_map(|t| t.partitions()).map(rdkafka::metadata::MetadataPartition::id).collect();
        if partitions.is_empty() {
            return Err(KafkaError::UnknownTopic(topic.to_owned()));
        }
        partitions.sort_unstable();
        let known = || {
            self.hear();
            self.consumer.context().0.id(topic)
        };
        let id = (0..HEAR_TIMES).find_map(|_| known());
        let id = id.ok_or_else(|| KafkaError::TopicId { brokers: self.addresses.clone(), topic: topic.to_owned() })?;
        let cluster = self.consumer.client().fetch_cluster_id(self.timeout);
        Ok(TopicFacts { id: id.simple().to_string(), cluster, partitions })
    }

    /// The names of all topics that this user may see.
    ///
    /// # Errors
    /// [`KafkaError::Brokers`] with what went wrong last.
    pub(super) fn names(&self) -> Result<BTreeSet<String>, KafkaError> {
        let metadata = self.metadata(None)?;
        self.hear();
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Asks until the time is up, or asking again is of no use.
    fn metadata(&self, topic: Option<&str>) -> Result<Metadata, KafkaError> {
        let (began, mut patience) = (now(), FIRST_TRY.min(self.timeout));
        loop {
            let failed = match self.consumer.fetch_metadata(topic, patience) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            self.hear();
            let trouble = self.consumer.context().0.trouble();
            let left = self.timeout.saturating_sub(now() - began);
            if left.is_zero() || trouble.as_ref().is_some_and(Trouble::is_refusal) {
                return Err(KafkaError::brokers(&self.addresses, trouble, failed));
            }
            patience = (patience * 2).min(left);
        }
    }

    /// Takes in what the client has to say.
    fn hear(&self) {
        while self.consumer.poll(HEAR).is_some() {}
    }
}

impl KafkaError {
    /// Brokers that could not be asked, and the way out.
    pub(super) fn brokers(addresses: &str, trouble: Option<Trouble>, source: ClientError) -> Self {
        let code = source.rdkafka_error_code().unwrap_or(Code::Fail);
        let trouble = trouble.unwrap_or_else(|| Trouble { code, reason: source.to_string() });
        let way_out = trouble.way_out();
        Self::Brokers { brokers: addresses.to_owned(), code: trouble.code, reason: trouble.reason, way_out }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an answer is waited for")]
fn now() -> Instant {
    Instant::now()
}
