//! What a fleet is made from. The same configuration gives the same bytes on every machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fleet::apps::APPS;
use crate::mix::Mix;
use crate::plan;

/// 2026-01-05T08:00:00Z, a Monday morning.
const DEFAULT_START_US: i64 = 1_767_600_000_000_000;

/// The most tenants. Up to 250 each has a /16 of 10.0.0.0/8; beyond, several have the same, as customers do.
const TENANTS_MAX: u32 = 10_000;

/// The heaviest weight of a rate: the sum over a run stays below 2^64.
const WEIGHT_MAX: u32 = 1_000;

/// A fleet, its traffic and its attacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetConfig {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Records of the run, attacks included. (A CloudTrail record may hold several events.)
    pub events: u64,
    /// Event time of the first record, microseconds UTC.
    pub start_us: i64,
    /// Event time that the run covers, microseconds.
    pub span_us: i64,
    /// Tenants, each with a topic `firewall.<tenant>`.
    pub tenants: u32,
    /// Partitions of each topic.
    pub partitions_per_tenant: u32,
    /// Firewalls; each belongs to one tenant and logs to one partition.
    pub devices: u32,
    /// Attacks planted for each starter rule.
    pub attacks: u32,
    /// Near misses planted for each starter rule: what looks like an attack and must not alert.
    pub near_misses: u32,
    /// Attacks planted for each scenario that no rule which ships covers.
    pub uncovered_attacks: u32,
    /// Near misses planted for each of those.
    pub uncovered_near_misses: u32,
    /// What differs for single scenarios, by name.
    pub scenarios: BTreeMap<String, Knobs>,
    /// Records that cannot be decoded, of a million background records.
    pub malformed_per_million: u32,
    /// VPC flow logs, of a million background records; the mix divides the others.
    pub flow_logs_per_million: u32,
    /// How the records are divided among the formats.
    pub mix: Mix,
    /// Of a thousand logs of a firewall, those about its VPN.
    pub vpn_per_mille: u32,
    /// How unlike the tenants are: the tenant of rank k sends in proportion to 1 / k to this power. At 0 all send as much.
    pub tenant_zipf: f64,
    /// When records are sent.
    pub rate: Rate,
    /// Of a thousand background records, those that belong together: a session from its question for a name to its end,
    /// somebody's time in the VPN, somebody's calls of the cloud.
    pub stories_per_mille: u32,
    /// Firewalls' records that are later than `max_disorder_us` allows, of a million.
    pub late_per_million: u32,
    /// How late they are at most. Twice as late is half as likely.
    pub late_max_us: i64,
    /// Records that are sent once more, of a million: the same bytes at a later offset.
    pub duplicates_per_million: u32,
    /// What sessions are like.
    pub traffic: Traffic,
    /// What was learned beside it; nothing draws from it.
    pub learned: Option<Facts>,
    /// For any two records of a partition, the later one's event time is at most this much (but at least a second, since
    /// some formats carry whole seconds) below the earlier one's: slow and fast clocks, delayed logs and rounding together.
    pub max_disorder_us: i64,
}

/// When records are sent: the product of all that is said, in the tenants' local time. Weights are relative to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Weights of the hours from midnight on, 24 or none.
    pub hours: Vec<u32>,
    /// Weights of the days from Monday on, 7 or none.
    pub days: Vec<u32>,
    /// Weights of minutes, over and over; minute 0 is that of 1970.
    pub minutes: Vec<u32>,
    /// Hours that local time is ahead of UTC; tenants take turns.
    pub zones: Vec<i32>,
    /// Bursts a day, at least one a run; none if 0.
    pub bursts_per_day: u32,
    /// How long each is.
    pub burst_seconds: u32,
    /// How many times the usual rate.
    pub burst_times: u32,
    /// How often a day a device of each partition cannot be reached and then sends what it kept, in an eighth of the time.
    pub storms_per_day: u32,
    /// How long it cannot be reached.
    pub storm_seconds: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            hours: Vec::new(),
            days: Vec::new(),
            minutes: Vec::new(),
            zones: Vec::new(),
            bursts_per_day: 0,
            burst_seconds: 60,
            burst_times: 4,
            storms_per_day: 0,
            storm_seconds: 120,
        }
    }
}

impl Rate {
    /// True if records are sent evenly.
    pub(crate) fn is_even(&self) -> bool {
        let weights = self.hours.len() + self.days.len() + self.minutes.len();
        weights == 0 && self.bursts_per_day == 0 && self.storms_per_day == 0
    }

    fn check(&self) -> Result<(), Error> {
        let weights = || self.hours.iter().chain(&self.days).chain(&self.minutes).copied();
        within("hours of rate", self.hours.len() as i64 % 24, 0..=0, "24 or none")?;
        within("hours of rate", self.hours.len() as i64, 0..=24, "24 or none")?;
        within("days of rate", self.days.len() as i64 % 7, 0..=0, "7 or none")?;
        within("days of rate", self.days.len() as i64, 0..=7, "7 or none")?;
        within("minutes of rate", self.minutes.len() as i64, 0..=10_080, "at most a week's")?;
        within("a weight of rate", weights().max().unwrap_or(0), 0..=WEIGHT_MAX, "at most 1,000")?;
        for zone in &self.zones {
            within("a zone of rate", *zone, -12..=14, "-12 to 14")?;
        }
        within("bursts_per_day", self.bursts_per_day, 0..=1_440, "at most 1,440")?;
        within("burst_seconds", self.burst_seconds, 1..=3_600, "1 to 3,600")?;
        within("burst_times", self.burst_times, 1..=100, "1 to 100")?;
        within("storms_per_day", self.storms_per_day, 0..=1_440, "at most 1,440")?;
        within("storm_seconds", self.storm_seconds, 1..=3_600, "1 to 3,600")
    }
}

/// What sessions are like, where that was learned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// Weights of applications; the usual ones if there are none.
    pub apps: BTreeMap<String, u32>,
    /// Of a thousand sessions, those that are refused.
    pub refused_per_mille: Option<u32>,
    /// What divides the bytes that sessions send into parts of as many sessions each, with the least and the most.
    pub sent: Vec<u64>,
    /// The same of the bytes that come back.
    pub received: Vec<u64>,
    /// The same of seconds.
    pub seconds: Vec<u64>,
}

impl Traffic {
    fn check(&self) -> Result<(), Error> {
        for name in self.apps.keys() {
            if !APPS.iter().any(|a| a.name == name) {
                let known = APPS.iter().map(|a| a.name).collect::<Vec<_>>().join(", ");
                return Err(Error::Unknown { what: "application", name: name.clone(), known });
            }
        }
        within("a weight of traffic.apps", self.apps.values().max().copied().unwrap_or(0), 0..=1_000, "at most 1,000")?;
        within("refused_per_mille", self.refused_per_mille.unwrap_or(0), 0..=1_000, "at most 1,000")?;
        for sizes in [&self.sent, &self.received, &self.seconds] {
            within("quantiles of traffic", sizes.len() as i64, 0..=101, "at most 101")?;
            within("the largest of traffic", sizes.last().copied().unwrap_or(0), 0..=1 << 48, "at most 2^48")?;
            let falls = sizes.windows(2).filter(|w| w[0] > w[1]).count() as i64;
            within("falling quantiles of traffic", falls, 0..=0, "none")?;
        }
        Ok(())
    }
}

/// What was learned of real logs and nothing draws from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Records read.
    pub records: u64,
    /// Distinct source addresses, about.
    pub sources: u64,
    /// Distinct destination addresses, about.
    pub destinations: u64,
    /// Distinct users, about.
    pub users: u64,
    /// Distinct devices, about.
    pub devices: u64,
    /// Records of each action.
    pub actions: BTreeMap<String, u64>,
    /// Records of each protocol.
    pub protocols: BTreeMap<String, u64>,
    /// Destination ports, and the records of each.
    pub ports: Vec<(u16, u64)>,
}

/// How a scenario is planted, where that differs from the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Attacks.
    pub attacks: Option<u32>,
    /// Near misses.
    pub near_misses: Option<u32>,
    /// How many times the threshold an attack is: the lowest and the highest.
    pub intensity: Option<(f64, f64)>,
    /// How slow and spread out an attack is: 0 as loud as the scenario gets, 1 as quiet; drawn if it is not said.
    pub stealth: Option<f64>,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            events: 1_000_000,
            start_us: DEFAULT_START_US,
            span_us: 3_600_000_000,
            tenants: 3,
            partitions_per_tenant: 2,
            devices: 24,
            attacks: 4,
            near_misses: 4,
            uncovered_attacks: 0,
            uncovered_near_misses: 0,
            scenarios: BTreeMap::new(),
            malformed_per_million: 50,
            flow_logs_per_million: 60_000,
            mix: Mix::default(),
            vpn_per_mille: 20,
            tenant_zipf: 0.0,
            rate: Rate::default(),
            stories_per_mille: 0,
            late_per_million: 0,
            late_max_us: 300_000_000,
            duplicates_per_million: 0,
            traffic: Traffic::default(),
            learned: None,
            max_disorder_us: 5_000_000,
        }
    }
}

impl FleetConfig {
    /// Partitions of all topics.
    pub(crate) fn partitions(&self) -> u32 {
        self.tenants * self.partitions_per_tenant
    }

    /// # Errors
    /// [`Error::OutOfRange`] for the first number that no fleet can have.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let year_2200 = 7_258_118_400_000_000;
        within("tenants", self.tenants, 1..=TENANTS_MAX, "1 to 10,000")?;
        within("partitions_per_tenant", self.partitions_per_tenant, 1..=1024, "1 to 1024")?;
        within("devices", self.devices, self.partitions()..=65_536, "at least one a partition, at most 65,536")?;
        within("events", self.events, 1..=1 << 48, "1 to 2^48")?;
        within("start_us", self.start_us, 0..=year_2200, "between 1970 and 2200")?;
        within("span_us", self.span_us, 1_000_000..=31_622_400_000_000, "one second to 366 days")?;
        within("max_disorder_us", self.max_disorder_us, 0..=3_600_000_000, "at most an hour")?;
        within("attacks", self.attacks, 0..=10_000, "at most 10,000")?;
        within("near_misses", self.near_misses, 0..=10_000, "at most 10,000")?;
        within("uncovered_attacks", self.uncovered_attacks, 0..=plan::UNCOVERED_MAX, "at most 50")?;
        within("uncovered_near_misses", self.uncovered_near_misses, 0..=plan::UNCOVERED_MAX, "at most 50")?;
        self.scenarios.iter().try_for_each(|(name, knobs)| knobs.check(name))?;
        within("malformed_per_million", self.malformed_per_million, 0..=1_000_000, "at most a million")?;
        within("flow_logs_per_million", self.flow_logs_per_million, 0..=1_000_000, "at most a million")?;
        within("vpn_per_mille", self.vpn_per_mille, 0..=1_000, "at most 1,000")?;
        within("tenant_zipf, in percent,", (self.tenant_zipf * 100.0) as i64, 0..=300, "0 to 300")?;
        within("stories_per_mille", self.stories_per_mille, 0..=1_000, "at most 1,000")?;
        within("late_per_million", self.late_per_million, 0..=1_000_000, "at most a million")?;
        within("late_max_us", self.late_max_us, 1_000_000..=86_400_000_000, "one second to a day")?;
        within("duplicates_per_million", self.duplicates_per_million, 0..=500_000, "at most half a million")?;
        self.rate.check()?;
        self.traffic.check()?;
        within("mix", self.mix.total(), 1..=1_000_000, "positive in sum, at most a million")
    }

    /// The canonical text that names the fleet's topics: equal for equal configurations only.
    pub(crate) fn canonical(&self) -> String {
        format!("palisade loadgen 5 {self:?}")
    }

    /// The largest offset of a device's clock, either way.
    pub(crate) fn skew_max_us(&self) -> i64 {
        (self.max_disorder_us * 3 / 10).min((self.max_disorder_us - 1_000_000) / 2).clamp(0, 2_000_000)
    }

    /// The largest delay of a log, so that skew, delay and rounding to a second stay within `max_disorder_us`.
    pub(crate) fn delay_max_us(&self) -> i64 {
        (self.max_disorder_us - 2 * self.skew_max_us() - 1_000_000).max(0)
    }
}

impl Knobs {
    fn check(&self, name: &str) -> Result<(), Error> {
        let Some(scenario) = plan::scenario(name) else {
            return Err(Error::Unknown { what: "scenario", name: name.to_owned(), known: plan::names().join(", ") });
        };
        let most = if scenario.rule.is_some() { 10_000 } else { plan::UNCOVERED_MAX };
        let must = if scenario.rule.is_some() { "at most 10,000" } else { "at most 50" };
        within("a scenario's attacks", self.attacks.unwrap_or(0), 0..=most, must)?;
        within("a scenario's near_misses", self.near_misses.unwrap_or(0), 0..=most, must)?;
        let (low, high) = self.intensity.unwrap_or((1.05, 20.0));
        let percent = |fraction: f64| (fraction * 100.0) as i64;
        within("a scenario's lowest intensity, in percent,", percent(low), 105..=percent(high), "105 to the highest")?;
        within("a scenario's highest intensity, in percent,", percent(high), 105..=2_000, "105 to 2000")?;
        within("a scenario's stealth, in percent,", percent(self.stealth.unwrap_or(0.0)), 0..=100, "0 to 100")
    }
}

fn within<T: PartialOrd + Copy + Into<i128>>(
    what: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    must: &'static str,
) -> Result<(), Error> {
    if range.contains(&value) { Ok(()) } else { Err(Error::OutOfRange { what, value: value.into(), must }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fleet_is_possible() {
        FleetConfig::default().check().expect("the default");
        assert_eq!(dataflow::time::rfc3339(FleetConfig::default().start_us), "2026-01-05T08:00:00.000000Z");
    }

    #[test]
    fn an_impossible_number_is_named_with_what_would_do() {
        let base = FleetConfig::default;
        let cases = [
            (FleetConfig { tenants: 0, ..base() }, "tenants is 0; it must be 1 to 10,000"),
            (FleetConfig { devices: 5, ..base() }, "devices is 5; it must be at least one a partition, at most 65,536"),
            (FleetConfig { events: 0, ..base() }, "events is 0; it must be 1 to 2^48"),
            (FleetConfig { span_us: 0, ..base() }, "span_us is 0; it must be one second to 366 days"),
            (FleetConfig { mix: Mix::NONE, ..base() }, "mix is 0; it must be positive in sum, at most a million"),
        ];
        for (config, want) in cases {
            assert_eq!(config.check().expect_err("refused").to_string(), want);
        }
    }

    #[test]
    fn skew_delay_and_rounding_fit_into_the_disorder() {
        for max_disorder_us in [1_000_000, 1_500_000, 2_500_000, 5_000_000, 60_000_000] {
            let config = FleetConfig { max_disorder_us, ..FleetConfig::default() };
            assert!(2 * config.skew_max_us() + config.delay_max_us() + 1_000_000 <= max_disorder_us);
            assert!(config.skew_max_us() <= 2_000_000);
        }
        let ordered = FleetConfig { max_disorder_us: 0, ..FleetConfig::default() };
        assert_eq!((ordered.skew_max_us(), ordered.delay_max_us()), (0, 0));
    }
}
