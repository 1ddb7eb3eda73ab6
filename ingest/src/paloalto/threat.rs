//! THREAT of any subtype but url -> detection_finding: what the firewall found, with the session as its evidence.

use dataflow::{Leaf, Reason, Table, TableBuilder};

use super::{Common, Connection, Input, PRODUCT, SECURITY, Slot, User, set_action, set_severity, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch};
use crate::normalize::{Class, Event};

/// Up to the severity: with fewer columns a line does not say what was found.
pub(super) const LEAST_COLUMNS: usize = 35;

const CREATE: i32 = 1;

#[derive(Debug)]
pub(super) struct Threat {
    class: Class,
    fields: FieldTable,
    /// Subtype data has the last two columns the other way round.
    data_fields: FieldTable,
    common: Common,
    connection: Connection,
    user: User,
    url: Target,
    finding: Finding,
}

#[derive(Debug)]
struct Finding {
    uid: Target,
    title: Leaf,
    types: Leaf,
    created_time: Leaf,
    analytic_uid: Target,
    analytic_name: Target,
    analytic_type_id: Leaf,
    analytic_type: Leaf,
    is_alert: Leaf,
}

impl Threat {
    pub(super) fn new() -> Self {
        let at = Table::DetectionFinding;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        let fields = || table("threat.fields", include_str!("threat.fields"), at);
        let user = Target { also: at.leaf("user_name"), ..target("evidences[].actor.user.name") };
        Self {
            class: Class::new(at, PRODUCT, SECURITY),
            fields: fields(),
            data_fields: fields().with_columns_exchanged("flow_type", "cluster_name"),
            common: Common::new(at),
            connection: Connection::new(at, "evidences[].connection_info"),
            user: User { name: user, domain: target("evidences[].actor.user.domain") },
            url: target("evidences[].url.url_string"),
            finding: Finding {
                uid: target("finding_info.uid"),
                title: leaf("finding_info.title"),
                types: leaf("finding_info.types[]"),
                created_time: leaf("finding_info.created_time"),
                analytic_uid: target("finding_info.analytic.uid"),
                analytic_name: target("finding_info.analytic.name"),
                analytic_type_id: leaf("finding_info.analytic.type_id"),
                analytic_type: leaf("finding_info.analytic.type"),
                is_alert: leaf("is_alert"),
            },
        }
    }

    pub(super) fn decode(
        &self,
        subtype: &str,
        input: Input<'_>,
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let fields = if subtype == "data" { &self.data_fields } else { &self.fields };
        self.class.write((builder, fields, scratch), event, |row| {
            row.builder.begin_element("evidences");
            input.read(row);
            self.set_finding(row, event);
            let time = self.common.fill(row, &self.class, input, event)?;
            row.builder.set_i64(self.finding.created_time, time);
            self.class.set_activity(row, CREATE);
            // Some forwarders name the vendor's severity so; beside `VendorSeverity` it is another's.
            row.fall_back(Slot::Severity, Slot::OtherSeverity);
            set_severity(row, &self.class);
            set_action(row, &self.class);
            self.connection.fill(row);
            self.user.fill(row);
            self.set_url(row);
            require_endpoint(row)
        })
    }

    /// The finding's identity is the device's serial number and sequence number, else the place of the record.
    fn set_finding(&self, row: &mut Row<'_, '_>, event: &Event<'_>) {
        let finding = &self.finding;
        let (serial, sequence) = (row.peek(Slot::Serial), row.peek(Slot::Sequence));
        match (serial, sequence) {
            (Some(serial), Some(sequence)) if sequence.text() != "0" => {
                row.set_args(&finding.uid, format_args!("{}:{}", serial.text(), sequence.text()))
            }
            _ => {
                let (partition, offset) = (&event.chunk.partition, event.record.offset);
                row.set_args(&finding.uid, format_args!("{partition}/{offset}/{}", event.index))
            }
        };
        if let Some(subtype) = row.peek(Slot::Subtype) {
            row.builder.push_str(finding.types, subtype.text());
        }
        row.builder.set_bool(finding.is_alert, true);
        self.set_threat(row);
    }

    /// The threat's name and number: `name(number)` in one field, or the name in one of its own. Either names the rule.
    fn set_threat(&self, row: &mut Row<'_, '_>) {
        let finding = &self.finding;
        let (id_field, name_field) = (row.take(Slot::ThreatId), row.take(Slot::ThreatName));
        let (id_name, number) = id_field.map(|f| split_threat(f.text())).unwrap_or_default();
        let name = if id_name.is_empty() { name_field.map(|f| f.text()).unwrap_or_default() } else { id_name };
        let has_number = !number.is_empty() && row.set_text(&finding.analytic_uid, number);
        let has_name = !name.is_empty() && row.set_text(&finding.analytic_name, name);
        if has_number || has_name {
            row.builder.set_i32(finding.analytic_type_id, 1);
            row.builder.set_str(finding.analytic_type, "Rule");
            row.builder.set_str(finding.title, if has_name { name } else { number });
        }
        if let Some(field) = name_field.filter(|f| f.text() != name) {
            row.keep(field);
        }
    }

    /// The field holds a URI or a file name: only what has a path is one.
    fn set_url(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Url) else { return };
        if !(field.text().contains('/') && row.set_text(&self.url, field.text())) {
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
fn require_endpoint(row: &Row<'_, '_>) -> Result<(), Rejected> {
    if row.has(Objects::named("evidences[].src_endpoint").with(Objects::named("evidences[].dst_endpoint"))) {
        return Ok(());
    }
    Err(Rejected::new(Reason::InvalidValue, "neither a source nor a destination".to_owned()))
}
