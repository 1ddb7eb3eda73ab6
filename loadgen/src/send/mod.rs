//! The open-loop sender: a fleet's records to a target, each when it is intended to go, and what became of them.
//!
//! **Data in:** a [`Fleet`], a [`Timing`], a [`Target`]. **Data out:** the records, byte for byte as the fleet renders them; a
//! [`Report`] of what was intended, sent, acknowledged and lost, and how late.
//!
//! ```text
//! feed (index -> time, own partitions) -> batch -> output: lines, udp, stream (tcp, tls), http, s3
//!            one thread a connection; its gauge -> progress, its latencies -> report
//! ```
//!
//! Invariants:
//! - The schedule never waits for the target, and skips nothing: what is late is sent late and counted as late.
//! - intended = sent + failed + unsent, in every report.
//! - A partition's records go over one connection, in order. At most one batch a partition is in flight.
//! - What the sender could not deliver is in the report with its first cause.
//!
//! Absent on purpose: delivery guarantees that a protocol does not have.

mod batch;
mod dial;
mod feed;
mod http;
mod lines;
mod meter;
mod output;
mod report;
mod s3;
mod stream;
mod target;
mod udp;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

pub use batch::Framing;
use batch::Origin;
use dataflow::ClientSettings;
pub(crate) use feed::{Feed, Item};
pub use feed::{Shard, Timing};
pub(crate) use meter::{Gauge, Meter};
use output::{Means, Output};
pub(crate) use report::Watch;
pub use report::{Latencies, Progress, Report};
pub use s3::{KEY_TEMPLATE, Keys};
pub use target::{Endpoint, Place, Post, Target};
use worker::Worker;

use crate::error::Error;
use crate::fleet::{Fleet, Partition};
use crate::kafka::Brokers;

/// How a fleet is sent.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// Where to.
    pub target: Target,
    /// When each record goes.
    pub timing: Timing,
    /// Which partitions this process sends.
    pub shard: Shard,
    /// Connections, each with a thread; never more than partitions.
    pub connections: usize,
    /// Certificates to trust instead of the machine's, PEM.
    pub ca: Option<PathBuf>,
    /// Settings of librdkafka for brokers.
    pub kafka: ClientSettings,
    /// The token of Splunk's collector.
    pub hec_token: Option<String>,
    /// The keys of a bucket.
    pub keys: Option<Keys>,
    /// Keys of objects: [`KEY_TEMPLATE`] shows what may stand in it.
    pub key_template: String,
    /// How long a target may take nothing before the sender gives up.
    pub patience: Duration,
    /// How often progress is told.
    pub progress_every: Duration,
    /// Microseconds UTC.
    pub now: fn() -> i64,
}

/// Sends a fleet, or a share of it, and tells its progress. A topic must be empty, and the fleet made for it
/// ([`Fleet::in_topic`]).
///
/// # Errors
/// If nothing could be sent: the options do not fit together, or the target cannot be reached. Whatever happens later is in
/// the report.
pub fn send(fleet: &Fleet, options: &SendOptions, on_progress: &mut dyn FnMut(&Progress)) -> Result<Report, Error> {
    options.shard.check(fleet)?;
    s3::check_template(&options.key_template)?;
    if let Target::Kafka { brokers, .. } = &options.target {
        let brokers = Brokers { addresses: brokers.clone(), settings: options.kafka.clone() };
        return crate::kafka::send(fleet, &brokers, options, on_progress);
    }
    let own = options.shard.partitions(fleet);
    let origins = origins(fleet);
    let connections = match options.target {
        Target::Stdout => 1,
        _ => options.connections.clamp(1, own.len()),
    };
    let stop = AtomicBool::new(false);
    let mut workers = Vec::with_capacity(connections);
    for number in 0..connections {
        let share: Vec<usize> = own.iter().copied().skip(number).step_by(connections).collect();
        let feed = Feed::new(fleet, &options.timing, &share);
        let means = options.means(number);
        let output = Output::new(&options.target, means)?;
        let meter = Meter::new(Arc::default(), options.now, options.timing.is_open());
        let how = (options.patience, options.timing.is_open(), &stop);
        workers.push(Worker::new(feed, output, meter, &origins, how));
    }
    let total = workers.iter().map(|w| w.feed.total()).sum();
    let gauges = workers.iter().map(|w| w.meter.gauge.clone()).collect();
    let watch = Watch::new(fleet, &options.timing, gauges, total, options.now);
    run(workers, &watch, options, on_progress)
}

impl SendOptions {
    fn means(&self, worker: usize) -> Means<'_> {
        Means {
            ca: self.ca.as_deref(),
            hec_token: self.hec_token.as_deref(),
            keys: self.keys.as_ref(),
            key_template: &self.key_template,
            worker,
        }
    }
}

/// What became of a worker.
type Ended = (Meter, Result<(), Error>);

/// A thread a worker. Every one of them says how it ended.
fn run(
    workers: Vec<Worker<'_>>,
    watch: &Watch<'_>,
    options: &SendOptions,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Report, Error> {
    let count = workers.len();
    let (tell, told) = sync_channel(count);
    let mut ended: Vec<Ended> = Vec::with_capacity(count);
    std::thread::scope(|scope| {
        for (number, worker) in workers.into_iter().enumerate() {
            let tell = tell.clone();
            let thread = Builder::new().name(format!("send-{number}"));
            thread
                .spawn_scoped(scope, move || work(worker, &tell))
                .map_err(|cause| Error::Target { target: "a thread".to_owned(), cause })?;
        }
        drop(tell);
        loop {
            match told.recv_timeout(options.progress_every) {
                Ok(end) => ended.push(end),
                Err(RecvTimeoutError::Timeout) => on_progress(&watch.progress()),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })?;
    report(ended, watch)
}

fn work(mut worker: Worker<'_>, tell: &SyncSender<Ended>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let opened = worker.output.open().await;
            opened.map_err(|cause| Error::Target { target: "the target".to_owned(), cause })?;
            worker.run().await
        }),
        Err(cause) => Err(Error::Target { target: "a runtime".to_owned(), cause }),
    };
    if result.is_err() {
        worker.stop.store(true, Relaxed);
        worker.meter.end();
    }
    // The channel has room for every worker, and its other end lives as long as they do.
    tell.send((worker.meter, result)).unwrap_or_default();
}

/// An error before anything was sent is the caller's.
fn report(ended: Vec<Ended>, watch: &Watch<'_>) -> Result<Report, Error> {
    let mut meters = Vec::with_capacity(ended.len());
    let mut failure = None;
    for (meter, result) in ended {
        if let Err(error) = result {
            failure.get_or_insert(error);
        }
        meters.push(meter);
    }
    let ended_us = meters.iter().map(|meter: &Meter| meter.ended_us).max();
    let progress = watch.progress_at(ended_us.unwrap_or_default());
    match failure {
        Some(error) if progress.sent + progress.failed == 0 => Err(error),
        failure => Ok(Report::new(&progress, &meters, failure.as_ref())),
    }
}

fn origins(fleet: &Fleet) -> Vec<Origin> {
    let origin = |partition: &Partition| Origin {
        tenant: fleet.tenants[partition.tenant].name.to_string(),
        topic: partition.id.topic.to_string(),
        number: partition.id.partition,
        source: format!("{}/{}", partition.id.topic, partition.id.partition),
    };
    fleet.partitions.iter().map(origin).collect()
}

#[cfg(test)]
pub(crate) mod tests;
