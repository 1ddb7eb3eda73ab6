//! GlobalProtect: people who log in to the VPN from elsewhere, and their tunnels.

use std::net::{IpAddr, Ipv4Addr};

use dataflow::Table;

use crate::draw::Draw;
use crate::fleet::device::Device;
use crate::fleet::people::{self, UserName};
use crate::fleet::{Fleet, Tenant};
use crate::record::session::Place;

/// A step of a login or of its tunnel: event id and stage as the vendor names them, and what it is in OCSF.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) event: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) table: Table,
    /// OCSF's activity: of an authentication 1 is a logon; of a tunnel 1 opens, 2 closes, 99 is anything else.
    pub(crate) activity_id: i32,
}

const fn login(event: &'static str) -> Step {
    Step { event, stage: "login", table: Table::Authentication, activity_id: 1 }
}

const fn tunnel(event: &'static str, stage: &'static str, activity_id: i32) -> Step {
    Step { event, stage, table: Table::TunnelActivity, activity_id }
}

/// The steps in the order of a session; at [`PORTAL`] and [`GATEWAY`] somebody types a password.
pub(crate) static STEPS: [Step; 12] = [
    tunnel("portal-prelogin", "before-login", 99),
    login("portal-auth"),
    tunnel("portal-getconfig", "configuration", 99),
    tunnel("gateway-prelogin", "before-login", 99),
    login("gateway-auth"),
    login("gateway-register"),
    tunnel("gateway-getconfig", "configuration", 99),
    tunnel("gateway-setup-ssl", "tunnel", 1),
    tunnel("gateway-setup-ipsec", "tunnel", 1),
    tunnel("gateway-connected", "connected", 1),
    tunnel("gateway-hip-report", "host-info", 99),
    tunnel("gateway-logout", "logout", 2),
];

/// The login at the portal, in [`STEPS`].
pub(crate) const PORTAL: usize = 1;
/// The login at a gateway.
pub(crate) const GATEWAY: usize = 4;
/// The tunnel stands.
pub(crate) const CONNECTED: usize = 9;
/// The tunnel falls.
pub(crate) const LOGOUT: usize = 11;

/// Of a hundred logins of the background, those whose password was mistyped.
const MISTYPED_PERCENT: u64 = 8;

/// Records between one person who may mistype and the next. Whoever mistypes is decided by the offset and not by a draw:
/// at any rate of records, everybody does about equally often, which is far below every threshold.
const TURN: u64 = 64;

/// A step that somebody takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stride {
    /// Index into [`STEPS`].
    pub(crate) step: usize,
    pub(crate) user: UserName,
    pub(crate) source: IpAddr,
    pub(crate) is_failure: bool,
}

/// A GLOBALPROTECT log's values.
#[derive(Debug)]
pub(crate) struct VpnLog<'a> {
    pub(crate) device: &'a Device,
    pub(crate) tenant: &'a Tenant,
    pub(crate) stride: Stride,
    /// The time in the line.
    pub(crate) time_us: i64,
    /// When the log collector had it.
    pub(crate) received_us: i64,
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
}

impl<'a> VpnLog<'a> {
    pub(crate) fn new(fleet: &'a Fleet, place: Place, stride: Stride, draw: &mut Draw) -> Self {
        let device = &fleet.devices[place.device];
        Self {
            device,
            tenant: &fleet.tenants[device.tenant],
            stride,
            time_us: place.time_us,
            received_us: place.received_us,
            sequence: 7_000_000_000_000 + place.sequence,
            salt: draw.bits(),
        }
    }

    pub(crate) fn step(&self) -> &'static Step {
        &STEPS[self.stride.step]
    }

    /// ISO code of the country where the source is.
    pub(crate) fn country(&self) -> &'static str {
        people::country_of(self.stride.source)
    }
}

/// What stays the same for a person: the bits that everything about their machine is made of.
pub(crate) fn traits(user: UserName) -> u64 {
    let UserName { stem, number, .. } = user;
    (u64::from(number) * 64 + stem.len() as u64 + u64::from(stem.as_bytes()[0])).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The address that a person's machine has inside the tunnel.
pub(crate) fn tunnel_address(user: UserName) -> Ipv4Addr {
    let bits = traits(user);
    Ipv4Addr::new(172, 20, (bits >> 32) as u8, (bits >> 40 & 127) as u8)
}

/// A step of the background. `turn` counts the background records of the tenant's partitions.
pub(crate) fn ordinary(turn: u64, draw: &mut Draw) -> Stride {
    let step = draw.index(STEPS.len());
    taken(step, turn, draw)
}

fn taken(step: usize, turn: u64, draw: &mut Draw) -> Stride {
    let is_failure = [PORTAL, GATEWAY].contains(&step) && draw.below(100) < MISTYPED_PERCENT;
    let people = u64::from(people::REMOTE);
    let n = if is_failure { turn / TURN % people } else { draw.below(people) } as u32;
    Stride { step, user: people::remote(n), source: people::home(n), is_failure }
}

/// A sign-in with an identity provider, of the same people from the same places. They are named by their addresses.
pub(crate) fn sign_in(turn: u64, draw: &mut Draw) -> Stride {
    let step = *draw.pick(&[PORTAL, GATEWAY]);
    let Stride { user, source, is_failure, .. } = taken(step, turn, draw);
    Stride { step, user: user.address(), source, is_failure }
}

#[cfg(test)]
mod tests;
