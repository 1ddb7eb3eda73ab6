//! Which catalog names the tables, and how remote services are reached.

use std::fmt;
use std::path::PathBuf;

use crate::{Error, Result};

/// How a bucket is reached. What is not said here comes from the environment (docs/storage.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Another server than the cloud's own.
    pub endpoint: Option<String>,
    /// The region that the bucket is in.
    pub region: Option<String>,
    /// Whether the endpoint may be `http://`: data would cross the network in the clear.
    pub allow_http: bool,
    /// Whether the bucket is in the path of a request rather than in the host's name; None: as the service is used to.
    pub path_style: Option<bool>,
    /// Time that one request may take, milliseconds; a second more for each MiB of it.
    pub timeout_ms: u64,
    /// How long a call is tried again after transient failures, milliseconds.
    pub retry_ms: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            allow_http: false,
            path_style: None,
            timeout_ms: 30_000,
            retry_ms: 120_000,
        }
    }
}

impl StoreConfig {
    pub(super) fn check(&self) -> Result<()> {
        let fail = |what: &str| Err(Error::Config(format!("storage.{what}")));
        match self.endpoint.as_deref() {
            Some(endpoint) if !is_http(endpoint) => {
                fail(&format!("endpoint: `{endpoint}` is no http:// or https:// URL"))
            }
            Some(endpoint) if endpoint.starts_with("http://") && !self.allow_http => {
                fail("endpoint: http sends data in the clear; use https, or say `allow_http: true`")
            }
            _ if self.timeout_ms == 0 => fail("timeout: must be above 0"),
            _ => Ok(()),
        }
    }
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// The catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogConfig {
    /// A SQLite file; None: `catalog.db` in the directory that is the warehouse's root.
    Sqlite {
        /// The file.
        file: Option<PathBuf>,
    },
    /// A server of Iceberg's REST protocol.
    Rest(RestConfig),
}

impl Default for CatalogConfig {
    fn default() -> Self {
        CatalogConfig::Sqlite { file: None }
    }
}

/// A server of Iceberg's REST protocol, and how to be let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestConfig {
    /// Its URL, without `/v1`.
    pub uri: String,
    /// Which of its warehouses, if it has several.
    pub warehouse: Option<String>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// `id:secret` of an OAuth2 client, exchanged for tokens.
    pub credential: Option<Secret>,
    /// Where tokens are exchanged, if not at the catalog.
    pub oauth2_server_uri: Option<String>,
    /// The scope that is asked for.
    pub scope: Option<String>,
}

/// What the environment may say of a catalog: the name of a variable and its value.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl CatalogConfig {
    /// As the environment names it: `PALISADE_CATALOG_URI` and its like for a REST catalog, `PALISADE_CATALOG_FILE` for a
    /// SQLite file.
    pub fn of_environment(env: Environment<'_>) -> Self {
        match env("PALISADE_CATALOG_URI") {
            Some(uri) => CatalogConfig::Rest(RestConfig { uri, ..RestConfig::default() }.completed(env)),
            None => CatalogConfig::Sqlite { file: env("PALISADE_CATALOG_FILE").map(PathBuf::from) },
        }
    }

    pub(super) fn check(&self, is_remote: bool) -> Result<()> {
        let fail = |what: &str| Err(Error::Config(format!("catalog{what}")));
        match self {
            CatalogConfig::Sqlite { file: None } if is_remote => fail(
                ": a warehouse in a bucket names its catalog: `{type: rest, uri: ...}`, or `{type: sqlite, file: ...}` for \
                 one machine; beside a URL, PALISADE_CATALOG_URI or PALISADE_CATALOG_FILE",
            ),
            CatalogConfig::Rest(rest) if !is_http(&rest.uri) => {
                fail(&format!(".uri: `{}` is no http:// or https:// URL", rest.uri))
            }
            CatalogConfig::Rest(rest) if rest.oauth2_server_uri.as_deref().is_some_and(|uri| !is_http(uri)) => {
                fail(".oauth2_server_uri: is no http:// or https:// URL")
            }
            CatalogConfig::Rest(RestConfig { token: Some(_), credential: Some(_), .. }) => {
                fail(": `token` and `credential` exclude each other; name one")
            }
            _ => Ok(()),
        }
    }
}

impl RestConfig {
    /// What is not said is taken from the environment.
    #[must_use]
    pub fn completed(mut self, env: Environment<'_>) -> Self {
        let var = |name: &str| env(&format!("PALISADE_CATALOG_{name}"));
        self.warehouse = self.warehouse.or_else(|| var("WAREHOUSE"));
        if self.token.is_none() && self.credential.is_none() {
            self.token = var("TOKEN").map(Secret);
            self.credential = var("CREDENTIAL").map(Secret);
        }
        self.oauth2_server_uri = self.oauth2_server_uri.or_else(|| var("OAUTH2_SERVER_URI"));
        self.scope = self.scope.or_else(|| var("SCOPE"));
        self
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(of: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| of.iter().find(|(key, _)| format!("PALISADE_CATALOG_{key}") == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_environment_completes_what_is_not_said() {
        let all = env(&[("URI", "https://c"), ("WAREHOUSE", "w"), ("TOKEN", "t"), ("SCOPE", "s")]);
        let CatalogConfig::Rest(rest) = CatalogConfig::of_environment(&all) else { panic!("a URI means REST") };
        assert_eq!((rest.uri.as_str(), rest.warehouse.as_deref()), ("https://c", Some("w")));
        assert_eq!((rest.token, rest.scope.as_deref()), (Some(Secret("t".into())), Some("s")));
        let said = RestConfig { uri: "https://d".into(), credential: Some(Secret("a:b".into())), ..Default::default() };
        let said = said.completed(&all);
        assert_eq!((said.uri.as_str(), said.token), ("https://d", None), "one way to be let in is enough");
        let file = CatalogConfig::of_environment(&env(&[("FILE", "/c.db")]));
        assert_eq!(file, CatalogConfig::Sqlite { file: Some("/c.db".into()) });
        assert_eq!(CatalogConfig::of_environment(&env(&[])), CatalogConfig::default());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let rest = RestConfig { token: Some(Secret("hush".into())), ..Default::default() };
        assert!(!format!("{:?}", CatalogConfig::Rest(rest)).contains("hush"));
    }
}
