//! What one offset range of one partition adds to the windowed rules of one merge group: partial aggregate states,
//! mergeable.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Kind};
use crate::error::{AggregateError, Result};

const KIND: Kind = Kind { name: "delta", magic: *b"PALD", oldest: 3, version: 3 };

/// The states that a range adds to a merge group, rule by rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    group: u32,
    parts: Vec<Part>,
}

/// One rule's states: columns as [`crate::group_table::StateLayout`] with the pane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Which rule, in which version.
    pub(crate) fingerprint: String,
    pub(crate) state: RecordBatch,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    group: u32,
    fingerprints: Vec<String>,
}

impl Delta {
    /// A delta that adds nothing.
    pub fn empty(group: u32) -> Self {
        Self { group, parts: Vec::new() }
    }

    /// The merge group it belongs to.
    pub fn group(&self) -> u32 {
        self.group
    }

    pub(crate) fn push(&mut self, fingerprint: &str, state: RecordBatch) {
        if state.num_rows() > 0 {
            self.parts.push(Part { fingerprint: fingerprint.to_owned(), state });
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// True if no row of the group's keys was seen by a windowed rule.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// State rows held: keys, over all rules and panes.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|p| p.state.num_rows()).sum()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|p| p.state.get_array_memory_size()).sum()
    }

    /// Appends the same group's delta of the range that follows in the same partition.
    pub fn merge(&mut self, next: Delta) {
        debug_assert_eq!(self.group, next.group, "a delta of another merge group");
        self.parts.extend(next.parts);
    }

    /// The delta as bytes: Arrow IPC with a version and a CRC.
    ///
    /// # Errors
    /// If Arrow cannot write a column, which no supported aggregate has.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.bytes());
        self.append(&mut out)?;
        Ok(out)
    }

    /// As [`Delta::encode`], behind what `out` holds.
    pub(crate) fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        let fingerprints = self.parts.iter().map(|p| p.fingerprint.clone()).collect();
        let blocks: Vec<Vec<RecordBatch>> = self.parts.iter().map(|p| vec![p.state.clone()]).collect();
        codec::append(out, KIND, &Head { group: self.group, fingerprints }, &blocks)
    }

    /// Reads what [`Delta::encode`] wrote: the bytes of one group's part of an exchange file. No bytes are an empty delta.
    ///
    /// # Errors
    /// If the bytes are damaged, of another version or of another group.
    pub fn decode(bytes: &[u8], group: u32) -> Result<Delta> {
        let mut delta = Delta::empty(group);
        if bytes.is_empty() {
            return Ok(delta);
        }
        let (head, blocks) = codec::decode::<Head>(KIND, bytes)?;
        if head.group != group {
            return Err(AggregateError::Group { found: head.group, wanted: group });
        }
        for (fingerprint, states) in head.fingerprints.iter().zip(blocks) {
            states.into_iter().for_each(|state| delta.push(fingerprint, state));
        }
        Ok(delta)
    }
}
