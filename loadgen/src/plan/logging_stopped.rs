//! CloudTrail's own log switched off: StopLogging or DeleteTrail that succeeded.

use std::net::Ipv4Addr;

use super::{Claim, Scene, What};
use crate::fleet::people;
use crate::record::Wire;
use crate::record::cloud::{Identity, PlannedCall, operation_named};

/// Service, operation, denied, variant.
type Call = (&'static str, &'static str, bool, &'static str);

const ATTACKS: [Call; 2] =
    [("cloudtrail", "StopLogging", false, "stopped"), ("cloudtrail", "DeleteTrail", false, "deleted")];

const NEAR_MISSES: [Call; 4] = [
    ("cloudtrail", "StopLogging", true, "denied"),
    ("cloudtrail", "GetTrailStatus", false, "looked only"),
    ("firehose", "StopLogging", false, "other service"),
    ("cloudtrail", "DeleteTrail", true, "denied"),
];

/// Plans one call by a user, a role or root, in any partition of the tenant.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let (service, name, is_denied, variant) = match scene.near {
        Some(near) => NEAR_MISSES[near as usize % NEAR_MISSES.len()],
        None => ATTACKS[scene.number as usize % ATTACKS.len()],
    };
    let (us, _) = scene.stretch(0);
    let identity = *scene.draw.pick(&[Identity::IamUser, Identity::AssumedRole, Identity::Root]);
    let user = people::person(&mut scene.draw);
    let source = Ipv4Addr::new(192, 0, 2, 1 + (scene.number % 250) as u8);
    let time_us = us.div_euclid(1_000_000) * 1_000_000;
    let operation = operation_named(service, name);
    let call = PlannedCall { operation, is_denied, identity, role: None, key: None, user, source, time_us };
    let device = *scene.draw.pick(&scene.devices);
    scene.plant(us, 0, device, Wire::CloudTrail, What::Call(call));
    let mut key = vec![("src_ip", source.to_string())];
    if identity == Identity::IamUser {
        key.push(("user_name", user.to_owned()));
    }
    Claim { key, intensity: 1.0, variant, due_us: Some(time_us) }
}
