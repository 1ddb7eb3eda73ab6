//! More than 100 distinct destination addresses of one source on one port within a minute.

use super::{Claim, SWEEPERS, Scene, What};
use crate::fleet::hosts;
use crate::record::session::{RDP, SMB};

/// The rule's threshold: distinct destinations, exceeded.
pub(crate) const TARGETS: f64 = 100.0;

/// Windows are a minute and hop by half: what lasts half a minute lies whole in one.
const LONGEST_US: i64 = 30_000_000;

/// Of a slow sweep.
const SLOW_TARGETS_A_MINUTE: i64 = 76;

/// What intruders look for.
const PORTS: [u16; 8] = [22, SMB, RDP, 80, 5_900, 8_080, 1_433, 23];

/// Plans a sweep by a host that does nothing else. Near misses take turns: few targets; as many as an attack's, but over
/// several ports; as many in a long time.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let first_port = scene.draw.index(PORTS.len());
    let intensity = scene.intensity();
    let mut sweep = Sweep { first_port, ports: 1, targets: scene.count(intensity, TARGETS), stretch: None };
    let (intensity, variant) = match scene.near.map(|near| near % 3) {
        None => (intensity, "sweep"),
        Some(1) => {
            sweep.ports = scene.draw.between(2, 4);
            (intensity, "several ports")
        }
        Some(2) if sweep.slow_down(scene) => (SLOW_TARGETS_A_MINUTE as f64 / TARGETS, "slow sweep"),
        Some(_) => (intensity, "few targets"),
    };
    let src = sweep.plant(scene);
    let key = vec![("src_ip", src), ("dst_port", PORTS[first_port].to_string())];
    let due_us = scene.crossing(TARGETS, |p| p.what.target());
    Claim { key, intensity, variant, due_us }
}

struct Sweep {
    first_port: usize,
    ports: i64,
    /// Distinct destinations a port.
    targets: i64,
    /// Start and length, if it is slow.
    stretch: Option<(i64, i64)>,
}

impl Sweep {
    /// Makes it slow; false if the run is too short.
    fn slow_down(&mut self, scene: &mut Scene<'_>) -> bool {
        let targets = scene.draw.between(105, 300);
        let length_us = targets * 60_000_000 / SLOW_TARGETS_A_MINUTE;
        let Some(start_us) = scene.long_stretch(length_us) else { return false };
        (self.targets, self.stretch) = (targets, Some((start_us, length_us)));
        true
    }

    /// Plants it and says whence. One destination in ten answers, unless the answers were another rule's business.
    fn plant(&self, scene: &mut Scene<'_>) -> String {
        let src = hosts::quiet(scene.tenant, SWEEPERS, scene.number);
        let (start_us, length_us) = self.stretch.unwrap_or_else(|| scene.stretch(LONGEST_US));
        let first = scene.draw.below(16_000);
        let count = self.targets * self.ports;
        for at in 0..count {
            let dst = hosts::target(scene.tenant, first + at.unsigned_abs());
            let port = PORTS[(self.first_port + (at % self.ports) as usize) % PORTS.len()];
            let is_open = ![SMB, RDP].contains(&port) && scene.draw.one_in(10);
            let what = if is_open { What::Reach { src, dst, port } } else { What::Probe { src, dst, port } };
            scene.log(start_us + length_us * at / count, what);
        }
        src.to_string()
    }
}
