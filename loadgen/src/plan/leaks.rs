//! What leaves in small pieces, which no rule that ships is about, and what leaves in questions to name servers.

use std::net::IpAddr;

use super::{Claim, Scene, What};
use crate::fleet::hosts;

/// What stands for a threshold of pieces: bytes in the whole run; and the rule's of questions to one server, exceeded.
const BYTES: f64 = 100_000_000.0;
const QUESTIONS: f64 = 50.0;

/// Bytes of any ten minutes, far below the threshold of a rule that looks at them.
const BYTES_IN_TEN_MINUTES: i64 = 120_000_000;

/// The largest piece: two of them beside a full window do not fill it either.
const PIECE_MAX: i64 = 20_000_000;

/// Windows of the rule are two hours and hop by half: what lasts an hour lies whole in one.
const LONGEST_US: i64 = 3_600_000_000;

/// The most questions.
const QUESTIONS_MAX: i64 = 600;

/// Plans a host that sends a piece now and then to one address. Near misses take turns: a backup, as much from a server;
/// somebody who shares a few files.
pub(super) fn pieces(scene: &mut Scene<'_>) -> Claim {
    let (start_us, length_us) = scene.slow_stretch();
    let intensity = if scene.near.is_some() { scene.would_be_intensity() } else { scene.intensity() };
    let most = (length_us / 600_000_000).max(1) * BYTES_IN_TEN_MINUTES;
    let (src, share, variant) = match scene.near.map(|near| near % 2) {
        None => (hosts::actor(scene.tenant, scene.scenario, scene.number), 1, "small pieces"),
        Some(0) => (hosts::server(scene.tenant, hosts::SERVERS - 1 - (scene.number % 4) as u16), 1, "backup job"),
        Some(_) => (hosts::actor(scene.tenant, scene.scenario, scene.number), 20, "few files"),
    };
    let total = ((intensity * BYTES) as i64).min(most) / share;
    let dst = IpAddr::V4(hosts::far(300 + scene.number));
    let count = (total * 2 / PIECE_MAX).max(3);
    for at in 0..count {
        let bytes = (total / count).unsigned_abs();
        scene.log(start_us + length_us * at / count, What::Upload { src, dst, bytes });
    }
    let key = vec![("src_ip", src.to_string()), ("dst_ip", dst.to_string())];
    Claim { key, intensity: total as f64 / BYTES, variant, due_us: None }
}

/// Plans a host that asks one name server abroad long questions. Near misses take turns: a resolver that asks the popular
/// ones; a host whose few questions are short.
pub(super) fn dns(scene: &mut Scene<'_>) -> Claim {
    let (start_us, length_us) = scene.slow_stretch_within(LONGEST_US);
    let intensity = if scene.near.is_some() { scene.would_be_intensity() } else { scene.intensity() };
    let count = scene.count(intensity, QUESTIONS).min(QUESTIONS_MAX);
    let far = IpAddr::V4(hosts::far(600 + scene.number));
    let (src, variant) = match scene.near.map(|near| near % 2) {
        None => (hosts::actor(scene.tenant, scene.scenario, scene.number), "tunnel"),
        Some(0) => (hosts::server(scene.tenant, (scene.number % 4) as u16), "resolver"),
        Some(_) => (hosts::actor(scene.tenant, scene.scenario, scene.number), "short questions"),
    };
    let count = if variant == "short questions" { count.min(QUESTIONS as i64 / 2) } else { count };
    for at in 0..count {
        let (dst, bytes) = match variant {
            "tunnel" => (far, 1_500 + scene.draw.below(9_000)),
            "resolver" => (hosts::external((at % 8) as u16), 70 + scene.draw.below(60)),
            _ => (far, 70 + scene.draw.below(60)),
        };
        scene.log(start_us + length_us * at / count, What::Query { src, dst, bytes });
    }
    let mut key = vec![("src_ip", src.to_string())];
    if variant != "resolver" {
        key.push(("dst_ip", far.to_string()));
    }
    let due_us = scene.crossing(QUESTIONS, |p| Some(p.salt));
    Claim { key, intensity: count as f64 / QUESTIONS, variant, due_us }
}
