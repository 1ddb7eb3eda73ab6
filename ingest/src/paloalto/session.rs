//! TRAFFIC -> network_activity.

use dataflow::{Leaf, Reason, Table, TableBuilder};

use super::{Common, Connection, Input, PRODUCT, SECURITY, Slot, User, set_action, set_duration, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch};
use crate::normalize::{Class, Event, enums};

/// Up to the action: with fewer columns a line does not say what happened.
pub(super) const LEAST_COLUMNS: usize = 31;

const OPEN: i32 = 1;
const CLOSE: i32 = 2;
const REFUSE: i32 = 5;

#[derive(Debug)]
pub(super) struct Traffic {
    class: Class,
    fields: FieldTable,
    common: Common,
    connection: Connection,
    user: User,
    duration: Leaf,
    end_time: Leaf,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let at = Table::NetworkActivity;
        Self {
            class: Class::new(at, PRODUCT, SECURITY),
            fields: table("traffic.fields", include_str!("traffic.fields"), at),
            common: Common::new(at),
            connection: Connection::new(at, "connection_info"),
            user: User { name: Target::of(at, "actor.user.name"), domain: Target::of(at, "actor.user.domain") },
            duration: at.expect_leaf("duration"),
            end_time: at.expect_leaf("end_time"),
        }
    }

    pub(super) fn decode(
        &self,
        input: Input<'_>,
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.class.write((builder, &self.fields, scratch), event, |row| {
            input.read(row);
            let activity = activity(row.peek_text(Slot::Subtype));
            let time = self.common.fill(row, &self.class, input, event)?;
            self.class.set_activity(row, activity);
            self.class.set_severity(row, enums::INFORMATIONAL);
            set_action(row, &self.class);
            self.connection.fill(row);
            self.user.fill(row);
            self.set_duration(row, activity, time);
            require_endpoint(row)
        })
    }

    /// Elapsed seconds -> milliseconds. A session that has ended did so at the event's time.
    fn set_duration(&self, row: &mut Row<'_, '_>, activity: i32, time: i64) {
        if activity == CLOSE {
            row.builder.set_i64(self.end_time, time);
        }
        set_duration(row, self.duration);
    }
}

/// `activity_id` of a TRAFFIC subtype; the subtype itself is the event code.
fn activity(subtype: &str) -> i32 {
    match subtype {
        "start" => OPEN,
        "end" => CLOSE,
        "drop" | "deny" => REFUSE,
        "" => 0,
        _ => 99,
    }
}

/// Network Activity without either end says nothing.
fn require_endpoint(row: &Row<'_, '_>) -> Result<(), Rejected> {
    if row.has(Objects::named("src_endpoint").with(Objects::named("dst_endpoint"))) {
        return Ok(());
    }
    Err(Rejected::new(Reason::InvalidValue, "neither a source nor a destination".to_owned()))
}
