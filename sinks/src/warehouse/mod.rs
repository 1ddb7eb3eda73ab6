//! The warehouse: ledger and tables of a region in one directory or one folder of a bucket, and the catalog that names them.

pub(crate) mod catalog;
mod destinations;
mod identity;
mod positions;
mod remote_storage;
mod rest;
pub(crate) mod schema;
mod storage;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use dataflow::{PartitionId, Table};
use iceberg::io::{FileIO, FileIOBuilder};
use iceberg::{Catalog, NamespaceIdent, TableIdent};
use uuid::Uuid;

use crate::commit::{Committer, backoff};
use crate::config::{CatalogConfig, Root};
use crate::ledger::{Ledger, Paths, StagedFile};
use crate::parquet::{EncodedFile, Encoder};
use crate::step::{self, Step};
use crate::store::{LocalStore, ObjectStore, RemoteStore};
use crate::{Class, Destination, Error, Result, WarehouseConfig};

pub use catalog::CATALOG_NAME;
pub(crate) use catalog::{open_namespace, timed};
pub(crate) use destinations::ident;
pub use identity::Announced;
pub use positions::{MERGE_TABLES, Nexts};
pub(crate) use positions::{merge_key, source_key};
use remote_storage::RemoteStorageFactory;
use storage::DurableStorageFactory;

/// Pause before a warehouse that could not be opened is tried again, milliseconds.
const OPEN_PAUSE_MS: u64 = 100;

/// Attempts at opening a remote warehouse, whose store tries each call for long enough itself.
const REMOTE_TURNS: u64 = 10;

/// Loading a table changes nothing, so a catalog that is busy is asked again.
const LOAD_ATTEMPTS: u32 = 5;

/// An open warehouse. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Warehouse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: WarehouseConfig,
    cluster: identity::Cluster,
    ledger: Ledger,
    catalog: Arc<dyn Catalog>,
    tables: RwLock<BTreeMap<Destination, TableIdent>>,
    encoder: Encoder,
}

/// What the rows of a data file come from; part of its name.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A range of a partition.
    Range {
        /// The partition.
        partition: &'a PartitionId,
        /// First offset.
        start: i64,
        /// The offset to read next.
        next: i64,
    },
    /// A step of a merge group.
    Step {
        /// The group.
        group: u32,
        /// The step.
        step: i64,
    },
}

impl Warehouse {
    /// Opens the warehouse of the configuration; makes what is missing: the directory, the cluster record, the catalog's
    /// file, the tables, and columns that tables of an older version lack. A bucket and a catalog's server must be there.
    ///
    /// # Errors
    /// [`crate::Error::OtherCluster`] if the warehouse belongs to another cluster; a catalog or store error otherwise.
    pub async fn open(config: WarehouseConfig) -> Result<Self> {
        config.check()?;
        let is_local = config.root.local().is_some();
        let mut turns = if is_local { config.catalog_timeout_ms / OPEN_PAUSE_MS } else { REMOTE_TURNS };
        loop {
            // SQLite refuses at once while another process recovers or makes the file.
            match Self::open_once(config.clone()).await {
                Err(e) if e.class() == Class::Transient && turns > 0 => turns -= 1,
                opened => return opened,
            }
            tokio::time::sleep(Duration::from_millis(OPEN_PAUSE_MS)).await;
        }
    }

    /// Whether a warehouse of that region was ever made there. Nothing is written.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn exists(config: &WarehouseConfig) -> Result<bool> {
        config.check()?;
        let cluster = Paths::new(&config.region).cluster();
        match (&config.root, &config.catalog) {
            (Root::Local(path), CatalogConfig::Sqlite { file: None }) => Ok(path.join(catalog::CATALOG_FILE).exists()),
            (Root::Local(path), _) => Ok(path.join(cluster).exists()),
            (Root::Remote(url), _) => Ok(RemoteStore::unproven(url, &config.store)?.get(&cluster).await?.is_some()),
        }
    }

    async fn open_once(config: WarehouseConfig) -> Result<Self> {
        let Connected { store, catalog, .. } = connect(&config).await?;
        Self::open_with(config, store, catalog).await
    }

    /// Opens a warehouse on another store or catalog: that of a fleet, or one that fails on purpose.
    ///
    /// # Errors
    /// As [`Warehouse::open`].
    pub async fn open_with(
        config: WarehouseConfig,
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
    ) -> Result<Self> {
        config.check()?;
        let ledger = Ledger::new(store, &config.region);
        let cluster = identity::open_cluster(&ledger, &config).await?;
        catalog::open_namespace(&config, catalog.as_ref(), &NamespaceIdent::new(config.namespace.clone())).await?;
        let (tables, encoder) = (RwLock::default(), Encoder::default());
        let inner = Arc::new(Inner { config, cluster, ledger, catalog, tables, encoder });
        for table in Table::ALL {
            inner.open_table(table.into()).await?;
        }
        let opened = Self { inner };
        opened.find_destinations().await?;
        step::reached(Step::WarehouseOpened);
        Ok(opened)
    }

    /// The configuration.
    pub fn config(&self) -> &WarehouseConfig {
        &self.inner.config
    }

    /// The id of the cluster that the warehouse belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.inner.cluster.cluster_id
    }

    /// Number of merge groups, fixed when the warehouse was made.
    pub fn merge_groups(&self) -> u32 {
        self.inner.cluster.merge_groups
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The store of ledger and data.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        self.inner.ledger.store()
    }

    /// The catalog, unguarded: for readers.
    pub fn catalog(&self) -> Arc<dyn Catalog> {
        self.inner.catalog.clone()
    }

    /// The name in the catalog of a table that is open.
    fn ident(&self, table: Destination) -> Option<TableIdent> {
        self.inner.tables().get(&table).cloned()
    }

    /// The table as the catalog has it now.
    ///
    /// # Errors
    /// If the catalog fails or takes longer than its timeout.
    pub async fn load_table(&self, table: impl Into<Destination>) -> Result<iceberg::table::Table> {
        let table = table.into();
        let (config, action) = (&self.inner.config, format!("load table {table}"));
        let ident = self.ident(table).ok_or_else(|| {
            Error::catalog(&action, iceberg::Error::new(iceberg::ErrorKind::TableNotFound, "nobody has made it"))
        })?;
        for attempt in 1.. {
            match timed(config, &action, self.inner.catalog.load_table(&ident)).await {
                Err(e) if e.class() == Class::Transient && attempt < LOAD_ATTEMPTS => {
                    tracing::debug!(%table, attempt, error = %e, "loading is tried again");
                }
                loaded => return loaded,
            }
            tokio::time::sleep(backoff(config.commit_backoff_ms, attempt)).await;
        }
        unreachable!("the loop ends by a return")
    }

    /// The encoder of all tables, for the threads that own rows.
    pub fn encoder(&self) -> Encoder {
        self.inner.encoder.clone()
    }

    /// A committer; `writer` names it in snapshots, for people. Several may run at once, in any number of processes.
    pub fn committer(&self, writer: &str) -> Committer {
        Committer::new(self.clone(), writer)
    }

    /// Makes an encoded file durable where its table's files are, invisible until a ledger entry names it. `attempt` is
    /// the id of the entry that will; it and `origin` make the name unique.
    ///
    /// # Errors
    /// If the store fails. Calling again with the same arguments is safe.
    pub async fn stage(&self, origin: Origin<'_>, attempt: Uuid, file: EncodedFile) -> Result<StagedFile> {
        let path = self.data_path(origin, attempt, &file);
        let staged = StagedFile {
            location: self.inner.ledger.store().location(&path),
            slot: file.slot,
            rows: file.rows,
            bytes: file.bytes.len() as u64,
            time_min: file.time_min,
            time_max: file.time_max,
            schema_id: file.schema_id,
            spec_id: file.spec_id,
            sort_order_id: file.sort_order_id,
            split_offsets: file.split_offsets,
            columns: file.columns,
        };
        self.inner.ledger.put_new(path, file.bytes).await?;
        step::reached(match origin {
            Origin::Range { .. } => Step::FileStaged,
            Origin::Step { .. } => Step::MergeFileStaged,
        });
        Ok(staged)
    }

    fn data_path(&self, origin: Origin<'_>, attempt: Uuid, file: &EncodedFile) -> String {
        let folder = self.inner.ledger.paths().table(&file.table.to_string());
        let name = match origin {
            Origin::Range { partition, start, next } => format!("{}-{start}-{next}", partition.partition),
            Origin::Step { group, step } => format!("merge-{group}-{step}"),
        };
        format!("{folder}/{}/{name}-{attempt}.parquet", file.granularity.folder(file.slot))
    }
}

impl WarehouseConfig {
    /// The store at the root, made if it is a directory; whether or not there is a warehouse.
    ///
    /// # Errors
    /// If it cannot be opened, or a bucket does not keep what is created a second time.
    pub async fn open_store(&self) -> Result<Arc<dyn ObjectStore>> {
        self.check()?;
        Ok(match &self.root {
            Root::Local(path) => Arc::new(LocalStore::open(path)?),
            Root::Remote(url) => Arc::new(RemoteStore::open(url, &self.store).await?),
        })
    }
}

/// A store, a catalog whose tables are in it, and how the tables' files are read and written.
pub(crate) struct Connected {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) io: FileIO,
}

/// Opens both, and looks for nothing in them.
pub(crate) async fn connect(config: &WarehouseConfig) -> Result<Connected> {
    let connected = |store, catalog, storage| Connected { store, catalog, io: FileIOBuilder::new(storage).build() };
    match &config.root {
        Root::Local(path) => {
            let store = LocalStore::open(path)?;
            let root = store.root().display().to_string();
            let storage = Arc::new(DurableStorageFactory);
            let catalog = catalog::open(config, &root, storage.clone()).await?;
            Ok(connected(Arc::new(store), catalog, storage))
        }
        Root::Remote(url) => {
            let store = RemoteStore::open(url, &config.store).await?;
            let storage = Arc::new(RemoteStorageFactory::new(store.clone()));
            let catalog = catalog::open(config, &url.to_string(), storage.clone()).await?;
            Ok(connected(Arc::new(store), catalog, storage))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
