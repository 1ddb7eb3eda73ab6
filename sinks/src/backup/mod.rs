//! Copies of a warehouse, and warehouses made of copies.
//!
//! ```text
//! Warehouse::back_up -> objects in another store -> restore -> tables that name the files there
//!                       + a checkpoint, the last     + chains without what is not whole
//! ```
//!
//! **Data in:** a warehouse that may be at work. **Data out:** the same objects under the same paths elsewhere, and, once
//! restored, a warehouse that sources resume on.
//!
//! Every object of a warehouse but the catalog's own is written once and never changed, so a copy may be taken while workers go
//! on, by us or by the store itself, and the next one copies only what is new. What makes a pile of objects a warehouse again is a
//! [`Checkpoint`]: which metadata file each table had, at a moment before the ledger was listed. From there on the ledger says
//! what the tables lack.
//!
//! Invariants:
//! - The order of looking: how far receivers are, tables, merge steps, ranges. Each names only what those after it hold.
//! - A restored chain ends before the first entry that names what is not there. What came after is read from its source again,
//!   and makes the same rows and alert ids.
//! - Nothing is changed before all has been looked at; what is run again goes on.
//!
//! Absent on purpose: history. A restored table has one snapshot, the current one; and files that only older ones hold are
//! not copied.

mod copy;
mod metadata;
mod restore;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Destination;
use crate::ledger::{Ledger, codec};
use crate::{Error, Result};

pub use copy::{Backup, Progress};
pub use restore::{Restored, restore};

/// Checkpoints that are kept in a warehouse.
const CHECKPOINTS: usize = 10;

/// Where each table was, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When it was made, microseconds since 1970.
    pub at: i64,
    /// The cluster whose warehouse it is.
    pub cluster_id: String,
    /// The root as files were named then.
    pub root: String,
    /// The path of each table's metadata file, from the root.
    pub tables: BTreeMap<Destination, String>,
}

impl Checkpoint {
    /// The path in the store of a file that the root's readers found at `location`.
    fn path<'l>(&self, location: &'l str) -> Result<&'l str> {
        location.strip_prefix(&self.root).and_then(|rest| rest.strip_prefix('/')).ok_or_else(|| {
            Error::Restore(format!(
                "{location} is not below {}, the root of the warehouse that was backed up",
                self.root
            ))
        })
    }
}

impl Ledger {
    /// The checkpoints, the newest first.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let folder = self.paths().checkpoints();
        let mut found = Vec::new();
        for name in self.store().list(&folder).await?.iter().rev() {
            found.extend(self.read::<Checkpoint>(&format!("{folder}/{name}")).await?);
        }
        Ok(found)
    }

    /// Keeps a checkpoint, and no more than a few older ones.
    async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.paths().checkpoint(checkpoint.at);
        self.store().put(&path, codec::encode(checkpoint)?.into()).await?;
        let folder = self.paths().checkpoints();
        for name in self.store().list(&folder).await?.iter().rev().skip(CHECKPOINTS) {
            self.store().delete(&format!("{folder}/{name}")).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
