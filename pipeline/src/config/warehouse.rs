//! What the YAML may say of the warehouse: its place, how a bucket is reached, and its catalog.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataflow::Table;
use serde::Deserialize;
use serde_saphyr::Spanned;
use sinks::{CatalogConfig, RestConfig, Root, Route, Routes, Secret, StoreConfig, WarehouseConfig};

use super::raw::{Problem, confined, maybe_duration};
use super::secret::RawSecret;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWarehouse {
    path: Spanned<String>,
    #[serde(default = "local")]
    region: String,
    pub(super) files_per_day_max: Option<u64>,
    #[serde(default = "one")]
    merge_groups: u32,
    storage: Option<Spanned<RawStorage>>,
    catalog: Option<Spanned<RawCatalog>>,
    #[serde(default)]
    routes: Vec<Spanned<RawRoute>>,
    own_tables_max: Option<usize>,
    #[serde(default)]
    sort_rows: bool,
}

fn one() -> u32 {
    1
}

fn local() -> String {
    "local".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStorage {
    endpoint: Option<String>,
    region: Option<String>,
    #[serde(default)]
    allow_http: bool,
    path_style: Option<bool>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "maybe_duration")]
    retry_timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    #[serde(rename = "type")]
    kind: RawKind,
    file: Option<PathBuf>,
    uri: Option<String>,
    warehouse: Option<String>,
    token: Option<RawSecret>,
    credential: Option<RawSecret>,
    oauth2_server_uri: Option<String>,
    scope: Option<String>,
    #[serde(default, deserialize_with = "maybe_duration")]
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    tenants: Option<Vec<String>>,
    classes: Option<Vec<String>>,
    #[serde(default = "tenant")]
    namespace: String,
}

fn tenant() -> String {
    "{tenant}".to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Sqlite,
    Rest,
}

/// What the environment says of the catalog.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The warehouse, as far as it is right; what is wrong with it goes to `problems`.
pub(super) fn build(base: &Path, raw: &Spanned<RawWarehouse>, problems: &mut Vec<Problem>) -> WarehouseConfig {
    let before = problems.len();
    let defaults = WarehouseConfig::default();
    let RawWarehouse { path, region, merge_groups, storage, catalog, .. } = &raw.value;
    let routes = routes(&raw.value, problems);
    if let Err(what) = confined("warehouse.region", region) {
        problems.push(Problem::at(raw, what));
    }
    if !(1..=1024).contains(merge_groups) {
        problems.push(Problem::at(raw, format!("warehouse.merge_groups: {merge_groups} is not in 1..=1024")));
    }
    let root = Root::parse(&path.value).unwrap_or_else(|e| {
        problems.push(Problem::at(path, told(&e)));
        defaults.root.clone()
    });
    let config = WarehouseConfig {
        root: root.beside(base),
        region: region.clone(),
        merge_groups: *merge_groups,
        routes,
        sort_rows: raw.value.sort_rows,
        store: storage.as_ref().map_or_else(StoreConfig::default, |raw| store(&raw.value)),
        catalog: catalog.as_ref().map_or_else(CatalogConfig::default, |raw| match build_catalog(base, &raw.value) {
            Ok(catalog) => catalog,
            Err(what) => {
                problems.push(Problem::at(raw, what));
                CatalogConfig::default()
            }
        }),
        catalog_timeout_ms: catalog
            .as_ref()
            .and_then(|raw| raw.value.timeout)
            .map_or(defaults.catalog_timeout_ms, millis),
        ..defaults
    };
    if problems.len() == before
        && let Err(error) = config.check()
    {
        let what = told(&error);
        problems.push(match (storage, catalog) {
            (Some(storage), _) if what.starts_with("warehouse.storage") => Problem::at(storage, what),
            (_, Some(catalog)) if what.starts_with("warehouse.catalog") => Problem::at(catalog, what),
            _ => match named_route(&what).and_then(|index| raw.value.routes.get(index)) {
                Some(route) => Problem::at(route, what),
                None => Problem::at(path, what),
            },
        });
    }
    config
}

fn routes(raw: &RawWarehouse, problems: &mut Vec<Problem>) -> Routes {
    let mut routes = Routes::default();
    routes.tables_max = raw.own_tables_max.unwrap_or(routes.tables_max);
    for (index, raw) in raw.routes.iter().enumerate() {
        let RawRoute { tenants, classes, namespace } = &raw.value;
        let mut known = classes.as_ref().map(|_| BTreeSet::new());
        for name in classes.iter().flatten() {
            match Table::by_name(name) {
                Some(table) => drop(known.get_or_insert_default().insert(table)),
                None => {
                    let likeness = |table: &Table| strsim::jaro_winkler(name, table.name());
                    let near = Table::ALL.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                    let near = near.map_or("", Table::name);
                    let what = format!("warehouse.routes[{index}].classes: no class {name}; did you mean {near}?");
                    problems.push(Problem::at(raw, what));
                }
            }
        }
        let tenants = tenants.as_ref().map(|names| names.iter().cloned().collect());
        routes.routes.push(Route { tenants, classes: known, namespace: namespace.clone() });
    }
    routes
}

/// The route that a problem names.
fn named_route(what: &str) -> Option<usize> {
    what.strip_prefix("warehouse.routes[")?.split(']').next()?.parse().ok()
}

fn told(error: &sinks::Error) -> String {
    match error {
        sinks::Error::Config(what) => format!("warehouse.{what}"),
        other => other.to_string(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn store(raw: &RawStorage) -> StoreConfig {
    let defaults = StoreConfig::default();
    StoreConfig {
        endpoint: raw.endpoint.clone(),
        region: raw.region.clone(),
        allow_http: raw.allow_http,
        path_style: raw.path_style,
        timeout_ms: raw.timeout.map_or(defaults.timeout_ms, millis),
        retry_ms: raw.retry_timeout.map_or(defaults.retry_ms, millis),
    }
}

fn build_catalog(base: &Path, raw: &RawCatalog) -> Result<CatalogConfig, String> {
    let keys = [
        ("file", RawKind::Sqlite, raw.file.is_some()),
        ("uri", RawKind::Rest, raw.uri.is_some()),
        ("warehouse", RawKind::Rest, raw.warehouse.is_some()),
        ("token", RawKind::Rest, raw.token.is_some()),
        ("credential", RawKind::Rest, raw.credential.is_some()),
        ("oauth2_server_uri", RawKind::Rest, raw.oauth2_server_uri.is_some()),
        ("scope", RawKind::Rest, raw.scope.is_some()),
    ];
    if let Some((key, ..)) = keys.into_iter().find(|(_, kind, is_said)| *is_said && *kind != raw.kind) {
        let other = if raw.kind == RawKind::Rest { "sqlite" } else { "rest" };
        return Err(format!("warehouse.catalog.{key}: goes with `type: {other}`"));
    }
    if raw.kind == RawKind::Sqlite {
        return Ok(CatalogConfig::Sqlite { file: raw.file.as_ref().map(|file| base.join(file)) });
    }
    let uri = raw.uri.clone().or_else(|| environment("PALISADE_CATALOG_URI"));
    let uri = uri.ok_or("warehouse.catalog.uri: is missing: the URL of the catalog, without /v1")?;
    let reveal = |secret: &Option<RawSecret>, key: &str| {
        let revealed = secret.as_ref().map(|secret| secret.reveal(base, &format!("warehouse.catalog.{key}")));
        revealed.transpose().map(|text| text.map(Secret))
    };
    let rest = RestConfig {
        uri,
        warehouse: raw.warehouse.clone(),
        token: reveal(&raw.token, "token")?,
        credential: reveal(&raw.credential, "credential")?,
        oauth2_server_uri: raw.oauth2_server_uri.clone(),
        scope: raw.scope.clone(),
    };
    Ok(CatalogConfig::Rest(rest.completed(&environment)))
}
