//! A search for the marks that divide a line, sixteen bytes at a time: columns and pairs are so short that a search for each
//! mark costs more than the bytes between.

use std::ops::Range;

use wide::u8x16;

const BYTES: usize = 16;

/// A bit for each byte that is the mark.
#[inline]
fn marked(bytes: &[u8; BYTES], mark: u8) -> u32 {
    u8x16::new(*bytes).simd_eq(u8x16::splat(mark)).to_bitmask()
}

/// Finds a byte.
#[inline]
pub(crate) fn each(line: &[u8], mark: u8, mut found: impl FnMut(usize)) {
    let (blocks, rest) = line.as_chunks::<BYTES>();
    for (start, block) in (0..).step_by(BYTES).zip(blocks) {
        let mut hits = marked(block, mark);
        while hits != 0 {
            found(start + hits.trailing_zeros() as usize);
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
    let (mut at, mut last) = (range.start, None);
    while at < range.end {
        let (block, len) = block(&line[at..range.end]);
        let (mut pairs, mut values) = (marked(&block, pair), marked(&block, value));
        let mut next = at + len;
        while values != 0 {
            let bit = values & values.wrapping_neg();
            let before = pairs & (bit - 1);
            if before != 0 {
                last = Some(at + before.ilog2() as usize);
            }
            let from = found(last.take(), at + bit.trailing_zeros() as usize);
            if from >= at + len {
                (next, pairs) = (from, 0);
                break;
            }
            let ahead = u32::MAX << (from - at);
            (pairs, values) = (pairs & ahead, values & ahead);
        }
        if pairs != 0 {
            last = Some(at + pairs.ilog2() as usize);
        }
        at = next;
    }
}

/// The first bytes of a text, and how many of them are the text's.
#[inline]
fn block(text: &[u8]) -> ([u8; BYTES], usize) {
    match text.first_chunk() {
        Some(block) => (*block, BYTES),
        None => {
            let mut block = [0; BYTES];
            block[..text.len()].copy_from_slice(text);
            (block, text.len())
        }
    }
}

/// True if the range holds letters, digits, `_` and those bytes only.
#[inline]
pub(crate) fn is_word(line: &[u8], range: Range<usize>, others: &[u8]) -> bool {
    let mut at = range.start;
    while at < range.end {
        // What stands behind the range does not count.
        let bytes = u8x16::new(block(&line[at..]).0);
        let within =
            |bytes: u8x16, first: u8, last: u8| (bytes - u8x16::splat(first)).simd_le(u8x16::splat(last - first));
        let letters_and_digits = within(bytes | u8x16::splat(0x20), b'a', b'z') | within(bytes, b'0', b'9');
        let len = (range.end - at).min(BYTES);
        let known = (letters_and_digits | bytes.simd_eq(u8x16::splat(b'_'))).to_bitmask();
        if !known & ((1 << len) - 1) != 0 && !is_word_of(&line[at..at + len], others) {
            return false;
        }
        at += len;
    }
    true
}

#[cold]
fn is_word_of(text: &[u8], others: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || others.contains(b))
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
        fn words_are_what_a_loop_finds(line in "[a-z@-\\[`{/:09_. é]{0,40}", from in 0usize..8) {
            let range = from.min(line.len())..line.len().saturating_sub(3).max(from.min(line.len()));
            let want = line.as_bytes()[range.clone()].iter().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(b));
            prop_assert_eq!(is_word(line.as_bytes(), range, b"."), want);
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
