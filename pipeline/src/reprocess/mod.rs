//! Records whose bytes are kept, read back as a source of their own: the same path, today's decoders, exactly once.
//!
//! **Data in:** dead letters and rows with `raw_data`, at the snapshots that the request names. **Data out:** ledger entries
//! and rows, as from any source.
//!
//! A *request* is a create-once note that fixes what is read: conditions, snapshots, the decoders' versions. What it reads of
//! `fw@i1/3` comes back as `reprocess~fw@i1~7/3`, 7 being the request's number, under the offsets that the records had. So
//! a row's identity says where its record came from, and a request that is run again goes on at the end of its chains.
//!
//! Invariants:
//! - Of a record, the rows of the latest request that read it *stand*; its own, if none did. Only what stands is read again.
//! - A request reads no record that the same versions have read before, unless it was asked to.
//! - Nothing is deleted or changed: what was first made of a record stays beside what is made of it now.
//!
//! Absent on purpose: rules. The events are late, and windows that they belong to have alerted (docs/adr/0010).

mod pinned;
mod request;
mod selection;
mod source;

use dataflow::PartitionId;

pub(crate) use pinned::{Found, Pinned};
pub(crate) use request::{Request, Requests, holds_records};
pub(crate) use selection::{Part, Selection, offsets};
pub(crate) use source::ReprocessSource;

/// What the topic of records that were read back begins with. No source has such a name: a name holds no `~`.
const PREFIX: &str = "reprocess~";

/// True for rows and chains of records that were read back, in SQL.
pub(crate) const IS_REPROCESSED: &str = "substr(_topic, 1, 10) = 'reprocess~'";

/// Where a record of `origin` stands when the request reads it back.
pub(crate) fn reprocessed(origin: &PartitionId, request: u32) -> PartitionId {
    let (topic, incarnation) = (format!("{PREFIX}{}", origin.topic), format!("{}~{request}", origin.incarnation));
    PartitionId::new(topic, incarnation, origin.partition)
}

/// Where a record that was read back stood first. None for a partition of another source.
pub(crate) fn origin(partition: &PartitionId) -> Option<PartitionId> {
    let topic = origin_topic(&partition.topic)?;
    let (incarnation, _) = partition.incarnation.rsplit_once('~')?;
    Some(PartitionId::new(topic, incarnation, partition.partition))
}

/// The topic whose records were read back.
pub(crate) fn origin_topic(topic: &str) -> Option<&str> {
    topic.strip_prefix(PREFIX)
}

/// The columns of [`origin`] and of the request, 0 for a source's own row, in SQL.
pub(crate) fn origin_columns() -> String {
    format!(
        "CASE WHEN {IS_REPROCESSED} THEN substr(_topic, 11) ELSE _topic END AS topic, \
         split_part(_incarnation, '~', 1) AS incarnation, _partition_id AS part, _offset AS off, \
         CASE WHEN {IS_REPROCESSED} THEN CAST(split_part(_incarnation, '~', 2) AS INT) ELSE 0 END AS request"
    )
}

#[cfg(test)]
mod tests;
