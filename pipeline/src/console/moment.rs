//! What a worker does at one moment, for all pages that watch: made once a second, while somebody does.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::clock;
use crate::flight::Flight;
use crate::live::Recent;
use crate::telemetry::{Health, Status};

const EVERY: Duration = Duration::from_secs(1);

/// The objectives that the error budgets are of, in milliseconds.
const QUERYABLE_MS: f64 = 30_000.0;
const ALERT_MS: f64 = 10_000.0;

/// A moment, as JSON.
#[derive(Debug, Serialize)]
struct Moment {
    /// Microseconds UTC.
    at_us: i64,
    #[serde(flatten)]
    status: Status,
    budget: Budget,
    /// The newest alerts; none for whoever may not see what is in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    recent: Option<Vec<Recent>>,
}

/// Events and alerts so far, and those that were slower than the objective.
#[derive(Debug, Serialize)]
struct Budget {
    events: u64,
    slow_events: u64,
    alerts: u64,
    late_alerts: u64,
}

impl Moment {
    fn now(flight: &Flight, ready: bool) -> Self {
        let steps = flight.steps();
        let budget = Budget {
            events: steps.queryable.count(),
            slow_events: steps.queryable.count_above_ms(QUERYABLE_MS),
            alerts: steps.alert.count(),
            late_alerts: steps.alert.count_above_ms(ALERT_MS),
        };
        let recent = Some(flight.telemetry().feed.recent());
        Self { at_us: clock::now_us(), status: Status::of(flight, ready), budget, recent }
    }
}

/// The moment as everybody may see it, and with what is in events.
#[derive(Clone, Default)]
struct Texts {
    figures: Arc<str>,
    content: Arc<str>,
}

impl Texts {
    fn now(flight: &Flight, ready: bool) -> Self {
        let mut moment = Moment::now(flight, ready);
        let content = text(&moment);
        moment.recent = None;
        Self { figures: text(&moment), content }
    }
}

fn text(moment: &Moment) -> Arc<str> {
    serde_json::to_string(moment).unwrap_or_default().into()
}

/// Makes moments.
pub(super) struct Moments(watch::Sender<Texts>);

/// One page's.
pub(super) struct Watch(watch::Receiver<Texts>);

impl Moments {
    /// Goes on until the process ends.
    pub(super) fn start(flight: Flight, health: Health) -> Self {
        let sender = watch::Sender::new(Texts::default());
        let own = sender.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the process; holds nothing that could be lost")]
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                if own.receiver_count() > 0 {
                    own.send_replace(Texts::now(&flight, health.is_ready()));
                }
            }
        });
        Self(sender)
    }

    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

impl Watch {
    /// The next moment; none if there will be none.
    pub(super) async fn next(&mut self, with_content: bool) -> Option<Arc<str>> {
        self.0.changed().await.ok()?;
        let texts = self.0.borrow_and_update();
        Some(if with_content { texts.content.clone() } else { texts.figures.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn who_may_not_see_events_sees_no_alert() {
        let flight = Flight::new(Telemetry::new());
        flight.alert(0, 10_500_000, 1);
        flight.alert(0, 9_000_000, 2);
        let texts = Texts::now(&flight, true);
        let read = |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("JSON") };
        let (figures, content) = (read(&texts.figures), read(&texts.content));
        assert_eq!((figures.get("recent"), content["recent"].as_array().map(Vec::len)), (None, Some(0)));
        assert_eq!(figures["budget"]["late_alerts"], 1);
        assert_eq!((figures["budget"]["alerts"].as_u64(), figures["ready"].as_bool()), (Some(3), Some(true)));
    }
}
