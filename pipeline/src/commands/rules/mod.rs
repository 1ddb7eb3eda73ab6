//! `palisade rules`: what rules say, before they run in a worker.

mod alert;
mod attack;
mod backtest;
mod check;
mod coverage;
mod explain;
mod held;
mod paint;
mod run;
mod test;

use std::process::ExitCode;
use std::sync::Arc;

use aggregate::RuleSet;

use crate::cli::{RulesAction, RulesArgs};

/// Runs the command.
///
/// # Errors
/// If a file of logs cannot be read. A rule that is refused is an exit code, not an error.
pub(crate) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        RulesAction::Check(args) => check::run(args),
        RulesAction::Test(args) => test::run(args),
        RulesAction::Explain(args) => explain::run(args),
        RulesAction::Backtest(args) => crate::block_on(backtest::run(args)),
        RulesAction::Coverage(args) => coverage::run(args),
        RulesAction::Run(args) => run::run(args),
    }
}

/// The rules that logs alone decide: what a watch finds hangs on when records were received. Those left out are told.
fn without_watches(rules: &Arc<RuleSet>) -> Arc<RuleSet> {
    for watch in rules.rules().iter().filter(|rule| rule.is_watch()) {
        eprintln!("left out: {}: a watch judges records as they are received", watch.name());
    }
    rules.only(|rule| !rule.is_watch())
}
