//! Alerts that leave: read back from what the ledger names, sent to a receiver, and noted as sent.
//!
//! ```text
//! chain of entries: |--- sent, and noted ---|--- sent when the process died ---|--- waiting ---|
//!                                           ^ note                                             ^ head
//! ```
//!
//! Nothing waits in memory: whoever takes a chain up begins at its newest note, sends what it finds and notes how far it
//! came. So each alert of a durable entry leaves at least once, whichever process put the entry there and whichever died;
//! an alert's id is its key, the same each time.
//!
//! Each receiver has notes of its own, so one that is away holds up nobody else. A note is a create-once object,
//! `outbox/<receiver>/<chain>/<20 digits>.sent`: all alerts of the entries that begin below it were taken, or refused for
//! good and kept under `outbox/<receiver>/_refused/`. A receiver that is new begins with what comes after
//! `outbox/<receiver>/_since.json`.

mod alertmanager;
mod alerts;
mod cef;
mod ledger;
mod receiver;
mod since;
mod syslog;
mod tls;
mod topic;
mod webhook;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use dataflow::{PartitionId, Table};
use uuid::Uuid;

use crate::ledger::paths::merge_path;
use crate::ledger::{Ledger, StagedFile, TableFiles};
use crate::warehouse::Warehouse;
use crate::{Destination, Error, Result};

use alerts::read_alerts;
pub(crate) use since::Since;

pub use alertmanager::{Alertmanager, AlertmanagerConfig};
pub use alerts::OutgoingAlert;
pub use ledger::Delivered;
pub use receiver::{Receiver, Sending, Taken};
pub use syslog::{Syslog, SyslogConfig, SyslogFormat, SyslogProtocol};
pub use topic::AlertTopic;
pub use webhook::{Webhook, WebhookConfig};

/// A sequence of entries that may hold alerts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertChain {
    /// A partition: alerts of filter rules.
    Partition(PartitionId),
    /// A merge group: alerts of windows.
    Group(u32),
}

/// Entries read at a time; a note is written after each such stretch.
const STRETCH: usize = 256;

/// Which alerts a receiver gets, and from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The receiver in paths, metrics and logs; its notes are found by it.
    pub name: String,
    /// The lowest severity that it gets.
    pub severity_min: i32,
    /// A receiver that is new gets every alert of the ledger, not only those to come.
    pub from_beginning: bool,
}

/// What one call sent.
#[derive(Debug, Default)]
pub struct Drained {
    /// Alerts that it refused for good.
    pub refused: usize,
    /// Why it stopped before the end, if it did; the next call goes on from there.
    pub failed: Option<Error>,
    /// How long the receiver asked to be left alone.
    pub pause: Option<std::time::Duration>,
}

/// Sends the alerts of chains to one receiver. One process may hold several chains; two processes that hold the same chain
/// send its alerts twice.
#[derive(Debug)]
pub struct Outbox {
    warehouse: Warehouse,
    delivery: Delivery,
    receiver: Arc<dyn Receiver>,
    since: Since,
    sent: BTreeMap<AlertChain, i64>,
    /// Where a sending stopped: the stretch, and how many of its alerts need not be sent again.
    begun: BTreeMap<AlertChain, (i64, usize)>,
}

impl Outbox {
    /// An outbox that has looked at no chain. Records since when a new receiver gets alerts: open it before anything is
    /// ingested.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(warehouse: Warehouse, delivery: Delivery, receiver: Arc<dyn Receiver>) -> Result<Self> {
        let since = Since::open(warehouse.ledger(), &delivery).await?;
        let (sent, begun) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { warehouse, delivery, receiver, since, sent, begun })
    }

    /// The receiver's name.
    pub fn name(&self) -> &str {
        &self.delivery.name
    }

    /// Sends every alert of the chain's entries that is not noted as sent, and tells of each that is taken.
    ///
    /// # Errors
    /// If the ledger cannot be read or noted in. That the receiver takes nothing is no error: see [`Drained::failed`].
    pub async fn drain(&mut self, chain: &AlertChain, taken: Taken<'_>) -> Result<Drained> {
        let mut drained = Drained::default();
        let Some(mut at) = self.position(chain).await? else { return Ok(drained) };
        loop {
            let stretch = Stretch::read(self.warehouse.ledger(), chain, at).await?;
            let mut alerts = Vec::new();
            for parcel in &stretch.parcels {
                alerts.extend(self.open_parcel(parcel).await?);
            }
            let begun = self.begun.remove(chain).filter(|(from, _)| *from == at).map_or(0, |(_, done)| done);
            let waiting = alerts.get(begun..).unwrap_or_default();
            let sending = self.receiver.send(waiting, taken).await;
            for (nth, why) in &sending.refused {
                self.keep_refused(&waiting[*nth], why).await?;
            }
            drained.refused += sending.refused.len();
            if let Some(error) = sending.failed {
                self.begun.insert(chain.clone(), (at, begun + sending.done));
                return Ok(Drained { failed: Some(error), pause: sending.pause, ..drained });
            }
            let is_last = stretch.entries < STRETCH;
            if !is_last || !stretch.parcels.is_empty() {
                let path = self.paths().sent(self.name(), &chain.path(), stretch.next);
                self.store().create(&path, Bytes::from_static(b"{}")).await?;
            }
            at = stretch.next;
            self.sent.insert(chain.clone(), at);
            if is_last {
                match above(self.warehouse.ledger(), chain, at).await? {
                    Some(floor) => at = floor,
                    None => return Ok(drained),
                }
            }
        }
    }

    /// Forgets a chain that another process sends now.
    pub fn release(&mut self, chain: &AlertChain) {
        self.sent.remove(chain);
        self.begun.remove(chain);
    }

    fn paths(&self) -> &crate::ledger::Paths {
        self.warehouse.ledger().paths()
    }

    fn store(&self) -> &Arc<dyn crate::store::ObjectStore> {
        self.warehouse.ledger().store()
    }

    /// Keeps an alert that the receiver will never take, with the reason; once, however often it is sent.
    async fn keep_refused(&self, alert: &OutgoingAlert, why: &str) -> Result<()> {
        tracing::error!(receiver = self.name(), alert = alert.id, why, "an alert was refused; it is kept");
        let finding: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
        let name = finding["metadata"]["uid"].as_str().unwrap_or(&alert.id).replace('/', "-");
        let kept = serde_json::json!({ "why": why, "alert": finding }).to_string();
        self.store().create(&self.paths().refused(self.name(), &name), kept.into()).await.map(drop)
    }

    /// Where the chain is to be taken up; none if it has no entry.
    async fn position(&self, chain: &AlertChain) -> Result<Option<i64>> {
        match self.sent.get(chain) {
            Some(at) => Ok(Some(*at)),
            None => noted(self.warehouse.ledger(), self.name(), &self.since, chain).await,
        }
    }

    /// The alerts in an entry's files that are for the receiver. Vendors' own findings may stand beside them.
    async fn open_parcel(&self, parcel: &Parcel) -> Result<Vec<OutgoingAlert>> {
        let mut alerts = Vec::new();
        for file in &parcel.files {
            alerts.extend(read_alerts(&self.warehouse, file, parcel.attempt).await?);
        }
        alerts.retain(|alert| parcel.ids.contains(&alert.id) && alert.severity >= self.delivery.severity_min);
        Ok(alerts)
    }
}

/// Where a receiver goes on in a chain, by what is noted; none if the chain has no entry.
async fn noted(ledger: &Ledger, receiver: &str, since: &Since, chain: &AlertChain) -> Result<Option<i64>> {
    let notes = ledger.store().list(&ledger.paths().outbox(receiver, &chain.path())).await?;
    let newest = notes.iter().rev().find_map(|name| name.strip_suffix(".sent")?.parse().ok());
    match (newest.or(since.of(chain)), chain) {
        (Some(at), _) => Ok(Some(at)),
        (None, AlertChain::Partition(partition)) => ledger.first(partition).await,
        (None, AlertChain::Group(group)) => ledger.first_merge(*group).await,
    }
}

/// The floor of the chain, if what was at the position is collected: entries without alerts are, whoever has looked at them.
async fn above(ledger: &Ledger, chain: &AlertChain, at: i64) -> Result<Option<i64>> {
    Ok(ledger.floor_at(&chain.path()).await?.filter(|floor| *floor > at))
}

/// Some entries of a chain.
#[derive(Debug)]
struct Stretch {
    /// Where the stretch ends.
    next: i64,
    /// Of the entries that hold alerts.
    parcels: Vec<Parcel>,
    /// How many entries there are.
    entries: usize,
}

impl Stretch {
    /// The entries from `at` on.
    async fn read(ledger: &Ledger, chain: &AlertChain, at: i64) -> Result<Self> {
        let (next, parcels): (i64, Vec<Parcel>) = match chain {
            AlertChain::Partition(partition) => {
                let entries = ledger.walk(partition, at, STRETCH).await?;
                let next = entries.last().map_or(at, |e| e.next);
                (next, entries.into_iter().map(|e| Parcel::new(e.attempt, e.outbox, e.tables)).collect())
            }
            AlertChain::Group(group) => {
                let entries = ledger.walk_merge(*group, at, STRETCH).await?;
                let next = at + entries.len() as i64;
                (next, entries.into_iter().map(|e| Parcel::new(e.attempt, e.outbox, e.tables)).collect())
            }
        };
        let entries = parcels.len();
        Ok(Self { next, parcels: parcels.into_iter().filter(|p| !p.ids.is_empty()).collect(), entries })
    }
}

/// What an entry has to send: the ids of its alerts, and the files that they are in.
#[derive(Debug)]
struct Parcel {
    attempt: Uuid,
    ids: HashSet<String>,
    files: Vec<StagedFile>,
}

impl Parcel {
    fn new(attempt: Uuid, outbox: Vec<String>, tables: BTreeMap<Destination, TableFiles>) -> Self {
        let findings = tables.into_iter().filter(|(to, _)| to.table() == Table::DetectionFinding);
        let files = findings.flat_map(|(_, files)| files.files).collect();
        Self { attempt, ids: outbox.into_iter().collect(), files }
    }
}

impl AlertChain {
    /// The chain in object paths: `topic@incarnation/partition` or `_merge/<group>`.
    pub fn path(&self) -> String {
        match self {
            AlertChain::Partition(partition) => partition.path(),
            AlertChain::Group(group) => merge_path(*group),
        }
    }
}

#[cfg(test)]
mod tests;
