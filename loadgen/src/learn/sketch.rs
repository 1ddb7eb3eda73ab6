//! Counts that keep no values: how many distinct ones there were, and how large numbers are.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Registers: 4,096 of them err by 1.6 % (standard error).
const REGISTERS: usize = 1 << 12;

/// How many distinct texts were seen (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier 2007). Keeps none of them.
#[derive(Debug)]
pub(super) struct Distinct(Vec<u8>);

impl Distinct {
    pub(super) fn new() -> Self {
        Self(vec![0; REGISTERS])
    }

    /// Sees a text; an empty one is none.
    pub(super) fn see(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let register = &mut self.0[(hash >> 52) as usize];
        // One more than the zeros before the first one among the 52 bits that name no register.
        *register = (*register).max((hash << 12 | 1 << 11).leading_zeros() as u8 + 1);
    }

    /// About how many there were.
    pub(super) fn count(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.0.iter().map(|r| 1.0 / (1u64 << r) as f64).sum();
        let estimate = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.0.iter().filter(|r| **r == 0).count();
        let is_small = estimate <= 2.5 * m && empty > 0;
        (if is_small { m * (m / empty as f64).ln() } else { estimate }).round() as u64
    }
}

/// Steps that a doubling is divided into.
const STEPS: u64 = 8;

/// Parts that a distribution is divided into.
const PARTS: usize = 20;

/// How large numbers are, to an eighth of a doubling.
#[derive(Debug)]
pub(super) struct Sizes(Vec<u64>);

impl Sizes {
    pub(super) fn new() -> Self {
        Self(vec![0; 64 * STEPS as usize])
    }

    pub(super) fn see(&mut self, n: u64) {
        self.0[slot(n)] += 1;
    }

    /// The smallest, the largest, and what divides them into twenty parts of as many numbers each; none if few were seen.
    pub(super) fn quantiles(&self) -> Vec<u64> {
        let total: u64 = self.0.iter().sum();
        if total < super::FEWEST {
            return Vec::new();
        }
        let at = |part: usize| {
            let wanted = (total * part as u64).div_ceil(PARTS as u64).max(1);
            let mut seen = 0;
            let reached = self.0.iter().position(|n| {
                seen += n;
                seen >= wanted
            });
            floor(reached.unwrap_or(0))
        };
        (0..=PARTS).map(at).collect()
    }
}

fn slot(n: u64) -> usize {
    if n < STEPS {
        return n as usize;
    }
    let doubling = u64::from(n.ilog2());
    ((doubling - 2) * STEPS + ((n >> (doubling - 3)) & (STEPS - 1))) as usize
}

/// The smallest number of a slot.
fn floor(slot: usize) -> u64 {
    let (doubling, step) = (slot as u64 / STEPS, slot as u64 % STEPS);
    if doubling == 0 { step } else { (STEPS + step) << (doubling - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_texts_are_counted_within_their_error() {
        for n in [0u64, 1, 10, 1_000, 100_000] {
            let mut distinct = Distinct::new();
            (0..2).for_each(|_| (0..n).for_each(|i| distinct.see(&format!("host-{i}"))));
            let error = (distinct.count() as f64 - n as f64).abs();
            assert!(error <= n as f64 * 0.08, "{n}: {}", distinct.count());
        }
    }

    #[test]
    fn a_slot_begins_at_its_floor() {
        for n in [0, 1, 7, 8, 9, 15, 16, 17, 1_000, 1_500, u64::MAX / 2, u64::MAX] {
            let at = slot(n);
            assert!(floor(at) <= n && slot(floor(at)) == at, "{n}: {} {at}", floor(at));
            assert!(n - floor(at) <= n / 8);
        }
    }

    #[test]
    fn quantiles_divide_what_was_seen() {
        let mut sizes = Sizes::new();
        (1..=10_000).for_each(|n| sizes.see(n));
        let quantiles = sizes.quantiles();
        assert_eq!(quantiles.len(), PARTS + 1);
        for (part, q) in quantiles.iter().enumerate().skip(1) {
            let wanted = part as f64 * 500.0;
            assert!((wanted * 0.88..=wanted).contains(&(*q as f64)), "{part}: {q}");
        }
        assert!(Sizes::new().quantiles().is_empty());
    }
}
