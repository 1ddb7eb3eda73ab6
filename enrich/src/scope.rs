//! Address -> `internal` or `external`, by the configured networks.

use std::sync::Arc;

use crate::error::EnrichError;
use crate::network::{Address, Network};
use crate::table::{Column, Content, Index, Keywords, Lookup};

const INTERNAL: i32 = 0;
const EXTERNAL: i32 = 1;

struct Scope(Vec<Network>);

impl Index<Address> for Scope {
    fn find(&self, _tenant: &str, address: &Address) -> i32 {
        if self.0.iter().any(|network| network.contains(*address)) { INTERNAL } else { EXTERNAL }
    }
}

/// Addresses of these networks are internal, all others external. With the version of the list.
///
/// # Errors
/// Names the entry that is neither an address nor a network.
pub(crate) fn load(internal: &[String]) -> Result<(Content, String), EnrichError> {
    let network =
        |text: &String| Network::parse(text.trim()).ok_or_else(|| EnrichError::Network { text: text.clone() });
    let networks: Vec<Network> = internal.iter().map(network).collect::<Result<_, _>>()?;
    let version = format!("crc32:{:08x}", crc32fast::hash(format!("{networks:?}").as_bytes()));
    let mut names = Keywords::default();
    ["internal", "external"].iter().for_each(|name| names.push(name));
    let columns = vec![Column::new(&["src_scope", "dst_scope"], names.finish())];
    let entries = networks.len();
    let lookup = Lookup { index: Arc::new(Scope(networks)), columns } as Lookup<Address>;
    Ok((Content { addresses: Some(lookup), entries, ..Content::default() }, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EnrichConfig;

    fn scope_of(internal: &[String], ip: &str) -> &'static str {
        let content = load(internal).expect("networks").0;
        let record =
            content.addresses.expect("scope is of addresses").index.find("", &Address::parse(ip).expect("an address"));
        ["internal", "external"][record as usize]
    }

    #[test]
    fn addresses_are_internal_or_external() {
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
            assert_eq!(scope_of(&default, ip), want, "{ip}");
        }
    }

    #[test]
    fn configured_networks_replace_the_default() {
        let own = ["203.0.113.0/24".to_owned(), " 2001:db8::/32".to_owned()];
        assert_eq!(scope_of(&own, "203.0.113.9"), "internal");
        assert_eq!(scope_of(&own, "2001:db8::9"), "internal");
        assert_eq!(scope_of(&own, "10.0.0.1"), "external");
        assert_eq!(scope_of(&[], "10.0.0.1"), "external");
    }

    #[test]
    fn a_wrong_network_is_named() {
        let error = load(&["10.0.0.0/8".to_owned(), "lan".to_owned()]).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains("\"lan\"")), "{error:?}");
    }

    #[test]
    fn the_version_is_the_networks() {
        let version = |nets: &[&str]| {
            let nets: Vec<String> = nets.iter().map(|&n| n.to_owned()).collect();
            load(&nets).expect("networks").1
        };
        assert_eq!(version(&["10.0.0.0/8"]), version(&["10.1.0.0/8"]), "the same network");
        assert_ne!(version(&["10.0.0.0/8"]), version(&["10.0.0.0/9"]));
    }
}
