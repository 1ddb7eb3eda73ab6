//! The pairs of a CEF or LEEF event, unescaped, as places in the line or in a scratch text that outlives the event.

/// Pairs in their order. A key may stand several times.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    list: Vec<Pair>,
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
        self.scratch.clear();
        let place = |part: &str| {
            let start = part.as_ptr() as usize - line.as_ptr() as usize;
            Span { start: start as u32, end: (start + part.len()) as u32 }
        };
        for (key, value) in pairs {
            let (key, mut span) = (place(key), place(value));
            let in_scratch = value.contains('\\');
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
        let value = |pair: &Pair| pair.value.of(if pair.in_scratch { self.scratch.as_str() } else { line });
        self.list.iter().map(move |pair| (pair.key.of(line), value(pair))).filter(|(_, value)| !value.is_empty())
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
        let (key, value) = rest.trim_start_matches(separator).split_once('=')?;
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
    let is_key = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let next = value.match_indices('=').find_map(|(equals, _)| {
        let start = value[..equals].rfind(separator)?;
        is_key(&value[start + separator.len_utf8()..equals]).then_some(start)
    });
    next.unwrap_or(value.len())
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
