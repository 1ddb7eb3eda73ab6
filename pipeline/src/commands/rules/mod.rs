//! `palisade rules`: what rules say, before they run in a worker.

mod alert;
mod check;
mod run;

use std::process::ExitCode;

use crate::cli::{RulesAction, RulesArgs};

/// Runs the command.
///
/// # Errors
/// If a file of logs cannot be read. A rule that is refused is an exit code, not an error.
pub(crate) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        RulesAction::Check(args) => check::run(args),
        RulesAction::Run(args) => run::run(args),
    }
}
