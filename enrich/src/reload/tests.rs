use std::path::{Path, PathBuf};

use dataflow::{Table, TableBatch};

use super::*;
use crate::testing::{NOW, batch, shown, testdata, write};

const HEAD: &str = "ip,category,confidence\n";

/// A reloader over one intelligence list, and the list's path.
fn intel(dir: &Path, list: &str) -> (Reloader, PathBuf) {
    let source = write(dir, "list.csv", format!("{HEAD}{list}"));
    let TableSource::File(path) = source.clone() else { panic!("a file") };
    let config = EnrichConfig { intel: vec![source], ..EnrichConfig::default() };
    (Reloader::open(&config, NOW).expect("a table that loads"), path)
}

/// What the chain says of 192.0.2.1.
fn say(chain: &mut Chain) -> String {
    let rows =
        chain.apply(TableBatch { table: Table::NetworkActivity, rows: batch(&[(Some("192.0.2.1"), None)]) }).rows;
    shown(&rows, 0, &["src_intel_category"])
}

fn check(reloader: &mut Reloader) -> Outcome {
    reloader.check(NOW).remove(0).1
}

#[test]
fn new_tables_are_in_force_when_a_chain_takes_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut reloader, path) = intel(dir.path(), "192.0.2.1,old,50\n");
    let (mut first, mut second) = (reloader.chain(), reloader.chain());
    let old = first.versions();
    assert_eq!(
        (say(&mut first), check(&mut reloader), first.is_stale()),
        ("old".to_owned(), Outcome::Unchanged, false)
    );
    std::fs::write(&path, format!("{HEAD}192.0.2.1,new,50\n")).expect("written");
    assert_eq!(check(&mut reloader), Outcome::Loaded);
    assert!(first.is_stale());
    assert_eq!((say(&mut first), first.versions()), ("old".to_owned(), old.clone()), "until it is told to");
    first.refresh();
    assert_eq!((say(&mut first), first.is_stale()), ("new".to_owned(), false));
    assert_ne!(first.versions()["intel"], old["intel"]);
    assert_eq!(first.versions()["scope"], old["scope"]);
    assert_eq!(say(&mut second), "old", "each chain at its own time");
    assert_eq!(say(&mut reloader.chain()), "new");
    assert_eq!(check(&mut reloader), Outcome::Unchanged);
}

#[test]
fn a_bad_file_leaves_the_last_good_table_in_force() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut reloader, path) = intel(dir.path(), "192.0.2.1,good,50\n");
    let mut chain = reloader.chain();
    let good = chain.versions();
    let bad = format!("{HEAD}192.0.2.1,better,50\n192.0.2,c2,50\n");
    for (content, want) in [(Some(bad.as_str()), "list.csv:3:1: \"192.0.2\" is not"), (None, "cannot read")] {
        match content {
            Some(content) => std::fs::write(&path, content).expect("written"),
            None => std::fs::remove_file(&path).expect("removed"),
        }
        for round in 0..3 {
            let Outcome::Failed { error, repeated } = check(&mut reloader) else { panic!("{want}: taken") };
            assert!(error.contains(want), "{error}");
            assert_eq!(repeated, round > 0, "an error is new once");
        }
        assert!(!chain.is_stale());
        assert_eq!((say(&mut chain), chain.versions()), ("good".to_owned(), good.clone()));
    }
    std::fs::write(&path, format!("{HEAD}192.0.2.1,good,50\n")).expect("written");
    assert_eq!(check(&mut reloader), Outcome::Unchanged, "the file is again that of the table in force");
    std::fs::write(&path, &bad).expect("written");
    assert!(matches!(check(&mut reloader), Outcome::Failed { repeated: false, .. }));
    std::fs::write(&path, format!("{HEAD}192.0.2.1,best,50\n")).expect("written");
    assert_eq!(check(&mut reloader), Outcome::Loaded);
    chain.refresh();
    assert_eq!(say(&mut chain), "best");
}

#[test]
fn one_bad_table_does_not_hold_up_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let country = write(dir.path(), "country.mmdb", include_bytes!("../../../testdata/geo/demo-country.mmdb"));
    let list = write(dir.path(), "list.csv", HEAD);
    let config = EnrichConfig { country: Some(country), intel: vec![list], ..EnrichConfig::default() };
    let mut reloader = Reloader::open(&config, NOW).expect("tables that load");
    let before = reloader.chain().versions();
    write(dir.path(), "country.mmdb", "half");
    write(dir.path(), "list.csv", format!("{HEAD}192.0.2.1,c2,50\n"));
    let outcomes = reloader.check(NOW);
    assert!(matches!(outcomes[..], [("country", Outcome::Failed { .. }), ("intel", Outcome::Loaded)]), "{outcomes:?}");
    let after = reloader.chain().versions();
    assert_eq!(before["country"], after["country"]);
    assert_ne!(before["intel"], after["intel"]);
}

#[test]
fn a_file_that_was_just_written_is_left_for_the_next_check() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut reloader, path) = intel(dir.path(), "192.0.2.1,old,50\n");
    std::fs::write(&path, format!("{HEAD}192.0.2.1,new,50\n")).expect("written");
    let written = reloader.slots[0].files.fingerprint().expect("readable").modified_us.expect("a file has a time");
    for (now, want) in [
        (written, Outcome::Unchanged),
        (written + SETTLE_US - 1, Outcome::Unchanged),
        (written + SETTLE_US, Outcome::Loaded),
        (written, Outcome::Unchanged),
    ] {
        assert_eq!(reloader.check(now), [("intel", want)]);
    }
}

#[test]
fn a_table_is_made_anew_when_an_indicator_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = r#"{"type":"bundle","objects":[{"type":"indicator","id":"indicator--1","labels":["c2"],
        "pattern":"[ipv4-addr:value = '192.0.2.1']","valid_until":"2001-09-10T00:00:00Z"}]}"#;
    let stix = vec![write(dir.path(), "feed.json", text)];
    let mut reloader = Reloader::open(&EnrichConfig { stix, ..EnrichConfig::default() }, NOW).expect("a table");
    let mut chain = reloader.chain();
    let before = chain.versions()["intel"].clone();
    let end = 1_000_080_000_000_000;
    assert_eq!(reloader.check(end - 1), [("intel", Outcome::Unchanged)]);
    assert_eq!(say(&mut chain), "c2");
    assert_eq!(reloader.check(end), [("intel", Outcome::Loaded)]);
    chain.refresh();
    assert_eq!(
        (say(&mut chain), chain.versions()["intel"].clone()),
        ("-".to_owned(), format!("{before}@2001-09-10T00:00:00.000000Z"))
    );
    assert_eq!(reloader.check(end + 1), [("intel", Outcome::Unchanged)]);
}

#[test]
fn tables_tell_what_they_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = r#"{"type":"bundle","objects":[{"type":"indicator","id":"indicator--1","pattern":"[x:y = 1]"}]}"#;
    let config = EnrichConfig {
        asn: Some(testdata("geo/demo-asn.mmdb")),
        stix: vec![write(dir.path(), "feed.json", text)],
        ..EnrichConfig::demo()
    };
    let reloader = Reloader::open(&config, NOW).expect("tables that load");
    let tables: Vec<TableInfo> = reloader.tables().collect();
    let shape: Vec<_> = tables.iter().map(|t| (t.table, t.entries, t.modified_us.is_some(), t.skipped.count)).collect();
    assert_eq!(shape, [("country", 19, false, 0), ("asn", 8, true, 0), ("intel", 208, true, 1)]);
    assert_eq!(
        tables[1].version,
        Reloader::open(&EnrichConfig::demo(), NOW).expect("loads").tables().nth(1).expect("asn").version
    );
    assert!(format!("{reloader:?}").contains("TableInfo"));
}
