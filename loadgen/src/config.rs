//! What a fleet is made from. The same configuration gives the same bytes on every machine.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mix::Mix;

/// 2026-01-05T08:00:00Z, a Monday morning.
const DEFAULT_START_US: i64 = 1_767_600_000_000_000;

/// The most tenants: each has a /16 of 10.0.0.0/8.
const TENANTS_MAX: u32 = 200;

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
    /// Records that cannot be decoded, of a million background records.
    pub malformed_per_million: u32,
    /// VPC flow logs, of a million background records; the mix divides the others.
    pub flow_logs_per_million: u32,
    /// How the records are divided among the formats.
    pub mix: Mix,
    /// For any two records of a partition, the later one's event time is at most this much (but at least a second, since
    /// some formats carry whole seconds) below the earlier one's: slow and fast clocks, delayed logs and rounding together.
    pub max_disorder_us: i64,
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
            malformed_per_million: 50,
            flow_logs_per_million: 60_000,
            mix: Mix::default(),
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
        within("tenants", self.tenants, 1..=TENANTS_MAX, "1 to 200")?;
        within("partitions_per_tenant", self.partitions_per_tenant, 1..=1024, "1 to 1024")?;
        within("devices", self.devices, self.partitions()..=65_536, "at least one a partition, at most 65,536")?;
        within("events", self.events, 1..=1 << 48, "1 to 2^48")?;
        within("start_us", self.start_us, 0..=year_2200, "between 1970 and 2200")?;
        within("span_us", self.span_us, 1_000_000..=31_622_400_000_000, "one second to 366 days")?;
        within("max_disorder_us", self.max_disorder_us, 0..=3_600_000_000, "at most an hour")?;
        within("attacks", self.attacks, 0..=10_000, "at most 10,000")?;
        within("near_misses", self.near_misses, 0..=10_000, "at most 10,000")?;
        within("malformed_per_million", self.malformed_per_million, 0..=1_000_000, "at most a million")?;
        within("flow_logs_per_million", self.flow_logs_per_million, 0..=1_000_000, "at most a million")?;
        within("mix", self.mix.total(), 1..=1_000_000, "positive in sum, at most a million")
    }

    /// The canonical text that names the fleet's topics: equal for equal configurations only.
    pub(crate) fn canonical(&self) -> String {
        format!("palisade loadgen 3 {self:?}")
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
            (FleetConfig { tenants: 0, ..base() }, "tenants is 0; it must be 1 to 200"),
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
