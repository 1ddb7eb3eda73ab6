//! People: who uses a host, who calls the cloud, and who logs in from elsewhere, whence.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::draw::Draw;

/// People of a tenant who log in to its VPN; everybody beyond is planted.
pub(crate) const REMOTE: u32 = 8_000;

/// The countries that the /24s of 198.18.0.0/16 and 198.19.0.0/16 lie in, in turn (`testdata/geo/make.py`).
const COUNTRIES: [&str; 16] =
    ["US", "DE", "JP", "BR", "GB", "IN", "FR", "AU", "CA", "NL", "SG", "ZA", "KR", "SE", "PL", "MX"];

/// Addresses of a country that no home has.
pub(crate) const ELSEWHERE: u32 = 8 * 254 - REMOTE / COUNTRIES.len() as u32;

/// Name of a person: a stem, a number if others have the same, and a domain where people are named by their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName {
    pub(crate) stem: &'static str,
    pub(crate) number: u32,
    pub(crate) domain: &'static str,
}

/// The domain of people's addresses.
pub(crate) const DOMAIN: &str = "corp.example";

impl UserName {
    /// The person's address.
    pub(crate) fn address(self) -> Self {
        Self { domain: DOMAIN, ..self }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stem)?;
        if self.number > 0 {
            write!(f, "{}", self.number)?;
        }
        if self.domain.is_empty() { Ok(()) } else { write!(f, "@{}", self.domain) }
    }
}

impl From<&'static str> for UserName {
    fn from(stem: &'static str) -> Self {
        Self { stem, number: 0, domain: "" }
    }
}

/// The person who uses a host, without the domain; none for one host in eight.
pub(crate) fn user(host: u16) -> Option<&'static str> {
    (!host.is_multiple_of(8)).then(|| PEOPLE[usize::from(host) % PEOPLE.len()])
}

/// A person, for the cloud's logs.
pub(crate) fn person(draw: &mut Draw) -> &'static str {
    draw.pick::<&'static str>(&PEOPLE)
}

/// A person by number, for the cloud's planted calls: numbers that are near are of different people.
pub(crate) fn nth(n: u32) -> &'static str {
    PEOPLE[n as usize % PEOPLE.len()]
}

/// Somebody who logs in from elsewhere.
pub(crate) fn remote(n: u32) -> UserName {
    UserName { stem: PEOPLE[n as usize % PEOPLE.len()], number: n / PEOPLE.len() as u32, domain: "" }
}

/// Somebody planted, unlike any of the background.
pub(crate) fn stranger(n: u32) -> UserName {
    remote(REMOTE + n)
}

/// The address of one of the [`REMOTE`]: nobody else's.
pub(crate) fn home(n: u32) -> IpAddr {
    address(n, n / COUNTRIES.len() as u32)
}

/// An address that nobody of the background has, in the country with that index modulo 16. A country has
/// [`ELSEWHERE`] of them.
pub(crate) fn elsewhere(country: u32, n: u32) -> IpAddr {
    address(country, REMOTE / COUNTRIES.len() as u32 + n % ELSEWHERE)
}

/// Address `n` of the country with that index modulo 16.
fn address(country: u32, n: u32) -> IpAddr {
    let net = 128 + country % 16 + 16 * (n % 8);
    IpAddr::V4(Ipv4Addr::new(198, 19, net as u8, 1 + (n / 8 % 254) as u8))
}

/// The country of an external address of the fleet.
pub(crate) fn country_of(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(v4) => COUNTRIES[usize::from(v4.octets()[2]) % COUNTRIES.len()],
        IpAddr::V6(_) => "CH",
    }
}

/// Names. No two share a stem, so that a number behind one makes another person.
const PEOPLE: [&str; 47] = [
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
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_host_in_eight_has_no_person() {
        assert_eq!((0..800).filter(|h| user(*h).is_none()).count(), 100);
    }

    #[test]
    fn names_and_homes_are_one_persons_each() {
        let names: HashSet<String> = (0..20_000).map(|n| remote(n).to_string()).collect();
        assert_eq!(names.len(), 20_000);
        let mut homes: HashSet<IpAddr> = (0..REMOTE).map(home).collect();
        assert_eq!(homes.len(), REMOTE as usize);
        for n in 0..ELSEWHERE {
            (0..16).for_each(|c| assert!(homes.insert(elsewhere(c, n)), "{c} {n}"));
        }
    }

    #[test]
    fn an_address_lies_where_the_demos_database_says() {
        let table = include_str!("../../../testdata/geo/make.py");
        assert!(table.contains(&format!("COUNTRIES = \"{}\".split()", COUNTRIES.join(" "))), "another order");
        for n in [0, 5, 17, 7_999] {
            assert_eq!(country_of(home(n)), COUNTRIES[n as usize % 16]);
            assert_eq!(country_of(elsewhere(n, 3)), COUNTRIES[n as usize % 16]);
        }
        assert_eq!(elsewhere(3, 0).to_string(), "198.19.195.63");
    }

    #[test]
    fn a_stranger_is_nobody_of_the_background() {
        assert_eq!(remote(0).to_string(), "a.novak");
        assert_eq!(remote(48).to_string(), "b.okafor1");
        assert_eq!(stranger(0), remote(REMOTE));
        assert_eq!(remote(48).address().to_string(), "b.okafor1@corp.example");
    }
}
