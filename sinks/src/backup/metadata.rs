//! A table's metadata, where all that it names has moved: every list and file says where things are in full, so each is written
//! anew. Iceberg's own way for other engines is the same (`rewrite_table_path`).

use std::collections::BTreeMap;

use bytes::Bytes;
use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, FormatVersion, Manifest, ManifestContentType, ManifestFile, ManifestList, ManifestListWriter,
    ManifestWriterBuilder, Snapshot, TableMetadata, deserialize_data_file_from_json, serialize_data_file_to_json,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Checkpoint;
use crate::ledger::Ledger;
use crate::warehouse::Nexts;
use crate::{Destination, Error, Result};

/// A table as a checkpoint has it, read from the copy.
pub(super) struct Kept {
    table: Destination,
    /// The metadata as it was, with the current snapshot alone.
    json: Value,
    pub(super) metadata: TableMetadata,
    /// What the table has of each chain.
    pub(super) nexts: Nexts,
    manifests: Vec<(ManifestFile, Manifest)>,
}

impl Kept {
    /// Reads a table's metadata and manifests.
    ///
    /// # Errors
    /// [`Error::Missing`] if an object is not there, or the metadata is not what we know.
    pub(super) async fn read(ledger: &Ledger, of: &Checkpoint, table: Destination, path: &str) -> Result<Self> {
        let bytes = object(ledger, path, "a checkpoint").await?;
        let mut json: Value = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path, e))?;
        forget_history(&mut json);
        let metadata: TableMetadata = serde_json::from_value(json.clone()).map_err(|e| Error::damaged(path, e))?;
        let nexts = Nexts::read(ledger.paths().region(), table, &metadata)?;
        let mut kept = Self { table, json, metadata, nexts, manifests: Vec::new() };
        if let Some(snapshot) = kept.metadata.current_snapshot() {
            kept.manifests = manifests(ledger, of, snapshot, kept.metadata.format_version()).await?;
        }
        Ok(kept)
    }

    /// The paths of the files of the current snapshot and their sizes.
    pub(super) fn files(&self, of: &Checkpoint) -> Result<BTreeMap<String, u64>> {
        let alive = self.manifests.iter().flat_map(|(_, manifest)| manifest.entries()).filter(|entry| entry.is_alive());
        alive.map(|entry| Ok((of.path(entry.file_path())?.to_owned(), entry.file_size_in_bytes()))).collect()
    }

    /// Writes the metadata of the same table in the place where the ledger's store is, and says where.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn write(mut self, ledger: &Ledger, of: &Checkpoint, io: &FileIO) -> Result<String> {
        let table = self.table;
        let moved = |location: &str| Ok::<_, Error>(ledger.store().location(of.path(location)?));
        let home = moved(self.metadata.location())?;
        let failed = |e| Error::catalog(format!("write the metadata of {table}"), e);
        if let Some(snapshot) = self.metadata.current_snapshot() {
            let list = format!("{home}/metadata/snap-{}-{}.avro", snapshot.snapshot_id(), Uuid::new_v4());
            let mut named = Vec::with_capacity(self.manifests.len());
            for (listed, manifest) in &self.manifests {
                let to = format!("{home}/metadata/{}-m0.avro", Uuid::new_v4());
                let move_file = |file: &DataFile| self.moved(file, listed, manifest, &moved);
                named.push(rewrite(io, &to, listed, manifest, move_file).await.map_err(failed)?);
            }
            write_list(io, &list, snapshot, named).await.map_err(failed)?;
            self.json["snapshots"][0]["manifest-list"] = json!(list);
        }
        self.json["location"] = json!(home);
        if let Some(properties) = self.json.get_mut("properties").and_then(Value::as_object_mut) {
            for value in properties.values_mut() {
                let there = value.as_str().filter(|text| text.starts_with(&of.root)).map(&moved).transpose()?;
                there.into_iter().for_each(|there| *value = json!(there));
            }
        }
        let to = format!("{home}/metadata/00000-{}.metadata.json", Uuid::new_v4());
        // What we write must be what we can read.
        let metadata: TableMetadata = serde_json::from_value(self.json).map_err(|e| Error::damaged(&to, e))?;
        let bytes = serde_json::to_vec(&metadata).map_err(|e| Error::damaged(&to, e))?;
        io.new_output(&to).map_err(failed)?.write(Bytes::from(bytes)).await.map_err(failed)?;
        Ok(to)
    }

    /// The file of a manifest at its new place. iceberg gives every part of it a name but its path; its JSON has them all.
    fn moved(
        &self,
        file: &DataFile,
        listed: &ManifestFile,
        manifest: &Manifest,
        moved: &impl Fn(&str) -> Result<String>,
    ) -> iceberg::Result<DataFile> {
        let invalid = |e: &dyn std::fmt::Display| iceberg::Error::new(iceberg::ErrorKind::DataInvalid, e.to_string());
        let schema = self.metadata.current_schema();
        let partition = manifest.metadata().partition_spec().partition_type(schema)?;
        let text = serialize_data_file_to_json(file.clone(), &partition, FormatVersion::V2)?;
        let mut json: Value = serde_json::from_str(&text).map_err(|e| invalid(&e))?;
        json["file_path"] = json!(moved(file.file_path()).map_err(|e| invalid(&e))?);
        deserialize_data_file_from_json(&json.to_string(), listed.partition_spec_id, &partition, schema)
    }
}

/// Leaves the current snapshot alone, under its branch.
fn forget_history(json: &mut Value) {
    let current = json["current-snapshot-id"].as_i64();
    let is_current = |object: &Value| current.is_some() && object["snapshot-id"].as_i64() == current;
    for list in ["snapshots", "snapshot-log"] {
        if let Some(list) = json.get_mut(list).and_then(Value::as_array_mut) {
            list.retain(is_current);
        }
    }
    for list in ["metadata-log", "statistics", "partition-statistics"] {
        if json.get(list).is_some() {
            json[list] = json!([]);
        }
    }
    if let Some(refs) = json.get_mut("refs").and_then(Value::as_object_mut) {
        refs.retain(|name, reference| name == "main" && is_current(reference));
    }
}

async fn manifests(
    ledger: &Ledger,
    of: &Checkpoint,
    snapshot: &Snapshot,
    version: FormatVersion,
) -> Result<Vec<(ManifestFile, Manifest)>> {
    let path = of.path(snapshot.manifest_list())?;
    let bytes = object(ledger, path, "a table's snapshot").await?;
    let list = ManifestList::parse_with_version(&bytes, version).map_err(|e| Error::damaged(path, e))?;
    let mut found = Vec::new();
    for listed in list.consume_entries() {
        let path = of.path(&listed.manifest_path)?;
        if listed.content == ManifestContentType::Deletes {
            return Err(Error::Restore(format!("{path} holds deletes that name files by their place")));
        }
        let bytes = object(ledger, path, "a list of manifests").await?;
        let manifest = Manifest::parse_avro(&bytes).map_err(|e| Error::damaged(path, e))?;
        found.push((listed, manifest));
    }
    Ok(found)
}

/// The live files of a manifest in a new one, of the same snapshots and sequence numbers.
async fn rewrite(
    io: &FileIO,
    to: &str,
    listed: &ManifestFile,
    manifest: &Manifest,
    moved: impl Fn(&DataFile) -> iceberg::Result<DataFile>,
) -> iceberg::Result<ManifestFile> {
    let said = manifest.metadata();
    let (schema, spec) = (said.schema().clone(), said.partition_spec().clone());
    let mut writer =
        ManifestWriterBuilder::new(io.new_output(to)?, Some(listed.added_snapshot_id), schema, spec).build_v2_data();
    for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
        // What the entry does not say, the list says.
        let snapshot = entry.snapshot_id.unwrap_or(listed.added_snapshot_id);
        let sequence = entry.sequence_number.unwrap_or(listed.sequence_number);
        let file_sequence = entry.file_sequence_number.unwrap_or(listed.sequence_number);
        writer.add_existing_file(moved(&entry.data_file)?, snapshot, sequence, Some(file_sequence))?;
    }
    let written = writer.write_manifest_file().await?;
    let least = if written.min_sequence_number < 0 { listed.sequence_number } else { written.min_sequence_number };
    Ok(ManifestFile { sequence_number: listed.sequence_number, min_sequence_number: least, ..written })
}

async fn write_list(io: &FileIO, to: &str, snapshot: &Snapshot, manifests: Vec<ManifestFile>) -> iceberg::Result<()> {
    let writer = io.new_output(to)?.writer().await?;
    let (id, parent) = (snapshot.snapshot_id(), snapshot.parent_snapshot_id());
    let mut list = ManifestListWriter::v2(writer, id, parent, snapshot.sequence_number());
    list.add_manifests(manifests.into_iter())?;
    list.close().await
}

async fn object(ledger: &Ledger, path: &str, named_by: &str) -> Result<Bytes> {
    let bytes = ledger.store().get(path).await?;
    bytes.ok_or_else(|| Error::Missing { path: path.to_owned(), named_by: named_by.to_owned() })
}
