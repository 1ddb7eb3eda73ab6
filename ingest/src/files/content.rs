//! A registration's bytes, decompressed, with every limit that protects the reader.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::error::FilesError;
use super::registry::{Compression, Registration};

/// A buffer of decompressed or plain bytes.
const BUFFER: usize = 128 << 10;

/// Compressed data may grow to this many times its size ...
const RATIO_LIMIT: u64 = 200;

/// ... or to this many bytes, whichever is more, so that small files of equal lines are not taken for bombs.
const EXPANDED_MIN: u64 = 64 << 20;

/// log2 of the largest zstd window that is allocated: 32 MiB. `zstd -20` and above on large files ask for more.
const ZSTD_WINDOW_LOG: u32 = 25;

/// A longer first line is no head: a registration's fingerprint covers that much of the file, with a byte order mark and the
/// line's end, so that the head is the same whenever a part of the file is read.
const HEAD_BYTES_MAX: u64 = 4000;

/// The head of records whose first line is that; none if it is too long.
pub fn head_of(line: &[u8], full_len: u64) -> Option<Bytes> {
    (full_len <= HEAD_BYTES_MAX && line.len() as u64 == full_len).then(|| Bytes::copy_from_slice(line))
}

/// The first line of a plain file of which a later part is registered; none if it is too long.
pub(super) fn head(entry: &Registration, line_limit: usize) -> Result<Option<Bytes>, FilesError> {
    let path = Path::new(&entry.path);
    let mut lines = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES_MAX + 5).read_to_end(&mut lines));
    read.map_err(|e| FilesError::io("read", path, e))?;
    let Some(end) = memchr::memchr(b'\n', &lines) else { return Ok(None) };
    let line = &lines[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let fits = line.len() <= line_limit && line.len() as u64 <= HEAD_BYTES_MAX;
    Ok(fits.then(|| Bytes::copy_from_slice(line)))
}

/// The bytes of a registration, as lines are made of them.
pub(super) enum Content {
    Plain(BufReader<FileRange>),
    Gzip(Box<BufReader<Capped<MultiGzDecoder<BufReader<FileRange>>>>>),
    Zstd(BufReader<Capped<zstd::Decoder<'static, BufReader<FileRange>>>>),
}

/// Why a read of [`Content`] failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFailure {
    /// The compressed data is wrong or incomplete: the same every time it is read.
    Damaged,
    /// It expands beyond the limit: the same every time it is read.
    TooExpanded,
    /// The file is now shorter than registered.
    Shrank,
    /// The operating system failed.
    System,
}

impl Content {
    /// Opens the file of a registration and checks that it is still the one that was registered.
    pub(super) fn open(entry: &Registration, first_wanted: u64) -> Result<Self, FilesError> {
        let path = Path::new(&entry.path);
        let io = |e| FilesError::io("read", path, e);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (path, number) = (entry.path.clone(), entry.number);
                return Err(FilesError::Gone { path, number, record: first_wanted });
            }
            Err(e) => return Err(FilesError::io("open", path, e)),
        };
        let size = file.metadata().map_err(io)?.len();
        let fixed = entry.compression != Compression::None;
        if size < entry.end_byte || (fixed && size != entry.end_byte) {
            return Err(entry.changed(format!("has {size} bytes; {} were registered", entry.end_byte)));
        }
        if !entry.fingerprint.matches(&mut file, entry.end_byte).map_err(io)? {
            return Err(entry.changed("has other content"));
        }
        file.seek(SeekFrom::Start(entry.start_byte)).map_err(io)?;
        Self::decode(file, entry).map_err(io)
    }

    fn decode(file: File, entry: &Registration) -> io::Result<Self> {
        let left = entry.end_byte - entry.start_byte;
        let range = BufReader::with_capacity(BUFFER, FileRange { file, left });
        let limit = EXPANDED_MIN.max(left.saturating_mul(RATIO_LIMIT));
        Ok(match entry.compression {
            Compression::None => Self::Plain(range),
            Compression::Gzip => Self::Gzip(Box::new(capped(MultiGzDecoder::new(range), limit))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(range)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(capped(decoder, limit))
            }
        })
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(r) => r.read(buf),
            Self::Gzip(r) => r.read(buf),
            Self::Zstd(r) => r.read(buf),
        }
    }
}

impl BufRead for Content {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(r) => r.fill_buf(),
            Self::Gzip(r) => r.fill_buf(),
            Self::Zstd(r) => r.fill_buf(),
        }
    }

    #[inline]
    fn consume(&mut self, amount: usize) {
        match self {
            Self::Plain(r) => r.consume(amount),
            Self::Gzip(r) => r.consume(amount),
            Self::Zstd(r) => r.consume(amount),
        }
    }
}

impl ReadFailure {
    /// What an error that came through [`Content`] means.
    pub(super) fn of(error: &io::Error) -> Self {
        let marker = error.get_ref().and_then(|inner| inner.downcast_ref::<Marker>());
        match marker {
            Some(Marker::Shrank) => Self::Shrank,
            Some(Marker::TooExpanded) => Self::TooExpanded,
            None if error.raw_os_error().is_some() => Self::System,
            None => Self::Damaged,
        }
    }
}

/// Our own errors on their way through a decompressor.
#[derive(Debug, thiserror::Error)]
enum Marker {
    #[error("the file is shorter than registered")]
    Shrank,
    #[error("the data expands beyond the limit")]
    TooExpanded,
}

/// Exactly the registered bytes: more are not seen, fewer are an error.
#[derive(Debug)]
pub(super) struct FileRange {
    file: File,
    left: u64,
}

impl Read for FileRange {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.file.read(&mut buf[..want])?;
        if got == 0 && want > 0 {
            return Err(io::Error::other(Marker::Shrank));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

/// At most so many decompressed bytes. The limit rests on the registered size alone, so that every reading ends at the
/// same byte.
#[derive(Debug)]
pub(super) struct Capped<R> {
    inner: R,
    left: u64,
}

fn capped<R: Read>(inner: R, limit: u64) -> BufReader<Capped<R>> {
    BufReader::with_capacity(BUFFER, Capped { inner, left: limit })
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buf.is_empty() {
            let more = self.inner.read(&mut buf[..1])?;
            return if more == 0 { Ok(0) } else { Err(io::Error::other(Marker::TooExpanded)) };
        }
        let want = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.inner.read(&mut buf[..want])?;
        self.left -= got as u64;
        Ok(got)
    }
}
