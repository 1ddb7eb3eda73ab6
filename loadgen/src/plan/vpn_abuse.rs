//! Misuse of VPN accounts that stays below the rules which count failures and countries.

use std::net::IpAddr;

use super::{Claim, Scene, What};
use crate::fleet::hosts;
use crate::fleet::people::{self, UserName};
use crate::record::vpn::{CONNECTED, GATEWAY, LOGOUT, PORTAL, Stride};

/// What stands for a threshold: failures of a user in the whole run; and the rule's of refused second factors, exceeded.
const FAILURES: f64 = 15.0;
const PUSHES: f64 = 4.0;

/// Failures of a user in any five minutes, below the threshold of a rule that looks at them.
const FAILURES_A_MINUTE: i64 = 2;
const PUSHES_MAX: i64 = 12;
const FAILURES_MAX: i64 = 300;

/// Longer than the window of a rule that looks at an hour.
const APART_US: (i64, i64) = (3_605_000_000, 9_000_000_000);

/// The first of the strangers these are about, and how many a scenario has.
const VICTIMS: u32 = 100_000;
const VICTIMS_A_SCENARIO: u32 = 1_000;

/// Where the addresses begin that guesses come from.
const GUESSERS: u32 = 1_000;
const GUESSERS_A_SCENE: u32 = 45;

fn victim(scene: &Scene<'_>) -> UserName {
    people::stranger(VICTIMS + scene.scenario as u32 * VICTIMS_A_SCENARIO + scene.number)
}

/// One of two addresses of a country that no other scenario uses.
fn address(scene: &Scene<'_>, country: u32, which: u32) -> IpAddr {
    people::elsewhere(country, 1_250 + (scene.number * 2 + which) % 50)
}

fn step(scene: &mut Scene<'_>, us: i64, step: usize, (user, source): (UserName, IpAddr), is_failure: bool) {
    scene.log(us, What::Stride(Stride { step, user, source, is_failure }));
}

fn about(user: UserName, intensity: f64, variant: &'static str) -> Claim {
    Claim { key: vec![("user_name", user.to_string())], intensity, variant, due_us: None }
}

/// Plans somebody in two countries sooner than anybody travels: two logins more than an hour apart, or, if the run is too
/// short for that, a tunnel from abroad without a login, as a stolen session has. Near miss: a traveling user, whose
/// second address is in the same country.
pub(super) fn impossible_travel(scene: &mut Scene<'_>) -> Claim {
    let (user, home) = (victim(scene), scene.draw.below(16) as u32);
    let abroad = if scene.near.is_some() { home } else { home + 1 + scene.number % 15 };
    let (first, second) = (address(scene, home, 0), address(scene, abroad, 1));
    let apart_us = scene.draw.between(APART_US.0, APART_US.1);
    let variant = match scene.long_stretch(apart_us) {
        Some(start_us) => {
            step(scene, start_us, GATEWAY, (user, first), false);
            step(scene, start_us + apart_us, GATEWAY, (user, second), false);
            "two logins"
        }
        None => {
            let (start_us, length_us) = scene.stretch(1_800_000_000);
            step(scene, start_us, GATEWAY, (user, first), false);
            step(scene, start_us + length_us, CONNECTED, (user, second), false);
            "stolen session"
        }
    };
    about(user, 1.0, if scene.near.is_some() { "traveling user" } else { variant })
}

/// Plans an account whose two tunnels stand at once, from two addresses of one country. Near miss: the second stands after
/// the first has fallen.
pub(super) fn overlap(scene: &mut Scene<'_>) -> Claim {
    let (user, country) = (victim(scene), scene.draw.below(16) as u32);
    let (first, second) = (address(scene, country, 0), address(scene, country, 1));
    let (start_us, length_us) = scene.stretch(1_800_000_000);
    let at = |quarter: i64| start_us + length_us * quarter / 4;
    let (falls, stands) = if scene.near.is_some() { (1, 2) } else { (2, 1) };
    step(scene, at(0), CONNECTED, (user, first), false);
    step(scene, at(stands), CONNECTED, (user, second), false);
    step(scene, at(falls), LOGOUT, (user, first), false);
    step(scene, at(4), LOGOUT, (user, second), false);
    let due_us = scene.planted.iter().find(|p| p.salt == 2).map(|p| p.time_us);
    Claim { due_us, ..about(user, 1.0, if scene.near.is_some() { "reconnect" } else { "two tunnels" }) }
}

/// Plans guesses of one password from many addresses, few at a time. Near miss: a forgotten password, at home.
pub(super) fn distributed(scene: &mut Scene<'_>) -> Claim {
    let user = victim(scene);
    let (start_us, length_us) = scene.slow_stretch();
    let intensity = scene.intensity();
    let count = scene.count(intensity, FAILURES).min(FAILURES_MAX);
    // A run of seconds has no room for more than what one minute may hold.
    let count = Scene::at_most(count, length_us, FAILURES_A_MINUTE).max(3);
    let addresses = if scene.near.is_some() { 1 } else { GUESSERS_A_SCENE };
    let home = address(scene, scene.number, 0);
    for at in 0..count {
        let guesser = GUESSERS + scene.number * GUESSERS_A_SCENE + at as u32 % addresses;
        let source = if scene.near.is_some() { home } else { IpAddr::V4(hosts::far(guesser)) };
        scene.log_in(start_us + length_us * at / (count + 1), user, source, true);
    }
    if scene.near.is_some() {
        scene.log_in(start_us + length_us, user, home, false);
    }
    let variant = if scene.near.is_some() { "forgotten password" } else { "many addresses" };
    about(user, count as f64 / FAILURES, variant)
}

/// Plans a password that is known and a second factor that is refused until somebody gives in. Near miss: the second try
/// is right.
pub(super) fn mfa_fatigue(scene: &mut Scene<'_>) -> Claim {
    let user = victim(scene);
    let (start_us, length_us) = scene.stretch(1_200_000_000);
    let intensity = scene.intensity();
    let pushes = if scene.near.is_some() { 1 } else { scene.count(intensity, PUSHES).min(PUSHES_MAX) };
    let country = scene.draw.below(16) as u32;
    let source = address(scene, country, 0);
    for at in 0..=pushes {
        let us = start_us + length_us * at / (pushes + 1);
        step(scene, us, PORTAL, (user, source), false);
        step(scene, us + length_us / (pushes + 1) / 3, GATEWAY, (user, source), at < pushes);
    }
    let due_us = scene.crossing(PUSHES, |p| p.what.failing_user().map(|_| p.salt));
    Claim {
        due_us,
        ..about(user, pushes as f64 / PUSHES, if scene.near.is_some() { "second try" } else { "worn down" })
    }
}
