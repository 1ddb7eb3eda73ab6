//! `palisade decode --report`: what lines hold, in counts: formats, decoders, classes, log types, versions, what no table
//! knows, dead letters.

use std::collections::BTreeMap;
use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use dataflow::TableBatch;
use ingest::decode::{AutoDecoder, OTHER, Taken};
use serde::Serialize;

use super::{Events, keyword};
use crate::listing::Listing;

/// Kinds of events that are told apart; further log types and versions are counted as one.
const KINDS_MAX: usize = 10_000;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    events: u64,
    kinds: BTreeMap<Kind, u64>,
    dead_letters: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Kind {
    format: &'static str,
    decoder: &'static str,
    class: &'static str,
    log_type: String,
    version: String,
}

/// The report as it is printed.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    lines: u64,
    events: u64,
    kinds: Vec<Counted<'a>>,
    unknown: Vec<Unknown<'a>>,
    dead_letters: &'a BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    kind: &'a Kind,
    events: u64,
}

/// What no table knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Unknown<'a> {
    decoder: &'static str,
    kind: &'static str,
    name: &'a str,
    count: u64,
}

/// The columns of a batch that the report reads.
struct Columns {
    class: &'static str,
    log_name: Option<StringArray>,
    event_code: Option<StringArray>,
    version: Option<StringArray>,
    log_version: Option<StringArray>,
}

impl Report {
    /// Takes the events of a turn, with who took them, and its dead letters.
    pub(super) fn add(&mut self, taken: &[Taken], events: &Events, letters: Option<&RecordBatch>) {
        let columns: Vec<Columns> = events.batches.iter().map(Columns::of).collect();
        for Taken { offset, index, by, format, .. } in taken {
            let Ok(at) = events.order.binary_search_by_key(&(*offset, *index), |e| (e.0, e.1)) else { continue };
            let (_, _, batch, row) = events.order[at];
            self.count(columns[batch].kind(row, format, by));
        }
        for row in 0..letters.map_or(0, RecordBatch::num_rows) {
            let reason = letters.map_or("", |letters| keyword(letters, "reason", row));
            *self.dead_letters.entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn count(&mut self, mut kind: Kind) {
        self.events += 1;
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            (kind.log_type, kind.version) = (OTHER.to_owned(), OTHER.to_owned());
        }
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn printed<'a>(&'a self, lines: u64, decoder: &'a AutoDecoder) -> Printed<'a> {
        let mut unknown: Vec<Unknown<'_>> = decoder
            .seen()
            .map(|s| Unknown { decoder: s.by, kind: s.kind.name(), name: s.name, count: s.count })
            .collect();
        unknown.sort();
        let kinds = self.kinds.iter().map(|(kind, events)| Counted { kind, events: *events }).collect();
        Printed { lines, events: self.events, kinds, unknown, dead_letters: &self.dead_letters }
    }

    /// Prints it as JSON.
    pub(super) fn write_json(&self, lines: u64, decoder: &AutoDecoder, out: &mut impl Write) -> anyhow::Result<()> {
        Ok(writeln!(out, "{}", serde_json::to_string(&self.printed(lines, decoder))?)?)
    }

    /// Prints it as tables on a terminal, as lines elsewhere.
    pub(super) fn write_text(
        &self,
        lines: u64,
        decoder: &AutoDecoder,
        out: &mut impl Write,
        terminal: bool,
    ) -> std::io::Result<()> {
        let printed = self.printed(lines, decoder);
        let mut kinds = Listing::new(&["format", "decoder", "class", "log type", "version", "events"], &[5]);
        for Counted { kind, events } in &printed.kinds {
            let Kind { format, decoder, class, log_type, version } = kind;
            let texts = [*format, *decoder, *class, log_type.as_str(), version.as_str()].map(str::to_owned);
            kinds.push(texts.into_iter().chain([events.to_string()]).collect());
        }
        kinds.write(out, terminal)?;
        let mut unknown = Listing::new(&["unknown", "decoder", "name", "count"], &[3]);
        for Unknown { decoder, kind, name, count } in &printed.unknown {
            unknown.push(vec![(*kind).to_owned(), (*decoder).to_owned(), (*name).to_owned(), count.to_string()]);
        }
        unknown.write(out, terminal)?;
        let mut dead = Listing::new(&["dead letters", "count"], &[1]);
        printed.dead_letters.iter().for_each(|(reason, count)| dead.push(vec![reason.clone(), count.to_string()]));
        dead.write(out, terminal)?;
        let mut totals = Listing::new(&["total", "count"], &[1]);
        totals.push(vec!["lines".to_owned(), lines.to_string()]);
        totals.push(vec!["events".to_owned(), self.events.to_string()]);
        totals.write(out, terminal)
    }
}

impl Columns {
    fn of(batch: &TableBatch) -> Self {
        let column = |path: &[&str]| texts(&batch.rows, path);
        Self {
            class: batch.table.name(),
            log_name: column(&["metadata", "log_name"]),
            event_code: column(&["metadata", "event_code"]),
            version: column(&["metadata", "product", "version"]),
            log_version: column(&["metadata", "log_version"]),
        }
    }

    fn kind(&self, row: usize, format: &'static str, decoder: &'static str) -> Kind {
        let text =
            |column: &Option<StringArray>| column.as_ref().filter(|c| !c.is_null(row)).map(|c| c.value(row).to_owned());
        let log_type = text(&self.log_name).or_else(|| text(&self.event_code)).unwrap_or_default();
        let version = text(&self.version).or_else(|| text(&self.log_version)).unwrap_or_default();
        Kind { format, decoder, class: self.class, log_type, version }
    }
}

/// The texts of a column within structs; none if there is no such column.
fn texts(rows: &RecordBatch, path: &[&str]) -> Option<StringArray> {
    let (first, rest) = path.split_first()?;
    let mut column: ArrayRef = rows.column_by_name(first)?.clone();
    for name in rest {
        column = column.as_struct_opt()?.column_by_name(name)?.clone();
    }
    Some(cast(&column, &DataType::Utf8).ok()?.as_string::<i32>().clone())
}

#[cfg(test)]
mod tests {
    use dataflow::{BatchBuilder, ChunkBuilder, DeadLetters, Decoder, PartitionId};
    use ingest::decode::DecodeConfig;

    use super::*;

    #[test]
    fn what_lines_hold_in_counts() {
        let mut decoder = AutoDecoder::new(DecodeConfig::default());
        decoder.explain();
        let mut chunk = ChunkBuilder::new(PartitionId::new("stdin", "0", 0), "t".into(), 0);
        let flow = "2 111122223333 eni-1 10.0.0.1 10.0.0.2 1024 443 6 1 40 1795168740 1795168800 ACCEPT OK";
        for (line, offset) in [flow, flow, "{", "hello"].into_iter().zip(0..) {
            chunk.push(line.as_bytes(), offset, 1_795_168_800_000_000);
        }
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        decoder.decode(&chunk.finish(), &mut rows, &mut dead);
        let (events, letters) = (Events::new(rows.finish()), dead.finish().map(|b| b.rows));
        let mut report = Report::default();
        report.add(&decoder.take_taken(), &events, letters.as_ref());
        let mut out = Vec::new();
        report.write_text(4, &decoder, &mut out, false).expect("a buffer takes all");
        let want = "format\tdecoder\tclass\tlog type\tversion\tevents\n\
                    text\tbase_event\tbase_event\t\t\t1\n\
                    vpc-flow\tvpc_flow\tnetwork_activity\tVPC Flow Logs\t2\t2\n\
                    unknown\tdecoder\tname\tcount\nlog_type\tbase_event\ttext\t1\n\
                    dead letters\tcount\ninvalid_json\t1\ntotal\tcount\nlines\t4\nevents\t3\n";
        assert_eq!(String::from_utf8(out).expect("text"), want);
        let mut out = Vec::new();
        report.write_json(4, &decoder, &mut out).expect("a buffer takes all");
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((&json["kinds"][1]["events"], &json["dead_letters"]["invalid_json"]), (&2.into(), &1.into()));
    }
}
