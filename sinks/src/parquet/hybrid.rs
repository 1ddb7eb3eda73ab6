//! Parquet's hybrid of runs and bit-packed groups: small numbers, many of them alike, in few bytes.
//!
//! ```text
//!   7 7 7 7 7 7 7 7 7  1 2 3 4 5 6 7 0    width 3
//!   run of 9 sevens    one group of 8
//!   [18] [7]           [3] [3 bytes]      a header's lowest bit tells a run (0) from groups (1)
//! ```
//!
//! Data in: numbers below `1 << width`. Data out: their encoding; a last group is filled up with zeros, which readers know
//! from the page's number of values.

/// A group; shorter runs are packed.
const GROUP: usize = 8;

/// Groups under one header: its varint is one byte then.
const GROUPS_MAX: usize = 63;

/// Numbers being encoded.
#[derive(Debug)]
pub(super) struct Hybrid {
    width: u32,
    out: Vec<u8>,
    /// Numbers to be packed, before the run.
    packed: Vec<u32>,
    run: u32,
    run_len: usize,
}

impl Hybrid {
    /// Nothing yet; numbers have `width` bits, at most 32.
    pub(super) fn new(width: u32) -> Self {
        Self { width, out: Vec::new(), packed: Vec::with_capacity(GROUP * GROUPS_MAX), run: 0, run_len: 0 }
    }

    /// The bits of a number that may be as high as `max`.
    pub(super) fn width_of(max: u32) -> u32 {
        u32::BITS - max.leading_zeros()
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// Bytes so far, about.
    pub(super) fn len(&self) -> usize {
        self.out.len() + self.packed.len() * self.width as usize / 8
    }

    /// Adds one number.
    #[inline]
    pub(super) fn put(&mut self, number: u32) {
        if number != self.run || self.run_len == 0 {
            self.end_run();
            self.run = number;
        }
        self.run_len += 1;
    }

    /// Adds a number `times` times.
    pub(super) fn put_run(&mut self, number: u32, times: usize) {
        if times > 0 {
            self.put(number);
            self.run_len += times - 1;
        }
    }

    #[inline]
    fn end_run(&mut self) {
        if self.run_len >= GROUP {
            self.write_run();
        } else {
            self.packed.extend(std::iter::repeat_n(self.run, self.run_len));
        }
        self.run_len = 0;
        if self.packed.len() >= GROUP * GROUPS_MAX {
            self.write_groups(GROUPS_MAX);
        }
    }

    /// The run fills up the last group first, and is packed too if too little is left of it.
    fn write_run(&mut self) {
        let missing = self.packed.len().next_multiple_of(GROUP) - self.packed.len();
        self.packed.extend(std::iter::repeat_n(self.run, missing));
        let rest = self.run_len - missing;
        if rest < GROUP {
            self.packed.extend(std::iter::repeat_n(self.run, rest));
            return;
        }
        self.write_groups(GROUPS_MAX + 1);
        self.write_header((rest as u64) << 1);
        let bytes = self.width.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.run.to_le_bytes()[..bytes]);
    }

    /// Packs what makes whole groups, at most `max` of them.
    fn write_groups(&mut self, max: usize) {
        let groups = (self.packed.len() / GROUP).min(max);
        if groups == 0 {
            return;
        }
        self.write_header((groups as u64) << 1 | 1);
        let (mut bits, mut held) = (0u64, 0);
        for &number in &self.packed[..groups * GROUP] {
            bits |= u64::from(number) << held;
            held += self.width;
            while held >= 8 {
                self.out.push(bits as u8);
                bits >>= 8;
                held -= 8;
            }
        }
        self.packed.drain(..groups * GROUP);
    }

    /// A varint.
    fn write_header(&mut self, mut header: u64) {
        while header >= 0x80 {
            self.out.push(header as u8 | 0x80);
            header >>= 7;
        }
        self.out.push(header as u8);
    }

    /// Appends the encoding to `out` and begins anew, with numbers of `width` bits.
    pub(super) fn finish_into(&mut self, out: &mut Vec<u8>, width: u32) {
        self.end_run();
        self.packed.resize(self.packed.len().next_multiple_of(GROUP), 0);
        self.write_groups(usize::MAX);
        out.append(&mut self.out);
        (self.width, self.run) = (width, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The format's description, read literally.
    fn decode(bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let (mut found, mut at) = (Vec::new(), 0);
        while found.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[at];
                at += 1;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let len = width.div_ceil(8) as usize;
                let value = bytes[at..at + len].iter().rev().fold(0, |v, &b| v << 8 | u32::from(b));
                at += len;
                found.extend(std::iter::repeat_n(value, (header >> 1) as usize));
            } else {
                let numbers = (header >> 1) as usize * 8;
                let bit = |n: usize| u32::from(bytes[at + n / 8] >> (n % 8) & 1);
                let number = |n: usize| (0..width as usize).map(|b| bit(n * width as usize + b) << b).sum::<u32>();
                found.extend((0..numbers).map(number));
                at += numbers * width as usize / 8;
            }
        }
        assert_eq!(at, bytes.len());
        found.truncate(count);
        found
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            width in 0u32..=32,
            runs in proptest::collection::vec((0u32.., proptest::prop_oneof![1usize..4, 1usize..40, 500usize..700]), 0..60),
            alike in proptest::bool::ANY,
        ) {
            let mask = ((1u64 << width) - 1) as u32;
            let number = |n: u32| if alike { (n % 3) & mask } else { n & mask };
            let mut hybrid = Hybrid::new(width);
            let mut want = Vec::new();
            for &(n, times) in &runs {
                if times == 1 { hybrid.put(number(n)) } else { hybrid.put_run(number(n), times) }
                want.extend(std::iter::repeat_n(number(n), times));
            }
            hybrid.put_run(9, 0);
            let mut bytes = Vec::new();
            hybrid.finish_into(&mut bytes, width);
            assert_eq!(decode(&bytes, width, want.len()), want);
            hybrid.put(0);
            let mut again = Vec::new();
            hybrid.finish_into(&mut again, width);
            assert_eq!(decode(&again, width, 1), [0]);
        }
    }

    #[test]
    fn runs_cost_a_few_bytes_and_groups_their_bits() {
        let mut hybrid = Hybrid::new(Hybrid::width_of(5));
        hybrid.put_run(5, 1_000_000);
        let mut bytes = Vec::new();
        hybrid.finish_into(&mut bytes, 1);
        assert_eq!((bytes.len(), hybrid.width()), (4, 1));
        (0..800).for_each(|n| hybrid.put(n % 2));
        bytes.clear();
        assert!(hybrid.len() > 0);
        hybrid.finish_into(&mut bytes, 1);
        assert_eq!(bytes.len(), 100 + 2, "a bit each and two headers");
        assert_eq!([0, 1, 2, 255, 256].map(Hybrid::width_of), [0, 1, 2, 8, 9]);
    }
}
