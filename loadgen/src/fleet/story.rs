//! Background records that belong together: a session from its question for a name to its end, somebody's time in the VPN,
//! somebody's calls of the cloud.
//!
//! They are told in Strata JSON, PAN-OS CSV and CloudTrail; what other formats tell stands alone.
//!
//! Four indexes of a partition whose distance is the same power of two are the parts of one story. All parts make the
//! same draws, those of the first index, so that each is made without the others and yet has the same ends, ports,
//! numbers and bytes.
//!
//! ```text
//! index     0 1 2 3 4 5 6 7 8 ...      (distance 2)
//! story     a b a b a b a b c
//! part      0 0 1 1 2 2 3 3 0
//! ```

use std::net::{IpAddr, Ipv4Addr};

use crate::cursor::{COLLECTION_US, Slot};
use crate::draw::Draw;
use crate::fleet::apps::{APPS, URLS, app_named};
use crate::fleet::{Fleet, hosts, people};
use crate::record::cloud::{CloudRecord, Identity, PlannedCall, ROLES, operation_named};
use crate::record::session::{Kind, Place, Session};
use crate::record::vpn::{CONNECTED, GATEWAY, LOGOUT, Stride, VpnLog, tunnel_address};
use crate::record::{Record, Wire, line_time};

/// Streams of draws, one a partition.
const STORY_STREAM: u64 = 1 << 40;
const DISTANCE_STREAM: u64 = 1 << 41;

/// Indexes among which the distance is the same.
const BLOCK: u64 = 1_024;
/// Distances are below two to this power.
const DISTANCES: u64 = 9;

/// One part of a story.
struct Part {
    /// 0 to 3.
    number: usize,
    /// When each part is sent.
    sent_us: [i64; 4],
    /// The story's draws.
    draw: Draw,
}

impl Part {
    /// What the record there is a part of; none if it stands alone.
    fn of(fleet: &Fleet, slot: &Slot<'_>) -> Option<Self> {
        let distance = Draw::at(fleet.key, DISTANCE_STREAM + slot.lane, slot.index / BLOCK).below(DISTANCES);
        let first = slot.index & !(3 << distance);
        let mut draw = Draw::at(fleet.key, STORY_STREAM + slot.lane, first);
        let is_whole = (first | 3 << distance) < slot.partition.background.unsigned_abs();
        if draw.below(1_000) >= u64::from(fleet.config.stories_per_mille) || !is_whole {
            return None;
        }
        let curve = &fleet.curves[slot.partition.curve];
        let times = [0, 1, 2, 3].map(|n| curve.at((first | n << distance) as i64, slot.partition.background));
        // A device that cannot be reached tells no story.
        let is_calm = times.iter().all(|us| curve.storm(*us).is_none());
        let number = (slot.index >> distance & 3) as usize;
        is_calm.then(|| Self { number, sent_us: times.map(|us| fleet.config.start_us + us), draw })
    }

    /// Where the part is logged, and the time in the line of any part.
    fn place(&self, fleet: &Fleet, slot: &Slot<'_>, wire: Wire, device: usize) -> (Place, [i64; 4]) {
        let skew_us = fleet.devices[device].skew_us;
        let times = self.sent_us.map(|us| line_time(wire, &fleet.devices[device], us + skew_us));
        let received_us = self.sent_us[self.number] + COLLECTION_US;
        (Place { device, time_us: times[self.number], received_us, sequence: slot.offset as u64 }, times)
    }
}

/// The record there, if it is part of a story.
pub(crate) fn record<'f>(fleet: &'f Fleet, slot: &Slot<'f>) -> Option<Record<'f>> {
    let mut part = Part::of(fleet, slot)?;
    let mix = &fleet.config.mix;
    match mix.cloud_wire(&mut part.draw) {
        Some(Wire::CloudTrail) => return Some(Record::Cloud(call(fleet, slot, part))),
        Some(_) => return None,
        None => {}
    }
    let device = *part.draw.pick(&slot.partition.devices);
    let wire = mix.firewall_wire(fleet.devices[device].wire, &mut part.draw);
    if !matches!(wire, Wire::Strata | Wire::Csv) {
        return None;
    }
    let (place, times) = part.place(fleet, slot, wire, device);
    if part.draw.below(1_000) < u64::from(fleet.config.vpn_per_mille) * 4 {
        return Some(work_from_home(fleet, part, wire, place, times));
    }
    visit(fleet, part, place, times).map(|session| Record::Session(wire, session))
}

/// Asks for a name, begins, fetches something, ends; none if what was drawn stays inside, where no one port may have as many
/// servers as the outside has besides.
fn visit<'f>(fleet: &'f Fleet, mut part: Part, place: Place, times: [i64; 4]) -> Option<Session<'f>> {
    let mut session = Session::draw(fleet, place, &mut part.draw);
    if session.app.is_internal {
        return None;
    }
    (session.app, session.dst_port) = (&APPS[0], 443);
    session.log_whole();
    match part.number {
        0 => ask(&mut session, fleet.devices[place.device].tenant)?,
        1 => session.start(),
        2 => (session.kind, session.action) = (Kind::Url(part.draw.pick(&URLS)), "alert"),
        _ => session.elapsed_s = seconds(times[1], times[3]),
    }
    Some(session)
}

/// The question before it, to a server of the tenant's; none if it is a stranger who comes, or one of IPv6.
fn ask(session: &mut Session<'_>, tenant: usize) -> Option<()> {
    let is_inside = !session.is_inbound() && session.src.is_ipv4();
    let resolver = hosts::server(tenant, (session.session % 2) as u16);
    session.aim(session.src, resolver, 53);
    session.log_end_only();
    (session.app, session.sent, session.received) = (app_named("dns-base"), 70 + session.sent % 60, 120);
    (session.session, session.src_port, session.elapsed_s) = (session.session ^ 1, session.src_port ^ 1, 0);
    is_inside.then_some(())
}

/// Logs in, has a tunnel, uses it, logs out.
fn work_from_home<'f>(fleet: &'f Fleet, mut part: Part, wire: Wire, place: Place, times: [i64; 4]) -> Record<'f> {
    let n = part.draw.below(people::REMOTE.into()) as u32;
    let (user, source) = (people::remote(n), people::home(n));
    if part.number == 2 {
        let mut session = Session::draw(fleet, place, &mut part.draw);
        let far = hosts::external(fleet.hosts.used_by((n % u32::from(hosts::INTERNAL)) as u16, &mut part.draw));
        session.aim(IpAddr::V4(tunnel_address(user)), far, 443);
        session.user = (user.number == 0).then_some(user.stem);
        session.log_end_only();
        return Record::Session(wire, session);
    }
    let step = [GATEWAY, CONNECTED, CONNECTED, LOGOUT][part.number];
    let mut log = VpnLog::new(fleet, place, Stride { step, user, source, is_failure: false }, &mut part.draw);
    log.salt = seconds(times[1], times[3]).into();
    Record::Vpn(wire, log)
}

/// Assumes a role, and calls three times with the key that it got.
fn call<'f>(fleet: &'f Fleet, slot: &Slot<'f>, mut part: Part) -> CloudRecord<'f> {
    let draw = &mut part.draw;
    let (user, role, key) = (people::person(draw), *draw.pick(&ROLES), draw.bits());
    let source = Ipv4Addr::new(198, 51, 100, 1 + draw.below(60) as u8);
    let calls = [(); 3].map(|()| usize::from(*draw.pick(fleet.weighted_operations.of(Wire::CloudTrail))));
    let (operation, identity) = match part.number {
        0 => (operation_named("sts", "AssumeRole"), Identity::IamUser),
        later => (calls[later - 1], Identity::AssumedRole),
    };
    let sent_us = part.sent_us[part.number];
    let time_us = sent_us.div_euclid(1_000_000) * 1_000_000;
    let (role, key) = (Some(role), Some(key));
    let call = PlannedCall { operation, is_denied: false, identity, role, key, user, source, time_us };
    let mut own = Draw::at(fleet.key, slot.lane, slot.index);
    CloudRecord::draw(fleet, slot.partition.tenant, Wire::CloudTrail, sent_us, &mut own).planted(call)
}

fn seconds(from_us: i64, to_us: i64) -> u32 {
    ((to_us - from_us).max(0) / 1_000_000) as u32
}

#[cfg(test)]
mod tests;
