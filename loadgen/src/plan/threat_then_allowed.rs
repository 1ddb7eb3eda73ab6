//! A grave finding between two addresses, and later traffic between them that was allowed, within ten minutes.

use std::net::IpAddr;

use super::{Claim, INFECTED, Planted, Scene, What};
use crate::fleet::apps::signatures;
use crate::fleet::hosts;

/// Windows are ten minutes and hop by half: what lasts five minutes lies whole in one.
const LONGEST_US: i64 = 300_000_000;

/// What happens in one half of a scene.
#[derive(Clone, Copy)]
enum Half {
    /// Findings, grave or not.
    Found { is_grave: bool },
    /// Traffic that was allowed, to the same destination or another.
    Allowed { is_same: bool },
    /// Traffic that was refused.
    Refused,
}

use Half::{Allowed, Found, Refused};

const ATTACK: [Half; 2] = [Found { is_grave: true }, Allowed { is_same: true }];

const NEAR_MISSES: [([Half; 2], &str); 4] = [
    ([Allowed { is_same: true }, Found { is_grave: true }], "allowed before"),
    ([Found { is_grave: true }, Allowed { is_same: false }], "another destination"),
    ([Found { is_grave: false }, Allowed { is_same: true }], "low severity"),
    ([Found { is_grave: true }, Refused], "refused"),
];

/// Plans a host that meets a hostile one, and does nothing else.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let src = hosts::quiet(scene.tenant, INFECTED, scene.number);
    let dst = hosts::attacker(30_000 + scene.number % 10_000);
    let (halves, variant) = match scene.near {
        Some(near) => NEAR_MISSES[near as usize % NEAR_MISSES.len()],
        None => (ATTACK, "allowed after"),
    };
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    // Two fifths each, with a fifth between them.
    for (half, from_us) in halves.into_iter().zip([start_us, start_us + length_us * 3 / 5]) {
        for _ in 0..scene.draw.between(1, 4) {
            let us = from_us + scene.draw.between(0, length_us * 2 / 5);
            let what = what(scene, half, src, dst);
            scene.log(us, what);
        }
    }
    let due_us = allowed_after(scene);
    Claim { key: vec![("src_ip", src.to_string()), ("dst_ip", dst.to_string())], intensity: 1.0, variant, due_us }
}

/// The first traffic after the first finding.
fn allowed_after(scene: &Scene<'_>) -> Option<i64> {
    let is_finding = |p: &&Planted| matches!(p.what, What::Finding { .. });
    let found_us = scene.planted.iter().filter(is_finding).map(|p| p.time_us).min()?;
    let reached = scene.planted.iter().filter(|p| matches!(p.what, What::Reach { .. })).map(|p| p.time_us);
    reached.filter(|us| *us > found_us).min()
}

fn what(scene: &mut Scene<'_>, half: Half, src: IpAddr, dst: IpAddr) -> What {
    match half {
        Found { is_grave } => {
            let signature = *scene.draw.pick(&signatures(is_grave));
            What::Finding { src, dst, signature }
        }
        Allowed { is_same: true } => What::Reach { src, dst, port: 443 },
        Allowed { is_same: false } => {
            What::Reach { src, dst: hosts::attacker(40_000 + scene.number % 10_000), port: 443 }
        }
        Refused => What::Probe { src, dst, port: 443 },
    }
}
