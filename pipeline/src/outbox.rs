//! Alerts on their way out of the process: which chains have news, and the task that sends them, to each receiver by itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use sinks::outbox::{Drained, OutgoingAlert};
use sinks::{AlertChain, Class};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::intake::stopped;
use crate::telemetry::Telemetry;
use crate::traces::Span;

/// Pause after the first sending that failed; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause, unless a receiver asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The longest that a receiver can ask for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// Time that a worker that ends gives each receiver. What is left is sent by whoever takes the chains up.
const LAST: Duration = Duration::from_secs(30);

/// Tells the receivers' tasks of chains whose entries hold alerts. Cheap to clone; bounded by the number of chains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    inboxes: Vec<Arc<Inbox>>,
}

#[derive(Debug, Default)]
struct Inbox {
    news: Mutex<News>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct News {
    waiting: BTreeSet<AlertChain>,
    released: BTreeSet<AlertChain>,
}

impl Mail {
    /// The chain has an entry with alerts, or was just taken up and may hold some that nobody has sent.
    pub(crate) fn waits(&self, chain: &AlertChain) {
        self.inboxes.iter().for_each(|inbox| inbox.waits(chain.clone()));
    }

    /// The chain is another process's now.
    pub(crate) fn release(&self, chain: &AlertChain) {
        for inbox in &self.inboxes {
            inbox.news.lock().unwrap_or_else(PoisonError::into_inner).released.insert(chain.clone());
        }
    }
}

impl Inbox {
    fn waits(&self, chain: AlertChain) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).waiting.insert(chain);
        self.arrived.notify_one();
    }

    fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The receivers. Without any, alerts stay in their table.
pub(crate) struct Outboxes {
    all: Vec<Outbox>,
    telemetry: Telemetry,
}

/// One receiver, and what waits for it.
struct Outbox {
    outbox: sinks::Outbox,
    inbox: Arc<Inbox>,
    telemetry: Telemetry,
    /// Sendings that failed since the last that did not.
    failures: u32,
}

impl Outboxes {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self { all: Vec::new(), telemetry }
    }

    pub(crate) fn add(&mut self, outbox: sinks::Outbox) {
        self.telemetry.outbox.known(outbox.name());
        let telemetry = self.telemetry.clone();
        self.all.push(Outbox { outbox, inbox: Arc::default(), telemetry, failures: 0 });
    }

    /// For those who have news, once every receiver is added.
    pub(crate) fn mail(&self) -> Mail {
        Mail { inboxes: self.all.iter().map(|own| own.inbox.clone()).collect() }
    }

    /// Sends until `stop` says so, then what waits once more. Receivers do not wait for one another.
    ///
    /// # Errors
    /// If the ledger cannot be read, for good. A receiver that takes nothing is no error.
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        try_join_all(self.all.into_iter().map(|own| own.run(stop.clone()))).await.map(drop)
    }
}

impl Outbox {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.inbox.arrived.notified() => {}
                () = stopped(&mut stop) => break,
            }
            let Some(pause) = self.send().await? else { continue };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(&mut stop) => break,
            }
        }
        tokio::time::timeout(LAST, self.send()).await.unwrap_or(Ok(None)).map(drop)
    }

    /// Sends what waits. If the receiver takes no more, the rest waits on, and the answer is for how long.
    async fn send(&mut self) -> anyhow::Result<Option<Duration>> {
        let News { waiting, released } = self.inbox.take();
        released.iter().for_each(|chain| self.outbox.release(chain));
        let mut waiting = waiting.into_iter();
        while let Some(chain) = waiting.next() {
            let (name, metrics, traces) =
                (self.outbox.name().to_owned(), &self.telemetry.outbox, &self.telemetry.traces);
            let taken = |alerts: &[OutgoingAlert]| {
                let now_us = clock::now_us();
                metrics.taken(&name, alerts, now_us);
                alerts.iter().for_each(|alert| traces.tell(|| delivered(&name, alert, now_us)));
            };
            let drained = match self.outbox.drain(&chain, &taken).await {
                Ok(drained) => drained,
                Err(e) if e.class() == Class::Transient => Drained { failed: Some(e), ..Drained::default() },
                Err(e) => return Err(e.into()),
            };
            metrics.count(&name, &drained);
            if let Some(error) = drained.failed {
                std::iter::once(chain).chain(waiting).for_each(|chain| self.inbox.waits(chain));
                self.failures += 1;
                let pause = pause(self.failures, drained.pause);
                metrics.failing(&name, clock::now_us());
                tracing::error!(receiver = name, "alerts wait: {error}; trying again in {pause:?}");
                return Ok(Some(pause));
            }
            self.failures = 0;
            metrics.well(&name);
        }
        Ok(None)
    }
}

/// A receiver has taken an alert.
fn delivered(receiver: &str, alert: &OutgoingAlert, now_us: i64) -> Span {
    let span = Span::part("deliver", alert.attempt, (alert.received_us, now_us));
    span.with("palisade.receiver", receiver).with("palisade.alert", alert.id.as_str())
}

fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let own = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
    own.max(asked.unwrap_or_default().min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_of_a_chain_is_told_once_to_each_receiver_however_often_it_came() {
        let mail = Mail { inboxes: vec![Arc::default(), Arc::default()] };
        mail.waits(&AlertChain::Group(1));
        mail.waits(&AlertChain::Group(1));
        mail.waits(&AlertChain::Group(0));
        for inbox in &mail.inboxes {
            inbox.arrived.notified().await;
            assert_eq!(
                inbox.take().waiting.into_iter().collect::<Vec<_>>(),
                [AlertChain::Group(0), AlertChain::Group(1)]
            );
            assert!(inbox.take().waiting.is_empty());
        }
    }

    #[test]
    fn pauses_grow_to_a_minute_or_what_the_receiver_asks_for() {
        let seconds = |failures, asked: Option<u64>| pause(failures, asked.map(Duration::from_secs)).as_secs();
        assert_eq!([1, 2, 3, 7, u32::MAX].map(|failures| seconds(failures, None)), [1, 2, 4, 60, 60]);
        assert_eq!((seconds(1, Some(7)), seconds(7, Some(7)), seconds(1, Some(u64::MAX))), (7, 60, 3600));
    }
}
