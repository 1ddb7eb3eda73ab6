//! The registry of a file source, in the warehouse: a folder of a local one, objects of a remote one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ingest::files::{Folder, Shelf};
use sinks::store::Create;
use sinks::{Error, Warehouse};
use tokio::runtime::Handle;

/// The registrations of a topic. To be called on the runtime that the remote store works on.
pub(crate) fn of(warehouse: &Warehouse, topic: &str) -> Arc<dyn Shelf> {
    let config = warehouse.config();
    let folder = format!("{}/meta/files/{topic}", config.region);
    match config.root.local() {
        Some(root) => Arc::new(Folder(root.join(folder))),
        None => Arc::new(InStore { warehouse: warehouse.clone(), runtime: Handle::current(), folder }),
    }
}

/// Objects of the warehouse's store, for threads that may block.
#[derive(Debug)]
struct InStore {
    warehouse: Warehouse,
    runtime: Handle,
    folder: String,
}

impl InStore {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

/// The source of a store's error keeps its kind.
fn failed(error: Error) -> io::Error {
    match &error {
        Error::Store { source, .. } => io::Error::new(source.kind(), error.to_string()),
        _ => io::Error::other(error.to_string()),
    }
}

impl Shelf for InStore {
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, name: &str, content: &[u8]) -> io::Result<bool> {
        let (path, content) = (self.path(name), content.to_vec());
        let created = self.runtime.block_on(self.warehouse.store().create(&path, content.into()));
        created.map(|created| created == Create::New).map_err(failed)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let found = self.runtime.block_on(self.warehouse.store().get(&self.path(name)));
        found.map(|bytes| bytes.map(|b| b.to_vec())).map_err(failed)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.runtime.block_on(self.warehouse.store().list(&self.folder)).map_err(failed)
    }

    /// An object that can be read is durable.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    fn place(&self) -> PathBuf {
        self.warehouse.store().location(&self.folder).into()
    }
}
