//! AUTH -> authentication; USERID -> authentication where a user logs in or out, else base_event.
//!
//! - AUTH: someone proves who he is to the firewall, for an authentication policy or an administrator's login. The event
//!   says how it went, and stands whole in `status_detail`.
//! - USERID: the firewall learns of a login elsewhere, which address the user has; what it learned it from stays in
//!   `unmapped`. A mapping is made of a login that succeeded.
//! - `is_mfa` is set where the factor's number says that it is not the first.
//! - A record that names no user gets OCSF's word for that, `Unknown`, as `user.uid`: the user's name stays null.
//!
//! Dropped: a normalized user that says the same as the user; an address 0.0.0.0 or `::` (there was none).

use dataflow::Table;

use super::base::{Base, HOST, Os, Out, SECURITY, UNKNOWN, columns, set_auth_protocol, set_enum};
use super::{Input, PRODUCT, Slot, field_file, own_slots};
use crate::decode::Rejected;
use crate::decode::fields::Objects;
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::Event;

own_slots! {
    NormalUser "normal_user",
    AuthEvent "event",
    Factor "factor",
    AuthProtocol "auth_protocol",
    Os "os",
    OsVersion "os_version",
}

/// Names of the slots.
pub(super) const OWN: &[&str] = Own::NAMES;

const LOGON: i32 = 1;
const LOGOFF: i32 = 2;

const SUCCESS: (i32, &str) = (1, "Success");
const FAILURE: (i32, &str) = (2, "Failure");

columns! {
    /// Columns of both log types.
    struct Columns {
        user_uid: "user.uid",
        service: "service.name",
        is_mfa: "is_mfa",
        status_id: "status_id",
        status: "status",
        status_detail: "status_detail",
        protocol_id: "auth_protocol_id",
        protocol: "auth_protocol",
    }
}

/// Decodes AUTH events.
#[derive(Debug)]
pub(super) struct Auth {
    base: Base,
    columns: Columns,
    os: Os,
    user: Objects,
}

impl Auth {
    pub(super) fn new() -> Self {
        let at = Table::Authentication;
        Self {
            base: Base::new(at, SECURITY, field_file!("auth"), Own::NAMES).informational(),
            columns: Columns::of(at),
            os: Os::of(at),
            user: Objects::named("user"),
        }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            drop_same_user(row);
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, LOGON);
            self.set_outcome(row);
            self.set_protocol(row);
            self.os.fill(row, Own::Os, Own::OsVersion);
            set_mfa(row, &self.columns);
            require_user(row, &self.columns, self.user);
            row.set_text(&self.columns.service, PRODUCT.name);
            Ok(())
        })
    }

    fn set_outcome(&self, row: &mut Row<'_, '_>) {
        let text = row.peek_text(Own::AuthEvent);
        if row.place(Own::AuthEvent, &self.columns.status_detail) {
            set_enum(row, &self.columns.status_id, &self.columns.status, outcome(text));
        }
    }

    /// 0 is none.
    fn set_protocol(&self, row: &mut Row<'_, '_>) {
        if row.peek_text(Own::AuthProtocol) != "0" {
            set_auth_protocol(row, Own::AuthProtocol, &self.columns.protocol_id, &self.columns.protocol);
        }
    }
}

/// The user in the form that the firewall compares says nothing new where it is the user's own.
fn drop_same_user(row: &mut Row<'_, '_>) {
    if row.peek_text(Own::NormalUser) == row.peek_text(Slot::User) {
        row.take(Own::NormalUser);
    }
}

/// The factor's number stays in `unmapped`: which one it was has no attribute.
fn set_mfa(row: &mut Row<'_, '_>, columns: &Columns) {
    if values::integer(row.peek_text(Own::Factor)).is_some_and(|n| n > 1) {
        row.builder.set_bool(columns.is_mfa.leaf, true);
    }
}

fn require_user(row: &mut Row<'_, '_>, columns: &Columns, user: Objects) {
    if !row.has(user) {
        row.set_text(&columns.user_uid, UNKNOWN);
    }
}

/// How an authentication went, by the words of its event (`user password failure`, `Invalid Certificate`).
fn outcome(event: &str) -> (i32, &str) {
    let has = |word: &&str| event.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
    if ["fail", "invalid", "denied", "reject", "error", "expired", "locked", "timeout"].iter().any(has) {
        FAILURE
    } else if ["success", "succeed", "allow", "accept"].iter().any(has) {
        SUCCESS
    } else {
        (99, event)
    }
}

/// Decodes USERID events of logins and logouts.
#[derive(Debug)]
pub(super) struct UserId {
    base: Base,
    columns: Columns,
    user: Objects,
}

impl UserId {
    pub(super) fn new() -> Self {
        let at = Table::Authentication;
        Self {
            base: Base::new(at, HOST, field_file!("userid"), Own::NAMES).informational(),
            columns: Columns::of(at),
            user: Objects::named("user"),
        }
    }

    /// True for a subtype that is a login or logout.
    pub(super) fn takes(subtype: &str) -> bool {
        activity(subtype).is_some()
    }

    pub(super) fn decode(
        &self,
        subtype: &str,
        input: Input<'_>,
        out: Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, activity(subtype).unwrap_or(99));
            set_enum(row, &self.columns.status_id, &self.columns.status, SUCCESS);
            set_mfa(row, &self.columns);
            require_user(row, &self.columns, self.user);
            row.set_text(&self.columns.service, "User-ID");
            Ok(())
        })
    }
}

fn activity(subtype: &str) -> Option<i32> {
    match subtype {
        "login" => Some(LOGON),
        "logout" => Some(LOGOFF),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
