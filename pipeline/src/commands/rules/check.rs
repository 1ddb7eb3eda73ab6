//! `palisade rules check`: which rules can run, over which tables, and what is wrong with the others.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use aggregate::RuleSet;
use serde::Serialize;

use super::super::check::{RuleLine, failures, lines, write_rules};
use crate::cli::{Output, RulesPathsArgs};
use crate::clock;
use crate::setup;

#[derive(Debug, Serialize)]
struct Report {
    rules: Vec<RuleLine>,
    problems: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If nothing can be printed.
pub(super) fn run(args: &RulesPathsArgs) -> anyhow::Result<ExitCode> {
    let (rules, refused) = RuleSet::survey_excepted(&args.paths, &args.exceptions);
    setup::expired(&rules, clock::now_us()).iter().for_each(|line| eprintln!("expired: {line}"));
    let outcomes = aggregate::run_tests(&rules);
    let failed = outcomes.iter().flat_map(failures);
    let problems: Vec<String> = refused.0.iter().map(ToString::to_string).chain(failed).collect();
    let report = Report { rules: lines(&rules, &outcomes), problems };
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.write(&mut out, std::io::stdout().is_terminal())?,
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Report {
    fn write(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        write_rules(&self.rules, out, terminal)?;
        self.problems.iter().try_for_each(|problem| writeln!(out, "problem: {problem}"))?;
        let (rules, problems) = (self.rules.len(), self.problems.len());
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        writeln!(out, "{rules} rule{} can run, {problems} problem{}", plural(rules), plural(problems))
    }
}
