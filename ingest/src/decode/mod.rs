//! Records -> OCSF rows and dead letters.
//!
//! **Data in:** the records of a [`Chunk`]: PAN-OS syslog CSV, Strata Logging Service JSON, CloudTrail JSON, VPC flow logs,
//! Azure flow logs, what a mapping describes (see [`crate::mapping`]), or anything.
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
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod kv;
pub(crate) mod leef;
pub(crate) mod names;
pub(crate) mod pairs;
pub(crate) mod row;
pub(crate) mod syslog;
pub(crate) mod text;
pub(crate) mod values;

use std::fmt;
use std::str::FromStr;

use dataflow::{BatchBuilder, Chunk, DeadLetters, Decoder, Reason, Record, Table};
use serde::Deserialize;

use crate::aws::cloudtrail::CloudTrail;
use crate::aws::vpc_flow::{Line, VpcFlow};
use crate::azure::flow::AzureFlow;
use crate::mapping::{Buffers, Mappings};
use crate::normalize::Event;
use crate::normalize::base_event::BaseEvent;
use crate::paloalto::PaloAlto;

pub use crate::aws::flow_fields::{FlowFields, FlowFieldsError};

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
    /// PAN-OS syslog.
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
    azure_flow: AzureFlow,
    base: BaseEvent,
    mappings: Mappings,
    buffers: Buffers,
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
            columns: Columns::default(),
            targets: Targets {
                format: config.format,
                raw_data: config.raw_data,
                scratch: Scratch::default(),
                paloalto: PaloAlto::new(),
                cloudtrail: CloudTrail::new(),
                vpc_flow: VpcFlow::new(config.vpc_flow.fields.clone()),
                azure_flow: AzureFlow::new(),
                base: BaseEvent::new(),
                mappings,
                buffers: Buffers::default(),
            },
            config,
        }
    }

    /// Takes other mappings from the next record on.
    pub fn set_mappings(&mut self, mappings: Mappings) {
        self.targets.mappings = mappings;
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
        self.parser.with_doc(payload, |doc| targets.decode_document(doc, chunk, record, rows))
    }

    fn decode_text(
        &mut self,
        chunk: &Chunk,
        record: &Record<'_>,
        payload: &[u8],
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        let text = std::str::from_utf8(payload)
            .map_err(|e| Rejected::new(Reason::InvalidUtf8, format!("byte {}", e.valid_up_to())))?;
        let t = &mut self.targets;
        let raw = (t.raw_data != RawData::Never).then_some(text);
        let event = Event { chunk, record, index: 0, raw };
        let panos = matches!(t.format, Format::Auto | Format::PanosCsv).then(|| detect::panos_line(text)).flatten();
        if let Some(line) = panos {
            return t.paloalto.decode_line(&line, &mut self.columns, (rows, &mut t.scratch), &event);
        }
        let line = t.vpc_flow.line(text);
        match (t.format, line) {
            (Format::Auto | Format::VpcFlow, Line::Header) => Err(t.vpc_flow.header(text)),
            (Format::Auto, Line::Flow) | (Format::VpcFlow, _) => {
                t.vpc_flow.decode((text, line), rows.table(Table::NetworkActivity), &mut t.scratch, &event)
            }
            (Format::Auto, Line::Other) => self.decode_line(text, &event, rows),
            (format, _) => Err(not_of(format)),
        }
    }

    /// A line of text that no code of its own reads: what a mapping takes, JSON behind a syslog header, or anything.
    fn decode_line(&mut self, text: &str, event: &Event<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let header = syslog::parse(text);
        let t = &mut self.targets;
        let message = &text.as_bytes()[header.message..];
        if message.first() == Some(&b'{') {
            let read = |doc: Doc<'_>| t.decode_other((doc, doc.root()), &header, event, rows);
            match self.parser.with_doc(message, read) {
                Err(rejected) if rejected.reason == Reason::InvalidJson => {}
                decoded => return decoded,
            }
        }
        let t = &mut self.targets;
        match t.mappings.of_line(text, &header, &mut self.columns, &mut t.buffers) {
            Some(taken) => {
                let out = (rows, &mut t.scratch);
                t.mappings.decode_line(taken, (text, &header), &t.buffers.pairs, out, event)
            }
            None => t.base.decode_text(text, rows, &mut t.scratch, event),
        }
    }
}

/// `[{…}]`, by its ends: a line of text may begin with a bracket too.
fn is_array_of_objects(payload: &[u8]) -> bool {
    let inner = payload.strip_prefix(b"[").and_then(|p| p.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii_start().first() == Some(&b'{'))
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
        if !doc.is_object(root) {
            self.decode_array((doc, root, None), &event, rows);
            return Ok(());
        }
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
            (Shape::AzureFlow, Format::Auto) => {
                self.azure_flow.decode((doc, root), (rows, &mut self.scratch), &self.base, &event);
                Ok(())
            }
            (Shape::AzureFlowFile(records), Format::Auto) => {
                self.decode_array((doc, records, Some(root)), &event, rows);
                Ok(())
            }
            (_, Format::Auto) => self.decode_other((doc, root), &syslog::Line::default(), &event, rows),
            (_, format) => Err(not_of(format)),
        }
    }

    /// An object that a mapping takes, one that holds such objects, or anything.
    fn decode_other(
        &mut self,
        (doc, at): (Doc<'_>, At),
        header: &syslog::Line<'_>,
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        if let Some(taken) = self.mappings.of_object(doc, at, header, &mut self.buffers) {
            let out = (rows, &mut self.scratch);
            return self.mappings.decode_object(taken, (doc, at, None), header, out, event);
        }
        match self.mappings.envelope(doc, at, header, &mut self.buffers) {
            Some(member) => {
                self.decode_array((doc, member, Some(at)), event, rows);
                Ok(())
            }
            None => self.base.decode_document((doc, at), rows, &mut self.scratch, event),
        }
    }

    /// A row for each element of an array, or for the one object that stands in its place; as [`Targets::decode_file`].
    fn decode_array(
        &mut self,
        (doc, array, root): (Doc<'_>, At, Option<At>),
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) {
        let header = syslog::Line::default();
        let alone = doc.is_object(array).then_some(array);
        let mut next = 0;
        for element in doc.elements(array).chain(alone) {
            let event = Event { index: next, raw: event.raw.and(Some(doc.source_text(element))), ..*event };
            next += 1;
            let decoded = match detect::shape_of_element(doc, element) {
                Shape::AzureFlow => {
                    let out = (&mut *rows, &mut self.scratch);
                    next = self.azure_flow.decode((doc, element), out, &self.base, &event);
                    Ok(())
                }
                Shape::CloudTrail if root.is_none() => {
                    let builder = rows.table(Table::ApiActivity);
                    self.cloudtrail.decode((doc, element), builder, &mut self.scratch, &event)
                }
                _ => match self.mappings.of_object(doc, element, &header, &mut self.buffers) {
                    Some(taken) => {
                        let (out, around) = ((&mut *rows, &mut self.scratch), root.map(|root| (root, array)));
                        self.mappings.decode_object(taken, (doc, element, around), &header, out, &event)
                    }
                    None => Err(not_of(Format::Auto)),
                },
            };
            if decoded.is_err() {
                self.base.decode_element((doc, element), rows, &mut self.scratch, &event);
            }
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
