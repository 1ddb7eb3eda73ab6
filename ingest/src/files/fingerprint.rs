//! Tells whether a file is still the one that was registered, without reading it whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Bytes of the head and of the tail that are checked.
const SAMPLE: u64 = 4096;

/// Checksums of a file's head and, for a compressed file, of its tail, where gzip and zstd keep their own checksum of the
/// content. No modification time: restoring a file from a backup does not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fingerprint {
    head_len: u64,
    head_crc: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tail_crc: Option<u32>,
}

impl Fingerprint {
    /// Of the first `end` bytes of a file; `whole` adds the tail, for a file that must not grow.
    pub(super) fn take(file: &mut File, end: u64, whole: bool) -> io::Result<Self> {
        let head_len = end.min(SAMPLE);
        let head_crc = crc(file, 0, head_len)?;
        let tail_crc = if whole { Some(crc(file, end.saturating_sub(SAMPLE), end.min(SAMPLE))?) } else { None };
        Ok(Self { head_len, head_crc, tail_crc })
    }

    /// True if the file, which has at least `end` bytes, still looks like this.
    pub(super) fn matches(&self, file: &mut File, end: u64) -> io::Result<bool> {
        if crc(file, 0, self.head_len)? != self.head_crc {
            return Ok(false);
        }
        match self.tail_crc {
            None => Ok(true),
            Some(tail) => Ok(crc(file, end.saturating_sub(SAMPLE), end.min(SAMPLE))? == tail),
        }
    }
}

fn crc(file: &mut File, start: u64, len: u64) -> io::Result<u32> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(crc32fast::hash(&bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn head_and_tail_are_seen_and_what_is_added_is_not() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
        for (whole, seen) in [(false, [0, 4_095].as_slice()), (true, [0, 4_095, 15_904, 19_999].as_slice())] {
            let print = Fingerprint::take(&mut file(&bytes), 20_000, whole).expect("read");
            assert!(print.matches(&mut file(&[&bytes[..], b"more"].concat()), 20_000).expect("read"));
            for at in seen {
                let mut other = bytes.clone();
                other[*at] ^= 1;
                assert!(!print.matches(&mut file(&other), 20_000).expect("read"), "byte {at}, whole: {whole}");
            }
        }
    }

    #[test]
    fn a_short_file_keeps_its_print_as_it_grows() {
        let print = Fingerprint::take(&mut file(b"a0\n"), 3, false).expect("read");
        assert!(print.matches(&mut file(b"a0\na1\n"), 3).expect("read"));
        assert!(!print.matches(&mut file(b"b0\na1\n"), 3).expect("read"));
        assert!(!print.matches(&mut file(b"a0"), 3).expect("read"));
    }
}
