//! Records -> OCSF rows and dead letters.
//!
//! **Data in:** the records of a [`Chunk`]: PAN-OS syslog (CSV, CEF, LEEF), Strata Logging Service JSON, CloudTrail JSON, VPC flow logs, or
//! anything.
//! **Data out:** rows in the builder of each event's class, dead letters for the rest.
//!
//! Every record ends in at least one row or in exactly one dead letter, never in both. A JSON object of no known format,
//! and a line of text, become base_event: nothing is thrown away for being unknown. A line of column names is a dead letter
//! with a reason of its own. What a row's columns do not hold is
//! in `unmapped`, numbers verbatim; what is dropped is listed at [`row`].
//!
//! Absent: the tenant (the chunk's), enrichment, windows, any I/O.

pub(crate) mod csv;
pub(crate) mod detect;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod row;
pub(crate) mod syslog;
pub(crate) mod values;
pub(crate) mod zones;

use std::fmt;
use std::str::FromStr;

use dataflow::{BatchBuilder, Chunk, DeadLetters, Decoder, Reason, Record, Table};
use serde::Deserialize;

use crate::aws::cloudtrail::CloudTrail;
use crate::aws::vpc_flow::{Line, VpcFlow};
use crate::normalize::Event;
use crate::normalize::base_event::BaseEvent;
use crate::paloalto::{Pairs, PaloAlto, find_custom};

pub use crate::aws::flow_fields::{FlowFields, FlowFieldsError};
pub use zones::{TimeZoneName, TimeZones, UnknownTimeZone};

use csv::Columns;
use detect::Shape;
use json::{At, Doc, JsonParser};
use row::Scratch;

/// How to decode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeConfig {
    /// The format of the records.
    pub format: Format,
    /// How large a record may be.
    pub limits: Limits,
    /// When a row keeps its event's text in `raw_data`.
    pub raw_data: RawData,
    /// VPC flow logs.
    pub vpc_flow: VpcFlowConfig,
    /// Where devices are whose times have no zone.
    pub time_zones: TimeZones,
}

/// How to decode VPC flow logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VpcFlowConfig {
    /// The fields of a record, in order; the default format if none are named.
    pub fields: FlowFields,
}

/// The format of the records of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Each record says what it is; what is of no known format becomes base_event.
    #[default]
    Auto,
    /// PAN-OS syslog, also in CEF or LEEF.
    PanosCsv,
    /// Strata Logging Service.
    PanosJson,
    /// AWS CloudTrail: records, or files of them.
    #[serde(rename = "cloudtrail")]
    CloudTrail,
    /// AWS VPC flow logs, as text.
    VpcFlow,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] =
        [Format::Auto, Format::PanosCsv, Format::PanosJson, Format::CloudTrail, Format::VpcFlow];

    /// The name in configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::PanosCsv => "panos-csv",
            Format::PanosJson => "panos-json",
            Format::CloudTrail => "cloudtrail",
            Format::VpcFlow => "vpc-flow",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a format: auto, panos-csv, panos-json, cloudtrail, vpc-flow")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Format::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// How large a record may be. A record at a limit is decoded, one past it is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a record.
    pub line_bytes_max: usize,
    /// Objects and arrays within each other.
    pub json_depth_max: usize,
    /// Keys of a JSON document, all objects together.
    pub json_keys_max: usize,
    /// Bytes of a JSON string.
    pub string_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes_max: 1 << 20, json_depth_max: 64, json_keys_max: 4096, string_bytes_max: 256 << 10 }
    }
}

/// When a row keeps its event's text in `raw_data`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawData {
    /// For text; not for JSON, of which nothing is lost.
    #[default]
    Auto,
    /// For every row.
    Always,
    /// For none.
    Never,
}

/// Why a record is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    reason: Reason,
    detail: String,
}

impl Rejected {
    pub(crate) fn new(reason: Reason, detail: String) -> Self {
        Self { reason, detail }
    }
}

/// Decodes records of every known format. Holds buffers, so that a record costs no allocation once they have grown.
#[derive(Debug)]
pub struct AutoDecoder {
    config: DecodeConfig,
    parser: JsonParser,
    columns: Columns,
    pairs: Pairs,
    targets: Targets,
}

/// What the formats are decoded by.
#[derive(Debug)]
struct Targets {
    format: Format,
    raw_data: RawData,
    scratch: Scratch,
    paloalto: PaloAlto,
    cloudtrail: CloudTrail,
    vpc_flow: VpcFlow,
    base: BaseEvent,
}

impl AutoDecoder {
    /// A decoder; reads the field tables.
    ///
    /// # Panics
    /// If a field table that is part of the program is wrong.
    pub fn new(config: DecodeConfig) -> Self {
        Self {
            parser: JsonParser::new(config.limits),
            columns: Columns::default(),
            pairs: Pairs::default(),
            targets: Targets {
                format: config.format,
                raw_data: config.raw_data,
                scratch: Scratch::default(),
                paloalto: PaloAlto::new(&config.time_zones),
                cloudtrail: CloudTrail::new(),
                vpc_flow: VpcFlow::new(config.vpc_flow.fields.clone()),
                base: BaseEvent::new(),
            },
            config,
        }
    }

    fn decode_record(&mut self, chunk: &Chunk, record: &Record<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let max = self.config.limits.line_bytes_max;
        if record.is_cut() || record.payload.len() > max {
            return Err(Rejected::new(Reason::TooLong, format!("{} bytes; {max} allowed", record.full_len)));
        }
        let payload = record.payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record.payload).trim_ascii();
        match payload.first() {
            None => Err(Rejected::new(Reason::Empty, String::new())),
            Some(b'{') if self.config.format != Format::PanosCsv => self.decode_json(chunk, record, payload, rows),
            Some(_) => self.decode_text(chunk, record, payload, rows),
        }
    }

    fn decode_json(
        &mut self,
        chunk: &Chunk,
        record: &Record<'_>,
        payload: &[u8],
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let targets = &mut self.targets;
        self.parser.with_doc(payload, |doc| targets.decode_document(doc, chunk, record, rows))
    }

    fn decode_text(
        &mut self,
        chunk: &Chunk,
        record: &Record<'_>,
        payload: &[u8],
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let text = simdutf8::basic::from_utf8(payload).map_err(|_| not_utf8(payload))?;
        let t = &mut self.targets;
        let raw = (t.raw_data != RawData::Never).then_some(text);
        let event = Event { chunk, record, index: 0, raw };
        let panos = matches!(t.format, Format::Auto | Format::PanosCsv).then(|| detect::panos_line(text)).flatten();
        if let Some(line) = panos {
            return t.paloalto.decode_line(&line, &mut self.columns, (rows, &mut t.scratch), &event);
        }
        if let Some(found) = matches!(t.format, Format::Auto | Format::PanosCsv).then(|| find_custom(text)).flatten() {
            return t.paloalto.decode_custom(&found, &mut self.pairs, (rows, &mut t.scratch), &event);
        }
        let line = t.vpc_flow.line(text);
        match (t.format, line) {
            (Format::Auto | Format::VpcFlow, Line::Header) => Err(t.vpc_flow.header(text)),
            (Format::Auto, Line::Flow) | (Format::VpcFlow, _) => {
                t.vpc_flow.decode((text, line), rows.table(Table::NetworkActivity), &mut t.scratch, &event)
            }
            (Format::Auto, Line::Other) => t.base.decode_text(text, rows, &mut t.scratch, &event),
            (format, _) => Err(not_of(format)),
        }
    }
}

impl Decoder for AutoDecoder {
    fn decode(&mut self, chunk: &Chunk, rows: &mut BatchBuilder, dead: &mut DeadLetters) {
        for record in chunk.records() {
            if let Err(rejected) = self.decode_record(chunk, &record, rows) {
                dead.push(chunk, &record, rejected.reason, &rejected.detail);
            }
        }
    }
}

#[cold]
fn not_utf8(payload: &[u8]) -> Rejected {
    let valid = std::str::from_utf8(payload).map_or_else(|e| e.valid_up_to(), str::len);
    Rejected::new(Reason::InvalidUtf8, format!("byte {valid}"))
}

fn not_of(format: Format) -> Rejected {
    Rejected::new(Reason::UnknownFormat, format!("not {format}"))
}

impl Targets {
    fn decode_document(
        &mut self,
        doc: Doc<'_>,
        chunk: &Chunk,
        record: &Record<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let root = doc.root();
        let event = Event { chunk, record, index: 0, raw: self.raw_json(doc, root) };
        let shape = detect::shape(doc, root);
        match (shape, self.format) {
            (Shape::Panos { log_type, subtype }, Format::Auto | Format::PanosJson) => {
                let out = (rows, &mut self.scratch);
                self.paloalto.decode_document((log_type, subtype), (doc, root), out, &event)
            }
            (Shape::CloudTrail, Format::Auto | Format::CloudTrail) => {
                self.cloudtrail.decode((doc, root), rows.table(Table::ApiActivity), &mut self.scratch, &event)
            }
            (Shape::CloudTrailFile(records), Format::Auto | Format::CloudTrail) => {
                self.decode_file(doc, records, &event, rows);
                Ok(())
            }
            (_, Format::Auto) => self.base.decode_document((doc, root), rows, &mut self.scratch, &event),
            (_, format) => Err(not_of(format)),
        }
    }

    /// A row for each element: one that cannot be decoded is a base_event with its text, so that it loses no other.
    fn decode_file(&mut self, doc: Doc<'_>, records: At, event: &Event<'_>, rows: &mut BatchBuilder) {
        for (index, element) in (0..).zip(doc.elements(records)) {
            let event = Event { index, raw: self.raw_json(doc, element), ..*event };
            let decoded = match detect::shape_of_element(doc, element) {
                Shape::CloudTrail => {
                    let builder = rows.table(Table::ApiActivity);
                    self.cloudtrail.decode((doc, element), builder, &mut self.scratch, &event)
                }
                _ => Err(not_of(Format::CloudTrail)),
            };
            if decoded.is_err() {
                self.base.decode_element((doc, element), rows, &mut self.scratch, &event);
            }
        }
    }

    fn raw_json<'a>(&self, doc: Doc<'a>, at: At) -> Option<&'a str> {
        if self.raw_data == RawData::Always { Some(doc.source_text(at)) } else { None }
    }
}

#[cfg(test)]
pub(crate) mod tests;
