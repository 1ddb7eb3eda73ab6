//! Since when a receiver gets alerts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AlertChain, Delivery};
use crate::ledger::Ledger;
use crate::{Error, Result};

/// Where each chain ended when the receiver was new. Recorded once; a chain that is not in it is sent from its first entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Since {
    /// By the path of the chain.
    heads: BTreeMap<String, i64>,
}

impl Since {
    pub(super) async fn open(ledger: &Ledger, delivery: &Delivery) -> Result<Self> {
        if let Some(known) = Self::recorded(ledger, &delivery.name).await? {
            return Ok(known);
        }
        let since = if delivery.from_beginning { Self::default() } else { Self::now(ledger).await? };
        let path = ledger.paths().since(&delivery.name);
        let json = serde_json::to_vec(&since).map_err(|e| Error::damaged(&path, e))?;
        ledger.store().create(&path, json.into()).await?;
        // Another worker of the fleet may have been first: what it found counts.
        Ok(Self::recorded(ledger, &delivery.name).await?.unwrap_or(since))
    }

    /// None if the receiver is new.
    pub(super) async fn recorded(ledger: &Ledger, receiver: &str) -> Result<Option<Self>> {
        let path = ledger.paths().since(receiver);
        let known = ledger.store().get(&path).await?;
        known.map(|bytes| serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&path, e))).transpose()
    }

    async fn now(ledger: &Ledger) -> Result<Self> {
        let mut heads = BTreeMap::new();
        for partition in ledger.partitions().await? {
            let Some(last) = ledger.starts(&partition).await?.pop() else { continue };
            if let Some(entry) = ledger.get_source(&partition, last).await? {
                heads.insert(AlertChain::Partition(partition).path(), entry.next);
            }
        }
        for group in ledger.merge_groups().await? {
            if let Some(last) = ledger.steps(group).await?.pop() {
                heads.insert(AlertChain::Group(group).path(), last + 1);
            }
        }
        Ok(Self { heads })
    }

    pub(crate) fn of(&self, chain: &AlertChain) -> Option<i64> {
        self.heads.get(&chain.path()).copied()
    }
}
