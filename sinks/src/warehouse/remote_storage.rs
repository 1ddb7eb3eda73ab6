//! Iceberg's files in the warehouse's bucket. Large files go up in parts.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory};
use iceberg::{Error, ErrorKind, Result};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error as BucketError, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::Class;
use crate::store::RemoteStore;

/// Files of the warehouse's bucket, by URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteStorage {
    /// Never sent to another process.
    #[serde(skip)]
    store: Option<RemoteStore>,
}

/// Makes [`RemoteStorage`]. What a catalog says about storage is not asked: bucket and credentials are the warehouse's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteStorageFactory {
    #[serde(skip)]
    store: Option<RemoteStore>,
}

impl RemoteStorageFactory {
    pub(crate) fn new(store: RemoteStore) -> Self {
        Self { store: Some(store) }
    }
}

#[typetag::serde(name = "palisade_remote")]
impl StorageFactory for RemoteStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(RemoteStorage { store: self.store.clone() }))
    }
}

/// An error whose kind keeps the class.
fn failed(error: crate::Error) -> Error {
    let kind = match error.class() {
        Class::Transient => ErrorKind::Unexpected,
        Class::Permanent => ErrorKind::DataInvalid,
    };
    Error::new(kind, error.to_string())
}

impl RemoteStorage {
    fn store(&self) -> Result<&RemoteStore> {
        let lost = || Error::new(ErrorKind::FeatureUnsupported, "a warehouse's storage stays in its process");
        self.store.as_ref().ok_or_else(lost)
    }

    fn at(&self, location: &str) -> Result<Remote> {
        let store = self.store()?.clone();
        let (bucket, key) = store.resolve(location).map_err(failed)?;
        Ok(Remote { store, bucket, key, location: location.to_owned() })
    }
}

/// A file of the bucket.
#[derive(Debug)]
struct Remote {
    store: RemoteStore,
    bucket: Arc<dyn object_store::ObjectStore>,
    key: Path,
    location: String,
}

impl Remote {
    async fn size(&self) -> Result<Option<u64>> {
        let head = || async {
            match self.bucket.head(&self.key).await {
                Ok(found) => Ok(Some(found.size)),
                Err(BucketError::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        };
        self.store.call("look at", &self.location, self.store.limit(0), head).await.map_err(failed)
    }

    /// Small files in one request, others in parts.
    async fn write(&self, bytes: &Bytes) -> Result<()> {
        let write = || async {
            let mut writer = BufWriter::new(self.bucket.clone(), self.key.clone());
            writer.put(bytes.clone()).await?;
            closed(&mut writer).await
        };
        self.store.call("write", &self.location, self.store.limit(bytes.len()), write).await.map_err(failed)
    }

    async fn delete(&self) -> Result<()> {
        let delete = || async {
            match self.bucket.delete(&self.key).await {
                Err(BucketError::NotFound { .. }) => Ok(()),
                deleted => deleted,
            }
        };
        self.store.call("delete", &self.location, self.store.limit(0), delete).await.map_err(failed)
    }
}

async fn closed(writer: &mut BufWriter) -> object_store::Result<()> {
    writer.shutdown().await.map_err(|e| BucketError::Generic { store: "write", source: Box::new(e) })
}

#[async_trait]
impl FileRead for Remote {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let read = || self.bucket.get_range(&self.key, range.clone());
        self.store.call("read", &self.location, self.store.limit(bytes), read).await.map_err(failed)
    }
}

#[async_trait]
#[typetag::serde(name = "palisade_remote")]
impl Storage for RemoteStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.at(path)?.size().await?.is_some())
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let missing = || Error::new(ErrorKind::DataInvalid, format!("{path} is missing"));
        Ok(FileMetadata { size: self.at(path)?.size().await?.ok_or_else(missing)? })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        let at = self.at(path)?;
        let missing = || Error::new(ErrorKind::DataInvalid, format!("{path} is missing"));
        let size = at.size().await?.ok_or_else(missing)?;
        let limit = at.store.limit(usize::try_from(size).unwrap_or(usize::MAX));
        let read = || async { at.bucket.get(&at.key).await?.bytes().await };
        at.store.call("read", path, limit, read).await.map_err(failed)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(self.at(path)?))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.at(path)?.write(&bytes).await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let at = self.at(path)?;
        let writer = BufWriter::new(at.bucket.clone(), at.key.clone());
        Ok(Box::new(RemoteWrite { at, writer, is_closed: false }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.at(path)?.delete().await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        let at = self.at(path)?;
        let list = || at.bucket.list(Some(&at.key)).map_ok(|o| o.location).try_collect::<Vec<_>>();
        let keys = at.store.call("list", path, at.store.limit(0), list).await.map_err(failed)?;
        for key in keys {
            let location = key.to_string();
            Remote { store: at.store.clone(), bucket: at.bucket.clone(), key, location }.delete().await?;
        }
        Ok(())
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.at(&path)?.delete().await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// A file being written. Nobody sees it until it is closed.
struct RemoteWrite {
    at: Remote,
    writer: BufWriter,
    is_closed: bool,
}

#[async_trait]
impl FileWrite for RemoteWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.is_closed {
            return Err(Error::new(ErrorKind::Unexpected, "a closed file is written"));
        }
        let limit = self.at.store.limit(bytes.len());
        let written = self.at.store.once(limit, self.writer.put(bytes)).await;
        written.map_err(|e| failed(crate::Error::store("write", &self.at.location, e)))
    }

    async fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        // What is still buffered goes up now.
        let limit = self.at.store.limit(PART_BYTES);
        let closed = self.at.store.once(limit, closed(&mut self.writer)).await;
        closed.map_err(|e| failed(crate::Error::store("write", &self.at.location, e)))
    }
}

/// The most that a file being written holds back: object_store's own, of eight parts.
const PART_BYTES: usize = 80 << 20;

#[cfg(test)]
mod tests {
    use iceberg::io::FileIOBuilder;
    use object_store::memory::InMemory;

    use super::*;
    use crate::config::{Root, StoreConfig};

    fn store() -> RemoteStore {
        let Root::Remote(url) = Root::parse("s3://lake/w").expect("a bucket") else { panic!("remote") };
        RemoteStore::over(Arc::new(InMemory::new()), &url, &StoreConfig::default())
    }

    #[tokio::test]
    async fn files_are_written_whole_or_in_parts_read_back_and_deleted() {
        let io = FileIOBuilder::new(Arc::new(RemoteStorageFactory::new(store()))).build();
        let path = |name: &str| format!("s3://lake/w/a/b/{name}");
        io.new_output(path("m.json")).expect("a path").write("one".into()).await.expect("writes");
        io.new_output(path("m.json")).expect("a path").write("two".into()).await.expect("writes");
        let mut parts = io.new_output(path("m.avro")).expect("a path").writer().await.expect("opens");
        let part = Bytes::from(vec![7; 6 << 20]);
        for _ in 0..4 {
            parts.write(part.clone()).await.expect("writes");
        }
        assert!(!io.exists(path("m.avro")).await.expect("looks"), "nobody sees half of it");
        parts.close().await.expect("closes");
        assert!(parts.write(part).await.is_err(), "a closed file stays as it is");
        for (name, size, byte) in [("m.json", 3, b'w'), ("m.avro", 24 << 20, 7)] {
            let input = io.new_input(path(name)).expect("a path");
            assert_eq!(input.read().await.expect("reads").len(), size);
            assert_eq!(input.metadata().await.expect("stats").size, size as u64);
            assert_eq!(input.reader().await.expect("opens").read(1..2).await.expect("reads"), vec![byte]);
            io.delete(path(name)).await.expect("deletes");
            assert!(!io.exists(path(name)).await.expect("looks"));
        }
        for name in ["x/1", "x/2"] {
            io.new_output(path(name)).expect("a path").write("x".into()).await.expect("writes");
        }
        io.delete_prefix(path("x")).await.expect("deletes");
        assert!(!io.exists(path("x/2")).await.expect("looks"));
    }

    #[tokio::test]
    async fn another_bucket_and_a_missing_file_are_errors_for_good() {
        let storage = RemoteStorage { store: Some(store()) };
        let error = storage.read("s3://other/w/a").await.expect_err("another bucket");
        assert!(error.to_string().contains("not in s3://lake, the warehouse's bucket"), "{error}");
        let error = storage.read("s3://lake/w/a").await.expect_err("missing");
        assert_eq!(error.kind(), ErrorKind::DataInvalid, "{error}");
        let sent: RemoteStorage =
            serde_json::from_str(&serde_json::to_string(&storage).expect("serialises")).expect("parses");
        assert!(sent.read("s3://lake/w/a").await.is_err(), "credentials are not sent along");
    }
}
