//! The catalog and the tables in it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iceberg::io::StorageFactory;
use iceberg::spec::{FormatVersion, NullOrder};
use iceberg::table::Table as IcebergTable;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, CatalogBuilder, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use iceberg_catalog_sql::{SqlBindStyle, SqlCatalog, SqlCatalogBuilder};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::rest::RestWarehouse;
use super::schema::{iceberg_schema, missing_columns, partition_spec};
use crate::config::CatalogConfig;
use crate::ledger::Ledger;
use crate::parquet::SORT_COLUMNS;
use crate::{Destination, Error, Result, WarehouseConfig};

/// The catalog's name: part of the key of its SQL tables, so other engines must give the same.
pub const CATALOG_NAME: &str = "palisade";

/// The catalog's file in the root.
pub(super) const CATALOG_FILE: &str = "catalog.db";

/// A catalog call with the configured timeout. After an error or a timeout the outcome of a change is unknown.
pub(crate) async fn timed<T>(
    config: &WarehouseConfig,
    action: &str,
    call: impl Future<Output = iceberg::Result<T>>,
) -> Result<T> {
    let limit = Duration::from_millis(config.catalog_timeout_ms);
    let late = |_| Err(iceberg::Error::new(ErrorKind::Unexpected, format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, call).await.unwrap_or_else(late).map_err(|e| Error::catalog(action, e))
}

/// Opens the catalog that the configuration names; `root` is the warehouse's as readers name it.
pub(super) async fn open(
    config: &WarehouseConfig,
    root: &str,
    storage: Arc<dyn StorageFactory>,
) -> Result<Arc<dyn Catalog>> {
    Ok(match &config.catalog {
        CatalogConfig::Rest(rest) => {
            Arc::new(timed(config, "open the catalog", RestWarehouse::open(rest, storage)).await?)
        }
        CatalogConfig::Sqlite { file } => {
            let file = file.clone().unwrap_or_else(|| Path::new(root).join(CATALOG_FILE));
            Arc::new(open_sqlite(config, &file, root, storage).await?)
        }
    })
}

/// Opens the catalog of a SQLite file, made if missing.
async fn open_sqlite(
    config: &WarehouseConfig,
    file: &Path,
    root: &str,
    storage: Arc<dyn StorageFactory>,
) -> Result<SqlCatalog> {
    prepare_sqlite(file).await?;
    let builder = SqlCatalogBuilder::default()
        .uri(format!("sqlite:{}", file.display()))
        .warehouse_location(root)
        .sql_bind_style(SqlBindStyle::QMark)
        .with_storage_factory(storage);
    timed(config, "open the catalog", builder.load(CATALOG_NAME, HashMap::new())).await
}

/// That of a local directory.
#[cfg(test)]
pub(crate) async fn open_local(config: &WarehouseConfig, store: &crate::store::LocalStore) -> Arc<dyn Catalog> {
    let root = store.root().to_str().expect("UTF-8");
    open(config, root, Arc::new(super::storage::DurableStorageFactory)).await.expect("opens")
}

/// Write-ahead mode is a property of the file. With it a commit never waits for a reader; without it a commit may fail
/// because of one, and the SQL catalog drops the answer of its COMMIT.
async fn prepare_sqlite(file: &Path) -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let failed = |e: sqlx::Error| {
        let what = format!("cannot open {}", file.display());
        Error::catalog("open the catalog", iceberg::Error::new(ErrorKind::Unexpected, what).with_source(e))
    };
    let connection = options.connect().await.map_err(failed)?;
    sqlx::Connection::close(connection).await.map_err(failed)
}

/// Another process may be making the same at this moment: then it exists, which is all that is wanted.
pub(crate) async fn open_namespace(
    config: &WarehouseConfig,
    catalog: &dyn Catalog,
    namespace: &NamespaceIdent,
) -> Result<()> {
    let exists = || timed(config, "look for the namespace", catalog.namespace_exists(namespace));
    if exists().await? {
        return Ok(());
    }
    let created = timed(config, "create the namespace", catalog.create_namespace(namespace, HashMap::new())).await;
    match created {
        _ if exists().await? => Ok(()),
        created => created.and_then(|_| Err(lost("create the namespace".to_owned()))),
    }
}

/// The SQL catalog drops the answer of its COMMIT, which may have failed: on a disk that fails, for instance.
fn lost(action: String) -> Error {
    let what = "the catalog said yes, but it is not there; look at the disk of the catalog's file";
    Error::catalog(action, iceberg::Error::new(ErrorKind::Unexpected, what))
}

/// A table, made or evolved if need be.
pub(super) async fn open_table(
    config: &WarehouseConfig,
    ledger: &Ledger,
    catalog: &dyn Catalog,
    table: Destination,
    ident: &TableIdent,
) -> Result<IcebergTable> {
    let loaded = find_table(config, ledger, catalog, table, ident).await?;
    let loaded = add_columns(config, catalog, table, loaded).await?;
    set_order(config, catalog, table, loaded).await
}

async fn find_table(
    config: &WarehouseConfig,
    ledger: &Ledger,
    catalog: &dyn Catalog,
    table: Destination,
    ident: &TableIdent,
) -> Result<IcebergTable> {
    let action = format!("load table {table}");
    match timed(config, &action, catalog.load_table(ident)).await {
        Err(Error::Catalog { source, .. }) if source.kind() == ErrorKind::TableNotFound => {}
        other => return other,
    }
    let creation = table_creation(ledger, table)?;
    let created =
        timed(config, &format!("create table {table}"), catalog.create_table(ident.namespace(), creation)).await;
    // Whoever lost a race finds the winner's table now.
    match (timed(config, &action, catalog.load_table(ident)).await, created) {
        (Err(Error::Catalog { source, .. }), created) if source.kind() == ErrorKind::TableNotFound => {
            created.and_then(|_| Err(lost(format!("create table {table}"))))
        }
        (loaded, _) => loaded,
    }
}

fn table_creation(ledger: &Ledger, to: Destination) -> Result<TableCreation> {
    let table = to.table();
    let schema = iceberg_schema(table)?;
    let properties = [
        // For other engines, between whose commits ours come. Ours are built anew each time, by a loop of our own.
        ("commit.retry.num-retries", "20"),
        ("write.metadata.delete-after-commit.enabled", "true"),
        ("write.metadata.previous-versions-max", "100"),
        ("write.parquet.compression-codec", "zstd"),
    ];
    Ok(TableCreation::builder()
        .name(table.name().to_owned())
        .location(ledger.store().location(&ledger.paths().table(&to.to_string())))
        .partition_spec(partition_spec(table, &schema)?)
        .schema(schema)
        .properties(properties.map(|(k, v)| (k.to_owned(), v.to_owned())))
        .format_version(FormatVersion::V2)
        .build())
}

/// Says the order of rows in files, for engines that rewrite them, unless the table has one.
async fn set_order(
    config: &WarehouseConfig,
    catalog: &dyn Catalog,
    table: Destination,
    loaded: IcebergTable,
) -> Result<IcebergTable> {
    if !config.sort_rows || !loaded.metadata().default_sort_order().is_unsorted() {
        return Ok(loaded);
    }
    let action = format!("set the sort order of table {table}");
    let transaction = Transaction::new(&loaded);
    let order = transaction.replace_sort_order();
    let order = SORT_COLUMNS.iter().fold(order, |order, column| order.asc(column, NullOrder::First));
    let transaction = order.apply(transaction).map_err(|e| Error::catalog(&action, e))?;
    timed(config, &action, transaction.commit(catalog)).await
}

/// New optional columns of this version; nothing is rewritten.
async fn add_columns(
    config: &WarehouseConfig,
    catalog: &dyn Catalog,
    table: Destination,
    loaded: IcebergTable,
) -> Result<IcebergTable> {
    let missing = missing_columns(table.table(), &loaded.current_schema_ref())?;
    if missing.is_empty() {
        return Ok(loaded);
    }
    let action = format!("add columns to table {table}");
    let transaction = Transaction::new(&loaded);
    let update = missing.into_iter().fold(transaction.update_schema(), |update, column| update.add_column(column));
    let transaction = update.apply(transaction).map_err(|e| Error::catalog(&action, e))?;
    timed(config, &action, transaction.commit(catalog)).await
}
