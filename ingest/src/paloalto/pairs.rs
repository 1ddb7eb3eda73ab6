//! The pairs of a CEF or LEEF event, unescaped, as places in the line or in a scratch text that outlives the event.

use std::ops::Range;

use memchr::memchr;

use crate::decode::keys::{KeyId, Keys};
use crate::decode::scan;

/// Ends a key that says what another key means: `cs1Label=Rule`.
pub(super) const LABEL: &str = "Label";

/// Pairs in their order. A key may stand several times.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    list: Vec<Pair>,
    keys: Keys,
    /// The keys that others label, with the labels.
    labels: Vec<Pair>,
    /// Values that differ from the line's text.
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    key: Span,
    pub(super) id: KeyId,
    value: Span,
    in_scratch: bool,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl Pairs {
    /// Takes the pairs of `line` from `start` on, divided at the separator; what was held before is forgotten.
    pub(super) fn fill(&mut self, line: &str, start: usize, separator: char) {
        self.list.clear();
        self.labels.clear();
        self.scratch.clear();
        let bytes = line.as_bytes();
        // The first backslash that is not behind.
        let mut backslash = start;
        let mut keys = std::mem::take(&mut self.keys);
        split(line, start, separator, &mut keys, |(key, id), value| {
            if backslash <= value.start {
                backslash = memchr(b'\\', &bytes[value.start..]).map_or(usize::MAX, |at| value.start + at);
            }
            let in_scratch = backslash < value.end;
            let span = if in_scratch {
                backslash = value.start;
                self.unescape(&line[value])
            } else {
                Span::from(value)
            };
            let pair = Pair { key: Span::from(key.clone()), id, value: span, in_scratch };
            if bytes[key.clone()].ends_with(LABEL.as_bytes()) && span.start < span.end {
                self.labels.push(Pair { key: Span::from(key.start..key.end - LABEL.len()), ..pair });
            }
            self.list.push(pair);
        });
        self.keys = keys;
    }

    /// The keys that events have had.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The pairs that have a value.
    #[inline]
    pub(super) fn filled(&self) -> impl Iterator<Item = &Pair> + Clone {
        self.list.iter().filter(|pair| pair.value.start < pair.value.end)
    }

    #[inline]
    pub(super) fn key<'a>(&'a self, line: &'a str, pair: &Pair) -> &'a str {
        pair.key.of(line)
    }

    #[inline]
    pub(super) fn value<'a>(&'a self, line: &'a str, pair: &Pair) -> &'a str {
        pair.value.of(if pair.in_scratch { self.scratch.as_str() } else { line })
    }

    fn unescape(&mut self, value: &str) -> Span {
        let start = self.scratch.len();
        unescape(value, &mut self.scratch);
        let text = unquoted(&self.scratch[start..]);
        let start = start + usize::from(text.len() < self.scratch.len() - start);
        Span::from(start..start + text.len())
    }

    /// Keys and values; those without a value are left out.
    #[inline]
    pub(super) fn iter<'a>(&'a self, line: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.filled().map(move |pair| self.texts(line, pair))
    }

    #[inline]
    fn texts<'a>(&'a self, line: &'a str, pair: &Pair) -> (&'a str, &'a str) {
        (self.key(line, pair), self.value(line, pair))
    }

    /// What the key's label says it means.
    pub(super) fn label_of<'a>(&'a self, line: &'a str, key: &str) -> Option<&'a str> {
        let has_len = |label: &&Pair| (label.key.end - label.key.start) as usize == key.len();
        let labels = self.labels.iter().filter(has_len).map(|label| self.texts(line, label));
        labels.into_iter().find(|(base, _)| *base == key).map(|(_, value)| value)
    }

    /// The first value of the key; empty without one.
    pub(super) fn get<'a>(&'a self, line: &'a str, key: &str) -> &'a str {
        self.iter(line).find(|(k, _)| *k == key).map(|(_, value)| value).unwrap_or_default()
    }
}

/// What stands between pairs.
#[derive(Clone, Copy)]
struct Separator<'a> {
    bytes: &'a [u8],
    last: u8,
    /// No key holds it, so that a key may be guessed behind it.
    is_mark: bool,
}

/// A key, and its number if it has one.
type Key = (Range<usize>, KeyId);

/// Finds the `key=value` pairs of `line` from `start` on. Only a separator before a further key ends a value, so that a value
/// may hold it; one in quotes ends at its closing quote.
fn split(line: &str, start: usize, separator: char, keys: &mut Keys, mut found: impl FnMut(Key, Range<usize>)) {
    let mut utf8 = [0; 4];
    let between = separator.encode_utf8(&mut utf8).as_bytes();
    let last = between[between.len() - 1];
    let is_mark = !last.is_ascii_alphanumeric() && !b"_-.=".contains(&last);
    let between = Separator { bytes: between, last, is_mark };
    keys.begin();
    let mut open = first_key(line, start, between, keys);
    while let Some(key) = open {
        let at = key.0.end + 1;
        let quoted = if line.as_bytes().get(at) == Some(&b'"') { quoted_end(&line[at..], separator) } else { None };
        let end = if let Some(end) = quoted {
            open = first_key(line, at + end, between, keys);
            at + end
        } else {
            open = next_key(line, at, between, keys);
            open.as_ref().map_or(line.len(), |next| next.0.start - between.bytes.len())
        };
        found(key, bare(line.as_bytes(), at..end, between.bytes));
    }
}

/// A value without separators at its end and without its quotes.
#[inline]
fn bare(line: &[u8], value: Range<usize>, between: &[u8]) -> Range<usize> {
    let mut text = &line[value.clone()];
    while text.last() == between.last() && text.ends_with(between) {
        text = &text[..text.len() - between.len()];
    }
    match text {
        [b'"', inner @ .., b'"'] => value.start + 1..value.start + 1 + inner.len(),
        text => value.start..value.start + text.len(),
    }
}

/// The key where no value is open: what stands before the equals sign, behind separators.
#[inline(never)]
fn first_key(line: &str, at: usize, between: Separator<'_>, keys: &mut Keys) -> Option<Key> {
    let bytes = line.as_bytes();
    let end = scan::find(bytes, at, (b'=', b'='))?;
    let mut start = at;
    while bytes[start..end].starts_with(between.bytes) {
        start += between.bytes.len();
    }
    let id = match guess(bytes, start, between, keys) {
        Some(_) => keys.take_guess(),
        None if is_word(bytes, start..end) => keys.take(&line[start..end]),
        None => None,
    };
    Some((start..end, id))
}

/// The key that ends the value that begins at `at`: it stands behind a separator.
#[inline]
fn next_key(line: &str, at: usize, between: Separator<'_>, keys: &mut Keys) -> Option<Key> {
    let (bytes, last) = (line.as_bytes(), between.last);
    if last == b'=' {
        // It ends nothing.
        return None;
    }
    let mut from = at;
    loop {
        let first = scan::find(bytes, from, (last, last))?;
        let is_whole = |last: usize| between.bytes.len() == 1 || bytes[at..=last].ends_with(between.bytes);
        if let Some(end) = guess(bytes, first + 1, between, keys).filter(|_| is_whole(first)) {
            return Some((first + 1..end, keys.take_guess()));
        }
        let end = scan::find(bytes, first + 1, (b'=', b'='))?;
        let start = memchr::memrchr(last, &bytes[first..end]).map_or(first, |more| first + more) + 1;
        if is_whole(start - 1) {
            if guess(bytes, start, between, keys).is_some() {
                return Some((start..end, keys.take_guess()));
            }
            if is_word(bytes, start..end) {
                return Some((start..end, keys.take(&line[start..end])));
            }
        }
        from = end + 1;
    }
}

/// Where the key ends that came next the last time, if it stands there.
#[inline]
fn guess(line: &[u8], at: usize, between: Separator<'_>, keys: &Keys) -> Option<usize> {
    if between.is_mark { keys.guess(line, at, b'=') } else { None }
}

#[inline]
fn is_word(line: &[u8], key: Range<usize>) -> bool {
    line[key.start].is_ascii_alphabetic() && scan::is_word(line, key, b"-.")
}

/// Where a value in quotes ends, its last quote included.
fn quoted_end(value: &str, separator: char) -> Option<usize> {
    let inner = value.strip_prefix('"')?;
    let ends = |at: usize| inner[at + 1..].is_empty() || inner[at + 1..].starts_with(separator);
    inner.match_indices('"').map(|(at, _)| at).find(|&at| ends(at) && !inner[..at].ends_with('\\')).map(|at| at + 2)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// Appends a value without its escapes. Forwarders escape again what is escaped: a run of backslashes means one, and before an
/// equals sign, a bar or a quote none. A single one before a letter stays, since devices write `domain\user` so.
fn unescape(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = rest[at..].trim_start_matches('\\');
        if !after.starts_with(['=', '|', '"']) {
            out.push('\\');
        }
        rest = after;
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests;
