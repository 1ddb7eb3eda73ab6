//! What became of each ledger entry, as a trace of OpenTelemetry. The id of a trace is the entry's attempt, so that
//! `palisade tables trace` leads from an alert to it.
//!
//! **Data in:** spans, each told once it is over. **Data out:** the same spans, to a collector (OTLP over HTTP). While no collector is
//! named, telling costs one load. Nobody waits: what finds no room is counted, and left out. Spans name topics, tables, rules and ids, and
//! nothing of what events hold.

#[cfg(feature = "opentelemetry")]
mod export;
#[cfg(not(feature = "opentelemetry"))]
#[path = "none.rs"]
mod export;

use std::sync::{Arc, OnceLock};

use prometheus::IntCounterVec;
use tokio::sync::mpsc;
use uuid::Uuid;

pub(crate) use export::Exporter;

/// Spans that wait for the collector.
#[cfg(feature = "opentelemetry")]
const WAITING_MAX: usize = 16_384;

/// What a span says beside its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Something that was done for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The entry's attempt.
    pub(crate) attempt: Uuid,
    pub(crate) name: &'static str,
    /// The entry as a whole; otherwise a part of it.
    pub(crate) is_whole: bool,
    /// Microseconds UTC.
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// Attempts whose entries this one was made of.
    pub(crate) made_of: Vec<Uuid>,
}

impl Span {
    /// The entry as a whole.
    pub(crate) fn whole(name: &'static str, attempt: Uuid, (start_us, end_us): (i64, i64)) -> Self {
        Self { attempt, name, is_whole: true, start_us, end_us, attributes: Vec::new(), made_of: Vec::new() }
    }

    /// A part of the entry.
    pub(crate) fn part(name: &'static str, attempt: Uuid, from_to: (i64, i64)) -> Self {
        Self { is_whole: false, ..Self::whole(name, attempt, from_to) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }
}

/// Where spans are told. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Traces {
    collector: Arc<OnceLock<mpsc::Sender<Span>>>,
    /// By outcome.
    pub(crate) spans: IntCounterVec,
}

impl Traces {
    /// Leads nowhere until it is opened; `spans` counts by outcome.
    pub(crate) fn new(spans: IntCounterVec) -> Self {
        Self { collector: Arc::default(), spans }
    }

    /// From now on spans are kept for whoever reads them. None if somebody does already.
    #[cfg(feature = "opentelemetry")]
    fn open(&self) -> Option<mpsc::Receiver<Span>> {
        let (to, from) = mpsc::channel(WAITING_MAX);
        self.collector.set(to).ok().map(|()| from)
    }

    /// Tells of something that is over.
    pub(crate) fn tell(&self, span: impl FnOnce() -> Span) {
        if let Some(collector) = self.collector.get()
            && collector.try_send(span()).is_err()
        {
            self.spans.with_label_values(&["dropped"]).inc();
        }
    }
}

#[cfg(all(test, feature = "opentelemetry"))]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let traces = Telemetry::new().traces;
        traces.tell(|| panic!("no collector is named"));
        let mut told = traces.open().expect("nobody reads yet");
        assert!(traces.open().is_none());
        let span = || Span::part("commit", Uuid::from_u128(7), (1, 2)).with("palisade.table", "dead_letter");
        (0..WAITING_MAX + 3).for_each(|_| traces.tell(span));
        assert_eq!(traces.spans.with_label_values(&["dropped"]).get(), 3);
        assert_eq!(told.try_recv(), Ok(span()));
    }
}
