//! Scans below every threshold of a minute: slow ones over many hosts, and of one host. No rule that ships is about them.

use std::net::IpAddr;

use super::{Claim, Scene, What};
use crate::fleet::hosts;

/// What stands for a threshold: distinct ports in the whole run, and distinct ports of one host.
const SLOW_PORTS: f64 = 60.0;
const HOST_PORTS: f64 = 50.0;

/// Ports of any minute, far below the threshold of a rule that looks at minutes.
const PORTS_A_MINUTE: i64 = 90;

/// The most ports of a scan.
const PORTS_MAX: i64 = 600;

/// Ports that monitoring asks.
const CHECKS: [u16; 5] = [22, 80, 443, 5_432, 8_080];

/// Plans a host that tries a port now and then, on many servers. Near misses take turns: the same by a vulnerability
/// scanner; monitoring that asks the same ports again and again.
pub(super) fn slow(scene: &mut Scene<'_>) -> Claim {
    let (start_us, length_us) = scene.slow_stretch();
    scan(scene, (start_us, length_us), SLOW_PORTS, 16, ["slow scan", "allowed scanner", "health checks"])
}

/// Plans a host that tries the ports of one server within minutes. Near misses as of a slow scan.
pub(super) fn vertical(scene: &mut Scene<'_>) -> Claim {
    let (start_us, length_us) = scene.stretch(600_000_000);
    scan(scene, (start_us, length_us), HOST_PORTS, 1, ["vertical scan", "allowed scanner", "health checks"])
}

fn scan(
    scene: &mut Scene<'_>,
    (start_us, length_us): (i64, i64),
    threshold: f64,
    servers: u64,
    variants: [&'static str; 3],
) -> Claim {
    let intensity = match scene.near {
        Some(_) => scene.would_be_intensity(),
        None => scene.intensity(),
    };
    let count = Scene::at_most(scene.count(intensity, threshold).min(PORTS_MAX), length_us, PORTS_A_MINUTE);
    let (variant, src) = source(scene, servers == 1);
    let first = scene.draw.below(60_000);
    for at in 0..count {
        let dst = hosts::server(scene.tenant, scene.draw.below(servers) as u16);
        let port = if variant == 2 { CHECKS[at as usize % 5] } else { ((first + at as u64 * 7) % 65_535) as u16 + 1 };
        scene.log(start_us + length_us * at / count, What::Probe { src, dst, port });
    }
    let key = vec![("src_ip", src.to_string())];
    Claim { key, intensity: count as f64 / threshold, variant: variants[variant], due_us: None }
}

/// Index of the variant, and who scans.
fn source(scene: &Scene<'_>, is_vertical: bool) -> (usize, IpAddr) {
    match scene.near.map(|near| near % 2) {
        Some(0) => {
            let n = scene.number % 75 + if is_vertical { 75 } else { 0 };
            (1, hosts::vulnerability_scanner(scene.tenant, n))
        }
        near => (near.map_or(0, |_| 2), hosts::actor(scene.tenant, scene.scenario, scene.number)),
    }
}
