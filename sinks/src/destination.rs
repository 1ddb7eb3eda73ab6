//! Where rows go: the table of their class that all tenants share, or one in a namespace of their own.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use dataflow::Table;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names that are kept: whoever names tenants in headers must not fill the memory. Far more than there can be tables.
const NAMES_MAX: usize = 1 << 16;

/// Longest name of a namespace.
const NAME_MAX: usize = 128;

/// A table of the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    table: Table,
    namespace: Option<Namespace>,
}

/// A namespace beside the one that all tenants share: 1 to 128 of a-z, 0-9, - and _. Names are kept for the life of the process,
/// so that a destination is as cheap to hand on as a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(&'static str);

impl Namespace {
    /// The namespace of that name; None if it cannot be one, or too many are known.
    pub fn named(name: &str) -> Option<Self> {
        static NAMES: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(Mutex::default);
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(fine) {
            return None;
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = names.get(name) {
            return Some(Self(kept));
        }
        if names.len() >= NAMES_MAX {
            return None;
        }
        let kept: &'static str = Box::leak(name.into());
        names.insert(kept);
        Some(Self(kept))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Destination {
    /// The table of a class in a namespace.
    pub const fn own(namespace: Namespace, table: Table) -> Self {
        Self { table, namespace: Some(namespace) }
    }

    /// What its rows are.
    pub const fn table(self) -> Table {
        self.table
    }

    /// Its namespace; None for what all tenants share.
    pub const fn namespace(self) -> Option<Namespace> {
        self.namespace
    }
}

impl From<Table> for Destination {
    fn from(table: Table) -> Self {
        Self { table, namespace: None }
    }
}

impl PartialEq<Table> for Destination {
    fn eq(&self, table: &Table) -> bool {
        *self == Self::from(*table)
    }
}

/// `network_activity`, or `acme.network_activity`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{namespace}.{}", self.table),
            None => self.table.fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, class) = match text.split_once('.') {
            Some((namespace, class)) => (Some(namespace), class),
            None => (None, text),
        };
        let table = Table::by_name(class).ok_or_else(|| format!("no table {text}"))?;
        let namespace = namespace.map(|name| Namespace::named(name).ok_or_else(|| format!("no namespace {name}")));
        Ok(Self { table, namespace: namespace.transpose()? })
    }
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_its_name() {
        for text in ["network_activity", "acme.network_activity", "a-b_9.event_log_actvity"] {
            let destination: Destination = text.parse().expect(text);
            assert_eq!(destination.to_string(), text);
            let json = serde_json::to_string(&destination).expect("a string");
            assert_eq!(serde_json::from_str::<Destination>(&json).expect("as written"), destination);
        }
        for bad in
            ["", "x", "acme.", "acme.x", ".dns_activity", "Acme.dns_activity", "a/b.dns_activity", "a.b.dns_activity"]
        {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        assert!(Namespace::named(&"n".repeat(128)).is_some() && Namespace::named(&"n".repeat(129)).is_none());
    }
}
