//! SYSTEM -> authentication where an administrator or a VPN user logs in or out, else base_event.
//!
//! Who logs in from where stands in the description only, in a few fixed sentences; it stays whole in `message`. A
//! description that is none of them is a base_event: nothing is guessed. `service.name` is the device's: the same VPN login
//! stands in GLOBALPROTECT too, from 9.1 on.

use dataflow::{BatchBuilder, Leaf, Table};

use super::{Common, HOST, Input, Other, PRODUCT, set_severity, table};
use crate::decode::Rejected;
use crate::decode::fields::{Convert, FieldTable, Target};
use crate::decode::row::Scratch;
use crate::decode::values;
use crate::normalize::{Class, Event};

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
}

#[derive(Debug)]
struct Login {
    class: Class,
    fields: FieldTable,
    common: Common,
    user: Target,
    domain: Target,
    source: Target,
    service: Target,
    reason: Target,
    status: [Leaf; 2],
    is_remote: Leaf,
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
        Self { other: Other::new("system.fields", include_str!("system.fields"), true), login: Login::new() }
    }

    pub(super) fn decode(
        &self,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let (name, text) = (input.text_of(EVENT.0, EVENT.1), input.text_of(DESCRIPTION.0, DESCRIPTION.1));
        match sign_in(name, text) {
            Some(found) => self.login.decode(found, input, rows, scratch, event),
            None => self.other.decode(input, rows, scratch, event),
        }
    }
}

impl Login {
    fn new() -> Self {
        let at = Table::Authentication;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        Self {
            class: Class::new(at, PRODUCT, HOST),
            fields: table("system.fields", include_str!("system.fields"), at),
            common: Common::new(at),
            user: target("user.name"),
            domain: target("user.domain"),
            source: Target { convert: Convert::Ip, ..target("src_endpoint.ip") },
            service: target("service.name"),
            reason: target("status_detail"),
            status: [leaf("status_id"), leaf("status")],
            is_remote: leaf("is_remote"),
        }
    }

    fn decode(
        &self,
        found: SignIn<'_>,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let out = (rows.table(Table::Authentication), &self.fields, scratch);
        self.class.write(out, event, |row| {
            input.read(row);
            self.common.fill(row, &self.class, input, event)?;
            self.class.set_activity(row, found.activity);
            set_severity(row, &self.class);
            let (domain, name) = values::split_user(found.user);
            row.set_text(&self.user, name);
            if let Some(domain) = domain {
                row.set_text(&self.domain, domain);
            }
            if row.set_text(&self.source, found.source) {
                row.builder.set_bool(self.is_remote, true);
            }
            if !found.reason.is_empty() {
                row.set_text(&self.reason, found.reason);
            }
            row.set_text(&self.service, PRODUCT.name);
            let (id, caption) = if found.succeeded { (1, "Success") } else { (2, "Failure") };
            row.builder.set_i32(self.status[0], id);
            row.builder.set_str(self.status[1], caption);
            Ok(())
        })
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
