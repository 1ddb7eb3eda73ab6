use std::path::Path;

use dataflow::Table;
use dataflow::schema::ENRICHMENT_COLUMNS;
use proptest::prelude::*;

use super::*;
use crate::config::TableSource;
use crate::testing::{NOW, batch, event_batch, events_of, shown, texts, write};

fn chain_of(config: &EnrichConfig) -> Chain {
    Chain::build(config, NOW).expect("tables that load")
}

fn demo() -> Chain {
    chain_of(&EnrichConfig::demo())
}

/// Every kind of table.
fn full(dir: &Path) -> EnrichConfig {
    let assets = "tenant,ip,name,criticality,owner\nacme,10.0.0.0/8,acme-lan,low,\nacme,10.1.2.3,acme-db,critical,Dana\nglobex,10.1.2.3,globex-tv,,\n";
    let identities =
        "tenant,user_name,department,title,is_privileged\nacme,alice,Finance,CFO,no\nglobex,alice,IT,,yes\n";
    EnrichConfig {
        assets: vec![write(dir, "assets.csv", assets)],
        identities: vec![write(dir, "identities.csv", identities)],
        ..EnrichConfig::demo()
    }
}

fn apply(chain: &mut Chain, rows: RecordBatch) -> RecordBatch {
    chain.apply(TableBatch { table: Table::NetworkActivity, rows }).rows
}

/// Country, scope, category and confidence of one end of one row.
fn facts(rows: &RecordBatch, end: &str, row: usize) -> String {
    let names = ["country", "scope", "intel_category", "intel_confidence"].map(|name| format!("{end}_{name}"));
    shown(rows, row, &names.each_ref().map(String::as_str))
}

#[test]
fn what_the_demo_knows_of_an_address() {
    let mut chain = demo();
    for line in "
        198.18.1.9                | DE external - -
        198.19.7.0                | AU external c2 50
        198.19.7.16               | AU external - -
        198.19.3.201              | BR external phishing 50
        ::ffff:198.19.3.201       | BR external phishing 50
        203.0.113.200             | CN external - -
        2001:db8::7               | CH external - -
        2001:db9::7               | - external - -
        10.1.2.3                  | - internal - -
        fd00::1                   | - internal - -
        unknown                   | - - - -
        198.19.3.201:443          | - - - -
        1.2.3.4.5                 | - - - -"
        .lines()
        .skip(1)
    {
        let (ip, want) = line.split_once('|').expect("two parts");
        let rows = apply(&mut chain, batch(&[(Some(ip.trim()), Some("192.0.2.1")), (None, Some(ip.trim()))]));
        assert_eq!(facts(&rows, "src", 0), want.trim(), "{ip} as source");
        assert_eq!(facts(&rows, "dst", 1), want.trim(), "{ip} as destination");
        assert_eq!(facts(&rows, "dst", 0), "RU external - -", "beside {ip}");
        assert_eq!(facts(&rows, "src", 1), "- - - -", "no address");
    }
}

#[test]
fn both_ends_have_autonomous_systems() {
    let rows = apply(&mut demo(), batch(&[(Some("198.18.1.9"), Some("198.18.16.1")), (Some("10.0.0.1"), None)]));
    let names = ["src_asn", "src_as_name", "dst_asn", "dst_as_name"];
    assert_eq!(shown(&rows, 0, &names), "64496 Alder Hosting Example 64497 Birch Telecom Example");
    assert_eq!(shown(&rows, 1, &names), "- - - -");
}

#[test]
fn every_event_table_is_enriched_and_others_pass() {
    let mut chain = demo();
    for table in Table::EVENTS {
        let rows = chain.apply(TableBatch { table, rows: event_batch(table, &[(Some("198.19.3.201"), None)]) }).rows;
        assert_eq!(rows.schema(), table.schema());
        let knows_source = table.leaf("src_endpoint.ip").is_some();
        let want = if knows_source { "BR external phishing 50" } else { "- - - -" };
        assert_eq!(facts(&rows, "src", 0), want, "{table}");
    }
    for table in [Table::DeadLetter, Table::LateWindow, Table::ApiActivity] {
        let empty = RecordBatch::new_empty(table.schema());
        assert_eq!(chain.apply(TableBatch { table, rows: empty.clone() }).rows, empty, "{table}");
    }
}

#[test]
fn host_names_match_where_a_table_has_them() {
    let mut chain = demo();
    let (url, dst) = ("http_request.url.hostname", "dst_endpoint.hostname");
    let events = [
        ("acme", &[(url, "A.Evil.Example."), (dst, "ads.example")][..]),
        ("acme", &[(url, "www.example.com"), (dst, "ads.example")]),
        ("acme", &[(dst, "login.phish.example")]),
        ("acme", &[(url, "phish.example")]),
        ("acme", &[(url, "198.19.3.201")]),
        ("acme", &[]),
    ];
    let names = ["domain_intel_category", "domain_intel_confidence"];
    for (table, want) in [
        (Table::HttpActivity, ["c2 90", "adware 40", "phishing 85", "- -", "phishing 50", "- -"]),
        (Table::NetworkActivity, ["adware 40", "adware 40", "phishing 85", "- -", "- -", "- -"]),
        (Table::BaseEvent, ["- -"; 6]),
    ] {
        let rows = chain.apply(TableBatch { table, rows: events_of(table, &events) }).rows;
        let found: Vec<String> = (0..events.len()).map(|row| shown(&rows, row, &names)).collect();
        assert_eq!(found, want, "{table}");
    }
}

#[test]
fn a_tenants_assets_and_identities_are_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut chain = chain_of(&full(dir.path()));
    let row = [("src_endpoint.ip", "10.1.2.3"), ("dst_endpoint.ip", "10.9.9.9"), ("actor.user.name", "Alice")];
    let names = [
        "src_asset_name",
        "src_asset_criticality",
        "src_asset_owner",
        "dst_asset_name",
        "user_department",
        "user_title",
        "user_is_privileged",
    ];
    let wants = [
        ("acme", "acme-db critical Dana acme-lan Finance CFO false"),
        ("globex", "globex-tv - - - IT - true"),
        ("initech", "- - - - - - -"),
    ];
    // Alone, so that a batch has one tenant, with a warm cache of the others; then all in one batch.
    for (tenant, want) in wants.iter().chain(&wants) {
        let rows = apply(&mut chain, events_of(Table::NetworkActivity, &[(tenant, &row)]));
        assert_eq!(shown(&rows, 0, &names), *want, "{tenant}");
    }
    let all: Vec<crate::testing::Event<'_>> =
        wants.iter().chain(&wants).map(|(tenant, _)| (*tenant, &row[..])).collect();
    let rows = apply(&mut chain, events_of(Table::NetworkActivity, &all));
    for (row, (tenant, want)) in wants.iter().chain(&wants).enumerate() {
        assert_eq!(shown(&rows, row, &names), *want, "{tenant} among others");
    }
}

#[test]
fn what_is_not_configured_stays_null() {
    let mut chain = chain_of(&EnrichConfig::default());
    let rows = apply(&mut chain, batch(&[(Some("198.19.3.201"), Some("10.0.0.1"))]));
    assert_eq!(facts(&rows, "src", 0), "- external - -");
    assert_eq!(facts(&rows, "dst", 0), "- internal - -");
    let nulls = ENRICHMENT_COLUMNS.iter().filter(|name| shown(&rows, 0, &[name]) == "-").count();
    assert_eq!(nulls, ENRICHMENT_COLUMNS.len() - 2);
    assert_eq!(chain.versions().keys().collect::<Vec<_>>(), ["scope"]);
}

#[test]
fn versions_follow_the_content() {
    let demo = demo().versions();
    assert_eq!(demo.keys().collect::<Vec<_>>(), ["asn", "country", "intel", "scope"]);
    let dir = tempfile::tempdir().expect("a folder");
    let own = write(dir.path(), "own.csv", "ip,category,confidence\n192.0.2.1,c2,50\n");
    let own = chain_of(&EnrichConfig { intel: vec![own], ..EnrichConfig::demo() }).versions();
    assert_eq!((&own["country"], &own["scope"]), (&demo["country"], &demo["scope"]));
    assert_ne!(own["intel"], demo["intel"]);
}

#[test]
fn a_table_that_cannot_be_read_stops_the_build() {
    let missing = || TableSource::File("/no/such.file".into());
    let default = EnrichConfig::default;
    for (config, want) in [
        (EnrichConfig { country: Some(missing()), ..default() }, "cannot read /no/such.file"),
        (EnrichConfig { asn: Some(missing()), ..default() }, "cannot read /no/such.file"),
        (EnrichConfig { intel: vec![TableSource::Builtin, missing()], ..default() }, "/no/such.file"),
        (EnrichConfig { assets: vec![TableSource::Builtin], ..default() }, "assets: there is no builtin table"),
        (EnrichConfig { internal_networks: vec!["10/8".to_owned()], ..default() }, "\"10/8\""),
    ] {
        let error = Chain::build(&config, NOW).expect_err(want).to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}

/// A chain with one table fills that table's columns as the whole chain does, and together they fill every column once.
#[test]
fn each_table_alone_agrees_with_all_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let (full, none) = (full(dir.path()), EnrichConfig { internal_networks: Vec::new(), ..EnrichConfig::default() });
    let rows = batch(&[
        (Some("198.19.3.201"), Some("10.1.2.3")),
        (None, Some("2001:db8::1")),
        (Some("-"), Some("198.19.3.201")),
    ]);
    let enriched = apply(&mut chain_of(&full), rows.clone());
    let mut filled = Vec::new();
    for config in [
        EnrichConfig { country: full.country.clone(), ..none.clone() },
        EnrichConfig { asn: full.asn.clone(), ..none.clone() },
        EnrichConfig { intel: full.intel.clone(), ..none.clone() },
        EnrichConfig { assets: full.assets.clone(), ..none.clone() },
        EnrichConfig { identities: full.identities.clone(), ..none.clone() },
    ] {
        let mut chain = chain_of(&config);
        let arrays = chain.enrich(&rows);
        for (name, array) in chain.columns().iter().zip(arrays).filter(|(name, _)| !name.ends_with("_scope")) {
            assert_eq!(array.as_ref(), enriched.column_by_name(name).expect("a column").as_ref(), "{name}");
            filled.push(*name);
        }
        assert!(chain.version().contains("scope=crc32:"), "{}", chain.version());
    }
    filled.extend(["src_scope", "dst_scope"]);
    filled.sort_unstable();
    let mut want = ENRICHMENT_COLUMNS.to_vec();
    want.sort_unstable();
    assert_eq!(filled, want);
}

#[test]
fn clones_share_tables_and_nothing_else() {
    let chain = demo();
    let shards: Vec<_> = (0..4).map(|_| chain.clone()).collect();
    let rows = || batch(&[(Some("198.19.3.201"), Some("198.18.1.1")), (Some("203.0.113.5"), None)]);
    let results: Vec<RecordBatch> = std::thread::scope(|scope| {
        let start = |mut shard: Chain| scope.spawn(move || apply(&mut shard, rows()));
        let threads: Vec<_> = shards.into_iter().map(start).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert!(results.iter().all(|r| *r == results[0]));
    assert_eq!(chain.counts(), Counts::default());
    assert!(format!("{chain:?}").len() < 500, "a chain is printed by its versions, not by its caches");
}

#[test]
fn a_chain_counts_what_it_did() {
    let mut chain = demo();
    let rows = [("src_endpoint.ip", "198.19.3.201"), ("dst_endpoint.ip", "-"), ("dst_endpoint.hostname", "x.example")];
    for _ in 0..2 {
        apply(&mut chain, events_of(Table::NetworkActivity, &[("acme", &rows), ("acme", &rows)]));
    }
    assert_eq!(chain.counts(), Counts { rows: 4, addresses: 2, not_addresses: 4, misses: 1, names: 2 });
}

#[test]
fn batches_that_are_kept_can_be_joined() {
    let mut chain = demo();
    let first = apply(&mut chain, batch(&[(Some("198.18.1.1"), None)]));
    let second = apply(&mut chain, batch(&[(Some("198.18.2.1"), None), (Some("198.18.1.1"), None)]));
    let both = arrow::compute::concat_batches(&first.schema(), [&first, &second]).expect("one schema");
    let countries = texts(both.column_by_name("src_country").expect("a column"));
    assert_eq!(countries.into_iter().flatten().collect::<Vec<_>>(), ["DE", "JP", "DE"]);
}

fn an_address() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        1 => "[ -~é]{0,12}".prop_map(Some),
        4 => (18u8..20, 0u8..3, 0u8..4).prop_map(|(b, c, d)| Some(format!("198.{b}.{c}.{d}"))),
        2 => Just(Some("10.1.2.3".to_owned())),
        2 => any::<u32>().prop_map(|v4| Some(std::net::Ipv4Addr::from_bits(v4).to_string())),
        2 => any::<u128>().prop_map(|v6| Some(std::net::Ipv6Addr::from_bits(v6).to_string())),
    ]
}

/// A tenant, a user and both ends.
type Row = (&'static str, &'static str, Option<String>, Option<String>);

fn a_row() -> impl Strategy<Value = Row> {
    let tenant = prop::sample::select(vec!["acme", "globex", "initech"]);
    let user = prop::sample::select(vec!["alice", "ALICE", "bob"]);
    (tenant, user, an_address(), an_address())
}

fn rows_of(rows: &[Row]) -> RecordBatch {
    let texts: Vec<Vec<(&str, &str)>> = rows
        .iter()
        .map(|(_, user, src, dst)| {
            let ends = [("src_endpoint.ip", src), ("dst_endpoint.ip", dst)];
            let ends = ends.into_iter().filter_map(|(path, ip)| Some((path, ip.as_deref()?)));
            ends.chain([("actor.user.name", *user), ("dst_endpoint.hostname", "a.evil.example")]).collect()
        })
        .collect();
    let events: Vec<_> = rows.iter().zip(&texts).map(|((tenant, ..), texts)| (*tenant, texts.as_slice())).collect();
    events_of(Table::NetworkActivity, &events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However rows are cut into batches: all other columns are the same arrays, and a row's facts do not depend on its
    /// neighbors, on their tenants, or on what the caches have seen.
    #[test]
    fn rows_keep_their_order_and_their_columns(rows in prop::collection::vec(a_row(), 1..50), split in 0usize..50) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut chain = chain_of(&full(dir.path()));
        let before = rows_of(&rows);
        let split = split.min(rows.len());
        let after = apply(&mut chain, before.clone());
        for (field, (old, new)) in before.schema().fields().iter().zip(before.columns().iter().zip(after.columns())) {
            if !ENRICHMENT_COLUMNS.contains(&field.name().as_str()) {
                prop_assert!(std::ptr::eq(old.as_ref(), new.as_ref()), "{} was touched", field.name());
            }
        }
        let head = apply(&mut chain, before.slice(0, split));
        let tail = apply(&mut chain, before.slice(split, rows.len() - split));
        for (row, one) in rows.iter().enumerate() {
            let alone = apply(&mut chain, rows_of(std::slice::from_ref(one)));
            let (part, at) = if row < split { (&head, row) } else { (&tail, row - split) };
            let want = shown(&alone, 0, &ENRICHMENT_COLUMNS);
            prop_assert_eq!(shown(&after, row, &ENRICHMENT_COLUMNS), want.clone());
            prop_assert_eq!(shown(part, at, &ENRICHMENT_COLUMNS), want);
        }
    }
}
