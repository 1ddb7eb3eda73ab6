//! The enrichers in order, over one reading of a batch's addresses.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use dataflow::{Enricher, TableBatch};

use crate::addresses::Addresses;
use crate::config::EnrichConfig;
use crate::country::Country;
use crate::error::EnrichError;
use crate::intel::Intel;
use crate::metrics::Counts;
use crate::scope::Scope;

/// Country, threat intelligence and scope of both ends.
///
/// A clone shares the tables and has buffers and caches of its own (about 2 MiB): give each shard one.
#[derive(Clone)]
pub struct Chain {
    addresses: Addresses,
    country: Option<Country>,
    intel: Option<Intel>,
    scope: Scope,
    counts: Counts,
}

impl Chain {
    /// Reads the tables.
    ///
    /// # Errors
    /// Names the file (and line) or the entry that is wrong.
    pub fn build(config: &EnrichConfig) -> Result<Self, EnrichError> {
        Ok(Self {
            addresses: Addresses::new(),
            country: config.country.as_ref().map(Country::load).transpose()?,
            intel: if config.intel.is_empty() { None } else { Some(Intel::load(&config.intel)?) },
            scope: Scope::new(&config.internal_networks)?,
            counts: Counts::default(),
        })
    }

    /// The batch with its enrichment columns filled; columns whose table is not configured stay as they are. Rows, their
    /// order and all other columns are untouched. Batches of tables that hold no events pass through.
    pub fn apply(&mut self, batch: TableBatch) -> TableBatch {
        let TableBatch { table, rows } = batch;
        if table.ocsf_class().is_none() || rows.num_rows() == 0 {
            return TableBatch { table, rows };
        }
        self.addresses.read(&rows);
        self.count(&rows);
        let schema = rows.schema();
        let mut columns = rows.columns().to_vec();
        for (names, arrays) in self.fill() {
            for (name, array) in names.iter().zip(arrays) {
                let index = schema.index_of(name).unwrap_or_else(|_| panic!("{table} has the column {name}"));
                columns[index] = array;
            }
        }
        let rows = RecordBatch::try_new(schema, columns)
            .unwrap_or_else(|e| panic!("{table}: an enricher made a bad column: {e}"));
        TableBatch { table, rows }
    }

    fn fill(&mut self) -> Vec<(&[&'static str], Vec<ArrayRef>)> {
        let Self { addresses, country, intel, scope, .. } = self;
        let mut filled = Vec::with_capacity(3);
        if let Some(country) = country {
            let arrays = country.fill(addresses);
            filled.push((country.columns(), arrays));
        }
        if let Some(intel) = intel {
            let arrays = intel.fill(addresses);
            filled.push((intel.columns(), arrays));
        }
        let arrays = scope.fill(addresses);
        filled.push((scope.columns(), arrays));
        filled
    }

    fn count(&mut self, rows: &RecordBatch) {
        self.counts.rows += rows.num_rows() as u64;
        self.counts.addresses += self.addresses.distinct().len() as u64;
        self.counts.not_addresses += self.addresses.not_addresses();
    }

    /// The version of each table in use, by name: `country`, `intel`, `scope`. Goes into ledger entries and alerts.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let country = self.country.as_ref().map(|e| ("country", e.version()));
        let intel = self.intel.as_ref().map(|e| ("intel", e.version()));
        let all = [country, intel, Some(("scope", self.scope.version()))];
        all.into_iter().flatten().map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
    }

    /// What this clone did so far.
    pub fn counts(&self) -> Counts {
        Counts {
            country_misses: self.country.as_ref().map_or(0, Country::misses),
            intel_matches: self.intel.as_ref().map_or(0, Intel::matches),
            ..self.counts
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("versions", &self.versions()).field("counts", &self.counts()).finish()
    }
}

#[cfg(test)]
mod tests;
