//! What the ledger says of receivers, for people.

use super::since::Since;
use super::{AlertChain, STRETCH, Stretch, above, noted};
use crate::ledger::Ledger;
use crate::{Error, Result};

/// How far a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The receiver.
    pub receiver: String,
    /// Alerts behind its notes, of every severity. A worker that runs may have sent some of them.
    pub waiting: usize,
    /// Alerts that it refused for good.
    pub refused: usize,
}

impl Ledger {
    /// Every receiver that ever was configured, by name.
    ///
    /// # Errors
    /// If the store fails or an object is damaged.
    pub async fn receivers(&self) -> Result<Vec<Delivered>> {
        let partitions = self.partitions().await?.into_iter().map(AlertChain::Partition);
        let groups = self.merge_groups().await?.into_iter().map(AlertChain::Group);
        let chains: Vec<AlertChain> = partitions.chain(groups).collect();
        let mut receivers = Vec::new();
        for (receiver, since) in self.known_receivers().await? {
            let mut waiting = 0;
            for chain in &chains {
                waiting += self.waiting(&receiver, &since, chain).await?;
            }
            let refused = self.store().list(&self.paths().refusals(&receiver)).await?.len();
            receivers.push(Delivered { receiver, waiting, refused });
        }
        Ok(receivers)
    }

    /// Every receiver, and since when it gets alerts.
    pub(crate) async fn known_receivers(&self) -> Result<Vec<(String, Since)>> {
        let mut known = Vec::new();
        for receiver in self.store().list(&self.paths().receivers()).await? {
            let since = Since::recorded(self, &receiver).await?.unwrap_or_default();
            known.push((receiver, since));
        }
        Ok(known)
    }

    /// Forgets a receiver that is gone for good: nothing waits for it any more. Under its name there may be a new one.
    ///
    /// # Errors
    /// If the store fails; some of what is known of the receiver may be gone then.
    pub async fn forget_receiver(&self, receiver: &str) -> Result<()> {
        // What says since when it gets alerts is the last to go: as long as it is there, its alerts are kept.
        let since = self.paths().since(receiver);
        for listed in self.store().list_deep(&self.paths().receiver(receiver)).await? {
            if listed.path != since {
                self.store().delete(&listed.path).await?;
            }
        }
        self.store().delete(&since).await
    }

    async fn waiting(&self, receiver: &str, since: &Since, chain: &AlertChain) -> Result<usize> {
        let Some(mut at) = noted(self, receiver, since, chain).await? else { return Ok(0) };
        let mut waiting = 0;
        loop {
            let stretch = Stretch::read(self, chain, at).await?;
            waiting += stretch.parcels.iter().map(|parcel| parcel.ids.len()).sum::<usize>();
            at = stretch.next;
            if stretch.entries < STRETCH {
                match above(self, chain, at).await? {
                    Some(floor) => at = floor,
                    None => return Ok(waiting),
                }
            }
        }
    }

    /// What a receiver refused for good: objects of `why` and `alert`.
    ///
    /// # Errors
    /// If the store fails or an object is no JSON.
    pub async fn refused_alerts(&self, receiver: &str) -> Result<Vec<serde_json::Value>> {
        let folder = self.paths().refusals(receiver);
        let mut refused = Vec::new();
        for name in self.store().list(&folder).await? {
            let path = format!("{folder}/{name}");
            let bytes = self.store().get(&path).await?.unwrap_or_default();
            refused.push(serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&path, e))?);
        }
        Ok(refused)
    }
}
