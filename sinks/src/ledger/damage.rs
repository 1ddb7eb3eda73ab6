//! Entries and floors that are not as they were written: an error, and never a panic or a reach for memory. `PROPTEST_CASES` says
//! how many cases are tried.

use std::sync::LazyLock;

use dataflow::{PartitionId, Table};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Collected, Floor, MergeEntry, ObjectRef, SourceEntry, StagedFile, TableFiles, codec, paths};

/// Objects of each kind.
struct Samples {
    source: Vec<u8>,
    merge: Vec<u8>,
    floor: Vec<u8>,
}

static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let partition = PartitionId::new("fw@eu", "i", 3);
    let mut source = SourceEntry::empty(partition.clone(), 5, 9, "w", Uuid::from_u128(7));
    source.tables.insert(Table::NetworkActivity.into(), TableFiles::from_iter([file()]));
    source.exchange = Some(ObjectRef { path: "e".to_owned(), crc: 1, bytes: 2 });
    let mut merge = MergeEntry::empty(0, 4, 77, "w", Uuid::from_u128(8));
    merge.vector.insert(partition.clone(), 9);
    let collected = Collected { entries: 2, lost: 1, ..Collected::from(&source) };
    let floor = Floor { chain: partition.path(), position: 5, collected };
    Samples { source: encoded(&source), merge: encoded(&merge), floor: encoded(&floor) }
});

fn file() -> StagedFile {
    StagedFile {
        location: "/w/x.parquet".to_owned(),
        slot: 20_000,
        sort_order_id: None,
        rows: 4,
        bytes: 99,
        time_min: -5,
        time_max: 7,
        schema_id: 0,
        spec_id: 0,
        split_offsets: vec![4],
        columns: Vec::new(),
    }
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value).expect("encoded")
}

/// What the bytes hold; encoded again, so that kinds can be compared. None if they are refused.
type Reader = fn(&[u8]) -> Option<Vec<u8>>;

fn reader<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<Vec<u8>> {
    codec::decode::<T>("x", bytes).ok().map(|value| encoded(&value))
}

fn readers() -> [(&'static [u8], Reader); 3] {
    [
        (&SAMPLES.source, reader::<SourceEntry>),
        (&SAMPLES.merge, reader::<MergeEntry>),
        (&SAMPLES.floor, reader::<Floor>),
    ]
}

/// Reads the bytes within a bound of memory that follows from their length.
fn read(reader: Reader, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    let used = allocation_counter::measure(|| found = reader(bytes)).bytes_max;
    assert!(used <= (1 << 20) + 64 * bytes.len() as u64, "{used} bytes of memory for {}", bytes.len());
    found
}

/// The entry's text of an object.
fn text(object: &[u8]) -> &[u8] {
    let begin = object.windows(8).position(|w| w == b"\"entry\":").expect("an entry") + 8;
    &object[begin..object.len() - 1]
}

/// An object of such a text, with a checksum that is right.
fn sealed(text: &[u8]) -> Vec<u8> {
    let head = format!("{{\"protocol\":{},\"crc\":{},\"entry\":", codec::PROTOCOL_VERSION, crc32fast::hash(text));
    [head.as_bytes(), text, b"}"].concat()
}

#[test]
fn what_was_written_is_read() {
    for (sample, reader) in readers() {
        assert_eq!(read(reader, sample).as_deref(), Some(sample));
        assert_eq!(sealed(text(sample)), sample);
    }
}

proptest! {
    #[test]
    fn a_change_anywhere_is_an_error(at: Index, change in 1..=u8::MAX) {
        for (sample, reader) in readers() {
            let mut bytes = sample.to_vec();
            bytes[at.index(sample.len())] ^= change;
            prop_assert_eq!(read(reader, &bytes), None);
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error(at: Index) {
        for (sample, reader) in readers() {
            prop_assert_eq!(read(reader, &sample[..at.index(sample.len())]), None);
        }
    }

    #[test]
    fn bytes_behind_the_end_are_an_error_or_nothing(more in proptest::collection::vec(any::<u8>(), 1..64)) {
        let is_blank = more.iter().all(|byte| b" \t\r\n".contains(byte));
        for (sample, reader) in readers() {
            let found = read(reader, &[sample, &more].concat());
            prop_assert_eq!(found.as_deref(), is_blank.then_some(sample));
        }
    }

    /// Some other program wrote it: it is refused, or it is an entry that can be written again.
    #[test]
    fn a_text_that_lies_under_a_right_checksum_is_no_panic(at: Index, len in 0..6_usize, lies in "[ -~]{0,12}") {
        for (sample, reader) in readers() {
            let text = text(sample);
            let at = at.index(text.len());
            let end = (at + len).min(text.len());
            let other = [&text[..at], lies.as_bytes(), &text[end..]].concat();
            if let Some(again) = read(reader, &sealed(&other)) {
                prop_assert_eq!(read(reader, &again), Some(again));
            }
        }
    }

    #[test]
    fn no_bytes_at_all_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, reader) in readers() {
            prop_assert_eq!(read(reader, &bytes), None);
            read(reader, &sealed(&bytes));
        }
    }

    #[test]
    fn no_name_of_an_object_makes_us_panic(name in "\\PC{0,60}|[0-9]{18,22}-?[0-9a-f-]{0,36}\\.(arrow|entry|floor)") {
        let found = paths::entry_start(&name).or(paths::numbered(&name, ".floor")).or(paths::attempt_start(&name));
        prop_assert!(found.is_none_or(|_| name.len() >= 26));
        drop(PartitionId::parse(&name));
    }
}
