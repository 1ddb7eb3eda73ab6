//! Times without a zone -> UTC, by where the device is.
//!
//! **Data in:** the configured zones; a local time. **Data out:** microseconds UTC.
//!
//! - A local time that a change of the clock skips or repeats follows the "compatible" rule of RFC 5545 and jiff: a skipped
//!   one is read with the offset before the change, of two the earlier is taken.
//! - The zones' rules are part of the program, so that the same record gives the same row on every machine.
//! - Offsets change at whole minutes: one is looked up a minute, and kept.

use std::cell::Cell;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::Deserialize;

/// Where devices are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeZones {
    /// Of a device that is not named.
    pub default: TimeZoneName,
    /// By serial number or host name; the serial number comes first.
    pub devices: BTreeMap<String, TimeZoneName>,
}

/// A zone by its IANA name (`Europe/Berlin`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeZoneName(TimeZone);

impl Default for TimeZoneName {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

/// A name that is no zone's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IANA time zone such as Europe/Berlin")]
pub struct UnknownTimeZone(String);

impl TryFrom<String> for TimeZoneName {
    type Error = UnknownTimeZone;

    fn try_from(name: String) -> Result<Self, UnknownTimeZone> {
        TimeZoneDatabase::bundled().get(&name).map(Self).map_err(|_| UnknownTimeZone(name))
    }
}

/// The zones of all devices, to look up.
#[derive(Debug)]
pub(crate) struct Zones {
    default: Zone,
    devices: HashMap<Box<str>, Zone>,
}

impl Zones {
    pub(crate) fn new(config: &TimeZones) -> Self {
        let zone = |(device, name): (&String, &TimeZoneName)| (device.as_str().into(), Zone::new(name));
        Self { default: Zone::new(&config.default), devices: config.devices.iter().map(zone).collect() }
    }

    /// What a device's times without a zone mean.
    #[inline]
    pub(crate) fn of_device(&self, serial: &str, host: Option<&str>) -> LocalTime<'_> {
        let mut zone = &self.default;
        if !self.devices.is_empty() {
            let named = self.devices.get(serial).or_else(|| self.devices.get(host?));
            zone = named.unwrap_or(zone);
        }
        LocalTime(zone.zone.is_some().then_some(zone))
    }
}

/// What a time without a zone means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalTime<'z>(Option<&'z Zone>);

impl LocalTime<'_> {
    pub(crate) const UTC: Self = Self(None);

    /// Microseconds UTC of local microseconds since 1970.
    #[inline]
    pub(crate) fn to_utc(self, local: i64) -> i64 {
        self.0.map_or(local, |zone| local - zone.offset(local))
    }
}

const MINUTE_US: i64 = 60_000_000;
const CACHED_MINUTES: usize = 64;

#[derive(Debug)]
struct Zone {
    /// None for UTC.
    zone: Option<TimeZone>,
    /// Local minutes and their offsets, each in the place of its number.
    cache: [Cell<(i64, i64)>; CACHED_MINUTES],
}

impl Zone {
    fn new(name: &TimeZoneName) -> Self {
        let zone = Some(name.0.clone()).filter(|zone| *zone != TimeZone::UTC);
        Self { zone, cache: [const { Cell::new((i64::MIN, 0)) }; CACHED_MINUTES] }
    }

    /// Microseconds that the local time is ahead of UTC.
    fn offset(&self, local: i64) -> i64 {
        let minute = local.div_euclid(MINUTE_US);
        let cell = &self.cache[minute.rem_euclid(CACHED_MINUTES as i64) as usize];
        let (known, offset) = cell.get();
        if known == minute {
            return offset;
        }
        let offset = self.compute_offset(minute * MINUTE_US).unwrap_or_default();
        cell.set((minute, offset));
        offset
    }

    /// None without a zone, and for a time beyond what has a calendar.
    fn compute_offset(&self, local: i64) -> Option<i64> {
        let civil = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(local).ok()?);
        let utc = self.zone.as_ref()?.to_ambiguous_timestamp(civil).compatible().ok()?;
        Some(local - utc.as_microsecond())
    }
}

#[cfg(test)]
mod tests;
