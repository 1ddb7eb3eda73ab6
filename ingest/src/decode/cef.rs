//! ArcSight Common Event Format: `CEF:0|vendor|product|version|event class|name|severity|key=value …`.
//!
//! In the header `\|` and `\\` are escapes, in the extension `\=`, `\\`, `\n` and `\r`. `cs1Label=Rule` gives `cs1` the name
//! `Rule`.

use std::ops::Range;

use memchr::memchr2;

use super::kv::{self, Dialect};
use super::pairs::Pairs;

/// Names of the header's fields, in order.
pub(crate) const HEADER: [&str; 6] = ["vendor", "product", "version", "event_class", "name", "severity"];

/// Splits an event whose `CEF:` begins at `start`; false if it lacks part of the header.
pub(crate) fn split(line: &str, start: usize, pairs: &mut Pairs) -> bool {
    let Some(mut at) = bar(line.as_bytes(), start) else { return false };
    for name in HEADER {
        let from = at + 1;
        let Some(end) = bar(line.as_bytes(), from) else { return false };
        push_header(line, name, from..end, pairs);
        at = end;
    }
    kv::split(line, at + 1..line.len(), Dialect::CEF, pairs);
    pairs.apply_labels(line);
    true
}

/// A header field with its escapes undone.
pub(super) fn push_header(line: &str, name: &'static str, range: Range<usize>, pairs: &mut Pairs) {
    let value = pairs.unescape(line, range, |byte| matches!(byte, b'|' | b'\\').then_some(byte));
    pairs.push_named(name, value);
}

/// The next bar that is not escaped.
pub(super) fn bar(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr2(b'|', b'\\', bytes.get(from..)?)?;
        if bytes[at] == b'|' {
            return Some(at);
        }
        from = at + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Option<Vec<String>> {
        Pairs::texts_of(line, split)
    }

    #[test]
    fn header_and_extension_with_their_escapes() {
        let line = r"CEF:0|Acme \| Co|Wall|1.0|100|a \\ b|7|src=192.0.2.1 msg=a\=b and c\nd  request=/x?y=1 act=";
        let want = [
            "vendor=Acme | Co",
            "product=Wall",
            "version=1.0",
            "event_class=100",
            r"name=a \ b",
            "severity=7",
            "src=192.0.2.1",
            "msg=a=b and c\nd",
            "request=/x?y=1",
            "act=",
        ];
        assert_eq!(pairs(line).expect("an event"), want);
        assert_eq!(pairs("CEF:0|v|p|1|2|n|Low|").map(|p| p.len()), Some(6), "an event may lack an extension");
        assert_eq!(pairs("CEF:0|v|p|1|2|n|Low"), None);
    }

    #[test]
    fn a_label_names_its_value() {
        let found = pairs("CEF:0|v|p|1|2|n|1|cs1=allow all cs1Label=Rule Name cn1Label=Hits cn1=5 cs2Label=None here");
        assert_eq!(found.expect("an event")[6..], ["Rule Name=allow all", "Hits=5", "cs2Label=None here"]);
    }
}
