//! Objects that were just read: several merge groups need the same ranges, each its own part of them.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// Bytes that a worker keeps.
pub(super) const BYTES: usize = 64 << 20;

/// The last objects that were read, by path, up to a bound in bytes. Names are never used for other bytes, so what is kept stays true.
#[derive(Debug)]
pub(super) struct Recent {
    objects: HashMap<String, Bytes>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { objects: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(super) fn get(&self, path: &str) -> Option<Bytes> {
        self.objects.get(path).cloned()
    }

    pub(super) fn keep(&mut self, path: &str, bytes: &Bytes) {
        if bytes.len() > self.bytes_max || self.objects.insert(path.to_owned(), bytes.clone()).is_some() {
            return;
        }
        self.bytes += bytes.len();
        self.order.push_back(path.to_owned());
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.objects.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way_and_what_is_too_large_is_not_kept() {
        let mut recent = Recent::new(10);
        for (path, size) in [("a", 4), ("b", 4), ("b", 4), ("c", 4), ("huge", 11)] {
            recent.keep(path, &vec![0; size].into());
        }
        let kept = ["a", "b", "c", "huge"].map(|path| recent.get(path).is_some());
        assert_eq!((kept, recent.bytes), ([false, true, true, false], 8));
    }
}
