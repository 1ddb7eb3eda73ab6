//! The keys that lines have had, by numbers: what is found out about a key once is kept by its number.
//!
//! A device writes its keys in one order. After each key the one that came next the last time is tried where a key may stand:
//! nearly always it is there, and nothing is searched or hashed. Nothing is allocated for a key that was seen before, and there
//! are at most [`KEYS_MAX`] of at most [`KEY_BYTES_MAX`]; those beyond have no number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::scan;

/// Keys that have numbers.
const KEYS_MAX: usize = 2_048;

/// The longest key that has one: what a record may call a key is kept for good.
pub(super) const KEY_BYTES_MAX: usize = 128;

/// The number of a key, if it has one.
pub(crate) type KeyId = Option<u16>;

/// Keys by their numbers, and how far the reader of a line is.
#[derive(Debug)]
pub(crate) struct Keys {
    entries: Vec<Entry>,
    index: HashTable<u16>,
    hasher: DefaultHashBuilder,
    /// By place, 0 before the first key: the number of the key that came next the last time, which is tried wherever a key may
    /// stand, and of the one before it, which spares a search where two take turns.
    next: Vec<[u16; 2]>,
    /// After which key the reader stands.
    place: u16,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    /// The first bytes, with zeros behind a shorter key, and a bit for each of them.
    head: [u8; scan::BYTES],
    bits: u32,
    /// The last bytes of a longer key.
    tail: [u8; scan::BYTES],
}

impl Default for Keys {
    fn default() -> Self {
        let (entries, index, hasher) = (Vec::new(), HashTable::new(), DefaultHashBuilder::default());
        Self { entries, index, hasher, next: vec![[0; 2]], place: 0 }
    }
}

impl Keys {
    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The key of a number.
    pub(crate) fn text(&self, id: usize) -> &str {
        &self.entries[id].text
    }

    /// A further line begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.place = 0;
    }

    /// Where the key ends that came next the last time, if it stands at `at` with `mark` behind it.
    #[inline]
    pub(crate) fn guess(&self, line: &[u8], at: usize, mark: u8) -> Option<usize> {
        let [last, _] = *self.next.get(usize::from(self.place))?;
        let entry = self.entries.get(usize::from(last))?;
        let end = at + entry.text.len();
        (line.get(end) == Some(&mark) && entry.stands(line, at..end)).then_some(end)
    }

    /// Goes on behind the key that was guessed.
    #[inline]
    pub(crate) fn take_guess(&mut self) -> KeyId {
        let [id, _] = self.next[usize::from(self.place)];
        self.place = id + 1;
        Some(id)
    }

    /// Goes on behind a key that was found.
    #[inline(never)]
    pub(crate) fn take(&mut self, key: &str) -> KeyId {
        let [last, other] = self.next[usize::from(self.place)];
        let is_other = self.entries.get(usize::from(other)).is_some_and(|entry| entry.is(key));
        let id = if is_other { other } else { self.id(key)? };
        if id != last {
            self.next[usize::from(self.place)] = [id, last];
        }
        self.place = id + 1;
        Some(id)
    }

    fn id(&mut self, key: &str) -> KeyId {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let Self { entries, index, hasher, .. } = self;
        if let Some(id) = index.find(hash, |id| *entries[usize::from(*id)].text == *key) {
            return Some(*id);
        }
        if entries.len() == KEYS_MAX {
            return None;
        }
        let id = entries.len() as u16;
        entries.push(Entry::new(key));
        self.next.push([0; 2]);
        index.insert_unique(hash, id, |id| hasher.hash_one(&*entries[usize::from(*id)].text));
        Some(id)
    }
}

impl Entry {
    fn new(key: &str) -> Self {
        let (head, len) = scan::block(key.as_bytes());
        let tail = key.as_bytes().last_chunk().copied().unwrap_or_default();
        Self { text: key.into(), head, bits: (1 << len) - 1, tail }
    }

    /// True if the key is what stands there. Blocks are compared: the texts of a heap cost a look at each one's page.
    #[inline]
    fn stands(&self, line: &[u8], range: std::ops::Range<usize>) -> bool {
        let is_begun = scan::same(&scan::block(&line[range.start..]).0, &self.head) & self.bits == self.bits;
        is_begun && (range.len() <= scan::BYTES || self.ends(&line[range]))
    }

    #[inline]
    fn is(&self, key: &str) -> bool {
        key.len() == self.text.len() && self.stands(key.as_bytes(), 0..key.len())
    }

    #[inline]
    fn ends(&self, text: &[u8]) -> bool {
        let is_end = text.last_chunk().is_some_and(|tail| scan::same(tail, &self.tail) == scan::ALL);
        is_end && (text.len() <= 2 * scan::BYTES || text == self.text.as_bytes())
    }
}

/// What each of some owners knows of the keys, by their numbers.
#[derive(Debug)]
pub(crate) struct ByKey<T> {
    owners: Vec<(usize, Vec<T>)>,
    /// The owner that was asked for last.
    last: usize,
}

impl<T> Default for ByKey<T> {
    fn default() -> Self {
        Self { owners: Vec::new(), last: 0 }
    }
}

impl<T> ByKey<T> {
    /// What an owner knows of the keys; `find` tells it of a new one.
    #[inline]
    pub(crate) fn of(&mut self, owner: usize, keys: &Keys, find: impl Fn(&str) -> T) -> &mut [T] {
        let place = self.place(owner);
        let known = &mut self.owners[place].1;
        for id in known.len()..keys.len() {
            known.push(find(keys.text(id)));
        }
        known
    }

    /// The place of an owner, which it keeps.
    #[inline]
    fn place(&mut self, owner: usize) -> usize {
        if self.owners.get(self.last).is_none_or(|(known, _)| *known != owner) {
            self.last = self.owners.iter().position(|(known, _)| *known == owner).unwrap_or(self.owners.len());
        }
        if self.last == self.owners.len() {
            self.owners.push((owner, Vec::new()));
        }
        self.last
    }

    /// What an owner knows of the keys so far, to be given back to the place that stands before it.
    #[inline]
    pub(crate) fn take(&mut self, owner: usize) -> (usize, Vec<T>) {
        let place = self.place(owner);
        (place, std::mem::take(&mut self.owners[place].1))
    }

    /// Gives back what [`ByKey::take`] gave.
    #[inline]
    pub(crate) fn put(&mut self, place: usize, known: Vec<T>) {
        self.owners[place].1 = known;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_came_next_is_guessed() {
        let mut keys = Keys::default();
        let names = ["a", "sixteen_bytes_is", "deviceInboundInterface", "a_key_of_more_than_thirty_two_bytes"];
        let line: String = names.iter().map(|name| format!("{name}=")).collect();
        for round in 0..2 {
            keys.begin();
            let mut at = 0;
            for (id, name) in names.iter().enumerate() {
                let guess = keys.guess(line.as_bytes(), at, b'=');
                assert_eq!(guess, (round > 0).then_some(at + name.len()), "{name}");
                let found = if guess.is_some() { keys.take_guess() } else { keys.take(name) };
                assert_eq!((found, keys.text(id)), (Some(id as u16), *name));
                at += name.len() + 1;
            }
        }
        assert_eq!(keys.len(), names.len());
    }

    #[test]
    fn keys_that_take_turns_keep_their_numbers() {
        let mut keys = Keys::default();
        let lines = ["type=id=type=arn=", "type=arn=type=id=", "type=other=", "type=arn=", "type=id="];
        for (line, want) in lines.into_iter().zip([&[0, 1, 0, 2][..], &[0, 2, 0, 1], &[0, 3], &[0, 2], &[0, 1]]) {
            keys.begin();
            let found: Vec<KeyId> = line.split_terminator('=').map(|key| keys.take(key)).collect();
            assert_eq!(found.into_iter().flatten().collect::<Vec<u16>>(), want, "{line}");
        }
    }

    #[test]
    fn what_looks_alike_is_no_guess() {
        let mut keys = Keys::default();
        let (long, longer) = ("a_key_of_twenty_bytes", "a_key_of_more_than_thirty_two_bytes");
        for (known, other) in
            [("ab", "ac"), (long, "a_key_of_twenty_bytez"), (longer, "a_key_of_more_thbn_thirty_two_bytes")]
        {
            keys.begin();
            keys.take(known);
            keys.begin();
            assert_eq!(keys.guess(format!("{known}=").as_bytes(), 0, b'='), Some(known.len()));
            for line in [format!("{other}="), format!("{known}:"), known.to_owned(), String::new()] {
                assert_eq!(keys.guess(line.as_bytes(), 0, b'='), None, "{line}");
            }
        }
    }

    #[test]
    fn a_key_beyond_the_longest_has_no_number() {
        let mut keys = Keys::default();
        let (longest, longer) = ("k".repeat(KEY_BYTES_MAX), "k".repeat(KEY_BYTES_MAX + 1));
        assert_eq!((keys.take(&longer), keys.take(&longest), keys.len()), (None, Some(0), 1));
    }

    #[test]
    fn keys_beyond_the_most_have_no_number() {
        let mut keys = Keys::default();
        let found: Vec<KeyId> = (0..KEYS_MAX + 2).map(|n| keys.take(&n.to_string())).collect();
        assert_eq!(found.iter().flatten().count(), KEYS_MAX);
        assert_eq!((keys.take("7"), keys.len()), (Some(7), KEYS_MAX));
        let mut known = ByKey::default();
        assert_eq!(known.of(1, &keys, str::len)[10..12], [2, 2]);
        assert_eq!(known.of(7, &keys, |_| 0)[10], 0);
        assert_eq!(known.of(1, &keys, |_| 0)[10], 2, "each owner is told once");
    }
}
