//! Alerts on their way out of the process: which chains have news, and the task that sends them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sinks::{AlertChain, Class};
use tokio::sync::{Notify, watch};

use crate::intake::stopped;
use crate::telemetry::Telemetry;

/// Pause before alerts that the brokers did not take are sent again.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the outbox of chains whose entries hold alerts. Cheap to clone; bounded by the number of chains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    news: Arc<Mutex<News>>,
    arrived: Arc<Notify>,
}

#[derive(Debug, Default)]
struct News {
    waiting: BTreeSet<AlertChain>,
    released: BTreeSet<AlertChain>,
}

impl Mail {
    /// The chain has an entry with alerts, or was just taken up and may hold some that nobody has sent.
    pub(crate) fn waits(&self, chain: AlertChain) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).waiting.insert(chain);
        self.arrived.notify_one();
    }

    /// The chain is another process's now.
    pub(crate) fn release(&self, chain: AlertChain) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).released.insert(chain);
    }

    fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The task that sends.
pub(crate) struct Outbox {
    /// None if alerts stay in their table.
    pub(crate) outbox: Option<sinks::Outbox>,
    pub(crate) mail: Mail,
    pub(crate) telemetry: Telemetry,
}

impl Outbox {
    /// Sends until `stop` says so, then what waits once more.
    ///
    /// # Errors
    /// What trying again will not mend.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.mail.arrived.notified() => self.send().await?,
                () = stopped(&mut stop) => return self.send().await,
            }
        }
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let News { waiting, released } = self.mail.take();
        let Some(outbox) = &mut self.outbox else { return Ok(()) };
        released.iter().for_each(|chain| outbox.release(chain));
        for chain in waiting {
            match outbox.drain(&chain).await {
                Ok(sent) => self.telemetry.outbox.sent.inc_by(sent as u64),
                Err(e) if e.class() == Class::Transient => {
                    tracing::error!("alerts wait: {e}; trying again");
                    self.telemetry.outbox.failures.inc();
                    self.mail.waits(chain);
                    tokio::time::sleep(RETRY).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_of_a_chain_is_told_once_however_often_it_came() {
        let mail = Mail::default();
        mail.waits(AlertChain::Group(1));
        mail.waits(AlertChain::Group(1));
        mail.waits(AlertChain::Group(0));
        mail.arrived.notified().await;
        assert_eq!(mail.take().waiting.into_iter().collect::<Vec<_>>(), [AlertChain::Group(0), AlertChain::Group(1)]);
        assert!(mail.take().waiting.is_empty());
    }
}
