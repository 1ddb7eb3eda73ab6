//! Networks -> records: one hash map a prefix length, the longest asked first. A single address is a prefix of full
//! length, so nearly every look-up is one probe a length in use. A v4 network costs 8 bytes and its share of the map: a
//! million take about 20 MB.

use std::hash::Hash;

use hashbrown::HashMap;

use crate::network::{Address, Network, mask_v4, mask_v6};
use crate::table::NULL;

/// Records by network. Look-ups come after [`Prefixes::finish`].
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    v4: Lengths<u32>,
    v6: Lengths<u128>,
}

/// A prefix length and the networks of that length.
type Lengths<K> = Vec<(u8, HashMap<K, i32>)>;

impl Prefixes {
    /// The record of the longest prefix that holds the address, or [`NULL`].
    #[inline]
    pub(crate) fn find(&self, address: Address) -> i32 {
        match address.v4() {
            Some(v4) => find(&self.v4, v4, |key, len| key & mask_v4(len)),
            None => find(&self.v6, address.0, |key, len| key & mask_v6(len)),
        }
    }

    /// The record of exactly this network, [`NULL`] if it is new.
    pub(crate) fn entry(&mut self, network: Network) -> &mut i32 {
        match network {
            Network::V4 { base, len } => entry(&mut self.v4, len, base),
            Network::V6 { base, len } => entry(&mut self.v6, len, base),
        }
    }

    pub(crate) fn len(&self) -> usize {
        let v4: usize = self.v4.iter().map(|(_, map)| map.len()).sum();
        let v6: usize = self.v6.iter().map(|(_, map)| map.len()).sum();
        v4 + v6
    }

    /// Orders the lengths, the longest first.
    pub(crate) fn finish(&mut self) {
        self.v4.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        self.v6.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        self.v4.iter_mut().for_each(|(_, map)| map.shrink_to_fit());
        self.v6.iter_mut().for_each(|(_, map)| map.shrink_to_fit());
    }

    /// Gives each network the record of a wider one where `is_better(wider, own)`: afterwards the longest prefix has the
    /// best record of all prefixes that hold an address. After [`Prefixes::finish`].
    pub(crate) fn inherit(&mut self, is_better: impl Fn(i32, i32) -> bool) {
        inherit(&mut self.v4, |key, len| key & mask_v4(len), &is_better);
        inherit(&mut self.v6, |key, len| key & mask_v6(len), &is_better);
    }
}

#[inline]
fn find<K: Copy + Hash + Eq>(lengths: &[(u8, HashMap<K, i32>)], key: K, mask: impl Fn(K, u8) -> K) -> i32 {
    lengths.iter().find_map(|(len, map)| map.get(&mask(key, *len)).copied()).unwrap_or(NULL)
}

fn entry<K: Hash + Eq>(lengths: &mut Lengths<K>, len: u8, base: K) -> &mut i32 {
    let index = lengths.iter().position(|(l, _)| *l == len).unwrap_or_else(|| {
        lengths.push((len, HashMap::new()));
        lengths.len() - 1
    });
    lengths[index].1.entry(base).or_insert(NULL)
}

/// From the shortest prefixes to the longest, so that one look-up among the shorter ones sees all of them.
fn inherit<K: Copy + Hash + Eq>(
    lengths: &mut Lengths<K>,
    mask: impl Fn(K, u8) -> K + Copy,
    is_better: &impl Fn(i32, i32) -> bool,
) {
    for at in (0..lengths.len()).rev() {
        let (longer, shorter) = lengths.split_at_mut(at + 1);
        for (base, own) in &mut longer[at].1 {
            let wider = find(shorter, *base, mask);
            if wider != NULL && is_better(wider, *own) {
                *own = wider;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Networks within a few bits of one another, so that they overlap; v4 and v6.
    fn a_network() -> impl Strategy<Value = Network> {
        prop_oneof![
            (0u32..64, 24u8..=32).prop_map(|(low, len)| Network::V4 { base: (0x0a00_0000 | low) & mask_v4(len), len }),
            (0u128..64, 120u8..=128).prop_map(|(low, len)| Network::V6 { base: (1 << 100 | low) & mask_v6(len), len }),
        ]
    }

    fn len(network: Network) -> u8 {
        match network {
            Network::V4 { len, .. } | Network::V6 { len, .. } => len,
        }
    }

    fn addresses() -> impl Iterator<Item = Address> {
        (0..64).flat_map(|low| [Address::from_v4(0x0a00_0000 | low), Address(1 << 100 | u128::from(low))])
    }

    fn build(networks: &[Network]) -> Prefixes {
        let mut prefixes = Prefixes::default();
        for (record, network) in (0..).zip(networks) {
            *prefixes.entry(*network) = record;
        }
        prefixes.finish();
        prefixes
    }

    proptest! {
        #[test]
        fn the_longest_prefix_is_that_of_a_search_over_all(networks in prop::collection::vec(a_network(), 0..40)) {
            let prefixes = build(&networks);
            for address in addresses() {
                let all = (0..).zip(&networks).filter(|(_, n)| n.contains(address));
                let want = all.max_by_key(|(record, n)| (len(**n), *record)).map_or(NULL, |(record, _)| record);
                prop_assert_eq!(prefixes.find(address), want, "{:?}", address);
            }
        }

        /// Records are made better by their number, so that the best of all that hold an address is the highest.
        #[test]
        fn after_inheriting_the_longest_prefix_has_the_best_record(
            networks in prop::collection::vec(a_network(), 0..40),
        ) {
            let mut prefixes = build(&networks);
            prefixes.inherit(|wider, own| wider > own);
            for address in addresses() {
                let all = (0..).zip(&networks).filter(|(_, n)| n.contains(address));
                prop_assert_eq!(prefixes.find(address), all.map(|(record, _)| record).max().unwrap_or(NULL));
            }
        }
    }

    #[test]
    fn a_network_stands_once() {
        let net = Network::parse("10.0.0.0/8").expect("a network");
        let mut prefixes = build(&[net, net, Network::parse("::/0").expect("a network")]);
        assert_eq!((prefixes.len(), *prefixes.entry(net)), (2, 1));
    }
}
