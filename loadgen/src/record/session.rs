//! What a firewall saw: sessions, what was found in them, and its own notices.

use std::net::{IpAddr, Ipv4Addr};

use super::Wire;
use crate::draw::Draw;
use crate::fleet::apps::{AGENTS, APPS, App, SIGNATURES, Signature, URLS};
use crate::fleet::device::Device;
use crate::fleet::people::UserName;
use crate::fleet::{Fleet, Tenant, hosts, people};

/// What kind of log it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// TRAFFIC, with the subtype.
    Traffic(&'static str),
    /// THREAT, subtype url.
    Url(&'static (&'static str, &'static str, &'static str)),
    /// THREAT, of the signature's subtype.
    Threat(&'static Signature),
    /// SYSTEM: no session at all.
    System,
    /// CONFIG: no session either.
    Config(&'static Change),
}

/// A change of the device's configuration, or an attempt.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) command: &'static str,
    /// `Web` or `CLI`.
    pub(crate) client: &'static str,
    pub(crate) result: &'static str,
    pub(crate) path: &'static str,
    pub(crate) admin: &'static str,
    /// Whence the administrator came.
    pub(crate) host: Ipv4Addr,
}

const fn change(command: &'static str, admin: &'static str, path: &'static str) -> Change {
    Change { command, client: "Web", result: "Succeeded", path, admin, host: Ipv4Addr::new(10, 0, 0, 21) }
}

/// What administrators do. Paths with commas are quoted in CSV.
const CHANGES: [Change; 5] = [
    change("set", "admin", "config shared address web-7"),
    change("edit", "k.admin", "vsys vsys1 rulebase security rules \"Allow SaaS, office\""),
    change("commit", "admin", ""),
    Change { client: "CLI", ..change("delete", "netops", "config shared tag old") },
    Change { result: "Unauthorized", ..change("set", "auditor", "mgt-config users auditor") },
];

/// The zones that a session comes from and goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zones {
    Outbound,
    Inbound,
    /// From the inside to its servers.
    Internal,
}

impl Zones {
    pub(crate) const COUNT: usize = 3;

    pub(crate) fn source(self) -> &'static str {
        if self == Self::Inbound { "untrust" } else { "trust" }
    }

    pub(crate) fn destination(self) -> &'static str {
        if self == Self::Outbound { "untrust" } else { "dmz" }
    }
}

/// A firewall log's values.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) device: &'a Device,
    pub(crate) tenant: &'a Tenant,
    pub(crate) kind: Kind,
    /// The time in the line.
    pub(crate) time_us: i64,
    /// When the log collector had it.
    pub(crate) received_us: i64,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// The address that replaces `src` outside.
    pub(crate) nat_src: Option<IpAddr>,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) nat_port: u16,
    pub(crate) zones: Zones,
    /// The tenant's host or server that takes part.
    near: u16,
    pub(crate) app: &'static App,
    pub(crate) user: Option<&'static str>,
    pub(crate) rule: &'static Rule,
    pub(crate) action: &'static str,
    pub(crate) end_reason: &'static str,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) elapsed_s: u32,
    pub(crate) session: u32,
    pub(crate) sequence: u64,
    pub(crate) agent: &'static str,
}

/// A rule of a firewall's policy.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// As CSV quotes it.
    pub(crate) csv: &'static str,
    pub(crate) uuid: &'static str,
}

/// Rules. Two names hold what CSV must quote and JSON must escape.
const RULES: [Rule; 6] = [
    Rule { name: "allow-web", csv: "allow-web", uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e01" },
    Rule { name: "allow-internal", csv: "allow-internal", uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e02" },
    Rule { name: "Allow SaaS, office", csv: "\"Allow SaaS, office\"", uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e03" },
    Rule {
        name: "Guests \"limited\", no upload",
        csv: "\"Guests \"\"limited\"\", no upload\"",
        uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e04",
    },
    Rule { name: "dns-ntp", csv: "dns-ntp", uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e05" },
    Rule { name: "deny-all", csv: "deny-all", uuid: "6a1f0c2e-5d0b-4b9f-9a51-2f6f0c7d1e06" },
];

/// Where names are asked for.
pub(crate) const DNS: u16 = 53;

/// A question for a name has some dozen bytes, at most a few hundred.
pub(crate) fn question(drawn: u64) -> u64 {
    drawn.min(64 + drawn % 256)
}

/// Ports whose use among hosts of the inside spreads like a worm's.
pub(crate) const SMB: u16 = 445;
pub(crate) const RDP: u16 = 3_389;

/// Doublings of 256 bytes that a background upload may reach: below 4 MiB, so that no two hosts come near the threshold.
const UPLOAD_DOUBLINGS: u32 = 13;

/// Above it no upload of the background is, whatever was learned.
pub(crate) const UPLOAD_MAX: u64 = (256 << (UPLOAD_DOUBLINGS + 1)) - 1;

/// Where and when a session was logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) device: usize,
    pub(crate) time_us: i64,
    pub(crate) received_us: i64,
    pub(crate) sequence: u64,
}

impl<'a> Session<'a> {
    /// A session that was allowed and has ended: the base of every other.
    pub(crate) fn draw(fleet: &'a Fleet, place: Place, draw: &mut Draw) -> Self {
        let device = &fleet.devices[place.device];
        let app = &APPS[usize::from(*draw.pick(&fleet.weighted_apps))];
        let ends = Ends::draw(fleet, device.tenant, app, draw);
        let bits = draw.bits();
        Self {
            device,
            tenant: &fleet.tenants[device.tenant],
            kind: Kind::Traffic("end"),
            time_us: place.time_us,
            received_us: place.received_us,
            src: ends.src,
            dst: ends.dst,
            nat_src: (ends.zones == Zones::Outbound && ends.src.is_ipv4()).then(|| hosts::nat(place.device)),
            src_port: 32_768 + (bits & 0x7fff) as u16 % 28_000,
            dst_port: app.port,
            nat_port: 1_024 + (bits >> 16 & 0xffff) as u16 % 60_000,
            zones: ends.zones,
            near: ends.near,
            app,
            user: ends.user,
            rule: &RULES[(bits >> 32 & 0xff) as usize % (RULES.len() - 1)],
            action: "allow",
            end_reason: ["tcp-fin", "aged-out", "tcp-fin", "tcp-rst-from-client"][(bits >> 40 & 3) as usize],
            sent: draw.heavy(256, UPLOAD_DOUBLINGS),
            received: draw.heavy(1_024, 15),
            elapsed_s: draw.heavy(1, 10) as u32,
            session: (bits >> 42) as u32,
            sequence: 7_000_000_000_000 + place.sequence,
            agent: AGENTS[(bits >> 62) as usize],
        }
    }

    /// Turns it into one of the other logs, in the shares of a busy firewall.
    pub(crate) fn vary(&mut self, wire: Wire, draw: &mut Draw) {
        match draw.below(1000) {
            0..=7 if matches!(wire, Wire::Csv | Wire::FortiGate) => self.kind = Kind::System,
            8..=9 if wire == Wire::Csv => self.kind = Kind::Config(draw.pick(&CHANGES)),
            0..=29 if wire.has_findings() => {
                let signature = draw.pick(&SIGNATURES);
                // A format that calls every finding grave tells grave ones only.
                if signature.is_grave() || wire.has_severities() {
                    self.find(signature);
                }
                if signature.is_grave() {
                    self.meet_hostile(draw);
                }
            }
            30..=169 if !self.app.is_internal => self.browse(draw),
            170..=239 => self.refuse(draw),
            240..=339 => self.start(),
            _ => {}
        }
    }

    /// The session in which threat prevention found something.
    pub(crate) fn find(&mut self, signature: &'static Signature) {
        self.kind = Kind::Threat(signature);
        self.action = signature.action;
    }

    /// Makes the far end one that nobody has allowed traffic with: a grave finding is followed by none. A host has four.
    fn meet_hostile(&mut self, draw: &mut Draw) {
        let n = (self.near * 4 + draw.below(4) as u16) % hosts::HOSTILE;
        match (self.zones, self.src) {
            (Zones::Inbound, _) => self.src = hosts::hostile(n),
            (_, IpAddr::V4(_)) => {
                self.dst = hosts::hostile(n);
                self.zones = Zones::Outbound;
                self.nat_src = Some(self.nat_src.unwrap_or(hosts::nat(usize::from(self.near))));
            }
            (_, IpAddr::V6(_)) => self.dst = hosts::hostile_v6(n),
        }
    }

    fn browse(&mut self, draw: &mut Draw) {
        self.kind = Kind::Url(draw.pick(&URLS));
        (self.app, self.dst_port) = if draw.one_in(3) { (&APPS[1], 80) } else { (&APPS[0], 443) };
        self.action = if draw.one_in(20) { "block-url" } else { "alert" };
    }

    /// A session that a rule denied, dropped or reset.
    pub(crate) fn refuse(&mut self, draw: &mut Draw) {
        (self.kind, self.action) = match draw.below(4) {
            0 => (Kind::Traffic("deny"), "deny"),
            1 => (Kind::Traffic("deny"), "reset-both"),
            2 => (Kind::Traffic("drop"), "drop"),
            _ => (Kind::Traffic("drop"), "drop-icmp"),
        };
        self.rule = &RULES[RULES.len() - 1];
        self.end_reason = "policy-deny";
        (self.sent, self.received, self.elapsed_s) = (60 + draw.below(20), 0, 0);
    }

    /// A session of which both the start and the end are logged: that rule does so.
    pub(crate) fn log_whole(&mut self) {
        self.rule = &RULES[0];
    }

    /// A session of which only the end is logged: its rule is none that logs starts.
    pub(crate) fn log_end_only(&mut self) {
        if self.rule.name == RULES[0].name {
            self.rule = &RULES[1];
        }
        if matches!(self.kind, Kind::Traffic("start")) {
            (self.kind, self.end_reason) = (Kind::Traffic("end"), "aged-out");
        }
    }

    /// Of a question for a name, as long as one is, whatever was learned of sessions.
    pub(crate) fn shorten_question(&mut self) {
        if self.dst_port == DNS {
            self.sent = question(self.sent);
        }
    }

    /// The log of its start.
    pub(crate) fn start(&mut self) {
        self.kind = Kind::Traffic("start");
        self.end_reason = "n/a";
        (self.sent, self.received, self.elapsed_s) = (74, 0, 0);
    }

    /// Gives it the ends that an attack planned: inside to inside is a lateral move, everything else leaves.
    pub(crate) fn aim(&mut self, src: IpAddr, dst: IpAddr, port: u16) {
        let is_inside = matches!(dst, IpAddr::V4(v4) if v4.octets()[0] == 10);
        (self.src, self.dst, self.dst_port) = (src, dst, port);
        self.zones = if is_inside { Zones::Internal } else { Zones::Outbound };
        self.nat_src = (!is_inside).then(|| self.nat_src.unwrap_or(hosts::nat(usize::from(port))));
        self.app = &APPS[0];
    }

    /// The person in it, if one is known.
    pub(crate) fn person(&self) -> Option<UserName> {
        match self.kind {
            Kind::System => self.login().map(|_| "admin".into()),
            Kind::Config(change) => Some(change.admin.into()),
            Kind::Traffic(_) | Kind::Url(_) | Kind::Threat(_) => self.user.map(UserName::from),
        }
    }

    /// A system log that tells of an administrator's login: its sentence. The others are notices.
    pub(crate) fn login(&self) -> Option<&'static str> {
        (matches!(self.kind, Kind::System) && self.session % 2 == 1).then_some("User admin logged in via Web")
    }

    /// True if it came from outside.
    pub(crate) fn is_inbound(&self) -> bool {
        self.zones == Zones::Inbound
    }

    /// IANA's number of its protocol.
    pub(crate) fn protocol_number(&self) -> u8 {
        match (self.app.protocol, self.src) {
            ("tcp", _) => 6,
            ("udp", _) => 17,
            (_, IpAddr::V4(_)) => 1,
            (_, IpAddr::V6(_)) => 58,
        }
    }

    /// True if it has no ports.
    pub(crate) fn is_icmp(&self) -> bool {
        self.app.protocol == "icmp"
    }

    /// True if the firewall let it pass.
    pub(crate) fn is_allowed(&self) -> bool {
        self.action == "allow"
    }

    /// Packets for a number of bytes.
    pub(crate) fn packets(bytes: u64) -> u64 {
        bytes.div_ceil(1_400)
    }

    /// The country or network, as PAN-OS names it.
    pub(crate) fn place_name(address: IpAddr) -> &'static str {
        const COUNTRIES: [&str; 8] =
            ["United States", "Germany", "Japan", "United Kingdom", "Brazil", "Singapore", "France", "Netherlands"];
        match address {
            IpAddr::V4(v4) if v4.octets()[0] == 10 => "10.0.0.0-10.255.255.255",
            IpAddr::V4(v4) => COUNTRIES[usize::from(v4.octets()[3] % 8)],
            IpAddr::V6(_) => "Unknown",
        }
    }
}

/// The two ends of a session.
struct Ends {
    src: IpAddr,
    dst: IpAddr,
    zones: Zones,
    user: Option<&'static str>,
    near: u16,
}

impl Ends {
    fn draw(fleet: &Fleet, tenant: usize, app: &App, draw: &mut Draw) -> Self {
        let near = fleet.hosts.internal(draw);
        let chance = draw.below(100);
        let server = draw.below(u64::from(hosts::SERVERS)) as u16;
        let (src, user) = (hosts::internal(tenant, near), people::user(near));
        if app.is_internal {
            let server = match app.port {
                SMB => hosts::mount(near, server % 4),
                RDP => hosts::mount(near, 4 + server % 2),
                _ => server,
            };
            return Self { src, dst: hosts::server(tenant, server), zones: Zones::Internal, user, near };
        }
        match chance {
            0..=3 => {
                let (src, dst) = (hosts::internal_v6(tenant, near), fleet.hosts.used_by(near, draw));
                Self { src, dst: hosts::external_v6(dst), zones: Zones::Outbound, user, near }
            }
            4..=6 => {
                let (src, dst) = (hosts::external(fleet.hosts.external(draw)), hosts::server(tenant, server));
                Self { src, dst, zones: Zones::Inbound, user: None, near: server }
            }
            _ => {
                let dst = hosts::external(fleet.hosts.used_by(near, draw));
                Self { src, dst, zones: Zones::Outbound, user, near }
            }
        }
    }
}

#[cfg(test)]
mod tests;
