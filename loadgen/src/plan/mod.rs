//! Attacks and near misses: what is planted where, decided before the first record is made.
//!
//! Everything here is in event time as the lines will tell it, so that a label's claim can be recomputed from the truth.

mod host_sweep;
mod lateral_fan_out;
mod logging_stopped;
mod port_scan;
mod rare_upload;
mod threat_then_allowed;
mod vpn_brute_force;
mod vpn_password_spray;
mod vpn_two_countries;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::FleetConfig;
use crate::draw::Draw;
use crate::fleet::Tenant;
use crate::fleet::apps::Signature;
use crate::fleet::device::Device;
use crate::fleet::people::UserName;
use crate::label::Label;
use crate::record::cloud::PlannedCall;
use crate::record::vpn::{GATEWAY, PORTAL, Stride};
use crate::record::{Wire, line_time};

/// File stems of the starter rules.
pub(crate) const PORT_SCAN: &str = "port_scan";
pub(crate) const RARE_UPLOAD: &str = "rare_upload";
pub(crate) const LOGGING_STOPPED: &str = "cloudtrail_logging_stopped";
pub(crate) const HOST_SWEEP: &str = "host_sweep";
pub(crate) const VPN_BRUTE_FORCE: &str = "vpn_brute_force";
pub(crate) const VPN_PASSWORD_SPRAY: &str = "vpn_password_spray";
pub(crate) const VPN_TWO_COUNTRIES: &str = "vpn_two_countries";
pub(crate) const LATERAL_FAN_OUT: &str = "lateral_fan_out";
pub(crate) const THREAT_THEN_ALLOWED: &str = "threat_then_allowed";

/// Streams of draws, one a rule.
const PLAN_STREAM: u64 = 1 << 33;

/// Attacks are this many times the threshold.
const ATTACK_INTENSITY: (f64, f64) = (1.05, 20.0);
/// Near misses are this many times the threshold.
const NEAR_INTENSITY: (f64, f64) = (0.5, 0.95);
/// Near misses that would be an attack but for what they are about are this many times the threshold.
const WOULD_BE_INTENSITY: (f64, f64) = (1.05, 4.0);

/// Records that attacks of all rules need for each unit of intensity, one attack a rule, and besides; what near misses
/// need at most. From the planners' constants; a test holds them.
const RECORDS_A_UNIT: u64 = 250 + 100 + 20 + 30 + 20;
const RECORDS_BESIDES: u64 = 70;
const RECORDS_NEAR: u64 = 1_700;

/// The highest intensity with which all attacks fit into half of the run. At least somewhat above the threshold: a run
/// too small even for that is refused.
fn intensity_max(config: &FleetConfig) -> f64 {
    let (attacks, near) = (u64::from(config.attacks), u64::from(config.near_misses));
    let fixed = attacks * RECORDS_BESIDES + near * RECORDS_NEAR;
    let room = (config.events / 2).saturating_sub(fixed) as f64;
    (room / (attacks.max(1) * RECORDS_A_UNIT) as f64).clamp(1.2, ATTACK_INTENSITY.1)
}

/// Blocks of planted sources: [`crate::fleet::hosts::quiet`].
const SWEEPERS: u8 = 0;
const SPREADERS: u8 = 1;
const INFECTED: u8 = 2;

/// A record that the plan puts somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    /// When it is sent, since the start of the run.
    pub(crate) schedule_us: i64,
    /// The time in its line.
    pub(crate) time_us: i64,
    /// The device that logs it; of a call, one that logs to the same partition.
    pub(crate) device: usize,
    pub(crate) wire: Wire,
    pub(crate) what: What,
    /// Index of its label.
    pub(crate) label: usize,
    /// Its number within the label.
    pub(crate) salt: u64,
}

/// What a planted record tells.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// A refused connection to one port.
    Probe { src: IpAddr, dst: IpAddr, port: u16 },
    /// A session that sent that much.
    Upload { src: IpAddr, dst: IpAddr, bytes: u64 },
    /// An allowed connection.
    Reach { src: IpAddr, dst: IpAddr, port: u16 },
    /// What a firewall found in a connection.
    Finding { src: IpAddr, dst: IpAddr, signature: &'static Signature },
    /// A step into the VPN.
    Stride(Stride),
    /// A call of the cloud's API.
    Call(PlannedCall),
}

impl What {
    /// True if a line of that format tells the rules what happens.
    fn can_be_told(self, wire: Wire) -> bool {
        match self {
            What::Probe { .. } | What::Reach { .. } => true,
            What::Upload { .. } => wire.has_bytes_sent(),
            What::Finding { .. } => wire.has_severities(),
            What::Stride(_) => wire.is_palo_alto(),
            What::Call(_) => false,
        }
    }
}

/// What a plan is made on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) config: &'a FleetConfig,
    pub(crate) key: u64,
    pub(crate) tenants: &'a [Tenant],
    pub(crate) devices: &'a [Device],
}

/// Everything planted.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) planted: Vec<Planted>,
    pub(crate) labels: Vec<Label>,
}

/// One attack or near miss being planned.
struct Scene<'a> {
    ground: &'a Ground<'a>,
    draw: Draw,
    tenant: usize,
    devices: Vec<usize>,
    /// Its number among the rule's attacks and near misses: what makes its addresses its own.
    number: u32,
    /// Its number among the near misses, if it is one.
    near: Option<u32>,
    label: usize,
    planted: Vec<Planted>,
}

/// What a rule's planner says of a scene.
struct Claim {
    key: Vec<(&'static str, String)>,
    intensity: f64,
    variant: &'static str,
}

/// Plants what a scene needs and says what for.
type Planner = fn(&mut Scene<'_>) -> Claim;

/// The starter rules. A rule's place is part of every fleet: it names the rule's draws.
const RULES: [(&str, Planner); 9] = [
    (PORT_SCAN, port_scan::plan),
    (RARE_UPLOAD, rare_upload::plan),
    (LOGGING_STOPPED, logging_stopped::plan),
    (HOST_SWEEP, host_sweep::plan),
    (VPN_BRUTE_FORCE, vpn_brute_force::plan),
    (VPN_PASSWORD_SPRAY, vpn_password_spray::plan),
    (VPN_TWO_COUNTRIES, vpn_two_countries::plan),
    (LATERAL_FAN_OUT, lateral_fan_out::plan),
    (THREAT_THEN_ALLOWED, threat_then_allowed::plan),
];

/// Plans all attacks and near misses.
pub(crate) fn plan(ground: &Ground<'_>) -> Plan {
    let mut plan = Plan::default();
    let count = ground.config.attacks + ground.config.near_misses;
    for (index, (rule, planner)) in RULES.into_iter().enumerate() {
        for number in 0..count {
            let mut scene = Scene::new(ground, index, number, plan.labels.len());
            let claim = planner(&mut scene);
            plan.labels.push(scene.label(rule, claim));
            plan.planted.append(&mut scene.planted);
        }
    }
    plan
}

impl<'a> Scene<'a> {
    fn new(ground: &'a Ground<'a>, rule: usize, number: u32, label: usize) -> Self {
        let draw = Draw::at(ground.key, PLAN_STREAM + rule as u64, u64::from(number));
        let tenant = (number as usize + rule) % ground.tenants.len();
        let devices = (0..ground.devices.len()).filter(|d| ground.devices[*d].tenant == tenant).collect();
        let near = number.checked_sub(ground.config.attacks);
        Self { ground, draw, tenant, devices, number, near, label, planted: Vec::new() }
    }

    /// Times the threshold.
    fn intensity(&mut self) -> f64 {
        let attack = (ATTACK_INTENSITY.0, intensity_max(self.ground.config));
        let (low, high) = if self.near.is_some() { NEAR_INTENSITY } else { attack };
        self.draw.log_uniform(low, high)
    }

    /// Times the threshold, of a near miss that would be an attack.
    fn would_be_intensity(&mut self) -> f64 {
        self.draw.log_uniform(WOULD_BE_INTENSITY.0, WOULD_BE_INTENSITY.1)
    }

    /// The smallest count that an attack of that intensity needs, or the largest of such a near miss.
    fn count(&self, intensity: f64, threshold: f64) -> i64 {
        (intensity * threshold) as i64 + i64::from(self.near.is_none())
    }

    /// A stretch of at most `longest_us` that lies whole in the run, anywhere: its start and length.
    fn stretch(&mut self, longest_us: i64) -> (i64, i64) {
        let config = self.ground.config;
        let longest = longest_us.min(config.span_us / 4);
        let length = self.draw.between(longest * 2 / 5, longest);
        let margin = (config.skew_max_us() + config.delay_max_us() + 1_000_000).min(config.span_us / 8);
        let latest = config.start_us + config.span_us - margin - length;
        (self.draw.between(config.start_us + margin, latest), length)
    }

    /// The start of something that lasts `length_us`, anywhere; none if the run is too short for it.
    fn long_stretch(&mut self, length_us: i64) -> Option<i64> {
        let config = self.ground.config;
        let room = config.span_us - length_us - 20_000_000;
        (room > 0).then(|| config.start_us + 10_000_000 + self.draw.between(0, room))
    }

    /// Plants a firewall's log of `us` on any device of the tenant whose format can tell it; if none can, in PAN-OS CSV.
    fn log(&mut self, us: i64, what: What) {
        let devices = self.ground.devices;
        let able: Vec<usize> = self.devices.iter().copied().filter(|d| what.can_be_told(devices[*d].wire)).collect();
        let device = *self.draw.pick(if able.is_empty() { &self.devices } else { &able });
        let collected = if able.is_empty() { Wire::Csv } else { devices[device].wire };
        let wire = self.ground.config.mix.firewall_wire(collected, &mut self.draw);
        self.plant(us, devices[device].skew_us, device, wire, what);
    }

    /// Plants a login of `us`, at the portal or at a gateway.
    fn log_in(&mut self, us: i64, user: UserName, source: IpAddr, is_failure: bool) {
        let step = *self.draw.pick(&[PORTAL, GATEWAY]);
        self.log(us, What::Stride(Stride { step, user, source, is_failure }));
    }

    /// Plants a record whose line tells `us`, as well as the format can.
    fn plant(&mut self, us: i64, skew_us: i64, device: usize, wire: Wire, what: What) {
        let config = self.ground.config;
        let sent_us = us - skew_us + self.draw.between(0, config.delay_max_us());
        let time_us = line_time(wire, &self.ground.devices[device], us);
        let schedule_us = (sent_us - config.start_us).clamp(0, config.span_us);
        let (label, salt) = (self.label, self.planted.len() as u64);
        self.planted.push(Planted { schedule_us, time_us, device, wire, what, label, salt });
    }

    fn label(&self, rule: &str, claim: Claim) -> Label {
        let attack_id = match self.near {
            Some(near) => format!("{rule}-near-{}", near + 1),
            None => format!("{rule}-{}", self.number + 1),
        };
        let key: BTreeMap<String, String> = claim.key.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Label {
            attack_id,
            rule: rule.to_owned(),
            tenant: self.ground.tenants[self.tenant].name.to_string(),
            key,
            start_us: i64::MAX,
            end_us: i64::MIN,
            // Few digits, so that every JSON reader gets the same number.
            intensity: (claim.intensity * 1e4).round() / 1e4,
            near_miss: self.near.is_some(),
            variant: claim.variant.to_owned(),
            records: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
