//! base_event: what no other class describes. Its time is the receive time, since nothing says which field holds one.

use dataflow::{BatchBuilder, Reason, Table};

use super::{Class, Event, Product, enums};
use crate::decode::Rejected;
use crate::decode::fields::FieldTable;
use crate::decode::json::{At, Doc, Value};
use crate::decode::row::Scratch;

const PRODUCT: Product = Product { name: "Unknown", vendor: "Unknown" };

/// Writes events of unknown formats.
#[derive(Debug)]
pub(crate) struct BaseEvent {
    class: Class,
    fields: FieldTable,
}

impl BaseEvent {
    pub(crate) fn new() -> Self {
        let fields = FieldTable::parse("base_event", "", Table::BaseEvent, &[]);
        Self {
            class: Class::new(Table::BaseEvent, PRODUCT, &["datetime"]),
            fields: fields.expect("a table without fields is right"),
        }
    }

    /// A line of text, in `raw_data`.
    pub(crate) fn decode_text(
        &self,
        text: &str,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        if let Some(at) = text.bytes().position(|b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r' | 0x1b)) {
            return Err(Rejected::new(Reason::UnknownFormat, format!("a control character at byte {at}")));
        }
        self.write(rows, scratch, event, None, None)
    }

    /// A JSON object, in `unmapped`.
    pub(crate) fn decode_document(
        &self,
        document: (Doc<'_>, At),
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.write(rows, scratch, event, Some(document), None)
    }

    /// An element of a file that is not what the file holds: an object in `unmapped`, anything else in `raw_data`.
    pub(crate) fn decode_element(
        &self,
        (doc, at): (Doc<'_>, At),
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) {
        let is_object = doc.is_object(at);
        let raw = if is_object { event.raw } else { Some(doc.source_text(at)) };
        let event = Event { raw, ..*event };
        let document = is_object.then_some((doc, at));
        let written = self.write(rows, scratch, &event, document, Some("undecodable_element"));
        assert!(written.is_ok(), "a base event asks for nothing, yet was refused: {written:?}");
    }

    fn write(
        &self,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
        document: Option<(Doc<'_>, At)>,
        label: Option<&str>,
    ) -> Result<(), Rejected> {
        self.class.write((rows.table(Table::BaseEvent), &self.fields, scratch), event, |row| {
            if let Some(Value::Nested(json)) = document.map(|(doc, at)| doc.value(at)) {
                row.keep_whole(json);
            }
            self.class.set_time(row, event, event.record.received_at, "");
            self.class.set_activity(row, 0);
            self.class.set_severity(row, enums::UNKNOWN);
            if let Some(label) = label {
                self.class.add_label(row, label);
            }
            Ok(())
        })
    }
}
