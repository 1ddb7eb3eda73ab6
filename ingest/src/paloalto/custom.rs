//! PAN-OS in CEF and LEEF, as the vendor's configuration guides define them for a device's custom log format, and as its
//! logging service writes them.
//!
//! The keys map to the columns of the syslog form (`cef.names`, `strata_cef.names`, `leef.names`) and to the names of the JSON
//! form; what is unknown stays in `unmapped` under its key. What a guide puts into the header of one log type or another
//! (subtype, threat, result, action) is read under its JSON name.
//!
//! Dropped: a header field that a pair says again; the label of a key that means what the label says; a severity that the
//! guide writes as a constant, of a log type without one; the version of the logging service.
//!
//! A key whose label is none of the guides' (`cs1Label=Ticket`) is the user's own: both stay in `unmapped`.

use dataflow::print::Print;

use super::pairs::{LABEL, Pairs};
use super::{LogType, PRODUCT, cef, leef};
use crate::decode::fields::{FieldTable, Key};
use crate::decode::names::Place;
use crate::decode::row::{KnownKey, Row};
use crate::decode::syslog;
use crate::decode::zones::{LocalTime, Zones};

/// Which keys an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Cef,
    /// CEF of the logging service, whose times are UTC.
    StrataCef,
    Leef,
}

/// The forms' `.names` files, in the order of [`Form`].
const FORMS: [(&str, &str); 3] = [
    ("cef.names", include_str!("cef.names")),
    ("strata_cef.names", concat!(include_str!("strata_cef.names"), include_str!("cef.names"))),
    ("leef.names", include_str!("leef.names")),
];

/// Adds the keys of all forms to a field table.
///
/// # Panics
/// If a file that is part of the program is wrong.
pub(super) fn with_forms(table: FieldTable) -> FieldTable {
    let add = |table: FieldTable, (file, text)| table.with_form(file, text).unwrap_or_else(|e| panic!("{e}"));
    FORMS.into_iter().fold(table, add)
}

/// An event whose pairs are not read yet.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    line: &'a str,
    form: Form,
    host: Option<&'a str>,
    /// The log type, where the header says it.
    log_type: &'a str,
    version: &'a str,
    /// The header field that means another thing in each log type.
    signature: &'a str,
    severity: &'a str,
    body: &'a str,
    separator: char,
}

/// Finds an event of the vendor's behind any header.
pub(crate) fn find(line: &str) -> Option<Found<'_>> {
    let vendor = memchr::memchr_iter(b'|', line.as_bytes()).find(|&at| is_vendor(&line[at + 1..]))?;
    let start = line[..vendor].trim_end_matches(|c: char| !c.is_whitespace()).len();
    let (before, event) = line.split_at(start);
    let host = syslog::header(before).host;
    if event.starts_with("CEF:") { in_cef(line, event, host) } else { in_leef(line, event, host) }
}

fn is_vendor(text: &str) -> bool {
    let name = text.as_bytes().first_chunk::<{ PRODUCT.vendor.len() }>();
    name.is_some_and(|name| name.eq_ignore_ascii_case(PRODUCT.vendor.as_bytes()))
}

/// The log type is the name, for GLOBALPROTECT and the logging service the signature.
fn in_cef<'a>(line: &'a str, event: &'a str, host: Option<&'a str>) -> Option<Found<'a>> {
    let header = cef::header(event)?;
    let is_strata = header.product == "LF";
    // Subtypes are log types too (`end`): what stands in its place is believed first.
    let is_first =
        is_strata || LogType::of(header.name) == LogType::Unheard && LogType::of(header.signature) != LogType::Unheard;
    let (log_type, signature) =
        if is_first { (header.signature, header.name) } else { (header.name, header.signature) };
    Some(Found {
        line,
        form: if is_strata { Form::StrataCef } else { Form::Cef },
        host,
        log_type,
        version: if is_strata { "" } else { header.version },
        signature,
        severity: if is_strata { "" } else { severity_word(header.severity) },
        body: header.extension,
        separator: ' ',
    })
}

fn in_leef<'a>(line: &'a str, event: &'a str, host: Option<&'a str>) -> Option<Found<'a>> {
    let header = event.starts_with("LEEF:").then(|| leef::header(event))??;
    Some(Found {
        line,
        form: Form::Leef,
        host,
        log_type: "",
        version: header.version,
        signature: header.event_id,
        severity: "",
        body: header.attributes,
        separator: header.separator,
    })
}

/// The word for the number that devices write for a severity.
fn severity_word(number: &str) -> &str {
    match number {
        "1" => "informational",
        "2" => "low",
        "3" => "medium",
        "4" => "high",
        "5" => "critical",
        other => other,
    }
}

/// An event in key=value pairs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Custom<'v> {
    form: Form,
    line: &'v str,
    pairs: &'v Pairs,
    pub(super) host: Option<&'v str>,
    local: LocalTime<'v>,
    /// Fields of the header, by their JSON names.
    header: [(&'static str, &'v str); 4],
    is_threat: bool,
}

impl<'v> Found<'v> {
    pub(crate) fn format(&self) -> &'static str {
        if self.form == Form::Leef { "leef" } else { "cef" }
    }

    /// Reads the pairs. Gives the event, its log type and subtype.
    pub(super) fn read(&self, pairs: &'v mut Pairs, zones: &'v Zones) -> (Custom<'v>, LogType, &'v str) {
        pairs.fill(self.line, self.line.len() - self.body.len(), self.separator);
        let pairs = &*pairs;
        let get = |keys: &[&str]| {
            keys.iter().map(|key| pairs.get(self.line, key)).find(|v| !v.is_empty()).unwrap_or_default()
        };
        let word = if self.log_type.is_empty() { get(&["cat", "Type"]) } else { self.log_type };
        let log_type = LogType::of(word);
        let serial = get(&["deviceExternalId", "SerialNumber", "DeviceSN", "PanOSDeviceSN"]);
        let is_strata = self.form == Form::StrataCef;
        let local = if is_strata { LocalTime::UTC } else { zones.of_device(serial, self.host) };
        let name = signature_name(self.form, log_type, self.signature);
        let subtype = match name {
            "Subtype" => self.signature,
            _ => get(&["Subtype", "SubType", "LogSubtype", "PanOSLogSubtype", "cat"]),
        };
        let header = [
            ("LogType", word),
            ("ConfigVersion", self.version),
            (name, self.signature),
            ("VendorSeverity", self.severity),
        ];
        let is_threat = log_type == LogType::Threat;
        let event = Custom { form: self.form, line: self.line, pairs, host: self.host, local, header, is_threat };
        (event, log_type, subtype)
    }
}

/// The JSON name of what the guides put into the header.
fn signature_name(form: Form, log_type: LogType, signature: &str) -> &'static str {
    match (form, log_type) {
        (Form::Cef, LogType::Config) | (Form::Leef, LogType::Config) => "EventResult",
        (Form::Cef, LogType::HipMatch) => "HipMatchType",
        (Form::Cef | Form::Leef, LogType::Threat) if !is_threat_subtype(signature) => "ThreatID",
        (Form::Cef | Form::StrataCef, _) | (_, LogType::Threat | LogType::UserId) => "Subtype",
        (_, LogType::Traffic | LogType::Tunnel | LogType::Sctp | LogType::Gtp | LogType::Decryption) => "Action",
        (_, LogType::HipMatch) => "HipMatchName",
        (_, LogType::Auth) => "AuthEvent",
        (_, LogType::System) => "EventName",
        (_, LogType::GlobalProtect) => "EventIDValue",
        _ => "EventID",
    }
}

/// Subtypes of THREAT, as the vendor lists them.
fn is_threat_subtype(word: &str) -> bool {
    const SUBTYPES: [&str; 17] = [
        "url",
        "data",
        "file",
        "flood",
        "packet",
        "scan",
        "spyware",
        "virus",
        "vulnerability",
        "wildfire",
        "wildfire-virus",
        "ml-virus",
        "dlp",
        "dlp-non-file",
        "domain-edl",
        "ip",
        "dns",
    ];
    SUBTYPES.iter().any(|subtype| subtype.eq_ignore_ascii_case(word))
}

impl<'v> Custom<'v> {
    /// The log type, as the event says it.
    pub(super) fn log_type(self) -> &'v str {
        self.header[0].1
    }

    /// Reads all pairs, then the header.
    pub(super) fn read_into(self, row: &mut Row<'_, 'v>) {
        row.local = self.local;
        let form = self.form as usize;
        let (fields, mut of_tables) = row.take_known();
        let owner = fields.number * FORMS.len() + form;
        let known = of_tables.of(owner, self.pairs.keys(), |key| known_key(fields, form, key));
        let (mut seen, mut labeled) = (Seen::default(), Labeled::default());
        for pair in self.pairs.filled() {
            let (key, text) = (|| self.pairs.key(self.line, pair), self.pairs.value(self.line, pair));
            let known = match pair.id {
                Some(id) => &mut known[usize::from(id)],
                None => &mut known_key(fields, form, key()),
            };
            if known.is_label && labeled.takes(row, form, (key(), text), known) {
                continue;
            }
            // Where the guide puts the threat into the header, the category of the event is the subtype.
            let is_subtype = self.is_threat && key() == "cat" && is_threat_subtype(text);
            let field = match known.field {
                _ if is_subtype => row.key(form, &mut Places::default(), "Subtype", PREFIX),
                position => position.and_then(|position| row.key_at(form, position)),
            };
            match field {
                Some(field) if self.is_meant(key, field, &labeled) && seen.is_first(field) => {
                    row.read_field(&field.field, text);
                }
                field => row.keep_pair(if is_subtype { "Subtype" } else { key() }, field, text),
            }
        }
        row.keep_known(of_tables);
        self.read_header(row, seen);
    }

    /// Reads what of the header no pair has said.
    fn read_header(self, row: &mut Row<'_, 'v>, mut seen: Seen) {
        let (form, mut places) = (self.form as usize, Places::default());
        let said = |text: &str| self.pairs.iter(self.line).any(|(_, value)| value == text);
        for (name, text) in self.header.into_iter().filter(|(_, text)| !text.is_empty()) {
            match row.key(form, &mut places, name, PREFIX) {
                Some(field) if seen.is_first(field) => row.read_field(&field.field, text),
                None if name == "VendorSeverity" => {}
                _ if said(text) => {}
                field => row.keep_pair(name, field, text),
            }
        }
    }

    /// The text of the field with that column or JSON name, before the row is read.
    pub(super) fn text_of(self, fields: &FieldTable, column: &str) -> &'v str {
        let is_field = |key: &str| {
            fields
                .key(self.form as usize, &mut Places::default(), key, PREFIX)
                .is_some_and(|field| field.field.name == column)
        };
        let all = self.pairs.iter(self.line).chain(self.header);
        all.filter(|(_, text)| !text.is_empty())
            .find(|(key, _)| is_field(key))
            .map(|(_, text)| text)
            .unwrap_or_default()
    }

    /// True if the key has no label, or one that says what the guides say.
    #[inline]
    fn is_meant<'k>(self, key: impl Fn() -> &'k str, field: &Key, labeled: &Labeled<'_>) -> bool {
        !field.has_labels()
            || labeled.is(key())
            || self.pairs.label_of(self.line, key()).is_none_or(|label| field.is_labeled(label))
    }
}

/// What a table knows of a key.
fn known_key(fields: &FieldTable, form: usize, key: &str) -> KnownKey {
    let position = |key| fields.key_position(form, key, PREFIX);
    let of_label = key.strip_suffix(LABEL);
    KnownKey { field: position(key), labels: of_label.and_then(position), is_label: of_label.is_some(), last: None }
}

/// The label that was read last, of those that say what their key means: the key stands beside it.
#[derive(Default)]
struct Labeled<'v> {
    key: &'v str,
}

impl<'v> Labeled<'v> {
    /// True for a label that says what its key means.
    fn takes(&mut self, row: &Row<'_, '_>, form: usize, (key, label): (&'v str, &str), known: &mut KnownKey) -> bool {
        let Some(key) = key.strip_suffix(LABEL) else { return false };
        let print = Print::of(label.as_bytes());
        let is_known = match known.last {
            Some((last, is_known)) if last == print && print.is_whole() => is_known,
            _ => {
                let field = known.labels.and_then(|position| row.key_at(form, position));
                field.is_some_and(|field| field.is_labeled(label))
            }
        };
        known.last = Some((print, is_known));
        if is_known {
            self.key = key;
        }
        is_known
    }

    /// True for the key of the label.
    fn is(&self, key: &str) -> bool {
        self.key == key && !key.is_empty()
    }
}

/// How far the names of the form, and those of JSON, were read.
type Places = [Place; 2];

/// Fields that an event has had: of two keys for one field the second keeps its own name.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    fn is_first(&mut self, key: &Key) -> bool {
        let (word, bit) = (usize::from(key.number / 64), 1 << (key.number % 64));
        let is_first = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_first
    }
}

/// What the logging service, and most of the guides, put before a JSON name.
const PREFIX: &str = "PanOS";

#[cfg(test)]
mod tests;
