//! VPC flow logs: what hosts in the cloud say to each other and to the world.

use std::net::IpAddr;

use crate::draw::Draw;
use crate::fleet::{Fleet, Tenant, hosts};
use crate::record::session::{DNS, question};

/// A flow log's values. Only the side that opened the connection is logged: no answer, hence no ephemeral destination port.
#[derive(Debug)]
pub(crate) struct FlowLog<'a> {
    pub(crate) tenant: &'a Tenant,
    /// First packet of the capture window, a whole second.
    pub(crate) start_us: i64,
    /// Last packet.
    pub(crate) end_us: i64,
    /// Number of the network interface.
    pub(crate) interface: u64,
    /// True if the interface saw nothing: everything below is blank.
    pub(crate) is_empty: bool,
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    /// IANA's number.
    pub(crate) protocol: u8,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) is_accepted: bool,
}

/// Ports of hosts in the cloud among themselves: of databases and other services, none of file sharing.
const INSIDE: [(u16, u8); 5] = [(5_432, 6), (1_433, 6), (22, 6), (8_080, 6), (53, 17)];
/// Ports in the world.
const OUTSIDE: [(u16, u8); 4] = [(443, 6), (443, 6), (80, 6), (123, 17)];

/// Hosts that a host in the cloud talks to.
const PEERS: u64 = 12;

/// Doublings of 64 bytes that a flow may reach: far below a large upload.
const SIZE_DOUBLINGS: u32 = 14;

impl<'a> FlowLog<'a> {
    /// A flow whose last packet was seen at `end_us`.
    pub(crate) fn draw(fleet: &'a Fleet, tenant: usize, end_us: i64, draw: &mut Draw) -> Self {
        let host = draw.below(u64::from(hosts::CLOUD)) as u16;
        let bits = draw.bits();
        let (dst, (dst_port, protocol)) = if draw.one_in(2) {
            let peer = (u64::from(host) * 7 + 1 + draw.below(PEERS)) % u64::from(hosts::CLOUD);
            (hosts::cloud(tenant, peer as u16), *draw.pick(&INSIDE))
        } else {
            (hosts::external(fleet.hosts.used_by(host, draw)), *draw.pick(&OUTSIDE))
        };
        let end_us = end_us.div_euclid(1_000_000) * 1_000_000;
        let packets = draw.heavy(1, 8);
        let is_accepted = !draw.one_in(20);
        let bytes = if is_accepted { draw.heavy(64, SIZE_DOUBLINGS) } else { 40 * packets };
        let bytes = if dst_port == DNS { question(bytes) } else { bytes };
        Self {
            tenant: &fleet.tenants[tenant],
            start_us: end_us - (bits & 63) as i64 * 1_000_000,
            end_us,
            interface: 0x0a1b_0000_0000_0000 + u64::from(host) * 0x9e37_79b9,
            is_empty: bits >> 40 & 63 == 0,
            src: hosts::cloud(tenant, host),
            dst,
            src_port: 32_768 + (bits >> 8 & 0x7fff) as u16 % 28_000,
            dst_port,
            protocol,
            packets,
            bytes,
            is_accepted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::fleet::tests::SMALL;

    fn flows(count: u64) -> impl Iterator<Item = FlowLog<'static>> {
        (0..count).map(|index| FlowLog::draw(&SMALL, 1, 1_767_600_000_123_456, &mut Draw::at(9, 0, index)))
    }

    #[test]
    fn flows_are_whole_seconds_of_at_most_a_minute() {
        for flow in flows(5_000) {
            assert_eq!((flow.start_us % 1_000_000, flow.end_us), (0, 1_767_600_000_000_000));
            assert!((0..64_000_000).contains(&(flow.end_us - flow.start_us)));
            assert!(flow.bytes < 4 << 20 && flow.packets > 0);
        }
    }

    #[test]
    fn a_host_talks_to_few_others_on_few_ports() {
        let mut reached: BTreeMap<(IpAddr, u16), BTreeSet<IpAddr>> = BTreeMap::new();
        for flow in flows(200_000) {
            reached.entry((flow.src, flow.dst_port)).or_default().insert(flow.dst);
        }
        assert!(reached.values().all(|targets| targets.len() <= usize::from(hosts::USED)));
        assert!(reached.keys().all(|(_, port)| ![445, 3_389].contains(port)));
    }
}
