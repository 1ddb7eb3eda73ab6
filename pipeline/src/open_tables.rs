//! The files of a ledger entry while its rows still come: of each table that they go to.

use std::collections::BTreeMap;

use anyhow::Context;
use dataflow::TableBatch;
use sinks::{Destination, OpenFiles, Origin, TableFiles, Warehouse};
use tokio::runtime::Handle;
use uuid::Uuid;

/// See the module's front.
#[derive(Default)]
pub(crate) struct OpenTables(BTreeMap<Destination, OpenFiles>);

impl OpenTables {
    /// Adds a batch's rows to the files of the tables that its tenants' rows go to, which are made if need be.
    pub(crate) fn write(&mut self, batch: &TableBatch, warehouse: &Warehouse, runtime: &Handle) -> anyhow::Result<()> {
        for (wanted, rows) in warehouse.route(batch.table, &batch.rows)? {
            let table = if self.0.contains_key(&wanted) { wanted } else { runtime.block_on(warehouse.make(wanted))? };
            let files = self.0.entry(table).or_insert_with(|| warehouse.encoder().open(table));
            files.write(&rows).with_context(|| format!("Parquet of {table}"))?;
        }
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.0.values().map(OpenFiles::bytes).sum()
    }

    /// Makes the files durable, invisible until the entry of that attempt names them.
    pub(crate) fn stage(
        self,
        origin: Origin<'_>,
        attempt: Uuid,
        warehouse: &Warehouse,
        runtime: &Handle,
    ) -> anyhow::Result<BTreeMap<Destination, TableFiles>> {
        let mut staged = BTreeMap::new();
        for (table, files) in self.0 {
            let encoded = files.finish()?;
            let stage = async {
                let mut files = Vec::with_capacity(encoded.len());
                for file in encoded {
                    files.push(warehouse.stage(origin, attempt, file).await?);
                }
                anyhow::Ok(files.into_iter().collect())
            };
            staged.insert(table, runtime.block_on(stage)?);
        }
        Ok(staged)
    }
}
