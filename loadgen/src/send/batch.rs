//! Records that are sent together, framed for the wire.

use std::ops::Range;

use serde::Serialize;

use super::feed::Item;

/// What stands around a record on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: a datagram holds one record (RFC 5426).
    Datagram,
    /// A line feed after it (RFC 6587, section 3.4.2); also files and NDJSON.
    Line,
    /// Its length before it (RFC 6587, section 3.4.1, and RFC 5425).
    Octets,
    /// Splunk's event: a JSON object with the record as a string.
    Hec,
}

/// The object that Splunk's collector takes.
#[derive(Serialize)]
struct HecEvent<'a> {
    /// Seconds UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    host: &'a str,
    source: &'a str,
    event: &'a str,
}

/// Whose records a batch holds, for targets that are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) tenant: String,
    pub(crate) topic: String,
    pub(crate) number: i32,
    /// `topic/number`
    pub(crate) source: String,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its bytes end.
    end: usize,
    due_us: i64,
}

/// Records in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    first: Option<Item>,
}

impl Batch {
    pub(crate) fn push(&mut self, framing: Framing, line: &[u8], item: Item, origin: &Origin) {
        match framing {
            Framing::Datagram => self.bytes.extend_from_slice(line),
            Framing::Line => {
                self.bytes.extend_from_slice(line);
                self.bytes.push(b'\n');
            }
            Framing::Octets => {
                self.bytes.extend_from_slice(line.len().to_string().as_bytes());
                self.bytes.push(b' ');
                self.bytes.extend_from_slice(line);
            }
            Framing::Hec => self.push_hec(line, item, origin),
        }
        self.first.get_or_insert(item);
        self.entries.push(Entry { end: self.bytes.len(), due_us: item.due_us });
    }

    /// JSON has no bytes but UTF-8: what is none becomes U+FFFD, here only.
    fn push_hec(&mut self, line: &[u8], item: Item, origin: &Origin) {
        let time = (item.due_us > 0).then(|| item.due_us.div_euclid(1_000) as f64 / 1e3);
        let event = String::from_utf8_lossy(line);
        let event = HecEvent { time, host: &origin.tenant, source: &origin.source, event: &event };
        serde_json::to_writer(&mut self.bytes, &event).expect("strings and a finite number are JSON; memory takes all");
        self.bytes.push(b'\n');
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.first = None;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The first record's place; none if there is none.
    pub(crate) fn first(&self) -> Option<Item> {
        self.first
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of one record, framing included.
    pub(crate) fn record(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.entries[at].end]
    }

    /// Where the bytes of a record start; of the one after the last, where all end.
    pub(crate) fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.entries[before].end)
    }

    /// How many records lie whole in the first `bytes`.
    pub(crate) fn whole(&self, bytes: usize) -> usize {
        self.entries.partition_point(|e| e.end <= bytes)
    }

    /// When these records were intended to be sent.
    pub(crate) fn due_us(&self, records: Range<usize>) -> impl Iterator<Item = i64> + '_ {
        self.entries[records].iter().map(|e| e.due_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(framing: Framing, lines: &[&[u8]]) -> Batch {
        let origin = Origin { tenant: "acme".to_owned(), topic: "t".to_owned(), number: 3, source: "t/3".to_owned() };
        let mut batch = Batch::default();
        for (offset, line) in (0..).zip(lines) {
            batch.push(framing, line, Item { partition: 3, offset, due_us: 1_500_000 * offset }, &origin);
        }
        batch
    }

    #[test]
    fn each_framing_is_its_own() {
        let lines = [b"one".as_slice(), b"twelve bytes"];
        assert_eq!(batch(Framing::Datagram, &lines).bytes(), b"onetwelve bytes");
        assert_eq!(batch(Framing::Line, &lines).bytes(), b"one\ntwelve bytes\n");
        assert_eq!(batch(Framing::Octets, &lines).bytes(), b"3 one12 twelve bytes");
        let hec = batch(Framing::Hec, &[b"a\"b", b"\xff"]);
        assert_eq!(hec.record(0), b"{\"host\":\"acme\",\"source\":\"t/3\",\"event\":\"a\\\"b\"}\n");
        let second = "{\"time\":1.5,\"host\":\"acme\",\"source\":\"t/3\",\"event\":\"\u{fffd}\"}\n";
        assert_eq!(hec.record(1), second.as_bytes());
    }

    #[test]
    fn a_record_that_is_cut_is_not_whole() {
        let mut batch = batch(Framing::Line, &[b"ab", b"c"]);
        let whole: Vec<usize> = (0..=5).map(|bytes| batch.whole(bytes)).collect();
        assert_eq!(whole, [0, 0, 0, 1, 1, 2]);
        assert_eq!((batch.start(0), batch.start(1), batch.start(2)), (0, 3, 5));
        assert_eq!(batch.due_us(1..2).collect::<Vec<_>>(), [1_500_000]);
        batch.clear();
        assert!(batch.len() == 0 && batch.first().is_none());
    }
}
