//! `palisade check`: everything that can be found wrong without a network, in one run, and what would run.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aggregate::{Emit, Rule, RuleSet, TestOutcome};
use dataflow::Table;
use enrich::{Chain, EnrichConfig};
use ingest::mapping::Mappings;
use serde::Serialize;
use sinks::MERGE_TABLES;

use crate::cli::{CheckArgs, Output};
use crate::clock;
use crate::config::{Config, Receiver, ReceiverConfig, SourceConfig};
use crate::listing::Listing;
use crate::setup;
use crate::summary::{grouped, shown};

/// What would run, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Report {
    config: String,
    problems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warehouse: Option<String>,
    sources: Vec<SourceLine>,
    /// Who gets alerts beside the table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receivers: Vec<ReceiverLine>,
    tables: Vec<&'static str>,
    rules: Vec<RuleLine>,
    /// The configuration's own mappings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mappings: Vec<MappingLine>,
    /// Versions of rules, enrichment tables and mappings, as ledger entries name them.
    versions: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_per_day: Option<FilesPerDay>,
}

#[derive(Debug, Serialize)]
struct SourceLine {
    name: String,
    kind: &'static str,
    tenants: Vec<String>,
    partitions: u64,
}

#[derive(Debug, Serialize)]
struct ReceiverLine {
    name: String,
    kind: &'static str,
}

/// A rule that would run.
#[derive(Debug, Serialize)]
pub(super) struct RuleLine {
    name: String,
    title: String,
    level: &'static str,
    tables: Vec<&'static str>,
    /// `HOP 30s/1m`, or `filter`.
    window: String,
    emit: &'static str,
    attack: Vec<String>,
    version: u32,
    tests: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct MappingLine {
    name: &'static str,
    tests: usize,
}

/// An upper bound: every flush writes to every table that events go to, every merge step to both of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct FilesPerDay {
    partitions: u64,
    tables: u64,
    flushes: u64,
    merge_steps: u64,
    total: u64,
    limit: u64,
}

/// Runs the command.
///
/// # Errors
/// If nothing can be printed; what is wrong with the configuration is the report, and exit code 1.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let report = check(&args.config);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.write_text(&mut out, std::io::stdout().is_terminal())?,
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn check(file: &Path) -> Report {
    let mut report = Report::new(file);
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            report.problems.extend(error.lines());
            return report;
        }
    };
    report.warehouse = Some(config.warehouse.root.to_string());
    report.sources = config.sources.iter().map(|s| source(s, &mut report.problems)).collect();
    report.receivers(&config.receivers);
    report.tables = Table::ALL.iter().map(|t| t.name()).collect();
    report.mappings(&config.mappings);
    report.enrichment(&config.enrich);
    report.rules(&config);
    report.files(&config);
    report
}

fn source(source: &SourceConfig, problems: &mut Vec<String>) -> SourceLine {
    match source {
        SourceConfig::Files(files) => SourceLine {
            name: files.topic.clone(),
            kind: "files",
            tenants: vec![files.tenant.clone()],
            partitions: u64::from(files.partitions),
        },
        SourceConfig::Kafka(kafka) => SourceLine {
            name: kafka.name.clone(),
            kind: "kafka",
            tenants: vec![kafka.tenant.fixed(&kafka.topic).unwrap_or_else(|| "by message".to_owned())],
            partitions: u64::from(kafka.partitions),
        },
        SourceConfig::KafkaTopics(topics) => SourceLine {
            name: topics.pattern.as_str().to_owned(),
            kind: "kafka",
            tenants: vec![topics.common.tenant.fixed("").unwrap_or_else(|| "by topic or message".to_owned())],
            partitions: u64::from(topics.common.partitions),
        },
        SourceConfig::Generator(generator) => {
            let fleet = loadgen::Fleet::new(generator.fleet.clone());
            let (tenants, partitions) = match &fleet {
                Ok(fleet) => (fleet.tenants().iter().map(|t| t.to_string()).collect(), fleet.partitions().len()),
                Err(error) => {
                    problems.push(format!("generator: {error}"));
                    (Vec::new(), 0)
                }
            };
            SourceLine { name: "generator".to_owned(), kind: "generator", tenants, partitions: partitions as u64 }
        }
    }
}

impl Report {
    fn new(file: &Path) -> Self {
        Self {
            config: shown(file),
            problems: Vec::new(),
            warehouse: None,
            sources: Vec::new(),
            receivers: Vec::new(),
            tables: Vec::new(),
            rules: Vec::new(),
            mappings: Vec::new(),
            versions: std::collections::BTreeMap::new(),
            files_per_day: None,
        }
    }

    fn receivers(&mut self, receivers: &[ReceiverConfig]) {
        for ReceiverConfig { delivery, to } in receivers {
            let kind = match to {
                Receiver::Kafka(_) => "kafka",
                Receiver::Webhook(_) => "webhook",
                Receiver::Alertmanager(_) => "alertmanager",
                Receiver::Syslog(_) => "syslog",
            };
            let fault = setup::receiver(to).err().map(|e| format!("{}: alerts: {}: {e}", self.config, delivery.name));
            self.problems.extend(fault);
            self.receivers.push(ReceiverLine { name: delivery.name.clone(), kind });
        }
    }

    /// What the configuration's own mappings are, and which of their tests fail.
    fn mappings(&mut self, mappings: &Mappings) {
        self.mappings = mappings.own().map(|(name, tests)| MappingLine { name, tests }).collect();
        self.versions.extend(mappings.version().map(|version| ("mappings".to_owned(), version)));
        self.problems.extend(mappings.run_own_tests().iter().map(|failure| format!("decode.mappings: {failure}")));
    }

    /// Each table by itself, so that one that is wrong does not hide another.
    fn enrichment(&mut self, config: &EnrichConfig) {
        let none = EnrichConfig { internal_networks: Vec::new(), ..EnrichConfig::default() };
        let country = EnrichConfig { country: config.country.clone(), ..none.clone() };
        let intel = config.intel.iter().map(|source| EnrichConfig { intel: vec![source.clone()], ..none.clone() });
        let network = |n: &String| EnrichConfig { internal_networks: vec![n.clone()], ..none.clone() };
        let networks = config.internal_networks.iter().map(network);
        let before = self.problems.len();
        for part in [country].into_iter().chain(intel).chain(networks) {
            self.problems.extend(Chain::build(&part, clock::now_us()).err().map(|e| format!("enrich: {e}")));
        }
        if before == self.problems.len() {
            match Chain::build(config, clock::now_us()) {
                Ok(chain) => self.versions.extend(chain.versions()),
                Err(error) => self.problems.push(format!("enrich: {error}")),
            }
        }
    }

    fn rules(&mut self, config: &Config) {
        let rules = match setup::rules(config) {
            Ok(rules) => rules,
            Err(error) => {
                self.problems.extend(format!("{error:#}").lines().map(str::to_owned));
                return;
            }
        };
        self.versions.insert("rules".to_owned(), rules.version().to_owned());
        let outcomes = aggregate::run_tests(&rules);
        self.problems.extend(outcomes.iter().flat_map(failures));
        self.rules = lines(&rules, &outcomes);
    }

    fn files(&mut self, config: &Config) {
        let partitions = self.sources.iter().map(|s| s.partitions).sum();
        let files = FilesPerDay::of(config, partitions);
        if files.total > files.limit {
            self.problems.push(format!(
                "{}: {} files a day are above the limit of {}: raise worker.flush_interval or worker.step_interval, lower the \
                 sources' partitions, or raise warehouse.files_per_day_max",
                self.config,
                grouped(files.total),
                grouped(files.limit)
            ));
        }
        self.files_per_day = Some(files);
    }
}

/// A rule's test that did not end as it says, each fault with the rule's file.
pub(super) fn failures(outcome: &TestOutcome) -> Vec<String> {
    let place = format!("{}: test {:?}", outcome.file, outcome.test);
    outcome.failures().iter().map(|failure| format!("{place}: {failure}")).collect()
}

/// The rules, and how their tests ended.
pub(super) fn lines(rules: &RuleSet, outcomes: &[TestOutcome]) -> Vec<RuleLine> {
    let mut lines: Vec<RuleLine> = rules.rules().iter().map(|rule| line(rule, outcomes)).collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    lines
}

fn line(rule: &Rule, outcomes: &[TestOutcome]) -> RuleLine {
    let window = match rule.window_us() {
        None => "filter".to_owned(),
        Some((function, slide, size)) if slide == size => format!("{function} {}", length(size)),
        Some((function, slide, size)) => format!("{function} {}/{}", length(slide), length(size)),
    };
    // A correlation may read a table for several of its rules.
    let all = rule.tables();
    let tables = all.iter().enumerate().filter(|(i, table)| !all[..*i].contains(table));
    let tactics = rule.tactics().iter().map(|(id, _)| (*id).to_owned());
    RuleLine {
        name: rule.name().to_owned(),
        title: rule.title().to_owned(),
        level: rule.level().severity().1,
        tables: tables.map(|(_, table)| table.name()).collect(),
        window,
        emit: match rule.emit() {
            Emit::OnClose => "on_close",
            Emit::OnThreshold => "on_threshold",
        },
        attack: rule.techniques().iter().cloned().chain(tactics).collect(),
        version: rule.version(),
        tests: rule.test_count(),
        failed: outcomes.iter().filter(|o| o.uid == rule.uid() && !o.passed()).count(),
    }
}

/// `90000000` -> `1m30s`.
pub(super) fn length(us: i64) -> String {
    let span = jiff::SignedDuration::from_micros(us);
    format!("{span:#}").replace(' ', "")
}

impl FilesPerDay {
    fn of(config: &Config, partitions: u64) -> Self {
        let a_day =
            |every: Duration| 86_400_000u64.div_ceil(u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1));
        // Alerts of filter rules and dead letters come with the range; late windows only from merge steps.
        let tables = Table::EVENTS.len() as u64 + 1;
        let (flushes, merge_steps) = (a_day(config.worker.flush_interval), a_day(config.worker.step_interval));
        let total = partitions * tables * flushes + MERGE_TABLES.len() as u64 * merge_steps;
        Self { partitions, tables, flushes, merge_steps, total, limit: config.files_per_day_max }
    }
}

impl Report {
    fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let mut sources = Listing::new(&["source", "kind", "tenants", "partitions"], &[3]);
        for s in &self.sources {
            sources.push(vec![s.name.clone(), s.kind.to_owned(), s.tenants.join(" "), s.partitions.to_string()]);
        }
        sources.write(out, terminal)?;
        let mut receivers = Listing::new(&["receiver", "kind"], &[]);
        self.receivers.iter().for_each(|r| receivers.push(vec![r.name.clone(), r.kind.to_owned()]));
        receivers.write(out, terminal)?;
        write_rules(&self.rules, out, terminal)?;
        let mut mappings = Listing::new(&["mapping", "tests"], &[1]);
        self.mappings.iter().for_each(|m| mappings.push(vec![m.name.to_owned(), m.tests.to_string()]));
        mappings.write(out, terminal)?;
        let mut facts = Listing::new(&["what", "value"], &[]);
        facts.push(vec!["tables".to_owned(), self.tables.join(" ")]);
        self.warehouse.iter().for_each(|w| facts.push(vec!["warehouse".to_owned(), w.clone()]));
        self.versions.iter().for_each(|(n, v)| facts.push(vec![format!("version of {n}"), v.clone()]));
        self.files_per_day.iter().for_each(|f| facts.push(vec!["files a day, at most".to_owned(), f.to_string()]));
        if self.warehouse.is_some() {
            facts.write(out, terminal)?;
        }
        self.problems.iter().try_for_each(|problem| writeln!(out, "problem: {problem}"))?;
        match self.problems.len() {
            0 => writeln!(out, "{}: no problems", self.config),
            n => writeln!(out, "{}: {n} problem{}", self.config, if n == 1 { "" } else { "s" }),
        }
    }
}

/// Rules as a table.
pub(super) fn write_rules(lines: &[RuleLine], out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let header = ["rule", "level", "tables", "window", "emit", "ATT&CK", "version", "tests"];
    let mut rules = Listing::new(&header, &[6]);
    for r in lines {
        let tests = match (r.tests, r.failed) {
            (0, _) => "none".to_owned(),
            (all, 0) => format!("{all} passed"),
            (all, failed) => format!("{failed} of {all} FAILED"),
        };
        let attack = r.attack.join(" ");
        let mut row = vec![r.name.clone(), r.level.to_owned(), r.tables.join(" "), r.window.clone()];
        row.extend([r.emit.to_owned(), attack, r.version.to_string(), tests]);
        rules.push(row);
    }
    rules.write(out, terminal)
}
impl std::fmt::Display for FilesPerDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { partitions, tables, flushes, merge_steps, total, limit } = *self;
        let (total, limit) = (grouped(total), grouped(limit));
        write!(
            f,
            "{total} ({partitions} partitions x {tables} tables x {} flushes + {} tables x {} merge steps; limit {limit})",
            grouped(flushes),
            MERGE_TABLES.len(),
            grouped(merge_steps)
        )
    }
}

#[cfg(test)]
mod tests;
