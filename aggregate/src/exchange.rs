//! What one offset range adds to all merge groups, and its file: each group's part can be read without the others.
//!
//! ```text
//! "PALX" | version u16 | groups G u32 | G x (offset u64, length u64) | CRC-32 of all before     the index
//! part of group 0 | part of group 1 | ...                                       Delta::encode, each with its own CRC
//! ```
//!
//! Numbers are little-endian, offsets count from the file's start, a group without rows has no bytes. The index has a
//! length that follows from G alone, so a merger that may read parts of an object reads the index, then its own part.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::delta::Delta;
use crate::error::{AggregateError, Result};

const MAGIC: [u8; 4] = *b"PALX";
const VERSION: u16 = 1;
/// Magic, version and number of groups.
const HEAD: usize = 10;
/// Offset and length of one part.
const SLOT: usize = 16;
const CRC: usize = 4;

/// What a range adds, split by merge group.
#[derive(Debug, Clone, PartialEq)]
pub struct Deltas {
    parts: Vec<Delta>,
}

impl Deltas {
    /// Nothing, for each of the groups.
    pub fn empty(groups: NonZeroU32) -> Self {
        Self { parts: (0..groups.get()).map(Delta::empty).collect() }
    }

    /// What the range adds to one group; none if there is no such group.
    pub fn for_group(&self, group: u32) -> Option<&Delta> {
        self.parts.get(group as usize)
    }

    /// The parts, in the order of their groups.
    pub fn into_groups(self) -> Vec<Delta> {
        self.parts
    }

    pub(crate) fn parts_mut(&mut self) -> &mut [Delta] {
        &mut self.parts
    }

    /// True if no windowed rule saw a row.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Delta::is_empty)
    }

    /// State rows held: keys, over all groups, rules and panes.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(Delta::rows).sum()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Delta::bytes).sum()
    }

    /// The exchange file's bytes.
    ///
    /// # Errors
    /// If Arrow cannot write a column, which no supported aggregate has.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let index_bytes = HEAD + self.parts.len() * SLOT + CRC;
        let mut file = Vec::with_capacity(index_bytes + self.bytes());
        file.resize(index_bytes, 0);
        let mut parts = Vec::with_capacity(self.parts.len());
        for delta in &self.parts {
            let start = file.len();
            if !delta.is_empty() {
                delta.append(&mut file)?;
            }
            parts.push(start..file.len());
        }
        file[..index_bytes].copy_from_slice(&index(&parts));
        Ok(file)
    }

    /// Reads every group's part of an exchange file.
    ///
    /// # Errors
    /// If the bytes are damaged or of another version.
    pub fn decode(file: &[u8]) -> Result<Deltas> {
        let index = ExchangeIndex::read(file)?;
        let parts = (0..index.groups()).map(|group| index.part(file, group));
        Ok(Deltas { parts: parts.collect::<Result<_>>()? })
    }

    /// Reads one group's part of an exchange file; the others are not looked at.
    ///
    /// # Errors
    /// If the index or the part is damaged or of another version, or the file has no such group.
    pub fn decode_group(file: &[u8], group: u32) -> Result<Delta> {
        ExchangeIndex::read(file)?.part(file, group)
    }
}

/// The index of parts that lie there.
fn index(parts: &[Range<usize>]) -> Vec<u8> {
    let mut index = Vec::with_capacity(HEAD + parts.len() * SLOT + CRC);
    index.extend_from_slice(&MAGIC);
    index.extend_from_slice(&VERSION.to_le_bytes());
    index.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    for part in parts {
        index.extend_from_slice(&(part.start as u64).to_le_bytes());
        index.extend_from_slice(&(part.len() as u64).to_le_bytes());
    }
    let crc = crc32fast::hash(&index);
    index.extend_from_slice(&crc.to_le_bytes());
    index
}

/// Where each group's part lies in an exchange file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeIndex {
    parts: Vec<Range<u64>>,
}

impl ExchangeIndex {
    /// Bytes of the index of so many groups: what must be read of a file, from its start, to know its parts.
    pub fn bytes(groups: NonZeroU32) -> usize {
        HEAD + groups.get() as usize * SLOT + CRC
    }

    /// Reads the index from a file's first bytes; what follows it is not looked at.
    ///
    /// # Errors
    /// If the bytes are damaged, cut off or of another version.
    pub fn read(file: &[u8]) -> Result<Self> {
        let (head, rest) = file.split_first_chunk::<HEAD>().ok_or_else(|| error("it is too short"))?;
        let [m0, m1, m2, m3, v0, v1, g0, g1, g2, g3] = *head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(error("it begins otherwise"));
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            let (found, oldest, newest) = (version, VERSION, VERSION);
            return Err(AggregateError::Version { what: "exchange file", found, oldest, newest });
        }
        let slots = u32::from_le_bytes([g0, g1, g2, g3]) as usize * SLOT;
        let slots = rest.get(..slots).ok_or_else(|| error("its index is cut off"))?;
        let crc = rest[slots.len()..].first_chunk::<CRC>().ok_or_else(|| error("its index is cut off"))?;
        if crc32fast::hash(&file[..HEAD + slots.len()]) != u32::from_le_bytes(*crc) {
            return Err(error("the CRC of its index is wrong"));
        }
        Ok(Self { parts: slots.chunks_exact(SLOT).map(slot).collect() })
    }

    /// How many groups the file is split into.
    pub fn groups(&self) -> u32 {
        self.parts.len() as u32
    }

    /// Where the group's part lies, for [`Delta::decode`]; none if the file has no such group.
    pub fn range(&self, group: u32) -> Option<Range<u64>> {
        self.parts.get(group as usize).cloned()
    }

    fn part(&self, file: &[u8], group: u32) -> Result<Delta> {
        let no_group = || error(format!("it has {} merge groups and no group {group}", self.groups()));
        let range = self.range(group).ok_or_else(no_group)?;
        let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let part = range.and_then(|(start, end)| file.get(start..end));
        Delta::decode(part.ok_or_else(|| error(format!("its part of group {group} is cut off")))?, group)
    }
}

fn slot(bytes: &[u8]) -> Range<u64> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let (start, len) = (number(&bytes[..8]), number(&bytes[8..]));
    start..start.saturating_add(len)
}

fn error(why: impl Into<String>) -> AggregateError {
    AggregateError::Decode { what: "exchange file", why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{deltas, event, partition, rules};

    const COUNT: &str = "SELECT window_end, src_ip, count(DISTINCT dst_port) AS n
        FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) GROUP BY window_start, window_end, src_ip";

    fn groups(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("above zero")
    }

    /// Forty keys of two rules in so many groups.
    fn some(n: u32) -> Deltas {
        let rules = rules(&[("", COUNT), ("evidence: 0", &COUNT.replace("DISTINCT dst_port", "*"))]);
        let rows: Vec<_> = (0..40).map(|i| event(i, &format!("10.0.0.{i}"), 1)).collect();
        deltas(&rules, &partition(0), 0, &rows, groups(n))
    }

    #[test]
    fn every_group_reads_its_own_part() {
        for n in [1, 2, 16] {
            let all = some(n);
            assert_eq!((all.rows(), all.is_empty()), (80, false));
            assert!(all.bytes() > 0);
            let file = all.encode().expect("encoded");
            assert_eq!(Deltas::decode(&file).expect("decoded"), all);
            let index = ExchangeIndex::read(&file[..ExchangeIndex::bytes(groups(n))]).expect("the index alone");
            assert_eq!(index.groups(), n);
            for group in 0..n {
                let part = Deltas::decode_group(&file, group).expect("decoded");
                assert_eq!((Some(&part), part.group()), (all.for_group(group), group));
                let range = index.range(group).expect("a part");
                let bytes = &file[range.start as usize..range.end as usize];
                assert_eq!(Delta::decode(bytes, group).expect("decoded"), part);
                let other = Delta::decode(bytes, group + 1);
                assert!(
                    matches!(other, Err(AggregateError::Group { found, wanted }) if (found, wanted) == (group, group + 1))
                );
            }
            assert_eq!((all.for_group(n), index.range(n)), (None, None));
            let error = Deltas::decode_group(&file, n).expect_err("no such group").to_string();
            assert_eq!(error, format!("cannot read exchange file: it has {n} merge groups and no group {n}"));
            assert_eq!(all.into_groups().len() as u32, n);
        }
    }

    #[test]
    fn groups_without_rows_take_no_bytes() {
        let none = Deltas::empty(groups(16));
        let file = none.encode().expect("encoded");
        assert_eq!(file.len(), ExchangeIndex::bytes(groups(16)));
        assert_eq!(Deltas::decode(&file).expect("decoded"), none);
        assert!(none.is_empty());
    }

    #[test]
    fn damage_to_a_part_is_that_groups_alone() {
        let all = some(2);
        let mut file = all.encode().expect("encoded");
        let last = file.len() - 9;
        file[last] ^= 1;
        assert_eq!(Deltas::decode_group(&file, 0).ok().as_ref(), all.for_group(0));
        let error = Deltas::decode_group(&file, 1).expect_err("damaged").to_string();
        assert_eq!(error, "cannot read delta: its CRC is wrong");
        assert!(Deltas::decode(&file).is_err());
    }

    #[test]
    fn other_and_damaged_files_are_refused_with_the_reason() {
        let file = some(2).encode().expect("encoded");
        let wrong = |file: &[u8]| Deltas::decode(file).expect_err("refused").to_string();
        let with = |at: usize, byte: u8| {
            let mut other = file.clone();
            other[at] = byte;
            wrong(&other)
        };
        for (found, why) in [
            (with(0, b'Q'), "it begins otherwise"),
            (with(4, 9), "it is of version 9, and this program reads 1 to 1: use one that reads it (docs/upgrade.md)"),
            (with(6, 1), "the CRC of its index is wrong"),
            (with(9, 0xff), "its index is cut off"),
            (with(HEAD, 0xee), "the CRC of its index is wrong"),
            (wrong(&file[..9]), "it is too short"),
            (wrong(&file[..HEAD + 2 * SLOT]), "its index is cut off"),
            (wrong(&file[..file.len() - 1]), "its part of group 1 is cut off"),
        ] {
            assert_eq!(found, format!("cannot read exchange file: {why}"));
        }
        for at in (0..file.len()).step_by(61) {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(Deltas::decode(&damaged).is_err(), "byte {at}");
            assert!(Deltas::decode(&file[..at]).is_err(), "cut at {at}");
        }
    }
}
