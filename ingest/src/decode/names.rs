//! Names -> what they stand for: open addressing by the names' prints, so that one comparison of words decides.
//!
//! A device writes its names in one order. A reader that looks up one after the other stands at a [`Place`], and the table
//! remembers which name came after it the last time: nearly always that is the one, and nothing is hashed.

use std::sync::atomic::{AtomicU16, Ordering};

use dataflow::print::Print;

/// A table of names that is made once.
#[derive(Debug)]
pub(crate) struct Names<T> {
    entries: Vec<Entry<T>>,
    names: Vec<&'static str>,
    /// Index into `entries` plus one; 0 is free. A power of two, at most a quarter full.
    buckets: Vec<u16>,
    /// By place: the index of the entry that came next the last time. A guess, which readers on other threads may change.
    next: Vec<AtomicU16>,
    /// By length: with which bytes the names of that length begin, as bits.
    lengths: [u64; LENGTHS],
}

/// Longer names are as long as the last.
const LENGTHS: usize = 32;

#[inline]
fn first_bit(name: &[u8]) -> u64 {
    1 << (name.first().copied().unwrap_or_default() & 63)
}

/// How far a reader of names is: after which of those that the table knows. It begins before the first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place(u16);

/// A document looks up some eighty of them: each begins a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Entry<T> {
    print: Print,
    value: T,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            names: Vec::new(),
            buckets: Vec::new(),
            next: vec![AtomicU16::new(0)],
            lengths: [0; LENGTHS],
        }
    }
}

impl<T> Names<T> {
    /// Adds a name.
    ///
    /// # Errors
    /// If it is there already, or there are too many.
    pub(crate) fn add(&mut self, name: &'static str, value: T) -> Result<(), String> {
        if self.names.contains(&name) {
            return Err(format!("{name} stands twice"));
        }
        self.names.push(name);
        self.lengths[name.len().min(LENGTHS - 1)] |= first_bit(name.as_bytes());
        self.entries.push(Entry { print: Print::of(name.as_bytes()), value });
        self.next.push(AtomicU16::new(self.entries.len() as u16));
        let least = self.entries.len() * 4;
        let first = if self.buckets.len() < least {
            self.buckets = vec![0; (least * 2).next_power_of_two()];
            0
        } else {
            self.entries.len() - 1
        };
        (first..self.entries.len()).try_for_each(|index| self.index(index))
    }

    /// Puts an entry into the first free bucket from its own on.
    fn index(&mut self, index: usize) -> Result<(), String> {
        let mask = self.buckets.len() - 1;
        let mut at = bucket(&self.entries[index].print) & mask;
        while self.buckets[at] != 0 {
            at = (at + 1) & mask;
        }
        self.buckets[at] = u16::try_from(index + 1).map_err(|_| "more than 65,534 names".to_owned())?;
        Ok(())
    }

    /// What a name stands for.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<&T> {
        self.find(&Print::of(key), key).map(|index| &self.entries[index].value)
    }

    /// Where the table has a name: [`Names::at`] gives what it stands for.
    pub(crate) fn position(&self, key: &str) -> Option<u16> {
        self.find(&Print::of(key.as_bytes()), key.as_bytes()).map(|index| index as u16)
    }

    /// What the name at a position stands for.
    #[inline]
    pub(crate) fn at(&self, position: u16) -> Option<&T> {
        self.entries.get(usize::from(position)).map(|entry| &entry.value)
    }

    /// As [`Names::get`], for a table that knows few of the names it is asked for.
    #[inline]
    pub(crate) fn get_rare(&self, key: &[u8]) -> Option<&T> {
        if self.lengths[key.len().min(LENGTHS - 1)] & first_bit(key) == 0 { None } else { self.get(key) }
    }

    /// As [`Names::get`], for a reader who looks up name after name.
    #[inline]
    pub(crate) fn get_after(&self, place: &mut Place, key: &[u8]) -> Option<&T> {
        let print = Print::of(key);
        let guess = self.next.get(usize::from(place.0)).map_or(0, |next| next.load(Ordering::Relaxed));
        match self.entries.get(usize::from(guess)) {
            Some(entry) if self.is(usize::from(guess), entry, &print, key) => {
                place.0 = guess + 1;
                Some(&entry.value)
            }
            _ => self.get_elsewhere(place, &print, key),
        }
    }

    #[inline(never)]
    fn get_elsewhere(&self, place: &mut Place, print: &Print, key: &[u8]) -> Option<&T> {
        let index = self.find(print, key)?;
        if let Some(next) = self.next.get(usize::from(place.0)) {
            next.store(index as u16, Ordering::Relaxed);
        }
        place.0 = index as u16 + 1;
        Some(&self.entries[index].value)
    }

    #[inline]
    fn is(&self, index: usize, entry: &Entry<T>, print: &Print, key: &[u8]) -> bool {
        entry.print == *print && (print.is_whole() || self.names[index].as_bytes() == key)
    }

    #[inline]
    fn find(&self, print: &Print, key: &[u8]) -> Option<usize> {
        let mask = self.buckets.len().wrapping_sub(1);
        let mut at = bucket(print) & mask;
        // Without names there are no buckets.
        while let Some(index) = self.buckets.get(at).and_then(|&b| usize::from(b).checked_sub(1)) {
            if self.is(index, &self.entries[index], print, key) {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// As [`Names::get`], to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let index = self.names.iter().position(|n| *n == key)?;
        self.entries.get_mut(index).map(|e| &mut e.value)
    }

    /// The names, in the order in which they were added.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }
}

fn bucket(print: &Print) -> usize {
    (print.hash() >> 40) as usize
}
