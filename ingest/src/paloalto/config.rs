//! CONFIG -> api_activity: an administrator, or Panorama, changes the configuration.
//!
//! - The operation is the command; the resource is the configuration's path; the actor is the administrator, and how he
//!   came (`Web`, `CLI`, `Panorama`) is `actor.invoked_by`.
//! - A custom format may hold the details before and after the change, between the path and the sequence number. Where they
//!   stand is read off the action flags, which alone begin with 0x.
//! - The class requires an actor and a source: a record that names none gets OCSF's word for that, `Unknown`.
//!
//! Dropped: a host 0.0.0.0 (there was none); a result that the status's caption repeats.

use dataflow::{Leaf, Table, TableBuilder};

use super::{Common, HOST, Input, PRODUCT, Slot, User, own_slots, own_table, set_severity, set_status};
use crate::decode::Rejected;
use crate::decode::fields::{Convert, FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch};
use crate::normalize::{Class, Event, enums};

own_slots! {
    Host "host",
    Command "command",
    Result "result",
    Path "path",
}

/// Up to the administrator: with fewer columns a line does not say who did what.
pub(super) const LEAST_COLUMNS: usize = 11;

/// Columns that stand in custom formats only, and where the action flags are with and without them (from 0).
const DETAILS: [&str; 2] = ["before_change_detail", "after_change_detail"];
const FLAGS_PLAIN: usize = 15;
const FLAGS_DETAILED: usize = FLAGS_PLAIN + DETAILS.len();

const UNKNOWN: &str = "Unknown";

const CREATE: i32 = 1;
const READ: i32 = 2;
const UPDATE: i32 = 3;
const DELETE: i32 = 4;

/// Decodes CONFIG events.
#[derive(Debug)]
pub(super) struct Config {
    class: Class,
    plain: FieldTable,
    detailed: FieldTable,
    common: Common,
    user: User,
    operation: Target,
    service: Target,
    invoked_by: Target,
    source_ip: Target,
    source_name: Target,
    source_service: Target,
    resource: Target,
    status: [Leaf; 2],
}

impl Config {
    pub(super) fn new() -> Self {
        let at = Table::ApiActivity;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        let fields = || own_table("config.fields", include_str!("config.fields"), at, Own::NAMES);
        Self {
            class: Class::new(at, PRODUCT, HOST),
            plain: fields().without_columns(&DETAILS),
            detailed: fields(),
            common: Common::new(at),
            user: User { name: target("actor.user.name"), domain: target("actor.user.domain") },
            operation: target("api.operation"),
            service: target("api.service.name"),
            invoked_by: target("actor.invoked_by"),
            source_ip: Target { convert: Convert::NatIp, ..target("src_endpoint.ip") },
            source_name: target("src_endpoint.hostname"),
            source_service: target("src_endpoint.svc_name"),
            resource: target("resources[].name"),
            status: [leaf("status_id"), leaf("status")],
        }
    }

    pub(super) fn decode(
        &self,
        input: Input<'_>,
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let fields = if has_details(input) { &self.detailed } else { &self.plain };
        self.class.write((builder, fields, scratch), event, |row| {
            input.read(row);
            self.common.fill(row, &self.class, input, event)?;
            self.set_operation(row);
            if row.peek(Slot::Severity).is_some() {
                set_severity(row, &self.class);
            } else {
                self.class.set_severity(row, enums::INFORMATIONAL);
            }
            set_status(row, Own::Result, self.status);
            self.set_actor(row);
            self.set_source(row);
            self.set_resource(row);
            Ok(())
        })
    }

    fn set_operation(&self, row: &mut Row<'_, '_>) {
        self.class.set_activity(row, activity(row.peek_text(Own::Command)));
        if !row.place(Own::Command, &self.operation) {
            row.set_text(&self.operation, UNKNOWN);
        }
        row.set_text(&self.service, PRODUCT.name);
    }

    fn set_actor(&self, row: &mut Row<'_, '_>) {
        self.user.fill(row);
        if !row.has(Objects::named("actor.user")) {
            row.set_text(&self.invoked_by, UNKNOWN);
        }
    }

    fn set_source(&self, row: &mut Row<'_, '_>) {
        if let Some(field) = row.take(Own::Host) {
            let set = row.set(&self.source_ip, field.value) || row.set(&self.source_name, field.value);
            if !set {
                row.keep(field);
            }
        }
        if !row.has(Objects::named("src_endpoint")) {
            row.set_text(&self.source_service, UNKNOWN);
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
        if !row.set_text(&self.resource, path) {
            row.keep(field);
        }
    }
}

/// True if a line holds the details before and after the change.
fn has_details(input: Input<'_>) -> bool {
    let Input::Csv { columns, line, .. } = input else { return false };
    let flags = |column| columns.get(line, column).starts_with("0x");
    !flags(FLAGS_PLAIN) && flags(FLAGS_DETAILED)
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

#[cfg(test)]
mod tests;
