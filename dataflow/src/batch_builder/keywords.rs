//! Strings of few distinct values -> dictionary keys.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Int32Type;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct strings with their keys. A small direct-mapped cache answers for the values that repeat, without a hash of
/// the string.
#[derive(Debug)]
pub(super) struct Keywords {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    index: HashTable<i32>,
    hasher: DefaultHashBuilder,
    recent: [i32; RECENT],
}

const RECENT: usize = 64;

impl Keywords {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            recent: [-1; RECENT],
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 12
    }

    /// The key of `value`, new or known.
    #[inline]
    pub(super) fn key(&mut self, value: &str) -> i32 {
        let slot = slot(value.as_bytes());
        let recent = self.recent[slot];
        if recent >= 0 && self.value(recent) == value.as_bytes() {
            return recent;
        }
        let key = self.look_up(value.as_bytes());
        self.recent[slot] = key;
        key
    }

    fn look_up(&mut self, value: &[u8]) -> i32 {
        let hash = self.hasher.hash_one(value);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(&key) = self.index.find(hash, |&k| value_at(bytes, ends, k) == value) {
            return key;
        }
        let key = i32::try_from(self.ends.len()).expect("fewer than 2^31 keywords a batch");
        self.bytes.extend_from_slice(value);
        self.ends.push(i32::try_from(self.bytes.len()).expect("keywords of a batch stay below 2 GiB"));
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, key, |&k| hasher.hash_one(value_at(bytes, ends, k)));
        key
    }

    #[inline]
    fn value(&self, key: i32) -> &[u8] {
        value_at(&self.bytes, &self.ends, key)
    }

    /// A dictionary array over the keys; the dictionary starts anew.
    pub(super) fn finish(&mut self, keys: Vec<i32>, nulls: Option<NullBuffer>) -> ArrayRef {
        let ends = std::mem::take(&mut self.ends);
        let offsets: Vec<i32> = std::iter::once(0).chain(ends).collect();
        let values = StringArray::new(OffsetBuffer::new(offsets.into()), std::mem::take(&mut self.bytes).into(), None);
        self.index.clear();
        self.recent = [-1; RECENT];
        let keys = Int32Array::new(keys.into(), nulls);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)))
    }
}

#[inline]
fn value_at<'a>(bytes: &'a [u8], ends: &[i32], key: i32) -> &'a [u8] {
    let key = key as usize;
    let start = if key == 0 { 0 } else { ends[key - 1] as usize };
    &bytes[start..ends[key] as usize]
}

/// A cheap slot from the length and a few bytes; a clash costs one hash look-up, never a wrong key.
#[inline]
fn slot(value: &[u8]) -> usize {
    let Some((&last, &mid)) = value.last().zip(value.get(value.len() / 2)) else { return 0 };
    (value.len() ^ (last as usize).wrapping_mul(7) ^ (mid as usize).wrapping_mul(31)) % RECENT
}
