//! Globs -> what is new -> registrations.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::error::FilesError;
use super::fingerprint::Fingerprint;
use super::registry::{Compression, Registration, Registry};

/// A plain file is registered in pieces of about this size, so that one large file keeps all partitions busy.
const PIECE_BYTES: u64 = 256 << 20;

/// Bytes searched for a line end at a time.
const BLOCK: u64 = 64 << 10;

/// Finds files that are not registered, or not up to their end.
#[derive(Debug)]
pub(super) struct Scanner {
    globs: Vec<String>,
    follow: bool,
    /// Never read as input.
    registry: PathBuf,
    pub(super) piece_bytes: u64,
    seen: HashMap<PathBuf, Seen>,
}

/// A file as the last scan found it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    size: u64,
    modified: Option<SystemTime>,
    /// No line end stands between the registered part and this byte.
    searched: u64,
}

impl Scanner {
    pub(super) fn new(globs: Vec<String>, follow: bool, registry: PathBuf) -> Self {
        Self { globs, follow, registry, piece_bytes: PIECE_BYTES, seen: HashMap::new() }
    }

    /// Registers what is new, in the order of paths. Adds all registrations that were not known, others' too, to `found`,
    /// also if it fails later.
    pub(super) fn scan(
        &mut self,
        registry: &mut Registry,
        now: i64,
        found: &mut Vec<Arc<Registration>>,
    ) -> Result<(), FilesError> {
        registry.refresh(found)?;
        for path in self.matches()? {
            while let Some(entry) = self.unregistered(&path, registry, now)? {
                match registry.register(entry)? {
                    Some(entry) => found.push(entry),
                    None => registry.refresh(found)?, // another process was faster: look again
                }
            }
        }
        Ok(())
    }

    fn matches(&self) -> Result<BTreeSet<PathBuf>, FilesError> {
        let mut paths = BTreeSet::new();
        for pattern in &self.globs {
            let found = glob::glob(pattern).map_err(|source| FilesError::Glob { pattern: pattern.clone(), source })?;
            let mut matched = false;
            for path in found {
                let path = path.map_err(|e| FilesError::io("list", &PathBuf::from(e.path()), e.into()))?;
                let path = std::path::absolute(&path).map_err(|e| FilesError::io("resolve", &path, e))?;
                if path.is_file() && !path.starts_with(&self.registry) {
                    matched = true;
                    paths.insert(path);
                }
            }
            if !matched && !self.follow {
                return Err(FilesError::NoFile { pattern: pattern.clone() });
            }
        }
        Ok(paths)
    }

    /// The next range of the file to register, if there is one.
    fn unregistered(&mut self, path: &Path, registry: &Registry, now: i64) -> Result<Option<Registration>, FilesError> {
        let name = path.to_str().ok_or_else(|| FilesError::PathNotUtf8 { path: path.to_owned() })?;
        let latest = registry.latest(name);
        let Some((seen, unchanged)) = self.look(path).map_err(|e| FilesError::io("read", path, e))? else {
            return Ok(None);
        };
        if seen.size == 0 && latest.is_none() || unchanged && latest.is_some_and(|l| l.end_byte == seen.size) {
            return Ok(None);
        }
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(FilesError::io("open", path, e)),
        };
        let io = |e| FilesError::io("read", path, e);
        let (start_byte, compression) = match latest {
            None => (0, detect(&mut file).map_err(io)?),
            Some(latest) => match next_start(latest, &mut file, seen.size)? {
                None => return Ok(None),
                Some(start) => (start, Compression::None),
            },
        };
        let end_byte = match compression {
            Compression::None => self.cut(path, &mut file, start_byte, seen).map_err(io)?,
            // A compressed file may still be arriving: wait until two scans agree.
            _ if self.follow && !unchanged => None,
            _ => Some(seen.size),
        };
        let Some(end_byte) = end_byte else { return Ok(None) };
        let whole = compression != Compression::None;
        let fingerprint = Fingerprint::take(&mut file, end_byte, whole).map_err(io)?;
        let path = name.to_owned();
        Ok(Some(Registration { number: 0, path, start_byte, end_byte, compression, registered_at: now, fingerprint }))
    }

    /// The file now, and whether that is what the last scan saw; none if it is gone.
    fn look(&mut self, path: &Path) -> io::Result<Option<(Seen, bool)>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let before = self.seen.get(path).copied();
        let searched = before.map_or(0, |b| b.searched);
        let seen = Seen { size: metadata.len(), modified: metadata.modified().ok(), searched };
        self.seen.insert(path.to_owned(), seen);
        Ok(Some((seen, before == Some(seen))))
    }

    /// Where the plain range that begins at `start` ends; none if there is no whole line yet to follow.
    fn cut(&mut self, path: &Path, file: &mut File, start: u64, seen: Seen) -> io::Result<Option<u64>> {
        let target = seen.size.min(start.saturating_add(self.piece_bytes));
        if start >= seen.size || (target == seen.size && !self.follow) {
            return Ok(Some(seen.size).filter(|&end| end > start));
        }
        let from = start.max(seen.searched.min(seen.size));
        if let Some(end) = last_line_end(file, from.min(target), target)? {
            return Ok(Some(end));
        }
        if let Some(end) = first_line_end(file, from.max(target), seen.size)? {
            return Ok(Some(end));
        }
        if let Some(entry) = self.seen.get_mut(path) {
            entry.searched = seen.size;
        }
        Ok(if self.follow { None } else { Some(seen.size) })
    }
}

/// Where the unregistered part of a registered file begins; none if there is none.
fn next_start(latest: &Registration, file: &mut File, size: u64) -> Result<Option<u64>, FilesError> {
    let io = |e| FilesError::io("read", Path::new(&latest.path), e);
    if size < latest.end_byte {
        return Err(latest.changed(format!("shrank from at least {} to {size} bytes", latest.end_byte)));
    }
    if latest.compression != Compression::None && size != latest.end_byte {
        return Err(latest.changed(format!("is compressed and grew from {} to {size} bytes", latest.end_byte)));
    }
    if !latest.fingerprint.matches(file, latest.end_byte).map_err(io)? {
        return Err(latest.changed("has other content"));
    }
    if size == latest.end_byte {
        return Ok(None);
    }
    let start = after_line_end(file, latest.end_byte).map_err(io)?;
    Ok(Some(start))
}

/// A bounded run takes a last line that has no line end. If the line end comes later it belongs to that line, and is no
/// empty line of its own.
fn after_line_end(file: &mut File, end: u64) -> io::Result<u64> {
    let around = read_at(file, end.saturating_sub(1), 3)?;
    Ok(match around.as_slice() {
        [b'\n', ..] => end,
        [_, b'\n', ..] => end + 1,
        [_, b'\r', b'\n'] => end + 2,
        _ => end,
    })
}

fn detect(file: &mut File) -> io::Result<Compression> {
    let magic = read_at(file, 0, 4)?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd, // a skippable frame comes first
        _ => Compression::None,
    })
}

/// The byte after the last LF in `[from, to)`.
fn last_line_end(file: &mut File, from: u64, mut to: u64) -> io::Result<Option<u64>> {
    while to > from {
        let start = from.max(to.saturating_sub(BLOCK));
        let block = read_at(file, start, to - start)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            return Ok(Some(start + at as u64 + 1));
        }
        to = start;
    }
    Ok(None)
}

/// The byte after the first LF in `[from, to)`.
fn first_line_end(file: &mut File, mut from: u64, to: u64) -> io::Result<Option<u64>> {
    while from < to {
        let block = read_at(file, from, BLOCK.min(to - from))?;
        if let Some(at) = memchr::memchr(b'\n', &block) {
            return Ok(Some(from + at as u64 + 1));
        }
        if block.is_empty() {
            break;
        }
        from += block.len() as u64;
    }
    Ok(None)
}

fn read_at(file: &mut File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}
