//! Structural characters -> tokens, and with it the proof that the document is JSON (RFC 8259).
//!
//! ```text
//!   source   { "a" : 1.10 , "b" : [ "x\n" ] }
//!   marks    ^ ^   ^ ^    ^ ^   ^ ^ ^     ^ ^     found by the parser's first stage, many bytes at a time
//!   tokens   {   a: 1.10     b: [     x\n         one a value, with its key; a bracket knows the token after its end
//! ```
//!
//! The first stage has seen that the bytes are UTF-8, that strings are closed and that they hold no control character. What
//! stands between two marks is one string, number or word, and white space.

use dataflow::Reason;
use memchr::memchr;

use super::At;
use crate::decode::keys::{KeyId, Keys};

/// A value, and the key before it if it is a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) key: Key,
    /// Its text in the source: of a string without quotes, of an object or array with brackets.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: Kind,
}

/// Where a key's text is: in the source, or, if it ends at [`Key::ESCAPED`], at that index of [`Tokens::texts`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) id: KeyId,
}

impl Key {
    pub(super) const NONE: Self = Self { start: 0, end: 0, id: None };
    pub(super) const ESCAPED: u32 = u32::MAX;
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string that is its own text.
    Plain,
    /// A string with escapes: the index of its text in [`Tokens::texts`].
    Escaped(u32),
    /// A number, `true` or `false`.
    Literal,
    Null,
    /// The index of the token after its members.
    Object(u32),
    Array(u32),
}

impl Token {
    /// The token after the value `at`, which this is.
    #[inline]
    pub(super) fn after(&self, at: At) -> u32 {
        match self.kind {
            Kind::Object(after) | Kind::Array(after) => after,
            _ => at.0 + 1,
        }
    }
}

/// The tokens of a document.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) list: Vec<Token>,
    /// Strings with escapes, unescaped: where each ends in `unescaped`.
    pub(super) texts: Vec<u32>,
    pub(super) unescaped: String,
    /// Keys of all objects together.
    pub(super) keys: usize,
    /// The names of members, of this document and those before.
    pub(super) names: Keys,
    /// Brackets not closed yet, by their tokens.
    open: Vec<u32>,
}

impl Tokens {
    /// Reads a document. On an error the tokens are of no use.
    pub(super) fn read(&mut self, source: &str, marks: &[u32], depth_max: usize) -> Result<(), Reason> {
        self.begin();
        let backslash = memchr(b'\\', source.as_bytes()).unwrap_or(usize::MAX);
        Walk { tokens: self, source, marks, depth_max, backslash }.document()
    }

    /// Forgets the document before.
    pub(super) fn begin(&mut self) {
        self.list.clear();
        self.texts.clear();
        self.unescaped.clear();
        self.open.clear();
        self.keys = 0;
        self.names.begin();
    }

    /// Begins an object or array whose bracket stands there, unless it would lie too deep.
    pub(super) fn open(&mut self, key: Key, at: u32, within: Within, depth_max: usize) -> Option<()> {
        if self.open.len() >= depth_max {
            return None;
        }
        self.open.push(self.list.len() as u32);
        let kind = if within == Within::Object { Kind::Object(0) } else { Kind::Array(0) };
        self.list.push(Token { key, start: at, end: at + 1, kind });
        Some(())
    }

    /// What the innermost bracket began that is still open.
    #[inline]
    pub(super) fn within(&self) -> Option<Within> {
        let open = self.list.get(*self.open.last()? as usize)?;
        Some(if let Kind::Object(_) = open.kind { Within::Object } else { Within::Array })
    }

    /// Ends what the innermost bracket began, with the bracket at that place.
    pub(super) fn close(&mut self, at: u32) {
        let after = self.list.len() as u32;
        let Some(token) = self.open.pop().and_then(|open| self.list.get_mut(open as usize)) else {
            return;
        };
        token.end = at + 1;
        token.kind = if let Kind::Object(_) = token.kind { Kind::Object(after) } else { Kind::Array(after) };
    }

    /// Keeps what a string with escapes means, and gives its index.
    pub(super) fn unescape(&mut self, text: &str) -> Result<u32, Reason> {
        unescape(text, &mut self.unescaped)?;
        self.texts.push(self.unescaped.len() as u32);
        Ok(self.texts.len() as u32 - 1)
    }

    /// The text of the string with that index.
    pub(super) fn text(&self, index: u32) -> &str {
        let index = index as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.texts[before]);
        &self.unescaped[start as usize..self.texts[index] as usize]
    }
}

struct Walk<'t> {
    tokens: &'t mut Tokens,
    source: &'t str,
    /// The marks that are ahead.
    marks: &'t [u32],
    depth_max: usize,
    /// The first backslash that is not behind the walk.
    backslash: usize,
}

/// What a value stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    Object,
    Array,
}

impl Within {
    /// What a bracket begins.
    #[inline]
    pub(super) fn of(bracket: u8) -> Self {
        if bracket == b'{' { Within::Object } else { Within::Array }
    }

    /// The bracket that ends it.
    #[inline]
    pub(super) fn end(self) -> u8 {
        if self == Within::Object { b'}' } else { b']' }
    }
}

impl Walk<'_> {
    fn document(mut self) -> Result<(), Reason> {
        let mut opened = self.element()?;
        loop {
            let within = match opened {
                Some(within) => within,
                None => match self.comma()? {
                    Some(within) => within,
                    None if self.marks.is_empty() => return Ok(()),
                    None => return Err(Reason::InvalidJson),
                },
            };
            opened = if within == Within::Object { self.members()? } else { self.element()? };
        }
    }

    #[inline]
    fn byte(&self, at: u32) -> u8 {
        self.source.as_bytes().get(at as usize).copied().unwrap_or_default()
    }

    /// Members up to one whose value is an object or array, or up to the last. After a value another mark always follows, be
    /// it only the bracket that closes the document.
    #[inline(never)]
    fn members(&mut self) -> Result<Option<Within>, Reason> {
        let first = self.tokens.list.len();
        loop {
            let &[quote, colon, value, next] = self.marks.first_chunk().ok_or(Reason::InvalidJson)?;
            if self.byte(quote) != b'"' || self.byte(colon) != b':' {
                return Err(Reason::InvalidJson);
            }
            self.marks = &self.marks[3..];
            let key = self.key(quote, colon)?;
            let token = match self.byte(value) {
                b'"' => self.string(key, value, next)?,
                b'{' | b'[' => {
                    self.tokens.keys += self.tokens.list.len() + 1 - first;
                    return self.open(key, value, next);
                }
                _ => self.word(key, value, next)?,
            };
            self.tokens.list.push(token);
            if self.byte(next) != b',' {
                self.tokens.keys += self.tokens.list.len() - first;
                return Ok(None);
            }
            self.marks = &self.marks[1..];
        }
    }

    fn element(&mut self) -> Result<Option<Within>, Reason> {
        let &[value, next] = self.marks.first_chunk().ok_or(Reason::InvalidJson)?;
        self.marks = &self.marks[1..];
        let token = match self.byte(value) {
            b'{' | b'[' => return self.open(Key::NONE, value, next),
            b'"' => self.string(Key::NONE, value, next)?,
            _ => self.word(Key::NONE, value, next)?,
        };
        self.tokens.list.push(token);
        Ok(None)
    }

    /// An object or array that is empty, or its bracket.
    fn open(&mut self, key: Key, at: u32, next: u32) -> Result<Option<Within>, Reason> {
        let within = Within::of(self.byte(at));
        self.tokens.open(key, at, within, self.depth_max).ok_or(Reason::TooDeep)?;
        if self.byte(next) != within.end() {
            return Ok(Some(within));
        }
        self.marks = &self.marks[1..];
        self.tokens.close(next);
        Ok(None)
    }

    /// Over brackets that close, to the comma before a further member or element; none at the end.
    #[inline]
    fn comma(&mut self) -> Result<Option<Within>, Reason> {
        while let Some(within) = self.tokens.within() {
            let (&mark, ahead) = self.marks.split_first().ok_or(Reason::InvalidJson)?;
            self.marks = ahead;
            match self.byte(mark) {
                b',' => return Ok(Some(within)),
                end if end == within.end() => self.tokens.close(mark),
                _ => return Err(Reason::InvalidJson),
            }
        }
        Ok(None)
    }

    /// Where the text before the mark `next` ends, white space left out.
    #[inline]
    fn end_before(&self, next: u32) -> u32 {
        if next > 0 && self.byte(next - 1) > b' ' { next } else { self.end_before_space(next) }
    }

    #[cold]
    fn end_before_space(&self, next: u32) -> u32 {
        let mut end = next;
        while end > 0 && matches!(self.byte(end - 1), b' ' | b'\t' | b'\n' | b'\r') {
            end -= 1;
        }
        end
    }

    /// The closing quote of the string that begins with `quote`, before the mark `next`.
    #[inline]
    fn closing(&self, quote: u32, next: u32) -> Result<u32, Reason> {
        let end = self.end_before(next).wrapping_sub(1);
        if end > quote && self.byte(end) == b'"' { Ok(end) } else { Err(Reason::InvalidJson) }
    }

    #[inline]
    fn key(&mut self, quote: u32, next: u32) -> Result<Key, Reason> {
        let (start, end) = (quote + 1, self.closing(quote, next)?);
        if self.backslash < end as usize {
            return Ok(Key { start: self.escaped(start, end)?, end: Key::ESCAPED, id: None });
        }
        let names = &mut self.tokens.names;
        let id = match names.guess(self.source.as_bytes(), start as usize, b'"') {
            Some(guess) if guess == end as usize => names.take_guess(),
            _ => names.take(&self.source[start as usize..end as usize]),
        };
        Ok(Key { start, end, id })
    }

    #[inline]
    fn string(&mut self, key: Key, quote: u32, next: u32) -> Result<Token, Reason> {
        let (start, end) = (quote + 1, self.closing(quote, next)?);
        let is_escaped = self.backslash < end as usize;
        let kind = if is_escaped { Kind::Escaped(self.escaped(start, end)?) } else { Kind::Plain };
        Ok(Token { key, start, end, kind })
    }

    #[cold]
    fn escaped(&mut self, start: u32, end: u32) -> Result<u32, Reason> {
        let index = self.tokens.unescape(&self.source[start as usize..end as usize])?;
        let rest = &self.source.as_bytes()[end as usize..];
        self.backslash = memchr(b'\\', rest).map_or(usize::MAX, |n| end as usize + n);
        Ok(index)
    }

    #[inline]
    fn word(&self, key: Key, start: u32, next: u32) -> Result<Token, Reason> {
        let end = self.end_before(next);
        let text = self.source.as_bytes().get(start as usize..end as usize).unwrap_or_default();
        // The first byte decides what is compared: each word is one comparison then.
        let kind = match text.first() {
            Some(b'1'..=b'9') if self.are_digits(start, text) => Kind::Literal,
            Some(b'0') if text.len() == 1 => Kind::Literal,
            Some(b'n') if *text == *b"null" => Kind::Null,
            Some(b't') if *text == *b"true" => Kind::Literal,
            Some(b'f') if *text == *b"false" => Kind::Literal,
            _ if is_json_number(text) => Kind::Literal,
            _ => return Err(Reason::InvalidJson),
        };
        Ok(Token { key, start, end, kind })
    }

    /// True for digits only; eight are looked at together.
    #[inline]
    fn are_digits(&self, start: u32, text: &[u8]) -> bool {
        const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
        const ABOVE_NINE: u64 = u64::from_ne_bytes([0x76; 8]);
        const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
        match self.source.as_bytes()[start as usize..].first_chunk::<8>() {
            Some(bytes) if text.len() <= 8 => {
                let values = u64::from_le_bytes(*bytes) ^ ZEROS;
                // The high bit of each byte that is no digit.
                let others = (((values & !HIGH) + ABOVE_NINE) | values) & HIGH;
                others.trailing_zeros() as usize / 8 >= text.len()
            }
            _ => text.iter().all(u8::is_ascii_digit),
        }
    }
}

/// RFC 8259, section 6.
pub(super) fn is_json_number(text: &[u8]) -> bool {
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

/// Appends what a string's JSON text means. RFC 8259, section 7; half a surrogate pair means nothing.
fn unescape(text: &str, out: &mut String) -> Result<(), Reason> {
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1).ok_or(Reason::InvalidJson)?;
        let mut len = 2;
        out.push(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (read, c) = code_point(&rest.as_bytes()[at..])?;
                len = read;
                c
            }
            _ => return Err(Reason::InvalidJson),
        });
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    Ok(())
}

/// `\uXXXX`, or two of them that are a surrogate pair: how long it is, and what it means.
fn code_point(text: &[u8]) -> Result<(usize, char), Reason> {
    let high = hex(text).ok_or(Reason::InvalidJson)?;
    match high {
        0xd800..=0xdbff => {
            let low = hex(&text[6..]).filter(|low| (0xdc00..=0xdfff).contains(low)).ok_or(Reason::InvalidJson)?;
            let c = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            Ok((12, c.ok_or(Reason::InvalidJson)?))
        }
        // Half a pair would be no UTF-8.
        _ => Ok((6, char::from_u32(high).ok_or(Reason::InvalidUtf8)?)),
    }
}

/// The four digits after `\u`.
fn hex(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |n, &d| Some(n << 4 | char::from(d).to_digit(16)?))
}
