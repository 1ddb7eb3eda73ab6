//! What a worker says about itself: metrics, health, and the counters that its summary is made of.

mod families;
mod http;
mod latencies;
mod metrics;
mod process;
mod status;

pub(crate) use http::{AtWork, Health, announce, serve};
pub(crate) use metrics::{QueueGauges, Telemetry};
pub(crate) use process::{available_bytes, cpu_seconds, resident_bytes};
pub(crate) use status::Status;
