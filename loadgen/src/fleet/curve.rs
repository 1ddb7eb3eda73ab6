//! When background records are sent: evenly, or by the hour and the day, with bursts, outages and what comes after them.
//!
//! A curve is a table of weights over the run. The record with index k of n is sent where the share (2k + 1) / 2n of the
//! whole weight has passed: any index is found for the price of a binary search, and no second has more or fewer records
//! than its weight says, but for rounding.

use crate::config::{FleetConfig, Rate};
use crate::draw::Draw;

/// Streams of draws, one a curve.
const CURVE_STREAM: u64 = 1 << 34;

/// The most steps of a curve.
const STEPS_MAX: i64 = 20_000;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// After an outage a device sends what it kept in an eighth of the time, and the partition's rate is this many times as high.
const CATCH_UP: i64 = 8;
const CATCH_UP_RATE: u64 = 3;

/// A device that cannot be reached, and then sends what it kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storm {
    /// Since the start of the run, as everything here.
    pub(crate) lost_us: i64,
    pub(crate) back_us: i64,
    pub(crate) done_us: i64,
    /// Decides which device it is.
    pub(crate) salt: u64,
}

/// The rate of some tenants over the run.
#[derive(Debug)]
pub(crate) struct Curve {
    span_us: i64,
    step_us: i64,
    /// Weight of all steps before each; the last is the whole. Empty if the rate is even.
    sums: Vec<u64>,
    /// In order of time, apart from each other.
    storms: Vec<Storm>,
}

impl Curve {
    /// The same rate all the time.
    pub(crate) fn even(span_us: i64) -> Self {
        Self { span_us, step_us: span_us, sums: Vec::new(), storms: Vec::new() }
    }

    /// The curve of number `number`: zones take turns, bursts and outages are its own.
    pub(crate) fn new(config: &FleetConfig, key: u64, number: u64) -> Self {
        let (rate, span_us) = (&config.rate, config.span_us);
        if rate.is_even() {
            return Self::even(span_us);
        }
        let step_us = (span_us / STEPS_MAX).max(SECOND_US).min(span_us);
        let mut draw = Draw::at(key, CURVE_STREAM, number);
        let bursts = moments(rate.bursts_per_day, rate.burst_seconds, span_us, &mut draw);
        let storms: Vec<Storm> = moments(rate.storms_per_day, rate.storm_seconds, span_us, &mut draw)
            .into_iter()
            .map(|(lost_us, back_us)| storm(lost_us, back_us, draw.bits()))
            .collect();
        let zone = rate.zones.get(number as usize % rate.zones.len().max(1)).copied().unwrap_or(0);
        let mut sums = vec![0];
        for step in 0..(span_us + step_us - 1) / step_us {
            let us = step * step_us;
            let mut weight = rate.weight(config.start_us + us + i64::from(zone) * 3_600 * SECOND_US);
            if bursts.iter().any(|(from, to)| (*from..*to).contains(&us)) {
                weight *= u64::from(rate.burst_times);
            }
            if storms.iter().any(|s| (s.back_us..s.done_us).contains(&us)) {
                weight *= CATCH_UP_RATE;
            }
            sums.push(sums[step as usize] + weight);
        }
        Self { span_us, step_us, sums, storms }
    }

    /// When record `index` of `count` is sent.
    pub(crate) fn at(&self, index: i64, count: i64) -> i64 {
        let (twice, whole) = (i128::from(2 * index + 1), i128::from(2 * count));
        let Some(total) = self.sums.last() else {
            return (twice * i128::from(self.span_us) / whole) as i64;
        };
        let passed = twice * i128::from(*total);
        let step = self.sums.partition_point(|s| i128::from(*s) * whole <= passed).saturating_sub(1);
        let step = step.min(self.sums.len().saturating_sub(2));
        let weight = self.sums[step + 1] - self.sums[step];
        let into = passed - i128::from(self.sums[step]) * whole;
        let start_us = step as i64 * self.step_us;
        let length_us = self.step_us.min(self.span_us - start_us);
        start_us + (into * i128::from(length_us) / (whole * i128::from(weight.max(1)))) as i64
    }

    /// How many of `count` records are sent before `us`.
    pub(crate) fn before(&self, us: i64, count: i64) -> i64 {
        if self.sums.is_empty() {
            let doubled = i128::from(2 * count) * i128::from(us.max(0));
            let half_steps = (doubled + i128::from(self.span_us) - 1) / i128::from(self.span_us);
            return ((half_steps / 2) as i64).min(count);
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle, count) < us { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The outage, or what follows it, that `us` lies in.
    pub(crate) fn storm(&self, us: i64) -> Option<&Storm> {
        let next = self.storms.partition_point(|s| s.done_us <= us);
        self.storms.get(next).filter(|s| s.lost_us <= us)
    }
}

impl Storm {
    /// Which of `count` devices it is.
    pub(crate) fn device(&self, count: usize) -> usize {
        (self.salt % count.max(1) as u64) as usize
    }

    /// When that device made a record which it sends at `us`, after it is back: in the order of the outage.
    pub(crate) fn made_us(&self, us: i64) -> i64 {
        let (outage, catch) = (self.back_us - self.lost_us, self.done_us - self.back_us);
        self.lost_us + (i128::from(us - self.back_us) * i128::from(outage) / i128::from(catch.max(1))) as i64
    }
}

fn storm(lost_us: i64, back_us: i64, salt: u64) -> Storm {
    Storm { lost_us, back_us, done_us: back_us + ((back_us - lost_us) / CATCH_UP).max(1), salt }
}

/// As many moments a day of that length, at least one, each somewhere in its own part of the run, with room after it.
fn moments(per_day: u32, seconds: u32, span_us: i64, draw: &mut Draw) -> Vec<(i64, i64)> {
    if per_day == 0 {
        return Vec::new();
    }
    let count = (i128::from(span_us) * i128::from(per_day) / i128::from(DAY_US)).clamp(1, 1_000) as i64;
    let cell = span_us / count;
    let length = (i64::from(seconds) * SECOND_US).min(cell / 4).max(1);
    let moment = |n: i64| {
        let from = n * cell + draw.between(0, cell - 2 * length);
        (from, from + length)
    };
    (0..count).map(moment).collect()
}

impl Rate {
    /// The weight of a moment, local time.
    fn weight(&self, local_us: i64) -> u64 {
        let day = local_us.div_euclid(DAY_US);
        let second = local_us.rem_euclid(DAY_US) / SECOND_US;
        let (hour, into) = ((second / 3_600) as usize, (second % 3_600) as u64);
        // Between two hours the rate changes steadily.
        let hourly = match self.hours.get(hour) {
            Some(this) => {
                let next = self.hours[(hour + 1) % self.hours.len()];
                (u64::from(*this) * (3_600 - into) + u64::from(next) * into) / 36
            }
            None => 100,
        };
        // 1970-01-01 was a Thursday.
        let daily = self.days.get((day + 3).rem_euclid(7) as usize).map_or(1, |w| u64::from(*w));
        let minutes = self.minutes.len().max(1) as i64;
        let minute = self.minutes.get((local_us.div_euclid(60 * SECOND_US)).rem_euclid(minutes) as usize);
        (hourly * daily * minute.map_or(1, |w| u64::from(*w))).max(1)
    }
}

#[cfg(test)]
mod tests;
