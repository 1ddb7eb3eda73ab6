//! A Cisco ASA's messages about sessions.

use super::line::Line;
use super::session_fields::{Form, Put, fields, forms};
use super::template::Template;
use super::text::{address, hex, number, text, two};
use crate::record::asa::session_message;
use crate::record::session::Session;

/// The forms, in the order of the messages.
#[derive(Debug)]
pub(super) struct AsaForms(Vec<Form>);

impl AsaForms {
    pub(super) fn new() -> Self {
        Self(forms(Template::named(include_str!("templates/asa_session.txt"), &fields(MORE))))
    }

    pub(super) fn form(&self, session: &Session<'_>) -> &Form {
        &self.0[session_message(session) as usize]
    }
}

fn interface(zone: &str) -> &'static str {
    match zone {
        "trust" => "inside",
        "dmz" => "dmz",
        _ => "outside",
    }
}

/// Interface of the end on the less secure side, which messages name first, or of the other.
fn interface_of(s: &Session<'_>, is_first: bool) -> &'static str {
    interface(if is_first == s.is_inbound() { s.zones.source() } else { s.zones.destination() })
}

fn end(s: &Session<'_>, out: &mut Line, is_first: bool) {
    address(out, if is_first == s.is_inbound() { s.src } else { s.dst });
}

fn port(s: &Session<'_>, out: &mut Line, is_first: bool) {
    number(out, if is_first == s.is_inbound() { s.src_port } else { s.dst_port }.into());
}

/// What stands for an end on the other side: of a source that is translated its translation.
fn map(s: &Session<'_>, out: &mut Line, is_first: bool) {
    match s.nat_src.filter(|_| is_first == s.is_inbound()) {
        Some(nat) => address(out, nat),
        None => end(s, out, is_first),
    }
}

fn map_port(s: &Session<'_>, out: &mut Line, is_first: bool) {
    match s.nat_src.filter(|_| is_first == s.is_inbound()) {
        Some(_) => number(out, s.nat_port.into()),
        None => port(s, out, is_first),
    }
}

fn number_by_protocol(s: &Session<'_>, out: &mut Line, tcp: &str, udp: &str) {
    text(out, if s.app.protocol == "tcp" { tcp } else { udp });
}

/// Fields that no other vendor's templates have.
const MORE: &[(&str, Put)] = &[
    ("built_number", |s, o| number_by_protocol(s, o, "302013", "302015")),
    ("teardown_number", |s, o| number_by_protocol(s, o, "302014", "302016")),
    ("protocol_upper", |s, o| number_by_protocol(s, o, "TCP", "UDP")),
    ("teardown_reason", |s, o| number_by_protocol(s, o, " TCP FINs", "")),
    ("asa_direction", |s, o| text(o, if s.is_inbound() { "inbound" } else { "outbound" })),
    ("first_if", |s, o| text(o, interface_of(s, true))),
    ("first", |s, o| end(s, o, true)),
    ("first_port", |s, o| port(s, o, true)),
    ("first_map", |s, o| map(s, o, true)),
    ("first_map_port", |s, o| map_port(s, o, true)),
    ("second_if", |s, o| text(o, interface_of(s, false))),
    ("second", |s, o| end(s, o, false)),
    ("second_port", |s, o| port(s, o, false)),
    ("second_map", |s, o| map(s, o, false)),
    ("second_map_port", |s, o| map_port(s, o, false)),
    ("src_if", |s, o| text(o, interface(s.zones.source()))),
    ("dst_if", |s, o| text(o, interface(s.zones.destination()))),
    ("asa_user", |s, o| {
        if let Some(user) = s.user {
            ["(", &s.tenant.domain, "\\", user, ")"].into_iter().for_each(|part| text(o, part));
        }
    }),
    ("asa_user_at", |s, o| {
        if let Some(user) = s.user {
            text(o, user);
            o.push(b'@');
        }
    }),
    ("acl_hash", |s, o| hex(o, s.rule.name.len() as u64 * 0x1f3a_55d1, 8)),
    ("duration_clock", |s, o| {
        let seconds = u64::from(s.elapsed_s);
        number(o, seconds / 3_600);
        o.push(b':');
        two(o, seconds / 60 % 60);
        o.push(b':');
        two(o, seconds % 60);
    }),
    ("web_scheme", |s, o| text(o, if s.dst_port == 443 { "https" } else { "http" })),
];
