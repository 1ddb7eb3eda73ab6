//! Indicators by network: one hash map a prefix length, the longest asked first. A single address is a prefix of full
//! length, so nearly every look-up is one probe a length in use. A v4 indicator costs 8 bytes and its share of the map:
//! a million take about 20 MB.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::StringArray;
use hashbrown::HashMap;

use crate::network::{Address, Network, mask_v4, mask_v6};

/// What an indicator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    /// Key in [`IntelTable::categories`].
    pub(super) category: u16,
    pub(super) confidence: u8,
}

/// The indicators, read-only.
#[derive(Debug)]
pub(super) struct IntelTable {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    categories: Arc<StringArray>,
}

/// A prefix length and the indicators of that length.
type Prefixes<K> = Vec<(u8, HashMap<K, Hit>)>;

impl IntelTable {
    #[inline]
    pub(super) fn find(&self, address: Address) -> Option<Hit> {
        match address.v4() {
            Some(v4) => self.v4.iter().find_map(|(len, map)| map.get(&(v4 & mask_v4(*len))).copied()),
            None => self.v6.iter().find_map(|(len, map)| map.get(&(address.0 & mask_v6(*len))).copied()),
        }
    }

    pub(super) fn len(&self) -> usize {
        let v4: usize = self.v4.iter().map(|(_, map)| map.len()).sum();
        let v6: usize = self.v6.iter().map(|(_, map)| map.len()).sum();
        v4 + v6
    }

    pub(super) fn categories(&self) -> &Arc<StringArray> {
        &self.categories
    }
}

/// Collects indicators.
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    categories: Vec<String>,
    by_name: HashMap<String, u16>,
}

impl TableBuilder {
    pub(super) fn add(&mut self, network: Network, category: &str, confidence: u8) -> Result<(), String> {
        let hit = Hit { category: self.category(category)?, confidence };
        match network {
            Network::V4 { base, len } => insert(&mut self.v4, len, base, hit),
            Network::V6 { base, len } => insert(&mut self.v6, len, base, hit),
        }
        Ok(())
    }

    fn category(&mut self, name: &str) -> Result<u16, String> {
        if let Some(&key) = self.by_name.get(name) {
            return Ok(key);
        }
        let key = u16::try_from(self.categories.len())
            .map_err(|_| "more than 65,536 different categories; is another column named category?".to_owned())?;
        self.categories.push(name.to_owned());
        self.by_name.insert(name.to_owned(), key);
        Ok(key)
    }

    pub(super) fn finish(mut self) -> IntelTable {
        self.v4.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        self.v6.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        self.v4.iter_mut().for_each(|(_, map)| map.shrink_to_fit());
        self.v6.iter_mut().for_each(|(_, map)| map.shrink_to_fit());
        IntelTable { v4: self.v4, v6: self.v6, categories: Arc::new(StringArray::from(self.categories)) }
    }
}

fn insert<K: Hash + Eq>(prefixes: &mut Prefixes<K>, len: u8, base: K, hit: Hit) {
    let index = prefixes.iter().position(|(l, _)| *l == len).unwrap_or_else(|| {
        prefixes.push((len, HashMap::new()));
        prefixes.len() - 1
    });
    let known = prefixes[index].1.entry(base).or_insert(hit);
    if hit.confidence > known.confidence {
        *known = hit;
    }
}
