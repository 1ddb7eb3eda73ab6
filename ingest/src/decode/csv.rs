//! One CSV line -> its columns: quoted values with doubled quotes, and two habits of forwarders.
//!
//! A forwarder may escape the quotes of a value with backslashes, within a quoted value (`"say \"hi\""`) or in place of
//! the quoting itself (`\"a,b\"`): both are read as they were meant. A quote that nobody closes is an ordinary character.

use std::ops::Range;

use memchr::memchr;

use super::scan;

/// Columns of the last line, as places in the line or in the scratch text.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Of the columns that hold something: half of a line's are empty.
    spans: Vec<Span>,
    len: u32,
    /// Values that differ from the line's text: quotes undoubled.
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    column: u32,
    start: u32,
    end: u32,
    in_scratch: bool,
}

impl Columns {
    /// Splits a line. What it held before is forgotten.
    pub(crate) fn split(&mut self, line: &str) {
        self.spans.clear();
        self.len = 0;
        self.scratch.clear();
        let bytes = line.as_bytes();
        // The current column begins at `start`; up to `from` no comma is left to find.
        let (mut start, mut from) = (0, 0);
        while let Some(quote) = memchr(b'"', &bytes[from..]).map(|n| from + n) {
            start = self.split_plain(bytes, start, from..quote);
            match self.quoted_column(line, start, quote) {
                Some(next) if next > bytes.len() => return,
                Some(next) => (start, from) = (next, next),
                None => from = quote + 1,
            }
        }
        start = self.split_plain(bytes, start, from..bytes.len());
        self.push(start, bytes.len(), false);
    }

    /// Ends a column at each comma of a range that has no quotes; gives where the next one begins. Of the columns that are
    /// empty, only their commas are counted.
    fn split_plain(&mut self, line: &[u8], start: usize, range: Range<usize>) -> usize {
        let open = (start < range.start).then_some(start);
        // The first column begins at `start`, and each comma between it and another one begins a further column.
        let (mut len, mut begun) = (self.len, start);
        let open = scan::each_filled(line, range.clone(), b',', open, |start, comma| {
            len += (start - begun) as u32;
            self.spans.push(Span { column: len, start: start as u32, end: comma as u32, in_scratch: false });
            len += 1;
            begun = comma + 1;
        });
        let next = open.unwrap_or(range.end);
        self.len = len + (next - begun) as u32;
        next
    }

    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The value of a column of the line that was split last; empty beyond its end.
    #[inline]
    pub(crate) fn get<'a>(&'a self, line: &'a str, column: usize) -> &'a str {
        let found = self.spans.binary_search_by_key(&column, |span| span.column as usize);
        found.map_or("", |index| self.text(line, &self.spans[index]))
    }

    /// The columns that hold something, with their places from 0.
    pub(crate) fn filled<'a>(&'a self, line: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.spans.iter().map(move |span| (span.column as usize, self.text(line, span)))
    }

    #[inline]
    fn text<'a>(&'a self, line: &'a str, span: &Span) -> &'a str {
        let text = if span.in_scratch { self.scratch.as_str() } else { line };
        &text[span.start as usize..span.end as usize]
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, in_scratch: bool) {
        if end > start {
            self.spans.push(Span { column: self.len, start: start as u32, end: end as u32, in_scratch });
        }
        self.len += 1;
    }

    /// Reads the column at `start` if the quote at `quote` begins its value; gives the place after the comma that ends
    /// it, past the line's end after the last one.
    fn quoted_column(&mut self, line: &str, start: usize, quote: usize) -> Option<usize> {
        match quote - start {
            0 => self.quoted(line, start + 1),
            1 if line.as_bytes()[start] == b'\\' => self.escaped_quotes(line, start + 2),
            _ => None,
        }
    }

    /// `"…"` from after its first quote. A quote ends the value only before a comma or the line's end.
    fn quoted(&mut self, line: &str, start: usize) -> Option<usize> {
        let bytes = line.as_bytes();
        let scratch_start = self.scratch.len();
        let (mut from, mut at) = (start, start);
        let end = loop {
            let quote = at + memchr(b'"', &bytes[at..])?;
            match bytes.get(quote + 1) {
                None | Some(b',') => break quote,
                Some(b'"') => {
                    self.scratch.push_str(&line[from..=quote]);
                    (from, at) = (quote + 2, quote + 2);
                }
                Some(_) => {
                    let escaped = quote > from && bytes[quote - 1] == b'\\';
                    self.scratch.push_str(&line[from..if escaped { quote - 1 } else { quote }]);
                    (from, at) = (quote, quote + 1);
                }
            }
        };
        if from == start {
            self.push(start, end, false);
        } else {
            self.scratch.push_str(&line[from..end]);
            self.push(scratch_start, self.scratch.len(), true);
        }
        Some(end + 2)
    }

    /// `\"…\"` from after its first quote: one column up to the `\"` before a comma or the line's end.
    fn escaped_quotes(&mut self, line: &str, start: usize) -> Option<usize> {
        let bytes = line.as_bytes();
        let mut at = start;
        loop {
            let quote = at + memchr(b'"', &bytes[at..])?;
            let ends = matches!(bytes.get(quote + 1), None | Some(b','));
            if ends && quote > start && bytes[quote - 1] == b'\\' {
                self.push(start, quote - 1, false);
                return Some(quote + 2);
            }
            at = quote + 1;
        }
    }
}

#[cfg(test)]
mod tests;
