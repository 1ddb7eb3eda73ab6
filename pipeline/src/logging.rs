//! Log lines, and the error that a command ends with: for people, or an object a line.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::cli::Output;
use crate::live;

static FORMAT: OnceLock<Output> = OnceLock::new();

/// From now on, what is at least of this level is written to stderr.
pub(crate) fn start(level: &str, format: Output) {
    // A process starts once.
    let _ = FORMAT.set(format);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(live::log_writer);
    match format {
        Output::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        Output::Json => lines.json().flatten_event(true).init(),
    }
}

/// True if a machine reads stderr: whatever else would stand there for people is left out.
pub(crate) fn is_for_machines() -> bool {
    FORMAT.get() == Some(&Output::Json)
}

/// Tells why a command failed.
pub(crate) fn report(error: &anyhow::Error) {
    match is_for_machines() {
        false => eprintln!("palisade: {error:#}"),
        true => tracing::error!(error = format!("{error:#}"), "palisade ends"),
    }
}
