//! At least 20 calls home at regular intervals within two hours.

use std::net::IpAddr;

use super::{Claim, Scene, What};
use crate::fleet::hosts;

/// The rule's threshold: calls, reached.
const CALLS: f64 = 20.0;

/// The shortest interval: some formats tell whole seconds, and several clocks are a little apart.
const INTERVAL_MIN_US: i64 = 5_000_000;

/// The most calls.
const CALLS_MAX: i64 = 300;

/// Windows are two hours and hop by half: what lasts an hour lies whole in one.
const LONGEST_US: i64 = 3_600_000_000;

/// Of an interval, in percent, how far the stealthiest implant strays.
const JITTER_PERCENT: f64 = 30.0;

/// Plans a host that calls an address which nobody else does, as regularly as its stealth lets it. Near misses take turns:
/// updates, as regular but where everybody asks; a person, who goes to one place at any time.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let (start_us, length_us) = scene.slow_stretch_within(LONGEST_US);
    let intensity = if scene.near.is_some() { scene.would_be_intensity() } else { scene.intensity() };
    let count = scene.count(intensity, CALLS).min(CALLS_MAX).min(length_us / INTERVAL_MIN_US).max(CALLS as i64 + 1);
    let src = hosts::actor(scene.tenant, scene.scenario, scene.number);
    let far = IpAddr::V4(hosts::far(scene.number));
    let popular = hosts::external((scene.number % u32::from(hosts::POPULAR)) as u16);
    let (dst, variant) = match scene.near.map(|near| near % 2) {
        None => (far, "beacon"),
        Some(0) => (popular, "update checks"),
        Some(_) => (far, "browsing"),
    };
    let interval_us = length_us / count.max(1);
    let stray = (interval_us as f64 * scene.stealth * JITTER_PERCENT / 100.0) as i64;
    let bytes = 200 + scene.draw.below(100);
    for at in 0..count {
        let us = match variant {
            "browsing" => scene.draw.between(0, length_us),
            _ => interval_us * at + scene.draw.between(0, stray),
        };
        let bytes = if variant == "browsing" { 300 + scene.draw.below(60_000) } else { bytes };
        scene.log(start_us + us, What::Upload { src, dst, bytes });
    }
    let key = vec![("src_ip", src.to_string()), ("dst_ip", dst.to_string())];
    let due_us = scene.crossing(CALLS - 1.0, |p| Some(p.salt));
    Claim { key, intensity: count as f64 / CALLS, variant, due_us }
}
