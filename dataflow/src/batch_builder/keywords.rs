//! Strings of few distinct values -> dictionary keys.
//!
//! A value that was seen lately costs a hash of three words, an index into a small direct-mapped table and a comparison of
//! four words. A clash there costs one look-up in the hash table, never a wrong key.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int32Type;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::ends::Ends;
use crate::print::Print;

/// Distinct strings with their keys.
#[derive(Debug)]
pub(super) struct Keywords {
    bytes: Vec<u8>,
    ends: Ends,
    /// Of each value, by key.
    prints: Vec<Print>,
    index: HashTable<i32>,
    hasher: DefaultHashBuilder,
    /// The last key of each slot; -1 is none.
    recent: [i32; RECENT],
}

const RECENT: usize = 256;

#[inline]
fn slot(print: &Print) -> usize {
    (print.hash() >> 56) as usize
}

impl Keywords {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Ends::new(),
            prints: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            recent: [-1; RECENT],
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 12
    }

    /// The key of a short `value` that was seen lately.
    #[inline]
    pub(super) fn recent(&self, value: &str) -> Option<i32> {
        let print = Print::of(value.as_bytes());
        let recent = self.recent[slot(&print)];
        let is_it = self.prints.get(recent as usize).is_some_and(|known| *known == print && print.is_whole());
        is_it.then_some(recent)
    }

    /// The key of `value`, new or known.
    pub(super) fn key(&mut self, value: &str) -> i32 {
        let value = value.as_bytes();
        let print = Print::of(value);
        let recent = self.recent[slot(&print)];
        let known = self.prints.get(recent as usize);
        if known == Some(&print) && (print.is_whole() || self.bytes[self.ends.span(recent as usize)] == *value) {
            return recent;
        }
        let key = self.look_up(value, print);
        self.recent[slot(&print)] = key;
        key
    }

    fn look_up(&mut self, value: &[u8], print: Print) -> i32 {
        let hash = self.hasher.hash_one(value);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(&key) = self.index.find(hash, |&k| bytes[ends.span(k as usize)] == *value) {
            return key;
        }
        let key = i32::try_from(self.ends.len()).expect("fewer than 2^31 keywords a batch");
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.prints.push(print);
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.index.insert_unique(hash, key, |&k| hasher.hash_one(&bytes[ends.span(k as usize)]));
        key
    }

    /// A dictionary array over the keys; the dictionary starts anew.
    pub(super) fn finish(&mut self, keys: Vec<i32>, nulls: Option<NullBuffer>) -> ArrayRef {
        let values = StringArray::new(self.ends.finish(), std::mem::take(&mut self.bytes).into(), None);
        self.prints.clear();
        self.index.clear();
        self.recent = [-1; RECENT];
        let keys = Int32Array::new(keys.into(), nulls);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)))
    }
}
