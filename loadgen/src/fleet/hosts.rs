//! Addresses. From the 251st tenant on, private networks are those of the first ones again. Who talks is drawn by Zipf's law; what is planted uses addresses that nothing else does.
//!
//! | addresses | who |
//! | --- | --- |
//! | 10.(tenant + 1).16.0 onward | 2,000 hosts of a tenant |
//! | 10.(tenant + 1).32.0 to .79.255 | planted sources that do nothing else, a block a rule |
//! | 10.(tenant + 1).80.0 to .119.255 | planted sources of scenarios without a rule, 300 a scenario |
//! | 10.(tenant + 1).128.0 to .199.255 | what planted sources reach for |
//! | 10.(tenant + 1).200.0 to .203.255 | 400 hosts in the cloud |
//! | 10.(tenant + 1).250.0/24 | its 40 servers, and from .100 on its vulnerability scanners |
//! | 198.18.0.0/16 | 8,000 external hosts, shared by the tenants, the first ones popular; all others are hostile |
//! | 198.19.0.0/17 | destinations of planted uploads, each used once |
//! | 198.19.128.0/17 | whence people log in to the VPN: a /24 lies in one country |
//! | 203.0.113.0/24 | the firewalls' NAT addresses |
//! | 198.51.100.0/24, 192.0.2.0/24 | whence the cloud is called: people, and planted callers |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::draw::{Draw, Zipf};

/// Hosts of a tenant.
pub(crate) const INTERNAL: u16 = 2_000;
/// External hosts.
pub(crate) const EXTERNAL: u16 = 8_000;
/// Servers of a tenant.
pub(crate) const SERVERS: u16 = 40;
/// External hosts that count as popular: the head of the distribution.
pub(crate) const POPULAR: u16 = 16;
/// External hosts that every internal host uses.
const COMMON: u16 = 24;
/// External hosts that an internal host uses: so few that it never looks like a sweep, however many its sessions.
pub(crate) const USED: u16 = 40;
/// Hosts of a tenant in the cloud.
pub(crate) const CLOUD: u16 = 400;
/// External hosts that only a device's findings name.
pub(crate) const HOSTILE: u16 = 2_000;

/// Draws who talks to whom.
#[derive(Debug)]
pub(crate) struct Hosts {
    internal: Zipf,
    external: Zipf,
    used: Zipf,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        Self { internal: Zipf::new(INTERNAL), external: Zipf::new(EXTERNAL), used: Zipf::new(USED) }
    }

    /// A host of a tenant.
    #[inline]
    pub(crate) fn internal(&self, draw: &mut Draw) -> u16 {
        self.internal.rank(draw)
    }

    /// An external host.
    #[inline]
    pub(crate) fn external(&self, draw: &mut Draw) -> u16 {
        self.external.rank(draw)
    }

    /// One of the external hosts that an internal host uses: mostly what everybody uses.
    #[inline]
    pub(crate) fn used_by(&self, host: u16, draw: &mut Draw) -> u16 {
        let rank = self.used.rank(draw);
        let own = (u32::from(host) * u32::from(USED - COMMON) + u32::from(rank)) % u32::from(EXTERNAL - COMMON);
        if rank < COMMON { rank } else { COMMON + own as u16 }
    }
}

/// The second number of a tenant's addresses. Beyond 250 tenants several have the same: nobody looks at two at once.
fn network(tenant: usize) -> u8 {
    (tenant % 250 + 1) as u8
}

/// An address of a tenant's network: the `n`th of the /24s from `net` on.
fn inside(tenant: usize, net: u8, n: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, network(tenant), net + (n / 250) as u8, 1 + (n % 250) as u8))
}

/// The address of a tenant's host.
pub(crate) fn internal(tenant: usize, host: u16) -> IpAddr {
    inside(tenant, 16, host)
}

/// A host of the tenant in the cloud.
pub(crate) fn cloud(tenant: usize, host: u16) -> IpAddr {
    inside(tenant, 200, host)
}

/// A planted source of rule block `block` (0 to 2) that does nothing else.
pub(crate) fn quiet(tenant: usize, block: u8, number: u32) -> IpAddr {
    inside(tenant, 32 + 16 * block, (number % 4_000) as u16)
}

/// A planted source of a scenario without a rule, that does nothing else: `number` below 300.
pub(crate) fn actor(tenant: usize, scenario: usize, number: u32) -> IpAddr {
    inside(tenant, 80, (scenario * 300 % 9_900) as u16 + (number % 300) as u16)
}

/// A vulnerability scanner of the tenant's: whoever knows the network expects its scans. There are 150.
pub(crate) fn vulnerability_scanner(tenant: usize, n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, network(tenant), 250, 100 + (n % 150) as u8))
}

/// Something that planted sources reach for: one of 18,000.
pub(crate) fn target(tenant: usize, n: u64) -> IpAddr {
    inside(tenant, 128, (n % 18_000) as u16)
}

/// A file server (the first four) or a host for remote desktops (the other two) that a host uses: so few of a tenant's
/// servers that it never looks like lateral movement.
pub(crate) fn mount(host: u16, n: u16) -> u16 {
    (host % 5 * 8 + host % 3 + n) % SERVERS
}

/// The IPv6 address of a tenant's host.
pub(crate) fn internal_v6(tenant: usize, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, tenant as u16 + 1, 0, 0, 0, 0, host + 1))
}

/// The address of a tenant's server.
pub(crate) fn server(tenant: usize, server: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, network(tenant), 250, 10 + server as u8))
}

/// The address of an external host. 25,717 is odd, hence a permutation of the /16.
pub(crate) fn external(host: u16) -> IpAddr {
    let [high, low] = host.wrapping_mul(25_717).wrapping_add(4_242).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
}

/// The IPv6 address of an external host.
pub(crate) fn external_v6(host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff00, 0, 0, 0, 0, host + 1))
}

/// The IPv6 address of a hostile host.
pub(crate) fn hostile_v6(n: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, n + 1))
}

/// An external host that nobody uses: the first [`HOSTILE`] are the background's findings, then come planted ones.
pub(crate) fn hostile(n: u16) -> IpAddr {
    external(EXTERNAL + n)
}

/// Hostile host `n` of the planted ones.
pub(crate) fn attacker(n: u32) -> IpAddr {
    hostile(HOSTILE + (n % 50_000) as u16)
}

/// External hosts that only scenarios without a rule use.
const FAR: u32 = 5_500;

/// One of them; they lie in all countries.
pub(crate) fn far(n: u32) -> Ipv4Addr {
    match hostile(HOSTILE + 50_000 + (n % FAR) as u16) {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// The destination of planted upload `index`: nothing else goes there.
pub(crate) fn drop_zone(index: u16) -> IpAddr {
    let [high, low] = (index.wrapping_mul(12_345).wrapping_add(777) & 0x7fff).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 19, high, low))
}

/// The public address of a device.
pub(crate) fn nat(device: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1 + (device % 250) as u8))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_host_has_an_address_of_its_own() {
        let mut all = HashSet::new();
        for tenant in [0, 1, 199] {
            (0..INTERNAL).for_each(|h| assert!(all.insert(internal(tenant, h)) && all.insert(internal_v6(tenant, h))));
            (0..SERVERS).for_each(|h| assert!(all.insert(server(tenant, h))));
        }
        (0..EXTERNAL).for_each(|h| assert!(all.insert(external(h)) && all.insert(external_v6(h))));
        (0..10_000).for_each(|i| assert!(all.insert(drop_zone(i)), "{i}"));
        (0..HOSTILE).for_each(|i| assert!(all.insert(hostile(i)) && all.insert(hostile_v6(i))));
        (0..10_000).for_each(|i| assert!(all.insert(attacker(i))));
        (0..FAR).for_each(|i| assert!(all.insert(IpAddr::V4(far(i)))));
        for tenant in [0, 199] {
            (0..CLOUD).for_each(|h| assert!(all.insert(cloud(tenant, h))));
            (0..3).for_each(|block| (0..4_000).for_each(|n| assert!(all.insert(quiet(tenant, block, n)))));
            (0..18_000).for_each(|n| assert!(all.insert(target(tenant, n))));
            (9..27).for_each(|s| (0..300).for_each(|n| assert!(all.insert(actor(tenant, s, n)))));
            (0..150).for_each(|n| assert!(all.insert(vulnerability_scanner(tenant, n))));
        }
    }

    #[test]
    fn a_host_uses_few_others() {
        let hosts = Hosts::new();
        let mut draw = Draw::at(1, 2, 3);
        for host in [0, 7, 1_999] {
            let used: HashSet<u16> = (0..20_000).map(|_| hosts.used_by(host, &mut draw)).collect();
            assert!(used.len() == usize::from(USED) && used.iter().all(|u| *u < EXTERNAL), "{}", used.len());
            let mounts: HashSet<u16> = (0..6).map(|n| mount(host, n)).collect();
            assert!(mounts.len() == 6 && mounts.iter().all(|m| *m < SERVERS));
        }
    }
}
