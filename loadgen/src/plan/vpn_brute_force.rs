//! More than 20 failed VPN logins of one user within five minutes.

use super::{Claim, Scene};
use crate::fleet::{hosts, people};

/// The rule's threshold: failures, exceeded.
pub(crate) const FAILURES: f64 = 20.0;

/// Windows are five minutes and hop by half: what lasts that half lies whole in one.
const LONGEST_US: i64 = 150_000_000;

/// Of a slow attack.
const SLOW_FAILURES_IN_FIVE_MINUTES: i64 = 15;

/// Plans guesses of the password of somebody who does nothing else, from one to three addresses. Near misses take turns:
/// few failures; as many as an attack's in a long time; four people with few failures each; logins that succeed.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let near = scene.near.map(|near| near % 4);
    let mut intensity = if near == Some(3) { scene.would_be_intensity() } else { scene.intensity() };
    let mut count = scene.count(intensity, FAILURES);
    let mut variant =
        near.map_or("guesses", |near| ["few failures", "few failures", "four users", "successes"][near as usize]);
    let mut stretch = None;
    if near == Some(1) {
        let slow = scene.draw.between(24, 60);
        let length_us = slow * 300_000_000 / SLOW_FAILURES_IN_FIVE_MINUTES;
        stretch = scene.long_stretch(length_us).map(|start_us| (start_us, length_us));
        if stretch.is_some() {
            (count, intensity, variant) = (slow, SLOW_FAILURES_IN_FIVE_MINUTES as f64 / FAILURES, "slow failures");
        }
    }
    let (start_us, length_us) = stretch.unwrap_or_else(|| scene.stretch(LONGEST_US));
    let victims = if near == Some(2) { 4 } else { 1 };
    let addresses = scene.draw.between(1, 3);
    for at in 0..count * victims {
        let user = people::stranger(scene.number * 4 + (at % victims) as u32);
        let source =
            hosts::attacker(scene.number * 3 % 20_000 + if near == Some(3) { 0 } else { (at % addresses) as u32 });
        scene.log_in(start_us + length_us * at / (count * victims), user, source, near != Some(3));
    }
    let victim = people::stranger(scene.number * 4);
    let due_us = scene.crossing(FAILURES, |p| Some(p.salt));
    Claim { key: vec![("user_name", victim.to_string())], intensity, variant, due_us }
}
