//! A catalog whose `load_table` refuses a base on which somebody else has already committed.
//!
//! iceberg's transaction loads the table itself, builds the new metadata on what it gets, and sends that with the
//! requirement that the snapshot has not changed since. So the base that passes here is the base that is committed on.
//! iceberg sends once, whatever the table's `commit.retry.*` say: those are for other engines.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iceberg::table::Table as IcebergTable;
use iceberg::{
    Catalog, Error as IcebergError, ErrorKind, Namespace, NamespaceIdent, Result as IcebergResult, TableCommit,
    TableCreation, TableIdent,
};

use crate::step::{self, Step};
use crate::warehouse::timed;
use crate::{Destination, Error, WarehouseConfig};

/// What `palisade.next` must say: key and value, None for absent.
pub(super) type Expected = BTreeMap<String, Option<i64>>;

/// See the module's front. One serves one commit of one table.
#[derive(Debug)]
pub struct GuardedCatalog {
    inner: Arc<dyn Catalog>,
    config: WarehouseConfig,
    table: Destination,
    expected: Expected,
    fenced: Mutex<Option<Fence>>,
}

#[derive(Debug, Clone)]
struct Fence {
    key: String,
    have: Option<i64>,
    want: Option<i64>,
}

impl GuardedCatalog {
    pub(super) fn new(
        inner: Arc<dyn Catalog>,
        config: WarehouseConfig,
        table: Destination,
        expected: Expected,
    ) -> Self {
        Self { inner, config, table, expected, fenced: Mutex::new(None) }
    }

    /// The error that the last `load_table` ended with, if it was ours.
    pub(super) fn fenced(&self) -> Option<Error> {
        let fence = self.fenced.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let Fence { key, have, want } = fence;
        Some(Error::Fenced { table: self.table, key, have, want })
    }

    fn check(&self, base: &IcebergTable) -> Option<Fence> {
        let properties = base.metadata().properties();
        self.expected.iter().find_map(|(key, &want)| {
            // A value that is no number equals nothing that we expect.
            let have = properties.get(key).map(|v| v.parse().unwrap_or(i64::MIN));
            (have != want).then(|| Fence { key: key.clone(), have, want })
        })
    }

    async fn timed<T>(&self, action: &str, call: impl Future<Output = IcebergResult<T>>) -> IcebergResult<T> {
        timed(&self.config, action, call).await.map_err(|e| match e {
            Error::Catalog { source, .. } => *source,
            other => IcebergError::new(ErrorKind::Unexpected, other.to_string()),
        })
    }
}

#[async_trait]
impl Catalog for GuardedCatalog {
    async fn load_table(&self, ident: &TableIdent) -> IcebergResult<IcebergTable> {
        let base = self.timed("load", self.inner.load_table(ident)).await?;
        match self.check(&base) {
            None => Ok(base),
            Some(fence) => {
                *self.fenced.lock().unwrap_or_else(PoisonError::into_inner) = Some(fence);
                // A kind that iceberg's own loop does not retry.
                Err(IcebergError::new(ErrorKind::PreconditionFailed, "fenced"))
            }
        }
    }

    async fn update_table(&self, commit: TableCommit) -> IcebergResult<IcebergTable> {
        step::reached(Step::TableCommitBuilt);
        // Not for iceberg's own loop: ours looks at the ledger again.
        self.timed("commit", self.inner.update_table(commit)).await.map_err(|e| e.with_retryable(false))
    }

    async fn table_exists(&self, ident: &TableIdent) -> IcebergResult<bool> {
        self.inner.table_exists(ident).await
    }

    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> IcebergResult<Vec<NamespaceIdent>> {
        self.inner.list_namespaces(parent).await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> IcebergResult<Namespace> {
        self.inner.create_namespace(namespace, properties).await
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> IcebergResult<Namespace> {
        self.inner.get_namespace(namespace).await
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> IcebergResult<bool> {
        self.inner.namespace_exists(namespace).await
    }

    async fn update_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> IcebergResult<()> {
        self.inner.update_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> IcebergResult<()> {
        self.inner.drop_namespace(namespace).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> IcebergResult<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }

    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> IcebergResult<IcebergTable> {
        self.inner.create_table(namespace, creation).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> IcebergResult<()> {
        self.inner.drop_table(ident).await
    }

    async fn purge_table(&self, ident: &TableIdent) -> IcebergResult<()> {
        self.inner.purge_table(ident).await
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> IcebergResult<()> {
        self.inner.rename_table(from, to).await
    }

    async fn register_table(&self, ident: &TableIdent, metadata: String) -> IcebergResult<IcebergTable> {
        self.inner.register_table(ident, metadata).await
    }
}
