//! The arguments of `palisade rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

pub(super) const RULES_HELP: &str = "\
Examples:
  palisade rules check rules/ sigma/rules/cloud/aws
  palisade rules check rules/ --output json | jq .problems
  palisade rules test rules/
  palisade rules explain rules/port_scan.yaml --exceptions exceptions/
  palisade rules backtest --rules rules/ --from 7d --warehouse warehouse
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
    /// Says what each rule becomes: tables, columns, conditions, window, keys, state, what HAVING needs, when it alerts.
    Explain(RulesPathsArgs),
    /// Runs rules over rows that are stored, by the code that runs live: what each would have found, when, and of whom.
    Backtest(RulesBacktestArgs),
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
    /// Exceptions for them: files, or folders of such. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) exceptions: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct RulesBacktestArgs {
    /// Rule files, or folders of them. May be given several times; without it, the configuration's rules.
    #[arg(long, num_args = 1.., value_name = "PATH", required_unless_present = "config")]
    pub(crate) rules: Vec<PathBuf>,
    /// Exceptions for the rules that --rules names. May be given several times; those of a configuration are its own.
    #[arg(long, value_name = "PATH", requires = "rules")]
    pub(crate) exceptions: Vec<PathBuf>,
    /// The first time: 2026-01-05, 2026-01-05T08:00:00Z, or a length such as 7d before now. The first row's, without it.
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub(crate) from: Option<When>,
    /// The time after the last. The last row's, without it.
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub(crate) to: Option<When>,
    /// The warehouse: a folder, or the URL of a bucket [default: palisade-demo].
    #[arg(long, value_name = "DIR|URL", conflicts_with = "config")]
    pub(crate) warehouse: Option<String>,
    /// The configuration whose warehouse it is.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Writes every alert there, each revision a line of OCSF JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) alerts: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// A time, or a length before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Microseconds since 1970 UTC.
    At(i64),
    /// Microseconds before now.
    Ago(i64),
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(When::At(at.as_microsecond()));
    }
    if let Ok(at) = text.parse::<jiff::civil::Date>().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC)) {
        return Ok(When::At(at.timestamp().as_microsecond()));
    }
    // Spans know no length of a day by themselves: here it is 24 hours.
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)].into_iter().find(|(word, _)| *word == unit);
    let length = unit.and_then(|(_, seconds)| number.parse::<i64>().ok()?.checked_mul(seconds * 1_000_000));
    length.map(When::Ago).ok_or_else(|| "write 2026-01-05, 2026-01-05T08:00:00Z or 7d".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct RulesRunArgs {
    /// Rule files, or folders of them. May be given several times.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) rules: Vec<PathBuf>,
    /// Exceptions for them: files, or folders of such. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) exceptions: Vec<PathBuf>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_instants_or_lengths_before_now() {
        const DAY: i64 = 86_400_000_000;
        assert_eq!(when("1970-01-03"), Ok(When::At(2 * DAY)));
        assert_eq!(when("1970-01-01T01:00:00+01:00"), Ok(When::At(0)));
        assert_eq!((when("7d"), when("90m")), (Ok(When::Ago(7 * DAY)), Ok(When::Ago(DAY / 16))));
        assert!(when("yesterday").is_err() && when("7").is_err() && when("").is_err());
    }
}
