//! Latency per event, in microseconds, with three significant digits.

use hdrhistogram::Histogram;

/// A mergeable latency histogram from 1 us to an hour; longer counts as an hour.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

const HOUR_US: u64 = 3_600_000_000;

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// No value recorded.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, HOUR_US, 3).expect("constant bounds are valid"))
    }

    /// Records `count` events that took `us`; a negative time (clocks disagree) counts as 1 us.
    pub fn record(&mut self, us: i64, count: u64) {
        self.0.saturating_record_n(u64::try_from(us).unwrap_or(1).clamp(1, HOUR_US), count);
    }

    /// Adds another histogram's values.
    pub fn merge(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Events recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value at a quantile (0 to 1), in milliseconds; 0 if nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// How many values are above a bound in milliseconds, to three digits.
    pub fn count_above_ms(&self, ms: f64) -> u64 {
        let bound = (ms * 1000.0) as u64;
        self.0.iter_recorded().filter(|v| v.value_iterated_to() > bound).map(|v| v.count_at_value()).sum()
    }

    /// The largest value, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    /// The recorded values with their counts, in rising order, for export to histograms with other bounds.
    pub fn values_us(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_weigh_every_event() {
        let mut a = Latency::new();
        a.record(1_000, 900);
        let mut b = Latency::new();
        b.record(2_000_000, 100);
        b.record(-5, 1);
        a.merge(&b);
        assert_eq!(a.count(), 1001);
        assert!((a.quantile_ms(0.5) - 1.0).abs() < 0.01);
        assert!((a.quantile_ms(0.99) - 2000.0).abs() < 2.0);
        assert!((a.max_ms() - 2000.0).abs() < 2.0);
        assert_eq!([1.5, 2_000.0, 2_001.5].map(|ms| a.count_above_ms(ms)), [100, 100, 0]);
    }
}
