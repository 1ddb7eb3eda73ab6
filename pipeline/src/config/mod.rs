//! The one configuration file: `raw` is what YAML may say, [`Config`] is what cannot be wrong.

mod kafka;
mod raw;
mod receivers;
mod secret;
mod security;
mod tiers;
mod warehouse;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dataflow::ClientSettings;
use sinks::WarehouseConfig;
use sinks::http::HttpConfig;

pub(crate) use raw::ConfigError;
pub(crate) use tiers::Tiers;
pub(crate) use warehouse::environment;

use crate::tap::Redaction;

/// Data files a day that `palisade check` lets pass unless the configuration says otherwise. A million of small files a day
/// is what manifests and object stores bear without care; beyond it, flush more seldom.
pub(crate) const FILES_PER_DAY_MAX: u64 = 2_000_000;

/// A worker's configuration, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Of its text.
    pub(crate) version: String,
    pub(crate) warehouse: WarehouseConfig,
    /// Data files a day at most, by `palisade check`'s reckoning.
    pub(crate) files_per_day_max: u64,
    pub(crate) sources: Vec<SourceConfig>,
    pub(crate) decode: ingest::decode::DecodeConfig,
    /// The user's mappings that `decode.mappings` names, and those that ship.
    pub(crate) mappings: ingest::mapping::Mappings,
    pub(crate) enrich: enrich::EnrichConfig,
    pub(crate) rules: RulesConfig,
    pub(crate) receivers: Vec<ReceiverConfig>,
    pub(crate) worker: WorkerConfig,
    pub(crate) upkeep: UpkeepConfig,
    pub(crate) listen: Option<SocketAddr>,
    /// By which latency is told, of each tenant.
    pub(crate) tiers: Tiers,
    pub(crate) console: ConsoleConfig,
    /// Records of our own, where nobody else sends.
    pub(crate) canary: Option<CanaryConfig>,
    /// The collector of OpenTelemetry that is told what became of each entry.
    pub(crate) traces: Option<HttpConfig>,
    /// Keep looking for more when every source is read; otherwise a source ends.
    pub(crate) follow: bool,
    /// What is to go on though records were lost.
    pub(crate) accepted: Accepted,
}

/// The console beside the metrics.
#[derive(Debug, Clone)]
pub(crate) struct ConsoleConfig {
    pub(crate) enabled: bool,
    /// What SQL needs, and everything in events on an address that others can reach.
    pub(crate) token: Option<Token>,
    /// What is not shown of rows as they pass.
    pub(crate) redaction: Redaction,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self { enabled: true, token: None, redaction: Redaction::default() }
    }
}

/// Records of our own into a topic, while nothing else comes.
#[derive(Debug, Clone)]
pub(crate) struct CanaryConfig {
    pub(crate) every: Duration,
    /// The name of the source whose topic they go to.
    pub(crate) source: String,
}

impl Config {
    /// The topic of the rows that canaries become.
    pub(crate) fn canaries(&self) -> Option<&str> {
        self.canary_source().map(|source| source.name.as_str())
    }

    /// The source that canaries come by.
    pub(crate) fn canary_source(&self) -> Option<&KafkaSource> {
        let name = &self.canary.as_ref()?.source;
        self.sources.iter().find_map(|source| match source {
            SourceConfig::Kafka(kafka) if kafka.name == *name => Some(kafka),
            _ => None,
        })
    }
}

/// A token that no log shows.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }
}

/// What somebody has decided of topics that cannot be continued, for one run. By the rows' topics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepted {
    /// They were made again, or are another cluster's: they are read from their beginning.
    pub(crate) resets: Vec<String>,
    /// Records that retention deleted before they were read: the ledger says that they are lost.
    pub(crate) losses: Vec<String>,
}

/// Where records come from.
#[derive(Debug, Clone)]
pub(crate) enum SourceConfig {
    Files(FilesSource),
    Kafka(KafkaSource),
    KafkaTopics(KafkaTopics),
    Generator(Box<GeneratorSource>),
}

/// Files that match globs.
#[derive(Debug, Clone)]
pub(crate) struct FilesSource {
    pub(crate) topic: String,
    pub(crate) tenant: String,
    pub(crate) globs: Vec<String>,
    pub(crate) partitions: u32,
    pub(crate) line_limit: usize,
}

/// A topic of Apache Kafka.
#[derive(Debug, Clone)]
pub(crate) struct KafkaSource {
    /// The rows' topic.
    pub(crate) name: String,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) instance: Option<String>,
    /// How many partitions to reckon with where no broker is asked.
    pub(crate) partitions: u32,
    pub(crate) tenant: ingest::kafka::TenantRule,
    pub(crate) line_limit: usize,
    pub(crate) session_timeout: Duration,
    pub(crate) settings: ClientSettings,
}

/// Topics of Apache Kafka by pattern: each a source of its own, those too that come while a worker runs.
#[derive(Debug, Clone)]
pub(crate) struct KafkaTopics {
    pub(crate) pattern: ingest::kafka::TopicPattern,
    /// The brokers are asked for new topics this often.
    pub(crate) interval: Duration,
    /// Sources and patterns that come before this one.
    pub(crate) before: Vec<Before>,
    /// What all have in common: of no topic.
    pub(crate) common: KafkaSource,
}

/// Who else may have a topic that a pattern takes.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    Name(String),
    Pattern(ingest::kafka::TopicPattern),
}

/// Who gets alerts, beside the table.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverConfig {
    pub(crate) delivery: sinks::outbox::Delivery,
    pub(crate) to: Receiver,
}

/// What takes alerts.
#[derive(Debug, Clone)]
pub(crate) enum Receiver {
    Kafka(AlertTopic),
    Webhook(sinks::outbox::WebhookConfig),
    Alertmanager(sinks::outbox::AlertmanagerConfig),
    Syslog(sinks::outbox::SyslogConfig),
}

/// A topic of Apache Kafka that takes alerts.
#[derive(Debug, Clone)]
pub(crate) struct AlertTopic {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) settings: ClientSettings,
}

/// A synthetic fleet that sends for a while.
#[derive(Debug, Clone)]
pub(crate) struct GeneratorSource {
    pub(crate) fleet: loadgen::FleetConfig,
    pub(crate) duration: Duration,
}

/// Which rules run.
#[derive(Debug, Clone)]
pub(crate) struct RulesConfig {
    /// The rules that ship with Palisade.
    pub(crate) builtin: bool,
    /// Files and folders of more.
    pub(crate) paths: Vec<PathBuf>,
    /// Files and folders of exceptions.
    pub(crate) exceptions: Vec<PathBuf>,
    /// The longest mean time that a rule may take for a row before it is disabled; zero for any.
    pub(crate) row_budget: Duration,
}

impl Default for RulesConfig {
    /// Those that ship, with a budget of a hundred times what a dear rule takes.
    fn default() -> Self {
        Self { builtin: true, paths: Vec::new(), exceptions: Vec::new(), row_budget: Duration::from_micros(100) }
    }
}

/// How a worker works.
#[derive(Debug, Clone)]
pub(crate) struct WorkerConfig {
    pub(crate) shards: usize,
    /// A partition's open range is flushed after this long, or at this many rows or bytes.
    pub(crate) flush_interval: Duration,
    pub(crate) flush_rows: usize,
    pub(crate) flush_bytes: usize,
    /// Waiting entries are committed to the tables this often.
    pub(crate) commit_interval: Duration,
    /// The merge stage steps this often when there is something to merge.
    pub(crate) step_interval: Duration,
    /// Merge state is written at most this often.
    pub(crate) state_interval: Duration,
    /// The largest disorder of event times expected within a partition.
    pub(crate) disorder: Duration,
    /// A partition that is caught up and silent for this long holds no window back.
    pub(crate) idle_after: Duration,
    /// What may wait between intake and a shard.
    pub(crate) queue_rows: usize,
    pub(crate) queue_bytes: usize,
    /// Data files that may wait for their tables; then sources pause.
    pub(crate) uncommitted_bytes: usize,
    /// A data file below this is small; of small files and of snapshots a table may have so many before intervals are stretched,
    /// at most so many times.
    pub(crate) file_bytes: usize,
    pub(crate) small_files_max: u64,
    pub(crate) snapshots_max: u64,
    pub(crate) stretch_max: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, |n| n.get()),
            flush_interval: Duration::from_secs(5),
            flush_rows: 262_144,
            flush_bytes: 256 << 20,
            commit_interval: Duration::from_secs(15),
            step_interval: Duration::from_secs(1),
            state_interval: Duration::from_secs(60),
            disorder: Duration::from_secs(10),
            idle_after: Duration::from_secs(30),
            queue_rows: 65_536,
            queue_bytes: 64 << 20,
            uncommitted_bytes: 16 << 30,
            file_bytes: 32 << 20,
            small_files_max: 50_000,
            snapshots_max: 6_000, // a day of one commit every 15 s
            stretch_max: 4,
        }
    }
}

/// When a worker collects what nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpkeepConfig {
    pub(crate) enabled: bool,
    /// A turn of collection is made this often.
    pub(crate) interval: Duration,
    /// What is younger is kept in any case.
    pub(crate) retention: Duration,
}

/// How long ledger entries and what stands beside them are kept at least, unless the configuration says otherwise.
pub(crate) const RETENTION: Duration = Duration::from_secs(24 * 3_600);

impl Default for UpkeepConfig {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_secs(3_600), retention: RETENTION }
    }
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// Names the file with line and column, and the nearest key where a key is unknown.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::read(path, &e))?;
        raw::parse(path, &text)
    }

    /// Reads a file with the `security` and `settings` of clients of Kafka.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_client(path: &Path) -> Result<ClientSettings, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::read(path, &e))?;
        raw::parse_client(path, &text)
    }
}

#[cfg(test)]
mod tests;
