//! Which tables the chain reads.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Networks that count as internal unless the configuration says otherwise: private use (RFC 1918, RFC 4193), shared
/// address space (RFC 6598), link-local (RFC 3927, RFC 4291) and loopback.
const INTERNAL: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// Which tables the chain reads. Without any, only the scope columns are filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichConfig {
    /// An MMDB with `country.iso_code` (GeoIP2, GeoLite2), `country_code` or `country`; none leaves the columns null.
    pub country: Option<TableSource>,
    /// Indicator lists: CSV with a header that names `ip`, `category` and `confidence`.
    pub intel: Vec<TableSource>,
    /// The networks whose addresses are `internal`; all others are `external`. Replaces the default list.
    pub internal_networks: Vec<String>,
}

impl Default for EnrichConfig {
    fn default() -> Self {
        Self { country: None, intel: Vec::new(), internal_networks: INTERNAL.map(str::to_owned).to_vec() }
    }
}

impl EnrichConfig {
    /// The small tables of the demo, which are part of the program: invented facts about reserved networks.
    pub fn demo() -> Self {
        Self { country: Some(TableSource::Builtin), intel: vec![TableSource::Builtin], ..Self::default() }
    }
}

/// Where a table stands: the word `builtin` for the demo's own, otherwise the path of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TableSource {
    /// The demo's table, part of the program.
    Builtin,
    /// A file.
    File(PathBuf),
}

const BUILTIN: &str = "builtin";

impl From<String> for TableSource {
    fn from(text: String) -> Self {
        if text == BUILTIN { Self::Builtin } else { Self::File(text.into()) }
    }
}

impl From<TableSource> for String {
    fn from(source: TableSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str(BUILTIN),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_files_or_the_builtin_set() {
        let text = "country: builtin\nintel: [/srv/ioc.csv, builtin]\n";
        let config: EnrichConfig = serde_saphyr::from_str(text).expect("valid");
        assert_eq!(config.country, Some(TableSource::Builtin));
        assert_eq!(config.intel, [TableSource::File("/srv/ioc.csv".into()), TableSource::Builtin]);
        assert_eq!(config.internal_networks, EnrichConfig::default().internal_networks);
        let again: EnrichConfig =
            serde_saphyr::from_str(&serde_saphyr::to_string(&config).expect("text")).expect("valid");
        assert_eq!(again, config);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_saphyr::from_str::<EnrichConfig>("county: builtin\n").expect_err("a typing error");
        assert!(error.to_string().contains("county"), "{error}");
    }
}
