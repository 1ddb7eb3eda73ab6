//! The catalog and the tables in it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataflow::Table;
use iceberg::io::StorageFactory;
use iceberg::spec::FormatVersion;
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
use crate::{Error, Result, WarehouseConfig};

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

/// Every table, made or evolved if need be.
pub(super) async fn open_tables(
    config: &WarehouseConfig,
    ledger: &Ledger,
    catalog: &dyn Catalog,
) -> Result<BTreeMap<Table, IcebergTable>> {
    let namespace = NamespaceIdent::new(config.namespace.clone());
    open_namespace(config, catalog, &namespace).await?;
    let mut tables = BTreeMap::new();
    for table in Table::ALL {
        let ident = TableIdent::new(namespace.clone(), table.name().to_owned());
        let loaded = open_table(config, ledger, catalog, table, &ident).await?;
        tables.insert(table, add_columns(config, catalog, table, loaded).await?);
    }
    Ok(tables)
}

/// Another process may be making the same at this moment: then it exists, which is all that is wanted.
async fn open_namespace(config: &WarehouseConfig, catalog: &dyn Catalog, namespace: &NamespaceIdent) -> Result<()> {
    let exists = || timed(config, "look for the namespace", catalog.namespace_exists(namespace));
    if exists().await? {
        return Ok(());
    }
    let created = timed(config, "create the namespace", catalog.create_namespace(namespace, HashMap::new())).await;
    match created {
        Err(_) if exists().await? => Ok(()),
        other => other.map(drop),
    }
}

async fn open_table(
    config: &WarehouseConfig,
    ledger: &Ledger,
    catalog: &dyn Catalog,
    table: Table,
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
        (Err(Error::Catalog { source, .. }), Err(refused)) if source.kind() == ErrorKind::TableNotFound => Err(refused),
        (loaded, _) => loaded,
    }
}

fn table_creation(ledger: &Ledger, table: Table) -> Result<TableCreation> {
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
        .location(ledger.store().location(&ledger.paths().table(table.name())))
        .partition_spec(partition_spec(table, &schema)?)
        .schema(schema)
        .properties(properties.map(|(k, v)| (k.to_owned(), v.to_owned())))
        .format_version(FormatVersion::V2)
        .build())
}

/// New optional columns of this version; nothing is rewritten.
async fn add_columns(
    config: &WarehouseConfig,
    catalog: &dyn Catalog,
    table: Table,
    loaded: IcebergTable,
) -> Result<IcebergTable> {
    let missing = missing_columns(table, &loaded.current_schema_ref())?;
    if missing.is_empty() {
        return Ok(loaded);
    }
    let action = format!("add columns to table {table}");
    let transaction = Transaction::new(&loaded);
    let update = missing.into_iter().fold(transaction.update_schema(), |update, column| update.add_column(column));
    let transaction = update.apply(transaction).map_err(|e| Error::catalog(&action, e))?;
    timed(config, &action, transaction.commit(catalog)).await
}
