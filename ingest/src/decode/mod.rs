//! Records -> OCSF rows and dead letters.
//!
//! **Data in:** the records of a [`Chunk`]: PAN-OS syslog (CSV, CEF, LEEF), Strata Logging Service JSON, CloudTrail JSON, VPC
//! flow logs, Azure flow logs, what a mapping describes (see [`crate::mapping`]), or anything.
//! **Data out:** rows in the builder of each event's class, dead letters for the rest.
//!
//! Every record ends in at least one row or in exactly one dead letter, never in both. A JSON object of no known format,
//! and a line of text, become base_event: nothing is thrown away for being unknown. A line of column names is a dead letter
//! with a reason of its own. What a row's columns do not hold is
//! in `unmapped`, numbers verbatim; what is dropped is listed at [`row`].
//!
//! Absent: the tenant (the chunk's), enrichment, windows, any I/O.

pub(crate) mod cef;
pub(crate) mod csv;
pub(crate) mod detect;
mod envelope;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod leef;
pub(crate) mod names;
mod notes;
pub(crate) mod pairs;
pub(crate) mod row;
pub(crate) mod scan;
pub(crate) mod syslog;
pub(crate) mod text;
mod unknown;
pub(crate) mod values;
pub(crate) mod zones;

use std::fmt;
use std::str::FromStr;

use dataflow::{BatchBuilder, Chunk, DeadLetters, Decoder, Reason, Record, Table};
use serde::Deserialize;

use crate::aws::cloudtrail::CloudTrail;
use crate::aws::vpc_flow::{Line, VpcFlow};
use crate::azure::flow::AzureFlow;
use crate::mapping::{self, Buffers, Mappings};
use crate::normalize::Event;
use crate::normalize::base_event::BaseEvent;
use crate::paloalto::{Pairs, PaloAlto, find_custom};

pub use crate::aws::flow_fields::{FlowFields, FlowFieldsError};
pub use notes::{Drift, DriftKind, NAMES_MAX, OTHER, Seen, Taken};
pub use zones::{TimeZoneName, TimeZones, UnknownTimeZone};

use csv::Columns;
use detect::{Detector, Shape};
use json::{At, Doc, JsonParser};
use row::Scratch;
use syslog::HeaderKind;

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
    /// Mapping files of the user's own: paths or globs. [`Mappings::load`] reads them.
    pub mappings: Vec<String>,
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
    /// Keys of a JSON document, all objects together, or pairs of a line.
    pub json_keys_max: usize,
    /// Bytes of a JSON string, or of a name or value of a line.
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
    targets: Targets,
}

/// What the formats are decoded by.
#[derive(Debug)]
struct Targets {
    format: Format,
    raw_data: RawData,
    scratch: Scratch,
    detector: Detector,
    paloalto: PaloAlto,
    cloudtrail: CloudTrail,
    vpc_flow: VpcFlow,
    azure_flow: AzureFlow,
    base: BaseEvent,
    mappings: Mappings,
    limits: Limits,
    buffers: Buffers,
    columns: Columns,
    pairs: Pairs,
    /// Reads JSON within a text; not there while it does.
    embedded: Option<Box<JsonParser>>,
    /// What stands around the events at hand, as JSON members.
    around: String,
    /// The index of the record's next row.
    next_index: i32,
    /// Bytes around events that the rows of the record at hand repeat.
    repeated: usize,
}

impl AutoDecoder {
    /// A decoder with the mappings that ship; reads the field tables.
    ///
    /// # Panics
    /// If a field table or mapping that is part of the program is wrong.
    pub fn new(config: DecodeConfig) -> Self {
        Self::with_mappings(config, Mappings::builtin())
    }

    /// As [`AutoDecoder::new`], with those mappings.
    ///
    /// # Panics
    /// If a field table that is part of the program is wrong.
    pub fn with_mappings(config: DecodeConfig, mappings: Mappings) -> Self {
        Self {
            parser: JsonParser::new(config.limits),
            targets: Targets {
                format: config.format,
                raw_data: config.raw_data,
                scratch: Scratch::default(),
                detector: Detector::default(),
                paloalto: PaloAlto::new(&config.time_zones),
                cloudtrail: CloudTrail::new(),
                vpc_flow: VpcFlow::new(config.vpc_flow.fields.clone()),
                azure_flow: AzureFlow::new(),
                base: BaseEvent::new(),
                mappings,
                limits: config.limits,
                buffers: Buffers::new(&config.limits),
                columns: Columns::default(),
                pairs: Pairs::default(),
                embedded: Some(Box::new(JsonParser::inner(config.limits))),
                around: String::new(),
                next_index: 0,
                repeated: 0,
            },
            config,
        }
    }

    /// Takes other mappings from the next record on.
    pub fn set_mappings(&mut self, mappings: Mappings) {
        self.targets.mappings = mappings;
        // What they hold of keys is the other mappings'.
        self.targets.buffers = Buffers::new(&self.config.limits);
    }

    fn decode_record(&mut self, chunk: &Chunk, record: &Record<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let max = self.config.limits.line_bytes_max;
        if record.is_cut() || record.payload.len() > max {
            return Err(Rejected::new(Reason::TooLong, format!("{} bytes; {max} allowed", record.full_len)));
        }
        (self.targets.next_index, self.targets.repeated) = (0, 0);
        let payload = record.payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record.payload).trim_ascii();
        match payload.first() {
            None => Err(Rejected::new(Reason::Empty, String::new())),
            Some(b'{') if self.config.format != Format::PanosCsv => self.decode_json(chunk, record, payload, rows),
            Some(b'[') if self.config.format == Format::Auto && is_array_of_objects(payload) => {
                self.decode_json(chunk, record, payload, rows)
            }
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
        let event = Event { chunk, record, index: 0, raw: None, around: "" };
        self.parser.with_doc(payload, |doc| targets.decode_document(doc, &syslog::Line::default(), &event, rows))
    }

    fn decode_text(
        &mut self,
        chunk: &Chunk,
        record: &Record<'_>,
        payload: &[u8],
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let text = simdutf8::basic::from_utf8(payload).map_err(|_| not_utf8(payload))?;
        let raw = (self.targets.raw_data != RawData::Never).then_some(text);
        self.targets.decode_text(text, &Event { chunk, record, index: 0, raw, around: "" }, rows)
    }
}

/// `[{…}]`, by its ends: a line of text may begin with a bracket too.
fn is_array_of_objects(payload: &[u8]) -> bool {
    let inner = payload.strip_prefix(b"[").and_then(|p| p.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii_start().first() == Some(&b'{'))
}

impl Decoder for AutoDecoder {
    fn decode(&mut self, chunk: &Chunk, rows: &mut BatchBuilder, dead: &mut DeadLetters) {
        self.targets.vpc_flow.begin(chunk.head.as_deref());
        self.targets.scratch.notes.begin_source(&chunk.partition.topic);
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
/// What is true of records that code of its own takes, and of those that nothing takes.
const PANOS: &str = "the vendor is Palo Alto Networks";
const FLOW: &str = "its values are those of a flow log";
const TRAIL: &str = "eventSource and eventName are there, and who or where from";
const UNTAKEN: &str = "no mapping takes it";

fn not_of(format: Format) -> Rejected {
    Rejected::new(Reason::UnknownFormat, format!("not {format}"))
}

impl Targets {
    fn decode_text(&mut self, text: &str, event: &Event<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let panos = matches!(self.format, Format::Auto | Format::PanosCsv).then(|| detect::panos_line(text)).flatten();
        if let Some(line) = panos {
            self.paloalto.decode_line(&line, &mut self.columns, (rows, &mut self.scratch), event)?;
            let why = || (syslog::parse(text).kind, format!("column 4 = {}", line.log_type));
            self.scratch.notes.took(event, Format::PanosCsv.name(), why);
            return Ok(());
        }
        let custom = matches!(self.format, Format::Auto | Format::PanosCsv).then(|| find_custom(text)).flatten();
        if let Some(found) = custom {
            self.paloalto.decode_custom(&found, &mut self.pairs, (rows, &mut self.scratch), event)?;
            self.scratch.notes.took(event, found.format(), || (syslog::parse(text).kind, PANOS.to_owned()));
            return Ok(());
        }
        let line = self.vpc_flow.line(text);
        match (self.format, line) {
            (Format::Auto | Format::VpcFlow, Line::Header) => Err(self.vpc_flow.header(text)),
            (Format::Auto, Line::Flow(_)) | (Format::VpcFlow, _) => {
                let builder = rows.table(Table::NetworkActivity);
                self.vpc_flow.decode((text, line), builder, &mut self.scratch, event)?;
                self.scratch.notes.took(event, Format::VpcFlow.name(), || (HeaderKind::None, FLOW.to_owned()));
                Ok(())
            }
            (Format::Auto, Line::Other) => self.decode_line(text, event, rows),
            (format, _) => Err(not_of(format)),
        }
    }

    /// A line of text that no code of its own reads: what a mapping takes, JSON behind a syslog header, or anything.
    fn decode_line(&mut self, text: &str, event: &Event<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let header = syslog::parse(text);
        let message = &text.as_bytes()[header.message..];
        if message.first() == Some(&b'{') {
            let read = |this: &mut Self, doc: Doc<'_>| this.decode_object((doc, doc.root()), &header, event, rows);
            if let Some(decoded) = self.embedded(message, read) {
                return decoded;
            }
        }
        match self.mappings.of_line(text, &header, &mut self.columns, &mut self.buffers) {
            Some(taken) => {
                self.buffers.pairs.check(text, &self.limits)?;
                let out = (rows, &mut self.scratch);
                self.mappings.decode_line(taken, (text, &header), &self.buffers.pairs, out, event)?;
                self.note_mapping(taken, header.kind, event);
            }
            None => {
                self.base.decode_text(text, rows, &mut self.scratch, event)?;
                self.scratch.notes.log_type(format_args!("{}", unknown::line(text, &header)));
                self.scratch.notes.took(event, "text", || (header.kind, UNTAKEN.to_owned()));
            }
        }
        Ok(())
    }

    fn decode_document(
        &mut self,
        doc: Doc<'_>,
        header: &syslog::Line<'_>,
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let root = doc.root();
        let event = Event { raw: self.raw_json(doc, root), ..*event };
        if doc.is_object(root) {
            return self.decode_object((doc, root), header, &event, rows);
        }
        if !self.decode_array((doc, root), &event, rows) {
            self.base.decode_element((doc, root), rows, &mut self.scratch, &event);
        }
        Ok(())
    }

    fn decode_object(
        &mut self,
        (doc, at): (Doc<'_>, At),
        header: &syslog::Line<'_>,
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        match (self.detector.shape(doc, at), self.format) {
            (Shape::Panos { log_type, subtype }, Format::Auto | Format::PanosJson) => {
                let out = (rows, &mut self.scratch);
                self.paloalto.decode_document((log_type, subtype), (doc, at), out, event)?;
                let why = || (HeaderKind::None, format!("LogType = {log_type}, a device is named"));
                self.scratch.notes.took(event, Format::PanosJson.name(), why);
                Ok(())
            }
            (Shape::CloudTrail { source }, Format::Auto | Format::CloudTrail) => {
                self.decode_trail((doc, at, source), event, rows)
            }
            (Shape::CloudTrailFile(records), Format::Auto | Format::CloudTrail) => {
                if self.decode_file((doc, at, records), event, rows) {
                    return Ok(());
                }
                self.base.decode_document((doc, at), rows, &mut self.scratch, event)
            }
            (Shape::AzureFlow, Format::Auto) => {
                self.decode_flows((doc, at), event, rows);
                Ok(())
            }
            (_, Format::Auto) => self.decode_other((doc, at), header, event, rows),
            (_, format) => Err(not_of(format)),
        }
    }

    /// Notes that a mapping took an event, and what it asks for.
    fn note_mapping(&mut self, taken: mapping::Taken, header: HeaderKind, event: &Event<'_>) {
        let (format, why) = self.mappings.why(taken);
        self.scratch.notes.took(event, format, || (header, why.to_string()));
    }

    /// Notes that no decoder took an object.
    fn note_object(&mut self, (doc, at): (Doc<'_>, At), header: HeaderKind, event: &Event<'_>) {
        self.scratch.notes.log_type(format_args!("{}", unknown::object(doc, at)));
        self.scratch.notes.took(event, "json", || (header, UNTAKEN.to_owned()));
    }

    fn raw_json<'a>(&self, doc: Doc<'a>, at: At) -> Option<&'a str> {
        if self.raw_data == RawData::Always { Some(doc.source_text(at)) } else { None }
    }
}

#[cfg(test)]
pub(crate) mod tests;
