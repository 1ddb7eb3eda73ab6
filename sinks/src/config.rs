//! Where the warehouse is and its limits.

mod catalog;
mod root;
mod routes;

use std::path::PathBuf;

use crate::{Error, Result};

pub use catalog::{CatalogConfig, Environment, RestConfig, Secret, StoreConfig};
pub use root::{BucketUrl, Cloud, Root};
pub use routes::{Route, Routes};

/// The warehouse's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarehouseConfig {
    /// The place of ledger and data.
    pub root: Root,
    /// How the place is reached, if it is a bucket.
    pub store: StoreConfig,
    /// The catalog.
    pub catalog: CatalogConfig,
    /// Part of object paths and of table properties; each region has a ledger of its own.
    pub region: String,
    /// The namespace of the tables that all tenants share, in the catalog.
    pub namespace: String,
    /// Which tenants have tables of their own.
    pub routes: Routes,
    /// The Kafka cluster the records come from. Recorded at first use; another one is refused. None: whatever is recorded.
    pub cluster_id: Option<String>,
    /// Merge groups of a warehouse that is made: how finely windows are spread over the workers of a fleet. Fixed
    /// afterwards. One process needs one.
    pub merge_groups: u32,
    /// Rows of a file are in the order of tenant and time. They are kept as they are until the file is written, which takes
    /// memory, and time.
    pub sort_rows: bool,
    /// Rows of a Parquet row group.
    pub row_group_rows: usize,
    /// Bytes of a Parquet row group while it is encoded.
    pub row_group_bytes: usize,
    /// Ledger entries of one partition that one commit takes at most.
    pub commit_entries_max: usize,
    /// A table that no waiting entry touches is moved along once it is this many entries behind.
    pub lag_entries_max: usize,
    /// Attempts at one table's commit before the error is reported.
    pub commit_attempts_max: u32,
    /// Pause before the second attempt, milliseconds; doubled each time, at most 32 times this.
    pub commit_backoff_ms: u64,
    /// Time that one catalog call may take, milliseconds.
    pub catalog_timeout_ms: u64,
}

impl Default for WarehouseConfig {
    fn default() -> Self {
        Self {
            root: Root::Local(PathBuf::from("warehouse")),
            store: StoreConfig::default(),
            catalog: CatalogConfig::default(),
            region: "local".to_owned(),
            namespace: "palisade".to_owned(),
            routes: Routes::default(),
            cluster_id: None,
            merge_groups: 1,
            sort_rows: false,
            row_group_rows: 1 << 20,
            row_group_bytes: 128 << 20,
            commit_entries_max: 4096,
            lag_entries_max: 720, // an hour of entries at one every 5 s
            commit_attempts_max: 8,
            commit_backoff_ms: 25,
            catalog_timeout_ms: 30_000,
        }
    }
}

impl WarehouseConfig {
    /// The defaults at a directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: Root::Local(root.into()), ..Self::default() }
    }

    /// The defaults at a directory, or at the URL of a bucket with the catalog that the environment names.
    ///
    /// # Errors
    /// [`Error::Config`] if it is no such URL.
    pub fn named(place: &str, env: Environment<'_>) -> Result<Self> {
        let root = Root::parse(place)?;
        let catalog =
            if root.local().is_some() { CatalogConfig::default() } else { CatalogConfig::of_environment(env) };
        Ok(Self { root, catalog, ..Self::default() })
    }

    /// # Errors
    /// [`Error::Config`] names the key whose value cannot be used.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Config(what));
        for (key, name) in [("region", &self.region), ("namespace", &self.namespace)] {
            if name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
            {
                return fail(format!("{key}: {name:?} is not a name of a-z, 0-9, - and _"));
            }
        }
        if self.root.local().is_some_and(|path| path.as_os_str().is_empty()) {
            return fail("path: names no directory".to_owned());
        }
        self.routes.check(&self.namespace)?;
        self.store.check()?;
        self.catalog.check(self.root.local().is_none())?;
        let positive = [
            ("merge_groups", self.merge_groups as usize),
            ("row_group_rows", self.row_group_rows),
            ("row_group_bytes", self.row_group_bytes),
            ("commit_entries_max", self.commit_entries_max),
            ("lag_entries_max", self.lag_entries_max),
            ("commit_attempts_max", self.commit_attempts_max as usize),
            ("catalog_timeout_ms", self.catalog_timeout_ms as usize),
        ];
        match positive.iter().find(|(_, v)| *v == 0) {
            Some((key, _)) => fail(format!("{key}: must be above 0")),
            // Otherwise a table could stay behind by more than a commit looks at.
            None if self.lag_entries_max > self.commit_entries_max => {
                fail("lag_entries_max: must not be above commit_entries_max".to_owned())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named() {
        let ok = WarehouseConfig::at("/w");
        assert!(ok.check().is_ok());
        let store = |endpoint: &str| StoreConfig { endpoint: Some(endpoint.into()), ..Default::default() };
        let rest = |uri: &str| CatalogConfig::Rest(RestConfig { uri: uri.into(), ..Default::default() });
        let bucket = WarehouseConfig::named("s3://lake/w", &|_| None).expect("a bucket");
        for (config, key) in [
            (WarehouseConfig { region: "EU".into(), ..ok.clone() }, "region"),
            (WarehouseConfig { region: "a.b".into(), ..ok.clone() }, "region"),
            (WarehouseConfig { namespace: String::new(), ..ok.clone() }, "namespace"),
            (WarehouseConfig { root: Root::Local(PathBuf::new()), ..ok.clone() }, "path"),
            (WarehouseConfig { commit_entries_max: 0, ..ok.clone() }, "commit_entries_max"),
            (WarehouseConfig { commit_entries_max: 7, ..ok.clone() }, "lag_entries_max"),
            (WarehouseConfig { store: store("minio:9000"), ..ok.clone() }, "storage.endpoint"),
            (WarehouseConfig { store: store("http://minio:9000"), ..ok.clone() }, "allow_http"),
            (WarehouseConfig { catalog: rest("catalog:8181"), ..ok.clone() }, "catalog.uri"),
            (bucket.clone(), "names its catalog"),
        ] {
            let text = config.check().expect_err("refused").to_string();
            assert!(text.contains(key), "{text}");
        }
        let known = WarehouseConfig { catalog: rest("http://catalog:8181"), ..bucket };
        assert!(known.check().is_ok());
    }
}
