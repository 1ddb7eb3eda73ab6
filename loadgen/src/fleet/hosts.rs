//! Addresses and people. Who talks is drawn by Zipf's law; what is planted uses addresses that nothing else does.
//!
//! | addresses | who |
//! | --- | --- |
//! | 10.(tenant + 1).16.0 onward | 2,000 hosts of a tenant |
//! | 10.(tenant + 1).250.0/24 | its 40 servers |
//! | 198.18.0.0/16 | 8,000 external hosts, shared by the tenants, the first ones popular |
//! | 198.19.0.0/16 | destinations of planted uploads, each used once |
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

/// Draws who talks to whom.
#[derive(Debug)]
pub(crate) struct Hosts {
    internal: Zipf,
    external: Zipf,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        Self { internal: Zipf::new(INTERNAL), external: Zipf::new(EXTERNAL) }
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
}

/// The address of a tenant's host.
pub(crate) fn internal(tenant: usize, host: u16) -> IpAddr {
    let [_, network] = (tenant as u16 + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, network, 16 + (host / 250) as u8, 1 + (host % 250) as u8))
}

/// The IPv6 address of a tenant's host.
pub(crate) fn internal_v6(tenant: usize, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, tenant as u16 + 1, 0, 0, 0, 0, host + 1))
}

/// The address of a tenant's server.
pub(crate) fn server(tenant: usize, server: u16) -> IpAddr {
    let [_, network] = (tenant as u16 + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, network, 250, 10 + server as u8))
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

/// The destination of planted upload `index`: nothing else goes there.
pub(crate) fn drop_zone(index: u16) -> IpAddr {
    let [high, low] = index.wrapping_mul(12_345).wrapping_add(777).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 19, high, low))
}

/// The public address of a device.
pub(crate) fn nat(device: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1 + (device % 250) as u8))
}

const PEOPLE: [&str; 48] = [
    "a.novak",
    "b.okafor",
    "c.lindqvist",
    "d.moreau",
    "e.tanaka",
    "f.rossi",
    "g.schmidt",
    "h.kowalski",
    "i.petrov",
    "j.doe",
    "k.yamamoto",
    "l.garcia",
    "m.haddad",
    "n.singh",
    "o.brien",
    "p.kumar",
    "q.nguyen",
    "r.silva",
    "s.ivanova",
    "t.jensen",
    "u.bauer",
    "v.costa",
    "w.chen",
    "x.li",
    "y.cohen",
    "z.horvat",
    "alice.ng",
    "bob.stone",
    "carol.west",
    "dan.hill",
    "erin.fox",
    "frank.moss",
    "grace.kim",
    "heidi.lang",
    "ivan.roth",
    "judy.park",
    "karl.voss",
    "lena.beck",
    "mia.holm",
    "nils.dahl",
    "olga.sava",
    "paul.grau",
    "rita.melo",
    "sven.rask",
    "tina.wolf",
    "uwe.kern",
    "vera.pohl",
    "svc-backup",
];

/// The person who uses a host, without the domain; none for one host in eight.
pub(crate) fn user(host: u16) -> Option<&'static str> {
    (!host.is_multiple_of(8)).then(|| PEOPLE[usize::from(host) % PEOPLE.len()])
}

/// A person, for the cloud's logs.
pub(crate) fn person(draw: &mut Draw) -> &'static str {
    draw.pick::<&'static str>(&PEOPLE)
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
    }

    #[test]
    fn one_host_in_eight_has_no_person() {
        assert_eq!((0..800).filter(|h| user(*h).is_none()).count(), 100);
    }
}
