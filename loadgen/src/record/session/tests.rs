use std::collections::BTreeMap;

use super::*;
use crate::fleet::tests::SMALL;

const PLACE: Place = Place { device: 0, time_us: 1_000_000, received_us: 1_350_000, sequence: 5 };

fn sessions(count: u64) -> impl Iterator<Item = (Session<'static>, Draw)> {
    (0..count).map(|index| {
        let mut draw = Draw::at(11, 0, index);
        (Session::draw(&SMALL, PLACE, &mut draw), draw)
    })
}

fn varied(wire: Wire, count: u64) -> impl Iterator<Item = Session<'static>> {
    sessions(count).map(move |(mut session, mut draw)| {
        session.vary(wire, &mut draw);
        session
    })
}

fn kind(session: &Session<'_>) -> &'static str {
    match session.kind {
        Kind::Traffic(subtype) => subtype,
        Kind::Url(_) => "url",
        Kind::Threat(_) => "threat",
        Kind::System => "system",
        Kind::Config(_) => "config",
    }
}

#[test]
fn kinds_come_in_the_shares_of_a_busy_firewall() {
    let shares = |wire| {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        varied(wire, 20_000).for_each(|s| *counts.entry(kind(&s)).or_default() += 1);
        counts
    };
    let csv = shares(Wire::Csv);
    for (kind, low, high) in
        [("system", 100, 250), ("config", 20, 80), ("threat", 300, 500), ("url", 2_200, 2_750), ("start", 1_800, 2_200)]
    {
        assert!((low..high).contains(&csv[kind]), "{kind}: {}", csv[kind]);
    }
    assert!(csv["end"] > 12_000 && csv["deny"] > 400 && csv["drop"] > 400);
    let strata = shares(Wire::Strata);
    assert!(!strata.contains_key("system") && !strata.contains_key("config"), "these come as CSV only");
}

#[test]
fn no_background_upload_is_large() {
    let most = sessions(200_000).map(|(s, _)| s.sent).max().unwrap_or(0);
    assert!((1 << 20..1 << 22).contains(&most), "{most}");
}

#[test]
fn refused_sessions_carry_nothing_back() {
    for session in varied(Wire::Strata, 20_000).filter(|s| matches!(s.kind, Kind::Traffic("deny" | "drop"))) {
        assert_eq!((session.received, session.elapsed_s, session.end_reason), (0, 0, "policy-deny"));
        assert!(session.action != "allow" && session.sent < 100 && session.rule.name == "deny-all");
    }
}

#[test]
fn only_what_leaves_is_translated() {
    for session in varied(Wire::Strata, 20_000) {
        let leaves = session.zones == Zones::Outbound && session.src.is_ipv4();
        assert_eq!(session.nat_src.is_some(), leaves, "{session:?}");
        assert_eq!(session.src.is_ipv4(), session.dst.is_ipv4());
    }
}

#[test]
fn ends_are_where_the_zones_say() {
    let is_inside = |ip: IpAddr| ip.to_string().starts_with("10.1.") || ip.to_string().starts_with("2001:db8:1:");
    let mut inbound = 0;
    for (session, _) in sessions(20_000) {
        let (from, to) = (session.zones.source(), session.zones.destination());
        assert_eq!(is_inside(session.src), from == "trust", "{} from {from}", session.src);
        assert_eq!(is_inside(session.dst), to == "dmz", "{} to {to}", session.dst);
        assert!(from != "untrust" || session.user.is_none());
        inbound += u32::from(from == "untrust");
    }
    assert!(inbound > 200);
}

#[test]
fn aiming_decides_the_ends() {
    let (mut session, _) = sessions(1).next().expect("one");
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    for (dst, zone, translated) in [("10.1.250.11", "dmz", false), ("198.19.3.9", "untrust", true)] {
        session.aim(ip("10.1.16.7"), ip(dst), 4_444);
        assert_eq!((session.src, session.dst, session.dst_port), (ip("10.1.16.7"), ip(dst), 4_444));
        assert_eq!((session.zones.destination(), session.nat_src.is_some()), (zone, translated));
        assert_eq!(session.app.protocol, "tcp");
    }
}

#[test]
fn packets_hold_1400_bytes() {
    for (bytes, packets) in [(0, 0), (1, 1), (1_400, 1), (1_401, 2), (14_000, 10)] {
        assert_eq!(Session::packets(bytes), packets);
    }
}

#[test]
fn places_are_named_as_the_vendor_names_them() {
    for (ip, name) in [("10.9.9.9", "10.0.0.0-10.255.255.255"), ("198.18.0.9", "Germany"), ("2001:db8::1", "Unknown")] {
        assert_eq!(Session::place_name(ip.parse().expect("an address")), name);
    }
}
