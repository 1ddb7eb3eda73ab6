//! Where a registry is kept: small objects under names, each created once and never changed.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The objects of one registry. Calls block; they are made from threads that may.
pub trait Shelf: Debug + Send + Sync {
    /// Makes room, if need be.
    ///
    /// # Errors
    /// If that is not possible.
    fn prepare(&self) -> io::Result<()>;

    /// Creates an object, durably and whole; false if there is one of that name, which may be one's own if an answer was lost.
    ///
    /// # Errors
    /// If it is unknown whether there is one.
    fn create(&self, name: &str, content: &[u8]) -> io::Result<bool>;

    /// The object; none if there is none of that name.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names of all objects.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes what was read durable, whoever created it.
    ///
    /// # Errors
    /// If that fails.
    fn settle(&self) -> io::Result<()>;

    /// Where it is, for people; files below it are never input.
    fn place(&self) -> PathBuf;
}

/// Objects as files of a folder.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Shelf for Folder {
    fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<bool> {
        create_once(&self.0, &self.0.join(name), content)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn settle(&self) -> io::Result<()> {
        sync_folder(&self.0)
    }

    fn place(&self) -> PathBuf {
        self.0.clone()
    }
}

/// Creates a file with this content, durably and whole; false if it exists. A name appears by a hard link to a file that
/// is complete and synced, so no reader and no crash sees a part of it.
fn create_once(folder: &Path, path: &Path, content: &[u8]) -> io::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let (temporary, mut file) = create_temporary(folder)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => sync_folder(folder).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A new file that nobody else writes; names left by a process that died are passed over.
fn create_temporary(folder: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{}-{count}.tmp", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(e),
        }
    }
}
