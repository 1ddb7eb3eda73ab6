//! From a configuration to the parts that the path is made of.

use std::sync::Arc;

use aggregate::{Exception, RuleErrors, RuleFiles, RuleSet};
use anyhow::{Context, bail};
use dataflow::{OffsetRange, PartitionId, Positions, Source};
use enrich::Reloader;
use ingest::files::{FileSource, FilesConfig};
use ingest::kafka::{BoxedError, KafkaConfig, KafkaSource, RecordSender, StartPositions};
use loadgen::{Fleet, GeneratorSource, Pace};
use prometheus::IntCounter;
use serde::{Deserialize, Serialize};
use sinks::outbox::{Alertmanager, Syslog, Webhook};
use sinks::{AlertTopic, Announced, Created, SourceEntry, Warehouse, WarehouseConfig};

use crate::builtin_rules::BUILTIN_RULES;
use crate::canary::Canary;
use crate::clock;
use crate::config::{
    self, Config, FilesSource, GeneratorSource as GeneratorConfig, Receiver, ReceiverConfig, RulesConfig, SourceConfig,
};
use crate::discovery::Discovery;
use crate::outbox::Outboxes;
use crate::registry;
use crate::telemetry::Telemetry;

/// The folder that `palisade demo` makes.
const DEMO_WAREHOUSE: &str = "palisade-demo";

/// Bytes of a chunk: a few thousand lines.
const CHUNK_BYTES: usize = 1 << 20;

/// Opens the warehouse, or makes it.
pub(crate) async fn warehouse(config: &Config) -> anyhow::Result<Warehouse> {
    let config = config.warehouse.clone();
    let at = config.root.to_string();
    Warehouse::open(config).await.with_context(|| format!("warehouse {at}"))
}

/// The warehouse that a command names: by a folder or a URL, by a configuration, or by neither, which means the demo's.
pub(crate) fn named_warehouse(place: Option<&str>, config: Option<&Config>) -> anyhow::Result<WarehouseConfig> {
    Ok(match (place, config) {
        (Some(place), _) => WarehouseConfig::named(place, &config::environment)?,
        (None, Some(config)) => config.warehouse.clone(),
        (None, None) => WarehouseConfig::at(DEMO_WAREHOUSE),
    })
}

/// Opens a warehouse that is there.
///
/// # Errors
/// If it is not, or cannot be opened; `otherwise` says what to do where there is none.
pub(crate) async fn existing_warehouse(config: WarehouseConfig, otherwise: &str) -> anyhow::Result<Warehouse> {
    let at = config.root.to_string();
    if !Warehouse::exists(&config).await.with_context(|| format!("warehouse {at}"))? {
        bail!("{at}: no warehouse here{otherwise}");
    }
    Warehouse::open(config).await.with_context(|| format!("warehouse {at}"))
}

/// What sends canaries, if the configuration has any, and the worker is there to stay.
pub(crate) fn canary(config: &Config, writer: &str, telemetry: &Telemetry) -> anyhow::Result<Option<Canary>> {
    let Some((canary, source)) = config.canary.as_ref().zip(config.canary_source()).filter(|_| config.follow) else {
        return Ok(None);
    };
    let sender = RecordSender::new(&kafka_config(source, true))?;
    let (source, writer, telemetry) = (source.name.clone(), writer.to_owned(), telemetry.clone());
    Ok(Some(Canary { every: canary.every, source, sender, writer, telemetry }))
}

/// What commands say that only read.
pub(crate) const NONE_TO_READ: &str = "; `palisade demo` makes one, or name yours with --warehouse or -c";

/// Loads and proves the rules and their exceptions.
pub(crate) fn rules(config: &Config) -> anyhow::Result<Arc<RuleSet>> {
    let rules = RuleSet::load_beside(builtin(&config.rules), &config.rules.paths)?;
    Ok(rules.except(&config.rules.exceptions)?)
}

fn builtin(config: &RulesConfig) -> &'static [(&'static str, &'static str)] {
    if config.builtin { BUILTIN_RULES } else { &[] }
}

/// The rules of files that were read, beside those that ship if the configuration says so, and with their exceptions.
pub(crate) fn rules_of(config: &RulesConfig, files: &RuleFiles) -> Result<Arc<RuleSet>, RuleErrors> {
    RuleSet::of_files(builtin(config), files)
}

/// Exceptions that have expired, as of now, each in a line for people.
pub(crate) fn expired(rules: &RuleSet, now_us: i64) -> Vec<String> {
    let expired = rules.exceptions().iter().filter(|exception| exception.until_us <= now_us);
    let line = |e: &Exception| {
        format!("{}: the exception of {} for {} expired after {}: {}", e.place(), e.owner, e.rule, e.expires, e.reason)
    };
    expired.map(|exception| line(exception)).collect()
}

/// The rules that ship, whatever a configuration says.
pub(crate) fn builtin_rules() -> anyhow::Result<Arc<RuleSet>> {
    Ok(RuleSet::from_texts(BUILTIN_RULES)?)
}

/// Loads the enrichment tables.
pub(crate) fn enrich(config: &Config) -> anyhow::Result<Reloader> {
    Ok(Reloader::open(&config.enrich, clock::now_us())?)
}

/// The ways of alerts out of the process, one a receiver.
pub(crate) async fn outboxes(
    config: &Config,
    warehouse: &Warehouse,
    telemetry: &Telemetry,
) -> anyhow::Result<Outboxes> {
    let mut outboxes = Outboxes::new(telemetry.clone());
    for ReceiverConfig { delivery, to } in &config.receivers {
        outboxes.add(sinks::Outbox::open(warehouse.clone(), delivery.clone(), receiver(to)?).await?);
    }
    Ok(outboxes)
}

/// Connects to nobody yet; what is wrong with URLs, secrets and certificates is found here.
pub(crate) fn receiver(to: &Receiver) -> anyhow::Result<Arc<dyn sinks::Receiver>> {
    Ok(match to {
        Receiver::Kafka(to) => Arc::new(AlertTopic::new(&to.brokers, &to.topic, &to.settings)?),
        Receiver::Webhook(to) => Arc::new(Webhook::new(to)?),
        Receiver::Alertmanager(to) => Arc::new(Alertmanager::new(to)?),
        Receiver::Syslog(to) => Arc::new(Syslog::new(to.clone())?),
    })
}

/// This process in ledger entries: host and process id.
pub(crate) fn writer_name() -> String {
    format!("{}-{}", hostname(), std::process::id())
}

/// The machine's name; in a container the container's.
pub(crate) fn hostname() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }
}

/// Opens sources, and records whose topics they are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Opener {
    config: Arc<Config>,
    warehouse: Warehouse,
    telemetry: Telemetry,
    writer: Arc<str>,
}

impl Opener {
    pub(crate) fn new(config: &Arc<Config>, warehouse: &Warehouse, telemetry: &Telemetry, writer: &str) -> Self {
        let (config, warehouse, telemetry) = (config.clone(), warehouse.clone(), telemetry.clone());
        Self { config, warehouse, telemetry, writer: writer.into() }
    }

    /// Opens every source, and says where more may come from.
    pub(crate) async fn all(&self) -> anyhow::Result<(Vec<Box<dyn Source>>, Vec<Discovery>)> {
        let (mut sources, mut discoveries): (Vec<Box<dyn Source>>, _) = (Vec::new(), Vec::new());
        for source in &self.config.sources {
            match source {
                SourceConfig::Files(files) => {
                    let source = file_source(files, self.config.follow, &self.warehouse).await?;
                    self.register(&source.partitions(), None).await?;
                    sources.push(Box::new(source));
                }
                SourceConfig::Kafka(kafka) => sources.push(self.kafka(kafka).await?),
                SourceConfig::KafkaTopics(topics) => {
                    let gauge = self.telemetry.topics_refused.with_label_values(&[topics.pattern.as_str()]);
                    let mut discovery = Discovery::new(topics.clone(), self.clone(), gauge)?;
                    if self.config.follow {
                        sources.extend(discovery.look().await?);
                        discoveries.push(discovery);
                    } else {
                        sources.extend(discovery.look_once().await?);
                    }
                }
                SourceConfig::Generator(generator) => {
                    let source = generator_source(generator, &self.warehouse).await?;
                    self.register(&source.partitions(), None).await?;
                    sources.push(Box::new(source));
                }
            }
        }
        Ok((sources, discoveries))
    }

    /// Opens a topic of Kafka.
    pub(crate) async fn kafka(&self, kafka: &config::KafkaSource) -> anyhow::Result<Box<dyn Source>> {
        let starts = LedgerPositions {
            accepts_loss: self.config.accepted.losses.contains(&kafka.name),
            writer: self.writer.clone(),
            offsets_lost: self.telemetry.offsets_lost.with_label_values(&[&kafka.name]),
            warehouse: self.warehouse.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let config = kafka_config(kafka, self.config.follow);
        // It asks the brokers, and waits for them.
        let source = tokio::task::spawn_blocking(move || KafkaSource::open(config, Arc::new(starts))).await??;
        self.register(&source.partitions(), source.cluster()).await?;
        Ok(Box::new(source))
    }

    async fn register(&self, partitions: &[PartitionId], cluster: Option<&str>) -> anyhow::Result<()> {
        for PartitionId { topic, incarnation, .. } in partitions {
            let accept_reset = self.config.accepted.resets.iter().any(|accepted| **accepted == **topic);
            let topic = Announced { topic, incarnation, cluster, accept_reset, by: &self.writer };
            self.warehouse.register_topic(topic).await?;
        }
        Ok(())
    }
}

async fn file_source(files: &FilesSource, follow: bool, warehouse: &Warehouse) -> anyhow::Result<FileSource> {
    let config = FilesConfig {
        topic: files.topic.clone(),
        tenant: files.tenant.as_str().into(),
        globs: files.globs.clone(),
        partitions: files.partitions,
        follow,
        line_limit: files.line_limit,
        chunk_bytes: CHUNK_BYTES,
        registry: registry::of(warehouse, &files.topic),
    };
    // It reads the registry, and waits for it.
    Ok(tokio::task::spawn_blocking(move || FileSource::open(config, clock::now_us)).await??)
}

/// The ledger, as a Kafka source asks it on its own thread.
struct LedgerPositions {
    accepts_loss: bool,
    writer: Arc<str>,
    offsets_lost: IntCounter,
    warehouse: Warehouse,
    runtime: tokio::runtime::Handle,
}

impl StartPositions for LedgerPositions {
    fn positions(&self, partitions: &[PartitionId]) -> Result<Positions, BoxedError> {
        let mut known = self.runtime.block_on(self.warehouse.start_positions())?;
        known.retain(|partition, _| partitions.contains(partition));
        Ok(known)
    }

    fn accept_loss(&self, partition: &PartitionId, lost: OffsetRange) -> Result<bool, BoxedError> {
        if !self.accepts_loss {
            return Ok(false);
        }
        let (OffsetRange { start, next }, attempt) = (lost, uuid::Uuid::new_v4());
        let entry = SourceEntry::of_loss(partition.clone(), start, next, &self.writer, attempt);
        match self.runtime.block_on(self.warehouse.ledger().create_source(&entry))? {
            Created::New | Created::Ours => {
                tracing::warn!(%partition, start, next, lost = entry.lost, "the loss is recorded; going on after it");
                self.offsets_lost.inc_by(entry.lost);
                Ok(true)
            }
            Created::Taken(other) if other.lost > 0 && other.next == next => Ok(true),
            Created::Taken(other) => {
                let (writer, next) = (other.writer, other.next);
                Err(format!("{partition}: {writer} has written [{start}, {next}) meanwhile; start again").into())
            }
            Created::Collected => {
                Err(format!("{partition}: what begins at {start} is written, and collected by now; start again").into())
            }
        }
    }
}

pub(crate) fn kafka_config(kafka: &config::KafkaSource, follow: bool) -> KafkaConfig {
    KafkaConfig {
        name: kafka.name.clone(),
        instance: kafka.instance.clone(),
        follow,
        line_limit: kafka.line_limit,
        session_timeout: kafka.session_timeout,
        settings: kafka.settings.clone(),
        ..KafkaConfig::new(&kafka.brokers, &kafka.topic, &kafka.group, kafka.tenant.clone())
    }
}

/// When a fleet began to send. Recorded once, so that a restart goes on with the same schedule and receive times.
#[derive(Serialize, Deserialize)]
struct Began {
    at_us: i64,
}

async fn generator_source(generator: &GeneratorConfig, warehouse: &Warehouse) -> anyhow::Result<GeneratorSource> {
    let fleet = Fleet::new(generator.fleet.clone())?;
    let name = fleet.partitions().first().map(|p| format!("generator-{}", p.incarnation)).unwrap_or_default();
    let began = serde_json::to_vec(&Began { at_us: clock::now_us() })?;
    let began: Began = serde_json::from_slice(&warehouse.remember(&name, began.into()).await?)?;
    let wall_span_us = i64::try_from(generator.duration.as_micros())?;
    let pace = Pace::Open { start_wall_us: began.at_us, wall_span_us };
    Ok(GeneratorSource::new(Arc::new(fleet), pace, clock::now_us))
}
