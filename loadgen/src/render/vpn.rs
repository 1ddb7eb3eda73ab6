//! A step into the VPN in the formats of the firewalls' vendors, and a sign-in in those of identity providers.

use std::net::IpAddr;

use super::cloud::tenant_salt;
use super::line::Line;
use super::session::header;
use super::template::Template;
use super::text::{
    address, bsd_time, cef, clock, csv, date, hex, iso_micros, iso_millis, iso_seconds, json, number, panos_time, text,
    two, uuid, year_time,
};
use crate::fleet::device::RELEASES;
use crate::fleet::people::UserName;
use crate::record::Wire;
use crate::record::asa::vpn_message;
use crate::record::vpn::{CONNECTED, PORTAL, VpnLog, traits, tunnel_address};

/// Writes one field.
type Put = for<'s, 'a, 'o> fn(&'s VpnLog<'a>, &'o mut Line);

/// Every form of a GLOBALPROTECT log and of what other vendors have in its place.
#[derive(Debug)]
pub(crate) struct VpnForms {
    strata: Template<Put>,
    /// In the order of [`RELEASES`].
    csv: Vec<Template<Put>>,
    /// Of releases before 10.0, and of later ones.
    cef: [Template<Put>; 2],
    leef: [Template<Put>; 2],
    /// In the order of [`FortiEvent`].
    fortigate: Vec<Template<Put>>,
    fortigate_cef: Vec<Template<Put>>,
    /// In the order of the messages.
    asa: Vec<Template<Put>>,
    entra: Template<Put>,
    okta: Template<Put>,
}

impl VpnForms {
    pub(crate) fn new() -> Self {
        let csv = include_str!("templates/panos_globalprotect.csv");
        let pairs =
            |text: &str, separator: &str| [false, true].map(|is_new| Template::pairs(text, separator, is_new, FIELDS));
        Self {
            strata: Template::json(include_str!("templates/strata_globalprotect.json"), FIELDS),
            csv: RELEASES.map(|release| Template::csv(csv, release.vpn, FIELDS)).into(),
            cef: pairs(include_str!("templates/panos_cef_globalprotect.txt"), " "),
            leef: pairs(include_str!("templates/panos_leef_globalprotect.txt"), "|"),
            fortigate: Template::named(include_str!("templates/fortigate_vpn.txt"), FIELDS),
            fortigate_cef: Template::named(include_str!("templates/fortigate_cef_vpn.txt"), FIELDS),
            asa: Template::named(include_str!("templates/asa_vpn.txt"), FIELDS),
            entra: Template::json(include_str!("templates/entra_signin.json"), FIELDS),
            okta: Template::json(include_str!("templates/okta_signin.json"), FIELDS),
        }
    }

    fn form(&self, wire: Wire, log: &VpnLog<'_>) -> &Template<Put> {
        let is_new = usize::from(log.device.release.has_high_resolution());
        match wire {
            Wire::Csv => &self.csv[log.device.release_index],
            Wire::Cef => &self.cef[is_new],
            Wire::Leef => &self.leef[is_new],
            Wire::FortiGate => &self.fortigate[forti_event(log) as usize],
            Wire::FortiGateCef => &self.fortigate_cef[forti_event(log) as usize],
            Wire::Asa => &self.asa[vpn_message(log) as usize],
            Wire::EntraSignIn => &self.entra,
            Wire::Okta => &self.okta,
            Wire::Strata | Wire::CloudTrail | Wire::GcpAudit | Wire::AzureActivity => &self.strata,
        }
    }

    /// Appends the log.
    pub(crate) fn render(&self, wire: Wire, log: &VpnLog<'_>, out: &mut Line) {
        header(wire, log.device, log.received_us, out);
        self.form(wire, log).render(out, |put, out| put(log, out));
    }
}

/// FortiOS's events about people.
#[derive(Debug, Clone, Copy)]
enum FortiEvent {
    Accepted,
    Failed,
    Up,
    Down,
    Statistics,
}

fn forti_event(log: &VpnLog<'_>) -> FortiEvent {
    match log.step().activity_id {
        _ if log.stride.is_failure => FortiEvent::Failed,
        1 if log.step().stage == "login" => FortiEvent::Accepted,
        1 => FortiEvent::Up,
        2 => FortiEvent::Down,
        _ => FortiEvent::Statistics,
    }
}

/// Operating systems of people's machines, and their versions as the client tells them.
const SYSTEMS: [(&str, &str); 4] = [
    ("Windows", "Microsoft Windows 11 Enterprise , 64-bit"),
    ("Mac", "Apple Mac OS X 15.1.1"),
    ("Windows", "Microsoft Windows 10 Pro , 64-bit"),
    ("Linux", "Linux Ubuntu 24.04.1 LTS"),
];

const METHODS: [&str; 3] = ["SAML", "LDAP", "RADIUS"];

const REFUSED: &str = "Authentication failed: Invalid username or password";

const MISTYPED: &str = "Error validating credentials due to invalid username or password.";

/// Type, older type and text of Okta's event.
fn okta(log: &VpnLog<'_>) -> (&'static str, &'static str, &'static str) {
    match (log.stride.step == PORTAL, log.stride.is_failure) {
        (true, false) => ("user.session.start", "core.user_auth.login_success", "User login to Okta"),
        (true, true) => ("user.session.start", "core.user_auth.login_failed", "User login to Okta"),
        (false, false) => {
            ("user.authentication.auth_via_mfa", "core.user.factor.attempt_success", "Authentication of user via MFA")
        }
        (false, true) => {
            ("user.authentication.auth_via_mfa", "core.user.factor.attempt_fail", "Authentication of user via MFA")
        }
    }
}

/// How long somebody was in the VPN, told at the end.
fn duration_s(log: &VpnLog<'_>) -> u64 {
    if log.step().event == "gateway-logout" { log.salt % 28_800 } else { 0 }
}

/// What stays the same for a person.
fn trait_of(log: &VpnLog<'_>) -> u64 {
    traits(log.stride.user)
}

fn system(log: &VpnLog<'_>) -> (&'static str, &'static str) {
    SYSTEMS[(trait_of(log) >> 62) as usize]
}

fn user(log: &VpnLog<'_>, out: &mut Line) {
    let UserName { stem, number: n, .. } = log.stride.user;
    text(out, stem);
    if n > 0 {
        number(out, n.into());
    }
}

/// The portal's or the gateway's name, whichever the step is about.
fn portal(log: &VpnLog<'_>, out: &mut Line) {
    if log.step().event.starts_with("portal") {
        text(out, "portal-");
        text(out, &log.tenant.name);
    } else {
        text(out, "gw-");
        text(out, &log.device.name);
    }
}

/// The address inside the tunnel, once there is one.
fn private(log: &VpnLog<'_>, out: &mut Line) {
    if log.stride.step < CONNECTED {
        return text(out, "0.0.0.0");
    }
    address(out, IpAddr::V4(tunnel_address(log.stride.user)));
}

fn method(log: &VpnLog<'_>) -> &'static str {
    if log.step().stage == "login" { METHODS[(trait_of(log) >> 20) as usize % METHODS.len()] } else { "" }
}

/// The fields of the templates.
const FIELDS: &[(&str, Put)] = &[
    ("time", |l, o| panos_time(o, l.time_us)),
    ("time_ms", |l, o| iso_millis(o, l.time_us)),
    ("time_us", |l, o| iso_micros(o, l.time_us)),
    ("time_iso", |l, o| iso_seconds(o, l.time_us)),
    ("received", |l, o| panos_time(o, l.received_us)),
    ("time_year", |l, o| year_time(o, l.time_us)),
    ("received_year", |l, o| year_time(o, l.received_us)),
    ("date", |l, o| date(o, l.time_us, b'-')),
    ("clock", |l, o| clock(o, l.time_us)),
    ("nanos", |l, o| number(o, l.time_us.unsigned_abs() * 1_000)),
    ("syslog_time", |l, o| bsd_time(o, l.received_us)),
    ("received_iso", |l, o| iso_seconds(o, l.received_us)),
    ("serial", |l, o| text(o, &l.device.serial)),
    ("device", |l, o| text(o, &l.device.name)),
    ("vsys", |l, o| text(o, l.device.vsys)),
    ("release", |l, o| number(o, l.device.release.code)),
    ("version", |l, o| text(o, l.device.release.version)),
    ("forti_serial", |l, o| {
        text(o, "FG10E0");
        text(o, &l.device.serial[5..]);
    }),
    ("release_text", |l, o| text(o, l.device.release.text)),
    ("event", |l, o| text(o, l.step().event)),
    ("stage", |l, o| text(o, l.step().stage)),
    ("method", |l, o| text(o, method(l))),
    ("tunnel", |l, o| text(o, if l.stride.step >= CONNECTED { "SSLVPN" } else { "" })),
    ("user", user),
    ("country", |l, o| text(o, l.country())),
    ("machine", |l, o| {
        text(o, "LT-");
        hex(o, trait_of(l), 6);
    }),
    ("source", |l, o| address(o, l.stride.source)),
    ("private", private),
    ("host_id", |l, o| uuid(o, trait_of(l), !trait_of(l))),
    ("host_serial", |l, o| hex(o, trait_of(l) >> 8, 10)),
    ("os", |l, o| text(o, system(l).0)),
    ("os_version_csv", |l, o| csv(o, system(l).1)),
    ("os_version_json", |l, o| json(o, system(l).1)),
    ("os_version", |l, o| cef(o, system(l).1)),
    ("error", |l, o| cef(o, if l.stride.is_failure { REFUSED } else { "" })),
    ("error_csv", |l, o| csv(o, if l.stride.is_failure { REFUSED } else { "" })),
    ("error_json", |l, o| {
        if !l.stride.is_failure {
            return text(o, "null");
        }
        o.push(b'"');
        json(o, REFUSED);
        o.push(b'"');
    }),
    ("status", |l, o| text(o, if l.stride.is_failure { "failure" } else { "success" })),
    ("duration", |l, o| number(o, duration_s(l))),
    ("duration_hms", |l, o| {
        let seconds = duration_s(l);
        number(o, seconds / 3_600);
        text(o, "h:");
        two(o, seconds / 60 % 60);
        text(o, "m:");
        two(o, seconds % 60);
        o.push(b's');
    }),
    ("tunnel_id", |l, o| number(o, trait_of(l) >> 40)),
    ("vpn_sent", |l, o| number(o, l.salt >> 40)),
    ("vpn_received", |l, o| number(o, l.salt >> 44)),
    ("user_domain", |l, o| text(o, l.stride.user.domain)),
    ("tenant_id", |l, o| uuid(o, tenant_salt(l.tenant), 0x1d)),
    ("correlation", |l, o| uuid(o, l.salt, !l.salt)),
    ("app", |l, o| text(o, if l.stride.step == PORTAL { "Office 365 Exchange Online" } else { "Azure Portal" })),
    ("entra_code", |l, o| text(o, if l.stride.is_failure { "50126" } else { "0" })),
    ("entra_signature", |l, o| text(o, if l.stride.is_failure { "None" } else { "SUCCESS" })),
    ("entra_reason", |l, o| text(o, if l.stride.is_failure { MISTYPED } else { "" })),
    ("entra_failure", |l, o| text(o, if l.stride.is_failure { MISTYPED } else { "Other." })),
    ("okta_id", |l, o| hex(o, trait_of(l), 16)),
    ("okta_session", |l, o| hex(o, l.salt, 16)),
    ("okta_event", |l, o| text(o, okta(l).0)),
    ("okta_legacy", |l, o| text(o, okta(l).1)),
    ("okta_message", |l, o| text(o, okta(l).2)),
    ("okta_result", |l, o| text(o, if l.stride.is_failure { "FAILURE" } else { "SUCCESS" })),
    ("okta_reason", |l, o| text(o, if l.stride.is_failure { "\"INVALID_CREDENTIALS\"" } else { "null" })),
    ("okta_severity", |l, o| text(o, if l.stride.is_failure { "WARN" } else { "INFO" })),
    ("portal", portal),
    ("sequence", |l, o| number(o, l.sequence)),
];
