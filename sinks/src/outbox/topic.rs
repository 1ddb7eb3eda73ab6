//! A Kafka topic that takes alerts: idempotent producer, every in-sync replica acknowledges, key = alert id.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dataflow::ClientSettings;
use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use super::{OutgoingAlert, Receiver, Sending, Taken};
use crate::{Error, Result};

/// How long an alert may take until the brokers have it.
const DELIVERY: Duration = Duration::from_secs(30);

/// See the module's front. Cheap to clone.
#[derive(Clone)]
pub struct AlertTopic {
    producer: FutureProducer<LastTrouble>,
    trouble: LastTrouble,
    topic: String,
}

/// What went wrong with a broker last: why messages time out.
#[derive(Clone, Default)]
struct LastTrouble(Arc<Mutex<Option<String>>>);

impl ClientContext for LastTrouble {
    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than why the last one was.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(reason.to_owned());
        }
    }
}

impl std::fmt::Debug for AlertTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl AlertTopic {
    /// A topic on brokers (`host:port`, comma-separated); `settings` are librdkafka's, over ours. Connects when first used.
    ///
    /// # Errors
    /// [`Error::Topic`] if a setting is not librdkafka's.
    pub fn new(brokers: &str, topic: &str, settings: &ClientSettings) -> Result<Self> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", brokers)
            .set("client.id", "palisade")
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        settings.iter().for_each(|(key, value)| {
            client.set(key, value);
        });
        let topic = topic.to_owned();
        let trouble = LastTrouble::default();
        match client.create_with_context(trouble.clone()) {
            Ok(producer) => Ok(Self { producer, trouble, topic }),
            Err(source) => Err(Error::Topic { topic, reason: String::new(), source: Box::new(source) }),
        }
    }

    fn error(&self, source: KafkaError) -> Error {
        let last = self.trouble.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = last.map(|why| format!(" ({why})")).unwrap_or_default();
        Error::Topic { topic: self.topic.clone(), reason, source: Box::new(source) }
    }
}

#[async_trait]
impl Receiver for AlertTopic {
    /// From the first that is not acknowledged on, all are sent again: some may have been taken.
    async fn send(&self, alerts: &[OutgoingAlert], taken: Taken<'_>) -> Sending {
        let sending = alerts.iter().map(|alert| async move {
            let record = FutureRecord::to(&self.topic).key(&alert.id).payload(&alert.json);
            let acknowledged = self.producer.send(record, DELIVERY).await;
            acknowledged.map(|_| taken(std::slice::from_ref(alert)))
        });
        let results = join_all(sending).await;
        let done = results.iter().take_while(|result| result.is_ok()).count();
        let failed = results.into_iter().find_map(std::result::Result::err).map(|(source, _)| self.error(source));
        Sending { done, failed, ..Sending::default() }
    }
}
