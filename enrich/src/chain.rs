//! A batch through all tables: its distinct addresses, host names and user names are looked up once each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use dataflow::{Enricher, TableBatch};

use crate::addresses::Addresses;
use crate::cache::Cache;
use crate::columns::ColumnMaker;
use crate::config::EnrichConfig;
use crate::error::EnrichError;
use crate::metrics::Counts;
use crate::reload::Reloader;
use crate::snapshot::{Facts, Handle, Snapshot};
use crate::table::{Lookup, NULL};
use crate::tenants::RowTenants;
use crate::texts::Texts;

/// Where an event names the host that it asks for, most telling first; a table has some of them.
const HOSTS: [&str; 5] =
    ["http_request.url.hostname", "tls.sni", "query.hostname", "url.hostname", "dst_endpoint.hostname"];

/// Fills the enrichment columns of batches from one snapshot of all tables.
///
/// A clone shares the tables and has buffers and caches of its own (about 4 MiB): give each shard one. It keeps its
/// snapshot until [`Chain::refresh`]: who applies it decides which rows get the same versions.
#[derive(Clone)]
pub struct Chain {
    handle: Arc<Handle>,
    snapshot: Arc<Snapshot>,
    number: u64,
    cache: Cache<Facts>,
    addresses: Addresses,
    /// For each address table, [`NULL`] for "no address", then the record of each distinct address.
    records: Vec<Vec<i32>>,
    hosts: Texts,
    users: Texts,
    maker: ColumnMaker,
    counts: Counts,
}

impl Chain {
    /// Reads the tables, as they are at that time, for good: nothing reloads them.
    ///
    /// # Errors
    /// Names the file and place, or the entry, that is wrong.
    pub fn build(config: &EnrichConfig, now_us: i64) -> Result<Self, EnrichError> {
        Ok(Reloader::open(config, now_us)?.chain())
    }

    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        let (snapshot, number) = handle.current();
        Self {
            handle,
            snapshot,
            number,
            cache: Cache::new(),
            addresses: Addresses::new(),
            records: Vec::new(),
            hosts: Texts::new(),
            users: Texts::new(),
            maker: ColumnMaker::default(),
            counts: Counts::default(),
        }
    }

    /// True if newer tables are in force than those in use here. One atomic load.
    pub fn is_stale(&self) -> bool {
        self.handle.number() != self.number
    }

    /// Takes the tables in force into use, all of them at once.
    pub fn refresh(&mut self) {
        (self.snapshot, self.number) = self.handle.current();
        self.cache.clear();
    }

    /// The batch with its enrichment columns filled; columns whose table is not configured stay as they are. Rows, their
    /// order and all other columns are untouched. Batches of tables that hold no events pass through.
    pub fn apply(&mut self, batch: TableBatch) -> TableBatch {
        let TableBatch { table, rows } = batch;
        if table.ocsf_class().is_none() || rows.num_rows() == 0 {
            return TableBatch { table, rows };
        }
        let arrays = self.fill(&rows);
        let schema = rows.schema();
        let mut columns = rows.columns().to_vec();
        for (name, array) in self.snapshot.columns.iter().zip(arrays) {
            let index = schema.index_of(name).unwrap_or_else(|_| panic!("{table} has the column {name}"));
            columns[index] = array;
        }
        let rows = RecordBatch::try_new(schema, columns)
            .unwrap_or_else(|e| panic!("{table}: an enricher made a bad column: {e}"));
        TableBatch { table, rows }
    }

    /// The arrays of [`Snapshot::columns`], in that order.
    fn fill(&mut self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let snapshot = self.snapshot.clone();
        let tenants = snapshot.tenants.of(rows);
        self.addresses.read(rows, &tenants);
        self.look_up_addresses(&snapshot);
        let mut arrays = Vec::with_capacity(snapshot.columns.len());
        for (table, records) in snapshot.addresses.iter().zip(&self.records) {
            for column in &table.columns {
                arrays.extend(self.maker.make(&column.values, records, &self.addresses.ends()));
            }
        }
        if let Some(table) = &snapshot.hosts {
            let columns = HOSTS.iter().filter_map(|path| nested(rows, path));
            look_up_texts(&mut self.hosts, table, columns, rows.num_rows(), &RowTenants::One(0), |_| "");
            arrays.extend(text_arrays(&mut self.maker, table, &self.hosts));
        }
        if let Some(table) = &snapshot.users {
            let name = |tenant| snapshot.tenants.name(tenant);
            look_up_texts(&mut self.users, table, nested(rows, "user_name"), rows.num_rows(), &tenants, name);
            arrays.extend(text_arrays(&mut self.maker, table, &self.users));
        }
        self.count(rows);
        arrays
    }

    fn look_up_addresses(&mut self, snapshot: &Snapshot) {
        let Self { records, addresses, cache, counts, .. } = self;
        records.resize_with(snapshot.addresses.len(), Vec::new);
        for records in records.iter_mut() {
            records.clear();
            records.push(NULL);
        }
        for (tenant, address) in addresses.distinct() {
            let facts = cache.get(*tenant, *address, || {
                counts.misses += 1;
                snapshot.facts(*tenant, *address)
            });
            for (records, fact) in records.iter_mut().zip(facts) {
                records.push(fact);
            }
        }
    }

    fn count(&mut self, rows: &RecordBatch) {
        self.counts.rows += rows.num_rows() as u64;
        self.counts.addresses += self.addresses.distinct().len() as u64;
        self.counts.not_addresses += self.addresses.not_addresses();
        self.counts.names += [&self.hosts, &self.users].iter().map(|texts| texts.looked_up()).sum::<u64>();
    }

    /// The version of each table in use, by name: `country`, `asn`, `intel`, `assets`, `identities`, `scope`. Goes into
    /// ledger entries and alerts.
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.snapshot.versions.clone()
    }

    /// What this clone did so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Enricher for Chain {
    fn columns(&self) -> &[&'static str] {
        &self.snapshot.columns
    }

    fn enrich(&mut self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.fill(rows)
    }

    fn version(&self) -> &str {
        &self.snapshot.version
    }
}

fn look_up_texts<'a>(
    texts: &mut Texts,
    table: &Lookup<str>,
    columns: impl IntoIterator<Item = ArrayRef>,
    rows: usize,
    tenants: &RowTenants,
    tenant: impl Fn(u32) -> &'a str,
) {
    texts.begin(rows);
    for column in columns {
        texts.look_up(&column, tenants, |number, text| table.index.find(tenant(number), text));
    }
}

fn text_arrays(maker: &mut ColumnMaker, table: &Lookup<str>, texts: &Texts) -> Vec<ArrayRef> {
    let make = |column: &crate::table::Column| maker.make(&column.values, texts.records(), &[texts.rows()]);
    table.columns.iter().flat_map(make).collect()
}

/// The column at a path of structs, if the table has it. A row whose struct is null is null in it.
fn nested(rows: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut names = path.split('.');
    let first = rows.column_by_name(names.next()?)?.clone();
    names.try_fold(first, |column, name| column.as_struct_opt()?.column_by_name(name).cloned())
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("versions", &self.versions()).field("counts", &self.counts()).finish()
    }
}

#[cfg(test)]
mod tests;
