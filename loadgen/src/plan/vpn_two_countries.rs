//! Successful VPN logins of one user from at least two countries within an hour.

use std::net::IpAddr;

use super::{Claim, Scene, What};
use crate::fleet::people::{self, UserName};
use crate::record::vpn::{CONNECTED, Stride};

/// The rule's threshold: distinct countries, reached.
pub(crate) const COUNTRIES: f64 = 2.0;

/// Windows are an hour and hop by half: what lasts half an hour lies whole in one.
const LONGEST_US: i64 = 1_800_000_000;

/// What lasts longer than this lies whole in no window.
const HOUR_US: i64 = 3_600_000_000;

/// The first of the strangers who travel.
const TRAVELERS: u32 = 200_000;

/// Plans somebody who does nothing else and logs in at home and then in one or two other countries. Near misses take
/// turns: another address in the same country; abroad the login fails; abroad there is a tunnel and no login; abroad
/// more than an hour later, if the run is that long.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let user = people::stranger(TRAVELERS + scene.number);
    let home = scene.draw.below(16) as u32;
    let near = scene.near.map(|near| near % 4);
    let far = scene.draw.between(HOUR_US + 5_000_000, HOUR_US + 600_000_000);
    let long = if near == Some(3) { scene.long_stretch(far).map(|start_us| (start_us, far)) } else { None };
    let is_long = long.is_some();
    let (start_us, length_us) = long.unwrap_or_else(|| scene.stretch(LONGEST_US));
    let (abroad, end_us) = (address(scene, home + 1 + scene.number % 15, 1), start_us + length_us);
    let first = address(scene, home, 0);
    scene.log_in(start_us, user, first, false);
    let mut countries: u32 = 1;
    let variant = match near {
        Some(1) => {
            scene.log_in(end_us, user, abroad, true);
            "failed abroad"
        }
        Some(2) => {
            tunnel(scene, end_us, user, abroad);
            "tunnel abroad"
        }
        Some(3) if is_long => {
            scene.log_in(end_us, user, abroad, false);
            "an hour apart"
        }
        Some(_) => {
            let neighbor = address(scene, home, 2);
            scene.log_in(end_us, user, neighbor, false);
            "same country"
        }
        None => {
            countries += travel(scene, user, abroad, (start_us, length_us), home);
            "two countries"
        }
    };
    let due_us = scene.crossing(COUNTRIES - 1.0, |p| p.what.login_country());
    let key = vec![("user_name", user.to_string())];
    Claim { key, intensity: f64::from(countries) / COUNTRIES, variant, due_us }
}

/// Logs in at the end, and one time in four in a third country before. Says how many countries that is.
fn travel(scene: &mut Scene<'_>, user: UserName, abroad: IpAddr, (start_us, length_us): (i64, i64), home: u32) -> u32 {
    scene.log_in(start_us + length_us, user, abroad, false);
    if !scene.draw.one_in(4) {
        return 1;
    }
    let third = address(scene, home + 1 + (scene.number + 7) % 15, 2);
    scene.log_in(start_us + length_us / 2, user, third, false);
    2
}

fn tunnel(scene: &mut Scene<'_>, us: i64, user: UserName, source: IpAddr) {
    scene.log(us, What::Stride(Stride { step: CONNECTED, user, source, is_failure: false }));
}

/// One of three addresses in a country, that no spray comes from.
fn address(scene: &Scene<'_>, country: u32, which: u32) -> IpAddr {
    people::elsewhere(country, 1_300 + (scene.number * 3 + which) % 230)
}
