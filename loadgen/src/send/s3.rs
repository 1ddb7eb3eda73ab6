//! Gzipped objects of lines in a bucket, as devices and clouds deliver them: each partition has objects of its own, and those
//! of all partitions come interleaved.
//!
//! A request is a URL that is signed beforehand (AWS Signature 4 in the query) and a PUT to it. What is acknowledged is in the
//! bucket. An object that is written twice after a lost answer has the same key and the same bytes.

use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::{Method, Request};
use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use super::batch::{Batch, Origin};
use super::http::{Poster, exchange, gzip, judge};
use super::meter::Meter;
use super::output::{Means, Trouble};
use super::target::{Endpoint, Place};
use crate::error::Error;

/// Keys, unless another template is given: like those of services that deliver logs.
pub const KEY_TEMPLATE: &str = "{tenant}/{year}/{month}/{day}/{topic}-{partition}-{offset}.log.gz";

/// How long a signature holds.
const SIGNED: Duration = Duration::from_secs(600);

const REGION: &str = "us-east-1";

/// What opens a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Whose it is.
    pub access_key: String,
    /// What signs.
    pub secret_key: String,
    /// Of a session, if they are temporary.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

pub(crate) struct S3 {
    poster: Poster,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    template: String,
}

impl S3 {
    pub(crate) fn new(place: &Place, means: Means<'_>) -> Result<Self, Error> {
        let keys = means.keys.ok_or(Error::Keys)?;
        let region = place.region.clone().unwrap_or_else(|| REGION.to_owned());
        let (endpoint, style) = match &place.endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let wrong = |cause: String| Error::Target { target: endpoint.clone(), cause: io::Error::other(cause) };
        let url = Url::parse(&endpoint).map_err(|e| wrong(e.to_string()))?;
        let bucket = Bucket::new(url, style, place.bucket.clone(), region).map_err(|e| wrong(e.to_string()))?;
        let credentials = match &keys.session_token {
            None => Credentials::new(&*keys.access_key, &*keys.secret_key),
            Some(token) => Credentials::new_with_token(&*keys.access_key, &*keys.secret_key, &**token),
        };
        let called = called(&bucket).ok_or_else(|| wrong("expected http://HOST or https://HOST".to_owned()))?;
        let poster = Poster::new(called, means.ca)?;
        let template = means.key_template.to_owned();
        Ok(Self { poster, bucket, credentials, prefix: place.prefix.clone(), template })
    }

    pub(crate) async fn open(&mut self) -> io::Result<()> {
        self.poster.open().await
    }

    pub(crate) async fn send(
        &mut self,
        batch: &Batch,
        origin: &Origin,
        done: &mut usize,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        let now_us = meter.now_us();
        let key = self.key(batch, origin, now_us);
        let time = Timestamp::from_microsecond(now_us).map_err(|e| Trouble::Refused(e.to_string()))?;
        let url = self.bucket.put_object(Some(&self.credentials), &key).sign_with_time(SIGNED, &time);
        let mut request = Request::new(Full::new(gzip(batch.bytes())?));
        *request.method_mut() = Method::PUT;
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        *request.uri_mut() = target.parse().map_err(|e| Trouble::Refused(format!("{key}: {e}")))?;
        let (status, answer) = exchange(&mut self.poster, request, meter).await?;
        judge(status, &answer)?;
        meter.acknowledged(batch, *done..batch.len());
        *done = batch.len();
        Ok(())
    }

    /// The key of a batch: the same each time, and another batch's never. The day is that of its first record.
    fn key(&self, batch: &Batch, origin: &Origin, now_us: i64) -> String {
        let first = batch.first();
        let due_us = first.map_or(0, |item| item.due_us);
        let date = dataflow::time::rfc3339(if due_us > 0 { due_us } else { now_us });
        let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
        let key = self
            .template
            .replace("{tenant}", &origin.tenant)
            .replace("{topic}", &origin.topic)
            .replace("{partition}", &format!("{:03}", origin.number))
            .replace("{offset}", &format!("{:012}", first.map_or(0, |item| item.offset)))
            .replace("{year}", part(0..4))
            .replace("{month}", part(5..7))
            .replace("{day}", part(8..10))
            .replace("{hour}", part(11..13));
        let prefix = self.prefix.trim_end_matches('/');
        if prefix.is_empty() { key } else { format!("{prefix}/{key}") }
    }
}

/// # Errors
/// [`Error::KeyTemplate`] unless the template tells partitions and offsets apart.
pub(crate) fn check_template(template: &str) -> Result<(), Error> {
    let has = |name| template.contains(name);
    if has("{offset}") && has("{partition}") && has("{topic}") {
        Ok(())
    } else {
        Err(Error::KeyTemplate(template.to_owned()))
    }
}

/// Whom a bucket's URLs call.
fn called(bucket: &Bucket) -> Option<Endpoint> {
    let url = bucket.object_url("x").ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Endpoint { host, port: url.port_or_known_default()?, is_tls: url.scheme() == "https" })
}
