//! A table's files: their content, and a short name for it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::config::TableSource;
use crate::error::EnrichError;

/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Mmdb,
    Csv,
    Stix,
}

/// A file's content.
pub(crate) struct Input {
    /// The path, or `builtin`.
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) bytes: Vec<u8>,
}

/// The files of a table, in the order of the configuration.
pub(crate) struct Files(Vec<Origin>);

enum Origin {
    Builtin(Format, &'static [u8]),
    File(Format, std::path::PathBuf),
}

/// What stood in the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Of all content, with the files' lengths.
    pub(crate) crc: u32,
    /// When the newest file was written; none if all are part of the program.
    pub(crate) modified_us: Option<i64>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds sources of one format; `builtin` is what the program itself holds.
    ///
    /// # Errors
    /// If a source is `builtin` and the program holds nothing.
    pub(crate) fn add<'a>(
        mut self,
        table: &'static str,
        format: Format,
        sources: impl IntoIterator<Item = &'a TableSource>,
        builtin: &[&'static [u8]],
    ) -> Result<Self, EnrichError> {
        for source in sources {
            match source {
                TableSource::File(path) => self.0.push(Origin::File(format, path.clone())),
                TableSource::Builtin if builtin.is_empty() => return Err(EnrichError::NoBuiltin { table }),
                TableSource::Builtin => self.0.extend(builtin.iter().map(|bytes| Origin::Builtin(format, bytes))),
            }
        }
        Ok(self)
    }

    /// Reads through all files and keeps nothing of them.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, EnrichError> {
        let mut mark = Mark::default();
        let mut buffer = vec![0; BUFFER];
        for origin in &self.0 {
            match origin {
                Origin::Builtin(_, bytes) => mark.add(bytes),
                Origin::File(_, path) => mark.stream(path, &mut buffer).map_err(|e| unreadable(path, e))?,
            }
            mark.end_file();
        }
        Ok(mark.finish())
    }

    /// Reads all files.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub(crate) fn read(&self) -> Result<(Vec<Input>, Fingerprint), EnrichError> {
        let mut mark = Mark::default();
        let mut inputs = Vec::with_capacity(self.0.len());
        for origin in &self.0 {
            let (name, format, bytes) = match origin {
                Origin::Builtin(format, bytes) => (TableSource::Builtin.to_string(), *format, bytes.to_vec()),
                Origin::File(format, path) => {
                    let bytes = mark.read(path).map_err(|e| unreadable(path, e))?;
                    (path.display().to_string(), *format, bytes)
                }
            };
            mark.add(&bytes);
            mark.end_file();
            inputs.push(Input { name, format, bytes });
        }
        Ok((inputs, mark.finish()))
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> EnrichError {
    EnrichError::Read { path: path.to_owned(), source }
}

/// A fingerprint in the making.
#[derive(Default)]
struct Mark {
    crc: crc32fast::Hasher,
    len: u64,
    modified_us: Option<i64>,
}

impl Mark {
    fn add(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// So that a byte that moves from one file to the next is a change.
    fn end_file(&mut self) {
        self.crc.update(&std::mem::take(&mut self.len).to_le_bytes());
    }

    fn open(&mut self, path: &Path) -> std::io::Result<File> {
        let file = File::open(path)?;
        let since = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.modified_us = self.modified_us.max(i64::try_from(since.as_micros()).ok());
        Ok(file)
    }

    fn stream(&mut self, path: &Path, buffer: &mut [u8]) -> std::io::Result<()> {
        let mut file = self.open(path)?;
        loop {
            match file.read(buffer)? {
                0 => return Ok(()),
                len => self.add(&buffer[..len]),
            }
        }
    }

    fn read(&mut self, path: &Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn finish(self) -> Fingerprint {
        Fingerprint { crc: self.crc.finalize(), modified_us: self.modified_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_content_and_its_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let print = |texts: &[&str]| {
            let sources: Vec<TableSource> = (0..)
                .zip(texts)
                .map(|(i, text)| {
                    let path = dir.path().join(i.to_string());
                    std::fs::write(&path, text).expect("written");
                    TableSource::File(path)
                })
                .collect();
            let files = Files::new().add("intel", Format::Csv, &sources, &[]).expect("files");
            let (inputs, read) = files.read().expect("readable");
            assert_eq!(files.fingerprint().expect("readable"), read);
            assert_eq!(
                inputs.iter().map(|i| i.bytes.as_slice()).collect::<Vec<_>>(),
                texts.iter().map(|t| t.as_bytes()).collect::<Vec<_>>()
            );
            assert!(read.modified_us.is_some());
            read.crc
        };
        assert_eq!(print(&["a", "b"]), print(&["a", "b"]));
        for other in [&["b", "a"][..], &["ab", ""], &["a"], &["a", "b", ""], &["a", "c"]] {
            assert_ne!(print(&["a", "b"]), print(other), "{other:?}");
        }
    }

    #[test]
    fn what_the_program_does_not_hold_has_to_be_a_file() {
        let error = Files::new().add("assets", Format::Csv, &[TableSource::Builtin], &[]).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("assets: there is no builtin table; name a file"));
        let files = Files::new().add("intel", Format::Csv, &[TableSource::Builtin], &[b"x"]).expect("files");
        assert_eq!(files.fingerprint().expect("no file").modified_us, None);
    }
}
