//! Deltas, exchange files and merge states that are not as they were written: an error, and never a panic or a reach for memory.
//!
//! `PROPTEST_CASES` says how many cases are tried. Two kinds: bytes that changed, which a CRC tells; and bytes of our own framing
//! (magic, version, head, lengths) that some other program wrote with a CRC that is right.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use dataflow::OffsetRange;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::tests::{SECOND, deltas, event, partition, rules, step};
use crate::{Delta, Deltas, MergeStage, RuleSet};

const TUMBLE: &str = "SELECT window_end, src_ip, count(DISTINCT dst_port) AS ports, avg(traffic.bytes_out)
    FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) GROUP BY window_start, window_end, src_ip";
const SESSION: &str = "SELECT window_end, src_ip, count(*) AS n
    FROM SESSION(network_activity, DESCRIPTOR(time), INTERVAL '7' SECOND, INTERVAL '70' SECOND)
    GROUP BY window_start, window_end, src_ip";

/// Magic, version, and the length of the head.
const HEAD_AT: usize = 14;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| rules(&[("", TUMBLE), ("evidence: 2", SESSION)]));

/// Bytes of each kind.
struct Samples {
    delta: Vec<u8>,
    exchange: Vec<u8>,
    snapshot: Vec<u8>,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let rows: Vec<_> = (0..9).map(|i| event(i * SECOND, &format!("10.0.0.{i}"), 1)).collect();
    let deltas = deltas(&RULES, &partition(0), 0, &rows, NonZeroU32::new(2).expect("two"));
    let own = deltas.for_group(0).expect("a part");
    assert!(!own.is_empty(), "the group has keys");
    let mut merge = MergeStage::new(&RULES, 0);
    merge.apply(&partition(0), OffsetRange { start: 0, next: 9 }, own).expect("applied");
    step(&mut merge, 0, Some(3 * SECOND));
    Samples {
        delta: own.encode().expect("encoded"),
        exchange: deltas.encode().expect("encoded"),
        snapshot: merge.snapshot().expect("a snapshot"),
    }
});

/// What reads the bytes, and whether it read them.
type Reader = fn(&[u8]) -> bool;

fn readers() -> [(&'static [u8], Reader); 3] {
    [
        (&SAMPLES.delta, |bytes| Delta::decode(bytes, 0).is_ok()),
        (&SAMPLES.exchange, |bytes| Deltas::decode(bytes).is_ok()),
        (&SAMPLES.snapshot, |bytes| MergeStage::restore(&RULES, 0, bytes).is_ok()),
    ]
}

/// Reads the bytes within a bound of memory that follows from their length.
fn read(reader: Reader, bytes: &[u8]) -> bool {
    let mut is_read = false;
    let used = allocation_counter::measure(|| is_read = reader(bytes)).bytes_max;
    let bound = (4 << 20) + 64 * bytes.len() as u64;
    assert!(used <= bound, "{used} bytes of memory for {}", bytes.len());
    is_read
}

/// The bytes with a CRC that is right.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(4);
    let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
    // Of bytes that are too few for a CRC it is the beginning.
    bytes[end..].iter_mut().zip(crc).for_each(|(byte, crc)| *byte = crc);
    bytes
}

/// Where the head of a delta or snapshot ends, and with it the length of its first block.
fn framing(bytes: &[u8]) -> usize {
    let length = bytes[6..HEAD_AT].iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte));
    HEAD_AT + length + 8
}

#[test]
fn what_was_written_is_read() {
    assert!(readers().into_iter().all(|(sample, reader)| read(reader, sample)));
}

proptest! {
    #[test]
    fn a_change_anywhere_is_an_error(at: Index, change in 1..=u8::MAX) {
        for (sample, reader) in readers() {
            let mut bytes = sample.to_vec();
            bytes[at.index(sample.len())] ^= change;
            prop_assert!(!read(reader, &bytes));
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error(at: Index) {
        for (sample, reader) in readers() {
            let cut = &sample[..at.index(sample.len())];
            // A group without rows has no bytes.
            prop_assert_eq!(read(reader, cut), cut.is_empty() && std::ptr::fn_addr_eq(reader, readers()[0].1));
        }
    }

    #[test]
    fn bytes_behind_the_end_are_an_error(more in proptest::collection::vec(any::<u8>(), 1..64)) {
        let [delta, exchange, snapshot] = readers();
        for (sample, reader) in [delta, snapshot] {
            prop_assert!(!read(reader, &[sample, &more].concat()));
        }
        // Each part has its place in the index; what no place names is nobody's.
        prop_assert_eq!(Deltas::decode(&[exchange.0, &more].concat()).expect("read"), Deltas::decode(exchange.0).expect("read"));
    }

    #[test]
    fn no_bytes_at_all_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 1..400), is_begun: bool) {
        for (sample, reader) in readers() {
            let begin = if is_begun { &sample[..HEAD_AT] } else { &[] };
            prop_assert!(!read(reader, &sealed([begin, &bytes].concat())));
        }
    }

    #[test]
    fn a_frame_that_lies_under_a_right_crc_is_no_panic(at: Index, lies in proptest::collection::vec(any::<u8>(), 1..9)) {
        let [delta, _, snapshot] = readers();
        for (sample, reader) in [delta, snapshot] {
            let mut bytes = sample.to_vec();
            let at = at.index(framing(sample));
            let end = (at + lies.len()).min(framing(sample));
            bytes[at..end].copy_from_slice(&lies[..end - at]);
            // It may be a number of the head that is another: then it is read.
            read(reader, &sealed(bytes));
        }
    }

    #[test]
    fn an_index_that_lies_under_a_right_crc_is_no_panic(slot in 0..4_usize, lie: u64) {
        let mut bytes = SAMPLES.exchange.clone();
        let (at, crc_at) = (10 + slot * 8, 10 + 2 * 16);
        bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..crc_at]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        read(readers()[1].1, &bytes);
    }
}
