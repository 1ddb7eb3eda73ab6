//! Iceberg's files on a local directory, durable before the catalog names them. The storage that iceberg brings writes
//! metadata without fsync and never syncs a directory; after a power failure the catalog could name a file that is gone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, LocalFsStorage, OutputFile, Storage, StorageConfig, StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::store::{advised, ensure_directory, sync_directory, write_durably};

/// Local files; what is written is durable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DurableStorage {
    files: LocalFsStorage,
}

/// Makes [`DurableStorage`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DurableStorageFactory;

#[typetag::serde(name = "palisade_durable")]
impl StorageFactory for DurableStorageFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(DurableStorage::default()))
    }
}

fn local(path: &str) -> &Path {
    Path::new(path.strip_prefix("file://").unwrap_or(path))
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, format!("cannot write {}", path.display())).with_source(advised(e))
}

#[async_trait]
#[typetag::serde(name = "palisade_durable")]
impl Storage for DurableStorage {
    async fn exists(&self, path: &str) -> Result<bool> {
        self.files.exists(path).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        self.files.metadata(path).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        self.files.read(path).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        self.files.reader(path).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let path = local(path);
        write_durably(path, &bytes).map_err(|e| failed(path, e))
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let path = local(path);
        let folder = path.parent().unwrap_or(Path::new("."));
        ensure_directory(folder).map_err(|e| failed(folder, e))?;
        let file = fs::File::create(path).map_err(|e| failed(path, e))?;
        Ok(Box::new(DurableWrite { file: Some(file), folder: folder.to_owned() }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.files.delete(path).await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        self.files.delete_prefix(path).await
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> Result<()> {
        self.files.delete_stream(paths).await
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// A file being written; closing makes it and its name durable.
#[derive(Debug)]
struct DurableWrite {
    file: Option<fs::File>,
    folder: PathBuf,
}

#[async_trait]
impl FileWrite for DurableWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Error::new(ErrorKind::Unexpected, "a closed file is written"));
        };
        file.write_all(&bytes).map_err(|e| failed(&self.folder, e))
    }

    async fn close(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.sync_all().and_then(|()| sync_directory(&self.folder)).map_err(|e| failed(&self.folder, e))
    }
}

#[cfg(test)]
mod tests {
    use iceberg::io::FileIOBuilder;

    use super::*;

    #[tokio::test]
    async fn files_are_written_whole_read_back_and_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let io = FileIOBuilder::new(Arc::new(DurableStorageFactory)).build();
        let path = |name: &str| format!("file://{}/a/b/{name}", dir.path().display());
        io.new_output(path("m.json")).expect("a path").write("one".into()).await.expect("writes");
        io.new_output(path("m.json")).expect("a path").write("two".into()).await.expect("writes");
        let mut parts = io.new_output(path("m.avro")).expect("a path").writer().await.expect("opens");
        for part in ["he", "llo"] {
            parts.write(part.into()).await.expect("writes");
        }
        parts.close().await.expect("closes");
        assert!(parts.write("more".into()).await.is_err(), "a closed file stays as it is");
        for (name, text) in [("m.json", "two"), ("m.avro", "hello")] {
            let input = io.new_input(path(name)).expect("a path");
            assert_eq!(input.read().await.expect("reads"), text);
            assert_eq!(input.metadata().await.expect("stats").size, text.len() as u64);
            assert_eq!(input.reader().await.expect("opens").read(1..2).await.expect("reads"), text[1..2]);
            io.delete(path(name)).await.expect("deletes");
            assert!(!io.exists(path(name)).await.expect("looks"));
        }
        assert_eq!(fs::read_dir(dir.path().join("a/b")).expect("reads").count(), 0, "no temporary file stays");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("file"), "").expect("writes");
        let storage = DurableStorage::default();
        let below = format!("{}/file/x", dir.path().display());
        let error = storage.write(&below, "x".into()).await.expect_err("a file is no folder");
        assert!(error.to_string().contains("cannot write"), "{error}");
        assert!(storage.writer(&below).await.is_err());
    }
}
