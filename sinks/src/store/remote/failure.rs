//! What a bucket's error means: whether it may pass, and what to do about it.

use std::error::Error as StdError;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use object_store::Error as BucketError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::config::Cloud;

/// How much of a server's own words is told.
const TOLD: usize = 300;

/// The error in terms of [`ErrorKind`], which decide its class, and in words that name the bucket and the way out.
pub(super) fn failure(cloud: Cloud, bucket: &str, error: &BucketError) -> Error {
    let text = chain(error);
    let (kind, advice) = judge(cloud, error, &text);
    Error::new(kind, format!("{bucket}: {advice}{}", told(&text)))
}

/// Nothing was heard within the limit.
pub(super) fn late(limit: Duration) -> Error {
    Error::new(ErrorKind::TimedOut, format!("no answer within {limit:?}"))
}

fn judge(cloud: Cloud, error: &BucketError, text: &str) -> (ErrorKind, &'static str) {
    let status = status(text);
    match error {
        _ if text.contains("RequestTimeTooSkewed") => {
            (ErrorKind::PermissionDenied, "this machine's clock is wrong, so its signatures are refused; set it: ")
        }
        _ if text.contains("169.254.169.254") || text.contains("metadata.google.internal") => (
            ErrorKind::PermissionDenied,
            "no credentials: set those that docs/storage.md lists in the environment, or run where the cloud gives them: ",
        ),
        _ if text.contains("URL scheme is not allowed") => (
            ErrorKind::InvalidInput,
            "http sends data in the clear; use https, or say `storage.allow_http: true` (AWS_ALLOW_HTTP): ",
        ),
        BucketError::PermissionDenied { .. } | BucketError::Unauthenticated { .. } => REFUSED,
        _ if matches!(status, Some(401 | 403)) || text.contains("code: AccessDenied") => REFUSED,
        _ if is_missing(text) => (
            ErrorKind::NotFound,
            "there is no such bucket, or none that these credentials see; make it, or mend the URL: ",
        ),
        _ if text.contains("redirect without LOCATION") || matches!(status, Some(301 | 307 | 308)) => (
            ErrorKind::InvalidInput,
            "the bucket is in another region; name it (`storage.region`, or the cloud's environment variable): ",
        ),
        _ if status == Some(501) => UNKNOWN_THERE,
        BucketError::NotImplemented { .. } | BucketError::NotSupported { .. } => UNKNOWN_THERE,
        BucketError::NotFound { .. } => (ErrorKind::NotFound, "it is not there: "),
        BucketError::InvalidPath { .. } | BucketError::UnknownConfigurationKey { .. } => (ErrorKind::InvalidInput, ""),
        _ => match status {
            Some(408 | 409 | 429) => (ErrorKind::ResourceBusy, "the service asks to wait: "),
            Some(507) => (ErrorKind::StorageFull, "the store is full; make room: "),
            Some(400..=499) => (ErrorKind::InvalidInput, "the service does not take the request: "),
            Some(_) => (ErrorKind::Other, "the service fails: "),
            None => (transport(error), own_name(cloud)),
        },
    }
}

const REFUSED: (ErrorKind, &str) = (
    ErrorKind::PermissionDenied,
    "refused; the credentials need to list, read, write and delete in this bucket (docs/storage.md): ",
);
const UNKNOWN_THERE: (ErrorKind, &str) =
    (ErrorKind::Unsupported, "the service does not know this request; it has to know conditional writes: ");

fn own_name(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "no answer from S3: ",
        Cloud::Google => "no answer from Google Cloud Storage: ",
        Cloud::Azure => "no answer from Azure: ",
    }
}

fn transport(error: &BucketError) -> ErrorKind {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(http) = e.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Timeout => ErrorKind::TimedOut,
                HttpErrorKind::Connect => ErrorKind::NotConnected,
                _ => ErrorKind::Other,
            };
        }
        if let Some(io) = e.downcast_ref::<Error>() {
            return io.kind();
        }
        cause = e.source();
    }
    ErrorKind::Other
}

/// A conditional write that met another one under way: not an object that exists.
pub(super) fn is_conflict(cloud: Cloud, source: &(dyn StdError + 'static)) -> bool {
    let text = source.to_string();
    status(&text) == Some(409) && !(cloud == Cloud::Azure && text.contains("BlobAlreadyExists"))
}

/// "Not found" may be said of the bucket.
pub(super) fn is_bucket_missing(source: &(dyn StdError + 'static)) -> bool {
    is_missing(&source.to_string())
}

fn is_missing(text: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "specified bucket does not exist"].iter().any(|word| text.contains(word))
}

/// The status that a server answered with. The type that holds it is private to object_store; its words are not.
fn status(text: &str) -> Option<u16> {
    let after = text.split("status code: ").nth(1)?;
    after.get(..3)?.parse().ok()
}

/// The error and what it does not say of its causes.
fn chain(error: &BucketError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = e.source();
    }
    text
}

/// The server's words: of an XML answer, its code and its message.
fn told(text: &str) -> String {
    let element = |name: &str| -> Option<&str> {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(words, _)| words)
    };
    let words = match (status(text), element("Code"), element("Message")) {
        (Some(status), Some(code), message) => format!("{status} {code}: {}", message.unwrap_or_default()),
        _ => text.to_owned(),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(TOLD) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words,
    }
}
