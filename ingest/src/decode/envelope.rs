//! Documents that hold several events: arrays, files of CloudTrail records, and the envelopes in which clouds deliver.
//!
//! **Data in:** an object or array. **Data out:** a row for each event in it; one that cannot be decoded is a base_event with
//! its text, so that it loses no other. What stands around an event is in its row's `unmapped.envelope`. Rows of a record are numbered
//! in their order, however events lie within each other. Where that would repeat more than [`REPEATED_BYTES_MAX`] in one record,
//! the object that holds the events is one base_event: a megabyte could ask for gigabytes.
//!
//! A batch of CloudWatch Logs bears records as text: each is decoded as if it had come alone.
//!
//! Absent: names of a vendor's own, but for CloudTrail and CloudWatch Logs; mappings say which members hold events.

use dataflow::{BatchBuilder, Reason, Table};

use super::detect::Shape;
use super::json::{At, Doc};
use super::row::push_members_but;
use super::syslog::{HeaderKind, Line};
use super::{Format, RawData, Rejected, TRAIL, Targets, detect, not_of};
use crate::azure;
use crate::mapping;
use crate::normalize::Event;

/// Bytes around events that the rows of one record may repeat.
pub(super) const REPEATED_BYTES_MAX: usize = 16 << 20;

impl Targets {
    /// An object that a mapping takes, one that holds events, or anything.
    pub(super) fn decode_other(
        &mut self,
        (doc, at): (Doc<'_>, At),
        header: &Line<'_>,
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        if let Some(taken) = self.mappings.of_object(doc, at, header, &mut self.buffers) {
            return self.decode_mapped(taken, (doc, at), header, event, rows);
        }
        if self.decode_held((doc, at), event, rows) {
            return Ok(());
        }
        self.base.decode_document((doc, at), rows, &mut self.scratch, event)?;
        self.note_object((doc, at), header.kind, event);
        Ok(())
    }

    /// An object that a mapping takes.
    fn decode_mapped(
        &mut self,
        taken: mapping::Taken,
        (doc, at): (Doc<'_>, At),
        header: &Line<'_>,
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        self.mappings.decode_object(taken, (doc, at), header, (rows, &mut self.scratch), event)?;
        self.note_mapping(taken, header.kind, event);
        Ok(())
    }

    /// The events that an object holds; false if it holds none.
    fn decode_held(&mut self, (doc, at): (Doc<'_>, At), event: &Event<'_>, rows: &mut BatchBuilder) -> bool {
        if let Some(events) = detect::log_events(doc, at) {
            return self.decode_log_events((doc, at, events), event, rows);
        }
        let held = self.mappings.envelope((doc, at), &Line::default(), &mut self.buffers, detect::is_known);
        let Some(held) = held else { return false };
        let mut around = self.take_around(event);
        push_members_but(&mut around, doc, at, held.member);
        if held.member != held.events {
            push_members_but(&mut around, doc, held.member, held.events);
        }
        let inner = Event { around: &around, ..*event };
        let decoded = match held.text(doc) {
            Some(text) => self.may_repeat(around.len(), 1) && self.decode_message(text, &inner, rows).is_ok(),
            None => self.decode_array((doc, held.events), &inner, rows),
        };
        self.around = around;
        decoded
    }

    /// A row for each element of an array, or for the one object that stands in its place; false, and none, if they would
    /// repeat too much.
    pub(super) fn decode_array(
        &mut self,
        (doc, array): (Doc<'_>, At),
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> bool {
        let alone = doc.is_object(array).then_some(array);
        let elements = || doc.elements(array).chain(alone);
        if !self.may_repeat(event.around.len(), elements().count()) {
            return false;
        }
        for element in elements() {
            let raw = event.raw.and(Some(doc.source_text(element)));
            self.decode_element((doc, element), &Event { raw, ..*event }, rows);
        }
        true
    }

    /// True if the record's rows may repeat so many bytes so many times; they are counted then.
    fn may_repeat(&mut self, bytes: usize, times: usize) -> bool {
        let repeated = self.repeated.saturating_add(bytes.saturating_mul(times));
        let may = repeated <= REPEATED_BYTES_MAX;
        if may {
            self.repeated = repeated;
        }
        may
    }

    /// The records of a CloudTrail file.
    pub(super) fn decode_file(
        &mut self,
        (doc, file, records): (Doc<'_>, At, At),
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> bool {
        let mut around = self.take_around(event);
        push_members_but(&mut around, doc, file, records);
        let decoded = self.decode_array((doc, records), &Event { around: &around, ..*event }, rows);
        self.around = around;
        decoded
    }

    fn decode_element(&mut self, (doc, at): (Doc<'_>, At), event: &Event<'_>, rows: &mut BatchBuilder) {
        let event = Event { index: self.next_index, ..*event };
        let header = Line::default();
        let shape = detect::shape_of_element(doc, at);
        let decoded = if let Shape::CloudTrail { source } = shape {
            self.decode_trail((doc, at, source), &event, rows)
        } else if let Shape::AzureFlow = shape {
            return self.decode_flows((doc, at), &event, rows);
        } else if let Some(taken) = self.mappings.of_object(doc, at, &header, &mut self.buffers) {
            self.decode_mapped(taken, (doc, at), &header, &event, rows)
        } else if doc.is_object(at) && self.decode_held((doc, at), &event, rows) {
            return;
        } else {
            Err(not_of(Format::Auto))
        };
        if decoded.is_err() {
            self.base.decode_element((doc, at), rows, &mut self.scratch, &event);
            self.note_object((doc, at), header.kind, &event);
        }
        self.next_index += 1;
    }

    /// A CloudTrail record: API activity, unless a mapping knows it as a sign-in.
    pub(super) fn decode_trail(
        &mut self,
        (doc, at, source): (Doc<'_>, At, &str),
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> Result<(), Rejected> {
        if detect::may_be_sign_in(source) {
            let header = Line::default();
            if let Some(taken) = self.mappings.of_object(doc, at, &header, &mut self.buffers) {
                return self.decode_mapped(taken, (doc, at), &header, event, rows);
            }
        }
        self.cloudtrail.decode((doc, at), rows.table(Table::ApiActivity), &mut self.scratch, event)?;
        self.scratch.notes.took(event, Format::CloudTrail.name(), || (HeaderKind::None, TRAIL.to_owned()));
        Ok(())
    }

    /// The tuples of an Azure flow log's record.
    pub(super) fn decode_flows(&mut self, record: (Doc<'_>, At), event: &Event<'_>, rows: &mut BatchBuilder) {
        let event = Event { index: self.next_index, ..*event };
        let (bytes, times) = azure::flow::repeats(record);
        if self.may_repeat(bytes, times) {
            self.next_index = self.azure_flow.decode(record, (rows, &mut self.scratch), &self.base, &event);
            return;
        }
        self.base.decode_element(record, rows, &mut self.scratch, &event);
        self.note_object(record, HeaderKind::None, &event);
        self.next_index += 1;
    }

    /// The records that a batch of CloudWatch Logs bears.
    fn decode_log_events(
        &mut self,
        (doc, batch, events): (Doc<'_>, At, At),
        event: &Event<'_>,
        rows: &mut BatchBuilder,
    ) -> bool {
        let mut around = self.take_around(event);
        push_members_but(&mut around, doc, batch, events);
        let of_batch = around.len();
        if !self.may_repeat(of_batch, doc.elements(events).count()) {
            self.around = around;
            return false;
        }
        for element in doc.elements(events) {
            let decoded = detect::message(doc, element).map(|(at, text)| {
                push_members_but(&mut around, doc, element, at);
                self.decode_message(text, &Event { index: self.next_index, around: &around, ..*event }, rows)
            });
            around.truncate(of_batch);
            if !matches!(decoded, Some(Ok(()))) {
                let event = Event { index: self.next_index, raw: None, around: &around, ..*event };
                self.base.decode_element((doc, element), rows, &mut self.scratch, &event);
                self.note_object((doc, element), HeaderKind::None, &event);
                self.next_index += 1;
            }
        }
        self.around = around;
        true
    }

    /// A record within another, with as many rows as it has alone.
    fn decode_message(&mut self, text: &str, event: &Event<'_>, rows: &mut BatchBuilder) -> Result<(), Rejected> {
        let first = self.next_index;
        let document = text.starts_with('{').then(|| {
            self.embedded(text.as_bytes(), |this, doc| this.decode_document(doc, &Line::default(), event, rows))
        });
        match document.flatten() {
            Some(decoded) => decoded?,
            None => {
                let raw = (self.raw_data != RawData::Never).then_some(text);
                self.decode_text(text, &Event { raw, ..*event }, rows)?;
            }
        }
        // Events within it have numbers of their own.
        if self.next_index == first {
            self.next_index += 1;
        }
        Ok(())
    }

    /// Reads JSON that stands in the text of a record. None if it is no JSON, or if the text itself came out of such.
    pub(super) fn embedded(
        &mut self,
        json: &[u8],
        read: impl FnOnce(&mut Self, Doc<'_>) -> Result<(), Rejected>,
    ) -> Option<Result<(), Rejected>> {
        let mut parser = self.embedded.take()?;
        let decoded = parser.with_doc(json, |doc| read(self, doc));
        self.embedded = Some(parser);
        match decoded {
            Err(rejected) if rejected.reason == Reason::InvalidJson => None,
            decoded => Some(decoded),
        }
    }

    /// The buffer for what stands around events, with what stands around all of them.
    fn take_around(&mut self, event: &Event<'_>) -> String {
        let mut around = std::mem::take(&mut self.around);
        around.clear();
        around.push_str(event.around);
        around
    }
}
