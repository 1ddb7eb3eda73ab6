//! CORRELATION -> detection_finding: several events of a host, taken together, match an object of the vendor's.
//!
//! The object is the rule, the category the finding's type, the evidence its description.

use dataflow::Table;

use super::base::{Base, HOST, Out};
use super::finding::{CREATE, Finding, require_endpoint};
use super::{Input, Slot, field_file};
use crate::decode::Rejected;
use crate::normalize::Event;

#[derive(Debug)]
pub(super) struct Correlation {
    base: Base,
    finding: Finding,
}

impl Correlation {
    pub(super) fn new() -> Self {
        let at = Table::DetectionFinding;
        Self { base: Base::new(at, HOST, field_file!("correlation"), Slot::FURTHER), finding: Finding::of(at) }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            row.builder.begin_element("evidences");
            input.read(row);
            let category = row.take(Slot::Category);
            self.finding.fill(row, category.map(|f| f.text()).unwrap_or_default(), event);
            let time = self.base.fill(row, input, event)?;
            self.finding.set_time(row, time);
            self.base.class.set_activity(row, CREATE);
            require_endpoint(row)
        })
    }
}

#[cfg(test)]
mod tests;
