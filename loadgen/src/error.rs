//! What can go wrong: a configuration that describes no fleet, files, and Kafka.

use std::path::PathBuf;

use crate::kafka::PartitionPlace;

/// Why a fleet could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of the configuration is outside what a fleet can have.
    #[error("{what} is {value}; it must be {must}")]
    OutOfRange {
        /// The configuration's field.
        what: &'static str,
        /// Its value.
        value: i128,
        /// What would do.
        must: &'static str,
    },
    /// The configuration speaks of something that does not exist.
    #[error("there is no {what} {name}; there are {known}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The attacks and near misses need more records than half of the run.
    #[error("attacks and near misses need {planted} records of the run's {events}; raise events to {} or plant fewer", planted * 2)]
    TooFewEvents {
        /// Records of the run.
        events: u64,
        /// Records of attacks and near misses.
        planted: u64,
    },
    /// A shape of the load that cannot be.
    #[error("{0}")]
    Schedule(String),
    /// Some processes would have nothing to send.
    #[error(
        "{of} shards of {partitions} partitions: each partition is sent by one process; take fewer shards or more partitions"
    )]
    Shard {
        /// Processes.
        of: u32,
        /// The fleet's partitions.
        partitions: usize,
    },
    /// A target cannot be reached, or has broken for good.
    #[error("cannot send to {target}")]
    Target {
        /// Which.
        target: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A target took nothing for longer than the sender waits.
    #[error("nothing was taken for {seconds} seconds; the last trouble: {cause}")]
    GaveUp {
        /// How long.
        seconds: u64,
        /// What happened last.
        cause: String,
    },
    /// Nobody can be trusted.
    #[error("{what}: {cause}")]
    Certificates {
        /// The file.
        what: String,
        /// Why not.
        cause: String,
    },
    /// Splunk's collector needs a token.
    #[error("the collector needs a token, without line ends; set PALISADE_HEC_TOKEN")]
    Token,
    /// A bucket needs keys.
    #[error("the bucket needs keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    Keys,
    /// Objects would be written over.
    #[error("key template {0:?}: it must hold {{topic}}, {{partition}} and {{offset}}, or objects replace each other")]
    KeyTemplate(String),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The truth log could not be written.
    #[error("cannot write {}", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: parquet::errors::ParquetError,
    },
    /// Kafka did not do what it was asked.
    #[error("{what}")]
    Kafka {
        /// What was asked, and of whom.
        what: String,
        /// Why.
        #[source]
        cause: rdkafka::error::KafkaError,
    },
    /// A topic has other partitions than the fleet.
    #[error(
        "topic {topic} has {have} partitions; the fleet needs {need}: name another topic, or another number of partitions"
    )]
    KafkaPartitions {
        /// Which.
        topic: String,
        /// Its partitions.
        have: usize,
        /// The fleet's.
        need: i32,
    },
    /// A topic holds records already, so that offsets would not be the truth's.
    #[error("topic {topic}, partition {partition} is not empty (its next offset is {next}); name a new topic")]
    KafkaNotEmpty {
        /// Which.
        topic: String,
        /// Its first partition that is not empty.
        partition: i32,
        /// That partition's next offset.
        next: i64,
    },
    /// A record was not acknowledged.
    #[error("{place}: not delivered")]
    KafkaRecord {
        /// Where it was to stand.
        place: Box<PartitionPlace>,
        /// Why.
        #[source]
        cause: rdkafka::error::KafkaError,
    },
    /// A record stands elsewhere than the truth says: somebody else writes to the topic.
    #[error("{place}: the record stands at offset {got}; does somebody else write to the topic?")]
    KafkaOffset {
        /// Where it was to stand.
        place: PartitionPlace,
        /// The offset it has.
        got: i64,
    },
}
