//! Whose warehouse it is: the cluster and the topics' incarnations, each recorded once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Warehouse;
use crate::ledger::{Ledger, PROTOCOL_VERSION};
use crate::store::Create;
use crate::{Error, Result, WarehouseConfig};

/// `meta/cluster.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cluster {
    /// Read first: a later version may have other keys.
    protocol: u32,
    pub(super) cluster_id: String,
    pub(super) merge_groups: u32,
}

/// `meta/topics/<topic>/<incarnation>.json`.
#[derive(Debug, Serialize)]
struct Incarnation<'a> {
    protocol: u32,
    topic: &'a str,
    incarnation: &'a str,
}

/// Records the cluster if the warehouse is new; otherwise compares.
pub(super) async fn open_cluster(ledger: &Ledger, config: &WarehouseConfig) -> Result<Cluster> {
    let path = ledger.paths().cluster();
    let cluster_id = config.cluster_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let new = Cluster { protocol: PROTOCOL_VERSION, cluster_id, merge_groups: config.merge_groups };
    let bytes = serde_json::to_vec(&new).map_err(|e| Error::Config(e.to_string()))?;
    ledger.store().create(&path, Bytes::from(bytes)).await?;
    let recorded = ledger.store().get(&path).await?;
    let named_by = "its own creation".to_owned();
    let recorded = recorded.ok_or_else(|| Error::Missing { path: path.clone(), named_by })?;
    let cluster = parse_cluster(&path, &recorded)?;
    match &config.cluster_id {
        Some(expected) if *expected != cluster.cluster_id => Err(Error::OtherCluster {
            root: config.root.to_string(),
            expected: expected.clone(),
            found: cluster.cluster_id,
        }),
        _ => Ok(cluster),
    }
}

fn parse_cluster(path: &str, bytes: &[u8]) -> Result<Cluster> {
    #[derive(Deserialize)]
    struct Version {
        protocol: u32,
    }
    let damaged = |e: serde_json::Error| Error::damaged(path, e);
    let found = serde_json::from_slice::<Version>(bytes).map_err(damaged)?.protocol;
    if found != PROTOCOL_VERSION {
        return Err(Error::UnknownProtocol { path: path.to_owned(), found, known: PROTOCOL_VERSION });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

impl Warehouse {
    /// Keeps a note under a name, once: returns the bytes that are kept, these or those of an earlier call. For what a
    /// source must not decide anew at a restart.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remember(&self, name: &str, bytes: Bytes) -> Result<Bytes> {
        let (store, path) = (self.ledger().store(), self.ledger().paths().note(name));
        if store.create(&path, bytes.clone()).await? == Create::New {
            return Ok(bytes);
        }
        store.get(&path).await?.ok_or_else(|| Error::Missing { path, named_by: "its own creation".to_owned() })
    }

    /// The note that [`Warehouse::remember`] keeps under a name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn recall(&self, name: &str) -> Result<Option<Bytes>> {
        self.ledger().store().get(&self.ledger().paths().note(name)).await
    }

    /// Records a topic's incarnation, or finds it recorded. To be called for each topic before its first record is read.
    ///
    /// # Errors
    /// [`Error::TopicRecreated`] if the warehouse knows the topic only under other incarnations and `accept_reset` is
    /// false.
    pub async fn register_topic(&self, topic: &str, incarnation: &str, accept_reset: bool) -> Result<()> {
        let ledger = self.ledger();
        let known = ledger.store().list(&ledger.paths().incarnations(topic)).await?;
        let known: Vec<&str> = known.iter().filter_map(|name| name.strip_suffix(".json")).collect();
        if known.contains(&incarnation) {
            return Ok(());
        }
        if !known.is_empty() && !accept_reset {
            let (topic, found) = (topic.to_owned(), incarnation.to_owned());
            return Err(Error::TopicRecreated { topic, known: known.join(", "), found });
        }
        let record = Incarnation { protocol: PROTOCOL_VERSION, topic, incarnation };
        let bytes = serde_json::to_vec(&record).map_err(|e| Error::Config(e.to_string()))?;
        ledger.store().create(&ledger.paths().incarnation(topic, incarnation), Bytes::from(bytes)).await?;
        Ok(())
    }
}
