//! Events of CloudTrail and of the other clouds' audit logs, alone and in arrays.

use std::net::IpAddr;

use super::line::Line;
use super::template::Template;
use super::text::{address, hex, iso_micros, iso_seconds, number, text, uuid};
use crate::fleet::Tenant;
use crate::fleet::people::DOMAIN;
use crate::record::Wire;
use crate::record::cloud::{CloudEvent, CloudRecord, Identity, operations};

/// Writes one field.
type Put = for<'s, 'a, 'o> fn(&'s CloudEvent<'a>, &'o mut Line);

/// The forms of an event and of its parts.
#[derive(Debug)]
pub(crate) struct CloudForms {
    aws: Template<Put>,
    gcp: Template<Put>,
    azure: Template<Put>,
    /// In the order of `Identity`.
    identities: Vec<Template<Put>>,
    aws_operations: Operations,
    gcp_operations: Operations,
    azure_operations: Operations,
}

/// Request and response of each operation of a cloud.
type Operations = Vec<(Template<Put>, Template<Put>)>;

fn operations_of(wire: Wire) -> Operations {
    let forms = |text: &str| Template::new(text, FIELDS);
    // Of another cloud's response the last part is the resource; the parts before it are written by themselves.
    let last = |text: &str| forms(text.rsplit(',').next().unwrap_or(text));
    let response = |text: &str| if wire == Wire::CloudTrail { forms(text) } else { last(text) };
    operations(wire).iter().map(|o| (forms(o.request), response(o.response))).collect()
}

impl CloudForms {
    pub(crate) fn new() -> Self {
        Self {
            aws: Template::json(include_str!("templates/cloudtrail_event.json"), FIELDS),
            gcp: Template::json(include_str!("templates/gcp_audit.json"), FIELDS),
            azure: Template::json(include_str!("templates/azure_activity.json"), FIELDS),
            identities: Template::named(include_str!("templates/cloudtrail_identities.txt"), FIELDS),
            aws_operations: operations_of(Wire::CloudTrail),
            gcp_operations: operations_of(Wire::GcpAudit),
            azure_operations: operations_of(Wire::AzureActivity),
        }
    }

    /// Appends the record.
    pub(crate) fn render(&self, record: &CloudRecord<'_>, out: &mut Line) {
        if record.array.is_none() {
            return self.event(&record.event(0), out);
        }
        let open = if record.wire == Wire::AzureActivity { "{\"records\":[" } else { "{\"Records\":[" };
        for index in 0..record.events() {
            text(out, if index == 0 { open } else { "," });
            self.event(&record.event(index), out);
        }
        out.put(b"]}");
    }

    fn event(&self, event: &CloudEvent<'_>, out: &mut Line) {
        let form = match event.wire {
            Wire::GcpAudit => &self.gcp,
            Wire::AzureActivity => &self.azure,
            _ => &self.aws,
        };
        form.render(out, |put, out| put(event, out));
    }

    fn operation(&self, event: &CloudEvent<'_>) -> &(Template<Put>, Template<Put>) {
        let operations = match event.wire {
            Wire::GcpAudit => &self.gcp_operations,
            Wire::AzureActivity => &self.azure_operations,
            _ => &self.aws_operations,
        };
        &operations[event.operation]
    }
}

fn forms<'e>(e: &'e CloudEvent<'_>) -> &'e CloudForms {
    &e.fleet.cloud_forms
}

fn part(template: &Template<Put>, e: &CloudEvent<'_>, out: &mut Line) {
    template.render(out, |put, out| put(e, out));
}

/// `n` characters, at most 20, as in the cloud's identifiers.
fn letters(out: &mut Line, mut v: u64, n: usize) {
    out.fill::<20>(n.min(20), |room| {
        for letter in &mut room[..] {
            *letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(v & 31) as usize];
            v = v.rotate_right(5) ^ 0x15;
        }
    });
}

fn source(e: &CloudEvent<'_>, out: &mut Line) {
    match e.source {
        Some(IpAddr::V4(v4)) => address(out, IpAddr::V4(v4)),
        Some(v6) => address(out, v6),
        None => {
            text(out, if e.salts[0] & 1 == 0 { "autoscaling.amazonaws.com" } else { "eks.amazonaws.com" });
        }
    }
}

fn denial(e: &CloudEvent<'_>, out: &mut Line) {
    if !e.is_denied {
        return;
    }
    text(out, "\"errorCode\":\"AccessDenied\",\"errorMessage\":\"User: arn:aws:iam::");
    text(out, &e.tenant.account);
    text(out, ":user/");
    text(out, e.user);
    text(out, " is not authorized to perform: ");
    text(out, e.operation().service);
    text(out, ":");
    text(out, e.operation().name);
    text(out, " because no identity-based policy allows the action\",");
}

/// The session began up to an hour before, at a whole quarter.
fn session_start(e: &CloudEvent<'_>, out: &mut Line) {
    let quarter = 900_000_000;
    iso_seconds(out, (e.time_us / quarter - (e.salts[1] & 3) as i64) * quarter);
}

/// A part of what a GCP operation says beside its name: permission, type of the resource.
fn named_part(e: &CloudEvent<'_>, index: usize) -> &'static str {
    e.operation().response.split(',').nth(index).unwrap_or_default()
}

/// Whether the caller is a person, for Azure.
fn claims(e: &CloudEvent<'_>, out: &mut Line) {
    text(out, "\"idtyp\":\"");
    if e.identity == Identity::Service {
        text(out, "app\",\"appid\":\"");
        uuid(out, e.role.len() as u64, 7);
        return out.push(b'"');
    }
    text(out, "user\",\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn\":\"");
    address_of(e, out);
    text(out, "\",\"name\":\"");
    text(out, e.user);
    out.push(b'"');
}

/// The person's address.
fn address_of(e: &CloudEvent<'_>, out: &mut Line) {
    text(out, e.user);
    out.push(b'@');
    text(out, DOMAIN);
}

/// What stays the same for a tenant.
pub(super) fn tenant_salt(tenant: &Tenant) -> u64 {
    let start = tenant.account.len() as u64;
    tenant.account.bytes().fold(start, |salt, byte| (salt ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn project(e: &CloudEvent<'_>, out: &mut Line) {
    text(out, &e.tenant.name);
    text(out, "-prod");
}

fn either(out: &mut Line, is_first: bool, first: &str, second: &str) {
    text(out, if is_first { first } else { second });
}

/// The fields of the templates.
const FIELDS: &[(&str, Put)] = &[
    ("time", |e, o| iso_seconds(o, e.time_us)),
    ("session_start", session_start),
    ("service", |e, o| {
        text(o, e.operation().service);
        text(o, ".amazonaws.com");
    }),
    ("host", |e, o| {
        for part in [e.operation().service, ".", e.region, ".amazonaws.com"] {
            text(o, part);
        }
    }),
    ("operation", |e, o| text(o, e.operation().name)),
    ("read_only", |e, o| text(o, if e.operation().is_read { "true" } else { "false" })),
    ("region", |e, o| text(o, e.region)),
    ("source", source),
    ("agent", |e, o| text(o, e.agent)),
    ("error", denial),
    ("identity", |e, o| part(&forms(e).identities[e.identity as usize], e, o)),
    ("request", |e, o| part(&forms(e).operation(e).0, e, o)),
    ("response", |e, o| match e.is_denied {
        true => text(o, "null"),
        false => part(&forms(e).operation(e).1, e, o),
    }),
    ("resource", |e, o| part(&forms(e).operation(e).1, e, o)),
    ("request_id", |e, o| uuid(o, e.salts[0], e.salts[1])),
    ("event_id", |e, o| uuid(o, e.salts[1], e.salts[0])),
    ("account", |e, o| text(o, &e.tenant.account)),
    ("bucket", |e, o| text(o, &e.tenant.bucket)),
    ("user", |e, o| text(o, e.user)),
    ("role", |e, o| text(o, e.role)),
    ("principal", |e, o| letters(o, (e.user.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ e.identity as u64, 17)),
    ("key", |e, o| letters(o, e.salts[0], 16)),
    ("hex16", |e, o| hex(o, e.salts[1], 16)),
    ("time_us", |e, o| iso_micros(o, e.time_us)),
    ("received_us", |e, o| iso_micros(o, e.time_us + 1_000_000)),
    ("service_name", |e, o| {
        text(o, e.operation().service);
        text(o, ".googleapis.com");
    }),
    ("status", |e, o| {
        text(
            o,
            if e.is_denied { "\"status\":{\"code\":7,\"message\":\"PERMISSION_DENIED\"}," } else { "\"status\":{}," },
        );
    }),
    ("principal_email", |e, o| match e.identity {
        Identity::Service => {
            text(o, e.role);
            o.push(b'@');
            project(e, o);
            text(o, ".iam.gserviceaccount.com");
        }
        _ => address_of(e, o),
    }),
    ("email_domain", |_, o| text(o, DOMAIN)),
    ("caller", |e, o| match e.source {
        Some(source) => address(o, source),
        None => text(o, "private"),
    }),
    ("permission", |e, o| text(o, named_part(e, 0))),
    ("resource_type", |e, o| text(o, named_part(e, 1))),
    ("granted", |e, o| either(o, e.is_denied, "false", "true")),
    ("project", project),
    ("hex4", |e, o| hex(o, e.salts[1], 4)),
    ("gcp_severity", |e, o| either(o, e.is_denied, "ERROR", if e.operation().is_read { "INFO" } else { "NOTICE" })),
    ("gcp_log", |e, o| either(o, e.operation().is_read, "data_access", "activity")),
    ("group", |e, o| {
        text(o, "/subscriptions/");
        uuid(o, tenant_salt(e.tenant), 0x5b);
        text(o, "/resourceGroups/rg-");
        text(o, e.role);
    }),
    ("storage", |e, o| {
        text(o, "st");
        hex(o, tenant_salt(e.tenant), 8);
    }),
    ("azure_result", |e, o| either(o, e.is_denied, "Failure", "Success")),
    ("azure_signature", |e, o| either(o, e.is_denied, "Failed.Forbidden", "Succeeded.")),
    ("azure_status", |e, o| either(o, e.is_denied, "Forbidden", "OK")),
    ("azure_level", |e, o| either(o, e.is_denied, "Error", "Information")),
    ("azure_caller", |e, o| {
        if let Some(source) = e.source {
            text(o, "\"callerIpAddress\":\"");
            address(o, source);
            text(o, "\",");
        }
    }),
    ("azure_claims", claims),
    ("principal_type", |e, o| either(o, e.identity == Identity::Service, "ServicePrincipal", "User")),
    ("duration_ms", |e, o| number(o, e.salts[0] & 0x3ff)),
    ("tenant_id", |e, o| uuid(o, tenant_salt(e.tenant), 0x1d)),
    ("mfa", |e, o| text(o, if e.salts[1] & 1 == 0 { "true" } else { "false" })),
];
