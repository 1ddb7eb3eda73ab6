//! SYSTEM -> authentication where an administrator or a VPN user logs in or out, else the class that `system.events` names for
//! the event, else base_event.
//!
//! Who logs in from where stands in the description only, in a few fixed sentences; it stays whole in `message`. A
//! description that is none of them is a base_event: nothing is guessed. `service.name` is the device's: the same VPN login
//! stands in GLOBALPROTECT too, from 9.1 on.
//!
//! base_event stay, since OCSF has no class for them: high availability, hardware and interfaces, routing peers, NTP, licenses,
//! what Panorama and the update servers answer, and all that is unheard of.

mod events;

use dataflow::Table;

use super::base::{Base, HOST, Out, UNKNOWN, columns, set_enum};
use super::other::Other;
use super::{Input, PRODUCT, Slot, field_file};
use crate::decode::Rejected;
use crate::decode::fields::{Objects, Target};
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::Event;
use events::Kind;

/// The event and its description: column from 0 and JSON name.
const EVENT: (usize, &str) = (8, "EventName");
const DESCRIPTION: (usize, &str) = (14, "EventDescription");

const LOGON: i32 = 1;
const LOGOFF: i32 = 2;

/// Decodes SYSTEM events.
#[derive(Debug)]
pub(super) struct System {
    other: Other,
    login: Login,
    kinds: Vec<Kind>,
    /// The classes of the kinds.
    told: Vec<Told>,
}

/// Events of a class that their kind names.
#[derive(Debug)]
struct Told {
    table: Table,
    base: Base,
    status_id: Target,
    status: Target,
    /// What the class requires, and is [`UNKNOWN`] where the event does not tell it: an object, and an attribute of its.
    required: Option<(Objects, Target)>,
    tunnel: Option<Tunnel>,
}

columns! {
    struct Tunnel {
        is_vpn: "session.is_vpn",
        type_id: "tunnel_type_id",
        kind: "tunnel_type",
        interface_type_id: "tunnel_interface.type_id",
        interface_type: "tunnel_interface.type",
    }
}

#[derive(Debug)]
struct Login {
    base: Base,
    columns: Columns,
}

columns! {
    struct Columns {
        user: "user.name",
        domain: "user.domain",
        source: "src_endpoint.ip ip",
        service: "service.name",
        reason: "status_detail",
        status_id: "status_id",
        status: "status",
        is_remote: "is_remote",
    }
}

/// Someone who logs in or out, as a description tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SignIn<'v> {
    activity: i32,
    succeeded: bool,
    user: &'v str,
    /// Empty where none is told, as in the other texts.
    source: &'v str,
    reason: &'v str,
}

impl System {
    pub(super) fn new() -> Self {
        let base = Base::new(Table::Authentication, HOST, field_file!("system"), Slot::FURTHER);
        let kinds = events::kinds();
        let is_told = |table: &Table| kinds.iter().any(|kind| kind.table == *table);
        Self {
            other: Other::whole(field_file!("system"), Slot::FURTHER),
            login: Login { base, columns: Columns::of(Table::Authentication) },
            told: Table::EVENTS.into_iter().filter(is_told).map(Told::new).collect(),
            kinds,
        }
    }

    pub(super) fn decode(
        &self,
        subtype: &str,
        input: Input<'_>,
        out: Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let fields = &self.login.base.fields;
        let (name, text) = (input.text_of(fields, EVENT), input.text_of(fields, DESCRIPTION));
        if let Some(found) = sign_in(name, text) {
            return self.login.decode(found, input, out, event);
        }
        let kind = events::find(&self.kinds, subtype, name, text);
        let told = kind.and_then(|kind| Some((kind, self.told.iter().find(|told| told.table == kind.table)?)));
        match told {
            Some((kind, told)) => told.decode((kind, text), input, out, event),
            None => self.other.decode(input, out, event),
        }
    }
}

impl Told {
    fn new(table: Table) -> Self {
        let required = match table {
            Table::DeviceConfigStateChange => Some(("device", "device.name")),
            Table::DhcpActivity => Some(("src_endpoint", "src_endpoint.svc_name")),
            _ => None,
        };
        Self {
            table,
            base: Base::new(table, HOST, field_file!("system"), Slot::FURTHER),
            status_id: Target::of(table, "status_id"),
            status: Target::of(table, "status"),
            required: required.map(|(object, path)| (Objects::named(object), Target::of(table, path))),
            tunnel: (table == Table::TunnelActivity).then(|| Tunnel::of(table)),
        }
    }

    fn decode(
        &self,
        (kind, text): (&Kind, &str),
        input: Input<'_>,
        out: Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, kind.activity);
            kind.fill(row, text);
            if let Some(status) = kind.status {
                set_enum(row, &self.status_id, &self.status, status);
            }
            if let Some((_, target)) = self.required.as_ref().filter(|(object, _)| !row.has(*object)) {
                row.set_text(target, UNKNOWN);
            }
            if let Some(tunnel) = &self.tunnel {
                tunnel.fill(row);
            }
            Ok(())
        })
    }
}

impl Tunnel {
    /// Whether all traffic goes through it is not said: the type is 0, Unknown.
    fn fill(&self, row: &mut Row<'_, '_>) {
        row.builder.set_bool(self.is_vpn.leaf, true);
        set_enum(row, &self.type_id, &self.kind, (0, UNKNOWN));
        if row.has(const { Objects::named("tunnel_interface") }) {
            set_enum(row, &self.interface_type_id, &self.interface_type, (4, "Tunnel"));
        }
    }
}

impl Login {
    fn decode(&self, found: SignIn<'_>, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, found.activity);
            self.set_columns(row, found);
            Ok(())
        })
    }

    fn set_columns(&self, row: &mut Row<'_, '_>, found: SignIn<'_>) {
        let columns = &self.columns;
        let (domain, name) = values::split_user(found.user);
        row.set_text(&columns.user, name);
        if let Some(domain) = domain {
            row.set_text(&columns.domain, domain);
        }
        if row.set_text(&columns.source, found.source) {
            row.builder.set_bool(columns.is_remote.leaf, true);
        }
        if !found.reason.is_empty() {
            row.set_text(&columns.reason, found.reason);
        }
        row.set_text(&columns.service, PRODUCT.name);
        let outcome = if found.succeeded { (1, "Success") } else { (2, "Failure") };
        set_enum(row, &columns.status_id, &columns.status, outcome);
    }
}

/// Reads a description of someone logging in or out; none if it is of anything else or names no user.
fn sign_in<'v>(event: &str, text: &'v str) -> Option<SignIn<'v>> {
    let found = match event {
        "general" => console(text)?,
        "auth-success" | "auth-fail" => profile(text, event == "auth-success"),
        _ => portal(event.strip_prefix("globalprotect")?, text)?,
    };
    (!found.user.is_empty()).then_some(found)
}

/// `User admin logged in via Web from 192.0.2.1 using https`.
fn console(text: &str) -> Option<SignIn<'_>> {
    let (user, rest) = text.strip_prefix("User ")?.split_once(" logged ")?;
    let (way, rest) = rest.split_once(" via ")?;
    let activity = match way {
        "in" => LOGON,
        "out" => LOGOFF,
        _ => return None,
    };
    let source = rest.split_once(" from ").map_or("", |(_, from)| first_word(from));
    Some(SignIn { activity, succeeded: true, user: user.trim_matches('\''), source, reason: "" })
}

/// `failed authentication for user 'ann'. Reason: ... From: 192.0.2.1.` The name is what someone typed: the address is that
/// of the last `From:`, which the device wrote.
fn profile(text: &str, succeeded: bool) -> SignIn<'_> {
    let user = ["user '", "User '"].iter().find_map(|head| between(text, head, "'")).unwrap_or_default();
    let source = text.rsplit_once("From: ").map_or("", |(_, from)| first_word(from));
    SignIn { activity: LOGON, succeeded, user, source, reason: sentence(text) }
}

/// `... Login from: 192.0.2.1, User name: ann, Reason: ...` of a portal or gateway. The name is what someone typed: the
/// address is that of the first `Login from:`, which stands before it.
fn portal<'v>(event: &str, text: &'v str) -> Option<SignIn<'v>> {
    let event = event.strip_prefix("portal-").or_else(|| event.strip_prefix("gateway-"))?;
    let (activity, succeeded) = match event {
        "auth-succ" | "regist-succ" => (LOGON, true),
        "auth-fail" | "regist-fail" => (LOGON, false),
        "logout-succ" => (LOGOFF, true),
        _ => return None,
    };
    let user = between(text, "User name: ", ",").unwrap_or_default();
    let source = text.split_once("Login from: ").map_or("", |(_, from)| first_word(from));
    Some(SignIn { activity, succeeded, user: user.trim_end_matches('.'), source, reason: sentence(text) })
}

/// What stands after `head` and before `end`, or to the end of the text.
fn between<'v>(text: &'v str, head: &str, end: &str) -> Option<&'v str> {
    let (_, rest) = text.split_once(head)?;
    Some(rest.split_once(end).map_or(rest, |(found, _)| found))
}

/// The reason, up to the sentence's end.
fn sentence(text: &str) -> &str {
    let reason = between(text, "Reason: ", ", ").unwrap_or_default();
    let reason = reason.split_once(". ").map_or(reason, |(first, _)| first);
    reason.split_once(" From: ").map_or(reason, |(first, _)| first).trim_end_matches('.').trim()
}

fn first_word(text: &str) -> &str {
    text.split([' ', ',']).next().unwrap_or_default().trim_end_matches('.')
}

#[cfg(test)]
mod tests;
