//! More than 500,000,000 bytes to one external address within ten minutes, from at most two sources.

use super::{Claim, Scene, What};
use crate::fleet::hosts;

/// The rule's threshold: bytes, exceeded.
pub(crate) const BYTES: f64 = 500_000_000.0;

/// Windows are ten minutes and hop by half: what lasts five minutes lies whole in one.
const LONGEST_US: i64 = 300_000_000;

/// The largest part of an upload to a popular address. Below the threshold, so that whatever exceeds it holds two parts,
/// and the other sources' sessions that stand between any two.
const POPULAR_PART: u64 = 400_000_000;

/// Plans an upload. Every second near miss is as large as an attack, but to an address that many sources use.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    if scene.near.is_some_and(|near| near % 2 == 1) {
        return popular(scene);
    }
    let intensity = scene.intensity();
    let dst = hosts::drop_zone(scene.number as u16);
    let sources = 1 + scene.draw.below(2) as u16;
    let parts = scene.draw.between(3, 40);
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    let sizes = split(scene, (intensity * BYTES) as u64, parts as usize);
    for (at, bytes) in (0i64..).zip(sizes) {
        let src = hosts::internal(scene.tenant, uploader(scene.number, at as u16 % sources));
        scene.log(start_us + length_us * at / parts, What::Upload { src, dst, bytes });
    }
    let variant = if scene.near.is_some() { "small upload" } else { "upload" };
    Claim { key: vec![("dst_ip", dst.to_string())], intensity, variant, due_us: exceeded(scene) }
}

fn popular(scene: &mut Scene<'_>) -> Claim {
    let (low, high) = super::ATTACK_INTENSITY;
    let intensity = scene.draw.log_uniform(low, high);
    let dst = hosts::external((scene.number % u32::from(hosts::POPULAR)) as u16);
    let total = (intensity * BYTES) as u64;
    let parts = total.div_ceil(POPULAR_PART).max(2);
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    let sessions = parts as i64 * 4;
    for at in 0..sessions {
        // Each part is followed by three small sessions of three other hosts.
        let is_part = at % 4 == 0;
        let src = hosts::internal(scene.tenant, uploader(scene.number, if is_part { 0 } else { 1 + (at % 12) as u16 }));
        let bytes = if is_part { total / parts + 1 } else { 2_000 + scene.draw.below(60_000) };
        scene.log(start_us + length_us * at / sessions, What::Upload { src, dst, bytes });
    }
    Claim { key: vec![("dst_ip", dst.to_string())], intensity, variant: "popular destination", due_us: None }
}

/// When the parts add up to more than the threshold.
fn exceeded(scene: &Scene<'_>) -> Option<i64> {
    let mut parts: Vec<(i64, u64)> = scene.planted.iter().map(|p| (p.time_us, p.what.bytes())).collect();
    parts.sort_unstable();
    let mut total = 0;
    parts.into_iter().find_map(|(us, bytes)| {
        total += bytes;
        (total as f64 > BYTES).then_some(us)
    })
}

fn uploader(number: u32, other: u16) -> u16 {
    ((200 + number * 53) % 1_900) as u16 + other
}

/// `parts` sizes whose sum is `total`, none above twice the average.
fn split(scene: &mut Scene<'_>, total: u64, parts: usize) -> Vec<u64> {
    let weights: Vec<u64> = (0..parts).map(|_| 1_000 + scene.draw.below(1_000)).collect();
    let sum: u64 = weights.iter().sum();
    let mut sizes: Vec<u64> = weights.iter().map(|w| total / sum * w).collect();
    sizes[0] += total - sizes.iter().sum::<u64>();
    sizes
}

#[cfg(test)]
mod tests;
