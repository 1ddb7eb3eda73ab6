//! Objects as files of a local directory, fsynced. A file is written under a temporary name and linked or renamed into
//! place, so a reader sees all of it or nothing; temporary files of a crash are never listed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{Create, Listed, ObjectStore};
use crate::{Error, Result};

/// Names that begin so are files being written.
const TEMPORARY: &str = ".tmp-";

/// What POSIX systems say of a device that fails; it has no kind of its own.
const EIO: i32 = 5;

/// True for the name, or the path, of a file that was being written when its process ended, or is being written.
pub(crate) fn is_temporary(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(TEMPORARY))
}

/// Objects in a directory of this machine.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// A store at `root`, which is created if need be.
    ///
    /// # Errors
    /// If the directory cannot be made, or its path is not UTF-8.
    pub fn open(root: &Path) -> Result<Self> {
        let shown = root.display().to_string();
        ensure_directory(root).map_err(|e| Error::store("create the directory", &shown, e))?;
        let root = root.canonicalize().map_err(|e| Error::store("resolve", &shown, e))?;
        if root.to_str().is_none() {
            return Err(Error::Config(format!("root: {shown} is not UTF-8")));
        }
        Ok(Self { root })
    }

    /// The directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs file work off the async threads.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        path: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let full = self.root.join(path);
        let done = tokio::task::spawn_blocking(move || work(&full)).await;
        let done = done.unwrap_or_else(|e| Err(io::Error::other(e)));
        done.map_err(|e| Error::store(action, self.location(path), advised(e)))
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Create> {
        self.run("create", path, move |full| create_file(full, &bytes)).await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.run("write", path, move |full| write_durably(full, &bytes)).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let read = |full: &Path| match fs::read(full) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        };
        self.run("read", path, read).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.run("list", folder, list_folder).await
    }

    async fn list_deep(&self, folder: &str) -> Result<Vec<Listed>> {
        let root = self.root.clone();
        self.run("list", folder, move |full| list_below(&root, full)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let delete = |full: &Path| match fs::remove_file(full) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
        self.run("delete", path, delete).await
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.root.display())
    }
}

/// The error of a disk, and what to do about it.
pub(crate) fn advised(error: io::Error) -> io::Error {
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::ReadOnlyFilesystem => "mount it for writing",
        _ if error.raw_os_error() == Some(EIO) => {
            "the disk fails: look at the system's log, and do not trust what it holds"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {advice}"))
}

/// A hard link fails if the name is taken: the file system's create-if-absent for a file that is whole already.
fn create_file(path: &Path, bytes: &[u8]) -> io::Result<Create> {
    let (folder, temporary) = write_temporary(path, bytes)?;
    let linked = match fs::hard_link(&temporary, path) {
        Ok(()) => Ok(Create::New),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Create::Exists),
        Err(e) => Err(e),
    };
    // A temporary file that stays behind is only litter.
    let _ = fs::remove_file(&temporary);
    let created = linked?;
    // Also when it exists: who created it may not have come to this yet, and we will build on it.
    sync_directory(&folder)?;
    Ok(created)
}

/// Writes a file whole, durable, in place of what was there.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (folder, temporary) = write_temporary(path, bytes)?;
    if let Err(e) = fs::rename(&temporary, path) {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    sync_directory(&folder)
}

fn write_temporary(path: &Path, bytes: &[u8]) -> io::Result<(PathBuf, PathBuf)> {
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    ensure_directory(&folder)?;
    let temporary = folder.join(format!("{TEMPORARY}{}", Uuid::new_v4()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    Ok((folder, temporary))
}

fn list_folder(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with(TEMPORARY)
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whoever deletes or renames at the same time does no harm: what is gone is left out.
fn list_below(root: &Path, folder: &Path) -> io::Result<Vec<Listed>> {
    let mut folders = vec![folder.to_owned()];
    let mut listed = Vec::new();
    while let Some(folder) = folders.pop() {
        let Some(entries) = unless_gone(fs::read_dir(&folder))? else { continue };
        for entry in entries {
            let path = entry?.path();
            let Some(metadata) = unless_gone(fs::symlink_metadata(&path))? else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let written_at = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
                listed.push(Listed { path: path.to_owned(), bytes: metadata.len(), written_at });
            }
        }
    }
    listed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}

fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Makes a directory and those above it, each durable in its parent.
pub(crate) fn ensure_directory(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
        ensure_directory(parent)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        _ => sync_directory(folder.parent().unwrap_or(Path::new("."))),
    }
}

/// Makes the names of a directory durable.
pub(crate) fn sync_directory(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
