//! What was planted: attacks that must alert, near misses that must not.

use std::collections::BTreeMap;

use dataflow::PartitionId;
use serde::{Deserialize, Serialize};

/// An attack or a near miss.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Its name, unique in the fleet.
    pub attack_id: String,
    /// What happens, as the configuration names it.
    #[serde(default)]
    pub scenario: String,
    /// ATT&CK techniques, the fitting one first.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// File stem of the rule that it is about; the technique, if no rule that ships is.
    pub rule: String,
    /// True if no rule that ships is about it: none of their alerts is due, and any that comes is false.
    #[serde(default)]
    pub is_uncovered: bool,
    /// Other rules that may rightly alert on it, attack or near miss: none of their alerts is due, and none is false.
    #[serde(default)]
    pub also: Vec<String>,
    /// Whose network it is in.
    pub tenant: String,
    /// What the alert must be about: `src_ip` of a scan, `dst_ip` of an upload; of a call `src_ip`, `user_name` if a user
    /// called, and the row's identity (`_topic`, ...).
    pub key: BTreeMap<String, String>,
    /// Who sends, where that is not the key: an alert of a rule of `also` may be about one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Event time of its first event, microseconds UTC, as the lines tell it.
    pub start_us: i64,
    /// Event time of its last event.
    pub end_us: i64,
    /// How many times the rule's threshold; 1 where the rule counts nothing.
    pub intensity: f64,
    /// How slow and how spread out: 0 is as loud as the scenario gets, 1 as quiet.
    #[serde(default)]
    pub stealth: f64,
    /// Event time of the record that first meets the rule's condition: an alert is due from then on, of a rule that emits
    /// on close when its window ends. None where no alert is due.
    #[serde(default)]
    pub due_us: Option<i64>,
    /// True if it must not alert.
    pub near_miss: bool,
    /// What kind of attack or near miss.
    pub variant: String,
    /// Where its records stand.
    pub records: Vec<RecordRange>,
}

/// The records of a label within one partition; other records may stand between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRange {
    /// Which partition.
    pub partition: PartitionId,
    /// Offset of the first.
    pub first_offset: i64,
    /// Offset of the last.
    pub last_offset: i64,
    /// How many.
    pub count: u64,
}

impl RecordRange {
    /// Adds one record; within a partition, offsets come in rising order.
    pub(crate) fn note(ranges: &mut Vec<RecordRange>, partition: &PartitionId, offset: i64) {
        match ranges.last_mut().filter(|r| r.partition == *partition) {
            Some(range) => {
                range.last_offset = offset;
                range.count += 1;
            }
            None => {
                ranges.push(Self { partition: partition.clone(), first_offset: offset, last_offset: offset, count: 1 })
            }
        }
    }
}
