//! All tables as they are in force together, and the handle through which chains get the next ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::network::Address;
use crate::table::{Content, Lookup, NULL};
use crate::tenants::Tenants;

/// Tables that are asked for addresses: country, autonomous system, intelligence, assets, scope.
pub(crate) const ADDRESS_TABLES: usize = 5;

/// The record of an address in each table.
pub(crate) type Facts = [i32; ADDRESS_TABLES];

/// A table in force.
pub(crate) struct Loaded {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) modified_us: Option<i64>,
    pub(crate) content: Content,
}

/// All tables in force. Never changes; the next one takes its place.
pub(crate) struct Snapshot {
    pub(crate) addresses: Vec<Lookup<Address>>,
    pub(crate) hosts: Option<Lookup<str>>,
    pub(crate) users: Option<Lookup<str>>,
    pub(crate) tenants: Tenants,
    pub(crate) versions: BTreeMap<String, String>,
    /// The versions in one text.
    pub(crate) version: String,
    /// Names of the columns that the tables fill.
    pub(crate) columns: Vec<&'static str>,
}

impl Snapshot {
    pub(crate) fn new(tables: &[Arc<Loaded>]) -> Self {
        let contents = || tables.iter().map(|table| &table.content);
        let addresses: Vec<Lookup<Address>> = contents().filter_map(|content| content.addresses.clone()).collect();
        assert!(addresses.len() <= ADDRESS_TABLES, "{} address tables", addresses.len());
        let hosts = contents().find_map(|content| content.hosts.clone());
        let users = contents().find_map(|content| content.users.clone());
        let tenants = Tenants::new(contents().flat_map(|content| content.tenants.iter().cloned()));
        let versions: BTreeMap<String, String> =
            tables.iter().map(|table| (table.name.to_owned(), table.version.clone())).collect();
        let version = versions.iter().map(|(name, version)| format!("{name}={version}")).collect::<Vec<_>>().join(",");
        let of_addresses = addresses.iter().flat_map(|lookup| &lookup.columns);
        let of_names = hosts.iter().chain(&users).flat_map(|lookup| &lookup.columns);
        let columns = of_addresses.chain(of_names).flat_map(|column| column.names.iter().copied()).collect();
        Self { addresses, hosts, users, tenants, versions, version, columns }
    }

    /// What each address table says; [`NULL`] for tables that are not configured.
    pub(crate) fn facts(&self, tenant: u32, address: Address) -> Facts {
        let mut facts = [NULL; ADDRESS_TABLES];
        let tenant = self.tenants.name(tenant);
        for (fact, table) in facts.iter_mut().zip(&self.addresses) {
            *fact = table.index.find(tenant, &address);
        }
        facts
    }
}

/// Where the snapshot in force stands. Asking whether there is a new one costs one load; taking it a lock.
pub(crate) struct Handle {
    current: RwLock<Arc<Snapshot>>,
    number: AtomicU64,
}

impl Handle {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { current: RwLock::new(Arc::new(snapshot)), number: AtomicU64::new(0) }
    }

    /// Puts the next snapshot into force.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(snapshot);
        self.number.fetch_add(1, Ordering::Release);
    }

    /// Counts the snapshots that were put into force.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The snapshot in force and its number.
    pub(crate) fn current(&self) -> (Arc<Snapshot>, u64) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.clone(), self.number())
    }
}
