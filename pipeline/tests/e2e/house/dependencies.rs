//! Floors and owners: the dependency rule, read from every Cargo.toml.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{assert_none, read, tree};

/// A crate may depend on crates of lower floors only; so floor 1 on `dataflow` alone, and nobody on `pipeline`.
/// That holds for tests too: `loadgen` is an oracle only as long as it shares nothing with `ingest`.
const FLOORS: [(&str, u8); 7] =
    [("dataflow", 0), ("ingest", 1), ("enrich", 1), ("aggregate", 1), ("sinks", 1), ("loadgen", 1), ("pipeline", 2)];

/// Crates that cost minutes of build or a wire format, who may use them, and who may in tests only. `x` covers `x-*`.
const OWNERS: [(&str, &[&str], &[&str]); 6] = [
    ("simd-json", &["ingest"], &[]),
    ("datafusion", &["aggregate", "pipeline"], &["sinks"]),
    ("iceberg", &["sinks", "pipeline"], &[]),
    ("object_store", &["sinks"], &[]),
    ("hdrhistogram", &["dataflow", "loadgen"], &[]),
    ("rdkafka", &["ingest", "sinks", "loadgen"], &["pipeline"]),
];

/// Names that say nothing and so collect everything.
const EMPTY_NAMES: [&str; 8] = ["common", "utils", "util", "core", "types", "helpers", "shared", "misc"];

/// One manifest's dependencies, by the package's real name. Build dependencies count as normal ones.
#[derive(Debug)]
struct Crate {
    name: String,
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

fn parse(path: &str, text: &str, workspace: &Table) -> Crate {
    let manifest: Table = text.parse().unwrap_or_else(|e| panic!("{path}: {e}"));
    let name = manifest["package"]["name"].as_str().expect("a package has a name").to_owned();
    let mut found = Crate { name, normal: BTreeSet::new(), dev: BTreeSet::new() };
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    for section in targets.filter_map(Value::as_table).chain([&manifest]) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let names = if kind == "dev-dependencies" { &mut found.dev } else { &mut found.normal };
            let table = section.get(kind).and_then(Value::as_table).into_iter().flatten();
            names.extend(table.map(|(key, value)| package(key, value, workspace)));
        }
    }
    found
}

/// The package behind a key: `package = "..."` here, or in the workspace's table that the key inherits.
fn package(key: &str, value: &Value, workspace: &Table) -> String {
    let renamed = |v: &Value| Some(v.get("package")?.as_str()?.to_owned());
    renamed(value).or_else(|| workspace.get(key).and_then(renamed)).unwrap_or_else(|| key.to_owned())
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, floor)| *floor)
}

fn faults(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(|c| name_faults(c).into_iter().chain(floor_faults(c)).chain(owner_faults(c))).collect()
}

fn name_faults(c: &Crate) -> Vec<String> {
    let mut faults = Vec::new();
    if EMPTY_NAMES.contains(&c.name.as_str()) {
        faults.push(format!("{}: a name that says nothing", c.name));
    }
    if floor(&c.name).is_none() {
        faults.push(format!("{}: has no floor; give it one in FLOORS and a line in ARCHITECTURE.md", c.name));
    }
    faults
}

fn floor_faults(c: &Crate) -> Vec<String> {
    let own = floor(&c.name).unwrap_or(0);
    let deps = c.normal.union(&c.dev).filter(|d| floor(d).is_some_and(|f| f >= own));
    deps.map(|d| format!("{}: depends on {d}, which is not below it", c.name)).collect()
}

fn owner_faults(c: &Crate) -> Vec<String> {
    let mut faults = Vec::new();
    for (heavy, owners, test_owners) in OWNERS {
        let is_heavy = |d: &&String| *d == heavy || d.strip_prefix(heavy).is_some_and(|rest| rest.starts_with('-'));
        let owns = owners.contains(&c.name.as_str());
        let owns_in_tests = owns || test_owners.contains(&c.name.as_str());
        let normal = c.normal.iter().filter(is_heavy).filter(|_| !owns);
        let dev = c.dev.iter().filter(is_heavy).filter(|_| !owns_in_tests);
        faults.extend(normal.chain(dev).map(|d| format!("{}: {d} belongs to {}", c.name, owners.join(", "))));
    }
    faults
}

fn workspace() -> Table {
    let root: Table = read("Cargo.toml").parse().expect("the root manifest parses");
    root["workspace"].as_table().expect("the root is a workspace").clone()
}

/// Workspaces of their own, on which no crate may depend: one needs a nightly compiler, one other features of shared crates.
const APART: [&str; 2] = ["fuzz/Cargo.toml", "bench/rsigma/Cargo.toml"];

fn manifests() -> Vec<String> {
    tree::files().into_iter().filter(|f| f.ends_with("/Cargo.toml") && !APART.contains(&f.as_str())).collect()
}

#[test]
fn crates_depend_downwards_and_heavy_crates_have_owners() {
    let workspace = workspace();
    let versions = workspace["dependencies"].as_table().expect("versions live in the root");
    let crates: Vec<Crate> = manifests().iter().map(|path| parse(path, &read(path), versions)).collect();
    assert_eq!(crates.len(), FLOORS.len(), "a crate without a floor, or a floor without a crate");
    assert_none(&faults(&crates));
}

#[test]
fn every_manifest_is_a_member() {
    let workspace = workspace();
    let members = workspace["members"].as_array().expect("members is a list").iter().filter_map(Value::as_str);
    let members: BTreeSet<String> = members.map(|m| format!("{m}/Cargo.toml")).collect();
    assert_eq!(manifests().into_iter().collect::<BTreeSet<_>>(), members);
}

#[test]
fn each_rule_of_dependency_is_seen_to_refuse() {
    let versions: Table = "df = { package = \"datafusion\" }".parse().expect("toml");
    for (name, text, want) in [
        ("ingest", "[dependencies]\ndataflow.workspace = true\nsimd-json.workspace = true", None),
        ("enrich", "[dependencies]\ningest.workspace = true", Some("enrich: depends on ingest, which is not below it")),
        ("loadgen", "[dev-dependencies]\ningest = { path = \"../ingest\" }", Some("loadgen: depends on ingest, which")),
        ("sinks", "[build-dependencies]\npipeline.workspace = true", Some("sinks: depends on pipeline, which")),
        ("dataflow", "[dependencies]\nsinks.workspace = true", Some("dataflow: depends on sinks, which")),
        ("loadgen", "[target.'cfg(unix)'.dependencies]\nx = { package = \"simd-json\" }", Some("loadgen: simd-json")),
        ("enrich", "[dependencies]\ndf.workspace = true", Some("enrich: datafusion belongs to aggregate, pipeline")),
        ("enrich", "[dependencies]\ndatafusion-expr = \"1\"", Some("enrich: datafusion-expr belongs to")),
        ("sinks", "[dev-dependencies]\ndatafusion.workspace = true", None),
        ("sinks", "[dependencies]\ndatafusion.workspace = true", Some("sinks: datafusion belongs to")),
        ("aggregate", "[dev-dependencies]\niceberg.workspace = true", Some("aggregate: iceberg belongs to")),
        ("aggregate", "[dependencies]\nhdrhistogram.workspace = true", Some("aggregate: hdrhistogram belongs to")),
        ("pipeline", "[dependencies]\nrdkafka.workspace = true", Some("pipeline: rdkafka belongs to")),
        ("pipeline", "[dev-dependencies]\nrdkafka.workspace = true", None),
        ("utils", "", Some("utils: a name that says nothing")),
        ("parser", "", Some("parser: has no floor")),
    ] {
        let found = faults(&[parse(name, &format!("[package]\nname = \"{name}\"\n{text}"), &versions)]);
        match want {
            None => assert_none(&found),
            Some(want) => assert!(found.first().is_some_and(|f| f.starts_with(want)), "{name} {text}: {found:?}"),
        }
    }
}
