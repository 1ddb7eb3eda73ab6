//! Where objects are, relative to the root. See the protocol's list of objects; every part of it is here.

use dataflow::PartitionId;
use uuid::Uuid;

/// Object paths of one region.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    region: String,
}

impl Paths {
    pub(crate) fn new(region: &str) -> Self {
        Self { region: region.to_owned() }
    }

    /// The folder of everything.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn cluster(&self) -> String {
        format!("{}/meta/cluster.json", self.region)
    }

    pub(crate) fn incarnations(&self, topic: &str) -> String {
        format!("{}/meta/topics/{topic}", self.region)
    }

    pub(crate) fn incarnation(&self, topic: &str, incarnation: &str) -> String {
        format!("{}/{incarnation}.json", self.incarnations(topic))
    }

    pub(crate) fn note(&self, name: &str) -> String {
        format!("{}/meta/notes/{name}.json", self.region)
    }

    /// The folder of all that is neither ledger nor data.
    pub(crate) fn meta(&self) -> String {
        format!("{}/meta", self.region)
    }

    pub(crate) fn checkpoints(&self) -> String {
        format!("{}/meta/checkpoints", self.region)
    }

    pub(crate) fn checkpoint(&self, at: i64) -> String {
        format!("{}/{at:020}.json", self.checkpoints())
    }

    /// The folder of the records of tables in namespaces of their own.
    pub(crate) fn destinations(&self) -> String {
        format!("{}/meta/destinations", self.region)
    }

    pub(crate) fn destination(&self, name: &str) -> String {
        format!("{}/{name}.json", self.destinations())
    }

    pub(crate) fn ledger(&self) -> String {
        format!("{}/ledger", self.region)
    }

    pub(crate) fn chain(&self, partition: &PartitionId) -> String {
        format!("{}/ledger/{}", self.region, partition.path())
    }

    pub(crate) fn source_entry(&self, partition: &PartitionId, start: i64) -> String {
        format!("{}/{}", self.chain(partition), entry_name(start))
    }

    pub(crate) fn merge_groups(&self) -> String {
        format!("{}/ledger/{MERGE}", self.region)
    }

    pub(crate) fn merge_chain(&self, group: u32) -> String {
        format!("{}/{group}", self.merge_groups())
    }

    /// The folder of a chain's entries, by the chain's own path.
    pub(crate) fn entries(&self, chain: &str) -> String {
        format!("{}/{chain}", self.ledger())
    }

    pub(crate) fn floors(&self, chain: &str) -> String {
        format!("{}/meta/floor/{chain}", self.region)
    }

    pub(crate) fn floor(&self, chain: &str, position: i64) -> String {
        format!("{}/{position:020}.floor", self.floors(chain))
    }

    pub(crate) fn merge_entry(&self, group: u32, step: i64) -> String {
        format!("{}/{}", self.merge_chain(group), entry_name(step))
    }

    /// The folder of a chain's exchange files.
    pub(crate) fn exchanges(&self, chain: &str) -> String {
        format!("{}/exchange/{chain}", self.region)
    }

    pub(crate) fn exchange(&self, partition: &PartitionId, start: i64, attempt: Uuid) -> String {
        format!("{}/{start:020}-{attempt}.arrow", self.exchanges(&partition.path()))
    }

    /// The folder of a chain's merge states.
    pub(crate) fn states(&self, chain: &str) -> String {
        format!("{}/state/{chain}", self.region)
    }

    pub(crate) fn state(&self, group: u32, step: i64, attempt: Uuid) -> String {
        format!("{}/{step:020}-{attempt}.arrow", self.states(&merge_path(group)))
    }

    pub(crate) fn receivers(&self) -> String {
        format!("{}/outbox", self.region)
    }

    pub(crate) fn receiver(&self, receiver: &str) -> String {
        format!("{}/{receiver}", self.receivers())
    }

    pub(crate) fn since(&self, receiver: &str) -> String {
        format!("{}/_since.json", self.receiver(receiver))
    }

    pub(crate) fn refusals(&self, receiver: &str) -> String {
        format!("{}/_refused", self.receiver(receiver))
    }

    pub(crate) fn refused(&self, receiver: &str, alert: &str) -> String {
        format!("{}/{alert}.json", self.refusals(receiver))
    }

    pub(crate) fn outbox(&self, receiver: &str, chain: &str) -> String {
        format!("{}/{chain}", self.receiver(receiver))
    }

    pub(crate) fn sent(&self, receiver: &str, chain: &str, below: i64) -> String {
        format!("{}/{below:020}.sent", self.outbox(receiver, chain))
    }

    pub(crate) fn table(&self, table: &str) -> String {
        format!("{}/data/{table}", self.region)
    }
}

/// The folder of merge chains. No topic folder has this name: theirs contain `@`.
pub(crate) const MERGE: &str = "_merge";

/// The path of a merge group's chain.
pub(crate) fn merge_path(group: u32) -> String {
    format!("{MERGE}/{group}")
}

/// Twenty digits, so that names sort as offsets do.
fn entry_name(start: i64) -> String {
    format!("{start:020}.entry")
}

/// The start that [`entry_name`] wrote.
pub(crate) fn entry_start(name: &str) -> Option<i64> {
    numbered(name, ".entry")
}

/// The number of a name that is twenty digits and an ending.
pub(crate) fn numbered(name: &str, ending: &str) -> Option<i64> {
    name.strip_suffix(ending).filter(|digits| digits.len() == 20)?.parse().ok()
}

/// The position in the name of an exchange file or a merge state.
pub(crate) fn attempt_start(name: &str) -> Option<i64> {
    let (digits, attempt) = name.strip_suffix(".arrow")?.split_at_checked(20)?;
    attempt.strip_prefix('-')?.parse::<Uuid>().ok()?;
    digits.parse().ok()
}
