//! Sessions: TRAFFIC, DECRYPTION, SCTP and GTP -> network_activity; tunnel inspection, START and END -> tunnel_activity.
//!
//! - The subtype says whether the session begins or ends; DECRYPTION and SCTP have none: traffic was seen.
//! - A tunnel of which only the log type says whether it begins or ends is taken at that word. Whether all of the source's
//!   traffic goes through it is not said: the type is 0, Unknown.
//! - `status_detail` is why the session ended, of DECRYPTION the error.
//!
//! Network Activity without either end says nothing: a dead letter.

use dataflow::{Reason, Table};

use super::base::{Base, Out, SECURITY, UNKNOWN, columns, set_duration, set_enum};
use super::{Input, Slot, field_file};
use crate::decode::Rejected;
use crate::decode::fields::{Objects, Target};
use crate::decode::row::Row;
use crate::normalize::Event;

/// Up to the action: with fewer columns a line does not say what happened.
pub(super) const LEAST_COLUMNS: usize = 31;

const OPEN: i32 = 1;
const CLOSE: i32 = 2;
const REFUSE: i32 = 5;
const TRAFFIC: i32 = 6;
const OTHER: i32 = 99;

/// Decodes one log type of sessions.
#[derive(Debug)]
pub(super) struct Session {
    base: Base,
    /// `activity_id` of a subtype and log type.
    activity: fn(&str, &str) -> i32,
    times: Times,
    ends: Objects,
    tunnel_type: Option<[Target; 2]>,
}

columns! {
    /// When a session ended, and how long it was.
    struct Times {
        end: "end_time",
        duration: "duration",
    }
}

impl Session {
    pub(super) fn traffic() -> Self {
        let base = Base::new(Table::NetworkActivity, SECURITY, field_file!("traffic"), Slot::FURTHER);
        Self::network(base.informational(), |subtype, _| traffic_activity(subtype))
    }

    pub(super) fn decryption() -> Self {
        let base = Base::new(Table::NetworkActivity, SECURITY, field_file!("decryption"), Slot::FURTHER);
        Self::network(base.informational(), |_, _| TRAFFIC)
    }

    pub(super) fn sctp() -> Self {
        Self::network(Base::new(Table::NetworkActivity, SECURITY, field_file!("sctp"), Slot::FURTHER), |_, _| TRAFFIC)
    }

    pub(super) fn gtp() -> Self {
        let base = Base::new(Table::NetworkActivity, SECURITY, field_file!("gtp"), Slot::FURTHER);
        Self::network(base, |subtype, _| match traffic_activity(subtype) {
            0 | OTHER => TRAFFIC,
            activity => activity,
        })
    }

    fn network(base: Base, activity: fn(&str, &str) -> i32) -> Self {
        let ends = Objects::named("src_endpoint").with(Objects::named("dst_endpoint"));
        Self { base, activity, times: Times::of(Table::NetworkActivity), ends, tunnel_type: None }
    }

    pub(super) fn tunnel() -> Self {
        let at = Table::TunnelActivity;
        Self {
            base: Base::new(at, SECURITY, field_file!("tunnel"), Slot::FURTHER),
            activity: tunnel_activity,
            times: Times::of(at),
            ends: Objects::default(),
            tunnel_type: Some(["tunnel_type_id", "tunnel_type"].map(|path| Target::of(at, path))),
        }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            let activity = (self.activity)(row.peek_text(Slot::Subtype), row.peek_text(Slot::LogType));
            let time = self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, activity);
            if activity == CLOSE {
                row.builder.set_i64(self.times.end.leaf, time);
            }
            set_duration(row, self.times.duration.leaf);
            if let Some([id, caption]) = &self.tunnel_type {
                set_enum(row, id, caption, (0, UNKNOWN));
            }
            self.require_ends(row)
        })
    }

    fn require_ends(&self, row: &Row<'_, '_>) -> Result<(), Rejected> {
        if self.ends.is_empty() || row.has(self.ends) {
            return Ok(());
        }
        Err(Rejected::new(Reason::InvalidValue, "neither a source nor a destination".to_owned()))
    }
}

/// `activity_id` of a TRAFFIC subtype; the subtype itself is the event code.
fn traffic_activity(subtype: &str) -> i32 {
    match subtype {
        "start" => OPEN,
        "end" => CLOSE,
        "drop" | "deny" => REFUSE,
        "" => 0,
        _ => OTHER,
    }
}

/// `activity_id` of Tunnel Activity.
fn tunnel_activity(subtype: &str, log_type: &str) -> i32 {
    match (subtype, log_type) {
        ("start", _) => OPEN,
        ("end", _) => CLOSE,
        ("drop" | "deny", _) => OTHER,
        (_, "START" | "start") => OPEN,
        (_, "END" | "end") => CLOSE,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests;
