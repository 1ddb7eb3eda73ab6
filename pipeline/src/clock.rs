//! The one place that reads the clock. Everything else is given the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// CPU time of this thread so far: what work costs, whoever else uses the machine.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A monotonic instant, for intervals.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
