//! The fields of the templates that tell a session: each writes one value.

use std::sync::OnceLock;

use super::line::Line;
use super::template::Template;
use super::text::{
    address, cef, clock, csv, date, iso_micros, iso_millis, iso_seconds, json, number, panos_time, text, value,
    year_time,
};
use crate::fleet::apps::{APPS, App, Signature};
use crate::record::session::{Change, Kind, Session, Zones};

/// Writes one field.
pub(super) type Put = for<'s, 'a, 'o> fn(&'s Session<'a>, &'o mut Line);

/// What decides a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Session(Put),
    App(PutApp),
    Zones(PutZones),
}

/// A form of sessions. What an application and a pair of zones decide, a quarter of the fields, becomes literal text when
/// the two first meet.
#[derive(Debug)]
pub(super) struct Form {
    whole: Template<Field>,
    /// By application, then zones.
    known: Vec<OnceLock<Template<Put>>>,
}

impl Form {
    pub(super) fn new(whole: Template<Field>) -> Self {
        Self { whole, known: vec![OnceLock::new(); APPS.len() * Zones::COUNT] }
    }

    /// Appends a session.
    pub(super) fn render(&self, session: &Session<'_>, out: &mut Line) {
        let (app, zones) = (session.app, session.zones);
        let at = usize::from(app.number) * Zones::COUNT + zones as usize;
        let known = |field, out: &mut Line| match field {
            Field::Session(put) => Some(put),
            Field::App(put) => {
                put(app, out);
                None
            }
            Field::Zones(put) => {
                put(zones, out);
                None
            }
        };
        let template = self.known[at].get_or_init(|| self.whole.fold(known));
        template.render(out, |put, out| put(session, out));
    }
}

pub(super) fn forms(templates: Vec<Template<Field>>) -> Vec<Form> {
    templates.into_iter().map(Form::new).collect()
}

/// The fields of every vendor's templates, and those of one vendor's.
pub(super) fn fields(more: &[(&'static str, Put)]) -> Vec<(&'static str, Field)> {
    let of_session = [FIELDS, more].concat().into_iter().map(|(name, put)| (name, Field::Session(put)));
    let of_app = APP_FIELDS.iter().map(|(name, put)| (*name, Field::App(*put)));
    let of_zones = ZONE_FIELDS.iter().map(|(name, put)| (*name, Field::Zones(*put)));
    of_session.chain(of_app).chain(of_zones).collect()
}

fn start_us(s: &Session<'_>) -> i64 {
    s.time_us - i64::from(s.elapsed_s) * 1_000_000
}

fn subtype(s: &Session<'_>) -> &'static str {
    match s.kind {
        Kind::Traffic(subtype) => subtype,
        Kind::Url(_) => "url",
        Kind::Threat(signature) => signature.subtype,
        Kind::System => "general",
        Kind::Config(_) => "0",
    }
}

pub(super) fn threat<'s>(s: &'s Session<'_>) -> Option<&'s Signature> {
    match s.kind {
        Kind::Threat(signature) => Some(signature),
        _ => None,
    }
}

fn change<'s>(s: &'s Session<'_>) -> Option<&'s Change> {
    match s.kind {
        Kind::Config(change) => Some(change),
        _ => None,
    }
}

fn threat_name(s: &Session<'_>, out: &mut Line, write: fn(&mut Line, &str)) {
    match threat(s) {
        Some(t) => value(out, write, format_args!("{}({})", t.name, t.id)),
        None => write(out, "(9999)"),
    }
}

/// `host/path`, as PAN-OS logs a URL: without its scheme. The file name of a virus stands in the same column.
pub(super) fn url(s: &Session<'_>) -> (&'static str, &'static str) {
    match s.kind {
        Kind::Url((host, path, _)) => (host, path),
        Kind::Threat(t) if t.subtype == "virus" => ("", "invoice.exe"),
        _ => ("", ""),
    }
}

fn url_text(s: &Session<'_>, out: &mut Line, write: fn(&mut Line, &str)) {
    let (host, path) = url(s);
    value(out, write, format_args!("{host}{path}"));
}

fn url_category(s: &Session<'_>) -> &'static str {
    if let Kind::Url((_, _, category)) = s.kind { category } else { "any" }
}

fn url_categories(s: &Session<'_>, out: &mut Line, quote: bool) {
    let Kind::Url((_, _, category)) = s.kind else { return };
    let quote: &[u8] = if quote { b"\"" } else { b"" };
    for part in [quote, category.as_bytes(), b",low-risk", quote] {
        out.put(part);
    }
}

fn is_web(s: &Session<'_>) -> bool {
    matches!(s.kind, Kind::Url(_))
}

pub(super) fn method(s: &Session<'_>) -> &'static str {
    match (is_web(s), s.sent % 5) {
        (false, _) => "",
        (true, 0) => "post",
        (true, _) => "get",
    }
}

pub(super) fn user_name(s: &Session<'_>, out: &mut Line, separator: &[u8]) {
    if let Some(user) = s.user {
        out.put(s.tenant.domain.as_bytes());
        out.put(separator);
        out.put(user.as_bytes());
    }
}

type PutApp = fn(&App, &mut Line);

/// Fields that the application decides.
const APP_FIELDS: &[(&str, PutApp)] = &[
    ("app", |app, o| text(o, app.name)),
    ("app_subcategory", |app, o| text(o, app.subcategory)),
    ("app_category", |app, o| text(o, app.category)),
    ("app_technology", |app, o| text(o, app.technology)),
    ("app_risk", |app, o| number(o, app.risk.into())),
    ("app_characteristic_csv", |app, o| csv(o, app.characteristic)),
    ("category", |app, o| text(o, app.url_category)),
    ("protocol", |app, o| text(o, app.protocol)),
];

type PutZones = fn(Zones, &mut Line);

/// Fields that the zones decide.
const ZONE_FIELDS: &[(&str, PutZones)] = &[
    ("zone_from", |zones, o| text(o, zones.source())),
    ("zone_to", |zones, o| text(o, zones.destination())),
    ("interface_in", |zones, o| number(o, 1 + zones.source().len() as u64 % 4)),
    ("interface_out", |zones, o| number(o, 1 + zones.destination().len() as u64 % 4)),
];

/// Fields that the rest of a session decides.
const FIELDS: &[(&str, Put)] = &[
    ("time", |s, o| panos_time(o, s.time_us)),
    ("time_ms", |s, o| iso_millis(o, s.time_us)),
    ("time_us", |s, o| iso_micros(o, s.time_us)),
    ("time_iso", |s, o| iso_seconds(o, s.time_us)),
    ("received", |s, o| panos_time(o, s.received_us)),
    ("received_iso", |s, o| iso_seconds(o, s.received_us)),
    ("time_year", |s, o| year_time(o, s.time_us)),
    ("received_year", |s, o| year_time(o, s.received_us)),
    ("date", |s, o| date(o, s.time_us, b'-')),
    ("clock", |s, o| clock(o, s.time_us)),
    ("nanos", |s, o| number(o, s.time_us.unsigned_abs() * 1_000)),
    ("start", |s, o| panos_time(o, start_us(s))),
    ("start_iso", |s, o| iso_seconds(o, start_us(s))),
    ("elapsed", |s, o| number(o, s.elapsed_s.into())),
    ("serial", |s, o| text(o, &s.device.serial)),
    ("device", |s, o| text(o, &s.device.name)),
    ("vsys", |s, o| text(o, s.device.vsys)),
    ("version", |s, o| text(o, s.device.release.version)),
    ("release_text", |s, o| text(o, s.device.release.text)),
    ("subtype", |s, o| text(o, subtype(s))),
    ("src", |s, o| address(o, s.src)),
    ("dst", |s, o| address(o, s.dst)),
    ("nat_src", |s, o| {
        if let Some(nat) = s.nat_src {
            address(o, nat);
        }
    }),
    ("nat_dst", |s, o| {
        if s.nat_src.is_some() {
            address(o, s.dst);
        }
    }),
    ("sport", |s, o| number(o, s.src_port.into())),
    ("dport", |s, o| number(o, s.dst_port.into())),
    ("nat_sport", |s, o| number(o, if s.nat_src.is_some() { s.nat_port.into() } else { 0 })),
    ("nat_dport", |s, o| number(o, if s.nat_src.is_some() { s.dst_port.into() } else { 0 })),
    ("rule_csv", |s, o| text(o, s.rule.csv)),
    ("rule_json", |s, o| json(o, s.rule.name)),
    ("rule_cef", |s, o| cef(o, s.rule.name)),
    ("rule_plain", |s, o| text(o, s.rule.name)),
    ("rule_uuid", |s, o| text(o, s.rule.uuid)),
    ("user", |s, o| user_name(s, o, b"\\")),
    ("user_cef", |s, o| user_name(s, o, b"\\\\")),
    ("user_json", |s, o| {
        if s.user.is_none() {
            return text(o, "null");
        }
        o.push(b'"');
        user_name(s, o, b"\\\\");
        o.push(b'"');
    }),
    ("action", |s, o| text(o, s.action)),
    ("end_reason", |s, o| text(o, s.end_reason)),
    ("session", |s, o| number(o, s.session.into())),
    ("sequence", |s, o| number(o, s.sequence)),
    ("flags", |s, o| text(o, if s.nat_src.is_some() { "0x400053" } else { "0x000019" })),
    ("bytes", |s, o| number(o, s.sent + s.received)),
    ("sent", |s, o| number(o, s.sent)),
    ("received_bytes", |s, o| number(o, s.received)),
    ("packets", |s, o| number(o, Session::packets(s.sent) + Session::packets(s.received))),
    ("packets_sent", |s, o| number(o, Session::packets(s.sent))),
    ("packets_received", |s, o| number(o, Session::packets(s.received))),
    ("src_place", |s, o| text(o, Session::place_name(s.src))),
    ("dst_place", |s, o| text(o, Session::place_name(s.dst))),
    ("url_csv", |s, o| url_text(s, o, csv)),
    ("url_cef", |s, o| url_text(s, o, cef)),
    ("url_plain", |s, o| url_text(s, o, text)),
    ("url_inner_cef", |s, o| url_text(s, o, cef)),
    ("url_inner_json", |s, o| url_text(s, o, json)),
    ("url_host", |s, o| text(o, url(s).0)),
    ("url_json", |s, o| {
        if !is_web(s) {
            return text(o, "null");
        }
        o.push(b'"');
        url_text(s, o, json);
        o.push(b'"');
    }),
    ("file_json", |s, o| {
        text(o, if threat(s).is_some_and(|t| t.subtype == "virus") { "\"invoice.exe\"" } else { "null" })
    }),
    ("url_category", |s, o| text(o, url_category(s))),
    ("url_categories_csv", |s, o| url_categories(s, o, true)),
    ("url_categories_json", |s, o| url_categories(s, o, false)),
    ("agent_csv", |s, o| csv(o, if is_web(s) { s.agent } else { "" })),
    ("agent_json", |s, o| json(o, if is_web(s) { s.agent } else { "" })),
    ("agent_cef", |s, o| cef(o, if is_web(s) { s.agent } else { "" })),
    ("agent_plain", |s, o| text(o, if is_web(s) { s.agent } else { "" })),
    ("referer_csv", |s, o| csv(o, if is_web(s) { "https://www.example.com/a,b" } else { "" })),
    ("referer_json", |s, o| json(o, if is_web(s) { "https://www.example.com/a,b" } else { "" })),
    ("referer_cef", |s, o| cef(o, if is_web(s) { "https://www.example.com/a,b" } else { "" })),
    ("referer_plain", |s, o| text(o, if is_web(s) { "https://www.example.com/a,b" } else { "" })),
    ("method", |s, o| text(o, method(s))),
    ("content_type", |s, o| text(o, if is_web(s) { "text/html" } else { "" })),
    ("threat_csv", |s, o| threat_name(s, o, csv)),
    ("threat_cef", |s, o| threat_name(s, o, cef)),
    ("threat_plain", |s, o| threat_name(s, o, text)),
    ("threat_json", |s, o| threat_name(s, o, json)),
    ("threat_category", |s, o| text(o, threat(s).map_or("", |t| t.category))),
    ("severity", |s, o| text(o, threat(s).map_or("informational", |t| t.severity))),
    ("severity_number", |s, o| number(o, threat(s).map_or(1, |t| t.severity_id()).unsigned_abs().into())),
    ("severity_json", |s, o| {
        let severity = threat(s).map_or("informational", |t| t.severity);
        severity.bytes().take(1).for_each(|b| o.push(b.to_ascii_uppercase()));
        text(o, &severity[1..]);
    }),
    ("direction", |s, o| text(o, threat(s).map_or("client-to-server", |t| t.direction))),
    ("admin_host", |s, o| {
        if let Some(change) = change(s) {
            address(o, change.host.into());
        }
    }),
    ("command", |s, o| text(o, change(s).map_or("", |c| c.command))),
    ("admin", |s, o| text(o, change(s).map_or("", |c| c.admin))),
    ("client", |s, o| text(o, change(s).map_or("", |c| c.client))),
    ("result", |s, o| text(o, change(s).map_or("", |c| c.result))),
    ("path_csv", |s, o| csv(o, change(s).map_or("", |c| c.path))),
    ("notice_csv", |s, o| {
        csv(
            o,
            match s.login() {
                Some(admin) => admin,
                None => "Connection to Update server: completed successfully, initiated by 10.0.0.1",
            },
        )
    }),
];
