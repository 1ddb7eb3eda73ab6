//! A document without white space between its tokens, in one pass over its text.
//!
//! Nearly every record of a log is one. Its members come in the order of the document before, so that a key is compared instead of
//! looked for, and most values end within one block of bytes: to find all marks first costs more than it spares.
//! What is not as expected here is left to [`super::walk`], which takes it, or knows why nobody does.

use super::walk::{Key, Kind, Token, Tokens, Within, is_json_number};
use crate::decode::scan;

impl Tokens {
    /// Reads a document. None if it is no such one; the tokens are of no use then.
    pub(super) fn read_dense(&mut self, source: &str, depth_max: usize) -> Option<()> {
        self.begin();
        // Places are of 32 bits, and a block is looked at behind each.
        u32::try_from(source.len() + scan::BYTES).ok()?;
        Dense { tokens: self, source, at: 0, depth_max }.document()
    }
}

struct Dense<'t> {
    tokens: &'t mut Tokens,
    source: &'t str,
    at: usize,
    depth_max: usize,
}

impl Dense<'_> {
    fn document(mut self) -> Option<()> {
        let mut opened = self.element()?;
        loop {
            let within = match opened {
                Some(within) => within,
                None => match self.comma()? {
                    Some(within) => within,
                    None => return (self.at == self.source.len()).then_some(()),
                },
            };
            opened = if within == Within::Object { self.members()? } else { self.element()? };
        }
    }

    /// The byte that is next; 0 behind the last.
    #[inline]
    fn byte(&self) -> u8 {
        self.source.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    /// Members up to one whose value is an object or array, or up to the last.
    #[inline(never)]
    fn members(&mut self) -> Option<Option<Within>> {
        let first = self.tokens.list.len();
        loop {
            let key = self.key()?;
            let token = match self.byte() {
                b'"' => self.string(key)?,
                b'{' | b'[' => {
                    self.tokens.keys += self.tokens.list.len() + 1 - first;
                    return self.open(key);
                }
                _ => self.word(key)?,
            };
            self.tokens.list.push(token);
            if self.byte() != b',' {
                self.tokens.keys += self.tokens.list.len() - first;
                return Some(None);
            }
            self.at += 1;
        }
    }

    fn element(&mut self) -> Option<Option<Within>> {
        let token = match self.byte() {
            b'{' | b'[' => return self.open(Key::NONE),
            b'"' => self.string(Key::NONE)?,
            _ => self.word(Key::NONE)?,
        };
        self.tokens.list.push(token);
        Some(None)
    }

    /// An object or array that is empty, or its bracket.
    fn open(&mut self, key: Key) -> Option<Option<Within>> {
        let within = Within::of(self.byte());
        self.tokens.open(key, self.at as u32, within, self.depth_max)?;
        self.at += 1;
        if self.byte() != within.end() {
            return Some(Some(within));
        }
        self.tokens.close(self.at as u32);
        self.at += 1;
        Some(None)
    }

    /// Over brackets that close and the comma before a further member or element; none at the end.
    #[inline]
    fn comma(&mut self) -> Option<Option<Within>> {
        while let Some(within) = self.tokens.within() {
            match self.byte() {
                b',' => {
                    self.at += 1;
                    return Some(Some(within));
                }
                end if end == within.end() => self.tokens.close(self.at as u32),
                _ => return None,
            }
            self.at += 1;
        }
        Some(None)
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Option<Key> {
        if self.byte() != b'"' {
            return None;
        }
        let (bytes, start, names) = (self.source.as_bytes(), self.at + 1, &mut self.tokens.names);
        let (key, end) = match names.guess(bytes, start, b'"') {
            Some(end) => (Key { start: start as u32, end: end as u32, id: names.take_guess() }, end),
            None => self.unforeseen(start)?,
        };
        self.at = end + 2;
        (bytes.get(end + 1) == Some(&b':')).then_some(key)
    }

    /// A key that did not come after the one before it the last time, and where it ends.
    #[inline(never)]
    fn unforeseen(&mut self, start: usize) -> Option<(Key, usize)> {
        let end = self.plain_end(start)?;
        if self.source.as_bytes()[end] == b'"' {
            let id = self.tokens.names.take(&self.source[start..end]);
            return Some((Key { start: start as u32, end: end as u32, id }, end));
        }
        let (text, end) = self.escaped(start, end)?;
        Some((Key { start: text, end: Key::ESCAPED, id: None }, end))
    }

    #[inline]
    fn string(&mut self, key: Key) -> Option<Token> {
        let start = self.at + 1;
        let end = self.plain_end(start)?;
        let (kind, end) = match self.source.as_bytes()[end] {
            b'"' => (Kind::Plain, end),
            _ => {
                let (text, end) = self.escaped(start, end)?;
                (Kind::Escaped(text), end)
            }
        };
        self.at = end + 1;
        Some(Token { key, start: start as u32, end: end as u32, kind })
    }

    /// The quote or backslash that is first from a place on, with no control character before it.
    #[inline]
    fn plain_end(&self, mut at: usize) -> Option<usize> {
        let bytes = self.source.as_bytes();
        loop {
            let hits = scan::json_ends(&scan::block(bytes.get(at..)?).0);
            if hits != 0 {
                let end = at + hits.trailing_zeros() as usize;
                return bytes.get(end).filter(|byte| **byte >= b' ').map(|_| end);
            }
            at += scan::BYTES;
        }
    }

    /// The string that begins at `start` and has its first backslash at `at`: the index of its text, and where it ends.
    #[cold]
    fn escaped(&mut self, start: usize, at: usize) -> Option<(u32, usize)> {
        let (bytes, mut end) = (self.source.as_bytes(), at);
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                0..b' ' => return None,
                _ => end += 1,
            }
        }
        Some((self.tokens.unescape(&self.source[start..end]).ok()?, end))
    }

    /// A number, `true`, `false` or `null`.
    #[inline]
    fn word(&mut self, key: Key) -> Option<Token> {
        let (start, rest) = (self.at, self.source.as_bytes().get(self.at..)?);
        let (kind, len) = match rest.first()? {
            b'0'..=b'9' => (Kind::Literal, self.whole(rest).or_else(|| number(rest))?),
            b'n' if rest.starts_with(b"null") => (Kind::Null, 4),
            b't' if rest.starts_with(b"true") => (Kind::Literal, 4),
            b'f' if rest.starts_with(b"false") => (Kind::Literal, 5),
            _ => (Kind::Literal, number(rest)?),
        };
        self.at += len;
        Some(Token { key, start: start as u32, end: self.at as u32, kind })
    }

    /// The length of a number that is less than a block of digits.
    #[inline]
    fn whole(&self, rest: &[u8]) -> Option<usize> {
        let len = scan::digits(&scan::block(rest).0);
        let is_whole = matches!(rest.get(len), Some(b',' | b'}' | b']')) && (len == 1 || rest[0] != b'0');
        is_whole.then_some(len)
    }
}

/// The length of a number.
#[cold]
fn number(rest: &[u8]) -> Option<usize> {
    let len = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'))?;
    is_json_number(&rest[..len]).then_some(len)
}
