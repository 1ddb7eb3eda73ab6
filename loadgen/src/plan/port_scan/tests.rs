use super::*;
use crate::config::FleetConfig;
use crate::fleet::tests::{SMALL, small};
use crate::plan::Ground;

/// Plans one scan of a fleet with that span: the claim, and time and port of each probe.
fn planned(number: u32, span_us: i64) -> (Claim, Vec<(i64, u16)>) {
    let config = FleetConfig { span_us, ..small() };
    let ground = Ground { config: &config, key: 5, tenants: &SMALL.tenants, devices: &SMALL.devices };
    let mut scene = Scene::new(&ground, 0, number, 0);
    let claim = plan(&mut scene);
    let probe = |p: &crate::plan::Planted| match p.what {
        What::Probe { port, .. } => (p.time_us, port),
        _ => panic!("a scan probes"),
    };
    (claim, scene.planted.iter().map(probe).collect())
}

const HOUR: i64 = 3_600_000_000;

fn distinct(probes: &[(i64, u16)]) -> usize {
    probes.iter().map(|(_, port)| port).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_scan_probes_as_many_ports_as_it_claims_each_once() {
    for number in 0..4 {
        let (claim, probes) = planned(number, HOUR);
        assert_eq!(distinct(&probes), probes.len());
        assert_eq!(probes.len(), (claim.intensity * PORTS) as usize + 1);
        assert!(probes.len() > 250 && claim.variant == "scan");
    }
}

#[test]
fn a_scan_lasts_at_most_half_a_minute() {
    for number in 0..4 {
        let (_, probes) = planned(number, HOUR);
        let times = || probes.iter().map(|(us, _)| *us);
        let length = times().max().expect("probes") - times().min().expect("probes");
        assert!((10_000_000..=LONGEST_US).contains(&length), "{length}");
    }
}

#[test]
fn the_ports_of_the_background_are_among_the_probed() {
    let (_, probes) = planned(4, HOUR);
    for app in APPS.iter().filter(|a| a.port > 0) {
        assert!(probes.iter().any(|(_, port)| *port == app.port), "{}", app.port);
    }
}

#[test]
fn a_slow_scan_is_many_ports_in_a_long_time() {
    let (claim, probes) = planned(6, HOUR);
    assert_eq!((claim.variant, claim.intensity), ("slow scan", 0.76));
    assert!(distinct(&probes) > 250);
    let fastest = probes
        .iter()
        .map(|(start, _)| probes.iter().filter(|(us, _)| (*start..start + 60_000_000).contains(us)).count());
    assert!(fastest.max().expect("probes") < 200);
}

#[test]
fn a_short_run_has_no_room_for_a_slow_scan() {
    let (claim, probes) = planned(6, 60_000_000);
    assert_eq!(claim.variant, "few ports");
    assert!(probes.len() < 250);
}

#[test]
fn scanners_are_hosts_of_their_own() {
    let hosts: BTreeSet<u16> = (0..1_900).map(scanner).collect();
    assert_eq!(hosts.len(), 1_900);
    assert!(hosts.iter().all(|h| *h < hosts::INTERNAL));
}
