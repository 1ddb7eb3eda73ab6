//! `alerts`: who gets alerts beside the table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;
use sinks::http::HttpConfig;
use sinks::outbox::{AlertmanagerConfig, Delivery, SyslogConfig, SyslogFormat, SyslogProtocol, WebhookConfig};

use super::kafka::{self, RawAlertTopic};
use super::raw::{Problem, confined, maybe_duration};
use super::secret::RawSecret;
use super::{Receiver, ReceiverConfig};
use crate::clock;

/// Time that a request may take, or what is written to a collector at a time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An alert in Alertmanager is resolved after so long.
const RESOLVE_AFTER: Duration = Duration::from_secs(3600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReceiver {
    name: Option<String>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    from: From,
    kafka: Option<RawAlertTopic>,
    webhook: Option<RawWebhook>,
    alertmanager: Option<RawAlertmanager>,
    syslog: Option<RawSyslog>,
}

/// The lowest that a receiver gets.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    #[default]
    Informational = 1,
    Low,
    Medium,
    High,
    Critical,
}

/// What a receiver that is new gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum From {
    #[default]
    Now,
    Beginning,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    secret: Option<RawSecret>,
    #[serde(default)]
    headers: BTreeMap<String, RawSecret>,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlertmanager {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, RawSecret>,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "maybe_duration")]
    resolve_after: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSyslog {
    address: String,
    protocol: RawProtocol,
    #[serde(default)]
    format: RawFormat,
    ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProtocol {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFormat {
    #[default]
    Cef,
    Json,
}

/// The receivers that are right; what is wrong with the others goes to `problems`.
pub(super) fn receivers(
    base: &Path,
    raw: Vec<Spanned<RawReceiver>>,
    problems: &mut Vec<Problem>,
) -> Vec<ReceiverConfig> {
    let mut receivers: Vec<ReceiverConfig> = Vec::new();
    for (index, part) in raw.into_iter().enumerate() {
        let at = Spanned::new((), part.referenced, part.defined);
        match receiver(base, index, part.value) {
            Ok(own) if receivers.iter().any(|other| other.delivery.name == own.delivery.name) => {
                let what = format!("alerts: two receivers are named `{}`; give each its own `name`", own.delivery.name);
                problems.push(Problem::at(&at, what));
            }
            Ok(own) => receivers.push(own),
            Err(what) => problems.push(Problem::at(&at, what)),
        }
    }
    receivers
}

fn receiver(base: &Path, index: usize, raw: RawReceiver) -> Result<ReceiverConfig, String> {
    let place = format!("alerts[{index}]");
    let (kind, to) = match (raw.kafka, raw.webhook, raw.alertmanager, raw.syslog) {
        (Some(to), None, None, None) => ("kafka", Receiver::Kafka(kafka::alert_topic(base, &place, to)?)),
        (None, Some(to), None, None) => ("webhook", Receiver::Webhook(webhook(base, &place, to)?)),
        (None, None, Some(to), None) => ("alertmanager", Receiver::Alertmanager(alertmanager(base, &place, to)?)),
        (None, None, None, Some(to)) => ("syslog", Receiver::Syslog(syslog(base, to))),
        _ => return Err(format!("{place}: exactly one of `kafka`, `webhook`, `alertmanager` and `syslog` is needed")),
    };
    let name = raw.name.unwrap_or_else(|| kind.to_owned());
    confined(&format!("{place}.name"), &name)?;
    let delivery = Delivery { name, severity_min: raw.severity as i32, from_beginning: raw.from == From::Beginning };
    Ok(ReceiverConfig { delivery, to })
}

fn webhook(base: &Path, place: &str, raw: RawWebhook) -> Result<WebhookConfig, String> {
    let place = format!("{place}.webhook");
    let secret = raw.secret.map(|secret| secret.reveal(base, &format!("{place}.secret"))).transpose()?;
    Ok(WebhookConfig {
        http: http(base, &place, raw.url, raw.headers, (raw.ca, raw.timeout))?,
        secret,
        now: clock::now_us,
    })
}

fn alertmanager(base: &Path, place: &str, raw: RawAlertmanager) -> Result<AlertmanagerConfig, String> {
    let http = http(base, &format!("{place}.alertmanager"), raw.url, raw.headers, (raw.ca, raw.timeout))?;
    Ok(AlertmanagerConfig { http, resolve_after: raw.resolve_after.unwrap_or(RESOLVE_AFTER), now: clock::now_us })
}

/// A web service.
pub(super) fn http(
    base: &Path,
    place: &str,
    url: String,
    headers: BTreeMap<String, RawSecret>,
    (ca, timeout): (Option<PathBuf>, Option<Duration>),
) -> Result<HttpConfig, String> {
    let reveal = |(name, value): (String, RawSecret)| {
        let value = value.reveal(base, &format!("{place}.headers.{name}"))?;
        Ok((name, value))
    };
    let headers = headers.into_iter().map(reveal).collect::<Result<_, String>>()?;
    Ok(HttpConfig { url, headers, ca: ca.map(|ca| base.join(ca)), timeout: timeout.unwrap_or(TIMEOUT) })
}

fn syslog(base: &Path, raw: RawSyslog) -> SyslogConfig {
    SyslogConfig {
        address: raw.address,
        protocol: match raw.protocol {
            RawProtocol::Udp => SyslogProtocol::Udp,
            RawProtocol::Tcp => SyslogProtocol::Tcp,
            RawProtocol::Tls => SyslogProtocol::Tls,
        },
        format: match raw.format {
            RawFormat::Cef => SyslogFormat::Cef,
            RawFormat::Json => SyslogFormat::Json,
        },
        ca: raw.ca.map(|ca| base.join(ca)),
        hostname: crate::setup::hostname(),
        timeout: raw.timeout.unwrap_or(TIMEOUT),
    }
}
