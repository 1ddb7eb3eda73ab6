//! Tables of the warehouse: those that all tenants share, made when it is opened, and those in namespaces of their own, made when
//! the first row for them comes.
//!
//! Such a table is recorded in the ledger (`meta/destinations/`) before the first entry that names it, so whoever looks there after
//! having read an entry knows of it: committers, collectors, readers.

use std::collections::BTreeMap;
use std::sync::{Once, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use dataflow::Table;
use iceberg::{NamespaceIdent, TableIdent};

use super::{Inner, Warehouse, catalog};
use crate::{Destination, Error, Result, WarehouseConfig};

/// What a destination's record ends in.
const RECORD: &str = ".json";

impl Warehouse {
    /// The tables that are known: by class, the shared one first.
    pub fn destinations(&self) -> Vec<Destination> {
        self.inner.tables().keys().copied().collect()
    }

    /// As [`Warehouse::destinations`], after having looked for those that other workers made.
    ///
    /// # Errors
    /// If the store or the catalog fails.
    pub async fn find_destinations(&self) -> Result<Vec<Destination>> {
        let ledger = self.ledger();
        for name in ledger.store().list(&ledger.paths().destinations()).await? {
            let Some(text) = name.strip_suffix(RECORD) else { continue };
            let destination: Destination = text.parse().map_err(|what| {
                let path = ledger.paths().destination(text);
                Error::damaged(&path, format!("{what}: this version does not know the table"))
            })?;
            self.inner.open_table(destination).await?;
        }
        Ok(self.destinations())
    }

    /// A batch's rows by where they go. The batch's schema is `table.schema()`.
    ///
    /// # Errors
    /// [`Error::Encode`] if the batch is of another schema.
    pub fn route(&self, table: Table, rows: &RecordBatch) -> Result<Vec<(Destination, RecordBatch)>> {
        let config = self.config();
        if config.routes.routes.is_empty() {
            return Ok(vec![(table.into(), rows.clone())]);
        }
        let fail = |e: arrow::error::ArrowError| Error::Encode { table: table.into(), source: e.into() };
        let missing = || fail(arrow::error::ArrowError::SchemaError("no column tenant_uid".to_owned()));
        let column = rows.column_by_name("tenant_uid").ok_or_else(missing)?;
        let tenants = cast(column, &DataType::Utf8).map_err(fail)?;
        let tenants = tenants.as_string::<i32>();
        let mut known: BTreeMap<&str, Destination> = BTreeMap::new();
        let mut last: Option<(&str, Destination)> = None;
        let of_row = |row: usize| {
            let tenant = if tenants.is_null(row) { "" } else { tenants.value(row) };
            // Rows of a tenant stand together.
            if let Some((_, destination)) = last.filter(|(name, _)| *name == tenant) {
                return destination;
            }
            let decide = || config.routes.destination(&config.namespace, tenant, table);
            let destination = *known.entry(tenant).or_insert_with(decide);
            last = Some((tenant, destination));
            destination
        };
        let destinations: Vec<Destination> = (0..rows.num_rows()).map(of_row).collect();
        let mut distinct: Vec<Destination> = known.into_values().collect();
        distinct.sort_unstable();
        distinct.dedup();
        if let [all] = distinct[..] {
            return Ok(vec![(all, rows.clone())]);
        }
        let of = |to: Destination| {
            let mask: BooleanArray = destinations.iter().map(|d| Some(*d == to)).collect();
            Ok((to, filter_record_batch(rows, &mask).map_err(fail)?))
        };
        distinct.into_iter().map(of).collect()
    }

    /// Makes a destination's table if this is the first row for it. Where the rows then go: there, or to the shared table if
    /// there are as many tables as may be.
    ///
    /// # Errors
    /// If the store or the catalog fails.
    pub async fn make(&self, wanted: Destination) -> Result<Destination> {
        let Some(namespace) = wanted.namespace() else { return Ok(wanted) };
        let (own, is_known) = {
            let tables = self.inner.tables();
            (tables.keys().filter(|d| d.namespace().is_some()).count(), tables.contains_key(&wanted))
        };
        if is_known {
            return Ok(wanted);
        }
        if own >= self.config().routes.tables_max {
            // Each flush comes here again.
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tracing::warn!(
                    tables = own,
                    "{wanted} is not made: there are as many tables as warehouse.own_tables_max allows; its rows, and those for more \
                     that would be made, are in the shared tables"
                );
            });
            return Ok(wanted.table().into());
        }
        let ledger = self.ledger();
        let record = serde_json::json!({"namespace": namespace.name(), "table": wanted.table().name()}).to_string();
        ledger.store().create(&ledger.paths().destination(&wanted.to_string()), Bytes::from(record)).await?;
        self.inner.open_table(wanted).await?;
        tracing::info!(table = %wanted, "made");
        Ok(wanted)
    }
}

impl Inner {
    pub(super) fn tables(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Destination, TableIdent>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a table that is not open: made or evolved if need be.
    pub(super) async fn open_table(&self, destination: Destination) -> Result<()> {
        if self.tables().contains_key(&destination) {
            return Ok(());
        }
        let Inner { config, ledger, catalog, encoder, .. } = self;
        let ident = ident(config, destination);
        if destination.namespace().is_some() {
            catalog::open_namespace(config, catalog.as_ref(), ident.namespace()).await?;
        }
        let loaded = catalog::open_table(config, ledger, catalog.as_ref(), destination, &ident).await?;
        encoder.add(config, destination, loaded.metadata())?;
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(destination, ident);
        Ok(())
    }
}

/// The name in the catalog.
pub(crate) fn ident(config: &WarehouseConfig, destination: Destination) -> TableIdent {
    let namespace = destination.namespace().map_or(&*config.namespace, |own| own.name());
    TableIdent::new(NamespaceIdent::new(namespace.to_owned()), destination.table().name().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use dataflow::Positions;
    use uuid::Uuid;

    use super::*;
    use crate::ledger::{Created, SourceEntry};
    use crate::warehouse::Origin;
    use crate::warehouse::tests::{lines, partition, quick, rows};
    use crate::{Route, Routes};

    fn routed(root: &Path, tables_max: usize) -> WarehouseConfig {
        let route =
            Route { tenants: Some(["acme".to_owned()].into()), classes: None, namespace: "own_{tenant}".to_owned() };
        WarehouseConfig { routes: Routes { routes: vec![route], tables_max }, ..quick(root) }
    }

    /// Takes in a range of `acme`'s rows.
    async fn record(warehouse: &Warehouse, start: i64, next: i64, table: Table) -> Vec<Destination> {
        let attempt = Uuid::new_v4();
        let mut entry = SourceEntry::empty(partition(0), start, next, "test", attempt);
        for (wanted, rows) in warehouse.route(table, &rows(table, &partition(0), start..next)).expect("routes") {
            let to = warehouse.make(wanted).await.expect("made");
            let mut files = Vec::new();
            for file in warehouse.encoder().encode(to, &[rows]).expect("encodes") {
                let origin = Origin::Range { partition: &partition(0), start, next };
                files.push(warehouse.stage(origin, attempt, file).await.expect("stages"));
            }
            entry.tables.insert(to, files.into_iter().collect());
        }
        assert_eq!(warehouse.ledger().create_source(&entry).await.expect("creates"), Created::New);
        entry.tables.into_keys().collect()
    }

    #[tokio::test]
    async fn a_table_that_another_worker_made_is_committed_by_whoever_reads_of_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = routed(dir.path(), 9);
        let (first, other) = (Warehouse::open(config.clone()).await, Warehouse::open(config.clone()).await);
        let (first, other) = (first.expect("opens"), other.expect("opens"));
        let own: Destination = "own_acme.dns_activity".parse().expect("a name");
        let told: Arc<Mutex<Vec<i64>>> = Arc::default();
        let ends = told.clone();
        let news = move |_: Destination, at: &Positions| ends.lock().expect("no panic").push(at[&partition(0)]);
        let committer = other.committer("other").telling(Arc::new(news));
        for (start, next) in [(0, 10), (10, 17), (17, 30)] {
            let table = if start == 10 { Table::NetworkActivity } else { Table::DnsActivity };
            let to = record(&first, start, next, table).await;
            assert_eq!(to, [Destination::own(own.namespace().expect("its own"), table)]);
            let report = committer.commit_pending().await.expect("commits");
            assert_eq!(report.commits.iter().map(|c| c.table).collect::<Vec<_>>(), to);
            let ends = std::mem::take(&mut *told.lock().expect("no panic"));
            assert!(ends.iter().all(|end| *end == next), "{ends:?}");
        }
        assert_eq!((lines(&other, own).await.len(), lines(&other, Table::DnsActivity).await.len()), (23, 0));
        committer.settle().await.expect("settles");
        let reopened = Warehouse::open(config).await.expect("opens");
        assert_eq!(reopened.start_positions().await.expect("positions")[&partition(0)], 30);
        assert_eq!(reopened.destinations().len(), Table::ALL.len() + 2);
        assert!(reopened.committer("third").settle().await.expect("settles").commits.is_empty());
    }

    #[tokio::test]
    async fn a_table_says_that_its_files_are_sorted() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        drop(Warehouse::open(quick(dir.path())).await.expect("opens"));
        let warehouse = Warehouse::open(WarehouseConfig { sort_rows: true, ..quick(dir.path()) }).await.expect("opens");
        record(&warehouse, 0, 10, Table::DnsActivity).await;
        warehouse.committer("c").settle().await.expect("settles");
        let table = warehouse.load_table(Table::DnsActivity).await.expect("loads");
        let order = table.metadata().default_sort_order();
        let names = order.fields.iter().map(|f| table.metadata().current_schema().name_by_field_id(f.source_id));
        assert_eq!(names.collect::<Vec<_>>(), [Some("tenant_uid"), Some("time")]);
        let snapshot = table.metadata().current_snapshot().expect("a snapshot");
        for list in table.manifest_list_reader(snapshot).load().await.expect("reads").entries() {
            let manifest = list.load_manifest(table.file_io()).await.expect("reads");
            let orders = manifest.entries().iter().map(|e| e.data_file().sort_order_id());
            assert!(orders.map(|id| id.map(i64::from)).all(|id| id == Some(order.order_id)));
        }
    }

    #[tokio::test]
    async fn beyond_the_bound_rows_are_in_the_shared_table() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let warehouse = Warehouse::open(routed(dir.path(), 1)).await.expect("opens");
        let namespace = warehouse.route(Table::DnsActivity, &rows(Table::DnsActivity, &partition(0), 0..1));
        let own = namespace.expect("routes")[0].0;
        assert_eq!(record(&warehouse, 0, 10, Table::DnsActivity).await, [own]);
        assert_eq!(record(&warehouse, 10, 20, Table::BaseEvent).await, [Destination::from(Table::BaseEvent)]);
        assert_eq!(record(&warehouse, 20, 30, Table::DnsActivity).await, [own]);
        warehouse.committer("c").settle().await.expect("settles");
        assert_eq!((lines(&warehouse, own).await.len(), lines(&warehouse, Table::BaseEvent).await.len()), (20, 10));
    }

    #[tokio::test]
    async fn an_entry_that_names_a_table_without_a_record_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let warehouse = Warehouse::open(quick(dir.path())).await.expect("opens");
        let mut entry = SourceEntry::empty(partition(0), 0, 5, "test", Uuid::new_v4());
        entry.tables.insert("gone.dns_activity".parse().expect("a name"), crate::TableFiles::default());
        warehouse.ledger().create_source(&entry).await.expect("creates");
        let error = warehouse.committer("c").commit_pending().await.expect_err("nobody has made it").to_string();
        assert!(error.contains("meta/destinations/gone.dns_activity.json"), "{error}");
    }

    #[tokio::test]
    async fn rows_of_several_tenants_part() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = routed(dir.path(), 9);
        let warehouse = Warehouse::open(config).await.expect("opens");
        let table = Table::DnsActivity;
        let acme = rows(table, &partition(0), 0..4);
        let tenant = acme.schema().index_of("tenant_uid").expect("a column");
        let mixed = arrow::array::StringArray::from_iter_values(["acme", "globex", "acme", "initech"]);
        let mut columns = acme.columns().to_vec();
        columns[tenant] = cast(&mixed, acme.column(tenant).data_type()).expect("a keyword");
        let mixed = RecordBatch::try_new(acme.schema(), columns).expect("the same columns");
        let parts = warehouse.route(table, &mixed).expect("routes");
        let parts: Vec<(String, usize)> = parts.iter().map(|(to, rows)| (to.to_string(), rows.num_rows())).collect();
        assert_eq!(parts, [("dns_activity".to_owned(), 2), ("own_acme.dns_activity".to_owned(), 2)]);
    }
}
