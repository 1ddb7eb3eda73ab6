//! One connection: renders its partitions' records when they are due, and hands them over.
//!
//! Open loop: the schedule never waits for the target. While the target takes nothing, records become due; afterwards they
//! all go, late, and are counted as late. What is in flight is bounded by one batch a group.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::batch::{Batch, Origin};
use super::feed::Feed;
use super::meter::Meter;
use super::output::{Limits, Output, Trouble};
use crate::error::Error;

/// The first pause after trouble; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long nothing is looked at but the clock.
const NAP_US: i64 = 100_000;

pub(crate) struct Worker<'f> {
    pub(crate) feed: Feed<'f>,
    pub(crate) output: Output,
    pub(crate) meter: Meter,
    /// Of every partition of the fleet.
    pub(crate) origins: &'f [Origin],
    /// How long nothing may be taken.
    pub(crate) patience: Duration,
    /// False if records do not wait until they are due.
    pub(crate) is_open: bool,
    /// Another worker has given up.
    pub(crate) stop: &'f AtomicBool,
    /// Records that are due: of each partition, or of all.
    groups: Vec<Batch>,
    line: Vec<u8>,
}

impl<'f> Worker<'f> {
    pub(crate) fn new(
        feed: Feed<'f>,
        output: Output,
        meter: Meter,
        origins: &'f [Origin],
        (patience, is_open, stop): (Duration, bool, &'f AtomicBool),
    ) -> Self {
        let count = if output.is_by_partition() { origins.len() } else { 1 };
        let groups = std::iter::repeat_with(Batch::default).take(count).collect();
        Self { feed, output, meter, origins, patience, is_open, stop, groups, line: Vec::new() }
    }

    /// Sends everything.
    ///
    /// # Errors
    /// [`Error::GaveUp`] and [`Error::Target`], with what was sent until then in the meter.
    pub(crate) async fn run(&mut self) -> Result<(), Error> {
        let limits = self.output.limits();
        while !self.stop.load(Relaxed) {
            match self.gather(limits) {
                Some(group) => self.deliver(group).await?,
                None => match self.next_us(limits) {
                    Some(us) => self.wait_until(us).await,
                    None => break,
                },
            }
        }
        self.meter.end();
        // The records are counted; a connection that breaks while it is closed changes nothing.
        self.output.close().await.unwrap_or_default();
        Ok(())
    }

    /// Renders what is due, and says which group is to be sent, if one is.
    fn gather(&mut self, limits: Limits) -> Option<usize> {
        let now_us = if self.is_open { self.meter.now_us() } else { i64::MAX };
        while self.feed.peek_due_us().is_some_and(|due_us| due_us <= now_us) {
            let item = self.feed.next(&mut self.line)?;
            let group = if self.groups.len() > 1 { item.partition } else { 0 };
            let batch = &mut self.groups[group];
            batch.push(self.output.framing(), &self.line, item, &self.origins[item.partition]);
            if batch.len() >= limits.records || batch.bytes().len() >= limits.bytes {
                return Some(group);
            }
        }
        let has_ended = self.feed.peek_due_us().is_none();
        let is_ripe = |due_us: i64| has_ended || due_us.saturating_add(limits.linger_us) <= now_us;
        self.groups.iter().position(|b| b.first().is_some_and(|item| is_ripe(item.due_us)))
    }

    /// When there is something to do again; none when all is sent.
    fn next_us(&mut self, limits: Limits) -> Option<i64> {
        let ripe = self.groups.iter().filter_map(|b| Some(b.first()?.due_us + limits.linger_us)).min();
        [self.feed.peek_due_us(), ripe].into_iter().flatten().min()
    }

    async fn wait_until(&mut self, us: i64) {
        let next_us = self.feed.peek_due_us();
        self.meter.due(self.oldest_us().or(next_us), next_us);
        let wait_us = (us - self.meter.now_us()).clamp(0, NAP_US);
        sleep(Duration::from_micros(wait_us.unsigned_abs())).await;
    }

    /// When the first record that is rendered and not sent was due.
    fn oldest_us(&self) -> Option<i64> {
        self.groups.iter().filter_map(|b| Some(b.first()?.due_us)).min()
    }

    /// Sends a batch, again if it must be.
    async fn deliver(&mut self, group: usize) -> Result<(), Error> {
        self.meter.due(self.oldest_us(), self.feed.peek_due_us());
        let mut batch = std::mem::take(&mut self.groups[group]);
        let (mut done, mut tries, mut since_us) = (0, 0, self.meter.now_us());
        while done < batch.len() {
            let before = done;
            match self.attempt(&batch, &mut done).await {
                Ok(()) => break,
                Err(Trouble::Refused(cause)) => {
                    self.meter.failed(batch.len() - done, &cause);
                    break;
                }
                Err(Trouble::Stalled) => return Err(self.given_up("the target takes nothing")),
                Err(Trouble::Fatal(cause)) => return Err(Error::Target { target: "the output".to_owned(), cause }),
                Err(Trouble::Again(cause)) => {
                    if done > before {
                        (tries, since_us) = (0, self.meter.now_us());
                    }
                    self.pause(&cause, tries, since_us).await?;
                    tries += 1;
                }
            }
        }
        batch.clear();
        self.groups[group] = batch;
        Ok(())
    }

    /// Sends once. A target that takes nothing for too long ends it.
    async fn attempt(&mut self, batch: &Batch, done: &mut usize) -> Result<(), Trouble> {
        let origin = &self.origins[batch.first().map_or(0, |item| item.partition)];
        let gauge = self.meter.gauge.clone();
        let mut attempt = pin!(self.output.send(batch, origin, done, &mut self.meter));
        loop {
            let before = gauge.progress();
            match timeout(self.patience, &mut attempt).await {
                Ok(result) => return result,
                Err(_) if gauge.progress() == before => {
                    return Err(Trouble::Stalled);
                }
                Err(_) => {}
            }
        }
    }

    fn given_up(&self, cause: &str) -> Error {
        Error::GaveUp { seconds: self.patience.as_secs(), cause: cause.to_owned() }
    }

    /// Waits before the next try, unless there has been trouble for too long.
    async fn pause(&mut self, cause: &str, tries: u32, since_us: i64) -> Result<(), Error> {
        let now_us = self.meter.now_us();
        let troubled_us = u128::try_from(now_us - since_us).unwrap_or(0);
        if troubled_us >= self.patience.as_micros() {
            return Err(self.given_up(cause));
        }
        self.meter.retried(cause);
        self.meter.stall(now_us);
        sleep(PAUSE.saturating_mul(1 << tries.min(8)).min(PAUSE_MAX)).await;
        self.meter.flow();
        Ok(())
    }
}
