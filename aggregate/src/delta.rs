//! What one offset range of one partition adds to every windowed rule: partial aggregate states, mergeable.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Kind};
use crate::error::Result;

const KIND: Kind = Kind { name: "delta", magic: *b"PALD", version: 1 };

/// The states that a range adds, rule by rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
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
    fingerprints: Vec<String>,
}

impl Delta {
    pub(crate) fn push(&mut self, fingerprint: &str, state: RecordBatch) {
        if state.num_rows() > 0 {
            self.parts.push(Part { fingerprint: fingerprint.to_owned(), state });
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// True if no windowed rule saw a row.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Groups held, over all rules and panes.
    pub fn groups(&self) -> usize {
        self.parts.iter().map(|p| p.state.num_rows()).sum()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|p| p.state.get_array_memory_size()).sum()
    }

    /// Appends the delta of the range that follows in the same partition.
    pub fn merge(&mut self, next: Delta) {
        self.parts.extend(next.parts);
    }

    /// The delta as bytes: Arrow IPC with a version and a CRC.
    ///
    /// # Errors
    /// If Arrow cannot write a column, which no supported aggregate has.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let head = Head { fingerprints: self.parts.iter().map(|p| p.fingerprint.clone()).collect() };
        let groups: Vec<Vec<RecordBatch>> = self.parts.iter().map(|p| vec![p.state.clone()]).collect();
        codec::encode(KIND, &head, &groups)
    }

    /// Reads what [`Delta::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Delta> {
        let (head, groups) = codec::decode::<Head>(KIND, bytes)?;
        let mut delta = Delta::default();
        for (fingerprint, states) in head.fingerprints.iter().zip(groups) {
            states.into_iter().for_each(|state| delta.push(fingerprint, state));
        }
        Ok(delta)
    }
}
