//! A web service that takes each revision of an alert as one POST.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use sha2::Sha256;

use super::{OutgoingAlert, Receiver, Sending, Taken};
use crate::http::{Answer, HttpConfig, Post};
use crate::{Error, Result};

/// A [`Webhook`].
#[derive(Clone)]
pub struct WebhookConfig {
    /// Where to post.
    pub http: HttpConfig,
    /// What signs the requests: `whsec_` and base64, or the bytes themselves.
    pub secret: Option<String>,
    /// The time, microseconds since 1970.
    pub now: fn() -> i64,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig").field("url", &self.http.url).finish_non_exhaustive()
    }
}

/// One request a revision, in order, the next once the last was taken. Requests are those of Standard Webhooks:
/// `webhook-id` (also as `Idempotency-Key`) is the same whenever a revision is sent again, `webhook-signature` is
/// HMAC-SHA256 over id, time and body.
pub struct Webhook {
    post: Post,
    key: Option<Hmac<Sha256>>,
    now: fn() -> i64,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("place", &self.post.place()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Connects when first used.
    ///
    /// # Errors
    /// If URL, header, certificate or secret cannot be used.
    pub fn new(config: &WebhookConfig) -> Result<Self> {
        let key = config.secret.as_deref().map(signing_key).transpose()?;
        Ok(Self { post: Post::new(&config.http, "")?, key, now: config.now })
    }

    fn headers(&self, alert: &OutgoingAlert) -> HeaderMap {
        let id = revision_id(alert);
        let seconds = ((self.now)() / 1_000_000).to_string();
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            // Ids are UUIDs and digits.
            headers
                .extend(HeaderValue::from_str(value).ok().map(|v| (reqwest::header::HeaderName::from_static(name), v)));
        };
        set("idempotency-key", &id);
        set("webhook-id", &id);
        set("webhook-timestamp", &seconds);
        if let Some(key) = &self.key {
            let mut key = key.clone();
            key.update(format!("{id}.{seconds}.{}", alert.json).as_bytes());
            set("webhook-signature", &format!("v1,{}", STANDARD.encode(key.finalize().into_bytes())));
        }
        headers
    }
}

#[async_trait]
impl Receiver for Webhook {
    async fn send(&self, alerts: &[OutgoingAlert], taken: Taken<'_>) -> Sending {
        let mut sending = Sending::default();
        for (nth, alert) in alerts.iter().enumerate() {
            match self.post.json(alert.json.clone(), self.headers(alert)).await {
                Answer::Taken => taken(std::slice::from_ref(alert)),
                Answer::Refused(why) => sending.refused.push((nth, why)),
                Answer::Later(why, pause) => return sending.stop(&self.post.place(), why, pause),
            }
            sending.done = nth + 1;
        }
        sending
    }
}

/// `metadata.uid`: alert and revision.
fn revision_id(alert: &OutgoingAlert) -> String {
    let finding: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
    finding["metadata"]["uid"].as_str().unwrap_or(&alert.id).to_owned()
}

fn signing_key(secret: &str) -> Result<Hmac<Sha256>> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(coded) => STANDARD.decode(coded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    };
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    let key = bytes.and_then(|bytes| Hmac::new_from_slice(&bytes).ok());
    key.ok_or_else(|| Error::Config("webhook secret: empty, or not base64 after whsec_".to_owned()))
}
