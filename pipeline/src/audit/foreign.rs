//! What other engines did to a table: files that they rewrote, rows that they deleted. Their snapshots' own manifests tell, not their
//! summaries. Of snapshots that are expired nothing is known any more.

use std::collections::BTreeSet;

use iceberg::spec::{DataContentType, ManifestStatus, Operation, SnapshotRef};
use sinks::commit::RANGES_PROPERTY;

/// See the module's front.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Snapshots that rewrote or deleted.
    pub(crate) snapshots: usize,
    /// Data files that they took out.
    pub(crate) removed: BTreeSet<String>,
    /// Data files that they put in instead.
    pub(crate) added: BTreeSet<String>,
    /// Rows that they took out and did not put in again.
    pub(crate) deleted_rows: u64,
    /// Snapshots after which there are other rows than a rewrite or a deletion leaves.
    pub(crate) faults: Vec<String>,
    /// No snapshot of the table is expired: what came and went is all known.
    pub(crate) is_whole: bool,
}

impl Foreign {
    /// Reads the manifests of the snapshots that are not ours. Appends are not looked at: no entry names what they bring.
    ///
    /// # Errors
    /// If a manifest cannot be read.
    pub(super) async fn read(loaded: &iceberg::table::Table) -> iceberg::Result<Self> {
        let metadata = loaded.metadata();
        // Each snapshot has the next sequence number, from 1 on.
        let is_whole = i64::try_from(metadata.snapshots().count()) == Ok(metadata.last_sequence_number());
        let mut foreign = Self { is_whole, ..Self::default() };
        for snapshot in metadata.snapshots() {
            let summary = snapshot.summary();
            let is_ours = summary.additional_properties.contains_key(RANGES_PROPERTY);
            if !is_ours && summary.operation != Operation::Append {
                foreign.take(loaded, snapshot).await?;
            }
        }
        Ok(foreign)
    }

    async fn take(&mut self, loaded: &iceberg::table::Table, snapshot: &SnapshotRef) -> iceberg::Result<()> {
        let id = snapshot.snapshot_id();
        let (mut before, mut after, mut masks) = (0, 0, false);
        for file in loaded.manifest_list_reader(snapshot).load().await?.entries() {
            if file.added_snapshot_id != id {
                continue;
            }
            let manifest = file.load_manifest(loaded.file_io()).await?;
            for entry in manifest.entries().iter().filter(|entry| entry.snapshot_id() == Some(id)) {
                if entry.content_type() != DataContentType::Data {
                    masks = true;
                    continue;
                }
                match entry.status() {
                    ManifestStatus::Deleted => {
                        before += entry.record_count();
                        self.removed.insert(entry.file_path().to_owned());
                    }
                    ManifestStatus::Added => {
                        after += entry.record_count();
                        self.added.insert(entry.file_path().to_owned());
                    }
                    ManifestStatus::Existing => {}
                }
            }
        }
        self.snapshots += 1;
        let is_rewrite = snapshot.summary().operation == Operation::Replace;
        if after > before || (is_rewrite && !masks && after != before) {
            let what = if is_rewrite { "rewrote" } else { "replaced" };
            self.faults.push(format!("snapshot {id} of another engine {what} {before} rows as {after}"));
        } else {
            self.deleted_rows += before - after;
        }
        Ok(())
    }

    /// True if that many rows fewer than entries say may be another engine's doing.
    pub(super) fn explains(&self, fewer: u64) -> bool {
        if self.is_whole { fewer == self.deleted_rows } else { fewer >= self.deleted_rows }
    }

    /// In words, if there was any.
    pub(super) fn told(&self) -> Option<String> {
        let Self { snapshots, removed, added, deleted_rows, .. } = self;
        let (removed, added) = (removed.len(), added.len());
        let told = || {
            format!(
                "{snapshots} snapshots of other engines: {removed} files replaced by {added}, {deleted_rows} rows deleted"
            )
        };
        (*snapshots > 0).then(told)
    }
}
