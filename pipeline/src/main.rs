//! `palisade`: firewall, VPN and cloud logs to open tables and real-time detections.
//!
//! **Data in:** a configuration, and the records of its sources. **Data out:** ledger entries, Iceberg tables, metrics, and
//! for people the output of the commands. Absent on purpose: formats, windows and the commit protocol, which are the crates'.
//!
//! `topology.rs` wires the whole path on one screen. `commands/` holds one module a command; `config/` what a user may
//! say; `shard.rs`, `merge.rs` and `committer.rs` are the stages; nobody depends on this crate.

mod account;
mod alerts;
mod audit;
mod backtest;
mod builtin_rules;
mod canary;
mod claims;
mod cli;
mod clock;
mod commands;
mod committer;
mod config;
mod console;
mod crash;
mod discovery;
mod drift;
mod flight;
mod intake;
mod listing;
mod live;
mod logging;
mod merge;
mod open_tables;
mod outbox;
mod pace;
mod plan;
mod queue;
mod registry;
mod reload;
mod reprocess;
mod rules;
mod score;
mod setup;
mod shard;
mod stages;
mod summary;
mod tap;
mod telemetry;
mod topology;
mod traces;
mod upkeep;
mod warehouse_sql;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::ConfigError;

/// Megabytes of rows come and go with every range; glibc's allocator gives them back to the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(&cli.log, cli.log_format);
    crash::install();
    let result = match &cli.command {
        Command::Decode(args) => commands::decode::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Rules(args) => commands::rules::run(args),
        Command::Loadgen(args) => commands::loadgen::run(args),
        Command::Sql(args) => block_on(commands::sql::run(args)),
        Command::Tables(args) => block_on(commands::tables::run(args)),
        Command::Top(args) => block_on(commands::top::run(args)),
        Command::Tap(args) => block_on(commands::tap::run(args)),
        Command::Plan(args) => block_on(commands::plan::run(args)),
        Command::Run(args) => block_on(commands::run::run(args)),
        Command::Demo(args) => block_on(commands::demo::run(args)),
    };
    result.unwrap_or_else(|error| report(&error))
}

pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().thread_name("runtime").enable_all().build()?.block_on(work)
}

/// Tells of the error; exit code 2 if the user's configuration or rules are at fault, else 1.
fn report(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let at_fault = error.chain().any(|c| c.is::<ConfigError>() || c.is::<aggregate::RuleErrors>());
    logging::report(error);
    ExitCode::from(if at_fault { 2 } else { 1 })
}

/// The reader of our output is gone (`palisade … | head`): nothing went wrong.
fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
