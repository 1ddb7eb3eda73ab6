//! A direct-mapped cache from addresses to what the tables say of them: one probe, no list, no eviction to keep.

use crate::network::Address;

/// Remembers the last value of each slot. v4 addresses have slots of their own, with small keys, so that the part that is
/// nearly always asked stays near the core.
#[derive(Clone)]
pub(crate) struct Cache<V> {
    v4: Box<[Entry<u32, V>]>,
    v6: Box<[Entry<u128, V>]>,
}

#[derive(Clone, Copy)]
struct Entry<K, V> {
    key: K,
    tenant: u32,
    value: V,
}

/// No row has this tenant; it marks free slots.
const FREE: u32 = u32::MAX;
const V4_BITS: u32 = 16;
const V6_BITS: u32 = 14;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio: multiplicative hashing

impl<V: Copy + Default> Cache<V> {
    pub(crate) fn new() -> Self {
        Self {
            v4: vec![Entry { key: 0, tenant: FREE, value: V::default() }; 1 << V4_BITS].into_boxed_slice(),
            v6: vec![Entry { key: 0, tenant: FREE, value: V::default() }; 1 << V6_BITS].into_boxed_slice(),
        }
    }

    /// The value of `address`: remembered, or else what `look_up` says, which is remembered.
    #[inline]
    pub(crate) fn get(&mut self, tenant: u32, address: Address, look_up: impl FnOnce() -> V) -> V {
        match address.v4() {
            Some(v4) => {
                let key = u64::from(tenant) << 32 | u64::from(v4);
                recall(&mut self.v4[slot(key, V4_BITS)], tenant, v4, look_up)
            }
            None => {
                let key = fold(address) ^ u64::from(tenant) << 32;
                recall(&mut self.v6[slot(key, V6_BITS)], tenant, address.0, look_up)
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.v4.iter_mut().for_each(|entry| entry.tenant = FREE);
        self.v6.iter_mut().for_each(|entry| entry.tenant = FREE);
    }
}

#[inline]
fn recall<K: PartialEq, V: Copy>(entry: &mut Entry<K, V>, tenant: u32, key: K, look_up: impl FnOnce() -> V) -> V {
    if entry.key != key || entry.tenant != tenant {
        *entry = Entry { key, tenant, value: look_up() };
    }
    entry.value
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
                    let want = [(i % 17) as i32 - 1, round];
                    let got = cache.get(1, address, || {
                        asked += 1;
                        want
                    });
                    assert_eq!(got[0], want[0], "round {round} {address:?}");
                }
            }
        }
        assert!((4_000..4_800).contains(&asked), "{asked} look-ups for 4,000 addresses asked three times");
    }

    #[test]
    fn address_zero_is_not_confused_with_a_free_slot() {
        let mut cache = Cache::new();
        assert_eq!(cache.get(0, Address(0), || 5), 5);
        assert_eq!(cache.get(0, Address::from_v4(0), || 6), 6);
    }

    #[test]
    fn tenants_do_not_share_values_and_a_cleared_cache_knows_none() {
        let mut cache = Cache::new();
        for address in [Address::from_v4(7), Address(7)] {
            assert_eq!(cache.get(1, address, || 5), 5);
            assert_eq!(cache.get(2, address, || 6), 6);
            assert_eq!(cache.get(1, address, || 7), 5);
            cache.clear();
            assert_eq!(cache.get(1, address, || 8), 8);
        }
    }
}
