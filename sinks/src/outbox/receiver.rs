//! What takes alerts.

use std::time::Duration;

use async_trait::async_trait;

use super::OutgoingAlert;
use crate::Error;

/// Is told of alerts when the receiver has just taken them.
pub type Taken<'a> = &'a (dyn Fn(&[OutgoingAlert]) + Send + Sync);

/// Takes alerts: a topic, a web service, a log collector. Alerts may come again; their ids tell.
#[async_trait]
pub trait Receiver: std::fmt::Debug + Send + Sync {
    /// Sends the alerts in order and tells of those that are taken. Ends within the receiver's own time limits.
    async fn send(&self, alerts: &[OutgoingAlert], taken: Taken<'_>) -> Sending;
}

/// How far a sending came.
#[derive(Debug, Default)]
pub struct Sending {
    /// So many alerts, from the first on, need not be sent again.
    pub done: usize,
    /// Those of them that the receiver will never take: which, and why.
    pub refused: Vec<(usize, String)>,
    /// Why it stopped before the last.
    pub failed: Option<Error>,
    /// How long the receiver asked to be left alone.
    pub pause: Option<Duration>,
}

impl Sending {
    /// It stopped at the next alert.
    pub(super) fn stop(self, to: &str, what: String, pause: Option<Duration>) -> Self {
        Self { failed: Some(Error::Delivery { to: to.to_owned(), what }), pause, ..self }
    }
}
