//! Randomness that is a function of (key, stream, index): a record's draws start at any offset for the price of a hash.
//!
//! SplitMix64 (Steele, Lea, Flood 2014), written out so that no release of a library can change the bytes of a fleet, and
//! no function whose last bit differs between platforms (`exp`, `ln`, `powf`): only IEEE arithmetic.

/// SplitMix64's increment: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The draws of one record: the same for the same three numbers, whatever was drawn before.
    pub(crate) fn at(key: u64, stream: u64, index: u64) -> Self {
        let lane = mix(key.wrapping_add(GOLDEN.wrapping_mul(stream.wrapping_add(1))));
        Self(mix(lane ^ mix(index.wrapping_add(GOLDEN))))
    }

    /// Sixty-four random bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..n`.
    #[inline]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// An index into `n` things.
    #[inline]
    pub(crate) fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A number in `low..=high`; `low` if the range is empty.
    #[inline]
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + self.below(width + 1) as i64
    }

    /// True once in `n` times.
    #[inline]
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the things, each as likely.
    #[inline]
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.index(things.len())]
    }

    /// A fraction in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `[low, high)` whose logarithm is uniform.
    pub(crate) fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        (low * exp(self.unit() * ln(high / low))).clamp(low, high)
    }

    /// A size of at least `base` with a heavy tail (twice as large is half as likely), below `base * 2^(doublings + 1)`.
    #[inline]
    pub(crate) fn heavy(&mut self, base: u64, doublings: u32) -> u64 {
        let scale = base << self.bits().trailing_zeros().min(doublings);
        scale + self.below(scale)
    }
}

/// e^x for the small x of this file.
fn exp(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= x / f64::from(n);
        sum += term;
    }
    sum
}

/// The logarithm of the small ratios of this file.
fn ln(x: f64) -> f64 {
    let z = (x - 1.0) / (x + 1.0);
    let (mut sum, mut power) = (0.0, z);
    for k in 0..400 {
        sum += power / f64::from(2 * k + 1);
        power *= z * z;
    }
    2.0 * sum
}

/// `base` to a power of at least 0, for a base of at least 1: by square roots, which every machine rounds the same way.
pub(crate) fn power(base: f64, exponent: f64) -> f64 {
    let mut result = 1.0;
    (0..exponent as u32).for_each(|_| result *= base);
    let (mut root, mut rest) = (base, exponent - exponent.trunc());
    for _ in 0..32 {
        (root, rest) = (root.sqrt(), rest * 2.0);
        if rest >= 1.0 {
            (result, rest) = (result * root, rest - 1.0);
        }
    }
    result
}

/// Ranks `0..n`, rank k with weight 1/(k + 1), drawn from a table of quantiles.
#[derive(Debug)]
pub(crate) struct Zipf(Vec<u16>);

const SLOTS: usize = 1 << 16;

impl Zipf {
    /// Over `n` ranks.
    pub(crate) fn new(n: u16) -> Self {
        let total: f64 = (1..=u32::from(n)).map(|k| 1.0 / f64::from(k)).sum();
        let mut slots = Vec::with_capacity(SLOTS);
        let mut upto = 0.0;
        for rank in 0..n {
            upto += 1.0 / f64::from(u32::from(rank) + 1);
            let end = ((upto / total) * SLOTS as f64) as usize;
            slots.resize(end.min(SLOTS).max(slots.len()), rank);
        }
        slots.resize(SLOTS, n.saturating_sub(1));
        Self(slots)
    }

    /// A rank.
    #[inline]
    pub(crate) fn rank(&self, draw: &mut Draw) -> u16 {
        self.0[(draw.bits() >> 48) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_all_three_numbers_and_nothing_else() {
        let first = |k, s, i| Draw::at(k, s, i).bits();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let others = [first(2, 2, 3), first(1, 3, 3), first(1, 2, 4), first(2, 1, 3), first(1, 3, 2)];
        assert!(others.iter().all(|o| *o != first(1, 2, 3)));
    }

    #[test]
    fn neighbors_share_nothing() {
        // Each of the 64 bits is set in about half of the first draws of 10,000 neighboring offsets.
        let mut ones = [0u32; 64];
        for i in 0..10_000 {
            let bits = Draw::at(7, 1, i).bits();
            for (b, n) in ones.iter_mut().enumerate() {
                *n += (bits >> b & 1) as u32;
            }
        }
        assert!(ones.iter().all(|n| (4_750..5_250).contains(n)), "{ones:?}");
    }

    #[test]
    fn ranges_hold_their_ends() {
        let mut d = Draw::at(1, 1, 1);
        let seen: std::collections::BTreeSet<i64> = (0..1000).map(|_| d.between(-2, 2)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        assert_eq!(d.between(5, 1), 5);
        assert!((0..1000).all(|_| (100..100 << 4).contains(&d.heavy(100, 3))));
    }

    #[test]
    fn the_series_agree_with_the_library() {
        for x in [0.0, 0.3, 1.0, 2.94] {
            assert!((exp(x) - x.exp()).abs() < 1e-12);
        }
        for x in [1.05, 2.0, 19.05] {
            assert!((ln(x) - x.ln()).abs() < 1e-12);
        }
        let mut d = Draw::at(3, 1, 1);
        let below_mean = (0..10_000).filter(|_| d.log_uniform(1.0, 16.0) < 4.0).count();
        assert!((4_800..5_200).contains(&below_mean), "half of the draws lie below the geometric mean: {below_mean}");
    }

    #[test]
    fn powers_agree_with_the_library() {
        for (base, exponent) in [(1.0, 1.25), (2.0, 0.0), (3.0, 0.3), (10_000.0, 1.25), (17.0, 2.0), (9.0, 2.999)] {
            let (ours, theirs) = (power(base, exponent), f64::powf(base, exponent));
            assert!((ours / theirs - 1.0).abs() < 1e-8, "{base} {exponent}: {ours} {theirs}");
        }
    }

    #[test]
    fn the_first_rank_is_drawn_twice_as_often_as_the_second() {
        let zipf = Zipf::new(1000);
        let mut d = Draw::at(5, 1, 1);
        let mut counts = vec![0u32; 1000];
        for _ in 0..100_000 {
            counts[usize::from(zipf.rank(&mut d))] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(counts.iter().filter(|n| **n > 0).count() > 950, "the tail is drawn too");
    }
}
