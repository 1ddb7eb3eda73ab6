//! Objects in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure.
//!
//! A call is sent until it succeeds, fails for good, or has failed for as long as the configuration says. So
//! [`Create::Exists`] may mean an object of one's own, whose first answer was lost: callers compare what is there.

mod failure;
mod open;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as BucketError, ObjectStore as Bucket, ObjectStoreExt, PutMode, Result as BucketResult};

use super::{Create, Listed, ObjectStore};
use crate::commit::backoff;
use crate::config::{BucketUrl, StoreConfig};
use crate::{Error, Result};
use failure::{failure, is_conflict, late};

/// Pause before the second attempt, milliseconds; doubled each time, at most 32 times this.
const PAUSE_MS: u64 = 200;

/// How often an object is created anew that a service says exists, and does not show: another writer's is about to appear.
const APPEAR_TRIES: u32 = 5;

/// What listing all of a folder may take; each page has the time of a request.
const LISTING: Duration = Duration::from_secs(3600);

/// An object whose creation is tried twice when a store is opened.
const PROBE: &str = "palisade.probe";

/// The attempt after which a store that does not answer is news; what passes sooner is not.
const NEWS: u32 = 4;

/// Objects in a folder of a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    bucket: Arc<dyn Bucket>,
    url: BucketUrl,
    timeout: Duration,
    retry: Duration,
}

impl RemoteStore {
    /// The store at `url`, with the credentials of the environment.
    ///
    /// # Errors
    /// If the configuration or the environment cannot be used, the bucket does not answer or refuses us, or it does not
    /// keep an object that is created a second time.
    pub async fn open(url: &BucketUrl, config: &StoreConfig) -> Result<Self> {
        let store = Self::unproven(url, config)?;
        store.prove().await?;
        Ok(store)
    }

    /// As [`RemoteStore::open`], without asking the bucket anything: for readers.
    ///
    /// # Errors
    /// If the configuration or the environment cannot be used.
    pub(crate) fn unproven(url: &BucketUrl, config: &StoreConfig) -> Result<Self> {
        let bucket = open::bucket(url, config).map_err(|e| Error::Config(format!("storage: {url}: {e}")))?;
        Ok(Self::over(bucket, url, config))
    }

    /// A store over a bucket that is open.
    pub fn over(bucket: Arc<dyn Bucket>, url: &BucketUrl, config: &StoreConfig) -> Self {
        let (timeout, retry) = (Duration::from_millis(config.timeout_ms), Duration::from_millis(config.retry_ms));
        Self { bucket, url: url.clone(), timeout, retry }
    }

    /// Creates an object twice. A server that does not know the condition overwrites it in silence, and would let two
    /// workers take the same range.
    async fn prove(&self) -> Result<()> {
        let probe = || self.create(PROBE, Bytes::from_static(b"{}\n"));
        probe().await?;
        match probe().await? {
            Create::Exists => Ok(()),
            Create::New => {
                let what = "the server overwrites what it is asked to create only if it is absent (If-None-Match); the \
                            ledger cannot be kept there: use a server that knows conditional writes";
                Err(Error::store(
                    "create twice",
                    self.location(PROBE),
                    io::Error::new(io::ErrorKind::Unsupported, what),
                ))
            }
        }
    }

    /// The bucket and the key of an object that is named by its URL, for readers of its parts.
    ///
    /// # Errors
    /// If it is in another bucket.
    pub(crate) fn resolve(&self, location: &str) -> Result<(Arc<dyn Bucket>, Path)> {
        let key = location.strip_prefix(self.url.bucket()).and_then(|rest| rest.strip_prefix('/'));
        let Some(key) = key else {
            let what = format!("it is not in {}, the warehouse's bucket", self.url.bucket());
            return Err(Error::store("resolve", location, io::Error::new(io::ErrorKind::InvalidInput, what)));
        };
        let key = Path::parse(key).map_err(|e| Error::store("resolve", location, self.failure(&e.into())))?;
        Ok((self.bucket.clone(), key))
    }

    fn key(&self, path: &str) -> Result<Path> {
        let prefix = self.url.prefix();
        let key = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        Path::parse(key).map_err(|e| Error::store("name", self.location(path), self.failure(&e.into())))
    }

    fn failure(&self, error: &BucketError) -> io::Error {
        failure(self.url.cloud(), self.url.bucket(), error)
    }

    /// The time that a request of so many bytes may take.
    pub(crate) fn limit(&self, bytes: usize) -> Duration {
        self.timeout + Duration::from_secs((bytes >> 20) as u64)
    }

    /// One request, within its time, once.
    pub(crate) async fn once<T>(&self, limit: Duration, call: impl Future<Output = BucketResult<T>>) -> io::Result<T> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|e| self.failure(&e)),
            Err(_) => Err(late(limit)),
        }
    }

    /// A call, tried again while it fails for reasons that may pass.
    pub(crate) async fn call<T, F: Future<Output = BucketResult<T>>>(
        &self,
        action: &'static str,
        location: &str,
        limit: Duration,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut last = None;
        let attempts = async {
            for attempt in 1.. {
                match self.once(limit, call()).await {
                    Ok(answer) => return Ok(answer),
                    Err(e) if !crate::error::is_transient_io(&e) => return Err(e),
                    Err(e) => {
                        told(action, location, attempt, &e);
                        last = Some(e);
                    }
                }
                tokio::time::sleep(backoff(PAUSE_MS, attempt)).await;
            }
            unreachable!("the loop ends by a return")
        };
        let patience = self.retry.max(limit);
        let answer = tokio::time::timeout(patience, attempts).await;
        answer
            .unwrap_or_else(|_| Err(last.unwrap_or_else(|| late(patience))))
            .map_err(|e| Error::store(action, location, e))
    }

    /// The path within the store, of a key.
    fn path_of<'a>(&self, key: &'a Path) -> &'a str {
        key.as_ref().strip_prefix(self.url.prefix()).unwrap_or(key.as_ref()).trim_start_matches('/')
    }
}

/// Says once of a call that it waits: who is at a loss why nothing moves finds it there.
fn told(action: &'static str, location: &str, attempt: u32, error: &io::Error) {
    match attempt {
        NEWS => tracing::warn!("cannot {action} {location}: {error}; the store is asked again"),
        _ => tracing::debug!(action, location, attempt, %error, "the store is asked again"),
    }
}

#[async_trait]
impl ObjectStore for RemoteStore {
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Create> {
        let key = self.key(path)?;
        let cloud = self.url.cloud();
        // None if the service says that it exists, and then that it is not there.
        let create = || async {
            match self.bucket.put_opts(&key, bytes.clone().into(), PutMode::Create.into()).await {
                Ok(_) => return Ok(Some(Create::New)),
                Err(BucketError::AlreadyExists { source, .. }) if !is_conflict(cloud, source.as_ref()) => {}
                Err(e) => return Err(e),
            }
            match self.bucket.head(&key).await {
                Ok(_) => Ok(Some(Create::Exists)),
                Err(BucketError::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        };
        let location = self.location(path);
        for attempt in 1..=APPEAR_TRIES {
            if let Some(created) = self.call("create", &location, self.limit(bytes.len()), create).await? {
                return Ok(created);
            }
            tokio::time::sleep(backoff(PAUSE_MS, attempt)).await;
        }
        Ok(Create::Exists)
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let key = self.key(path)?;
        let put = || async { self.bucket.put(&key, bytes.clone().into()).await.map(drop) };
        self.call("write", &self.location(path), self.limit(bytes.len()), put).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let key = self.key(path)?;
        // The time that the whole takes is known once its size is.
        let open = || async {
            match self.bucket.get(&key).await {
                Ok(found) => Ok(Some(found)),
                Err(BucketError::NotFound { source, .. }) if !failure::is_bucket_missing(source.as_ref()) => Ok(None),
                Err(e) => Err(e),
            }
        };
        let location = self.location(path);
        let Some(found) = self.call("read", &location, self.timeout, open).await? else { return Ok(None) };
        let limit = self.limit(usize::try_from(found.meta.size).unwrap_or(usize::MAX));
        match self.once(limit, found.bytes()).await {
            Ok(bytes) => Ok(Some(bytes)),
            // Its body broke off: from the beginning.
            Err(e) if crate::error::is_transient_io(&e) => {
                let read = || async { self.bucket.get(&key).await?.bytes().await };
                self.call("read", &location, limit, read).await.map(Some)
            }
            Err(e) => Err(Error::store("read", location, e)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let key = self.key(folder)?;
        let list = || self.bucket.list_with_delimiter(Some(&key));
        let found = self.call("list", &self.location(folder), self.timeout, list).await?;
        let keys = found.common_prefixes.iter().chain(found.objects.iter().map(|o| &o.location));
        let mut names: Vec<String> = keys.filter_map(|key| key.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn list_deep(&self, folder: &str) -> Result<Vec<Listed>> {
        let key = self.key(folder)?;
        let list = || async {
            // A page at a time within the limit, and not all of them together.
            let mut objects = self.bucket.list(Some(&key));
            let mut listed = Vec::new();
            loop {
                let page = tokio::time::timeout(self.timeout, objects.try_next()).await;
                let late = |_| Err(BucketError::Generic { store: "list", source: Box::new(late(self.timeout)) });
                let Some(object) = page.unwrap_or_else(late)? else { return Ok(listed) };
                listed.push(Listed {
                    path: self.path_of(&object.location).to_owned(),
                    bytes: object.size,
                    written_at: object.last_modified.timestamp_micros(),
                });
            }
        };
        let mut listed = self.call("list", &self.location(folder), LISTING, list).await?;
        listed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(listed)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let key = self.key(path)?;
        let delete = || async {
            match self.bucket.delete(&key).await {
                Err(BucketError::NotFound { source, .. }) if !failure::is_bucket_missing(source.as_ref()) => Ok(()),
                deleted => deleted,
            }
        };
        self.call("delete", &self.location(path), self.timeout, delete).await
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

#[cfg(test)]
mod tests;
