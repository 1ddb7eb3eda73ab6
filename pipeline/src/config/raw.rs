//! What the YAML may say, and how it becomes a [`Config`].

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use dataflow::ClientSettings;
use ingest::mapping::Mappings;
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;
use sinks::http::HttpConfig;

use super::kafka::{self, RawClient, RawKafka, RawTenant};
use super::receivers::{self, RawReceiver, receivers};
use super::secret::RawSecret;
use super::tiers::Tiers;
use super::warehouse::{self, RawWarehouse};
use super::{
    Accepted, CanaryConfig, Config, ConsoleConfig, FILES_PER_DAY_MAX, FilesSource, GeneratorSource, RulesConfig,
    SourceConfig, Token, UpkeepConfig, WorkerConfig,
};
use crate::tap::Redaction;

/// Between two canaries.
const CANARY_MIN: Duration = Duration::from_secs(1);

/// A configuration that cannot be used: every problem found in it, one a line.
#[derive(Debug, thiserror::Error)]
pub(crate) struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

/// One thing that is wrong: where, what, and what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    place: Option<(u64, u64)>,
    what: String,
}

impl Problem {
    fn new(what: impl Into<String>) -> Self {
        Self { place: None, what: what.into() }
    }

    /// A problem of a part of the file.
    pub(super) fn at<T>(part: &Spanned<T>, what: String) -> Self {
        Self { place: Some((part.referenced.line(), part.referenced.column())), what }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.lines().enumerate() {
            f.write_str(if i > 0 { "\n" } else { "" })?;
            f.write_str(&line)?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// Each problem with its place.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let file = self.file.display();
        self.problems.iter().map(move |Problem { place, what }| match place {
            Some((line, column)) => format!("{file}:{line}:{column}: {what}"),
            None => format!("{file}: {what}"),
        })
    }

    pub(super) fn read(file: &Path, error: &std::io::Error) -> Self {
        Self::invalid(file, vec![Problem::new(format!("cannot be read: {error}"))])
    }

    fn invalid(file: &Path, problems: Vec<Problem>) -> Self {
        Self { file: file.to_owned(), problems }
    }

    fn yaml(file: &Path, error: &serde_saphyr::Error) -> Self {
        let place = error.location().map(|l| (l.line(), l.column()));
        let what = match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
            other => first_line(&other.to_string()),
        };
        Self::invalid(file, vec![Problem { place, what }])
    }
}

fn unknown_key(field: &str, expected: &[&str]) -> String {
    let near = expected.iter().max_by(|a, b| strsim::jaro_winkler(field, a).total_cmp(&strsim::jaro_winkler(field, b)));
    match near {
        Some(near) if strsim::jaro_winkler(field, near) > 0.7 => {
            format!("unknown key `{field}`; did you mean `{near}`?")
        }
        _ => format!("unknown key `{field}`; the keys here are {}", expected.join(", ")),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    warehouse: Spanned<RawWarehouse>,
    sources: Vec<Spanned<RawSource>>,
    #[serde(default)]
    decode: ingest::decode::DecodeConfig,
    #[serde(default)]
    enrich: enrich::EnrichConfig,
    #[serde(default)]
    rules: RawRules,
    #[serde(default)]
    alerts: Vec<Spanned<RawReceiver>>,
    worker: Option<Spanned<RawWorker>>,
    upkeep: Option<Spanned<RawUpkeep>>,
    #[serde(default)]
    telemetry: RawTelemetry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    name: Option<String>,
    tenant: Option<RawTenant>,
    files: Option<RawFiles>,
    kafka: Option<RawKafka>,
    generator: Option<RawGenerator>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFiles {
    paths: Vec<String>,
    partitions: Option<u32>,
    line_limit: Option<ByteSize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGenerator {
    seed: u64,
    events: u64,
    #[serde(deserialize_with = "duration")]
    duration: Duration,
    tenants: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRules {
    #[serde(default = "yes")]
    builtin: bool,
    #[serde(default)]
    paths: Vec<PathBuf>,
    #[serde(default)]
    exceptions: Vec<PathBuf>,
    #[serde(default = "row_budget", deserialize_with = "duration")]
    row_budget: Duration,
}

fn yes() -> bool {
    true
}

fn row_budget() -> Duration {
    RulesConfig::default().row_budget
}

impl Default for RawRules {
    fn default() -> Self {
        Self { builtin: true, paths: Vec::new(), exceptions: Vec::new(), row_budget: row_budget() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWorker {
    shards: Option<usize>,
    #[serde(deserialize_with = "maybe_duration")]
    flush_interval: Option<Duration>,
    flush_rows: Option<usize>,
    flush_size: Option<ByteSize>,
    #[serde(deserialize_with = "maybe_duration")]
    commit_interval: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    step_interval: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    state_interval: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    disorder: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    idle_after: Option<Duration>,
    queue_rows: Option<usize>,
    queue_size: Option<ByteSize>,
    uncommitted_size: Option<ByteSize>,
    file_size: Option<ByteSize>,
    small_files_max: Option<u64>,
    snapshots_max: Option<u64>,
    stretch_max: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawUpkeep {
    enabled: Option<bool>,
    #[serde(deserialize_with = "maybe_duration")]
    interval: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    retention: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTelemetry {
    listen: Option<SocketAddr>,
    tiers: std::collections::BTreeMap<String, Vec<String>>,
    console: RawConsole,
    canary: Option<RawCanary>,
    traces: Option<RawTraces>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTraces {
    endpoint: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, RawSecret>,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCanary {
    #[serde(deserialize_with = "duration")]
    every: Duration,
    source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConsole {
    enabled: Option<bool>,
    token: Option<RawSecret>,
    redact: Vec<String>,
}

fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    let signed: jiff::SignedDuration =
        text.parse().map_err(|_| de::Error::custom(format!("`{text}` is not a duration such as 10s, 5m or 1h")))?;
    Duration::try_from(signed).map_err(|_| de::Error::custom(format!("`{text}`: a duration cannot be negative")))
}

pub(super) fn maybe_duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    duration(d).map(Some)
}

/// Reads the text of `file`.
pub(super) fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let raw: RawConfig = serde_saphyr::from_str(text).map_err(|e| ConfigError::yaml(file, &e))?;
    let version = format!("crc32:{:08x}", crc32fast::hash(text.as_bytes()));
    let config = build(file, raw).map_err(|problems| ConfigError::invalid(file, problems))?;
    Ok(Config { version, ..config })
}

/// Reads the text of a client's `file`.
pub(super) fn parse_client(file: &Path, text: &str) -> Result<ClientSettings, ConfigError> {
    let raw: RawClient = serde_saphyr::from_str(text).map_err(|e| ConfigError::yaml(file, &e))?;
    let base = file.parent().unwrap_or(Path::new(""));
    kafka::client(base, raw).map_err(|what| ConfigError::invalid(file, vec![Problem::new(what)]))
}

fn build(file: &Path, raw: RawConfig) -> Result<Config, Vec<Problem>> {
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let mut problems = Vec::new();
    let sources = sources(&base, raw.sources, &mut problems);
    let warehouse = warehouse::build(&base, &raw.warehouse, &mut problems);
    let receivers = receivers(&base, raw.alerts, &mut problems);
    let worker = raw.worker.map_or_else(WorkerConfig::default, |raw| {
        worker(&raw.value).unwrap_or_else(|what| {
            problems.push(Problem::at(&raw, what));
            WorkerConfig::default()
        })
    });
    let upkeep = raw.upkeep.map_or_else(UpkeepConfig::default, |raw| {
        upkeep(&raw.value).unwrap_or_else(|what| {
            problems.push(Problem::at(&raw, what));
            UpkeepConfig::default()
        })
    });
    let tiers = Tiers::new(&raw.telemetry.tiers).unwrap_or_else(|what| {
        problems.push(Problem::new(what));
        Tiers::default()
    });
    let console = console(&base, &raw.telemetry.console).unwrap_or_else(|what| {
        problems.push(Problem::new(what));
        ConsoleConfig::default()
    });
    let canary = raw.telemetry.canary.map(|RawCanary { every, source }| CanaryConfig { every, source });
    problems.extend(canary.iter().filter_map(|canary| canary_problem(canary, &sources)).map(Problem::new));
    let traces = traces(&base, raw.telemetry.traces).unwrap_or_else(|what| {
        problems.push(Problem::new(what));
        None
    });
    let mut decode = raw.decode;
    decode.mappings.iter_mut().for_each(|path| *path = base.join(&*path).to_string_lossy().into_owned());
    let mappings = mappings(&decode.mappings, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut enrich = raw.enrich;
    enrich.resolve(&base);
    Ok(Config {
        version: String::new(),
        warehouse,
        receivers,
        files_per_day_max: raw.warehouse.value.files_per_day_max.unwrap_or(FILES_PER_DAY_MAX),
        sources,
        decode,
        mappings,
        enrich,
        rules: RulesConfig {
            builtin: raw.rules.builtin,
            paths: raw.rules.paths.iter().map(|p| base.join(p)).collect(),
            exceptions: raw.rules.exceptions.iter().map(|p| base.join(p)).collect(),
            row_budget: raw.rules.row_budget,
        },
        worker,
        upkeep,
        listen: raw.telemetry.listen,
        canary,
        traces,
        tiers,
        console,
        follow: true,
        accepted: Accepted::default(),
    })
}

fn console(base: &Path, raw: &RawConsole) -> Result<ConsoleConfig, String> {
    let token = raw.token.as_ref().map(|token| token.reveal(base, "telemetry.console.token")).transpose()?;
    let enabled = raw.enabled.unwrap_or(true);
    let redaction = Redaction::new(raw.redact.clone()).map_err(|what| format!("telemetry.console.redact: {what}"))?;
    Ok(ConsoleConfig { enabled, token: token.map(|token| Token(token.into())), redaction })
}

/// Where traces go.
fn traces(base: &Path, raw: Option<RawTraces>) -> Result<Option<HttpConfig>, String> {
    raw.map(|RawTraces { endpoint, headers, ca, timeout }| {
        receivers::http(base, "telemetry.traces", endpoint, headers, (ca, timeout))
    })
    .transpose()
}

fn canary_problem(CanaryConfig { every, source }: &CanaryConfig, sources: &[SourceConfig]) -> Option<String> {
    if *every < CANARY_MIN {
        return Some(format!("telemetry.canary.every: from {CANARY_MIN:?} up; each canary becomes a row"));
    }
    let is_it = |other: &SourceConfig| matches!(other, SourceConfig::Kafka(kafka) if kafka.name == *source);
    (!sources.iter().any(is_it)).then(|| {
        format!("telemetry.canary.source: `{source}` is no source with one topic of Kafka; make a topic for canaries, and a source of it")
    })
}

/// The mappings; what is wrong with them goes to `problems`.
fn mappings(paths: &[String], problems: &mut Vec<Problem>) -> Mappings {
    Mappings::load(paths).unwrap_or_else(|errors| {
        problems.extend(errors.iter().map(|error| Problem::new(format!("decode.mappings: {error}"))));
        Mappings::builtin()
    })
}

/// The sources that are right; what is wrong with the others goes to `problems`.
fn sources(base: &Path, raw: Vec<Spanned<RawSource>>, problems: &mut Vec<Problem>) -> Vec<SourceConfig> {
    if raw.is_empty() {
        problems.push(Problem::new("sources: at least one is needed"));
    }
    let mut sources = Vec::new();
    for (index, part) in raw.into_iter().enumerate() {
        let at = Spanned::new((), part.referenced, part.defined);
        match source(base, index, part.value) {
            Ok(found) => sources.extend(found),
            Err(what) => problems.push(Problem::at(&at, what)),
        }
    }
    let mut topics: Vec<&str> = sources.iter().filter_map(SourceConfig::topic).collect();
    topics.sort_unstable();
    if let Some(twice) = topics.windows(2).find(|w| w[0] == w[1]) {
        problems.push(Problem::new(format!("sources: two sources are named `{}`; give each its own `name`", twice[0])));
    }
    kafka::give_way(&mut sources);
    sources
}

impl SourceConfig {
    pub(super) fn topic(&self) -> Option<&str> {
        match self {
            SourceConfig::Files(files) => Some(&files.topic),
            SourceConfig::Kafka(kafka) => Some(&kafka.name),
            SourceConfig::KafkaTopics(_) | SourceConfig::Generator(_) => None,
        }
    }
}

/// One source, or one for each of the topics of Kafka that it names.
fn source(base: &Path, index: usize, raw: RawSource) -> Result<Vec<SourceConfig>, String> {
    match (raw.files, raw.kafka, raw.generator) {
        (Some(files), None, None) => {
            Ok(vec![SourceConfig::Files(files_source(base, index, raw.name, raw.tenant, files)?)])
        }
        (None, Some(kafka), None) => kafka::sources(base, index, raw.name, raw.tenant, kafka),
        (None, None, Some(g)) => {
            let mut fleet = loadgen::FleetConfig { seed: g.seed, events: g.events, ..Default::default() };
            fleet.tenants = g.tenants.unwrap_or(fleet.tenants);
            Ok(vec![SourceConfig::Generator(Box::new(GeneratorSource { fleet, duration: g.duration }))])
        }
        _ => Err(format!("sources[{index}]: exactly one of `files`, `kafka` and `generator` is needed")),
    }
}

fn files_source(
    base: &Path,
    index: usize,
    name: Option<String>,
    tenant: Option<RawTenant>,
    files: RawFiles,
) -> Result<FilesSource, String> {
    let topic = name.unwrap_or_else(|| format!("files-{index}"));
    confined(&format!("sources[{index}].name"), &topic)?;
    let tenant = match tenant {
        None => "default".to_owned(),
        Some(RawTenant::Name(name)) => name,
        Some(RawTenant::Found(_)) => {
            return Err(format!("sources[{index}].tenant: files have no headers or topics; give a name"));
        }
    };
    confined(&format!("sources[{index}].tenant"), &tenant)?;
    if files.paths.is_empty() {
        return Err(format!("sources[{index}].files.paths: at least one path or glob is needed"));
    }
    let partitions = files.partitions.unwrap_or(1);
    if !(1..=1024).contains(&partitions) {
        return Err(format!("sources[{index}].files.partitions: {partitions} is not in 1..=1024"));
    }
    let globs = files.paths.iter().map(|p| base.join(p).to_string_lossy().into_owned()).collect();
    Ok(FilesSource { topic, tenant, globs, partitions, line_limit: line_limit(files.line_limit) })
}

pub(super) fn line_limit(size: Option<ByteSize>) -> usize {
    size.map_or(1 << 20, |s| s.as_u64() as usize)
}

/// Names become parts of object paths and table properties.
pub(super) fn confined(place: &str, name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 128 && !name.starts_with(['.', '_']) && name.chars().all(fine) {
        return Ok(());
    }
    Err(format!("{place}: `{name}` may hold only letters, digits, `-`, `_` and `.`, and begins with a letter or digit"))
}

fn upkeep(raw: &RawUpkeep) -> Result<UpkeepConfig, String> {
    let d = UpkeepConfig::default();
    let config = UpkeepConfig {
        enabled: raw.enabled.unwrap_or(d.enabled),
        interval: raw.interval.unwrap_or(d.interval),
        retention: raw.retention.unwrap_or(d.retention),
    };
    if config.interval.is_zero() {
        return Err("upkeep.interval: 0s would never rest; `enabled: false` turns collection off".to_owned());
    }
    Ok(config)
}

fn worker(raw: &RawWorker) -> Result<WorkerConfig, String> {
    let d = WorkerConfig::default();
    let size = |s: Option<ByteSize>, default| s.map_or(default, |s| s.as_u64() as usize);
    let config = WorkerConfig {
        shards: raw.shards.unwrap_or(d.shards),
        flush_interval: raw.flush_interval.unwrap_or(d.flush_interval),
        flush_rows: raw.flush_rows.unwrap_or(d.flush_rows),
        flush_bytes: size(raw.flush_size, d.flush_bytes),
        commit_interval: raw.commit_interval.unwrap_or(d.commit_interval),
        step_interval: raw.step_interval.unwrap_or(d.step_interval),
        state_interval: raw.state_interval.unwrap_or(d.state_interval),
        disorder: raw.disorder.unwrap_or(d.disorder),
        idle_after: raw.idle_after.unwrap_or(d.idle_after),
        queue_rows: raw.queue_rows.unwrap_or(d.queue_rows),
        queue_bytes: size(raw.queue_size, d.queue_bytes),
        uncommitted_bytes: size(raw.uncommitted_size, d.uncommitted_bytes),
        file_bytes: size(raw.file_size, d.file_bytes),
        small_files_max: raw.small_files_max.unwrap_or(d.small_files_max),
        snapshots_max: raw.snapshots_max.unwrap_or(d.snapshots_max),
        stretch_max: raw.stretch_max.unwrap_or(d.stretch_max),
    };
    for (name, value) in [
        ("shards", config.shards),
        ("flush_rows", config.flush_rows),
        ("queue_rows", config.queue_rows),
        ("uncommitted_size", config.uncommitted_bytes),
    ] {
        if value == 0 {
            return Err(format!("worker.{name}: 0 would never move; leave it out for the default"));
        }
    }
    Ok(config)
}
