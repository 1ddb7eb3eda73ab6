//! A record of our own into a topic that the workers read, now and then, while nothing else comes: it takes the whole path, so that a
//! promise that is broken is seen where nobody sends.
//!
//! **Data in:** how many records the worker has read. **Data out:** records in a topic of Kafka. A worker sends when it has read nothing
//! for a while; who reads the record is the group's affair. Failing to send stops nothing.

use std::time::Duration;

use ingest::kafka::RecordSender;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::telemetry::Telemetry;

/// See the module's front.
pub(crate) struct Canary {
    /// How long nothing comes before one is sent.
    pub(crate) every: Duration,
    /// The source that they come by.
    pub(crate) source: String,
    pub(crate) sender: RecordSender,
    /// This worker.
    pub(crate) writer: String,
    pub(crate) telemetry: Telemetry,
}

impl Canary {
    /// Sends until it is told to stop.
    ///
    /// # Errors
    /// Never: a worker works on without canaries.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut idle = Idle { known: self.records_read() };
        let mut is_failing = false;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                _ = ticks.tick() => {}
            }
            if !idle.note(self.records_read()) {
                continue;
            }
            let record = self.record();
            let sent = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                sent = self.sender.send(record.as_bytes()) => sent,
            };
            if let Err(error) = &sent
                && !is_failing
            {
                tracing::warn!(error = error as &dyn std::error::Error, "no canary could be sent; it is tried again");
            }
            is_failing = sent.is_err();
        }
    }

    /// Records that others sent.
    fn records_read(&self) -> u64 {
        let by_source = self.telemetry.records_by_source();
        by_source.iter().filter(|(source, _)| **source != self.source).map(|(_, records)| records).sum()
    }

    fn record(&self) -> String {
        let time = dataflow::time::rfc3339(clock::now_us());
        serde_json::json!({"canary": self.writer, "time": time}).to_string()
    }
}

/// Whether anything came since it was last asked.
struct Idle {
    known: u64,
}

impl Idle {
    fn note(&mut self, read: u64) -> bool {
        std::mem::replace(&mut self.known, read) == read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_read_nothing_since_the_last_time_is_idle() {
        let mut idle = Idle { known: 5 };
        assert_eq!([5, 7, 7, 8].map(|read| idle.note(read)), [true, false, true, false]);
    }
}
