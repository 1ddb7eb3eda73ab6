//! Groups by their keys: rows of a few numbers ([`crate::codes`]) to the number of their group, from 0.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The groups seen so far, in the order of first sight.
#[derive(Debug)]
pub(crate) struct GroupKeys {
    /// Numbers a key has.
    width: usize,
    /// The keys one after the other.
    words: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Of the batch in hand: the rows' keys one after the other, and their hashes.
    rows: Vec<u32>,
    hashes: Vec<u64>,
}

impl GroupKeys {
    /// No groups, of keys of so many columns.
    pub(crate) fn new(width: usize) -> Self {
        Self::with_room(width, 0)
    }

    /// As [`GroupKeys::new`], with room for so many groups.
    pub(crate) fn with_room(width: usize, groups: usize) -> Self {
        Self {
            width,
            words: Vec::with_capacity(width * groups),
            index: HashTable::with_capacity(groups),
            hasher: DefaultHashBuilder::default(),
            rows: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Puts the group of each row into `groups`. A column is one number a row.
    pub(crate) fn intern<C: AsRef<[u32]>>(&mut self, columns: &[C], groups: &mut Vec<usize>) {
        debug_assert_eq!(columns.len(), self.width, "a column for each part of the key");
        groups.clear();
        let count = columns.first().map_or(0, |column| column.as_ref().len());
        self.rows.clear();
        self.rows.extend((0..count).flat_map(|row| columns.iter().map(move |column| column.as_ref()[row])));
        // All hashes first: the probes then wait for memory side by side.
        self.hashes.clear();
        self.hashes.extend(self.rows.chunks_exact(self.width).map(|key| self.hasher.hash_one(key)));
        groups.reserve(count);
        for row in 0..count {
            groups.push(self.group(row) as usize);
        }
    }

    #[inline]
    fn group(&mut self, row: usize) -> u32 {
        let Self { width, words, index, hasher, rows, hashes } = self;
        let key = &rows[row * *width..][..*width];
        let of = |words: &[u32], n: u32| -> bool { words[n as usize * *width..][..*width] == *key };
        if let Some(&known) = index.find(hashes[row], |&n| of(words, n)) {
            return known;
        }
        let group = u32::try_from(index.len()).expect("fewer than 2^32 groups fit in memory");
        words.extend_from_slice(key);
        index.insert_unique(hashes[row], group, |&n| hasher.hash_one(&words[n as usize * *width..][..*width]));
        group
    }

    /// One column of all groups' keys.
    pub(crate) fn column(&self, column: usize) -> Vec<u32> {
        self.words.iter().skip(column).step_by(self.width).copied().collect()
    }

    /// Bytes held, roughly.
    pub(crate) fn size(&self) -> usize {
        self.words.capacity() * 4 + self.index.capacity() * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_in_the_order_of_first_sight() {
        let mut keys = GroupKeys::new(2);
        let mut groups = Vec::new();
        keys.intern(&[vec![1, 1, 2, 1], vec![5, 6, 5, 5]], &mut groups);
        assert_eq!(groups, [0, 1, 2, 0]);
        keys.intern(&[vec![2, 0], vec![5, 0]], &mut groups);
        assert_eq!((groups.as_slice(), keys.len()), (&[2, 3][..], 4));
        assert_eq!((keys.column(0), keys.column(1)), (vec![1, 1, 2, 0], vec![5, 6, 5, 0]));
        assert!(keys.size() > 0);
    }

    #[test]
    fn no_rows_are_no_groups() {
        let mut keys = GroupKeys::new(1);
        let mut groups = vec![9];
        keys.intern(&[Vec::new()], &mut groups);
        assert!(groups.is_empty() && keys.len() == 0);
    }
}
