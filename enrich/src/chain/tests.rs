use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use dataflow::Table;
use dataflow::schema::ENRICHMENT_COLUMNS;
use proptest::prelude::*;

use super::*;
use crate::config::TableSource;
use crate::testing::{batch, event_batch, texts};

fn demo() -> Chain {
    Chain::build(&EnrichConfig::demo()).expect("the builtin tables")
}

fn apply(chain: &mut Chain, rows: RecordBatch) -> RecordBatch {
    chain.apply(TableBatch { table: Table::NetworkActivity, rows }).rows
}

/// Country, scope, category and confidence of one end of one row, `-` for null.
fn facts(rows: &RecordBatch, end: &str, row: usize) -> String {
    let column = |name: &str| rows.column_by_name(&format!("{end}_{name}")).expect("an enrichment column");
    let text = |name| texts(column(name))[row].clone().unwrap_or("-".to_owned());
    let confidence = column("intel_confidence").as_primitive::<Int32Type>().iter().nth(row).flatten();
    let confidence = confidence.map_or("-".to_owned(), |n| n.to_string());
    format!("{} {} {} {confidence}", text("country"), text("scope"), text("intel_category"))
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
fn what_is_not_configured_stays_null() {
    let mut chain = Chain::build(&EnrichConfig::default()).expect("scope only");
    let rows = apply(&mut chain, batch(&[(Some("198.19.3.201"), Some("10.0.0.1"))]));
    assert_eq!(facts(&rows, "src", 0), "- external - -");
    assert_eq!(facts(&rows, "dst", 0), "- internal - -");
    assert_eq!(chain.versions().keys().collect::<Vec<_>>(), ["scope"]);
}

#[test]
fn versions_follow_the_content() {
    let demo = demo().versions();
    assert_eq!(demo.keys().collect::<Vec<_>>(), ["country", "intel", "scope"]);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("own.csv");
    std::fs::write(&path, "ip,category,confidence\n192.0.2.1,c2,50\n").expect("written");
    let config = EnrichConfig { intel: vec![TableSource::File(path)], ..EnrichConfig::demo() };
    let own = Chain::build(&config).expect("valid").versions();
    assert_eq!((&own["country"], &own["scope"]), (&demo["country"], &demo["scope"]));
    assert_ne!(own["intel"], demo["intel"]);
}

#[test]
fn a_table_that_cannot_be_read_stops_the_build() {
    let missing = || TableSource::File("/no/such.file".into());
    for (config, want) in [
        (EnrichConfig { country: Some(missing()), ..EnrichConfig::default() }, "cannot read /no/such.file"),
        (EnrichConfig { intel: vec![TableSource::Builtin, missing()], ..EnrichConfig::default() }, "/no/such.file"),
        (EnrichConfig { internal_networks: vec!["10/8".to_owned()], ..EnrichConfig::default() }, "\"10/8\""),
    ] {
        let error = Chain::build(&config).expect_err(want).to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}

/// Each enricher alone fills its columns as the chain does, so that another chain can be made of them.
#[test]
fn the_enrichers_alone_agree_with_the_chain() {
    let rows = batch(&[
        (Some("198.19.3.201"), Some("10.0.0.1")),
        (None, Some("2001:db8::1")),
        (Some("-"), Some("198.19.3.201")),
    ]);
    let config = EnrichConfig::demo();
    let mut enrichers: Vec<Box<dyn Enricher>> = vec![
        Box::new(Country::load(&TableSource::Builtin).expect("builtin")),
        Box::new(Intel::load(&config.intel).expect("builtin")),
        Box::new(Scope::new(&config.internal_networks).expect("default")),
    ];
    let enriched = apply(&mut demo(), rows.clone());
    let (mut names, versions) = (Vec::new(), demo().versions());
    for enricher in &mut enrichers {
        assert!(versions.values().any(|v| v == enricher.version()));
        let arrays = enricher.enrich(&rows);
        names.extend(enricher.columns().to_vec());
        for (name, array) in enricher.columns().iter().zip(arrays) {
            assert_eq!(array.as_ref(), enriched.column_by_name(name).expect("a column").as_ref(), "{name}");
        }
    }
    names.sort_unstable();
    let mut want = ENRICHMENT_COLUMNS.to_vec();
    want.sort_unstable();
    assert_eq!(names, want, "together they fill every enrichment column once");
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
    let rows = [(Some("198.19.3.201"), Some("10.0.0.1")), (Some("198.19.3.201"), Some("-"))];
    for _ in 0..2 {
        apply(&mut chain, batch(&rows));
    }
    let want = Counts { rows: 4, addresses: 4, not_addresses: 2, country_misses: 2, intel_matches: 2 };
    assert_eq!(chain.counts(), want);
}

#[test]
fn keys_mean_the_same_in_batches_that_are_kept() {
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
        2 => any::<u32>().prop_map(|v4| Some(std::net::Ipv4Addr::from_bits(v4).to_string())),
        2 => any::<u128>().prop_map(|v6| Some(std::net::Ipv6Addr::from_bits(v6).to_string())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However rows are cut into batches: all other columns are the same arrays, and a row's facts do not depend on its
    /// neighbors, on its end, or on what the caches have seen.
    #[test]
    fn rows_keep_their_order_and_their_columns(
        ends in prop::collection::vec((an_address(), an_address()), 1..60),
        split in 0usize..60,
    ) {
        let ends: Vec<_> = ends.iter().map(|(s, d)| (s.as_deref(), d.as_deref())).collect();
        let before = batch(&ends);
        let split = split.min(ends.len());
        let mut chain = demo();
        let after = apply(&mut chain, before.clone());
        for (field, (old, new)) in before.schema().fields().iter().zip(before.columns().iter().zip(after.columns())) {
            if !ENRICHMENT_COLUMNS.contains(&field.name().as_str()) {
                prop_assert!(std::ptr::eq(old.as_ref(), new.as_ref()), "{} was touched", field.name());
            }
        }
        let head = apply(&mut chain, before.slice(0, split));
        let tail = apply(&mut chain, before.slice(split, ends.len() - split));
        for (row, (src, dst)) in ends.iter().enumerate() {
            let (part, at) = if row < split { (&head, row) } else { (&tail, row - split) };
            for end in ["src", "dst"] {
                prop_assert_eq!(facts(&after, end, row), facts(part, end, at));
            }
            if src == dst {
                prop_assert_eq!(facts(&after, "src", row), facts(&after, "dst", row));
            }
        }
    }
}
