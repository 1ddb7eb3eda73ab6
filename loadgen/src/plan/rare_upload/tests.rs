use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::config::FleetConfig;
use crate::fleet::tests::{SMALL, small};
use crate::plan::Ground;

/// Sessions of one planned upload in order of time: source, destination, bytes.
fn planned(number: u32) -> (Claim, Vec<(IpAddr, IpAddr, u64)>) {
    let config: FleetConfig = small();
    let ground = Ground { config: &config, key: 9, tenants: &SMALL.tenants, devices: &SMALL.devices };
    let mut scene = Scene::new(&ground, 1, number, 0);
    let claim = plan(&mut scene);
    let length = scene.planted.iter().map(|p| p.time_us).max().expect("sessions")
        - scene.planted.iter().map(|p| p.time_us).min().expect("sessions");
    assert!(length <= LONGEST_US);
    let session = |p: &crate::plan::Planted| match p.what {
        What::Upload { src, dst, bytes } => (src, dst, bytes),
        _ => panic!("an upload uploads"),
    };
    (claim, scene.planted.iter().map(session).collect())
}

#[test]
fn an_upload_is_as_large_as_it_claims_from_one_or_two_sources() {
    let mut counts = BTreeSet::new();
    for number in 0..4 {
        let (claim, sessions) = planned(number);
        let total: u64 = sessions.iter().map(|(_, _, bytes)| bytes).sum();
        assert_eq!(total, (claim.intensity * BYTES) as u64);
        assert!(total > 500_000_000);
        counts.insert(sessions.iter().map(|(src, _, _)| src).collect::<BTreeSet<_>>().len());
        assert_eq!(sessions.iter().map(|(_, dst, _)| dst).collect::<BTreeSet<_>>().len(), 1);
    }
    assert!(counts.iter().all(|n| (1..=2).contains(n)), "{counts:?}");
}

#[test]
fn a_small_upload_stays_below_the_threshold() {
    let (claim, sessions) = planned(4);
    let total: u64 = sessions.iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(claim.variant, "small upload");
    assert!((250_000_000..=475_000_000).contains(&total), "{total}");
}

#[test]
fn whatever_exceeds_the_threshold_at_a_popular_address_has_many_sources() {
    for number in [5, 7, 9] {
        let (claim, sessions) = planned(number);
        assert_eq!(claim.variant, "popular destination");
        for start in 0..sessions.len() {
            let (mut bytes, mut sources) = (0, BTreeSet::new());
            for (src, _, sent) in &sessions[start..] {
                bytes += sent;
                sources.insert(src);
                assert!(bytes <= 500_000_000 || sources.len() > 2, "{bytes} bytes of {} sources", sources.len());
            }
        }
        assert!(sessions.iter().map(|(_, _, bytes)| bytes).sum::<u64>() > 500_000_000);
    }
}

#[test]
fn parts_add_up_to_the_whole() {
    let config = small();
    let ground = Ground { config: &config, key: 9, tenants: &SMALL.tenants, devices: &SMALL.devices };
    let mut scene = Scene::new(&ground, 1, 0, 0);
    for (total, parts) in [(1_000_003, 1), (525_000_001, 3), (9_999_999_999, 40)] {
        let sizes = split(&mut scene, total, parts);
        assert_eq!((sizes.len(), sizes.iter().sum::<u64>()), (parts, total));
        assert!(sizes.iter().all(|s| *s > 0));
    }
}
