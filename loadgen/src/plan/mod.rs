//! Attacks and near misses: what is planted where, decided before the first record is made.
//!
//! Everything here is in event time as the lines will tell it, so that a label's claim can be recomputed from the truth.

mod beaconing;
mod cloud_abuse;
mod host_sweep;
mod lateral_fan_out;
mod leaks;
mod logging_stopped;
mod port_scan;
mod quiet_scans;
mod rare_upload;
mod scenarios;
mod threat_then_allowed;
mod vpn_abuse;
mod vpn_brute_force;
mod vpn_password_spray;
mod vpn_two_countries;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::{FleetConfig, Knobs};
use crate::draw::Draw;
use crate::fleet::Tenant;
use crate::fleet::apps::Signature;
use crate::fleet::device::Device;
use crate::fleet::people::{self, UserName};
use crate::label::Label;
use crate::record::cloud::PlannedCall;
use crate::record::vpn::{GATEWAY, PORTAL, Stride};
use crate::record::{Wire, line_time};
use scenarios::SCENARIOS;
pub(crate) use scenarios::{LOGGING_STOPPED, names, scenario};

/// Streams of draws, one a scenario.
const PLAN_STREAM: u64 = 1 << 33;

/// Attacks are this many times the threshold.
const ATTACK_INTENSITY: (f64, f64) = (1.05, 20.0);
/// Near misses are this many times the threshold.
const NEAR_INTENSITY: (f64, f64) = (0.5, 0.95);
/// Near misses that would be an attack but for what they are about are this many times the threshold.
const WOULD_BE_INTENSITY: (f64, f64) = (1.05, 4.0);

/// Records that attacks with a starter rule need besides those that grow with the intensity, one attack a rule; what near
/// misses need at most; and what an attack or near miss without a rule needs at most. From the planners' constants; a
/// test holds them.
const RECORDS_BESIDES: u64 = 150;
const RECORDS_NEAR: u64 = 2_100;
const RECORDS_UNCOVERED: u64 = 700;

/// The most attacks, or near misses, of a scenario without a rule: their addresses are fewer.
pub(crate) const UNCOVERED_MAX: u32 = 50;

/// The highest intensity with which all attacks fit into half of the run. At least somewhat above the threshold: a run
/// too small even for that is refused.
fn intensity_max(config: &FleetConfig) -> f64 {
    let (mut attacks, mut near, mut growing, mut uncovered) = (0, 0, 0, 0);
    for scenario in &SCENARIOS {
        let (a, n) = scenario.counts(config);
        match scenario.rule {
            Some(_) => (attacks, near, growing) = (a.max(attacks), n.max(near), growing + a * scenario.records_a_unit),
            None => uncovered += a + n,
        }
    }
    let fixed = attacks * RECORDS_BESIDES + near * RECORDS_NEAR + uncovered * RECORDS_UNCOVERED;
    let room = (config.events / 2).saturating_sub(fixed) as f64;
    (room / growing.max(1) as f64).clamp(1.2, ATTACK_INTENSITY.1)
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
    /// A question to a name server, as long as that.
    Query { src: IpAddr, dst: IpAddr, bytes: u64 },
    /// What a firewall found in a connection.
    Finding { src: IpAddr, dst: IpAddr, signature: &'static Signature },
    /// A step into the VPN.
    Stride(Stride),
    /// A call of the cloud's API.
    Call(PlannedCall),
}

impl What {
    /// The port that a session goes to.
    fn port(&self) -> Option<u16> {
        match self {
            What::Probe { port, .. } | What::Reach { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// The address that a session goes to.
    fn target(&self) -> Option<IpAddr> {
        match self {
            What::Probe { dst, .. } | What::Reach { dst, .. } => Some(*dst),
            _ => None,
        }
    }

    /// Who sends an upload.
    fn uploader(&self) -> Option<IpAddr> {
        match self {
            What::Upload { src, .. } => Some(*src),
            _ => None,
        }
    }

    /// What a session sends, if that was planned.
    fn bytes(&self) -> u64 {
        match self {
            What::Upload { bytes, .. } | What::Query { bytes, .. } => *bytes,
            _ => 0,
        }
    }

    /// Whose login fails.
    fn failing_user(&self) -> Option<UserName> {
        match self {
            What::Stride(stride) if stride.is_failure => Some(stride.user),
            _ => None,
        }
    }

    /// Whence a login succeeds.
    fn login_country(&self) -> Option<&'static str> {
        match self {
            What::Stride(stride) if !stride.is_failure && [PORTAL, GATEWAY].contains(&stride.step) => {
                Some(people::country_of(stride.source))
            }
            _ => None,
        }
    }

    /// True if a line of that format tells the rules what happens.
    fn can_be_told(self, wire: Wire) -> bool {
        match self {
            What::Probe { .. } | What::Reach { .. } => true,
            What::Upload { .. } => wire.has_bytes_sent(),
            What::Query { .. } => wire.is_palo_alto(),
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
    knobs: Knobs,
    /// How slow and spread out it is, as far as it was said or drawn.
    stealth: f64,
    /// The scenario's place in [`SCENARIOS`].
    scenario: usize,
    /// Its number among the scenario's attacks and near misses: what makes its addresses its own.
    number: u32,
    /// Its number among the near misses, if it is one.
    near: Option<u32>,
    label: usize,
    planted: Vec<Planted>,
}

/// What a planner says of a scene.
struct Claim {
    key: Vec<(&'static str, String)>,
    intensity: f64,
    variant: &'static str,
    /// Event time of the record that first meets the rule's condition; none if none does, or no rule that ships is about it.
    due_us: Option<i64>,
}

/// Plans all attacks and near misses.
pub(crate) fn plan(ground: &Ground<'_>) -> Plan {
    let mut plan = Plan::default();
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        let (attacks, near_misses) = scenario.counts(ground.config);
        for number in 0..(attacks + near_misses) as u32 {
            let mut scene = Scene::new(ground, index, number, plan.labels.len());
            let claim = (scenario.planner)(&mut scene);
            plan.labels.push(scene.label(claim));
            plan.planted.append(&mut scene.planted);
        }
    }
    plan
}

impl<'a> Scene<'a> {
    fn new(ground: &'a Ground<'a>, scenario: usize, number: u32, label: usize) -> Self {
        let draw = Draw::at(ground.key, PLAN_STREAM + scenario as u64, u64::from(number));
        let tenant = (number as usize + scenario) % ground.tenants.len();
        let devices = (0..ground.devices.len()).filter(|d| ground.devices[*d].tenant == tenant).collect();
        let (attacks, _) = SCENARIOS[scenario].counts(ground.config);
        let near = number.checked_sub(attacks as u32);
        let knobs = SCENARIOS[scenario].knobs(ground.config);
        Self { ground, draw, tenant, devices, knobs, stealth: 0.0, scenario, number, near, label, planted: Vec::new() }
    }

    /// Times the threshold.
    fn intensity(&mut self) -> f64 {
        let (lowest, highest) = self.knobs.intensity.unwrap_or(ATTACK_INTENSITY);
        let attack = (lowest, highest.min(intensity_max(self.ground.config)).max(lowest));
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
        let shortest = longest * 2 / 5;
        let length = match self.knobs.stealth.filter(|_| self.near.is_none()) {
            Some(stealth) => shortest + ((longest - shortest) as f64 * stealth) as i64,
            None => self.draw.between(shortest, longest),
        };
        self.stealth = (length - shortest) as f64 / (longest - shortest).max(1) as f64;
        let margin = (config.skew_max_us() + config.delay_max_us() + 1_000_000).min(config.span_us / 8);
        let latest = config.start_us + config.span_us - margin - length;
        (self.draw.between(config.start_us + margin, latest), length)
    }

    /// The start of something that lasts `length_us`, anywhere; none if the run is too short for it.
    fn long_stretch(&mut self, length_us: i64) -> Option<i64> {
        let config = self.ground.config;
        let room = config.span_us - length_us - 20_000_000;
        self.stealth = 1.0;
        (room > 0).then(|| config.start_us + 10_000_000 + self.draw.between(0, room))
    }

    /// A part of the run for what takes its time: a tenth of it at no stealth, most of it at the highest.
    fn slow_stretch(&mut self) -> (i64, i64) {
        self.slow_stretch_within(i64::MAX)
    }

    /// The same, but never longer than that.
    fn slow_stretch_within(&mut self, longest_us: i64) -> (i64, i64) {
        let config = self.ground.config;
        let stealth = self.knobs.stealth.unwrap_or_else(|| self.draw.unit());
        let margin = (config.skew_max_us() + config.delay_max_us() + 1_000_000).min(config.span_us / 8);
        let room = config.span_us - 2 * margin;
        let length = ((room.min(longest_us) as f64) * (0.1 + 0.8 * stealth)) as i64;
        self.stealth = stealth;
        (config.start_us + margin + self.draw.between(0, room - length), length)
    }

    /// At most so many that no minute of the stretch has more than `a_minute`.
    fn at_most(count: i64, length_us: i64, a_minute: i64) -> i64 {
        count.min((length_us / 60_000_000).max(1) * a_minute)
    }

    /// Event time of the record with which more than `threshold` distinct values were seen; none if it never comes to that.
    fn crossing<T: Ord>(&self, threshold: f64, value: impl Fn(&Planted) -> Option<T>) -> Option<i64> {
        let mut seen = BTreeSet::new();
        let mut planted: Vec<&Planted> = self.planted.iter().collect();
        planted.sort_by_key(|p| p.time_us);
        let is_new = |p: &&&Planted| value(p).is_some_and(|v| seen.insert(v));
        planted.iter().filter(is_new).nth(threshold as usize).map(|p| p.time_us)
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

    fn label(&self, claim: Claim) -> Label {
        let scenario = &SCENARIOS[self.scenario];
        let attack_id = match self.near {
            Some(near) => format!("{}-near-{}", scenario.name, near + 1),
            None => format!("{}-{}", scenario.name, self.number + 1),
        };
        let sources: BTreeSet<String> =
            self.planted.iter().filter_map(|p| p.what.uploader()).map(|ip| ip.to_string()).collect();
        let key: BTreeMap<String, String> = claim.key.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Label {
            attack_id,
            scenario: scenario.name.to_owned(),
            techniques: scenario.techniques.iter().map(|t| (*t).to_owned()).collect(),
            rule: scenario.rule.unwrap_or(scenario.techniques[0]).to_owned(),
            is_uncovered: scenario.rule.is_none(),
            also: scenario.also.iter().map(|rule| (*rule).to_owned()).collect(),
            tenant: self.ground.tenants[self.tenant].name.to_string(),
            key,
            sources: sources.into_iter().collect(),
            start_us: i64::MAX,
            end_us: i64::MIN,
            // Few digits, so that every JSON reader gets the same number.
            intensity: (claim.intensity * 1e4).round() / 1e4,
            stealth: (self.stealth * 1e4).round() / 1e4,
            due_us: claim.due_us.filter(|_| self.near.is_none()),
            near_miss: self.near.is_some(),
            variant: claim.variant.to_owned(),
            records: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
