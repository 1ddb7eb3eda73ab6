//! A JSON document as simd-json's tape, with the source text of every value beside it.
//!
//! The tape holds numbers as machine numbers, which loses `1.10` and refuses `1e400`. So numbers are never taken from
//! it: stage 1 of the parser leaves the byte offset of every structural character, one a value, and a walk over the tape
//! moves a second finger over those offsets. Numbers and whole objects are then read, verbatim, where they stand. A
//! document whose numbers the tape refuses is parsed once more with zeros in their places.
//!
//! Absent: any meaning of a key.

use dataflow::Reason;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use super::{Limits, Rejected};

/// A value, with its text as it stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A string. `plain`: its JSON text is itself between quotes.
    Text { text: &'a str, plain: bool },
    /// A number, `true` or `false`, verbatim.
    Literal(&'a str),
    /// An object or array, verbatim.
    Nested(&'a str),
    /// `null`.
    Null,
}

impl<'a> Value<'a> {
    /// A string of unknown content.
    pub(crate) fn text(text: &'a str) -> Self {
        Value::Text { text, plain: false }
    }

    /// The text of a string or literal.
    pub(crate) fn scalar(self) -> Option<&'a str> {
        match self {
            Value::Text { text, .. } | Value::Literal(text) => Some(text),
            Value::Nested(_) | Value::Null => None,
        }
    }
}

/// Parser and its buffers.
pub(crate) struct JsonParser {
    buffers: Buffers,
    tape: Tape<'static>,
    padded: Vec<u8>,
    limits: Limits,
}

impl std::fmt::Debug for JsonParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonParser").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A parsed document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doc<'a> {
    nodes: &'a [Node<'a>],
    /// Offset of each structural character: one a bracket, colon, comma and value.
    marks: &'a [u32],
    source: &'a [u8],
}

/// Where a value stands: in the tape and among the structural characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    node: usize,
    mark: usize,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) key: &'a str,
    /// The key's JSON text is itself between quotes.
    pub(crate) plain_key: bool,
    pub(crate) at: At,
}

impl JsonParser {
    pub(crate) fn new(limits: Limits) -> Self {
        let buffers = Buffers::with_max_depth(4096, limits.json_depth_max);
        Self { buffers, tape: Tape(Vec::new()), padded: Vec::new(), limits }
    }

    /// Parses `source` and hands the document to `read`.
    pub(crate) fn with_doc<R, F>(&mut self, source: &[u8], read: F) -> Result<R, Rejected>
    where
        F: FnOnce(Doc<'_>) -> Result<R, Rejected>,
    {
        self.padded.clear();
        self.padded.extend_from_slice(source);
        self.padded.resize(source.len() + INPUT_PADDING, 0);
        match self.parse(source, read) {
            Ok(result) => result,
            Err((error, read)) if is_number_error(&error) => {
                if !blank_numbers(source, &mut self.padded) {
                    return Err(reject(&error));
                }
                self.parse(source, read).unwrap_or_else(|(error, _)| Err(reject(&error)))
            }
            Err((error, _)) => Err(reject(&error)),
        }
    }

    /// Parses what `padded` holds; gives `read` back if that is no JSON.
    fn parse<R, F>(&mut self, source: &[u8], read: F) -> Result<Result<R, Rejected>, (simd_json::Error, F)>
    where
        F: FnOnce(Doc<'_>) -> Result<R, Rejected>,
    {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = fill_tape_padded(&mut self.padded, source.len(), &mut self.buffers, &mut tape);
        let result = match parsed {
            Ok(()) => {
                let doc = Doc { nodes: &tape.0, marks: self.buffers.structural_indexes(), source };
                Ok(doc.check(&self.limits).and_then(|()| read(doc)))
            }
            Err(error) => Err((error, read)),
        };
        self.tape = tape.reset();
        result
    }
}

fn is_number_error(error: &simd_json::Error) -> bool {
    matches!(error.error(), ErrorType::InvalidNumber | ErrorType::InvalidExponent)
}

fn reject(error: &simd_json::Error) -> Rejected {
    let reason = match error.error() {
        ErrorType::DepthLimitExceeded => Reason::TooDeep,
        ErrorType::InvalidUtf8 => Reason::InvalidUtf8,
        _ => Reason::InvalidJson,
    };
    Rejected::new(reason, format!("byte {}: {:?}", error.index(), error.error()))
}

/// Puts a zero and spaces in the place of every number of `source`. False if one of them is not a JSON number.
fn blank_numbers(source: &[u8], padded: &mut [u8]) -> bool {
    padded[..source.len()].copy_from_slice(source);
    let mut at = 0;
    while at < source.len() {
        match source[at] {
            b'"' => at = string_end(source, at),
            b'-' | b'0'..=b'9' => {
                let end = source[at..].iter().position(|b| !is_number_byte(*b)).map_or(source.len(), |n| at + n);
                if !is_json_number(&source[at..end]) {
                    return false;
                }
                padded[at..end].fill(b' ');
                padded[at] = b'0';
                at = end;
            }
            _ => at += 1,
        }
    }
    true
}

/// The offset after the string that begins at `at`.
fn string_end(source: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < source.len() {
        match source[i] {
            b'"' => return i + 1,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    source.len()
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// RFC 8259, section 6.
fn is_json_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let skip_digits = |t: &[u8]| t.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = skip_digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = skip_digits(fraction);
        if n == 0 {
            return false;
        }
        rest = &fraction[n..];
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let n = skip_digits(exponent);
        return n > 0 && n == exponent.len();
    }
    rest.is_empty()
}

impl<'a> Doc<'a> {
    /// The outermost value.
    pub(crate) fn root(&self) -> At {
        At { node: 0, mark: 0 }
    }

    /// Counts keys and measures strings, but only of a document that is long enough to break a limit.
    fn check(&self, limits: &Limits) -> Result<(), Rejected> {
        if self.nodes.len() / 2 > limits.json_keys_max {
            let keys: usize = self.nodes.iter().map(|n| if let Node::Object { len, .. } = n { *len } else { 0 }).sum();
            if keys > limits.json_keys_max {
                return Err(Rejected::new(Reason::TooLarge, format!("{keys} keys; {} allowed", limits.json_keys_max)));
            }
        }
        if self.source.len() > limits.string_bytes_max {
            let long =
                self.nodes.iter().filter_map(|n| if let Node::String(s) = n { Some(s.len()) } else { None }).max();
            if let Some(bytes) = long.filter(|b| *b > limits.string_bytes_max) {
                let detail = format!("a string of {bytes} bytes; {} allowed", limits.string_bytes_max);
                return Err(Rejected::new(Reason::TooLarge, detail));
            }
        }
        Ok(())
    }

    /// True if the value is an object.
    pub(crate) fn is_object(&self, at: At) -> bool {
        matches!(self.nodes.get(at.node), Some(Node::Object { .. }))
    }

    /// The members of an object; none of anything else.
    pub(crate) fn members(self, at: At) -> impl Iterator<Item = Member<'a>> {
        let left = if let Some(Node::Object { len, .. }) = self.nodes.get(at.node) { *len } else { 0 };
        let mut next = At { node: at.node + 1, mark: at.mark + 1 };
        (0..left).map(move |_| {
            let (key, plain_key) = self.string(next);
            let value = At { node: next.node + 1, mark: next.mark + 2 };
            next = self.after(value);
            Member { key, plain_key, at: value }
        })
    }

    /// The elements of an array; none of anything else.
    pub(crate) fn elements(self, at: At) -> impl Iterator<Item = At> {
        let left = if let Some(Node::Array { len, .. }) = self.nodes.get(at.node) { *len } else { 0 };
        let mut next = At { node: at.node + 1, mark: at.mark + 1 };
        (0..left).map(move |_| {
            let value = next;
            next = self.after(value);
            value
        })
    }

    /// What follows a value and the comma after it.
    fn after(&self, at: At) -> At {
        match self.nodes[at.node] {
            Node::Object { count, .. } | Node::Array { count, .. } => {
                At { node: at.node + 1 + count, mark: self.close(at.mark) + 2 }
            }
            Node::String(_) | Node::Static(_) => At { node: at.node + 1, mark: at.mark + 2 },
        }
    }

    /// The mark of the bracket that closes the one at `mark`.
    fn close(&self, mark: usize) -> usize {
        let mut depth = 0_usize;
        for (i, &offset) in self.marks[mark..].iter().enumerate() {
            match self.source[offset as usize] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return mark + i;
            }
        }
        unreachable!("the parser took a document whose brackets do not match")
    }

    /// The member `key` of an object: the first of that name.
    pub(crate) fn member(self, at: At, key: &str) -> Option<At> {
        self.members(at).find(|m| m.key == key).map(|m| m.at)
    }

    /// A string and whether its JSON text holds no escape: a quote that no backslash precedes ends it where it would
    /// end if it held none (decoding an escape only ever shortens).
    #[inline]
    fn string(&self, at: At) -> (&'a str, bool) {
        let Node::String(text) = self.nodes[at.node] else { return ("", false) };
        let start = self.marks[at.mark] as usize;
        let end = start + 1 + text.len();
        (text, self.source.get(end) == Some(&b'"') && (text.is_empty() || self.source[end - 1] != b'\\'))
    }

    /// The value at a place.
    #[inline]
    pub(crate) fn value(&self, at: At) -> Value<'a> {
        match self.nodes[at.node] {
            Node::String(_) => {
                let (text, plain) = self.string(at);
                Value::Text { text, plain }
            }
            Node::Static(StaticNode::Null) => Value::Null,
            Node::Static(StaticNode::Bool(b)) => Value::Literal(if b { "true" } else { "false" }),
            Node::Static(_) => Value::Literal(self.number(at)),
            Node::Object { .. } | Node::Array { .. } => Value::Nested(self.nested(at)),
        }
    }

    /// The text of an object, array, number or string, as it stands.
    pub(crate) fn source_text(&self, at: At) -> &'a str {
        match (self.nodes[at.node], self.value(at)) {
            (_, Value::Nested(text) | Value::Literal(text)) => text,
            (Node::String(_), _) => {
                let start = self.marks[at.mark] as usize;
                as_text(&self.source[start..string_end(self.source, start)])
            }
            _ => "null",
        }
    }

    fn number(&self, at: At) -> &'a str {
        let start = self.marks[at.mark] as usize;
        let len = self.source[start..].iter().position(|b| !is_number_byte(*b)).unwrap_or(self.source.len() - start);
        as_text(&self.source[start..start + len])
    }

    fn nested(&self, at: At) -> &'a str {
        let (start, end) = (self.marks[at.mark], self.marks[self.close(at.mark)]);
        as_text(&self.source[start as usize..=end as usize])
    }
}

/// The parser has seen that the whole document is UTF-8.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Appends JSON text on one line: white space between tokens goes if the text holds a line end, otherwise it stays.
pub(crate) fn push_one_line(out: &mut String, json: &str) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return out.push_str(json);
    }
    let (bytes, mut at) = (json.as_bytes(), 0);
    while at < bytes.len() {
        let end = match bytes[at] {
            b'"' => string_end(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => at + 1,
        };
        out.push_str(&json[at..end]);
        at = end;
    }
}

#[cfg(test)]
mod tests;
