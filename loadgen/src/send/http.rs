//! NDJSON in POST requests, and Splunk's HTTP event collector. A batch is a request; an answer of 2xx acknowledges it.

use std::io::{self, Write};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use uuid::Uuid;

use super::batch::{Batch, Framing};
use super::dial::{Dialer, Wire};
use super::meter::Meter;
use super::output::{Means, Trouble};
use super::target::{Endpoint, Post};
use crate::error::Error;

/// How much of an answer is read; a longer one ends the connection.
const ANSWER_BYTES: usize = 64 << 10;

/// How much of an answer is told.
const TOLD: usize = 200;

const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// One connection, on which requests follow each other.
pub(crate) struct Poster {
    dialer: Dialer,
    host: HeaderValue,
    link: Option<Link>,
}

struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Box<dyn Wire>>, Full<Bytes>>,
}

impl Link {
    async fn new(wire: Box<dyn Wire>) -> io::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(io::Error::other)?;
        Ok(Self { sender, connection })
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)> {
        let answer = async {
            let (head, body) = self.sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
            Ok((head.status, read(body).await?))
        };
        let mut answer = std::pin::pin!(answer);
        // The connection is driven here and nowhere else. When it ends first, the request learns of it.
        tokio::select! {
            biased;
            result = &mut answer => result,
            _ = &mut self.connection => answer.await,
        }
    }
}

async fn read(body: Incoming) -> io::Result<Bytes> {
    Ok(Limited::new(body, ANSWER_BYTES).collect().await.map_err(io::Error::other)?.to_bytes())
}

impl Poster {
    pub(crate) fn new(endpoint: Endpoint, ca: Option<&std::path::Path>) -> Result<Self, Error> {
        let usual = if endpoint.is_tls { 443 } else { 80 };
        let text = endpoint.to_string();
        let text = text.strip_suffix(&format!(":{usual}")).unwrap_or(&text);
        let host = HeaderValue::from_str(text).map_err(|e| Error::Target {
            target: endpoint.to_string(),
            cause: io::Error::new(io::ErrorKind::InvalidInput, e),
        })?;
        Ok(Self { dialer: Dialer::new(endpoint, ca)?, host, link: None })
    }

    pub(crate) async fn open(&mut self) -> io::Result<()> {
        self.link = Some(Link::new(self.dialer.dial().await?).await?);
        Ok(())
    }

    /// Sends one request and reads its answer; after an error the next one has a new connection.
    pub(crate) async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)> {
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("palisade-loadgen"));
        let mut link = match self.link.take() {
            Some(link) if !link.sender.is_closed() => link,
            _ => Link::new(self.dialer.dial().await?).await?,
        };
        let answer = link.exchange(request).await?;
        self.link = Some(link);
        Ok(answer)
    }
}

/// What a status means for the records.
pub(crate) fn judge(status: StatusCode, answer: &[u8]) -> Result<(), Trouble> {
    if status.is_success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer[..answer.len().min(TOLD)]).into_owned();
    let what = format!("{status}: {}", text.trim());
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(Trouble::Again(what)),
        _ if status.is_server_error() => Err(Trouble::Again(what)),
        _ => Err(Trouble::Refused(what)),
    }
}

/// What bodies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ndjson,
    /// Splunk's raw endpoint: lines.
    HecRaw,
    /// Splunk's event endpoint: objects.
    HecEvent,
}

impl Kind {
    pub(crate) fn of_hec(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
        if path.ends_with("/event") || path.ends_with("/collector") { Kind::HecEvent } else { Kind::HecRaw }
    }
}

pub(crate) struct Http {
    poster: Poster,
    path: String,
    kind: Kind,
    headers: HeaderMap,
    is_gzip: bool,
}

impl Http {
    pub(crate) fn new(post: &Post, kind: Kind, means: Means<'_>) -> Result<Self, Error> {
        let poster = Poster::new(post.endpoint.clone(), means.ca)?;
        let mut headers = HeaderMap::new();
        let media = if kind == Kind::Ndjson { "application/x-ndjson" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if post.is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if kind != Kind::Ndjson {
            headers.insert(AUTHORIZATION, authorization(means.hec_token)?);
            let channel = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("palisade-{}", means.worker).as_bytes());
            headers.insert(CHANNEL, HeaderValue::from_str(&channel.to_string()).map_err(|_| Error::Token)?);
        }
        Ok(Self { poster, path: post.path.clone(), kind, headers, is_gzip: post.is_gzip })
    }

    pub(crate) fn framing(&self) -> Framing {
        if self.kind == Kind::HecEvent { Framing::Hec } else { Framing::Line }
    }

    pub(crate) async fn open(&mut self) -> io::Result<()> {
        self.poster.open().await
    }

    pub(crate) async fn send(&mut self, batch: &Batch, done: &mut usize, meter: &mut Meter) -> Result<(), Trouble> {
        let body = if self.is_gzip { gzip(batch.bytes())? } else { Bytes::copy_from_slice(batch.bytes()) };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse().map_err(|e| Trouble::Refused(format!("{}: {e}", self.path)))?;
        request.headers_mut().clone_from(&self.headers);
        let (status, answer) = exchange(&mut self.poster, request, meter).await?;
        judge(status, &answer)?;
        meter.acknowledged(batch, *done..batch.len());
        *done = batch.len();
        Ok(())
    }
}

/// An answer is awaited as a matter of course; it is back-pressure once other records are due.
pub(crate) async fn exchange(
    poster: &mut Poster,
    request: Request<Full<Bytes>>,
    meter: &Meter,
) -> io::Result<(StatusCode, Bytes)> {
    let next_us = meter.gauge.next_due_us.load(std::sync::atomic::Ordering::Relaxed);
    meter.waiting(next_us, poster.exchange(request)).await
}

fn authorization(token: Option<&str>) -> Result<HeaderValue, Error> {
    let token = token.filter(|token| !token.is_empty()).ok_or(Error::Token)?;
    let mut value = HeaderValue::from_str(&format!("Splunk {token}")).map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Bytes> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::fast());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?.into())
}
