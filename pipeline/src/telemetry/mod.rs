//! What a worker says about itself: metrics, health, and the counters that its summary is made of.

mod families;
mod http;
mod latencies;
mod metrics;
mod process;
mod status;

use std::sync::LazyLock;

pub(crate) use http::{AtWork, Health, announce, serve};
pub(crate) use metrics::{QueueGauges, Telemetry};
pub(crate) use process::{available_bytes, cpu_seconds, resident_bytes};
pub(crate) use status::Status;

/// False if what is measured of each event and rule is left out (`PALISADE_UNMEASURED`): a worker to compare with. Counters count on.
pub(crate) fn measures() -> bool {
    static MEASURES: LazyLock<bool> = LazyLock::new(|| std::env::var_os("PALISADE_UNMEASURED").is_none());
    *MEASURES
}
