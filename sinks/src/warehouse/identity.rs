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
#[derive(Debug, Serialize, Deserialize)]
struct Incarnation {
    protocol: u32,
    topic: String,
    incarnation: String,
    /// Kafka's id of the cluster; none of other sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// Those that it was read after, which somebody has accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    instead_of: Vec<String>,
    /// Who recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// A topic as its source announces it.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    /// The rows' topic.
    pub topic: &'a str,
    /// Its incarnation.
    pub incarnation: &'a str,
    /// Kafka's id of the cluster it is in, where there is one.
    pub cluster: Option<&'a str>,
    /// Another incarnation than those recorded is meant.
    pub accept_reset: bool,
    /// Who asks.
    pub by: &'a str,
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
    /// [`Error::TopicRecreated`] if the warehouse knows the topic only under other incarnations, and [`Error::OtherKafka`] if
    /// those were in another cluster; neither if `accept_reset` is true.
    pub async fn register_topic(&self, topic: Announced<'_>) -> Result<()> {
        let Announced { topic, incarnation, cluster, accept_reset, by } = topic;
        let ledger = self.ledger();
        let known = ledger.store().list(&ledger.paths().incarnations(topic)).await?;
        let known: Vec<String> =
            known.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        if known.iter().any(|known| known == incarnation) {
            return Ok(());
        }
        if !known.is_empty() && !accept_reset {
            return Err(self.refusal(topic, incarnation, cluster, &known).await?);
        }
        let record = Incarnation {
            protocol: PROTOCOL_VERSION,
            topic: topic.to_owned(),
            incarnation: incarnation.to_owned(),
            cluster: cluster.map(str::to_owned),
            instead_of: known,
            by: Some(by.to_owned()),
        };
        let bytes = serde_json::to_vec(&record).map_err(|e| Error::Config(e.to_string()))?;
        ledger.store().create(&ledger.paths().incarnation(topic, incarnation), Bytes::from(bytes)).await?;
        Ok(())
    }

    /// Why another incarnation than those known is refused: it may be that the brokers are not those that were meant.
    async fn refusal(&self, topic: &str, found: &str, cluster: Option<&str>, known: &[String]) -> Result<Error> {
        let ledger = self.ledger();
        let mut clusters = Vec::new();
        for incarnation in known {
            let path = ledger.paths().incarnation(topic, incarnation);
            if let Some(bytes) = ledger.store().get(&path).await? {
                let recorded: Incarnation = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&path, e))?;
                clusters.extend(recorded.cluster);
            }
        }
        let topic = topic.to_owned();
        Ok(match cluster {
            Some(found) if !clusters.is_empty() && !clusters.iter().any(|c| c == found) => {
                Error::OtherKafka { topic, known: clusters.join(", "), found: found.to_owned() }
            }
            _ => Error::TopicRecreated { topic, known: known.join(", "), found: found.to_owned() },
        })
    }
}
