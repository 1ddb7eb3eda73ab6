//! What a worker says about itself: metrics, health, and the counters that its summary is made of.

mod http;
mod metrics;
mod process;

pub(crate) use http::{Health, serve};
pub(crate) use metrics::{QueueGauges, Telemetry};
pub(crate) use process::{available_bytes, cpu_seconds, resident_bytes};
