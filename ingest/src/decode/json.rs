//! A JSON document as tokens that stand for their text in the source.
//!
//! The SIMD parser's own tape holds numbers as machine numbers, which loses `1.10` and refuses `1e400`, and it copies every
//! string. So only the parser's first stage is used, which finds the structural characters and proves that the bytes are
//! UTF-8; [`walk`] makes tokens of them and proves the rest. Numbers, strings without escapes and whole objects are then
//! read, verbatim, where they stand. Only why a document is refused is left to the parser to say.
//!
//! A document without white space between its tokens, as nearly all records of a log are, is read without that stage:
//! [`dense`].
//!
//! Absent: any meaning of a key.

mod dense;
mod walk;

use std::ops::Range;

use dataflow::Reason;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape, fill_tape, fill_tape_padded};

use super::keys::{KeyId, Keys};
use super::{Limits, Rejected};
use walk::{Key, Kind, Token, Tokens};

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
    tokens: Tokens,
    limits: Limits,
    /// Reads what stands within other documents.
    is_inner: bool,
}

impl std::fmt::Debug for JsonParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonParser").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A parsed document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doc<'a> {
    tokens: &'a Tokens,
    source: &'a str,
    is_inner: bool,
}

/// Where a value stands among the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(u32);

impl At {
    /// Its number among the document's tokens.
    pub(crate) fn index(self) -> u32 {
        self.0
    }

    /// The place of that number.
    pub(crate) fn of_index(index: u32) -> Self {
        Self(index)
    }
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) at: At,
    token: &'a Token,
}

impl Member<'_> {
    /// The key's JSON text is itself between quotes.
    pub(crate) fn has_plain_key(&self) -> bool {
        self.token.key.end != Key::ESCAPED
    }

    /// The number of the key among [`Doc::key_names`], if it has one.
    #[inline]
    pub(crate) fn key_id(&self) -> KeyId {
        self.token.key.id
    }

    /// The value is `null` or an empty string.
    #[inline]
    pub(crate) fn is_void(&self) -> bool {
        match self.token.kind {
            Kind::Null => true,
            Kind::Plain => self.token.start == self.token.end,
            _ => false,
        }
    }
}

impl JsonParser {
    pub(crate) fn new(limits: Limits) -> Self {
        // The parser's second stage refuses the outermost bracket at this depth, so that it ends where it begins.
        let buffers = Buffers::with_max_depth(4096, 0);
        let (tape, padded, tokens) = (Tape(Vec::new()), Vec::new(), Tokens::default());
        Self { buffers, tape, padded, tokens, limits, is_inner: false }
    }

    /// A parser of what stands within other documents: its keys have other numbers.
    pub(crate) fn inner(limits: Limits) -> Self {
        Self { is_inner: true, ..Self::new(limits) }
    }

    /// Parses `source`, an object, and hands the document to `read`.
    pub(crate) fn with_doc<R, F>(&mut self, source: &[u8], read: F) -> Result<R, Rejected>
    where
        F: FnOnce(Doc<'_>) -> Result<R, Rejected>,
    {
        // Of what is no UTF-8 nothing is left here; the parser's first stage says so.
        let (text, limits) = (simdutf8::basic::from_utf8(source).unwrap_or_default(), self.limits);
        if self.tokens.read_dense(text, limits.json_depth_max).is_none() {
            self.find_marks(source)?;
            let read = self.tokens.read(text, self.buffers.structural_indexes(), limits.json_depth_max);
            read.map_err(|reason| refusal(source, reason, limits.json_depth_max))?;
        }
        let doc = Doc { tokens: &self.tokens, source: text, is_inner: self.is_inner };
        doc.check(&limits)?;
        read(doc)
    }

    /// The parser's first stage; the marks are then in its buffers.
    fn find_marks(&mut self, source: &[u8]) -> Result<(), Rejected> {
        self.padded.clear();
        self.padded.extend_from_slice(source);
        self.padded.resize(source.len() + INPUT_PADDING, 0);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = fill_tape_padded(&mut self.padded, source.len(), &mut self.buffers, &mut tape);
        self.tape = tape.reset();
        match parsed {
            Err(error) if *error.error() != ErrorType::DepthLimitExceeded => Err(reject(&error, reason_of(&error))),
            _ => Ok(()),
        }
    }
}

/// What the whole parser says of a document that is refused for that reason.
#[cold]
fn refusal(source: &[u8], reason: Reason, depth_max: usize) -> Rejected {
    let mut source = source.to_vec();
    let mut buffers = Buffers::with_max_depth(source.len(), depth_max);
    match fill_tape(&mut source, &mut buffers, &mut Tape(Vec::new())) {
        Err(error) => reject(&error, reason),
        Ok(()) => Rejected::new(reason, "not JSON by RFC 8259".to_owned()),
    }
}

fn reject(error: &simd_json::Error, reason: Reason) -> Rejected {
    Rejected::new(reason, format!("byte {}: {:?}", error.index(), error.error()))
}

fn reason_of(error: &simd_json::Error) -> Reason {
    match error.error() {
        ErrorType::DepthLimitExceeded => Reason::TooDeep,
        ErrorType::InvalidUtf8 => Reason::InvalidUtf8,
        _ => Reason::InvalidJson,
    }
}

impl<'a> Doc<'a> {
    /// The outermost value.
    pub(crate) fn root(&self) -> At {
        At(0)
    }

    /// Counts keys, and measures strings, but only of a document that is long enough to break a limit. An object in an array
    /// is counted alone: a file of events may have more keys than one of them.
    fn check(&self, limits: &Limits) -> Result<(), Rejected> {
        let keys = if self.tokens.keys > limits.json_keys_max { self.most_keys() } else { 0 };
        if keys > limits.json_keys_max {
            return Err(Rejected::new(Reason::TooLarge, format!("{keys} keys; {} allowed", limits.json_keys_max)));
        }
        if self.source.len() > limits.string_bytes_max {
            let texts = self.tokens.list.iter().flat_map(|token| [Some(self.key_text(token)), self.string(token)]);
            let long = texts.flatten().map(str::len).max();
            if let Some(bytes) = long.filter(|b| *b > limits.string_bytes_max) {
                let detail = format!("a string of {bytes} bytes; {} allowed", limits.string_bytes_max);
                return Err(Rejected::new(Reason::TooLarge, detail));
            }
        }
        Ok(())
    }

    /// Keys of the object that has most.
    #[cold]
    fn most_keys(&self) -> usize {
        let mut most = 0;
        let of_root = self.keys(self.root(), &mut most);
        most.max(of_root)
    }

    /// Keys of an object and of those within it; objects in arrays are counted into `most`.
    fn keys(self, at: At, most: &mut usize) -> usize {
        for element in self.elements(at) {
            let keys = self.keys(element, most);
            *most = keys.max(*most);
        }
        self.members(at).map(|member| 1 + self.keys(member.at, most)).sum()
    }

    #[inline]
    fn token(&self, at: At) -> &'a Token {
        &self.tokens.list[at.0 as usize]
    }

    /// True if the value is an object.
    pub(crate) fn is_object(&self, at: At) -> bool {
        matches!(self.token(at).kind, Kind::Object(_))
    }

    /// The members of an object; none of anything else.
    #[inline]
    pub(crate) fn members(self, at: At) -> impl Iterator<Item = Member<'a>> {
        let end = if let Kind::Object(after) = self.token(at).kind { after } else { 0 };
        let tokens = self.tokens.list.get(..end as usize).unwrap_or_default();
        let mut next = at.0 + 1;
        std::iter::from_fn(move || {
            let (token, at) = (tokens.get(next as usize)?, At(next));
            next = token.after(at);
            Some(Member { at, token })
        })
    }

    /// The elements of an array; none of anything else.
    pub(crate) fn elements(self, at: At) -> impl Iterator<Item = At> {
        let end = if let Kind::Array(after) = self.token(at).kind { after } else { 0 };
        let mut next = at.0 + 1;
        std::iter::from_fn(move || {
            let value = (next < end).then_some(At(next))?;
            next = self.token(value).after(value);
            Some(value)
        })
    }

    /// The member `key` of an object: the first of that name.
    pub(crate) fn member(self, at: At, key: &str) -> Option<At> {
        self.members(at).find(|m| self.key(m) == key.as_bytes()).map(|m| m.at)
    }

    #[inline]
    fn verbatim(&self, token: &Token) -> &'a str {
        &self.source[token.start as usize..token.end as usize]
    }

    #[inline]
    fn string(&self, token: &Token) -> Option<&'a str> {
        match token.kind {
            Kind::Plain => Some(self.verbatim(token)),
            Kind::Escaped(text) => Some(self.tokens.text(text)),
            _ => None,
        }
    }

    /// The value at a place.
    #[inline]
    pub(crate) fn value(&self, at: At) -> Value<'a> {
        self.read(self.token(at))
    }

    /// The value of a member.
    #[inline]
    pub(crate) fn value_of(&self, member: &Member<'a>) -> Value<'a> {
        self.read(member.token)
    }

    /// The text of a member that is a string or literal.
    #[inline]
    pub(crate) fn scalar(&self, member: &Member<'a>) -> Option<&'a str> {
        match member.token.kind {
            Kind::Plain | Kind::Literal => Some(self.verbatim(member.token)),
            Kind::Escaped(text) => Some(self.tokens.text(text)),
            _ => None,
        }
    }

    /// The name of a member.
    pub(crate) fn name(&self, member: &Member<'a>) -> &'a str {
        self.key_text(member.token)
    }

    /// Keys by their numbers, those of documents before among them.
    pub(crate) fn key_names(&self) -> &'a Keys {
        &self.tokens.names
    }

    /// Whether it stands within another document: keys of inner ones have other numbers.
    pub(crate) fn is_inner(&self) -> bool {
        self.is_inner
    }

    /// The name of a member, to compare: bytes are cheaper to take than text.
    #[inline]
    pub(crate) fn key(&self, member: &Member<'a>) -> &'a [u8] {
        match member.token.key {
            Key { start, end: Key::ESCAPED, .. } => self.tokens.text(start).as_bytes(),
            Key { start, end, .. } => &self.source.as_bytes()[start as usize..end as usize],
        }
    }

    fn key_text(&self, token: &Token) -> &'a str {
        match token.key {
            Key { start, end: Key::ESCAPED, .. } => self.tokens.text(start),
            Key { start, end, .. } => &self.source[start as usize..end as usize],
        }
    }

    #[inline]
    fn read(&self, token: &Token) -> Value<'a> {
        match token.kind {
            Kind::Plain => Value::Text { text: self.verbatim(token), plain: true },
            Kind::Escaped(text) => Value::Text { text: self.tokens.text(text), plain: false },
            Kind::Literal => Value::Literal(self.verbatim(token)),
            Kind::Null => Value::Null,
            Kind::Object(_) | Kind::Array(_) => Value::Nested(self.verbatim(token)),
        }
    }

    /// The text of a value as it stands, a string's with its quotes.
    pub(crate) fn source_text(&self, at: At) -> &'a str {
        let token = self.token(at);
        match token.kind {
            Kind::Plain | Kind::Escaped(_) => &self.source[token.start as usize - 1..token.end as usize + 1],
            _ => self.verbatim(token),
        }
    }

    /// A member as it stands, and its place, if that is what would be written for it: a key and a scalar without escapes
    /// or white space.
    #[inline]
    pub(crate) fn written(&self, member: &Member<'a>) -> Option<Range<usize>> {
        let Token { key, start, end, kind } = *member.token;
        let quote = match kind {
            Kind::Plain => 1,
            Kind::Literal => 0,
            _ => return None,
        };
        let is_close = member.has_plain_key() && start - quote == key.end + 2;
        is_close.then(|| key.start as usize - 1..(end + quote) as usize)
    }

    /// The document's text.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }
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
