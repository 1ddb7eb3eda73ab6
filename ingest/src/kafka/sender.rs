//! Records of our own into a topic that is also read: what tells that the way through it is open.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{KafkaConfig, KafkaError};

/// How long a record may take until the brokers have it.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sends to the topic of a source, with the source's brokers and settings. Connects when first used.
pub struct RecordSender {
    producer: FutureProducer,
    topic: String,
}

impl RecordSender {
    /// A sender to the source's topic.
    ///
    /// # Errors
    /// If a setting is not librdkafka's.
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let topic = config.topic.clone();
        match config.producer(DELIVERY).create() {
            Ok(producer) => Ok(Self { producer, topic }),
            Err(source) => Err(KafkaError::Client { action: format!("a producer for topic `{topic}`"), source }),
        }
    }

    /// Sends a record, and waits until the brokers have it.
    ///
    /// # Errors
    /// If they did not take it in time.
    pub async fn send(&self, record: &[u8]) -> Result<(), KafkaError> {
        let sent = self.producer.send(FutureRecord::<(), _>::to(&self.topic).payload(record), DELIVERY).await;
        let failed = |(source, _)| KafkaError::Client { action: format!("a record to topic `{}`", self.topic), source };
        sent.map(drop).map_err(failed)
    }
}
