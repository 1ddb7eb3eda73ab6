//! Names -> what they mean, to look up for each member of a document and each pair of an event.

use dataflow::print::Print;

/// Names -> what they mean: open addressing by the names' prints, so that one comparison of words decides.
#[derive(Debug)]
pub(super) struct Names<T> {
    entries: Vec<Entry<T>>,
    names: Vec<&'static str>,
    /// Index into `entries` plus one; 0 is free. A power of two, at most a quarter full.
    buckets: Vec<u16>,
}

/// A document looks up some eighty of them: each begins a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Entry<T> {
    print: Print,
    value: T,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), names: Vec::new(), buckets: Vec::new() }
    }
}

impl<T> Names<T> {
    pub(super) fn add(&mut self, name: &'static str, value: T) -> Result<(), String> {
        if self.get(name.as_bytes()).is_some() {
            return Err(format!("{name} stands twice"));
        }
        self.names.push(name);
        self.entries.push(Entry { print: Print::of(name.as_bytes()), value });
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

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&T> {
        let print = Print::of(key);
        let mask = self.buckets.len().wrapping_sub(1);
        let mut at = bucket(&print) & mask;
        // Without names there are no buckets.
        while let Some(index) = self.buckets.get(at).and_then(|&b| usize::from(b).checked_sub(1)) {
            let entry = &self.entries[index];
            if entry.print == print && (print.is_whole() || self.names[index].as_bytes() == key) {
                return Some(&entry.value);
            }
            at = (at + 1) & mask;
        }
        None
    }
}

fn bucket(print: &Print) -> usize {
    (print.hash() >> 40) as usize
}
