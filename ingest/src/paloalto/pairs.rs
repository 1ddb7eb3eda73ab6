//! The pairs of a CEF or LEEF event, unescaped, as places in the line or in a scratch text that outlives the event.

use std::ops::Range;

use memchr::memchr;

use crate::decode::scan;

/// Ends a key that says what another key means: `cs1Label=Rule`.
pub(super) const LABEL: &str = "Label";

/// Pairs in their order. A key may stand several times.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    list: Vec<Pair>,
    /// The keys that others label, with the labels.
    labels: Vec<Pair>,
    /// Values that differ from the line's text.
    scratch: String,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    key: Span,
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
        split(line, start, separator, |key, value| {
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
            let pair = Pair { key: Span::from(key.clone()), value: span, in_scratch };
            if bytes[key.clone()].ends_with(LABEL.as_bytes()) && span.start < span.end {
                self.labels.push(Pair { key: Span::from(key.start..key.end - LABEL.len()), ..pair });
            }
            self.list.push(pair);
        });
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
        let filled = self.list.iter().filter(|pair| pair.value.start < pair.value.end);
        filled.map(move |pair| self.texts(line, pair))
    }

    #[inline]
    fn texts<'a>(&'a self, line: &'a str, pair: &Pair) -> (&'a str, &'a str) {
        (pair.key.of(line), pair.value.of(if pair.in_scratch { self.scratch.as_str() } else { line }))
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

/// Finds the `key=value` pairs of `line` from `start` on. Only a separator before a further key ends a value, so that a value
/// may hold it; one in quotes ends at its closing quote.
fn split(line: &str, start: usize, separator: char, mut found: impl FnMut(Range<usize>, Range<usize>)) {
    let (bytes, mut utf8) = (line.as_bytes(), [0; 4]);
    let between = separator.encode_utf8(&mut utf8).as_bytes();
    let mut found = |key, value: Range<usize>| {
        let mut text = &bytes[value.clone()];
        while text.last() == between.last() && text.ends_with(between) {
            text = &text[..text.len() - between.len()];
        }
        match text {
            [b'"', inner @ .., b'"'] => found(key, value.start + 1..value.start + 1 + inner.len()),
            text => found(key, value.start..value.start + text.len()),
        }
    };
    // The key whose value is not at its end; without one the next begins from `at` on. What is before `at` is done.
    let (mut key, mut at) = (None::<Range<usize>>, start);
    let marks = (between[between.len() - 1], b'=');
    scan::each_pair(bytes, start..line.len(), marks, |last, equals| {
        let next = match &key {
            None => equals - line[at..equals].trim_start_matches(separator).len(),
            Some(open) => match last.filter(|last| is_key(bytes, at, *last, equals, between)) {
                Some(last) => {
                    found(open.clone(), at..last + 1 - between.len());
                    last + 1
                }
                None => return equals + 1,
            },
        };
        at = equals + 1;
        let end = if bytes.get(at) == Some(&b'"') { quoted_end(&line[at..], separator) } else { None };
        match end {
            Some(end) => {
                found(next..equals, at..at + end);
                at += end;
                key = None;
            }
            None => key = Some(next..equals),
        }
        at
    });
    if let Some(key) = key {
        found(key, at..line.len());
    }
}

/// Where a value in quotes ends, its last quote included.
fn quoted_end(value: &str, separator: char) -> Option<usize> {
    let inner = value.strip_prefix('"')?;
    let ends = |at: usize| inner[at + 1..].is_empty() || inner[at + 1..].starts_with(separator);
    inner.match_indices('"').map(|(at, _)| at).find(|&at| ends(at) && !inner[..at].ends_with('\\')).map(|at| at + 2)
}

/// True for a key that stands between the end of a separator at `last` and an equals sign.
#[inline]
fn is_key(line: &[u8], from: usize, last: usize, equals: usize, separator: &[u8]) -> bool {
    line[last + 1].is_ascii_alphabetic()
        && scan::is_word(line, last + 1..equals, b"-.")
        && (separator.len() == 1 || line[from..=last].ends_with(separator))
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
