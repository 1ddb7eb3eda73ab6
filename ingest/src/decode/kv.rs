//! `key=value` lines -> pairs, in the spellings that devices have.
//!
//! Divided by spaces, a value that is not in quotes reaches to the space before the next `key=`, so that it may hold spaces
//! itself. Divided by any other character, it reaches to the next one of those. Text that no key stands before is a pair
//! named `text`: every byte but the separators is in a pair.

use std::ops::Range;

use memchr::memchr;

use super::keys::{KEY_BYTES_MAX, KeyId, Keys};
use super::pairs::{Pairs, Span, trimmed};
use super::scan;

/// How pairs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Dialect {
    /// Between pairs.
    pub(crate) pair: u8,
    /// Between a key and its value.
    pub(crate) value: u8,
    /// A value may stand between two of these, with `\` before one that is part of it.
    pub(crate) quote: Option<u8>,
    /// `\` escapes the separators, as in CEF.
    pub(crate) escapes: bool,
}

impl Dialect {
    /// `key=value key="a value"`.
    pub(crate) const PLAIN: Self = Self { pair: b' ', value: b'=', quote: Some(b'"'), escapes: false };
    /// The extension of CEF.
    pub(crate) const CEF: Self = Self { pair: b' ', value: b'=', quote: None, escapes: true };
}

/// Splits the part of the line at `range`; pairs are added.
pub(crate) fn split(line: &str, range: Range<usize>, dialect: Dialect, pairs: &mut Pairs) {
    if dialect.pair == b' ' {
        split_spaced(line, range, dialect, pairs);
    } else {
        split_marked(line, range, dialect, pairs);
    }
}

/// Splits the structured data of RFC 5424, `[id name="value" …]…`, also where a device writes it in a way of its own and
/// without an identifier, `[name:"value"; …]`; pairs are added, identifiers are not.
pub(crate) fn split_structured(line: &str, range: Range<usize>, dialect: Dialect, pairs: &mut Pairs) {
    let mut at = range.start;
    while at < range.end && line.as_bytes()[at] == b'[' {
        let end = super::syslog::element_end(line.as_bytes(), at).map_or(range.end, |end| end.min(range.end));
        let Some(body) = line.get(at + 1..end - 1) else { return };
        let head = body.find(' ').unwrap_or(body.len());
        let id = if memchr(dialect.value, &body.as_bytes()[..head]).is_none() { head } else { 0 };
        split(line, at + 1 + id..end - 1, dialect, pairs);
        at = end;
    }
}

/// A key, and its number if it has one.
type Found = (Range<usize>, KeyId);

fn split_spaced(line: &str, range: Range<usize>, dialect: Dialect, pairs: &mut Pairs) {
    let (bytes, end) = (&line.as_bytes()[..range.end], range.end);
    pairs.keys.begin();
    let mut at = range.start;
    'pairs: while let Some(mut key) = first_key(line, bytes, at, dialect.value, &mut pairs.keys) {
        pairs.push_stray(line, at..key.0.start.saturating_sub(1).max(at));
        loop {
            at = key.0.end + 1;
            let may_be_quoted = dialect.quote.is_some() && bytes.get(at).copied() == dialect.quote;
            if let Some((value, after)) = may_be_quoted.then(|| quoted(line, at..end, dialect, pairs)).flatten() {
                pairs.push_known(key, value);
                at = after;
                continue 'pairs;
            }
            let Some(next) = next_key(line, bytes, at, dialect.value, &mut pairs.keys) else {
                return push(line, key, at..end, dialect, pairs);
            };
            push(line, key, at..next.0.start - 1, dialect, pairs);
            key = next;
        }
    }
    pairs.push_stray(line, at..end);
}

/// The first key from `at` on, where no value is open: it may begin there at once, unless a value begins there.
#[inline]
fn first_key(line: &str, bytes: &[u8], at: usize, mark: u8, keys: &mut Keys) -> Option<Found> {
    let is_free = at == 0 || bytes[at - 1] != mark;
    let start = at + usize::from(bytes.get(at) == Some(&b' '));
    if let Some(end) = keys.guess(bytes, start, mark).filter(|_| start > at || is_free) {
        return Some((start..end, keys.take_guess()));
    }
    let mut from = at;
    loop {
        let end = scan::find(bytes, from, (mark, mark))?;
        let space = memchr::memrchr(b' ', &bytes[from..end]).map(|space| from + space + 1);
        let start = space.or(is_free.then_some(at));
        if let Some(start) = start.filter(|start| is_key(bytes, *start..end)) {
            return Some((start..end, keys.take(&line[start..end])));
        }
        from = end + 1;
    }
}

/// The key that ends the value that begins at `at`: it stands behind a space.
#[inline]
fn next_key(line: &str, bytes: &[u8], at: usize, mark: u8, keys: &mut Keys) -> Option<Found> {
    let mut from = at;
    loop {
        let space = scan::find(bytes, from, (b' ', b' '))?;
        if let Some(end) = keys.guess(bytes, space + 1, mark) {
            return Some((space + 1..end, keys.take_guess()));
        }
        let end = scan::find(bytes, space + 1, (mark, mark))?;
        let start = memchr::memrchr(b' ', &bytes[space..end]).map_or(space, |last| space + last) + 1;
        if keys.guess(bytes, start, mark).is_some() {
            return Some((start..end, keys.take_guess()));
        }
        if is_key(bytes, start..end) {
            return Some((start..end, keys.take(&line[start..end])));
        }
        from = end + 1;
    }
}

#[inline]
fn push(line: &str, key: Found, value: Range<usize>, dialect: Dialect, pairs: &mut Pairs) {
    let value = trimmed(line, value);
    let value = if dialect.escapes { pairs.unescape(line, value, undo_cef) } else { Span::of(value) };
    pairs.push_known(key, value);
}

/// Letters, digits and what names are made of; a name of CEF's may hold brackets.
#[inline]
fn is_key(line: &[u8], key: Range<usize>) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX && scan::is_word(line, key, b"-.[]@$")
}

/// The value in quotes that begins at the range's start, and the place after it. A quote that nobody closes is none.
#[inline]
fn quoted(line: &str, range: Range<usize>, dialect: Dialect, pairs: &mut Pairs) -> Option<(Span, usize)> {
    let bytes = &line.as_bytes()[..range.end];
    let quote = dialect.quote.filter(|quote| bytes.get(range.start) == Some(quote))?;
    let start = range.start + 1;
    let (mut at, mut is_escaped) = (start, false);
    loop {
        let found = scan::find(bytes, at, (quote, b'\\'))?;
        if bytes[found] == quote {
            let value =
                if is_escaped { pairs.unescape(line, start..found, undo_quote) } else { Span::of(start..found) };
            return Some((value, found + 1));
        }
        (at, is_escaped) = (found + 2, true);
    }
}

fn undo_quote(byte: u8) -> Option<u8> {
    matches!(byte, b'"' | b'\'' | b'\\').then_some(byte)
}

fn undo_cef(byte: u8) -> Option<u8> {
    match byte {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b'=' | b'\\' | b'|' => Some(byte),
        _ => None,
    }
}

fn split_marked(line: &str, range: Range<usize>, dialect: Dialect, pairs: &mut Pairs) {
    let bytes = line.as_bytes();
    let mut start = range.start;
    while start < range.end {
        let skipped = bytes[start..range.end].iter().take_while(|b| **b == dialect.pair || **b == b' ').count();
        start += skipped;
        let end = pair_end(bytes, start..range.end, dialect);
        let mark = memchr(dialect.value, &bytes[start..end]).map(|n| start + n);
        let Some(mark) = mark.filter(|m| *m > start) else {
            pairs.push_stray(line, start..end);
            start = end;
            continue;
        };
        let key = trimmed(line, start..mark);
        let value_start = trimmed(line, mark + 1..range.end).start.min(end);
        if let Some((value, after)) = quoted(line, value_start..range.end, dialect, pairs) {
            pairs.push(key, value);
            start = memchr(dialect.pair, &bytes[after..range.end]).map_or(range.end, |n| after + n);
            pairs.push_stray(line, after..start);
        } else {
            let value = trimmed(line, mark + 1..end);
            let value = if dialect.escapes { pairs.unescape(line, value, undo_cef) } else { Span::of(value) };
            pairs.push(key, value);
            start = end;
        }
    }
}

/// The next separator of pairs that is not escaped, or the range's end.
fn pair_end(bytes: &[u8], range: Range<usize>, dialect: Dialect) -> usize {
    let mut from = range.start;
    while let Some(at) = bytes.get(from..range.end).and_then(|rest| memchr(dialect.pair, rest)).map(|n| from + n) {
        let slashes = bytes[range.start..at].iter().rev().take_while(|b| **b == b'\\').count();
        if !dialect.escapes || slashes % 2 == 0 {
            return at;
        }
        from = at + 1;
    }
    range.end
}

#[cfg(test)]
mod tests;
