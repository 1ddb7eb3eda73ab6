//! What a detection_finding says of any event: its identity, the rule that found it, when.
//!
//! The identity is the device's serial number and sequence number, else the place of the record.

use dataflow::{Leaf, Reason, Table};

use super::Slot;
use super::base::{columns, set_enum};
use crate::decode::Rejected;
use crate::decode::fields::Objects;
use crate::decode::row::Row;
use crate::normalize::Event;

pub(super) const CREATE: i32 = 1;

/// Sets the columns of a finding.
#[derive(Debug)]
pub(super) struct Finding {
    columns: Columns,
    types: Leaf,
}

columns! {
    struct Columns {
        uid: "finding_info.uid",
        title: "finding_info.title",
        created_time: "finding_info.created_time",
        analytic_uid: "finding_info.analytic.uid",
        analytic_name: "finding_info.analytic.name",
        analytic_type_id: "finding_info.analytic.type_id",
        analytic_type: "finding_info.analytic.type",
        is_alert: "is_alert",
    }
}

impl Finding {
    pub(super) fn of(at: Table) -> Self {
        Self { columns: Columns::of(at), types: at.expect_leaf("finding_info.types[]") }
    }

    /// Sets the identity, the rule and `kind`; the slots that the metadata is made of are still filled.
    pub(super) fn fill(&self, row: &mut Row<'_, '_>, kind: &str, event: &Event<'_>) {
        let (serial, sequence) = (row.peek_text(Slot::Serial), row.peek_text(Slot::Sequence));
        if serial.is_empty() || matches!(sequence, "" | "0") {
            let (partition, offset) = (&event.chunk.partition, event.record.offset);
            row.set_args(&self.columns.uid, format_args!("{partition}/{offset}/{}", event.index));
        } else {
            row.set_args(&self.columns.uid, format_args!("{serial}:{sequence}"));
        }
        if !kind.is_empty() {
            row.builder.push_str(self.types, kind);
        }
        row.builder.set_bool(self.columns.is_alert.leaf, true);
        self.set_rule(row);
    }

    /// Sets when the finding was made.
    pub(super) fn set_time(&self, row: &mut Row<'_, '_>, time: i64) {
        row.builder.set_i64(self.columns.created_time.leaf, time);
    }

    /// The rule's name and number: `name(number)` in one field, or the name in one of its own. Either names the rule.
    fn set_rule(&self, row: &mut Row<'_, '_>) {
        let (id_field, name_field) = (row.take(Slot::ThreatId), row.take(Slot::ThreatName));
        let (id_name, number) = id_field.map(|f| split_threat(f.text())).unwrap_or_default();
        let name = if id_name.is_empty() { name_field.map(|f| f.text()).unwrap_or_default() } else { id_name };
        let has_number = !number.is_empty() && row.set_text(&self.columns.analytic_uid, number);
        let has_name = !name.is_empty() && row.set_text(&self.columns.analytic_name, name);
        if has_number || has_name {
            set_enum(row, &self.columns.analytic_type_id, &self.columns.analytic_type, (1, "Rule"));
            row.builder.set_str(self.columns.title.leaf, if has_name { name } else { number });
        }
        if let Some(field) = name_field.filter(|f| f.text() != name) {
            row.keep(field);
        }
    }
}

/// `name(number)` -> (name, number); a bare number has no name, a bare name no number.
fn split_threat(text: &str) -> (&str, &str) {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    match text.strip_suffix(')').and_then(|t| t.rsplit_once('(')) {
        Some((name, number)) if digits(number) => (name, number),
        _ if digits(text) => ("", text),
        _ => (text, ""),
    }
}

/// A finding without either end of its session has no evidence.
pub(super) fn require_endpoint(row: &Row<'_, '_>) -> Result<(), Rejected> {
    if row.has(const { Objects::named("evidences[].src_endpoint").with(Objects::named("evidences[].dst_endpoint")) }) {
        return Ok(());
    }
    Err(Rejected::new(Reason::InvalidValue, "neither a source nor a destination".to_owned()))
}
