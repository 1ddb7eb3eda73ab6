//! A FortiGate's log of a session, as key-value pairs and as CEF.

use super::line::Line;
use super::session_fields::{Form, Put, fields, forms, method, threat, url};
use super::template::Template;
use super::text::{address, bsd_time, cef, json, number, text};
use crate::record::session::{Kind, Session};

/// The forms, those of CEF in the order of `templates/fortigate_cef.txt`.
#[derive(Debug)]
pub(super) struct FortiForms {
    traffic: Form,
    web: Form,
    ips: Form,
    virus: Form,
    login: Form,
    notice: Form,
    cef: Vec<Form>,
}

impl FortiForms {
    pub(super) fn new() -> Self {
        let fields = fields(MORE);
        let pairs = |text: &str| Form::new(Template::pairs(text, " ", true, &fields));
        Self {
            traffic: pairs(include_str!("templates/fortigate_traffic.txt")),
            web: pairs(include_str!("templates/fortigate_web.txt")),
            ips: pairs(include_str!("templates/fortigate_ips.txt")),
            virus: pairs(include_str!("templates/fortigate_virus.txt")),
            login: pairs(include_str!("templates/fortigate_login.txt")),
            notice: pairs(include_str!("templates/fortigate_notice.txt")),
            cef: forms(Template::named(include_str!("templates/fortigate_cef.txt"), &fields)),
        }
    }

    pub(super) fn pairs(&self, session: &Session<'_>) -> &Form {
        match session.kind {
            Kind::Url(_) => &self.web,
            Kind::Threat(signature) if signature.subtype == "virus" => &self.virus,
            Kind::Threat(_) => &self.ips,
            Kind::System if session.login().is_some() => &self.login,
            Kind::System => &self.notice,
            Kind::Traffic(_) | Kind::Config(_) => &self.traffic,
        }
    }

    pub(super) fn cef(&self, session: &Session<'_>) -> &Form {
        match session.kind {
            Kind::Url(_) => &self.cef[1],
            Kind::Threat(signature) if signature.subtype == "virus" => &self.cef[3],
            Kind::Threat(_) => &self.cef[2],
            Kind::Traffic(_) | Kind::System | Kind::Config(_) => &self.cef[0],
        }
    }
}

/// Interface and role of a zone.
fn interface(zone: &str) -> (&'static str, &'static str) {
    match zone {
        "trust" => ("port1", "lan"),
        "dmz" => ("dmz", "dmz"),
        _ => ("wan1", "wan"),
    }
}

/// The service's name, or its protocol and port.
fn service(s: &Session<'_>, out: &mut Line) {
    let name = match (s.app.protocol, s.dst_port) {
        ("icmp", _) => "PING",
        ("tcp", 443) => "HTTPS",
        ("tcp", 80) => "HTTP",
        ("tcp", 22) => "SSH",
        ("tcp", 25) => "SMTP",
        ("tcp", 389) => "LDAP",
        ("tcp", 445) => "SMB",
        ("tcp", 3_389) => "RDP",
        ("udp", 53) => "DNS",
        ("udp", 123) => "NTP",
        (protocol, port) => {
            text(out, protocol);
            out.push(b'/');
            return number(out, port.into());
        }
    };
    text(out, name);
}

/// How a session ended, or that it began.
fn action(s: &Session<'_>) -> &'static str {
    match (s.kind, s.end_reason, s.app.protocol) {
        (Kind::Traffic("start"), ..) => "start",
        (Kind::Traffic("deny" | "drop"), ..) => "deny",
        (_, _, "udp" | "icmp") => "accept",
        (_, "aged-out", _) => "timeout",
        (_, "tcp-rst-from-client", _) => "client-rst",
        _ => "close",
    }
}

fn place(s: &Session<'_>, is_source: bool) -> &'static str {
    let name = Session::place_name(if is_source { s.src } else { s.dst });
    if name.starts_with("10.") { "Reserved" } else { name }
}

/// Writes `before`, the person and `after`, if a person is known.
fn person(s: &Session<'_>, out: &mut Line, before: &str, after: &str) {
    if let Some(user) = s.user {
        [before, user, after].into_iter().for_each(|part| text(out, part));
    }
}

fn is_blocked(s: &Session<'_>) -> bool {
    s.action != "alert" && s.action != "allow"
}

fn either(out: &mut Line, is_first: bool, first: &str, second: &str) {
    text(out, if is_first { first } else { second });
}

fn signature(s: &Session<'_>) -> &'static str {
    threat(s).map_or("", |t| t.name)
}

/// Fields that no other vendor's templates have.
const MORE: &[(&str, Put)] = &[
    ("syslog_time", |s, o| bsd_time(o, s.received_us)),
    ("forti_serial", |s, o| {
        text(o, "FG10E0");
        text(o, &s.device.serial[5..]);
    }),
    ("forti_in", |s, o| text(o, interface(s.zones.source()).0)),
    ("forti_out", |s, o| text(o, interface(s.zones.destination()).0)),
    ("role_in", |s, o| text(o, interface(s.zones.source()).1)),
    ("role_out", |s, o| text(o, interface(s.zones.destination()).1)),
    ("src_place_forti", |s, o| text(o, place(s, true))),
    ("dst_place_forti", |s, o| text(o, place(s, false))),
    ("proto_number", |s, o| number(o, s.protocol_number().into())),
    ("forti_action", |s, o| text(o, action(s))),
    ("policy", |s, o| number(o, s.rule.name.len() as u64)),
    ("forti_user", |s, o| person(s, o, "user=\"", "\" ")),
    ("forti_suser", |s, o| person(s, o, "suser=", " ")),
    ("service", service),
    ("forti_nat", |s, o| match s.nat_src {
        None => text(o, "trandisp=\"noop\""),
        Some(nat) => {
            text(o, "trandisp=\"snat\" transip=");
            address(o, nat);
            text(o, " transport=");
            number(o, s.nat_port.into());
        }
    }),
    ("forti_cef_nat", |s, o| match s.nat_src {
        None => text(o, "FTNTFGTtrandisp=noop"),
        Some(nat) => {
            text(o, "FTNTFGTtrandisp=snat sourceTranslatedAddress=");
            address(o, nat);
            text(o, " sourceTranslatedPort=");
            number(o, s.nat_port.into());
        }
    }),
    ("web_priority", |s, o| either(o, is_blocked(s), "188", "189")),
    ("web_logid", |s, o| either(o, is_blocked(s), "0316013056", "0317013312")),
    ("web_event", |s, o| either(o, is_blocked(s), "ftgd_blk", "ftgd_allow")),
    ("web_level", |s, o| either(o, is_blocked(s), "warning", "notice")),
    ("web_cef_severity", |s, o| either(o, is_blocked(s), "4", "3")),
    ("web_action", |s, o| either(o, is_blocked(s), "blocked", "passthrough")),
    ("web_scheme", |s, o| either(o, s.dst_port == 443, "https", "http")),
    ("web_message", |s, o| {
        text(o, "URL belongs to ");
        either(o, is_blocked(s), "a denied", "an allowed");
        text(o, " category in policy");
    }),
    ("web_category_number", |s, o| number(o, 10 + url(s).1.len() as u64)),
    ("method_upper", |s, o| either(o, method(s) == "post", "POST", "GET")),
    ("ips_action", |s, o| text(o, if is_blocked(s) { "dropped" } else { "detected" })),
    ("attack_json", |s, o| json(o, signature(s))),
    ("attack_cef", |s, o| cef(o, signature(s))),
    ("attack_id", |s, o| number(o, threat(s).map_or(0, |t| t.id).into())),
    ("incident", |s, o| number(o, s.sequence)),
    ("forti_direction", |s, o| either(o, s.is_inbound(), "incoming", "outgoing")),
    ("forti_direction_number", |s, o| either(o, s.is_inbound(), "0", "1")),
];
