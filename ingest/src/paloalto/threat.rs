//! THREAT of any subtype but url -> detection_finding: what the firewall found, with the session as its evidence.

use dataflow::Table;

use super::base::{Base, Out, SECURITY};
use super::finding::{CREATE, Finding, require_endpoint};
use super::{Input, Slot, field_file, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Target};
use crate::decode::row::Row;
use crate::normalize::Event;

/// Up to the severity: with fewer columns a line does not say what was found.
pub(super) const LEAST_COLUMNS: usize = 35;

#[derive(Debug)]
pub(super) struct Threat {
    base: Base,
    /// Subtype data has the last two columns the other way round.
    data_fields: FieldTable,
    finding: Finding,
    url: Target,
}

impl Threat {
    pub(super) fn new() -> Self {
        let at = Table::DetectionFinding;
        let data_fields = table(field_file!("threat"), at, Slot::FURTHER);
        Self {
            base: Base::new(at, SECURITY, field_file!("threat"), Slot::FURTHER),
            data_fields: data_fields.with_columns_exchanged("flow_type", "cluster_name"),
            finding: Finding::of(at),
            url: Target::of(at, "evidences[].url.url_string"),
        }
    }

    pub(super) fn decode(
        &self,
        subtype: &str,
        input: Input<'_>,
        out: Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let fields = if subtype == "data" { &self.data_fields } else { &self.base.fields };
        self.base.write_as(fields, out, event, |row| {
            row.builder.begin_element("evidences");
            input.read(row);
            self.finding.fill(row, row.peek_text(Slot::Subtype), event);
            // Some forwarders name the vendor's severity so; beside `VendorSeverity` it is another's.
            row.fall_back(Slot::Severity, Slot::OtherSeverity);
            let time = self.base.fill(row, input, event)?;
            self.finding.set_time(row, time);
            self.base.class.set_activity(row, CREATE);
            self.set_url(row);
            require_endpoint(row)
        })
    }

    /// The field holds a URI or a file name: only what has a path is one.
    fn set_url(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Url) else { return };
        if !(field.text().contains('/') && row.set_text(&self.url, field.text())) {
            row.keep(field);
        }
    }
}
