//! One CSV line -> its columns: quoted values with doubled quotes, and two habits of forwarders.
//!
//! A forwarder may escape the quotes of a value with backslashes, within a quoted value (`"say \"hi\""`) or in place of
//! the quoting itself (`\"a,b\"`): both are read as they were meant. A quote that nobody closes is an ordinary character.

use memchr::{memchr, memchr_iter};

/// Columns of the last line, as places in the line or in the scratch text.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    spans: Vec<Span>,
    /// Values that differ from the line's text: quotes undoubled.
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    in_scratch: bool,
}

impl Columns {
    /// Splits a line. What it held before is forgotten.
    pub(crate) fn split(&mut self, line: &str) {
        self.spans.clear();
        self.scratch.clear();
        if memchr(b'"', line.as_bytes()).is_some() {
            return self.split_quoted(line);
        }
        let mut start = 0;
        for comma in memchr_iter(b',', line.as_bytes()) {
            self.push(start, comma);
            start = comma + 1;
        }
        self.push(start, line.len());
    }

    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The value of a column of the line that was split last; empty beyond its end.
    #[inline]
    pub(crate) fn get<'a>(&'a self, line: &'a str, column: usize) -> &'a str {
        self.spans.get(column).map_or("", |s| {
            let text = if s.in_scratch { self.scratch.as_str() } else { line };
            &text[s.start as usize..s.end as usize]
        })
    }

    fn push(&mut self, start: usize, end: usize) {
        self.spans.push(Span { start: start as u32, end: end as u32, in_scratch: false });
    }

    fn split_quoted(&mut self, line: &str) {
        let mut at = 0;
        loop {
            at = self.column(line, at);
            if at > line.len() {
                return;
            }
        }
    }

    /// Reads the column at `at`; gives the place after the comma that ends it (past the end after the last one).
    fn column(&mut self, line: &str, at: usize) -> usize {
        let bytes = line.as_bytes();
        let quoted = match &bytes[at..] {
            [b'"', ..] => self.quoted(line, at + 1),
            [b'\\', b'"', ..] => self.escaped_quotes(line, at + 2),
            _ => None,
        };
        quoted.unwrap_or_else(|| {
            let end = memchr(b',', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            self.push(at, end);
            end + 1
        })
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
            self.push(start, end);
        } else {
            self.scratch.push_str(&line[from..end]);
            let span = Span { start: scratch_start as u32, end: self.scratch.len() as u32, in_scratch: true };
            self.spans.push(span);
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
                self.push(start, quote - 1);
                return Some(quote + 2);
            }
            at = quote + 1;
        }
    }
}

#[cfg(test)]
mod tests;
