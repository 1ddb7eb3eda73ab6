//! Crash tests look in here: the protocol's steps are written to a file, and the process can be killed at one of them.
//!
//! - `PALISADE_STEP_TRACE=FILE`: appends the name of each step as it is reached, a line each.
//! - `PALISADE_KILL_AT=STEP:N`: kills the process (SIGKILL) when it reaches the step for the N-th time.
//! - `PALISADE_STOP_AT=STEP:N`: stops it there (SIGSTOP), as if its machine had hung.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use sinks::{Step, step};

/// No process goes on for so long after its signal.
const TAKEN_BY: Duration = Duration::from_secs(1);

struct Watch {
    trace: Option<Mutex<File>>,
    signal_at: Option<(Signal, Step, u64)>,
    hits: AtomicU64,
}

/// Installs what the environment asks for; nothing otherwise.
pub(crate) fn install() {
    let trace = std::env::var_os("PALISADE_STEP_TRACE")
        .and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok().map(Mutex::new));
    let at = |name: &str| std::env::var(name).ok().and_then(|text| parse(&text));
    let kill = at("PALISADE_KILL_AT").map(|(step, count)| (Signal::KILL, step, count));
    let signal_at = kill.or_else(|| at("PALISADE_STOP_AT").map(|(step, count)| (Signal::STOP, step, count)));
    if trace.is_some() || signal_at.is_some() {
        let watch = Watch { trace, signal_at, hits: AtomicU64::new(0) };
        step::observe(Box::new(move |step| watch.reached(step)));
    }
}

fn parse(text: &str) -> Option<(Step, u64)> {
    let (name, count) = text.split_once(':')?;
    let step = Step::ALL.into_iter().find(|s| s.name() == name)?;
    Some((step, count.parse().ok()?))
}

impl Watch {
    fn reached(&self, step: Step) {
        if let Some(trace) = &self.trace {
            let mut file = trace.lock().unwrap_or_else(PoisonError::into_inner);
            // One write: a kill leaves whole lines.
            let _ = file.write_all(format!("{step}\n").as_bytes());
        }
        if let Some((signal, at, count)) = self.signal_at
            && at == step
            && self.hits.fetch_add(1, Ordering::Relaxed) + 1 == count
        {
            let _ = kill_process(getpid(), signal);
            // Another thread may be the one that takes the signal: until then this one would go on beyond the step.
            std::thread::park_timeout(TAKEN_BY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_names_a_step_and_a_count() {
        assert_eq!(parse("file_staged:3"), Some((Step::FileStaged, 3)));
        for bad in ["file_staged", "no_such:1", "file_staged:x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
