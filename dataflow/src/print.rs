//! A short string as four machine words, to compare and to hash without a loop over its bytes.

/// The length of a string and its first, middle and last bytes: all of it, up to [`Print::BYTES`].
#[derive(Debug, Clone, Copy)]
pub struct Print {
    len: usize,
    words: [u64; 3],
}

impl Print {
    /// Strings up to this length are equal if their prints are.
    pub const BYTES: usize = 24;

    /// The print of a string.
    #[inline]
    pub fn of(text: &[u8]) -> Self {
        let len = text.len();
        let words = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let middle = text[(len - 8) / 2..].first_chunk().unwrap_or(last);
            [first, middle, last].map(|w| u64::from_le_bytes(*w))
        } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            [u64::from(u32::from_le_bytes(*first)), 0, u64::from(u32::from_le_bytes(*last))]
        } else {
            // Up to three bytes: these are all of them.
            let byte = |at: usize| text.get(at).map_or(0, |&b| u64::from(b));
            [byte(0) | byte(1) << 8 | byte(2) << 16, 0, 0]
        };
        Self { len, words }
    }

    /// True if equal prints mean equal strings.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.len <= Self::BYTES
    }

    /// A hash in the upper bits, for tables of strings that nobody chooses to collide.
    #[inline]
    pub fn hash(&self) -> u64 {
        let [first, _, last] = self.words;
        (first ^ last.rotate_left(25) ^ self.len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Word by word: a comparison of the whole array would load sixteen bytes at once from where two words have just been stored,
/// and wait for them.
impl PartialEq for Print {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c], [x, y, z]) = (self.words, other.words);
        self.len == other.len && (a ^ x) | (b ^ y) | (c ^ z) == 0
    }
}

impl Eq for Print {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn prints_of_short_strings_are_the_strings() {
        let mut seen: HashMap<(usize, [u64; 3]), Vec<u8>> = HashMap::new();
        for len in 0..=Print::BYTES {
            for changed in 0..=len {
                let mut text = vec![b'a'; len];
                if let Some(byte) = text.get_mut(changed) {
                    *byte = b'b';
                }
                let print = Print::of(&text);
                assert!(print.is_whole());
                let known = seen.entry((print.len, print.words)).or_insert_with(|| text.clone());
                assert_eq!(known, &text);
            }
        }
        assert!(!Print::of(&[b'a'; 25]).is_whole());
    }
}
