//! What a Kafka source is told.

use std::time::Duration;

use dataflow::ClientSettings;
use rdkafka::ClientConfig;

use super::TenantRule;

/// Configuration of a [`super::KafkaSource`].
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated: brokers to begin with.
    pub brokers: String,
    /// The topic in Kafka.
    pub topic: String,
    /// The topic of the rows; unless told otherwise the same.
    pub name: String,
    /// The consumer group. Workers of one fleet share it.
    pub group: String,
    /// This process in the group, if it is to keep its partitions over a restart (static membership).
    pub instance: Option<String>,
    /// Whose records they are.
    pub tenant: TenantRule,
    /// Stay in the group and wait for more; otherwise read alone to the present end.
    pub follow: bool,
    /// Longest record, in bytes, that is delivered whole.
    pub line_limit: usize,
    /// A chunk leaves when it holds so many payload bytes, or when nothing more is at hand.
    pub chunk_bytes: usize,
    /// Chunks between the poll thread and its reader.
    pub queue_chunks: usize,
    /// For each question to the brokers.
    pub timeout: Duration,
    /// A member that is silent for so long loses its partitions.
    pub session_timeout: Duration,
    /// More settings of librdkafka, over ours: TLS and SASL among them.
    pub settings: ClientSettings,
}

impl KafkaConfig {
    /// The defaults for a topic.
    pub fn new(brokers: &str, topic: &str, group: &str, tenant: TenantRule) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            name: topic.to_owned(),
            group: group.to_owned(),
            instance: None,
            tenant,
            follow: true,
            line_limit: 1 << 20,
            chunk_bytes: 1 << 20,
            queue_chunks: 16,
            timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(45),
            settings: ClientSettings::default(),
        }
    }

    /// librdkafka's configuration for whoever sends to the topic.
    pub(super) fn producer(&self, delivery: Duration) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "palisade")
            .set("message.timeout.ms", delivery.as_millis().to_string());
        for (key, value) in self.settings.iter() {
            client.set(key, value);
        }
        client
    }

    /// librdkafka's configuration. Offsets are ours: nothing is stored or reset on its own.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        let session_ms = self.session_timeout.as_millis();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("client.id", "palisade")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / 15).max(1).to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "32768")
            // A new partition is given out once a member has heard of it. How long what was heard is believed stays as it is.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("metadata.max.age.ms", "900000");
        if let Some(instance) = &self.instance {
            client.set("group.instance.id", instance);
        }
        for (key, value) in self.settings.iter() {
            client.set(key, value);
        }
        client
    }
}
