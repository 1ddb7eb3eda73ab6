//! Session integrity: what belongs together fits together. The measure is tested too: it sees what does not fit.

use std::collections::BTreeMap;

use super::*;
use crate::config::{FleetConfig, Rate};
use crate::cursor::Position;
use crate::fleet::tests::fresh_seed;
use crate::mix::Mix;

/// A fleet that tells stories wherever it can.
fn fleet(mix: Mix, vpn_per_mille: u32) -> Fleet {
    let config = FleetConfig {
        seed: fresh_seed(),
        events: 30_000,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 0,
        flow_logs_per_million: 0,
        stories_per_mille: 1_000,
        vpn_per_mille,
        mix,
        rate: Rate { bursts_per_day: 24, storms_per_day: 24, ..Rate::default() },
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

fn firewalls(vpn_per_mille: u32) -> Fleet {
    fleet(Mix { strata_json: 1, panos_csv: 1, cloudtrail: 0, ..Mix::NONE }, vpn_per_mille)
}

/// Every record of every partition.
fn records(fleet: &Fleet) -> impl Iterator<Item = Record<'_>> {
    let of = move |p: usize| (0..fleet.partitions[p].records()).map(move |offset| Position::new(fleet, p, offset));
    (0..fleet.partitions.len()).flat_map(of).filter_map(|position| {
        let us = position.schedule_us(fleet)?;
        Some(position.record(fleet, us).0)
    })
}

/// What a log of a session says of it.
#[derive(Debug, Clone)]
struct Log {
    key: (String, u32, IpAddr, u16),
    kind: &'static str,
    ends: (IpAddr, u16, Option<IpAddr>, u16),
    time_us: i64,
    sent: u64,
    elapsed_s: u32,
}

/// Logs of the sessions that are told whole.
fn logs(fleet: &Fleet) -> Vec<Log> {
    let log = |record: Record<'_>| match record {
        Record::Session(_, s) if s.rule.name == "allow-web" => Some(Log {
            key: (s.device.serial.clone(), s.session, s.src, s.src_port),
            kind: match s.kind {
                Kind::Traffic(subtype) => subtype,
                _ => "url",
            },
            ends: (s.dst, s.dst_port, s.nat_src, s.nat_port),
            time_us: s.time_us,
            sent: s.sent,
            elapsed_s: s.elapsed_s,
        }),
        _ => None,
    };
    records(fleet).filter_map(log).collect()
}

/// Logs that do not fit: an end or a fetch without its start, a start without its end, or with another number in it.
fn misfits(logs: &[Log]) -> usize {
    let mut sessions: BTreeMap<_, Vec<&Log>> = BTreeMap::new();
    logs.iter().for_each(|log| sessions.entry(log.key.clone()).or_default().push(log));
    let fits = |session: &Vec<&Log>| {
        let only = |kind: &str| session.iter().filter(|l| l.kind == kind).collect::<Vec<_>>();
        let (starts, ends, fetches) = (only("start"), only("end"), only("url"));
        let ([start], [end], [fetch]) = (&starts[..], &ends[..], &fetches[..]) else { return false };
        let elapsed_s = (end.time_us - start.time_us) / 1_000_000;
        session.iter().all(|l| l.ends == start.ends)
            && start.time_us <= fetch.time_us
            && fetch.time_us <= end.time_us
            && i64::from(end.elapsed_s) == elapsed_s
            && end.sent >= start.sent
    };
    sessions.values().filter(|session| !fits(session)).count()
}

#[test]
fn every_end_has_its_start_with_the_same_numbers() {
    let fleet = firewalls(0);
    let logs = logs(&fleet);
    assert!(logs.len() > 15_000, "{} logs of whole sessions", logs.len());
    assert_eq!(misfits(&logs), 0);
    assert!(logs.iter().filter(|l| l.kind == "end" && l.elapsed_s > 0).count() > 1_000);
}

#[test]
fn the_measure_sees_what_does_not_fit() {
    let good = logs(&firewalls(0));
    let at = good.iter().position(|l| l.kind == "end").expect("an end");
    let start = good.iter().position(|l| l.kind == "start").expect("a start");
    let spoilt = |spoil: &dyn Fn(&mut Vec<Log>)| {
        let mut logs = good.clone();
        spoil(&mut logs);
        misfits(&logs)
    };
    assert_eq!(spoilt(&|logs| drop(logs.remove(start))), 1);
    assert_eq!(spoilt(&|logs| drop(logs.remove(at))), 1);
    assert_eq!(spoilt(&|logs| logs[at].ends.3 ^= 1), 1);
    assert_eq!(spoilt(&|logs| logs[at].elapsed_s += 1), 1);
    assert_eq!(spoilt(&|logs| logs[at].sent = 0), 1);
    assert!(spoilt(&|logs| logs[at].key.1 ^= 1) >= 1);
}

#[test]
fn a_question_for_a_name_precedes_a_session() {
    let fleet = firewalls(0);
    let mut asked = BTreeMap::new();
    let (mut begun, mut unasked) = (0, 0);
    for record in records(&fleet) {
        let Record::Session(_, s) = record else { continue };
        // A host asks for many sessions: each question has the numbers of its own.
        let key = |session, port| (s.device.serial.clone(), s.src, session, port);
        match s.kind {
            Kind::Traffic("end") if s.dst_port == 53 => {
                asked.insert(key(s.session ^ 1, s.src_port ^ 1), s.time_us);
            }
            Kind::Traffic("start") if !s.is_inbound() && s.src.is_ipv4() => {
                begun += 1;
                unasked += u32::from(asked.get(&key(s.session, s.src_port)).is_none_or(|us| *us > s.time_us));
            }
            _ => {}
        }
    }
    assert!(begun > 3_000, "{begun}");
    assert_eq!(unasked, 0);
}

#[test]
fn a_login_precedes_traffic_from_its_address() {
    let fleet = firewalls(1_000);
    let (mut logged_in, mut tunnels) = (BTreeMap::new(), BTreeMap::new());
    let (mut seen, mut stray) = (0, 0);
    for record in records(&fleet) {
        match record {
            Record::Vpn(_, log) if log.stride.step == GATEWAY && !log.stride.is_failure => {
                logged_in.insert(log.stride.user, log.time_us);
            }
            Record::Vpn(_, log) if log.stride.step == CONNECTED && logged_in.contains_key(&log.stride.user) => {
                let address = IpAddr::V4(tunnel_address(log.stride.user));
                tunnels.insert((log.device.serial.clone(), address), log.time_us);
            }
            Record::Session(_, s) if s.src.to_string().starts_with("172.20.") => {
                seen += 1;
                stray += u32::from(tunnels.get(&(s.device.serial.clone(), s.src)).is_none_or(|us| *us > s.time_us));
            }
            _ => {}
        }
    }
    assert!(seen > 5_000, "{seen}");
    assert_eq!(stray, 0);
}

#[test]
fn an_identity_assumes_a_role_and_calls_with_its_key() {
    let fleet = fleet(Mix { strata_json: 0, panos_csv: 0, cloudtrail: 1, ..Mix::NONE }, 0);
    let mut keys: BTreeMap<u64, Vec<PlannedCall>> = BTreeMap::new();
    for record in records(&fleet) {
        let Record::Cloud(cloud) = record else { continue };
        let Some((_, call)) = cloud.planned else { continue };
        keys.entry(call.key.expect("a key")).or_default().push(call);
    }
    assert!(keys.len() > 5_000, "{}", keys.len());
    for calls in keys.values_mut() {
        calls.sort_by_key(|c| (c.time_us, c.identity == Identity::AssumedRole));
        assert_eq!(calls.len(), 4);
        assert!(calls.iter().all(|c| (c.user, c.source, c.role) == (calls[0].user, calls[0].source, calls[0].role)));
        assert_eq!(calls[0].operation, operation_named("sts", "AssumeRole"));
        assert!(calls[1..].iter().all(|c| c.identity == Identity::AssumedRole));
    }
}
