//! CloudTrail events and `Records` arrays.

use std::net::IpAddr;

use super::template::Template;
use super::text::{address, hex, iso_seconds, uuid};
use crate::record::cloud::{CloudEvent, CloudRecord, OPERATIONS, Operation};

/// Writes one field.
type Put = for<'s, 'a, 'o> fn(&'s CloudEvent<'a>, &'o mut Vec<u8>);

/// The forms of an event and of its parts.
#[derive(Debug)]
pub(crate) struct CloudForms {
    event: Template<Put>,
    /// In the order of `Identity`.
    identities: Vec<Template<Put>>,
    /// Request and response, in the order of [`OPERATIONS`].
    operations: Vec<(Template<Put>, Template<Put>)>,
}

impl CloudForms {
    pub(crate) fn new() -> Self {
        let identities = include_str!("templates/cloudtrail_identities.txt").lines();
        Self {
            event: Template::json(include_str!("templates/cloudtrail_event.json"), FIELDS),
            identities: identities.filter_map(|l| l.split_once('|')).map(|(_, t)| Template::new(t, FIELDS)).collect(),
            operations: OPERATIONS
                .iter()
                .map(|o| (Template::new(o.request, FIELDS), Template::new(o.response, FIELDS)))
                .collect(),
        }
    }

    /// Appends the record.
    pub(crate) fn render(&self, record: &CloudRecord<'_>, out: &mut Vec<u8>) {
        if record.array.is_none() {
            return self.event(&record.event(0), out);
        }
        for index in 0..record.events() {
            out.extend_from_slice(if index == 0 { b"{\"Records\":[" } else { b"," });
            self.event(&record.event(index), out);
        }
        out.extend_from_slice(b"]}");
    }

    fn event(&self, event: &CloudEvent<'_>, out: &mut Vec<u8>) {
        self.event.render(out, |put, out| put(event, out));
    }
}

fn operation(e: &CloudEvent<'_>) -> &'static Operation {
    &OPERATIONS[e.operation]
}

fn forms<'e>(e: &'e CloudEvent<'_>) -> &'e CloudForms {
    &e.fleet.cloud_forms
}

fn part(template: &Template<Put>, e: &CloudEvent<'_>, out: &mut Vec<u8>) {
    template.render(out, |put, out| put(e, out));
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Seventeen characters as in the cloud's identifiers.
fn letters(out: &mut Vec<u8>, mut v: u64, n: usize) {
    for _ in 0..n {
        out.push(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(v & 31) as usize]);
        v = v.rotate_right(5) ^ 0x15;
    }
}

fn source(e: &CloudEvent<'_>, out: &mut Vec<u8>) {
    match e.source {
        Some(IpAddr::V4(v4)) => address(out, IpAddr::V4(v4)),
        Some(v6) => address(out, v6),
        None => {
            text(out, if e.salts[0] & 1 == 0 { "autoscaling.amazonaws.com" } else { "eks.amazonaws.com" });
        }
    }
}

fn denial(e: &CloudEvent<'_>, out: &mut Vec<u8>) {
    if !e.is_denied {
        return;
    }
    text(out, "\"errorCode\":\"AccessDenied\",\"errorMessage\":\"User: arn:aws:iam::");
    text(out, &e.tenant.account);
    text(out, ":user/");
    text(out, e.user);
    text(out, " is not authorized to perform: ");
    text(out, operation(e).service);
    text(out, ":");
    text(out, operation(e).name);
    text(out, " because no identity-based policy allows the action\",");
}

/// The session began up to an hour before, at a whole quarter.
fn session_start(e: &CloudEvent<'_>, out: &mut Vec<u8>) {
    let quarter = 900_000_000;
    iso_seconds(out, (e.time_us / quarter - (e.salts[1] & 3) as i64) * quarter);
}

/// The fields of the templates.
const FIELDS: &[(&str, Put)] = &[
    ("time", |e, o| iso_seconds(o, e.time_us)),
    ("session_start", session_start),
    ("service", |e, o| {
        text(o, operation(e).service);
        text(o, ".amazonaws.com");
    }),
    ("host", |e, o| {
        for part in [operation(e).service, ".", e.region, ".amazonaws.com"] {
            text(o, part);
        }
    }),
    ("operation", |e, o| text(o, operation(e).name)),
    ("read_only", |e, o| text(o, if operation(e).is_read { "true" } else { "false" })),
    ("region", |e, o| text(o, e.region)),
    ("source", source),
    ("agent", |e, o| text(o, e.agent)),
    ("error", denial),
    ("identity", |e, o| part(&forms(e).identities[e.identity as usize], e, o)),
    ("request", |e, o| part(&forms(e).operations[e.operation].0, e, o)),
    ("response", |e, o| match e.is_denied {
        true => text(o, "null"),
        false => part(&forms(e).operations[e.operation].1, e, o),
    }),
    ("request_id", |e, o| uuid(o, e.salts[0], e.salts[1])),
    ("event_id", |e, o| uuid(o, e.salts[1], e.salts[0])),
    ("account", |e, o| text(o, &e.tenant.account)),
    ("bucket", |e, o| text(o, &e.tenant.bucket)),
    ("user", |e, o| text(o, e.user)),
    ("role", |e, o| text(o, e.role)),
    ("principal", |e, o| letters(o, (e.user.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ e.identity as u64, 17)),
    ("key", |e, o| letters(o, e.salts[0], 16)),
    ("hex16", |e, o| hex(o, e.salts[1], 16)),
    ("mfa", |e, o| text(o, if e.salts[1] & 1 == 0 { "true" } else { "false" })),
];
