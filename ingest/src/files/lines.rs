//! Bytes -> lines, of which at most a limit is held. A file of one long line that is an array of records is split there.

use std::io::{self, BufRead};

use memchr::memchr;

use super::elements::{self, Elements};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A byte order mark and a CR may stand beside the bytes that count.
const SLACK: usize = BOM.len() + 1;

/// Splits at LF. Takes CR before LF, and a byte order mark before the first line, away. A line beyond the limit that begins
/// as an array of records ([`elements::head_len`]) is split into its elements, each of which counts as a line.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    limit: usize,
    /// A byte order mark may come.
    at_start: bool,
    /// The part of the current line that earlier buffers held, as far as the limit.
    carry: Vec<u8>,
    /// The length of that part in the source.
    carried: u64,
    /// Its last byte.
    last: u8,
    /// Bytes taken from the reader.
    bytes: u64,
    /// The array under way.
    elements: Option<Elements>,
}

impl<R: BufRead> Lines<R> {
    /// `at_start`: the reader begins where the file does.
    pub fn new(reader: R, limit: usize, at_start: bool) -> Self {
        Self { reader, limit, at_start, carry: Vec::new(), carried: 0, last: 0, bytes: 0, elements: None }
    }

    /// Gives the next line to `take`, with its length in the source; false at the end.
    ///
    /// # Errors
    /// As the reader. The line under way is then [`Lines::partial`].
    pub fn next(&mut self, take: impl FnOnce(&[u8], u64)) -> io::Result<bool> {
        loop {
            if let Some(elements) = &mut self.elements {
                if elements.next(&mut self.reader, &mut self.bytes, &mut self.carry, self.limit)? {
                    take(&self.carry, elements.take_len());
                    self.carry.clear();
                    return Ok(true);
                }
                self.elements = None;
            }
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if buffer.is_empty() {
                let nothing = self.carried == 0 || (self.at_start && self.carry == BOM);
                return Ok(!nothing && self.end_carried(false, take));
            }
            let end = memchr(b'\n', buffer);
            let (limit, so_far) = (self.limit as u64, self.carried + end.unwrap_or(buffer.len()) as u64);
            if self.carried <= limit && so_far > limit && self.begin_elements()? {
                continue;
            }
            let Some(at) = end else {
                self.carry();
                continue;
            };
            if self.carried == 0 {
                let buffer = self.reader.fill_buf()?;
                let full = at - usize::from(buffer[..at].last() == Some(&b'\r'));
                let at_start = std::mem::take(&mut self.at_start);
                let (line, full) = trim(&buffer[..at], full as u64, at_start, self.limit);
                take(line, full);
                self.bytes += at as u64 + 1;
                self.reader.consume(at + 1);
                return Ok(true);
            }
            self.carry_up_to(at)?;
            return Ok(self.end_carried(true, take));
        }
    }

    /// The line under way passes the limit within the reader's buffer: true if it is an array of records, which begins now.
    #[cold]
    fn begin_elements(&mut self) -> io::Result<bool> {
        if self.limit < elements::HEAD_MAX {
            return Ok(false);
        }
        let start_len = BOM.len() + elements::HEAD_MAX;
        let mut start = self.carry[..self.carry.len().min(start_len)].to_vec();
        let buffer = self.reader.fill_buf()?;
        start.extend_from_slice(&buffer[..buffer.len().min(start_len - start.len())]);
        let bom = if self.at_start && start.starts_with(BOM) { BOM.len() } else { 0 };
        let Some(head) = elements::head_len(&start[bom..]) else { return Ok(false) };
        self.elements = Some(Elements::new(std::mem::take(&mut self.carry), bom + head));
        (self.carried, self.at_start) = (0, false);
        Ok(true)
    }

    /// Carries all of the reader's buffer.
    fn carry(&mut self) {
        if let Ok(buffer) = self.reader.fill_buf() {
            let len = buffer.len();
            hold(&mut self.carry, buffer, self.limit);
            self.last = buffer[len - 1];
            self.carried += len as u64;
            self.bytes += len as u64;
            self.reader.consume(len);
        }
    }

    /// Carries the buffer up to the LF at `at`, which is consumed.
    fn carry_up_to(&mut self, at: usize) -> io::Result<()> {
        let part = &self.reader.fill_buf()?[..at];
        hold(&mut self.carry, part, self.limit);
        self.last = part.last().copied().unwrap_or(self.last);
        self.carried += at as u64;
        self.bytes += at as u64 + 1;
        self.reader.consume(at + 1);
        Ok(())
    }

    fn end_carried(&mut self, lf: bool, take: impl FnOnce(&[u8], u64)) -> bool {
        let full = self.carried - u64::from(lf && self.last == b'\r');
        let (line, full) = trim(&self.carry, full, std::mem::take(&mut self.at_start), self.limit);
        take(line, full);
        self.carry.clear();
        self.carried = 0;
        true
    }

    /// What the line under way holds so far.
    pub(super) fn partial(&self) -> &[u8] {
        &self.carry
    }

    /// Bytes taken from the reader so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.carry.capacity()
    }
}

fn hold(carry: &mut Vec<u8>, part: &[u8], limit: usize) {
    let room = (limit + SLACK).saturating_sub(carry.len());
    carry.extend_from_slice(&part[..part.len().min(room)]);
}

/// The line without byte order mark and cut at the limit, and its length before the cut. `full` is its length without the
/// line end; `held` begins with the line, or with its first `limit + SLACK` bytes.
fn trim(held: &[u8], mut full: u64, at_start: bool, limit: usize) -> (&[u8], u64) {
    let mut line = &held[..held.len().min(usize::try_from(full).unwrap_or(usize::MAX))];
    if at_start && line.starts_with(BOM) {
        line = &line[BOM.len()..];
        full -= BOM.len() as u64;
    }
    (&line[..line.len().min(limit)], full)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn lines(text: &[u8], limit: usize, buffer: usize) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text), limit, true);
        let mut got = Vec::new();
        while lines.next(|line, full| got.push((line.to_vec(), full))).expect("memory") {}
        assert_eq!(lines.bytes(), text.len() as u64);
        assert!(lines.held() <= 2 * (limit + SLACK), "{} bytes held for a limit of {limit}", lines.held());
        got
    }

    #[test]
    fn lines_at_the_limit_and_one_past_it() {
        for (text, want) in [
            ("12345\n", ("12345", 5)),
            ("12345\r\n", ("12345", 5)),
            ("12345", ("12345", 5)),
            ("\u{feff}12345\r\n", ("12345", 5)),
            ("123456\n", ("12345", 6)),
            ("123456\r\n", ("12345", 6)),
            ("12345\r", ("12345", 6)),
            ("\u{feff}123456", ("12345", 6)),
            ("1234567890123\r\n", ("12345", 13)),
            ("1\r\r\n", ("1\r", 2)),
            ("\u{feff}\n", ("", 0)),
        ] {
            for buffer in 1..20 {
                let want = vec![(want.0.as_bytes().to_vec(), want.1)];
                assert_eq!(lines(text.as_bytes(), 5, buffer), want, "{text:?} with a buffer of {buffer}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_buffers_do_not_show(text in "(\u{feff})?([ab\r\n]|[a-z]{9}){0,60}", limit in 1usize..12) {
            let want = lines(text.as_bytes(), limit, 1 << 10);
            for buffer in [1, 2, 3, 5, 8, 13, 31] {
                prop_assert_eq!(lines(text.as_bytes(), limit, buffer), want.clone());
            }
            let count = text.trim_start_matches('\u{feff}').split_inclusive('\n').count();
            prop_assert_eq!(want.len(), count);
        }
    }
}
