//! Prometheus Alertmanager: alerts fire until they are closed or grow old.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use dataflow::time::rfc3339;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::{OutgoingAlert, Receiver, Sending, Taken};
use crate::Result;
use crate::http::{Answer, HttpConfig, Post};

/// Alerts of one request.
const BATCH: usize = 64;

/// An [`Alertmanager`].
#[derive(Debug, Clone)]
pub struct AlertmanagerConfig {
    /// Where it is, without the path of its API.
    pub http: HttpConfig,
    /// An alert is resolved so long after it was sent, unless it is closed before.
    pub resolve_after: Duration,
    /// The time, microseconds since 1970.
    pub now: fn() -> i64,
}

/// Posts to `/api/v2/alerts`. Labels are what all revisions of an alert share, annotations what they say.
#[derive(Debug)]
pub struct Alertmanager {
    post: Post,
    resolve_after_us: i64,
    now: fn() -> i64,
}

/// As the API takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

impl Alertmanager {
    /// Connects when first used.
    ///
    /// # Errors
    /// If URL, header or certificate cannot be used.
    pub fn new(config: &AlertmanagerConfig) -> Result<Self> {
        let resolve_after_us = i64::try_from(config.resolve_after.as_micros()).unwrap_or(i64::MAX);
        Ok(Self { post: Post::new(&config.http, "/api/v2/alerts")?, resolve_after_us, now: config.now })
    }

    async fn post(&self, alerts: &[OutgoingAlert]) -> Answer {
        let now = (self.now)();
        let posted: Vec<Posted> = alerts.iter().map(|alert| self.posted(alert, now)).collect();
        match serde_json::to_string(&posted) {
            Ok(body) => self.post.json(body, HeaderMap::new()).await,
            Err(e) => Answer::Refused(e.to_string()),
        }
    }

    fn posted(&self, alert: &OutgoingAlert, now: i64) -> Posted {
        let finding: Value = serde_json::from_str(&alert.json).unwrap_or_default();
        let text = |path: &str| match finding.pointer(path) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Null) | None => None,
            Some(other) => Some(other.to_string()),
        };
        let all = |fields: &[(&'static str, &str)]| -> BTreeMap<&'static str, String> {
            fields.iter().filter_map(|(name, path)| Some((*name, text(path)?))).collect()
        };
        let mut labels = all(&[
            ("alertname", "/finding_info/title"),
            ("rule", "/finding_info/analytic/uid"),
            ("tenant", "/metadata/tenant_uid"),
            ("severity", "/severity"),
            ("alert_id", "/finding_info/uid"),
        ]);
        labels.entry("severity").and_modify(|severity| severity.make_ascii_lowercase());
        let annotations = all(&[
            ("summary", "/message"),
            ("description", "/finding_info/desc"),
            ("values", "/unmapped"),
            ("window_start", "/start_time_dt"),
            ("window_end", "/end_time_dt"),
            ("technique", "/finding_info/attacks/0/technique/uid"),
            ("status", "/status_detail"),
        ]);
        let is_closed = finding["activity_id"] == 3;
        let ends_at = if is_closed { now } else { now.saturating_add(self.resolve_after_us) };
        // An alert that begins after it ends is refused.
        let began = finding["finding_info"]["created_time"].as_i64().map_or(now, |ms| ms.saturating_mul(1000));
        Posted { labels, annotations, starts_at: rfc3339(began.min(ends_at)), ends_at: rfc3339(ends_at) }
    }
}

#[async_trait]
impl Receiver for Alertmanager {
    /// A request with one wrong alert is refused as a whole: then each is sent by itself.
    async fn send(&self, alerts: &[OutgoingAlert], taken: Taken<'_>) -> Sending {
        let mut sending = Sending::default();
        let mut size = BATCH;
        while let Some(rest) = alerts.get(sending.done..).filter(|rest| !rest.is_empty()) {
            let batch = &rest[..size.min(rest.len())];
            match self.post(batch).await {
                Answer::Taken => taken(batch),
                Answer::Refused(_) if batch.len() > 1 => {
                    size = 1;
                    continue;
                }
                Answer::Refused(why) => sending.refused.push((sending.done, why)),
                Answer::Later(why, pause) => return sending.stop(&self.post.place(), why, pause),
            }
            sending.done += batch.len();
        }
        sending
    }
}
