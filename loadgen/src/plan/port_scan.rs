//! More than 250 distinct destination ports of one source within a minute.

use std::collections::BTreeSet;

use super::{Claim, Scene, What};
use crate::fleet::apps::APPS;
use crate::fleet::hosts;

/// The rule's threshold: distinct ports, exceeded.
pub(crate) const PORTS: f64 = 250.0;

/// Windows are a minute and hop by half: what lasts half a minute lies whole in one.
const LONGEST_US: i64 = 30_000_000;

/// Of a slow scan, ports a minute: with the background's ports still below the threshold.
const SLOW_PORTS_A_MINUTE: i64 = 190;

/// Plans a scan by a host of the tenant, seen by all its devices. Of three near misses one is a slow scan: more ports than
/// the threshold, never so many in any minute.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let src = hosts::internal(scene.tenant, scanner(scene.number));
    let is_slow = scene.near.is_some_and(|near| near % 3 == 2);
    let (mut intensity, mut variant) = (scene.intensity(), if scene.near.is_some() { "few ports" } else { "scan" });
    let mut count = scene.count(intensity, PORTS);
    let (start_us, length_us) = match is_slow.then(|| slow(scene)).flatten() {
        Some((start_us, length_us, ports)) => {
            (intensity, variant, count) = (SLOW_PORTS_A_MINUTE as f64 / PORTS, "slow scan", ports);
            (start_us, length_us)
        }
        None => scene.stretch(LONGEST_US),
    };
    let targets = 1 + scene.draw.below(8);
    let ports = ports(scene, count as usize);
    for (at, port) in (0i64..).zip(ports) {
        let dst = hosts::server(scene.tenant, scene.draw.below(targets) as u16);
        scene.log(start_us + length_us * at / count, What::Probe { src, dst, port });
    }
    let due_us = scene.crossing(PORTS, |p| p.what.port());
    Claim { key: vec![("src_ip", src.to_string())], intensity, variant, due_us }
}

/// A host that talks too, but is nobody else's scanner.
fn scanner(number: u32) -> u16 {
    (100 + number * 37 % 1_900) as u16
}

/// Start, length and ports of a slow scan; none if the run is too short for it.
fn slow(scene: &mut Scene<'_>) -> Option<(i64, i64, i64)> {
    let ports = scene.draw.between(265, 600);
    let length_us = ports * 60_000_000 / SLOW_PORTS_A_MINUTE;
    Some((scene.long_stretch(length_us)?, length_us, ports))
}

/// `count` distinct ports in any order. All of the background's are among them, so that the source's own background adds
/// none to the claim.
fn ports(scene: &mut Scene<'_>, count: usize) -> Vec<u16> {
    let known: BTreeSet<u16> = APPS.iter().map(|a| a.port).filter(|p| *p > 0).collect();
    let first = scene.draw.below(65_535);
    // 7,919 has no factor in common with 65,535, so the steps visit every port once.
    let others = (0..65_535u64).map(|i| ((first + i * 7_919) % 65_535) as u16 + 1).filter(|p| !known.contains(p));
    let mut ports: Vec<u16> = known.iter().copied().chain(others).take(count).collect();
    for i in (1..ports.len()).rev() {
        ports.swap(i, scene.draw.index(i + 1));
    }
    ports
}

#[cfg(test)]
mod tests;
