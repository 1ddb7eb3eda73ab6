//! What takes a batch: one of the outputs, and what they have in common.

use std::io;
use std::path::Path;

use super::batch::{Batch, Framing, Origin};
use super::http::{Http, Kind};
use super::lines::Lines;
use super::meter::Meter;
use super::s3::{Keys, S3};
use super::stream::Stream;
use super::target::Target;
use super::udp::Udp;
use crate::error::Error;

/// Why records were not taken.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It may go well again: a connection broke, or the target asks for patience.
    Again(String),
    /// The target will not take these records, however often they come.
    Refused(String),
    /// The target took nothing for as long as the sender waits.
    Stalled,
    /// Nothing more can be sent.
    Fatal(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Trouble::Again(cause.to_string())
    }
}

/// When a batch is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    /// How long the first record waits for others, microseconds.
    pub(crate) linger_us: i64,
}

/// Straight into a socket or a file.
const STREAMING: Limits = Limits { records: 1_024, bytes: 64 << 10, linger_us: 0 };
/// A request.
const POSTING: Limits = Limits { records: 5_000, bytes: 1 << 20, linger_us: 200_000 };
/// An object.
const OBJECTS: Limits = Limits { records: 100_000, bytes: 8 << 20, linger_us: 5_000_000 };

/// What outputs are made of, besides their target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) ca: Option<&'a Path>,
    pub(crate) hec_token: Option<&'a str>,
    pub(crate) keys: Option<&'a Keys>,
    pub(crate) key_template: &'a str,
    /// The worker's number.
    pub(crate) worker: usize,
}

/// An output.
pub(crate) enum Output {
    Lines(Lines),
    Udp(Udp),
    Stream(Stream),
    Http(Box<Http>),
    S3(Box<S3>),
}

impl Output {
    /// # Errors
    /// If there is no such output, or what it needs is missing.
    pub(crate) fn new(target: &Target, means: Means<'_>) -> Result<Self, Error> {
        Ok(match target {
            Target::Stdout => Self::Lines(Lines::stdout()),
            Target::Dir(dir) => Self::Lines(Lines::dir(dir)),
            Target::Udp(endpoint) => Self::Udp(Udp::new(endpoint.clone())),
            Target::Stream(endpoint, framing) => Self::Stream(Stream::new(endpoint.clone(), *framing, means.ca)?),
            Target::Http(post) => Self::Http(Box::new(Http::new(post, Kind::Ndjson, means)?)),
            Target::Hec(post) => Self::Http(Box::new(Http::new(post, Kind::of_hec(&post.path), means)?)),
            Target::S3(place) => Self::S3(Box::new(S3::new(place, means)?)),
            Target::Kafka { .. } => return Err(Error::Schedule("a topic is written by write_kafka".to_owned())),
        })
    }

    pub(crate) fn framing(&self) -> Framing {
        match self {
            Output::Lines(_) | Output::S3(_) => Framing::Line,
            Output::Udp(_) => Framing::Datagram,
            Output::Stream(stream) => stream.framing(),
            Output::Http(http) => http.framing(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        match self {
            Output::Lines(_) | Output::Udp(_) | Output::Stream(_) => STREAMING,
            Output::Http(_) => POSTING,
            Output::S3(_) => OBJECTS,
        }
    }

    /// True if a batch holds records of one partition only.
    pub(crate) fn is_by_partition(&self) -> bool {
        match self {
            Output::Lines(lines) => lines.is_by_partition(),
            Output::S3(_) => true,
            _ => false,
        }
    }

    /// Finds out whether the target is there, before anything is due.
    pub(crate) async fn open(&mut self) -> io::Result<()> {
        match self {
            Output::Lines(_) => Ok(()),
            Output::Udp(udp) => udp.open().await,
            Output::Stream(stream) => stream.open().await,
            Output::Http(http) => http.open().await,
            Output::S3(s3) => s3.open().await,
        }
    }

    /// Sends the records of a batch from `done` on, which it raises as they are taken.
    pub(crate) async fn send(
        &mut self,
        batch: &Batch,
        origin: &Origin,
        done: &mut usize,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        match self {
            Output::Lines(lines) => lines.send(batch, origin, done, meter),
            Output::Udp(udp) => udp.send(batch, done, meter).await,
            Output::Stream(stream) => stream.send(batch, done, meter).await,
            Output::Http(http) => http.send(batch, done, meter).await,
            Output::S3(s3) => s3.send(batch, origin, done, meter).await,
        }
    }

    /// Everything is sent: says so to the target.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        match self {
            Output::Stream(stream) => stream.close().await,
            Output::Lines(_) | Output::Udp(_) | Output::Http(_) | Output::S3(_) => Ok(()),
        }
    }
}
