//! A direct-mapped cache from addresses to small values: one probe, no list, no eviction to keep.

use crate::network::Address;

/// Remembers the last value of each slot. v4 addresses have slots of their own, 8 bytes each, so that the part that is
/// nearly always asked fits into a core's second-level cache.
#[derive(Clone)]
pub(crate) struct Cache {
    v4: Box<[(u32, i32)]>,
    v6: Box<[(u128, i32)]>,
}

/// No value is stored under this key; it marks free slots.
const FREE: i32 = i32::MIN;
const V4_BITS: u32 = 16;
const V6_BITS: u32 = 14;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio: multiplicative hashing

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            v4: vec![(0, FREE); 1 << V4_BITS].into_boxed_slice(),
            v6: vec![(0, FREE); 1 << V6_BITS].into_boxed_slice(),
        }
    }

    /// The value of `address`: remembered, or else what `look_up` says, which is remembered.
    #[inline]
    pub(crate) fn get(&mut self, address: Address, look_up: impl FnOnce() -> i32) -> i32 {
        match address.v4() {
            Some(v4) => recall(&mut self.v4[slot(u64::from(v4), V4_BITS)], v4, look_up),
            None => recall(&mut self.v6[slot(fold(address), V6_BITS)], address.0, look_up),
        }
    }
}

#[inline]
fn recall<K: Copy + PartialEq>(entry: &mut (K, i32), key: K, look_up: impl FnOnce() -> i32) -> i32 {
    if entry.0 != key || entry.1 == FREE {
        *entry = (key, look_up());
    }
    entry.1
}

/// The address in 64 bits, for hashing.
#[inline]
pub(crate) fn fold(address: Address) -> u64 {
    (address.0 as u64) ^ ((address.0 >> 64) as u64).rotate_left(32)
}

/// The upper bits of a multiplicative hash.
#[inline]
pub(crate) fn slot(key: u64, bits: u32) -> usize {
    (key.wrapping_mul(SPREAD) >> (64 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_looked_up_once_until_another_takes_its_slot() {
        let mut cache = Cache::new();
        let mut asked = 0;
        for round in 0..3 {
            for i in 0..2_000u32 {
                for address in [Address::from_v4(i << 8), Address(u128::from(i) << 64 | 7)] {
                    let want = (i % 17) as i32 - 1;
                    let got = cache.get(address, || {
                        asked += 1;
                        want
                    });
                    assert_eq!(got, want, "round {round} {address:?}");
                }
            }
        }
        assert!((4_000..4_800).contains(&asked), "{asked} look-ups for 4,000 addresses asked three times");
    }

    #[test]
    fn address_zero_is_not_confused_with_a_free_slot() {
        let mut cache = Cache::new();
        assert_eq!(cache.get(Address(0), || 5), 5);
        assert_eq!(cache.get(Address::from_v4(0), || 6), 6);
    }
}
