//! CONFIG -> api_activity: an administrator, or Panorama, changes the configuration. AUDIT -> api_activity: a command that an
//! administrator gave, whatever it does.
//!
//! - CONFIG: the operation is the command; the resource is the configuration's path; the actor is the administrator, and how
//!   he came (`Web`, `CLI`, `Panorama`) is `actor.invoked_by`.
//! - A custom format may hold the details before and after the change, between the path and the sequence number. Where they
//!   stand is read off the action flags, which alone begin with 0x.
//! - AUDIT: the operation is the event (`gui-op`, `cli`), which is the event code too; the command stands in `message`, and
//!   its first word says whether it reads or changes.
//! - The class requires an actor and a source: a record that names none gets OCSF's word for that, `Unknown`.
//!
//! Dropped: a host 0.0.0.0 (there was none); a result that the status's caption repeats.

use dataflow::Table;

use super::base::{Base, HOST, Out, UNKNOWN, columns, set_status};
use super::{Input, PRODUCT, Slot, field_file, own_slots, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects};
use crate::decode::row::Row;
use crate::normalize::{Event, enums};

own_slots! {
    Host "host",
    Command "command",
    Result "result",
    Path "path",
    Details "details",
}

/// Up to the administrator: with fewer columns a line does not say who did what.
pub(super) const LEAST_COLUMNS: usize = 11;

/// Up to the event of an AUDIT line.
pub(super) const AUDIT_LEAST_COLUMNS: usize = 5;

/// Columns that stand in custom formats only, and where the action flags are with and without them (from 0).
const DETAILS: [&str; 2] = ["before_change_detail", "after_change_detail"];
const FLAGS_PLAIN: usize = 15;
const FLAGS_DETAILED: usize = FLAGS_PLAIN + DETAILS.len();

const CREATE: i32 = 1;
const READ: i32 = 2;
const UPDATE: i32 = 3;
const DELETE: i32 = 4;

columns! {
    /// Columns of both log types.
    struct Columns {
        operation: "api.operation",
        service: "api.service.name",
        event_code: "metadata.event_code",
        message: "message",
        invoked_by: "actor.invoked_by",
        source_ip: "src_endpoint.ip nat_ip",
        source_name: "src_endpoint.hostname",
        source_service: "src_endpoint.svc_name",
        resource: "resources[].name",
        status_id: "status_id",
        status: "status",
    }
}

/// Decodes CONFIG and AUDIT events.
#[derive(Debug)]
pub(super) struct Config {
    /// With the fields of a line that holds the details of a change.
    config: Base,
    plain: FieldTable,
    audit: Base,
    columns: Columns,
}

impl Config {
    pub(super) fn new() -> Self {
        let at = Table::ApiActivity;
        let base = |file| Base::new(at, HOST, file, Own::NAMES).informational();
        Self {
            config: base(field_file!("config")),
            plain: table(field_file!("config"), at, Own::NAMES).without_columns(&DETAILS),
            audit: base(field_file!("audit")),
            columns: Columns::of(at),
        }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        let fields = if is_plain(input) { &self.plain } else { &self.config.fields };
        self.config.write_as(fields, out, event, |row| {
            input.read(row);
            self.config.fill(row, input, event)?;
            self.config.class.set_activity(row, activity(row.peek_text(Own::Command)));
            self.fill(row);
            Ok(())
        })
    }

    pub(super) fn decode_audit(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.audit.write(out, event, |row| {
            input.read(row);
            // By the vendor's page the last column is a severity.
            if enums::severity(row.peek_text(Own::Result)).is_some() {
                row.fall_back(Slot::Severity, Own::Result);
            }
            self.set_audit_code(row);
            self.audit.fill(row, input, event)?;
            let words = row.peek_text(Own::Details);
            row.place(Own::Details, &self.columns.message);
            self.audit.class.set_activity(row, command_activity(words));
            self.fill(row);
            Ok(())
        })
    }

    /// A line's third column is the log type, in the place of the subtype; the event is its code.
    fn set_audit_code(&self, row: &mut Row<'_, '_>) {
        let code = row.peek_text(Own::Command);
        if !code.is_empty() && !row.builder.is_set(self.columns.event_code.leaf) {
            row.set_text(&self.columns.event_code, code);
        }
        row.fall_back(Slot::LogType, Slot::Subtype);
    }

    fn fill(&self, row: &mut Row<'_, '_>) {
        if !row.place(Own::Command, &self.columns.operation) {
            row.set_text(&self.columns.operation, UNKNOWN);
        }
        row.set_text(&self.columns.service, PRODUCT.name);
        set_status(row, Own::Result, &self.columns.status_id, &self.columns.status);
        if !row.has(const { Objects::named("actor.user") }) {
            row.set_text(&self.columns.invoked_by, UNKNOWN);
        }
        self.set_source(row);
        self.set_resource(row);
    }

    fn set_source(&self, row: &mut Row<'_, '_>) {
        if let Some(field) = row.take(Own::Host) {
            let set = row.set(&self.columns.source_ip, field.value) || row.set(&self.columns.source_name, field.value);
            if !set {
                row.keep(field);
            }
        }
        if !row.has(const { Objects::named("src_endpoint") }) {
            row.set_text(&self.columns.source_service, UNKNOWN);
        }
    }

    /// The path as the device writes it: names divided by spaces. A commit has none.
    fn set_resource(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Own::Path) else { return };
        let path = field.text().trim();
        if path.is_empty() {
            return row.keep(field);
        }
        row.builder.begin_element("resources");
        if !row.set_text(&self.columns.resource, path) {
            row.keep(field);
        }
    }
}

/// False if a line holds the details before and after the change.
fn is_plain(input: Input<'_>) -> bool {
    let Input::Csv { columns, line, .. } = input else { return false };
    let flags = |column| columns.get(line, column).starts_with("0x");
    flags(FLAGS_PLAIN) || !flags(FLAGS_DETAILED)
}

/// `activity_id` of a command. A `set` creates or changes: it is an update.
fn activity(command: &str) -> i32 {
    match command {
        "add" | "clone" | "multi-clone" | "import" | "upload" | "load" => CREATE,
        "show" | "get" | "export" | "download" | "validate" | "diff" => READ,
        "set" | "edit" | "move" | "rename" | "override" | "commit" | "commit-all" | "commit-and-push" | "revert"
        | "multi-move" | "replace" => UPDATE,
        "delete" => DELETE,
        "" => 0,
        _ => 99,
    }
}

/// `activity_id` of a command line (`show system info`) or an operation's XML (`<show><system>`).
fn command_activity(command: &str) -> i32 {
    let word = command.trim_start_matches('<').split([' ', '>', '<', '/']).next().unwrap_or_default();
    activity(word)
}

#[cfg(test)]
mod tests;
