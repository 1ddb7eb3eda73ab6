//! Each output against a small server on the loopback: what arrives is, byte for byte, what the fleet renders.

mod posts;
mod sockets;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::config::FleetConfig;
use crate::schedule::Schedule;

/// Generous: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the sender is given a clock; here it is the real one")]
pub(crate) fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn fleet(events: u64) -> Fleet {
    let config =
        FleetConfig { events, attacks: 0, near_misses: 0, malformed_per_million: 20_000, ..FleetConfig::default() };
    Fleet::new(config).expect("a fleet")
}

pub(crate) fn options(target: &str, timing: Timing) -> SendOptions {
    SendOptions {
        target: target.parse().expect("a target"),
        timing,
        shard: Shard::default(),
        connections: 1,
        ca: None,
        kafka: ClientSettings::default(),
        hec_token: None,
        keys: None,
        key_template: KEY_TEMPLATE.to_owned(),
        patience: PATIENCE,
        progress_every: Duration::from_millis(20),
        now: now_us,
    }
}

/// Faster than any machine: what is due is due at once.
pub(crate) fn at_once() -> Timing {
    let schedule = Schedule::constant(1e7).expect("a rate");
    Timing::Schedule { schedule: Arc::new(schedule), start_wall_us: now_us() }
}

/// The fleet's records in the order of sending.
pub(crate) fn records(fleet: &Fleet) -> Vec<Vec<u8>> {
    let mut feed = Feed::new(fleet, &Timing::Free, &Shard::default().partitions(fleet));
    let (mut records, mut line) = (Vec::new(), Vec::new());
    while feed.next(&mut line).is_some() {
        records.push(line.clone());
    }
    records
}

/// The records as lines.
pub(crate) fn lines(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [record.as_slice(), b"\n"].concat()).collect()
}

pub(crate) fn run(fleet: &Fleet, options: &SendOptions) -> Report {
    send(fleet, options, &mut |_| {}).expect("sent")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn files(dir: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
    };
    std::fs::read_dir(dir).expect("a folder").map(entry).collect()
}

#[test]
fn files_of_any_shards_and_threads_are_those_of_one_process() {
    let fleet = fleet(2_000);
    let whole = tempfile::tempdir().expect("a folder");
    crate::write_files(&fleet, whole.path(), crate::Compression::None, 1).expect("written");
    for (of, connections) in [(1, 1), (1, 4), (2, 3), (4, 1)] {
        let dir = tempfile::tempdir().expect("a folder");
        for number in 1..=of {
            let mut options = options(&dir.path().display().to_string(), at_once());
            options.shard = format!("{number}/{of}").parse().expect("a shard");
            options.connections = connections;
            let report = run(&fleet, &options);
            assert!(report.is_complete() && report.acknowledged.is_none(), "{report:?}");
        }
        assert!(files(dir.path()) == files(whole.path()), "{of} shards, {connections} threads");
    }
}

#[test]
fn a_report_balances_and_measures_from_intent() {
    let (fleet, dir) = (fleet(500), tempfile::tempdir().expect("a folder"));
    let schedule = Arc::new(Schedule::constant(1e6).expect("a rate"));
    // It was to begin a minute ago: every record is late by that.
    let timing = Timing::Schedule { schedule, start_wall_us: now_us() - 60_000_000 };
    let report = run(&fleet, &options(&dir.path().display().to_string(), timing));
    assert_eq!((report.intended, report.sent, report.failed, report.unsent, report.late), (500, 500, 0, 0, 500));
    let handed = report.handed_ms.expect("a schedule");
    assert!(handed.p50 >= 59_900.0 && handed.max >= handed.p99, "{handed:?}");
    assert!(report.seconds >= 60.0 && report.acknowledged_ms.is_none());
}

#[test]
fn without_a_schedule_nothing_is_late() {
    let (fleet, dir) = (fleet(500), tempfile::tempdir().expect("a folder"));
    let report = run(&fleet, &options(&dir.path().display().to_string(), Timing::Free));
    assert_eq!((report.sent, report.late, report.handed_ms), (500, 0, None));
}

#[test]
fn a_folder_that_cannot_be_is_an_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let dir = file.path().join("folder").display().to_string();
    let error = send(&fleet(10), &options(&dir, Timing::Free), &mut |_| {}).expect_err("refused");
    assert_eq!(error.to_string(), "cannot send to the output");
}
