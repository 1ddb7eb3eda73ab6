//! Who a row is: where its record stood in its source. The pair (partition, offset range) is the unit of exactly once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Topic, incarnation and partition: one ordered, replayable sequence of records.
///
/// The incarnation tells a topic from another that later bears its name (Kafka's topic id, the UUID of a local log).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Which topic of that name.
    pub incarnation: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl PartitionId {
    /// A partition by its parts.
    pub fn new(topic: impl Into<Arc<str>>, incarnation: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), incarnation: incarnation.into(), partition }
    }

    /// `topic@incarnation/partition`, the form used in object paths and in evidence.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Reads what [`PartitionId::path`] wrote. Topics may hold any character but `/`; the last `@` divides.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, partition) = text.rsplit_once('/')?;
        let (topic, incarnation) = name.rsplit_once('@')?;
        Some(Self::new(topic, incarnation, partition.parse().ok()?))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.topic, self.incarnation, self.partition)
    }
}

/// Offsets `[start, next)` of one partition. `next` is the consumer's position, never a count: offsets may have gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// First offset of the range.
    pub start: i64,
    /// The offset to read next; greater than `start`.
    pub next: i64,
}

/// The next offset to read of each partition.
pub type Positions = BTreeMap<PartitionId, i64>;

/// One row's identity. `record` counts the events within one record (a CloudTrail file's `Records`), from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// Where the record stood.
    pub partition: PartitionId,
    /// The record's offset.
    pub offset: i64,
    /// The event's index within the record.
    pub record: i32,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.partition, self.offset, self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_survives_its_text_form() {
        for topic in ["fw", "fw@eu", "a.b-c"] {
            let id = PartitionId::new(topic, "0f-1", 7);
            assert_eq!(PartitionId::parse(&id.path()), Some(id));
        }
        for bad in ["", "a/1", "a@b", "a@b/x", "a@b/"] {
            assert_eq!(PartitionId::parse(bad), None, "{bad}");
        }
    }
}
