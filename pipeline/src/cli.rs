//! The command line. Exit codes: 0 done; 1 failed, problems found by `check`, or an invariant that does not hold in `tables
//! audit`; 2 usage or configuration; 3 dead letters under `--strict`.

mod plan;
mod rules;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dataflow::{Reason, Table};
use loadgen::Schedule;
use sinks::{Warehouse, WarehouseConfig};

use crate::config::Config;
use crate::setup;
use crate::tap::Stage;
use plan::PLAN_HELP;
pub(crate) use plan::PlanArgs;
use rules::RULES_HELP;
pub(crate) use rules::{RulesAction, RulesArgs, RulesBacktestArgs, RulesPathsArgs, RulesRunArgs, When};

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (check: problems found; tables audit: an invariant does not hold; demo: not a \
full score), 2 usage or configuration, 3 dead letters under decode --strict.";

const CHECK_HELP: &str = "\
Examples:
  palisade check -c palisade.yaml
  palisade check -c palisade.yaml --output json | jq .problems

Exit codes: 0 all is well, 1 problems were found, 2 wrong usage.";

const TOP_HELP: &str = "\
Examples:
  palisade top
  palisade top eu-1:9464 eu-2:9464 https://palisade.example/us

Sums are over the workers that answer; percentiles are those of the slowest.";

const TAP_HELP: &str = "\
Examples:
  palisade tap
  palisade tap --table network_activity --where \"dst_port = 3389 AND src_endpoint.ip LIKE '10.%'\"
  palisade tap --stage dead-letters --field reason --field detail --field raw
  palisade tap --stage alerts --output json eu-1:9464 eu-2:9464 | jq .row.finding_info.title
  palisade tap --redact actor.user --redact src_endpoint.ip

On a loopback address anybody of the machine may look; elsewhere the worker's telemetry.console.token is needed. Nothing waits for
who looks: rows beyond the rate are counted, and passed over.";

const TABLES_HELP: &str = "\
Examples:
  palisade tables list --warehouse warehouse
  palisade tables describe network_activity --warehouse warehouse
  palisade tables snapshots detection_finding --output json
  palisade tables trace ae2d91ac-f5cc-5405-a2c1-3b320e29e0a0 --warehouse warehouse
  palisade tables audit --warehouse warehouse -c palisade.yaml
  palisade tables audit --warehouse palisade-demo --truth palisade-demo/truth
  palisade tables reprocess -c palisade.yaml --dry-run
  palisade tables expire --warehouse warehouse --dry-run
  palisade tables orphans --warehouse warehouse --older-than 7d --delete

Exit codes: 0 done, 1 failed, an invariant does not hold, or a chain is not as expire expects it, 2 usage or configuration.";

const REPROCESS_HELP: &str = "\
Examples:
  palisade tables reprocess -c palisade.yaml --dry-run
  palisade tables reprocess -c palisade.yaml
  palisade tables reprocess -c palisade.yaml --dead-letters --reason invalid_time
  palisade tables reprocess -c palisade.yaml --table base_event --where \"device_hostname = 'fw-7'\"
  palisade tables reprocess -c palisade.yaml --partition firewall/0 --offsets 500..900

Nothing that is stored changes: the new rows have the topic reprocess~TOPIC, and the offset of the record that they are made of.
Run again after a crash, it goes on; run again when all is done, it does nothing. A worker may run meanwhile. No rule sees the
rows.

Exit codes: 0 done or nothing to do, 1 failed, 2 usage or configuration.";

/// Firewall, VPN and cloud logs to open tables and real-time detections.
#[derive(Debug, Parser)]
#[command(name = "palisade", version, about, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// How much to log: error, warn, info, debug, or a filter such as `sinks=debug`. Logs go to stderr.
    #[arg(long, global = true, default_value = "warn", env = "PALISADE_LOG", value_name = "LEVEL")]
    pub(crate) log: String,
    /// How log lines are written: `text` for people, `json` for machines, an object a line.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, env = "PALISADE_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the whole system on this machine: a fleet with attacks, the pipeline, a warehouse; ends with a score.
    Demo(DemoArgs),
    /// Runs a worker by its configuration.
    Run(RunArgs),
    /// Validates configuration, enrichment tables and rules, runs the rules' tests, and prints what would run. No network.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Checks, tests and explains rules, SQL and Sigma, and runs them over logs and stored rows.
    #[command(after_help = RULES_HELP)]
    Rules(RulesArgs),
    /// Turns log lines on stdin into OCSF JSON lines on stdout; dead letters go to stderr.
    Decode(DecodeArgs),
    /// Queries the warehouse in SQL; without a query, interactively.
    Sql(SqlArgs),
    /// Writes a synthetic fleet's logs with labelled attacks, and the truth about them.
    Loadgen(Box<LoadgenArgs>),
    /// Lists and describes the warehouse's tables, and audits them.
    #[command(after_help = TABLES_HELP)]
    Tables(TablesArgs),
    /// Shows what workers do, live: rates, latency, lag, commits.
    #[command(after_help = TOP_HELP)]
    Top(TopArgs),
    /// Shows rows of running workers as they pass, at any stage.
    #[command(after_help = TAP_HELP)]
    Tap(TapArgs),
    /// Reckons what a deployment needs, year by year, from what was measured on a machine.
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Where the workers listen: HOST:PORT as `telemetry.listen` has it, or a URL.
    #[arg(value_name = "WORKER", default_value = "127.0.0.1:9464")]
    pub(crate) workers: Vec<String>,
    /// Prints a line now and then instead of panels; so do NO_COLOR, TERM=dumb and a pipe.
    #[arg(long)]
    pub(crate) no_live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Where the workers listen: HOST:PORT as `telemetry.listen` has it, or a URL.
    #[arg(value_name = "WORKER", default_value = "127.0.0.1:9464")]
    pub(crate) workers: Vec<String>,
    /// Where in the path to look.
    #[arg(long, value_enum, default_value_t = Stage::Events)]
    pub(crate) stage: Stage,
    /// Only rows of this class, such as `network_activity`; may be repeated.
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Only rows that meet this condition, in SQL; a class without its columns has none.
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// What is shown of a row: a column, or what SQL makes of columns; may be repeated.
    #[arg(long = "field", value_name = "SQL")]
    pub(crate) fields: Vec<String>,
    /// A column to mask, with all below it, its copies, and whatever may repeat it; may be repeated.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) redact: Vec<String>,
    /// Rows a second of each worker, up to 1000.
    #[arg(long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) rate: u32,
    /// Ends after so many rows.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Lines for people, or a JSON object a row.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// The worker's telemetry.console.token.
    #[arg(long, env = "PALISADE_CONSOLE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people: tables and colour.
    Text,
    /// For machines: JSON.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Decides everything that the fleet does.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long the fleet sends.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many events it sends in that time.
    #[arg(long, default_value_t = 1_200_000)]
    pub(crate) events: u64,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Where the warehouse goes; it must not exist yet.
    #[arg(long, value_name = "DIR", default_value = "palisade-demo")]
    pub(crate) warehouse: PathBuf,
    /// Where /metrics and /health listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub(crate) listen: String,
    /// Prints lines instead of the live view; so do NO_COLOR, TERM=dumb and a pipe.
    #[arg(long)]
    pub(crate) no_live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Stops when every source is read to its end, and prints the summary.
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Reads this topic from its beginning though it was deleted and made again, or is another cluster's; what is stored of the
    /// old one stays.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) accept_reset: Vec<String>,
    /// Goes on with this topic after records that Kafka deleted before they were read; the ledger says which are lost.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) accept_loss: Vec<String>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Prints lines instead of the live view; so do NO_COLOR, TERM=dumb and a pipe.
    #[arg(long)]
    pub(crate) no_live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    #[command(subcommand)]
    pub(crate) action: TablesAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TablesAction {
    /// Every table: rows, files, bytes, snapshots, last commit.
    List(AtWarehouse),
    /// One table: columns, partitioning, sort order, properties.
    Describe(OfTable),
    /// One table's commits, the oldest first, with the ranges that each took in.
    Snapshots(OfTable),
    /// From an alert to the rows behind it, and from a row to the ledger entry, the files and the snapshots that brought it.
    Trace(TraceArgs),
    /// Checks the invariants of the commit protocol on what is stored; exit code 1 if one does not hold.
    Audit(AuditArgs),
    /// Who gets alerts beside the table: how many wait, and what was refused.
    Receivers(ReceiversArgs),
    /// Reads stored records back through today's decoders: dead letters and rows that keep their text.
    #[command(after_help = REPROCESS_HELP)]
    Reprocess(ReprocessArgs),
    /// Deletes what of the ledger nobody needs any more: entries, exchange files, merge states, marks of sent alerts. A worker does the
    /// same by itself. Snapshots are expired by a query engine (docs/upkeep.md).
    Expire(ExpireArgs),
    /// Finds files that no snapshot and no entry names, and deletes them if told to.
    Orphans(OrphansArgs),
    /// Writes a checkpoint, from which a copy of the store becomes a warehouse again, and copies what a backup lacks. Workers may
    /// go on meanwhile.
    Backup(BackupArgs),
    /// Makes a copy of a warehouse a warehouse: registers its tables in a catalog that is empty, and ends each chain of the ledger
    /// where the copy does. Workers go on from there (docs/recovery.md).
    Restore(AtWarehouse),
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
    /// The configuration of the warehouse that is to take over: what its root lacks is copied there. Without it a checkpoint is
    /// written, for copies that the store itself makes.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// An alert's id (`finding_info.uid`), or a row's: TOPIC@INCARNATION/PARTITION/OFFSET, as `evidences[].uid` has it.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
}

#[derive(Debug, Args)]
pub(crate) struct ExpireArgs {
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
    /// Keeps everything that is younger, whether or not it is needed.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = age)]
    pub(crate) older_than: Duration,
    /// Says what would be deleted, and ends.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OrphansArgs {
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
    /// Leaves out files that are younger: they may be on their way into an entry. With --delete at least 1h.
    #[arg(long, value_name = "DURATION", default_value = "3d", value_parser = age)]
    pub(crate) older_than: Duration,
    /// Deletes them; without it they are listed.
    #[arg(long)]
    pub(crate) delete: bool,
}

/// Which warehouse.
#[derive(Debug, Args)]
pub(crate) struct NamedWarehouse {
    /// The warehouse: a folder, or the URL of a bucket whose catalog the environment names [default: the configuration's, or
    /// palisade-demo].
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) warehouse: Option<String>,
    /// The configuration whose warehouse it is, and whose rules and tenants an audit compares.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Whose ledger and positions (`warehouse.region`) [default: the configuration's, or local].
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
}

impl AtWarehouse {
    /// As [`NamedWarehouse::open`].
    pub(crate) async fn open(&self) -> anyhow::Result<Warehouse> {
        self.at.open().await
    }
}

impl NamedWarehouse {
    /// Opens it; it must be there.
    pub(crate) async fn open(&self) -> anyhow::Result<Warehouse> {
        setup::existing_warehouse(self.config()?, setup::NONE_TO_READ).await
    }

    /// Which it is, whether or not it is there.
    pub(crate) fn config(&self) -> anyhow::Result<WarehouseConfig> {
        let config = self.config.as_ref().map(|file| Config::load(file)).transpose()?;
        let mut at = setup::named_warehouse(self.warehouse.as_deref(), config.as_ref())?;
        at.region = self.region.clone().unwrap_or(at.region);
        Ok(at)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReceiversArgs {
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
    /// Print what this receiver refused for good, a JSON object a line: `why` and `alert`.
    #[arg(long, value_name = "RECEIVER")]
    pub(crate) refused: Option<String>,
    /// Forget this receiver, which is gone for good: the ledger keeps nothing for it any more.
    #[arg(long, value_name = "RECEIVER", conflicts_with = "refused")]
    pub(crate) forget: Option<String>,
}

/// Which warehouse, and how to print.
#[derive(Debug, Args)]
pub(crate) struct AtWarehouse {
    #[command(flatten)]
    pub(crate) at: NamedWarehouse,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct OfTable {
    /// The table's name, such as network_activity.
    pub(crate) table: String,
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) at: AtWarehouse,
    /// The folder of the generator's log (`loadgen --out`, or `truth` in the demo's warehouse): rows are compared with it.
    #[arg(long, value_name = "DIR")]
    pub(crate) truth: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReprocessArgs {
    /// The configuration: the warehouse, and how records are decoded and enriched.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Dead letters; all that may hold an event unless --reason is given. Without this, --table and --partition: dead letters
    /// and base_event.
    #[arg(long)]
    pub(crate) dead_letters: bool,
    /// Only dead letters of this reason. May be given several times.
    #[arg(long, value_name = "REASON", requires = "dead_letters", value_parser = reason)]
    pub(crate) reason: Vec<Reason>,
    /// Rows of this table.
    #[arg(long, value_name = "TABLE", value_parser = event_table)]
    pub(crate) table: Option<Table>,
    /// Only rows for which this SQL condition holds.
    #[arg(long = "where", value_name = "CONDITION", requires = "table")]
    pub(crate) condition: Option<String>,
    /// A range of this partition: TOPIC/NUMBER, or TOPIC@INCARNATION/NUMBER.
    #[arg(long, value_name = "PARTITION", requires = "offsets", conflicts_with_all = ["dead_letters", "table"])]
    pub(crate) partition: Option<String>,
    /// The range's first offset, and the one after its last.
    #[arg(long, value_name = "A..B", requires = "partition", value_parser = crate::reprocess::offsets)]
    pub(crate) offsets: Option<(i64, i64)>,
    /// Also records that these very decoders and mappings have read before.
    #[arg(long)]
    pub(crate) again: bool,
    /// Says what would be read, and ends.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// What the lines are: auto, panos-csv, panos-json, cloudtrail or vpc-flow.
    #[arg(long, default_value = "auto")]
    pub(crate) format: ingest::decode::Format,
    /// The fields of VPC flow logs, in order, divided by commas; the default format without it.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) vpc_flow_fields: Option<Vec<String>>,
    /// A mapping file of your own, or a glob of some; asked before those that ship. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) mapping: Vec<String>,
    /// Reads {"id", "raw"} a line and writes {"id", "events"} or {"id", "error"} a line, in order.
    #[arg(long)]
    pub(crate) wrapped: bool,
    /// Exits with 3 if any line was a dead letter.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Whose events they are (tenant_uid).
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    /// Says on stderr, a line a record, which decoder took it and why.
    #[arg(long, conflicts_with = "wrapped")]
    pub(crate) explain: bool,
    /// Prints counts instead of events: formats, decoders, log types, versions, unknown names, dead letters.
    #[arg(long, conflicts_with = "wrapped")]
    pub(crate) report: bool,
    /// How report and explanations are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The query; interactive without one.
    pub(crate) query: Option<String>,
    #[command(flatten)]
    pub(crate) at: NamedWarehouse,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LoadgenArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LoadgenAction>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoadgenAction {
    /// Compares a warehouse that read the files with what the fleet knows: lost, doubled, altered, caught, missed.
    Score(ScoreArgs),
    /// Learns a profile of real logs that keeps none of their values, for `palisade loadgen --profile`.
    Learn(LearnArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LearnArgs {
    /// Files of lines: PAN-OS CSV, Strata JSON, CloudTrail, VPC flow logs; .gz and .zst too.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where the profile goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// The folder that `palisade loadgen --out` wrote, with one file a partition.
    #[arg(long, value_name = "DIR")]
    pub(crate) truth: PathBuf,
    /// The warehouse read the topic that `palisade loadgen --kafka` wrote to, not files.
    #[arg(long)]
    pub(crate) kafka: bool,
    #[command(flatten)]
    pub(crate) at: NamedWarehouse,
    /// Also writes a page with plots, which needs nothing beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exits with 1 unless nothing is lost, doubled or altered, every attack is detected, and nothing else alerts.
    #[arg(long)]
    pub(crate) strict: bool,
    /// How the score is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// A fleet: branch-office, data-center, remote-workforce, multi-cloud, provider, or a YAML file that tells of one.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) profile: Option<String>,
    /// Decides everything that the fleet does [default: the profile's, or 1].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many events [default: the profile's, or 100000].
    #[arg(long)]
    pub(crate) events: Option<u64>,
    /// The event time that they span [default: the profile's, or 1h].
    #[arg(long, value_parser = duration)]
    pub(crate) span: Option<Duration>,
    /// Writes files, the truth and the labels into this folder; without it, lines go to stdout.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// How files are compressed: none, gzip or zstd.
    #[arg(long, value_enum, default_value_t = Compression::None, requires = "out")]
    pub(crate) compression: Compression,
    /// Files a partition.
    #[arg(long, default_value_t = 1, requires = "out")]
    pub(crate) files: u32,
    /// Writes to a topic of these brokers instead; with --out, truth and labels go into the folder.
    #[arg(long, value_name = "HOST:PORT", requires = "topic", group = "sink", conflicts_with_all = ["compression", "files"])]
    pub(crate) kafka: Option<String>,
    /// The topic: it is created unless it exists, and must be empty.
    #[arg(long, value_name = "NAME", requires = "kafka")]
    pub(crate) topic: Option<String>,
    /// How to talk to the brokers: a YAML file with `security` and `settings`, as a Kafka source has them.
    #[arg(long, value_name = "FILE", requires = "sink")]
    pub(crate) kafka_config: Option<PathBuf>,
    /// Customers of the fleet, each with partitions of its own [default: the profile's, or 3].
    #[arg(long)]
    pub(crate) tenants: Option<u32>,
    /// Partitions of the fleet, and of the topic: a multiple of the tenants [default: the profile's, or two a tenant].
    #[arg(long, requires = "sink")]
    pub(crate) partitions: Option<u32>,
    /// Spreads the records over this time; without it they go as fast as the target takes them, to Kafka as if received in
    /// the time just passed. With a rate, it decides how many records there are, and --events nothing.
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "sink")]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) send: SendArgs,
}

/// Where records are sent, and when each is due.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// Sends to udp://, tcp://, tls://HOST:PORT, http(s)://…, hec+http(s)://… (token in PALISADE_HEC_TOKEN), s3://BUCKET/PREFIX,
    /// kafka://HOST:PORT/TOPIC, a folder, or - (standard output); with --out, truth and labels go into that folder.
    #[arg(long, value_name = "TARGET", group = "sink", conflicts_with_all = ["compression", "files"])]
    pub(crate) to: Option<loadgen::Target>,
    /// This many events a second: 250, 20k, 1.5M.
    #[arg(long, value_name = "RATE", requires = "to", group = "shape", value_parser = constant)]
    pub(crate) rate: Option<Schedule>,
    /// From one rate to another in a time: 1k..50k/60s.
    #[arg(long, value_name = "FROM..TO/TIME", requires = "to", group = "shape", value_parser = Schedule::parse_ramp)]
    pub(crate) ramp: Option<Schedule>,
    /// One rate after the other, each for a time: 1k,5k,20k/30s.
    #[arg(long, value_name = "RATE,…/TIME", requires = "to", group = "shape", value_parser = Schedule::parse_steps)]
    pub(crate) step: Option<Schedule>,
    /// A recorded curve: CSV lines of seconds,events_per_second.
    #[arg(long, value_name = "FILE", requires = "to", group = "shape")]
    pub(crate) curve: Option<PathBuf>,
    /// Sends a share of the partitions: 1/4 to 4/4, each in a process of its own, agree on every record and its time.
    #[arg(long, value_name = "I/N", requires = "to", default_value = "1/1")]
    pub(crate) shard: loadgen::Shard,
    /// When the schedule starts, such as 2026-01-05T08:00:00Z: the same for every shard. Now, without it.
    #[arg(long, value_name = "TIME", requires = "to")]
    pub(crate) start_at: Option<jiff::Timestamp>,
    /// Connections, each with a thread; a partition keeps to one.
    #[arg(long, requires = "to", default_value_t = 1)]
    pub(crate) connections: usize,
    /// Trusts the certificates of this PEM file instead of the machine's.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(crate) ca: Option<PathBuf>,
    /// Keys of objects in a bucket: of {tenant}, {topic}, {partition}, {offset}, {year}, {month}, {day} and {hour}.
    #[arg(long, value_name = "TEMPLATE", requires = "to", default_value = loadgen::KEY_TEMPLATE)]
    pub(crate) key: String,
    /// Gives up when the target has taken nothing for this long.
    #[arg(long, value_name = "DURATION", requires = "to", default_value = "60s", value_parser = duration)]
    pub(crate) patience: Duration,
    /// How the report is printed.
    #[arg(long, value_enum, requires = "to", default_value_t = Output::Text)]
    pub(crate) output: Output,
}

fn constant(text: &str) -> Result<Schedule, loadgen::Error> {
    Schedule::constant(loadgen::rate(text)?)
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl From<Compression> for loadgen::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => loadgen::Compression::None,
            Compression::Gzip => loadgen::Compression::Gzip,
            Compression::Zstd => loadgen::Compression::Zstd,
        }
    }
}

fn reason(name: &str) -> Result<Reason, String> {
    let all = || Reason::ALL.map(Reason::name).join(", ");
    Reason::ALL.into_iter().find(|r| r.name() == name).ok_or_else(|| format!("no such reason: {}", all()))
}

fn event_table(name: &str) -> Result<Table, String> {
    let all = || Table::EVENTS.map(Table::name).join(", ");
    Table::by_name(name).filter(|t| Table::EVENTS.contains(t)).ok_or_else(|| format!("no table of events: {}", all()))
}

/// `90s`, `5m`, `1h 30m`.
/// A duration; days as well, which have 24 hours here.
fn age(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => duration(text),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|e: jiff::Error| e.to_string())?;
    Duration::try_from(signed).map_err(|_| "a duration cannot be negative".to_owned())
}
