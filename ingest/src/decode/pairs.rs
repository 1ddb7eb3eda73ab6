//! Names and values of one line, as places in it: what every flat format is split into.
//!
//! A text that differs from the line's own (escapes undone) stands in a buffer that lives on, as does the list: nothing is
//! allocated once both have grown.

use std::fmt::Write;
use std::ops::Range;

use dataflow::Reason;

use super::keys::{KeyId, Keys};
use super::{Limits, Rejected};

/// The pairs of the last line that was split.
#[derive(Debug)]
pub(crate) struct Pairs {
    list: Vec<Pair>,
    /// The keys of all lines.
    pub(super) keys: Keys,
    unescaped: String,
    /// More pairs were there than are kept; those beyond are not in the list.
    overflown: bool,
    /// Columns of a line that has more than are named; 0 of any other.
    longer: usize,
    keys_max: usize,
}

impl Default for Pairs {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

/// A name and its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    key: Key,
    /// The number of a key that stands in the line and is made of letters, digits and marks that JSON need not escape.
    pub(crate) id: KeyId,
    value: Span,
}

/// A place in the line, or in the buffer of unescaped texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    start: u32,
    end: u32,
    is_unescaped: bool,
}

/// A pair's name: it stands in the line, or the reader of the format gives it.
#[derive(Debug, Clone, Copy)]
enum Key {
    Text(Span),
    Name(&'static str),
}

/// The name of text that no name stands before.
pub(crate) const STRAY: &str = "text";

impl Span {
    pub(crate) fn of(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32, is_unescaped: false }
    }
}

impl Pairs {
    /// Buffers for lines of at most so many pairs.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (list, unescaped) = (Vec::new(), String::new());
        Self { list, keys: Keys::default(), unescaped, overflown: false, longer: 0, keys_max: limits.json_keys_max }
    }

    /// Forgets the last line.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.unescaped.clear();
        self.overflown = false;
        self.longer = 0;
    }

    /// Measures names and values, but only of a line that is long enough to break a limit.
    ///
    /// # Errors
    /// If there are more pairs, or longer texts, than a record may have.
    pub(crate) fn check(&self, line: &str, limits: &Limits) -> Result<(), Rejected> {
        if self.overflown {
            return Err(Rejected::new(Reason::TooLarge, format!("more than {} keys", self.keys_max)));
        }
        let max = limits.string_bytes_max;
        if line.len() > max {
            let long = self.iter(line).map(|(name, value)| name.len().max(value.len())).max();
            if let Some(bytes) = long.filter(|bytes| *bytes > max) {
                return Err(Rejected::new(Reason::TooLarge, format!("a text of {bytes} bytes; {max} allowed")));
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn push(&mut self, key: Range<usize>, value: Span) {
        self.add(Key::Text(Span::of(key)), None, value);
    }

    /// Adds a pair whose key may have a number.
    #[inline]
    pub(super) fn push_known(&mut self, (key, id): (Range<usize>, KeyId), value: Span) {
        self.add(Key::Text(Span::of(key)), id, value);
    }

    #[inline]
    pub(crate) fn push_named(&mut self, name: &'static str, value: Span) {
        self.add(Key::Name(name), None, value);
    }

    /// Adds a column that has no name, by its place from 1: `column_7`.
    pub(crate) fn push_column(&mut self, place: usize, value: Span) {
        let start = self.unescaped.len();
        let _ = write!(self.unescaped, "column_{place}");
        let name = Span { start: start as u32, end: self.unescaped.len() as u32, is_unescaped: true };
        self.longer = self.longer.max(place);
        self.add(Key::Text(name), None, value);
    }

    /// Columns of a line that has more than are named; 0 of any other.
    pub(crate) fn longer(&self) -> usize {
        self.longer
    }

    #[inline]
    fn add(&mut self, key: Key, id: KeyId, value: Span) {
        if self.list.len() < self.keys_max {
            self.list.push(Pair { key, id, value });
        } else {
            self.overflown = true;
        }
    }

    /// Text between pairs, if it is more than white space.
    pub(crate) fn push_stray(&mut self, line: &str, range: Range<usize>) {
        if !range.is_empty() && !line[range.clone()].trim().is_empty() {
            self.push_named(STRAY, Span::of(trimmed(line, range)));
        }
    }

    /// The text at `range` with its escapes undone: of `\` and a byte remains what `undo` makes of the byte, or both.
    pub(crate) fn unescape(&mut self, line: &str, range: Range<usize>, undo: fn(u8) -> Option<u8>) -> Span {
        let text = &line[range.clone()];
        let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Span::of(range) };
        let start = self.unescaped.len();
        let (mut from, mut at) = (0, first);
        while let Some(undone) = text.as_bytes().get(at + 1).map(|byte| undo(*byte)) {
            if let Some(byte) = undone {
                self.unescaped.push_str(&text[from..at]);
                self.unescaped.push(byte as char);
                from = at + 2;
            }
            let Some(next) = memchr::memchr(b'\\', text.as_bytes().get(at + 2..).unwrap_or_default()) else { break };
            at += 2 + next;
        }
        self.unescaped.push_str(&text[from..]);
        Span { start: start as u32, end: self.unescaped.len() as u32, is_unescaped: true }
    }

    /// A text of another buffer, kept.
    pub(crate) fn keep(&mut self, text: &str) -> Span {
        let start = self.unescaped.len();
        self.unescaped.push_str(text);
        Span { start: start as u32, end: self.unescaped.len() as u32, is_unescaped: true }
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets the pairs from the `len`th on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    #[inline]
    fn text<'a>(&'a self, line: &'a str, span: Span) -> &'a str {
        let text = if span.is_unescaped { self.unescaped.as_str() } else { line };
        &text[span.start as usize..span.end as usize]
    }

    /// Name and value of a pair.
    #[inline]
    pub(crate) fn get<'a>(&'a self, line: &'a str, index: usize) -> (&'a str, &'a str) {
        let pair = &self.list[index];
        (self.name(line, pair), self.value(line, pair))
    }

    /// The pairs of the line that was split last.
    #[inline]
    pub(crate) fn list(&self) -> &[Pair] {
        &self.list
    }

    /// The keys that lines have had.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    #[inline]
    pub(crate) fn name<'a>(&'a self, line: &'a str, pair: &Pair) -> &'a str {
        match pair.key {
            Key::Text(span) => self.text(line, span),
            Key::Name(name) => name,
        }
    }

    #[inline]
    pub(crate) fn value<'a>(&'a self, line: &'a str, pair: &Pair) -> &'a str {
        self.text(line, pair.value)
    }

    /// Names and values of the line that was split last.
    pub(crate) fn iter<'a>(&'a self, line: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.list.iter().map(move |pair| (self.name(line, pair), self.value(line, pair)))
    }

    /// `name=value` of each.
    #[cfg(test)]
    pub(crate) fn texts(&self, line: &str) -> Vec<String> {
        self.iter(line).map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// As [`Pairs::texts`], of a line that `split` takes.
    #[cfg(test)]
    pub(crate) fn texts_of(line: &str, split: fn(&str, usize, &mut Self) -> bool) -> Option<Vec<String>> {
        let mut pairs = Self::default();
        split(line, 0, &mut pairs).then(|| pairs.texts(line))
    }

    /// Names pairs by what other pairs say they are called: the value of `cs1Label` is the name of `cs1`. A label that
    /// names no pair stays a pair.
    pub(crate) fn apply_labels(&mut self, line: &str) {
        let mut index = 0;
        while index < self.list.len() {
            let (key, value) = self.get(line, index);
            let base = key.strip_suffix("Label").filter(|base| !base.is_empty() && !value.is_empty());
            let named = base.and_then(|base| self.iter(line).position(|(key, _)| key == base));
            match named {
                Some(named) => {
                    let label = Key::Text(self.list[index].value);
                    (self.list[named].key, self.list[named].id) = (label, None);
                    self.list.remove(index);
                    index -= usize::from(named < index);
                }
                None => index += 1,
            }
        }
    }
}

/// A range without the white space at its ends.
pub(crate) fn trimmed(line: &str, range: Range<usize>) -> Range<usize> {
    let is_ink = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_graphic);
    let bytes = &line.as_bytes()[range.clone()];
    if is_ink(bytes.first()) && is_ink(bytes.last()) {
        return range;
    }
    let text = &line[range.clone()];
    let start = range.start + text.len() - text.trim_start().len();
    start..start.max(range.start + text.trim_end().len())
}
