//! A long line that is an array of records -> its elements.
//!
//! Clouds deliver files of many megabytes in one line: `{"Records":[{…},{…}]}`. What passes the line limit as a whole passes
//! as its elements, one after the other, each held by itself. Only the brackets and strings of JSON are understood here: what
//! is no JSON comes out as elements that the decoder refuses, so that every byte beside the brackets, commas and blanks between
//! elements is in one of them.

use std::io::{self, BufRead, ErrorKind};

use memchr::memchr3;

/// The most bytes that a head may have, blanks included. A line limit below it splits nothing.
pub(super) const HEAD_MAX: usize = 32;

/// The length of `{"Records":[`, in capitals or not and with blanks, if that is what a line begins with.
pub(super) fn head_len(line: &[u8]) -> Option<usize> {
    let line = &line[..line.len().min(HEAD_MAX)];
    let mut rest = line;
    for word in [&b"{"[..], b"\"records\"", b":", b"["] {
        rest = rest.trim_ascii_start();
        let (start, after) = rest.split_at_checked(word.len())?;
        rest = start.eq_ignore_ascii_case(word).then_some(after)?;
    }
    Some(line.len() - rest.len())
}

/// Where in a line the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Array,
    Text,
    /// After a backslash in a text.
    Escaped,
    /// Behind the array.
    Behind,
    /// The line has ended.
    Ended,
}

/// The elements of an array, read from a reader that stands behind the array's head.
#[derive(Debug)]
pub(super) struct Elements {
    /// What was taken from the reader before it was known what it is.
    before: Vec<u8>,
    /// How far that is read; beyond its end, bytes of the reader that belong to the head.
    at: usize,
    state: State,
    /// Brackets that are open within the element.
    depth: u32,
    /// Bytes of the element so far.
    len: u64,
}

impl Elements {
    /// `before` and what follows in the reader begin with `head` bytes that are not the elements'.
    pub(super) fn new(before: Vec<u8>, head: usize) -> Self {
        Self { before, at: head, state: State::Array, depth: 0, len: 0 }
    }

    /// Writes the next element, or the beginning of it up to the limit, behind what `out` holds of it; false at the end of
    /// the line. `bytes` counts what is taken from the reader.
    ///
    /// # Errors
    /// As the reader. `out` then holds the beginning of the element under way.
    pub(super) fn next(
        &mut self,
        reader: &mut impl BufRead,
        bytes: &mut u64,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> io::Result<bool> {
        while self.state != State::Ended {
            if self.at < self.before.len() {
                let before = std::mem::take(&mut self.before);
                let (used, is_whole) = self.scan(&before[self.at..], out, limit);
                (self.before, self.at) = (before, self.at + used);
                if is_whole {
                    return Ok(true);
                }
                continue;
            }
            let of_head = self.at - self.before.len();
            let buffer = match reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if buffer.is_empty() {
                return Ok(self.end_line(out));
            }
            let skipped = of_head.min(buffer.len());
            let (used, is_whole) = self.scan(&buffer[skipped..], out, limit);
            *bytes += (skipped + used) as u64;
            reader.consume(skipped + used);
            (self.before, self.at) = (Vec::new(), of_head - skipped);
            if is_whole {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The length of the element that was just given.
    pub(super) fn take_len(&mut self) -> u64 {
        std::mem::take(&mut self.len)
    }

    /// Reads on: how many bytes were used, and whether an element ends there.
    fn scan(&mut self, part: &[u8], out: &mut Vec<u8>, limit: usize) -> (usize, bool) {
        let (mut from, mut at) = (0, 0);
        while at < part.len() {
            let byte = part[at];
            if byte == b'\n' {
                self.hold(&part[from..at], out, limit);
                return (at + 1, self.end_line(out));
            }
            match (self.state, byte) {
                (State::Text, b'"') => self.state = State::Array,
                (State::Text, b'\\') => self.state = State::Escaped,
                (State::Text, _) => {
                    at += memchr3(b'"', b'\\', b'\n', &part[at..]).unwrap_or(part.len() - at);
                    continue;
                }
                (State::Escaped, _) => self.state = State::Text,
                (State::Array, b'"') => self.state = State::Text,
                (State::Array, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (State::Array, b',' | b']') if self.depth == 0 => {
                    self.hold(&part[from..at], out, limit);
                    if byte == b']' {
                        self.state = State::Behind;
                    }
                    if self.end_element(out) {
                        return (at + 1, true);
                    }
                    from = at + 1;
                }
                (State::Array, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        self.hold(&part[from..], out, limit);
        (part.len(), false)
    }

    /// Takes the bytes into the element, without blanks before its first.
    fn hold(&mut self, part: &[u8], out: &mut Vec<u8>, limit: usize) {
        let part = if self.len == 0 { part.trim_ascii_start() } else { part };
        self.len += part.len() as u64;
        out.extend_from_slice(&part[..part.len().min(limit.saturating_sub(out.len()))]);
    }

    /// True if there is something before the separator. Blanks behind it are taken off, unless it is cut anyway.
    fn end_element(&mut self, out: &mut Vec<u8>) -> bool {
        if self.len == out.len() as u64 {
            out.truncate(out.trim_ascii_end().len());
            self.len = out.len() as u64;
        }
        self.len > 0
    }

    /// The line ends: true if it leaves an element that was not closed, or something behind the array.
    fn end_line(&mut self, out: &mut Vec<u8>) -> bool {
        let was_behind = self.state == State::Behind;
        self.state = State::Ended;
        let is_closed = was_behind && out.trim_ascii() == b"}";
        if is_closed {
            out.clear();
            self.len = 0;
        }
        self.end_element(out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::super::lines::Lines;
    use super::*;

    /// The limit of the tests: the least that splits.
    const LIMIT: usize = HEAD_MAX;

    fn lines(text: &str, buffer: usize) -> Vec<(String, u64)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text.as_bytes()), LIMIT, true);
        let mut got = Vec::new();
        let mut take = |line: &[u8], full| got.push((String::from_utf8_lossy(line).into_owned(), full));
        while lines.next(&mut take).expect("memory") {}
        assert_eq!(lines.bytes(), text.len() as u64);
        got
    }

    fn whole(texts: &[&str]) -> Vec<(String, u64)> {
        texts.iter().map(|text| ((*text).to_owned(), text.len() as u64)).collect()
    }

    #[test]
    fn heads() {
        for (line, len) in [
            ("{\"Records\":[{}]}", Some(12)),
            (" { \"records\" : [ 1", Some(16)),
            ("{\"Records\":{}}", None),
            ("{\"Record\":[]}", None),
            ("{\"Records\":", None),
            ("[{}]", None),
            ("", None),
        ] {
            assert_eq!(head_len(line.as_bytes()), len, "{line}");
        }
        assert_eq!(head_len(format!("{{\"Records\":{}[", " ".repeat(HEAD_MAX)).as_bytes()), None);
    }

    #[test]
    fn a_long_array_is_split_and_nothing_of_it_is_lost() {
        let a = r#"{"a":"[1,2]},\"\\","b":[{},[]]}"#;
        for (text, want) in [
            (format!("{{\"Records\":[{a},{a}]}}\nnext"), vec![a, a, "next"]),
            (format!("{{\"Records\": [ {a} , 7,\"x, y\" ] }}\r\nnext\n"), vec![a, "7", "\"x, y\"", "next"]),
            (format!("\u{feff}{{ \"records\":[{a}]}}"), vec![a]),
            (format!("{{\"Records\":[{a},,]}}\n\n"), vec![a, ""]),
            (format!("{{\"Records\":[{a}],\"more\":1}}\nnext"), vec![a, ",\"more\":1}", "next"]),
            (format!("{{\"Records\":[{a},{{\"cut\":\"o\n{{}}"), vec![a, "{\"cut\":\"o", "{}"]),
            (format!("{{\"Records\":[{a}}}]}}]"), vec![&format!("{a}}}"), "}]"]),
            (format!("{{\"Records\":[{}]}}", " ".repeat(LIMIT)), vec![]),
        ] {
            for buffer in 1..text.len() + 2 {
                assert_eq!(lines(&text, buffer), whole(&want), "{text:?} with a buffer of {buffer}");
            }
        }
    }

    #[test]
    fn an_array_within_the_limit_is_a_line_and_an_element_past_it_is_cut() {
        let short = format!("{{\"Records\":[\"{}\"]}}", "x".repeat(LIMIT - 16));
        assert_eq!((short.len(), lines(&short, 7)), (LIMIT, whole(&[&short])));
        let (fits, long) = (format!("\"{}\"", "y".repeat(LIMIT - 2)), format!("\"{}\"", "z".repeat(LIMIT - 1)));
        let text = format!("{{\"Records\":[{fits},{long}]}}\n");
        let want = [(fits.clone(), LIMIT as u64), (long[..LIMIT].to_owned(), LIMIT as u64 + 1)];
        (1..200).for_each(|buffer| assert_eq!(lines(&text, buffer), want));
    }

    proptest! {
        #[test]
        fn the_elements_are_those_of_a_json_parser(
            elements in prop::collection::vec(r#"\{"k":("[a-z,\]\}]{0,9}(\\"|\\\\)?"|[1-9][0-9]{0,8}|\[[0-9],\{\}\]|null)\}"#, 3..9),
            blank in "[ \t]{0,2}",
            buffer in 1usize..90,
        ) {
            let text = format!("{{\"Records\":[{}]}}\n", elements.join(&format!("{blank},{blank}")));
            prop_assume!(text.len() > LIMIT + 1 && elements.iter().all(|e| e.len() <= LIMIT));
            let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(parsed["Records"].as_array().map(Vec::len), Some(elements.len()));
            let want: Vec<(String, u64)> = elements.iter().map(|e| (e.clone(), e.len() as u64)).collect();
            prop_assert_eq!(lines(&text, buffer), want);
        }
    }
}
