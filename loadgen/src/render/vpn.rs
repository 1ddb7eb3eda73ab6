//! A step into the VPN as Strata JSON and as PAN-OS CSV.

use std::net::IpAddr;

use super::session::header;
use super::template::Template;
use super::text::{address, csv, hex, iso_micros, iso_millis, iso_seconds, json, number, panos_time, uuid};
use crate::fleet::device::{RELEASES, Release};
use crate::fleet::people::UserName;
use crate::record::Wire;
use crate::record::vpn::{CONNECTED, VpnLog, traits, tunnel_address};

/// Writes one field.
type Put = for<'s, 'a, 'o> fn(&'s VpnLog<'a>, &'o mut Vec<u8>);

/// Every form of a GLOBALPROTECT log.
#[derive(Debug)]
pub(crate) struct VpnForms {
    strata: Template<Put>,
    csv: Vec<(Release, Template<Put>)>,
}

impl VpnForms {
    pub(crate) fn new() -> Self {
        let text = include_str!("templates/panos_globalprotect.csv");
        Self {
            strata: Template::json(include_str!("templates/strata_globalprotect.json"), FIELDS),
            csv: RELEASES.map(|release| (release, Template::csv(text, release.vpn, FIELDS))).into(),
        }
    }

    /// Appends the log.
    pub(crate) fn render(&self, wire: Wire, log: &VpnLog<'_>, out: &mut Vec<u8>) {
        let form = if wire == Wire::Csv {
            header(log.device, log.received_us, out);
            &self.csv.iter().find(|(release, _)| *release == log.device.release).unwrap_or(&self.csv[0]).1
        } else {
            &self.strata
        };
        form.render(out, |put, out| put(log, out));
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

/// What stays the same for a person.
fn trait_of(log: &VpnLog<'_>) -> u64 {
    traits(log.stride.user)
}

fn system(log: &VpnLog<'_>) -> (&'static str, &'static str) {
    SYSTEMS[(trait_of(log) >> 62) as usize]
}

fn user(log: &VpnLog<'_>, out: &mut Vec<u8>) {
    let UserName { stem, number: n } = log.stride.user;
    text(out, stem);
    if n > 0 {
        number(out, n.into());
    }
}

/// The portal's or the gateway's name, whichever the step is about.
fn portal(log: &VpnLog<'_>, out: &mut Vec<u8>) {
    if log.step().event.starts_with("portal") {
        text(out, "portal-");
        text(out, &log.tenant.name);
    } else {
        text(out, "gw-");
        text(out, &log.device.name);
    }
}

/// The address inside the tunnel, once there is one.
fn private(log: &VpnLog<'_>, out: &mut Vec<u8>) {
    if log.stride.step < CONNECTED {
        return text(out, "0.0.0.0");
    }
    address(out, IpAddr::V4(tunnel_address(log.stride.user)));
}

fn method(log: &VpnLog<'_>) -> &'static str {
    if log.step().stage == "login" { METHODS[(trait_of(log) >> 20) as usize % METHODS.len()] } else { "" }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// The fields of the templates.
const FIELDS: &[(&str, Put)] = &[
    ("time", |l, o| panos_time(o, l.time_us)),
    ("time_ms", |l, o| iso_millis(o, l.time_us)),
    ("time_us", |l, o| iso_micros(o, l.time_us)),
    ("time_iso", |l, o| iso_seconds(o, l.time_us)),
    ("received", |l, o| panos_time(o, l.received_us)),
    ("received_iso", |l, o| iso_seconds(o, l.received_us)),
    ("serial", |l, o| text(o, &l.device.serial)),
    ("device", |l, o| text(o, &l.device.name)),
    ("vsys", |l, o| text(o, l.device.vsys)),
    ("release", |l, o| number(o, l.device.release.code)),
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
    ("duration", |l, o| number(o, if l.step().event == "gateway-logout" { l.salt % 28_800 } else { 0 })),
    ("portal", portal),
    ("sequence", |l, o| number(o, l.sequence)),
];
