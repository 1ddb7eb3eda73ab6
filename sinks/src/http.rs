//! What is posted to web services, alerts and traces: one client, and what an answer means.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};

use crate::{Error, Result};

/// Of an answer's text, for people.
const EXCERPT: usize = 300;

/// Where and how to post.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// `http://` or `https://`.
    pub url: String,
    /// Sent with every request; a value may be a secret.
    pub headers: Vec<(String, String)>,
    /// PEM of an authority that is trusted beside those of the machine.
    pub ca: Option<PathBuf>,
    /// For one request, from the connection to the last byte of the answer.
    pub timeout: Duration,
}

/// Posts to one URL.
#[derive(Debug)]
pub struct Post {
    client: Client,
    url: Url,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the receiver's now.
    Taken,
    /// The same request will never be taken.
    Refused(String),
    /// It may be taken later; the receiver may say when.
    Later(String, Option<Duration>),
}

impl Post {
    /// `path` is joined to the URL.
    ///
    /// # Errors
    /// If URL, header or certificate cannot be used.
    pub fn new(config: &HttpConfig, path: &str) -> Result<Self> {
        let fail = |what: String| Error::Config(format!("{}: {what}", config.url));
        let text = format!("{}{path}", if path.is_empty() { &config.url } else { config.url.trim_end_matches('/') });
        let url = Url::parse(&text).map_err(|e| fail(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(fail("not the URL of a web service; it begins with http:// or https://".to_owned()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
            let (key, mut value) = parsed.ok_or_else(|| fail(format!("{name} is no header")))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let client = Client::builder().user_agent(concat!("Palisade/", env!("CARGO_PKG_VERSION")));
        // A redirected POST would lose its body.
        let mut client = client.default_headers(headers).timeout(config.timeout).redirect(redirect::Policy::none());
        if let Some(file) = &config.ca {
            let failed = |what: String| fail(format!("{}: {what}", file.display()));
            let pem = std::fs::read(file).map_err(|e| failed(e.to_string()))?;
            for authority in Certificate::from_pem_bundle(&pem).map_err(|e| failed(e.to_string()))? {
                client = client.add_root_certificate(authority);
            }
        }
        let client = client.build().map_err(|e| fail(causes(&e)))?;
        Ok(Self { client, url })
    }

    /// The URL without what may be secret in it: for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    pub(crate) async fn json(&self, body: String, headers: HeaderMap) -> Answer {
        self.send("application/json", body.into_bytes(), headers).await
    }

    /// Posts a body of that content type.
    pub async fn bytes(&self, content_type: &str, body: Vec<u8>) -> Answer {
        self.send(content_type, body, HeaderMap::new()).await
    }

    async fn send(&self, content_type: &str, body: Vec<u8>, headers: HeaderMap) -> Answer {
        let request = self.client.post(self.url.clone()).headers(headers);
        match request.header(CONTENT_TYPE, content_type).body(body).send().await {
            Ok(response) => judge(response).await,
            Err(e) => Answer::Later(causes(&e.without_url()), None),
        }
    }
}

/// Only what says that this very body is wrong is final. A missing right or a wrong path may be mended, and then the alerts
/// are still there.
async fn judge(response: Response) -> Answer {
    let (status, pause) = (response.status(), retry_after(response.headers()));
    if status.is_success() {
        return Answer::Taken;
    }
    let to = response.headers().get("location").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let said = match to {
        Some(to) if status.is_redirection() => format!("answers {status}: name {to} instead"),
        _ => format!("answers {status}{}", excerpt(response).await),
    };
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Answer::Refused(said),
        _ => Answer::Later(said, pause),
    }
}

/// Seconds; a date is as good as nothing said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of what the answer says, on one line.
async fn excerpt(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < EXCERPT
        && let Ok(Some(part)) = response.chunk().await
    {
        bytes.extend_from_slice(&part);
    }
    bytes.truncate(EXCERPT);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { text } else { format!(": {text}") }
}

/// An error with what caused it: reqwest's own text says little.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |e| e.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
