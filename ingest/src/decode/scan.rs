//! A search for the marks that divide a line, eight bytes at a time: columns and pairs are so short that a search for each
//! mark costs more than the bytes between.

use std::ops::Range;

const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);

/// The high bit of each byte that is the mark.
#[inline]
fn marked(word: u64, mark: u64) -> u64 {
    let differs = word ^ mark;
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// Finds a byte.
#[inline]
pub(crate) fn each(line: &[u8], mark: u8, mut found: impl FnMut(usize)) {
    let marks = u64::from_ne_bytes([mark; 8]);
    let (words, rest) = line.as_chunks::<8>();
    for (at, word) in (0..).step_by(8).zip(words) {
        let mut hits = marked(u64::from_le_bytes(*word), marks);
        while hits != 0 {
            found(at + hits.trailing_zeros() as usize / 8);
            hits &= hits - 1;
        }
    }
    let start = line.len() - rest.len();
    rest.iter().enumerate().filter(|(_, b)| **b == mark).for_each(|(at, _)| found(start + at));
}

/// Finds what may end the keys of pairs: a `value` mark, with the last `pair` mark between it and what was found before.
/// `found` says where to go on.
#[inline]
pub(crate) fn each_pair(
    line: &[u8],
    range: Range<usize>,
    (pair, value): (u8, u8),
    mut found: impl FnMut(Option<usize>, usize) -> usize,
) {
    let [pairs, values] = [pair, value].map(|mark| u64::from_ne_bytes([mark; 8]));
    let (mut last, mut from) = (None, range.start);
    let mut take = |at: usize, is_value: bool| {
        if at < from {
        } else if is_value {
            from = found(last.take(), at);
        } else {
            last = Some(at);
        }
    };
    let (words, rest) = line[range.clone()].as_chunks::<8>();
    for (start, word) in (range.start..).step_by(8).zip(words) {
        let word = u64::from_le_bytes(*word);
        let of_value = marked(word, values);
        let mut hits = of_value | marked(word, pairs);
        while hits != 0 {
            let bit = hits & hits.wrapping_neg();
            take(start + bit.trailing_zeros() as usize / 8, of_value & bit != 0);
            hits ^= bit;
        }
    }
    let start = range.end - rest.len();
    let marks = rest.iter().enumerate().filter(|(_, b)| **b == value || **b == pair);
    marks.for_each(|(at, b)| take(start + at, *b == value));
}

/// A set of bytes.
#[derive(Debug)]
pub(crate) struct Bytes([bool; 256]);

impl Bytes {
    /// Letters, digits, and those.
    pub(crate) const fn alphanumeric_and(others: &[u8]) -> Self {
        let (mut set, mut at) = ([false; 256], 0);
        while at < 256 {
            set[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        at = 0;
        while at < others.len() {
            set[others[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    /// True if the text is made of them.
    #[inline]
    pub(crate) fn make_up(&self, text: &[u8]) -> bool {
        text.iter().all(|b| self.0[usize::from(*b)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(crate::decode::tests::cases(256))]

        #[test]
        fn finds_what_a_loop_finds(line in proptest::collection::vec(0x3au8..0x40, 0..64)) {
            let mut found = Vec::new();
            each(&line, b'=', |at| found.push(at));
            let want: Vec<usize> = (0..line.len()).filter(|at| line[*at] == b'=').collect();
            prop_assert_eq!(found, want);
        }

        #[test]
        fn finds_pairs_as_a_loop_does(line in "[ =ab]{0,40}", from in 0usize..8, skip in 0usize..4) {
            let (line, from) = (line.as_bytes(), from.min(line.len()));
            let mut found = Vec::new();
            each_pair(line, from..line.len(), (b' ', b'='), |last, at| {
                found.push((last, at));
                at + 1 + skip
            });
            let (mut want, mut at, mut last) = (Vec::new(), from, None);
            while at < line.len() {
                if line[at] == b'=' {
                    want.push((last.take(), at));
                    at += skip;
                } else if line[at] == b' ' {
                    last = Some(at);
                }
                at += 1;
            }
            prop_assert_eq!(found, want);
        }
    }
}
