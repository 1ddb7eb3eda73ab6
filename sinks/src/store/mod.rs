//! Objects by path: create-if-absent, put, get, list, delete. Paths are relative, with `/`; an object is whole or absent.

mod local;
mod remote;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

pub use local::LocalStore;
pub(crate) use local::{advised, ensure_directory, is_temporary, sync_directory, write_durably};
pub use remote::RemoteStore;

/// What create-if-absent found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// The object is new and durable.
    New,
    /// An object of that path was there; it is unchanged. It may be the caller's own, if the first answer was lost.
    Exists,
}

/// An object as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path, from the root of the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by the store's clock: microseconds since 1970.
    pub written_at: i64,
}

/// A store of objects. All that the protocol needs: no overwrite is ever relied upon, no compare-and-swap.
///
/// Errors are [`crate::Error::Store`], whose class says whether trying again may help. After an error it is unknown
/// whether the object was written.
#[async_trait]
pub trait ObjectStore: std::fmt::Debug + Send + Sync {
    /// Writes the object if none of that path exists; atomic among all processes.
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Create>;

    /// Writes the object, whatever was there.
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()>;

    /// The object; None if it does not exist.
    async fn get(&self, path: &str) -> Result<Option<Bytes>>;

    /// The names directly below a folder, sorted; none if the folder does not exist.
    async fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Every object below a folder at any depth, by path; files that a crash left half written among them.
    async fn list_deep(&self, folder: &str) -> Result<Vec<Listed>>;

    /// Deletes the object. One that is not there is no error.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Where the object is for readers that do not go through this store.
    fn location(&self, path: &str) -> String;
}

#[cfg(test)]
mod tests;
