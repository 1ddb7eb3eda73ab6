//! The arguments of `palisade rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

pub(super) const RULES_HELP: &str = "\
Examples:
  palisade rules check rules/ sigma/rules/cloud/aws
  palisade rules check rules/ --output json | jq .problems
  palisade rules test rules/
  palisade rules coverage rules/ --output json > layer.json
  palisade rules run --rules sigma/rules/cloud/aws --events cloudtrail.ndjson.gz
  palisade rules run --rules rules/ --rules my.yml --events - --format cloudtrail < cloudtrail.ndjson

Exit codes: 0 done, 1 a rule is refused (rules run: under --strict) or a test failed, 2 wrong usage.";

#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    #[command(subcommand)]
    pub(crate) action: RulesAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesAction {
    /// Says of each rule that it can run, and over which tables, or where it is wrong and what to do.
    Check(RulesPathsArgs),
    /// Runs the tests that rule files hold: a line a test, what was expected beside what came, and totals.
    Test(RulesPathsArgs),
    /// Draws which ATT&CK techniques the rules look for, by tactic; as JSON a layer for ATT&CK Navigator.
    Coverage(RulesPathsArgs),
    /// Decodes a file of logs, holds each event against the rules, and prints a JSON line a hit: rule_id, line (from 0), time.
    Run(RulesRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesPathsArgs {
    /// Rule files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct RulesRunArgs {
    /// Rule files, or folders of them. May be given several times.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// A file of log lines, plain or .gz; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: PathBuf,
    /// What the lines are, as in decode.
    #[arg(long, default_value = "auto")]
    pub(crate) format: ingest::decode::Format,
    /// A mapping file of your own, or a glob of some. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) mapping: Vec<String>,
    /// The lines are JSON objects whose member "raw" is the log line.
    #[arg(long)]
    pub(crate) wrapped: bool,
    /// Runs nothing if a rule is refused.
    #[arg(long)]
    pub(crate) strict: bool,
}
