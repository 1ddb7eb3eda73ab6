//! Failed VPN logins of more than 15 distinct users from one address within ten minutes.

use super::{Claim, Scene};
use crate::fleet::people;

/// The rule's threshold: distinct users, exceeded.
pub(crate) const USERS: f64 = 15.0;

/// Windows are ten minutes and hop by half: what lasts five minutes lies whole in one.
const LONGEST_US: i64 = 300_000_000;

/// The first of the strangers whose passwords are tried.
const VICTIMS: u32 = 300_000;
/// Strangers a scene has at its disposal.
const VICTIMS_A_SCENE: u32 = 400;

/// Plans an address that tries a password or two of many people. Near misses take turns: few users; few users and many
/// failures of each; an office, where many log in and few fail.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let source = people::elsewhere(scene.number, scene.number / 16);
    let intensity = scene.intensity();
    let failing = scene.count(intensity, USERS);
    let (tries, succeeding, variant) = match scene.near.map(|near| near % 3) {
        None => (scene.draw.between(1, 2), 0, "spray"),
        Some(1) => (8, 0, "few users, often"),
        Some(2) => (1, scene.draw.between(20, 60), "office"),
        Some(_) => (scene.draw.between(1, 2), 0, "few users"),
    };
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    let first = VICTIMS + scene.number * VICTIMS_A_SCENE;
    let (failures, total) = (failing * tries, failing * tries + succeeding);
    for at in 0..total {
        let is_failure = at < failures;
        let who = if is_failure { at % failing } else { failing + at - failures };
        // Successes stand between failures.
        let us = start_us + length_us * (at * 7 % total) / total;
        scene.log_in(us, people::stranger(first + who as u32), source, is_failure);
    }
    let due_us = scene.crossing(USERS, |p| p.what.failing_user());
    Claim { key: vec![("src_ip", source.to_string())], intensity, variant, due_us }
}
