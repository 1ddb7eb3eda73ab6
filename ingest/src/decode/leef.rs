//! IBM Log Event Extended Format: `LEEF:1.0|vendor|product|version|event|key=value<tab>…`; version 2.0 may name another
//! delimiter in a sixth field, as the character itself or its code (`x09`, `0x5E`).

use super::cef::{bar, push_header};
use super::kv::{self, Dialect};
use super::pairs::Pairs;

/// Names of the header's fields, in order.
pub(crate) const HEADER: [&str; 4] = ["vendor", "product", "version", "event_class"];

/// Splits an event whose `LEEF:` begins at `start`; false if it lacks part of the header.
pub(crate) fn split(line: &str, start: usize, pairs: &mut Pairs) -> bool {
    let Some(mut at) = bar(line.as_bytes(), start) else { return false };
    let is_second = line[start..at].starts_with("LEEF:2");
    for name in HEADER {
        let from = at + 1;
        let Some(end) = bar(line.as_bytes(), from) else { return false };
        push_header(line, name, from..end, pairs);
        at = end;
    }
    let (pair, from) = if is_second { delimiter(line, at + 1) } else { (b'\t', at + 1) };
    let dialect = Dialect { pair, value: b'=', quote: None, escapes: false };
    kv::split(line, from..line.len(), dialect, pairs);
    true
}

/// The delimiter that a 2.0 header names, and where the attributes begin. The field may be missing altogether.
fn delimiter(line: &str, from: usize) -> (u8, usize) {
    let field = &line[from..];
    let Some(end) = field.find('|').filter(|end| *end <= 4) else { return (b'\t', from) };
    let code = field[..end].trim_start_matches('0').strip_prefix(['x', 'X']);
    let byte = match (code, field.as_bytes()[..end].first_chunk::<1>()) {
        (Some(code), _) if !code.is_empty() => u8::from_str_radix(code, 16).ok().filter(u8::is_ascii),
        (_, Some([byte])) if end == 1 && byte.is_ascii() => Some(*byte),
        (_, None) => Some(b'\t'),
        _ => None,
    };
    byte.map_or((b'\t', from), |byte| (byte, from + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Option<Vec<String>> {
        Pairs::texts_of(line, split)
    }

    #[test]
    fn both_versions_and_their_delimiters() {
        for line in [
            "LEEF:1.0|V|P|1|E|src=192.0.2.1\tmsg=a b=c\tusr=",
            "LEEF:2.0|V|P|1|E|src=192.0.2.1\tmsg=a b=c\tusr=",
            "LEEF:2.0|V|P|1|E||src=192.0.2.1\tmsg=a b=c\tusr=",
            "LEEF:2.0|V|P|1|E|^|src=192.0.2.1^msg=a b=c^usr=",
            "LEEF:2.0|V|P|1|E|x5E|src=192.0.2.1^msg=a b=c^usr=",
            "LEEF:2.0|V|P|1|E|0x5e|src=192.0.2.1^msg=a b=c^usr=",
        ] {
            let found = pairs(line).expect(line);
            assert_eq!(found[..4], ["vendor=V", "product=P", "version=1", "event_class=E"], "{line}");
            assert_eq!(found[4..], ["src=192.0.2.1", "msg=a b=c", "usr="], "{line}");
        }
        assert_eq!(pairs("LEEF:1.0|V|P|1"), None);
    }
}
