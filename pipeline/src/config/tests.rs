use sinks::{CatalogConfig, Secret};

use super::*;

fn parse(yaml: &str) -> Result<Config, ConfigError> {
    raw::parse(Path::new("/etc/palisade/palisade.yaml"), yaml)
}

fn at(warehouse: &str) -> String {
    format!("warehouse: {warehouse}\nsources: [{{files: {{paths: [x]}}}}]\n")
}

#[test]
fn a_warehouse_may_be_in_a_bucket_with_a_catalog_of_its_own() {
    let storage = "{endpoint: 'http://127.0.0.1:9000', allow_http: true, region: eu-1, path_style: true, timeout: 5s}";
    let catalog = "{type: rest, uri: 'https://c/api', warehouse: lake, credential: 'id:hush', scope: all, timeout: 3s}";
    let yaml = at(&format!("{{path: 's3://lake/w', region: eu, storage: {storage}, catalog: {catalog}}}"));
    let config = parse(&yaml).expect("valid").warehouse;
    assert_eq!((config.root.to_string().as_str(), config.region.as_str()), ("s3://lake/w", "eu"));
    assert_eq!(config.store.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!((config.store.path_style, config.store.timeout_ms, config.store.retry_ms), (Some(true), 5_000, 120_000));
    assert_eq!(config.catalog_timeout_ms, 3_000);
    let CatalogConfig::Rest(rest) = &config.catalog else { panic!("{config:?}") };
    assert_eq!((rest.uri.as_str(), rest.warehouse.as_deref()), ("https://c/api", Some("lake")));
    assert!(!format!("{config:?}").contains("hush"), "secrets are not printed");
    let yaml = at("{path: 's3://lake/w', catalog: {type: sqlite, file: c.db}}");
    let config = parse(&yaml).expect("valid").warehouse;
    assert_eq!(config.catalog, CatalogConfig::Sqlite { file: Some("/etc/palisade/c.db".into()) });
}

#[test]
fn routes_are_read_in_their_order() {
    let routes = "[{tenants: [acme, Globex]}, {classes: [dns_activity, dead_letter], namespace: names}]";
    let config = parse(&at(&format!("{{path: w, own_tables_max: 7, routes: {routes}}}"))).expect("valid").warehouse;
    let [acme, names] = &config.routes.routes[..] else { panic!("{config:?}") };
    assert_eq!((acme.namespace.as_str(), &acme.classes, config.routes.tables_max), ("{tenant}", &None, 7));
    assert_eq!(acme.tenants.iter().flatten().collect::<Vec<_>>(), ["Globex", "acme"]);
    assert_eq!((names.namespace.as_str(), &names.tenants), ("names", &None));
    assert_eq!(names.classes.iter().flatten().map(|t| t.name()).collect::<Vec<_>>(), ["dns_activity", "dead_letter"]);
}

const SMALLEST: &str = "warehouse: {path: w}\nsources: [{files: {paths: ['logs/*.log']}}]\n";

#[test]
fn the_smallest_configuration_has_defaults_and_paths_relative_to_it() {
    let config = parse(SMALLEST).expect("valid");
    assert_eq!(config.warehouse, WarehouseConfig::at("/etc/palisade/w"));
    let [SourceConfig::Files(files)] = &config.sources[..] else { panic!("{:?}", config.sources) };
    assert_eq!((files.topic.as_str(), files.tenant.as_str(), files.partitions), ("files-0", "default", 1));
    assert_eq!(files.globs, ["/etc/palisade/logs/*.log"]);
    assert!(config.rules.builtin && config.listen.is_none() && config.enrich.country.is_none());
    assert_eq!(config.worker.flush_interval, Duration::from_secs(5));
    let hour = Duration::from_secs(3_600);
    assert_eq!(config.upkeep, UpkeepConfig { enabled: true, interval: hour, retention: 24 * hour });
}

#[test]
fn collection_may_come_more_often_or_not_at_all() {
    let config = parse(&format!("{SMALLEST}upkeep: {{interval: 5m, retention: 48h}}\n")).expect("valid").upkeep;
    assert_eq!((config.interval.as_secs(), config.retention.as_secs()), (300, 172_800));
    assert!(!parse(&format!("{SMALLEST}upkeep: {{enabled: false}}\n")).expect("valid").upkeep.enabled);
}

#[test]
fn values_have_units() {
    let yaml = format!(
        "{SMALLEST}worker: {{flush_interval: 250ms, commit_interval: 1m 30s, flush_size: 64MiB, queue_size: 1GiB, shards: 3}}\n\
         enrich: {{country: geo.mmdb, intel: [builtin, /srv/ioc.csv], assets: [hosts.csv], reload_interval: 30s}}\ntelemetry: {{listen: '127.0.0.1:9464'}}\n"
    );
    let config = parse(&yaml).expect("valid");
    assert_eq!(config.worker.flush_interval, Duration::from_millis(250));
    assert_eq!(config.worker.commit_interval, Duration::from_secs(90));
    assert_eq!((config.worker.flush_bytes, config.worker.queue_bytes, config.worker.shards), (64 << 20, 1 << 30, 3));
    assert_eq!(config.enrich.country, Some(enrich::TableSource::File("/etc/palisade/geo.mmdb".into())));
    assert_eq!(config.enrich.intel[0], enrich::TableSource::Builtin);
    assert_eq!(config.enrich.assets, [enrich::TableSource::File("/etc/palisade/hosts.csv".into())]);
    assert_eq!(config.enrich.reload_interval, Duration::from_secs(30));
    assert_eq!(config.listen, "127.0.0.1:9464".parse().ok());
}

#[test]
fn a_mistake_is_told_with_its_place_and_the_way_out() {
    for (yaml, want) in [
        ("warehouse: {paht: w}\nsources: []\n", "palisade.yaml:1:13: unknown key `paht`; did you mean `path`?"),
        ("warehouse: {path: w}\nsuorces: []\n", "palisade.yaml:2:1: unknown key `suorces`; did you mean `sources`?"),
        ("warehouse: {path: w}\nsources: []\n", "palisade.yaml: sources: at least one is needed"),
        (
            "warehouse: {path: w}\nsources: [{}]\n",
            "sources[0]: exactly one of `files`, `kafka` and `generator` is needed",
        ),
        (&format!("{SMALLEST}worker: {{shards: 0}}\n"), "worker.shards: 0 would never move"),
        (&format!("{SMALLEST}worker: {{disorder: soon}}\n"), "palisade.yaml:3:"),
        (&format!("{SMALLEST}upkeep: {{interval: 0s}}\n"), "upkeep.interval: 0s would never rest"),
        (
            &format!("{SMALLEST}enrich: {{asset: [x]}}\n"),
            "palisade.yaml:3:10: unknown key `asset`; did you mean `assets`?",
        ),
        (&format!("{SMALLEST}worker: {{flush_size: 1 acre}}\n"), "palisade.yaml:3:"),
        ("warehouse: {path: w, region: a/b}\nsources: [{files: {paths: [x]}}]\n", "warehouse.region: `a/b`"),
        (&at("{path: 'hdfs://x/y'}"), "palisade.yaml:1:19: warehouse.path: hdfs://x/y: a bucket is s3://"),
        (
            &at("{path: 's3://lake/w'}"),
            "palisade.yaml:1:19: warehouse.catalog: a warehouse in a bucket names its catalog",
        ),
        (
            &at("{path: w, storage: {endpont: x}}"),
            "palisade.yaml:1:32: unknown key `endpont`; did you mean `endpoint`?",
        ),
        (
            &at("{path: w, storage: {endpoint: 'http://x'}}"),
            "palisade.yaml:1:31: warehouse.storage.endpoint: http sends",
        ),
        (&at("{path: w, catalog: {uri: x}}"), "palisade.yaml:1:"),
        (&at("{path: w, catalog: {type: hive}}"), "palisade.yaml:1:"),
        (&at("{path: w, catalog: {type: rest}}"), "palisade.yaml:1:31: warehouse.catalog.uri: is missing"),
        (&at("{path: w, catalog: {type: sqlite, uri: x}}"), "warehouse.catalog.uri: goes with `type: rest`"),
        (
            &at("{path: w, catalog: {type: rest, uri: 'c:1'}}"),
            "palisade.yaml:1:31: warehouse.catalog.uri: `c:1` is no http",
        ),
        (
            &at("{path: w, routes: [{classes: [dns_activty]}]}"),
            "palisade.yaml:1:31: warehouse.routes[0].classes: no class dns_activty; did you mean dns_activity?",
        ),
        (&at("{path: w, routes: [{tenant: a}]}"), "unknown key `tenant`; did you mean `tenants`?"),
        (
            &at("{path: w, routes: [{}, {namespace: 'A.B'}]}"),
            "palisade.yaml:1:35: warehouse.routes[1].namespace: \"A.B\" is not",
        ),
        (
            "warehouse: {path: w}\nsources: [{name: a, files: {paths: [x]}}, {name: a, files: {paths: [y]}}]\n",
            "two sources are named `a`",
        ),
    ] {
        let error = parse(yaml).expect_err(yaml).to_string();
        assert!(error.starts_with("/etc/palisade/palisade.yaml") && error.contains(want), "{yaml}\n{error}");
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let yaml = "warehouse: {path: w, region: a/b}\nsources:\n  - name: ../x\n    files: {paths: [x]}\n  - {}\nworker: {shards: 0}\n";
    let error = parse(yaml).expect_err("four mistakes");
    let lines: Vec<String> = error.lines().map(|l| l.trim_start_matches("/etc/palisade/").to_owned()).collect();
    for (line, (place, what)) in lines.iter().zip([
        ("palisade.yaml:3:5: ", "sources[0].name"),
        ("palisade.yaml:5:5: ", "sources[1]: exactly one"),
        ("palisade.yaml:1:12: ", "warehouse.region"),
        ("palisade.yaml:6:9: ", "worker.shards"),
    ]) {
        assert!(line.starts_with(place) && line.contains(what), "{line}: not {place}{what}");
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn the_limit_of_files_has_a_default() {
    assert_eq!(parse(SMALLEST).expect("valid").files_per_day_max, FILES_PER_DAY_MAX);
    let yaml = SMALLEST.replace("path: w", "path: w, files_per_day_max: 7");
    assert_eq!(parse(&yaml).expect("valid").files_per_day_max, 7);
}

#[test]
fn mapping_files_are_found_beside_the_configuration_and_every_mistake_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    let yaml = format!("{SMALLEST}decode: {{mappings: ['own/*.yaml', 'gone/*.yaml']}}\n");
    std::fs::create_dir(dir.path().join("own")).expect("a folder");
    write("own/a.yaml", "name: a\nformat: xml\nclass: base_event\n");
    let error = raw::parse(&dir.path().join("palisade.yaml"), &yaml).expect_err("two files").to_string();
    for want in ["gone/*.yaml: no such file", "own/a.yaml:2:9: xml is no format"] {
        assert!(error.contains(want), "{error}");
    }
    let yaml = yaml.replace(", 'gone/*.yaml'", "");
    let error = raw::parse(&dir.path().join("palisade.yaml"), &yaml).expect_err("mistakes").to_string();
    for want in ["own/a.yaml:2:9: xml is no format", "product: is missing", "match: is missing"] {
        assert!(error.contains(want), "{error}");
    }
    write(
        "own/a.yaml",
        "name: a\nproduct: {vendor: V, name: P}\nformat: kv\nmatch: {x: y}\nclass: base_event\ntime: received\n",
    );
    let config = raw::parse(&dir.path().join("palisade.yaml"), &yaml).expect("right");
    assert_eq!(config.mappings.own().collect::<Vec<_>>(), [("a", 0)]);
}

#[test]
fn what_opens_a_catalog_may_be_kept_in_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("token"), "hush\n").expect("written");
    let with = |token: &str| {
        let yaml = at(&format!("{{path: 's3://lake/w', catalog: {{type: rest, uri: 'https://c', token: {token}}}}}"));
        raw::parse(&dir.path().join("palisade.yaml"), &yaml)
    };
    let config = with("{file: token}").expect("valid");
    assert!(matches!(config.warehouse.catalog, CatalogConfig::Rest(rest) if rest.token == Some(Secret("hush".into()))));
    let refused = with("{file: none}").expect_err("no such file").to_string();
    assert!(refused.contains("warehouse.catalog.token: ") && refused.contains("none cannot be read"), "{refused}");
}

#[test]
fn a_collector_of_traces_has_an_endpoint_and_headers_that_may_be_secret() {
    let with = |traces: &str| {
        parse(&format!(
            "warehouse: {{path: w}}\nsources: [{{files: {{paths: [x]}}}}]\ntelemetry: {{traces: {traces}}}\n"
        ))
    };
    let traces = with("{endpoint: 'http://c:4318', headers: {a: 'b'}}").expect("valid").traces.expect("named");
    assert_eq!((traces.url.as_str(), traces.headers), ("http://c:4318", vec![("a".to_owned(), "b".to_owned())]));
    let unset = "{endpoint: 'http://c:4318', headers: {a: {env: PALISADE_UNSET}}}";
    for (traces, why) in [(unset, "telemetry.traces.headers.a: the environment has no variable"), ("{}", "endpoint")] {
        let refused = with(traces).expect_err(traces).to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn canaries_need_a_topic_of_their_own() {
    let with = |canary: &str| {
        let source = "{name: quiet, tenant: palisade, kafka: {brokers: 'b:1', topic: canaries}}";
        parse(&format!(
            "warehouse: {{path: w}}\nsources: [{{files: {{paths: [x]}}}}, {source}]\ntelemetry: {{canary: {canary}}}\n"
        ))
    };
    let config = with("{every: 10s, source: quiet}").expect("valid");
    assert_eq!(config.canary_source().map(|source| source.topic.as_str()), Some("canaries"));
    for (canary, why) in [
        ("{every: 10s, source: files-0}", "telemetry.canary.source: `files-0` is no source with one topic of Kafka"),
        ("{every: 10s, source: canaries}", "`canaries` is no source"),
        ("{every: 900ms, source: quiet}", "telemetry.canary.every: from 1s up"),
    ] {
        let refused = with(canary).expect_err(canary).to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(parse(SMALLEST).expect("valid").canaries(), None);
}
