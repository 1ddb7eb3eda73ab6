//! What a record is, from its first bytes and its telling fields.

use super::json::{At, Doc, Value};
use super::keys::ByKey;
use super::syslog;
use crate::azure::flow;
use crate::paloalto::is_log_type;

/// A PAN-OS syslog line, found within its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PanosLine<'a> {
    /// From the first column on.
    pub(crate) message: &'a str,
    pub(crate) log_type: &'a str,
    /// The sender, as the header names it.
    pub(crate) host: Option<&'a str>,
}

/// How far into a line its columns may begin.
const HEADER_BYTES_MAX: usize = 512;

/// Finds `n,<receive time>,<serial>,<TYPE>,` or AUDIT's `<serial>,<time>,audit,` behind any header, also one that is glued to
/// the first column.
pub(crate) fn panos_line(line: &str) -> Option<PanosLine<'_>> {
    memchr::memchr_iter(b',', line.as_bytes()).take_while(|at| *at < HEADER_BYTES_MAX).find_map(|comma| {
        let (time, rest) = column(&line[comma + 1..])?;
        if !is_receive_time(time) {
            return None;
        }
        let (second, rest) = column(rest)?;
        let third = column(rest).map_or(rest, |(third, _)| third);
        let head = &line[..comma];
        let (first, log_type) = if is_log_type(third) {
            (head.trim_end_matches(|c: char| c.is_ascii_digit()), third)
        } else if second == "audit" && time.contains('/') {
            (head.trim_end_matches(|c: char| c.is_ascii_alphanumeric()), "AUDIT")
        } else {
            return None;
        };
        Some(PanosLine { message: &line[first.len()..], log_type, host: syslog::header(first).host })
    })
}

/// A column and what stands after it; none if no comma ends it.
#[inline]
fn column(text: &str) -> Option<(&str, &str)> {
    let comma = memchr::memchr(b',', text.as_bytes())?;
    Some((&text[..comma], &text[comma + 1..]))
}

/// A time by its shape, or digits, to which some devices are set and some tools reduce it.
fn is_receive_time(text: &str) -> bool {
    let is_mark = |b: u8| matches!(b, b'/' | b':' | b' ' | b'-' | b'.' | b'T' | b'Z');
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit() || is_mark(b))
}

/// What a JSON document is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// A Strata Logging Service record of that type and subtype.
    Panos { log_type: &'a str, subtype: &'a str },
    /// One CloudTrail record, of that `eventSource`.
    CloudTrail { source: &'a str },
    /// `{"Records": […]}` of which at least one is a CloudTrail record.
    CloudTrailFile(At),
    /// A record of an Azure flow log.
    AzureFlow,
    /// Anything else.
    Other,
}

/// Knows the keys that tell what a document is, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    known: ByKey<Telling>,
}

/// What a key tells.
#[derive(Debug, Clone, Copy)]
enum Telling {
    LogType,
    Subtype,
    Device,
    EventSource,
    EventName,
    /// Who or where from.
    Actor,
    Records,
    FlowRecords,
    Category,
    /// An S3 event notification looks like a CloudTrail record but is none.
    S3,
    Nothing,
}

impl Telling {
    fn of(key: &[u8]) -> Self {
        match key {
            b"LogType" => Self::LogType,
            b"Subtype" | b"SubType" | b"LogSubtype" => Self::Subtype,
            b"DeviceSN" | b"LogSourceID" | b"TimeGenerated" | b"TimeReceived" => Self::Device,
            b"eventSource" => Self::EventSource,
            b"eventName" => Self::EventName,
            b"userIdentity" | b"sourceIPAddress" | b"eventID" => Self::Actor,
            b"Records" => Self::Records,
            b"flowRecords" => Self::FlowRecords,
            b"category" => Self::Category,
            b"s3" => Self::S3,
            _ => Self::Nothing,
        }
    }
}

impl Detector {
    /// Looks at the names of an object once.
    pub(crate) fn shape<'a>(&mut self, doc: Doc<'a>, object: At) -> Shape<'a> {
        let (mut log_type, mut subtype, mut of_device) = ("", "", false);
        let (mut source, mut name, mut of_cloud) = ("", "", false);
        let (mut records, mut of_azure) = (None, false);
        let known = self.known.of(usize::from(doc.is_inner()), doc.key_names(), |key| Telling::of(key.as_bytes()));
        for member in doc.members(object) {
            let telling = match member.key_id() {
                Some(id) => known[usize::from(id)],
                None => Telling::of(doc.key(&member)),
            };
            match telling {
                Telling::Nothing => continue,
                Telling::LogType => log_type = text(doc, member.at),
                Telling::Subtype => subtype = text(doc, member.at),
                Telling::Device => of_device = true,
                Telling::EventSource => source = text(doc, member.at),
                Telling::EventName => name = text(doc, member.at),
                Telling::Actor => of_cloud = true,
                Telling::Records => records = Some(member.at),
                Telling::FlowRecords => of_azure = doc.is_object(member.at),
                Telling::Category => of_azure |= text(doc, member.at) == flow::CATEGORY,
                Telling::S3 => of_cloud = false,
            }
            // Strata documents name these first; their many other names need no look.
            if of_device && !log_type.is_empty() && !subtype.is_empty() {
                break;
            }
        }
        if !log_type.is_empty() && of_device {
            return Shape::Panos { log_type, subtype };
        }
        if !source.is_empty() && !name.is_empty() && of_cloud {
            return Shape::CloudTrail { source };
        }
        if of_azure {
            return Shape::AzureFlow;
        }
        let is_trail =
            |at: &At| doc.elements(*at).any(|e| matches!(shape_of_element(doc, e), Shape::CloudTrail { .. }));
        records.filter(is_trail).map_or(Shape::Other, Shape::CloudTrailFile)
    }
}

/// As [`Detector::shape`], for an element of `Records`: files do not nest.
pub(crate) fn shape_of_element(doc: Doc<'_>, element: At) -> Shape<'_> {
    let named = |key| doc.member(element, key).map_or("", |at| text(doc, at));
    let (source, one_of) = (named("eventSource"), ["userIdentity", "sourceIPAddress", "eventID"]);
    let is_trail = !source.is_empty()
        && !named("eventName").is_empty()
        && one_of.iter().any(|key| doc.member(element, key).is_some())
        && doc.member(element, "s3").is_none();
    match is_trail {
        true => Shape::CloudTrail { source },
        false if flow::is_record(doc, element) => Shape::AzureFlow,
        false => Shape::Other,
    }
}

/// True if the object is a record that code of its own decodes.
pub(crate) fn is_known(doc: Doc<'_>, at: At) -> bool {
    !matches!(shape_of_element(doc, at), Shape::Other)
}

/// True if a CloudTrail record of that source may tell of a sign-in, which is no API activity.
pub(crate) fn may_be_sign_in(source: &str) -> bool {
    matches!(source, "signin.amazonaws.com" | "sso.amazonaws.com")
}

/// The log events of a batch from CloudWatch Logs.
pub(crate) fn log_events(doc: Doc<'_>, object: At) -> Option<At> {
    doc.member(object, "logGroup")?;
    doc.member(object, "logEvents").filter(|events| doc.elements(*events).next().is_some())
}

/// The record that a log event of such a batch bears, and where it stands.
pub(crate) fn message(doc: Doc<'_>, event: At) -> Option<(At, &str)> {
    doc.member(event, "message").map(|at| (at, text(doc, at).trim())).filter(|(_, text)| !text.is_empty())
}

fn text(doc: Doc<'_>, at: At) -> &str {
    match doc.value(at) {
        Value::Text { text, .. } => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests;
