//! A search for the marks that divide a line, sixteen bytes at a time: columns and pairs are so short that a search for each
//! mark costs more than the bytes between.

use std::ops::Range;

use wide::u8x16;

/// Bytes of a block.
pub(crate) const BYTES: usize = 16;

/// A bit for each byte of a block.
pub(crate) const ALL: u32 = (1 << BYTES) - 1;

/// A bit for each byte that is the mark.
#[inline]
fn marked(bytes: &[u8; BYTES], mark: u8) -> u32 {
    u8x16::new(*bytes).simd_eq(u8x16::splat(mark)).to_bitmask()
}

/// A bit for each byte that two blocks have in common.
#[inline]
pub(crate) fn same(a: &[u8; BYTES], b: &[u8; BYTES]) -> u32 {
    u8x16::new(*a).simd_eq(u8x16::new(*b)).to_bitmask()
}

/// A bit for each byte that ends a JSON string or is not its own text in one: quotes, backslashes and control characters.
#[inline]
pub(crate) fn json_ends(block: &[u8; BYTES]) -> u32 {
    let bytes = u8x16::new(*block);
    let of = |mark: u8| bytes.simd_eq(u8x16::splat(mark));
    (of(b'"') | of(b'\\') | bytes.simd_le(u8x16::splat(0x1f))).to_bitmask()
}

/// How many digits a block begins with.
#[inline]
pub(crate) fn digits(block: &[u8; BYTES]) -> usize {
    let values = u8x16::new(*block) - u8x16::splat(b'0');
    values.simd_le(u8x16::splat(9)).to_bitmask().trailing_ones() as usize
}

/// The first place from `from` on of either mark, for texts that are mostly shorter than a block.
#[inline]
pub(crate) fn find(line: &[u8], from: usize, (mark, other): (u8, u8)) -> Option<usize> {
    let mut at = from;
    while at < line.len() {
        let (block, len) = block(&line[at..]);
        let hits = (marked(&block, mark) | marked(&block, other)) & (ALL >> (BYTES - len));
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += len;
    }
    None
}

/// Finds what stands between the marks of a range and is not empty: where it begins, and at which mark it ends. `open` is
/// where a text began that goes on at the range's start. Gives where the text began that no mark of the range ends.
#[inline]
pub(crate) fn each_filled(
    line: &[u8],
    range: Range<usize>,
    mark: u8,
    mut open: Option<usize>,
    mut found: impl FnMut(usize, usize),
) -> Option<usize> {
    let (words, rest) = line[range.clone()].as_chunks::<WORD>();
    let mut start = range.start;
    for word in words {
        open = filled_of_word(start, marked_word(word, mark), open, &mut found);
        start += WORD;
    }
    open = filled_of_word(start, marked_rest(rest, mark), open, &mut found);
    open.filter(|begun| *begun < range.end)
}

/// Bytes of whose marks a word is made.
const WORD: usize = 64;

/// As [`each_filled`], of bytes from `start` on whose marks are these. A text begins or ends wherever a byte differs from the
/// one before it in being a mark.
#[inline]
fn filled_of_word(
    start: usize,
    marks: u64,
    open: Option<usize>,
    found: &mut impl FnMut(usize, usize),
) -> Option<usize> {
    let mut edges = marks ^ (marks << 1 | u64::from(open.is_none()));
    let at = |edges: u64| start + edges.trailing_zeros() as usize;
    let mut begun = match open {
        Some(begun) => begun,
        None if edges == 0 => return None,
        None => {
            let begun = at(edges);
            edges &= edges - 1;
            begun
        }
    };
    while edges != 0 {
        found(begun, at(edges));
        edges &= edges - 1;
        if edges == 0 {
            return None;
        }
        begun = at(edges);
        edges &= edges - 1;
    }
    Some(begun)
}

/// A bit for each byte that is the mark.
#[inline]
fn marked_word(word: &[u8; WORD], mark: u8) -> u64 {
    let (blocks, _) = word.as_chunks::<BYTES>();
    blocks.iter().rev().fold(0, |marks, block| marks << BYTES | u64::from(marked(block, mark)))
}

/// As [`marked_word`], of fewer bytes; no bit beyond them.
#[inline]
fn marked_rest(bytes: &[u8], mark: u8) -> u64 {
    let mut word = [mark ^ 1; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    marked_word(&word, mark)
}

/// The first bytes of a text, and how many of them are the text's.
#[inline]
pub(crate) fn block(text: &[u8]) -> ([u8; BYTES], usize) {
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
        fn finds_what_is_filled_as_a_loop_does(line in proptest::collection::vec(0x3cu8..0x3f, 0..200), from in 0usize..8, is_open: bool) {
            let (from, open) = (from.min(line.len()), is_open.then_some(0));
            let mut found = Vec::new();
            let last = each_filled(&line, from..line.len(), b'=', open, |start, end| found.push((start, end)));
            let (mut want, mut begun) = (Vec::new(), open);
            for (at, byte) in line.iter().enumerate().skip(from) {
                match begun {
                    Some(start) if *byte == b'=' => want.push((start, at)),
                    None if *byte != b'=' => begun = Some(at),
                    _ => continue,
                }
                if *byte == b'=' {
                    begun = None;
                }
            }
            prop_assert_eq!((found, last), (want, begun.filter(|begun| *begun < line.len())));
        }

        #[test]
        fn finds_the_first_as_a_loop_does(line in "[a-d]{0,40}", from in 0usize..44) {
            let is_it = |at: &usize| matches!(line.as_bytes()[*at], b'a' | b'c');
            prop_assert_eq!(find(line.as_bytes(), from, (b'a', b'c')), (from..line.len()).find(is_it));
        }

        #[test]
        fn words_are_what_a_loop_finds(line in "[a-z@-\\[`{/:09_. é]{0,40}", from in 0usize..8) {
            let range = from.min(line.len())..line.len().saturating_sub(3).max(from.min(line.len()));
            let want = line.as_bytes()[range.clone()].iter().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(b));
            prop_assert_eq!(is_word(line.as_bytes(), range, b"."), want);
        }
    }
}
