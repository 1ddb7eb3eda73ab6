//! The pairs of a CEF or LEEF event, unescaped, as places in the line or in a scratch text that outlives the event.

use memchr::{memchr, memchr_iter};

/// Ends a key that says what another key means: `cs1Label=Rule`.
pub(super) const LABEL: &str = "Label";

/// Pairs in their order. A key may stand several times.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    list: Vec<Pair>,
    /// Of the pairs that are labels, their places in the list.
    labels: Vec<usize>,
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
    fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl Pairs {
    /// Takes the pairs of `line`, each a part of it; what was held before is forgotten.
    pub(super) fn fill<'a>(&mut self, line: &'a str, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
        self.list.clear();
        self.labels.clear();
        self.scratch.clear();
        let place = |part: &str| {
            let start = part.as_ptr() as usize - line.as_ptr() as usize;
            Span { start: start as u32, end: (start + part.len()) as u32 }
        };
        for (key, value) in pairs {
            if key.ends_with(LABEL) && !value.is_empty() {
                self.labels.push(self.list.len());
            }
            let (key, mut span) = (place(key), place(value));
            let in_scratch = memchr(b'\\', value.as_bytes()).is_some();
            if in_scratch {
                let start = self.scratch.len();
                unescape(value, &mut self.scratch);
                let text = unquoted(&self.scratch[start..]);
                let start = start + usize::from(text.len() < self.scratch.len() - start);
                span = Span { start: start as u32, end: (start + text.len()) as u32 };
            }
            self.list.push(Pair { key, value: span, in_scratch });
        }
    }

    /// Keys and values; those without a value are left out.
    pub(super) fn iter<'a>(&'a self, line: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
        self.list.iter().map(move |pair| self.texts(line, pair)).filter(|(_, value)| !value.is_empty())
    }

    #[inline]
    fn texts<'a>(&'a self, line: &'a str, pair: &Pair) -> (&'a str, &'a str) {
        (pair.key.of(line), pair.value.of(if pair.in_scratch { self.scratch.as_str() } else { line }))
    }

    /// What the key's label says it means.
    pub(super) fn label_of<'a>(&'a self, line: &'a str, key: &str) -> Option<&'a str> {
        let labels = self.labels.iter().map(|&label| self.texts(line, &self.list[label]));
        labels.into_iter().find(|(label, _)| label.strip_suffix(LABEL) == Some(key)).map(|(_, value)| value)
    }

    /// The first value of the key; empty without one.
    pub(super) fn get<'a>(&'a self, line: &'a str, key: &str) -> &'a str {
        self.iter(line).find(|(k, _)| *k == key).map(|(_, value)| value).unwrap_or_default()
    }
}

/// Divides `key=value` pairs at a separator. Only a separator before a further key ends a value, so that a value may hold
/// it; one in quotes ends at its closing quote.
pub(super) fn split(body: &str, separator: char) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let pair = rest.trim_start_matches(separator);
        let equals = memchr(b'=', pair.as_bytes())?;
        let (key, value) = (&pair[..equals], &pair[equals + 1..]);
        let end = quoted_end(value, separator).unwrap_or_else(|| value_end(value, separator));
        rest = &value[end..];
        Some((key, unquoted(value[..end].trim_end_matches(separator))))
    })
}

/// Where a value in quotes ends, its last quote included.
fn quoted_end(value: &str, separator: char) -> Option<usize> {
    let inner = value.strip_prefix('"')?;
    let ends = |at: usize| inner[at + 1..].is_empty() || inner[at + 1..].starts_with(separator);
    inner.match_indices('"').map(|(at, _)| at).find(|&at| ends(at) && !inner[..at].ends_with('\\')).map(|at| at + 2)
}

/// Where a value ends: before the separator of the next key.
fn value_end(value: &str, separator: char) -> usize {
    let next = memchr_iter(b'=', value.as_bytes()).find_map(|equals| separator_before(value, equals, separator));
    next.unwrap_or(value.len())
}

/// Where the separator stands before the key that ends at `end`, if it is a key.
fn separator_before(text: &str, end: usize, separator: char) -> Option<usize> {
    let is_part =
        |b: &u8| (b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) && char::from(*b) != separator;
    let bytes = &text.as_bytes()[..end];
    let start = bytes.iter().rposition(|b| !is_part(b)).map_or(0, |at| at + 1);
    let begins = bytes.get(start).is_some_and(u8::is_ascii_alphabetic);
    begins.then(|| text[..start].strip_suffix(separator))?.map(str::len)
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
