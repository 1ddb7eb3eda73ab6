//! Allowed connections of one internal source to more than 20 distinct internal hosts, for file sharing or remote
//! desktops, within ten minutes.

use std::net::IpAddr;

use super::{Claim, SPREADERS, Scene, What};
use crate::fleet::hosts;
use crate::record::session::{RDP, SMB};

/// The rule's threshold: distinct destinations, exceeded.
pub(crate) const TARGETS: f64 = 20.0;

/// Windows are ten minutes and hop by half: what lasts five minutes lies whole in one.
const LONGEST_US: i64 = 300_000_000;

/// A port's destinations a minute: a host that spreads is no sweep.
const TARGETS_A_MINUTE: i64 = 80;

/// A port that is none of the rule's.
const SSH: u16 = 22;

/// Plans a host that spreads and does nothing else. Near misses take turns: few targets; refused; to the outside; on
/// another port.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let src = hosts::quiet(scene.tenant, SPREADERS, scene.number);
    let near = scene.near.map(|near| near % 4);
    let intensity = match near {
        None | Some(0) => scene.intensity(),
        Some(_) => scene.would_be_intensity(),
    };
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    let ports: &[u16] = if near == Some(3) { &[SSH] } else { &[SMB, RDP] };
    // However short the run, two ports may have as many destinations as they like in a minute.
    let most = (length_us / 60_000_000).max(1) * TARGETS_A_MINUTE * ports.len() as i64;
    let count = scene.count(intensity, TARGETS).min(most);
    let first = scene.draw.below(16_000);
    for at in 0..count {
        let dst = hosts::target(scene.tenant, first + at.unsigned_abs());
        let port = ports[at as usize % ports.len()];
        let what = match near {
            Some(1) => What::Probe { src, dst, port },
            Some(2) => What::Reach { src, dst: outside(scene, at), port },
            _ => What::Reach { src, dst, port },
        };
        scene.log(start_us + length_us * at / count, what);
    }
    let variant = ["few targets", "refused", "to the outside", "another port"];
    let variant = near.map_or("fan-out", |near| variant[near as usize]);
    let (key, intensity) = (vec![("src_ip", src.to_string())], intensity.min(count as f64 / TARGETS));
    Claim { key, intensity, variant, due_us: scene.crossing(TARGETS, |p| p.what.target()) }
}

fn outside(scene: &Scene<'_>, at: i64) -> IpAddr {
    hosts::attacker(20_000 + scene.number * 97 % 9_000 + at as u32)
}
