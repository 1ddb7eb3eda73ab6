//! Which tables the chain reads.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// An MMDB with `autonomous_system_number` and `autonomous_system_organization` (GeoLite2), or `asn` and `as_name`.
    pub asn: Option<TableSource>,
    /// Indicator lists: CSV with a header that names `category`, `confidence` and at least one of `ip` and `domain`.
    pub intel: Vec<TableSource>,
    /// Indicator lists: STIX 2.1 bundles. They make one table with `intel`.
    pub stix: Vec<TableSource>,
    /// CSV with a header that names `ip` and `name`; `criticality`, `owner` and `tenant` may be there.
    pub assets: Vec<TableSource>,
    /// CSV with a header that names `user_name`; `department`, `title`, `is_privileged` and `tenant` may be there.
    pub identities: Vec<TableSource>,
    /// The networks whose addresses are `internal`; all others are `external`. Replaces the default list.
    pub internal_networks: Vec<String>,
    /// How often files are looked at; 0 means never again after the start.
    #[serde(with = "interval")]
    pub reload_interval: Duration,
}

/// Often enough for feeds that change by the hour, seldom enough to read large files through each time.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

impl Default for EnrichConfig {
    fn default() -> Self {
        Self {
            country: None,
            asn: None,
            intel: Vec::new(),
            stix: Vec::new(),
            assets: Vec::new(),
            identities: Vec::new(),
            internal_networks: INTERNAL.map(str::to_owned).to_vec(),
            reload_interval: RELOAD_INTERVAL,
        }
    }
}

impl EnrichConfig {
    /// The small tables of the demo, which are part of the program: invented facts about reserved networks.
    pub fn demo() -> Self {
        let builtin = || TableSource::Builtin;
        Self { country: Some(builtin()), asn: Some(builtin()), intel: vec![builtin()], ..Self::default() }
    }

    /// Takes relative paths from this folder on.
    pub fn resolve(&mut self, base: &Path) {
        let single = self.country.iter_mut().chain(&mut self.asn);
        let lists = [&mut self.intel, &mut self.stix, &mut self.assets, &mut self.identities];
        for source in single.chain(lists.into_iter().flatten()) {
            if let TableSource::File(path) = source {
                *path = base.join(&*path);
            }
        }
    }
}

/// `30s`, `5m`, `1h`.
mod interval {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(interval: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}ms", interval.as_millis()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let signed = text.parse::<jiff::SignedDuration>().ok();
        let interval = signed.and_then(|signed| Duration::try_from(signed).ok());
        interval.ok_or_else(|| de::Error::custom(format!("`{text}` is not a duration such as 30s, 5m or 1h")))
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
        let text = "country: builtin\nintel: [/srv/ioc.csv, builtin]\nreload_interval: 5m\n";
        let config: EnrichConfig = serde_saphyr::from_str(text).expect("valid");
        assert_eq!(config.country, Some(TableSource::Builtin));
        assert_eq!(config.intel, [TableSource::File("/srv/ioc.csv".into()), TableSource::Builtin]);
        assert_eq!(config.internal_networks, EnrichConfig::default().internal_networks);
        assert_eq!(config.reload_interval, Duration::from_secs(300));
        let again: EnrichConfig =
            serde_saphyr::from_str(&serde_saphyr::to_string(&config).expect("text")).expect("valid");
        assert_eq!(again, config);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for (text, want) in [("county: builtin\n", "county"), ("reload_interval: often\n", "`often` is not a duration")]
        {
            let error = serde_saphyr::from_str::<EnrichConfig>(text).expect_err("a typing error");
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn relative_paths_begin_at_the_folder_that_is_given() {
        let text = "country: builtin\nasn: a\nintel: [b, /c]\nstix: [d]\nassets: [e]\nidentities: [f]\n";
        let mut config: EnrichConfig = serde_saphyr::from_str(text).expect("valid");
        config.resolve(Path::new("/etc"));
        let lists = [&config.intel, &config.stix, &config.assets, &config.identities];
        let shown =
            config.country.iter().chain(&config.asn).chain(lists.into_iter().flatten()).map(TableSource::to_string);
        assert_eq!(shown.collect::<Vec<_>>(), ["builtin", "/etc/a", "/etc/b", "/c", "/etc/d", "/etc/e", "/etc/f"]);
    }
}
