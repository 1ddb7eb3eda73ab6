//! A JSON text, as decoders write it -> the values at a path in it. Nothing is built: the text is read once, from left to right.
//!
//! A path is names divided by dots. A name of the text may hold dots itself: `a.b` is found as `{"a":{"b":1}}` and as `{"a.b":1}`.
//! Of a list, every element is at the path. What is no JSON holds no values.

use std::borrow::Cow;

/// What a value is, beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text, number, or true or false, as it is written.
    Scalar,
    /// An object as JSON.
    Object,
    /// A text somewhere within an object.
    Inner,
}

/// Gives every value at the path to `found`, until it says that it has seen enough. True if it did.
pub(crate) fn visit(json: &str, path: &str, found: &mut impl FnMut(&str, Kind) -> bool) -> bool {
    Reader { text: json, at: 0 }.value(path, Kind::Scalar, found).unwrap_or(false)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// A value, of which the rest of the path is looked for; None at the end of a text that is cut.
    fn value(&mut self, path: &str, kind: Kind, found: &mut impl FnMut(&str, Kind) -> bool) -> Option<bool> {
        self.space();
        match self.peek()? {
            b'{' if path.is_empty() => self.object(kind, found),
            b'{' => self.members(path, found),
            b'[' => self.elements(path, kind, found),
            b'"' => {
                let raw = self.string()?;
                Some(path.is_empty() && found(&unescaped(raw), kind))
            }
            _ => {
                let word = self.word();
                Some(path.is_empty() && word != "null" && found(word, kind))
            }
        }
    }

    /// The object that the path leads to: as JSON, then each text in it.
    fn object(&mut self, kind: Kind, found: &mut impl FnMut(&str, Kind) -> bool) -> Option<bool> {
        let start = self.at;
        if kind == Kind::Scalar {
            self.skip()?;
            if found(&self.text[start..self.at], Kind::Object) {
                return Some(true);
            }
            self.at = start;
        }
        self.at += 1;
        while self.another(b'}')? {
            self.key()?;
            if self.value("", Kind::Inner, found)? {
                return Some(true);
            }
        }
        Some(false)
    }

    fn members(&mut self, path: &str, found: &mut impl FnMut(&str, Kind) -> bool) -> Option<bool> {
        self.at += 1;
        while self.another(b'}')? {
            let key = unescaped(self.key()?);
            let rest = match path.strip_prefix(&*key) {
                Some("") => Some(""),
                Some(rest) => rest.strip_prefix('.'),
                None => None,
            };
            match rest {
                Some(rest) if self.value(rest, Kind::Scalar, found)? => return Some(true),
                Some(_) => {}
                None => self.skip()?,
            }
        }
        Some(false)
    }

    fn elements(&mut self, path: &str, kind: Kind, found: &mut impl FnMut(&str, Kind) -> bool) -> Option<bool> {
        self.at += 1;
        while self.another(b']')? {
            if self.value(path, kind, found)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// True before another member or element; behind the end, false.
    fn another(&mut self, end: u8) -> Option<bool> {
        self.space();
        while self.peek()? == b',' {
            self.at += 1;
            self.space();
        }
        let is_end = self.peek()? == end;
        self.at += usize::from(is_end);
        Some(!is_end)
    }

    /// A member's name, up to its value.
    fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?;
        self.space();
        (self.peek()? == b':').then(|| self.at += 1)?;
        Some(key)
    }

    /// What stands between quotes, escapes and all.
    fn string(&mut self) -> Option<&'a str> {
        (self.peek()? == b'"').then_some(())?;
        let (bytes, start) = (self.text.as_bytes(), self.at + 1);
        let mut end = start;
        loop {
            end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
            if bytes[end] == b'"' {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// A number, true, false or null.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Goes behind the value that begins here.
    fn skip(&mut self) -> Option<()> {
        self.space();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => {
                    self.at += 1;
                    continue;
                }
                _ => drop(self.word_in_pair()),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// As [`Reader::word`], never empty.
    fn word_in_pair(&mut self) -> &'a str {
        let word = self.word();
        self.at += usize::from(word.is_empty());
        word
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The text that a JSON string stands for.
fn unescaped(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    match serde_json::from_str(&format!("\"{raw}\"")) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(json: &str, path: &str) -> Vec<String> {
        let mut seen = Vec::new();
        visit(json, path, &mut |text, kind| {
            seen.push(format!("{}{text}", if kind == Kind::Inner { "~" } else { "" }));
            false
        });
        seen
    }

    #[test]
    fn values_at_a_path() {
        let json = r#"{ "a": {"b": [1, {"c": "x\"y"}, "z"], "n": null} , "d.e": true, "a.b": -1.50, "": 7 }"#;
        for (path, want) in [
            ("a.b", &["1", r#"{"c": "x\"y"}"#, r#"~x"y"#, "z", "-1.50"][..]),
            ("a.b.c", &["x\"y"]),
            ("a.n", &[]),
            ("d.e", &["true"]),
            ("d", &[]),
            ("e", &[]),
            ("a.b.c.d", &[]),
        ] {
            assert_eq!(all(json, path), want, "{path}");
        }
    }

    #[test]
    fn an_object_is_its_json_and_what_is_in_it() {
        assert_eq!(all(r#"{"a":{"b":{"c":1},"d":["e"]}}"#, "a"), [r#"{"b":{"c":1},"d":["e"]}"#, "~1", "~e"]);
        assert_eq!(all(r#"{"a":[]}"#, "a"), [""; 0]);
        assert_eq!(all("\"text\"", ""), ["text"]);
    }

    #[test]
    fn it_ends_when_enough_is_seen() {
        let mut seen = 0;
        assert!(visit(r#"{"a":[1,2,3]}"#, "a", &mut |_, _| {
            seen += 1;
            seen == 2
        }));
        assert_eq!(seen, 2);
    }

    #[test]
    fn what_is_no_json_holds_nothing_and_ends() {
        let json = r#"{"a":{"b":[1,"x\\",{"c":true}]},"d":"e"}"#;
        for cut in (0..json.len()).filter(|&cut| json.is_char_boundary(cut)) {
            all(&json[..cut], "a.b");
            all(&json[cut..], "d");
        }
        assert_eq!(all("", "a"), [""; 0]);
        assert_eq!(all("{]}", "a"), [""; 0]);
    }
}
