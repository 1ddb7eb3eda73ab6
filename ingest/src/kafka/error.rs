//! What can go wrong with a topic.

use dataflow::SourceError;
use rdkafka::types::RDKafkaErrorCode;

/// Why a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The client library's own error.
    #[error("{action}")]
    Client {
        /// What was being done.
        action: String,
        /// Its cause.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The brokers could not be asked, or have stopped to let us read.
    #[error("brokers {brokers}: {reason}; {way_out}")]
    Brokers {
        /// `brokers` of the configuration.
        brokers: String,
        /// The client library's code.
        code: RDKafkaErrorCode,
        /// Which broker, and why.
        reason: String,
        /// What to do.
        way_out: &'static str,
    },
    /// The brokers do not tell the topic's id.
    #[error("brokers {brokers}: they do not tell the id of topic `{topic}`; Apache Kafka 2.8 or later is needed")]
    TopicId {
        /// Whom we asked.
        brokers: String,
        /// The topic.
        topic: String,
    },
    /// The user may not see the topic.
    #[error("topic `{topic}`: the brokers do not let this user see it; allow Describe and Read on the topic")]
    NotAllowed {
        /// The topic.
        topic: String,
    },
    /// Another topic has taken the name while we read.
    #[error(
        "topic `{topic}` was deleted and made again while it was read: its id was {was}, now it is {found}; restart with \
         --accept-reset {topic} to read the new one from its beginning"
    )]
    Recreated {
        /// The topic.
        topic: String,
        /// The id we read under.
        was: String,
        /// The id now.
        found: String,
    },
    /// The topic is no more.
    #[error(
        "topic `{topic}` was deleted while it was read; what was read of it stays. Should it be made again: restart with \
         --accept-reset {topic} to read the new one from its beginning"
    )]
    Deleted {
        /// The topic.
        topic: String,
    },
    /// No such topic.
    #[error("the brokers have no topic `{0}`; create it, or correct `topic`")]
    UnknownTopic(String),
    /// The topic's name does not fit the tenant's template.
    #[error(
        "topic `{0}` does not fit the template of `tenant`; the name of a tenant must stand where `{{tenant}}` does"
    )]
    Template(String),
    /// The broker has deleted records that were not read.
    #[error(
        "partition {partition}: continues at {position}, but the broker's records begin at {low}: {} offsets are lost to \
         retention; restore them, or restart with --accept-loss TOPIC to record the loss and go on at {low}",
        low - position
    )]
    Retention {
        /// The partition.
        partition: i32,
        /// Where we are.
        position: i64,
        /// Where the broker's log begins.
        low: i64,
    },
    /// The broker's log ends before our position.
    #[error(
        "partition {partition}: continues at {position}, but the broker's log ends at {high}: the log was truncated; restore \
         it, or delete the topic, make it again, and restart with --accept-reset TOPIC"
    )]
    Truncated {
        /// The partition.
        partition: i32,
        /// Where we are.
        position: i64,
        /// Where the broker's log ends.
        high: i64,
    },
    /// A message without a timestamp has no durable receive time.
    #[error(
        "partition {partition}, offset {offset}: the message has no timestamp; the topic's message format is older than Kafka 0.10"
    )]
    NoTimestamp {
        /// The partition.
        partition: i32,
        /// The message.
        offset: i64,
    },
    /// The ledger could not say where partitions continue.
    #[error("the ledger did not say where partitions continue")]
    Positions(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No thread to be had.
    #[error("the poll thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The poll thread has ended.
    #[error("the poll thread has stopped; its own error says why")]
    Stopped,
}

/// Errors that nobody but an operator can mend. All others may pass: brokers come and go, leaders move, a broker that has just come up does
/// not know of every partition yet, and one that is down leaves the client's list.
pub(super) fn is_final(error: &rdkafka::error::KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    use rdkafka::error::KafkaError as ClientError;
    matches!(error, ClientError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::InvalidArgument
                    | Code::Fatal
            )
        )
}

impl KafkaError {
    pub(super) fn client(action: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let action = action.into();
        move |source| Self::Client { action, source }
    }

    /// What can stop a partition, as a label of a metric.
    pub const STOPS: [&str; 5] = ["retention", "truncated", "recreated", "deleted", Self::UNREACHABLE];

    /// The brokers do not say where a partition's log ends: it has no leader, or that one does not answer. It is read once they do.
    pub(super) const UNREACHABLE: &str = "unreachable";

    /// What it stops a partition for, one of [`Self::STOPS`], if it leaves the others alone.
    pub(super) fn stops_partition(&self) -> Option<&'static str> {
        match self {
            Self::Retention { .. } => Some("retention"),
            Self::Truncated { .. } => Some("truncated"),
            Self::Recreated { .. } => Some("recreated"),
            Self::Deleted { .. } => Some("deleted"),
            _ => None,
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        use RDKafkaErrorCode as Code;
        match self {
            Self::Client { source, .. } => !is_final(source),
            Self::Brokers { code, .. } => !matches!(code, Code::Authentication | Code::SaslAuthenticationFailed),
            Self::Positions(_) => true,
            _ => false,
        }
    }

    pub(super) fn into_source(self, topic: &str) -> SourceError {
        let (what, transient) = (self.to_string(), self.is_transient());
        let cause: Option<Box<dyn std::error::Error + Send + Sync>> = match self {
            Self::Client { source, .. } => Some(Box::new(source)),
            Self::Positions(source) => Some(source),
            Self::Thread(source) => Some(Box::new(source)),
            _ => None,
        };
        SourceError { source_name: format!("kafka topic {topic}"), what, transient, cause }
    }
}
