//! Address -> `internal` or `external`, by the configured networks.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use dataflow::Enricher;

use crate::addresses::Addresses;
use crate::columns::{for_each_address, keywords};
use crate::error::EnrichError;
use crate::network::{Address, Network};

const INTERNAL: i32 = 0;
const EXTERNAL: i32 = 1;

/// Fills `src_scope` and `dst_scope`. Null where there is no address.
#[derive(Debug, Clone)]
pub struct Scope {
    networks: Arc<[Network]>,
    dictionary: Arc<StringArray>,
    version: Arc<str>,
    keys: Vec<i32>,
}

impl Scope {
    /// Addresses of these networks are internal.
    ///
    /// # Errors
    /// Names the entry that is neither an address nor a network.
    pub fn new(internal: &[String]) -> Result<Self, EnrichError> {
        let network =
            |text: &String| Network::parse(text.trim()).ok_or_else(|| EnrichError::Network { text: text.clone() });
        let networks: Vec<Network> = internal.iter().map(network).collect::<Result<_, _>>()?;
        let version = format!("crc32:{:08x}", crc32fast::hash(format!("{networks:?}").as_bytes()));
        Ok(Self {
            networks: networks.into(),
            dictionary: Arc::new(StringArray::from(vec!["internal", "external"])),
            version: version.into(),
            keys: Vec::new(),
        })
    }

    pub(crate) fn fill(&mut self, addresses: &Addresses) -> Vec<ArrayRef> {
        let Self { networks, keys, .. } = self;
        for_each_address(keys, addresses, |address| scope(networks, address));
        [addresses.src(), addresses.dst()].map(|rows| keywords(keys, rows, &self.dictionary)).into()
    }
}

fn scope(networks: &[Network], address: Address) -> i32 {
    if networks.iter().any(|n| n.contains(address)) { INTERNAL } else { EXTERNAL }
}

impl Enricher for Scope {
    fn columns(&self) -> &[&'static str] {
        &["src_scope", "dst_scope"]
    }

    fn enrich(&mut self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let mut addresses = Addresses::new();
        addresses.read(rows);
        self.fill(&addresses)
    }

    fn version(&self) -> &str {
        &self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EnrichConfig;
    use crate::testing::{batch, texts};

    fn scope_of(internal: &[String], ip: &str) -> Option<String> {
        let mut scope = Scope::new(internal).expect("networks");
        texts(&scope.enrich(&batch(&[(None, Some(ip))]))[1]).remove(0)
    }

    #[test]
    fn the_default_networks() {
        let default = EnrichConfig::default().internal_networks;
        for (ip, want) in [
            ("10.0.0.0", "internal"),
            ("10.255.255.255", "internal"),
            ("172.15.255.255", "external"),
            ("172.16.0.0", "internal"),
            ("172.31.255.255", "internal"),
            ("172.32.0.0", "external"),
            ("192.168.1.1", "internal"),
            ("100.63.255.255", "external"),
            ("100.64.0.1", "internal"),
            ("100.127.255.255", "internal"),
            ("169.254.169.254", "internal"),
            ("127.0.0.1", "internal"),
            ("::ffff:10.1.1.1", "internal"),
            ("::1", "internal"),
            ("::2", "external"),
            ("fd12::1", "internal"),
            ("fe80::1%eth0", "internal"),
            ("2001:db8::1", "external"),
            ("198.18.0.1", "external"),
        ] {
            assert_eq!(scope_of(&default, ip).as_deref(), Some(want), "{ip}");
        }
        assert_eq!(scope_of(&default, "any"), None);
    }

    #[test]
    fn configured_networks_replace_the_default() {
        let own = ["203.0.113.0/24".to_owned(), " 2001:db8::/32".to_owned()];
        assert_eq!(scope_of(&own, "203.0.113.9").as_deref(), Some("internal"));
        assert_eq!(scope_of(&own, "2001:db8::9").as_deref(), Some("internal"));
        assert_eq!(scope_of(&own, "10.0.0.1").as_deref(), Some("external"));
        assert_eq!(scope_of(&[], "10.0.0.1").as_deref(), Some("external"));
    }

    #[test]
    fn a_wrong_network_is_named() {
        let error = Scope::new(&["10.0.0.0/8".to_owned(), "lan".to_owned()]).expect_err("not a network");
        assert!(error.to_string().contains("\"lan\""), "{error}");
    }

    #[test]
    fn the_version_is_the_networks() {
        let version = |nets: &[&str]| {
            let nets: Vec<String> = nets.iter().map(|&n| n.to_owned()).collect();
            Scope::new(&nets).expect("networks").version().to_owned()
        };
        assert_eq!(version(&["10.0.0.0/8"]), version(&["10.1.0.0/8"]), "the same network");
        assert_ne!(version(&["10.0.0.0/8"]), version(&["10.0.0.0/9"]));
    }
}
