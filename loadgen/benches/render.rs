//! How fast records are made: `cargo bench --workspace --bench render -- [panos csv|...]`. Prints records/s and bytes/s of one
//! core for each kind of work: best, median and worst of seven rounds. Without cargo's `--bench` (a test run) it makes one
//! short round. Rates are per CPU-second where the system tells (Linux), otherwise per second.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use loadgen::{Fleet, FleetConfig, Mix};

/// Records a round, and rounds.
fn effort() -> (u64, usize) {
    if std::env::args().any(|a| a == "--bench") { (200_000, 7) } else { (2_000, 1) }
}

fn fleet(mix: Mix) -> Fleet {
    let config = FleetConfig { events: effort().0, attacks: 0, near_misses: 0, mix, ..FleetConfig::default() };
    Fleet::new(config).expect("a possible fleet")
}

/// CPU time of this thread; the clock where the system does not tell.
fn cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|s| s.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// Makes every record once: how many bytes and seconds.
fn bytes_round(fleet: &Fleet) -> (usize, f64) {
    let (mut line, mut bytes) = (Vec::new(), 0);
    let start = cpu_time();
    for mut cursor in fleet.partitions().iter().filter_map(|id| fleet.cursor(id, 0)) {
        while cursor.next(&mut line).is_some() {
            bytes += line.len();
        }
    }
    (bytes, (cpu_time() - start).as_secs_f64())
}

/// Makes the truth of every record once.
fn truth_round(fleet: &Fleet) -> (usize, f64) {
    let mut rows = Vec::new();
    let start = cpu_time();
    for mut cursor in fleet.partitions().iter().filter_map(|id| fleet.cursor(id, 0)) {
        while cursor.next_truth(&mut rows).is_some() {
            rows.clear();
        }
    }
    (0, (cpu_time() - start).as_secs_f64())
}

fn report(name: &str, fleet: &Fleet, round: fn(&Fleet) -> (usize, f64)) {
    let (records, count) = effort();
    let mut rounds: Vec<(usize, f64)> = (0..count).map(|_| round(fleet)).collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let rate = |(_, seconds): (usize, f64)| records as f64 / seconds / 1e3;
    let (best, median, worst) = (rounds[0], rounds[count / 2], rounds[count - 1]);
    let megabytes = best.0 as f64 / best.1 / 1e6;
    let size = best.0 as u64 / records;
    eprintln!(
        "{name:<12} best {:>7.0} k records/s, median {:>7.0} k, worst {:>7.0} k, {megabytes:>6.0} MB/s, {size} bytes a record",
        rate(best),
        rate(median),
        rate(worst)
    );
}

fn main() {
    let none = Mix::NONE;
    let formats = [
        ("mix", Mix::default()),
        ("strata json", Mix { strata_json: 1, ..none }),
        ("panos csv", Mix { panos_csv: 1, ..none }),
        ("panos cef", Mix { panos_cef: 1, ..none }),
        ("panos leef", Mix { panos_leef: 1, ..none }),
        ("fortigate", Mix { fortigate: 1, ..none }),
        ("fortios cef", Mix { fortigate_cef: 1, ..none }),
        ("cisco asa", Mix { cisco_asa: 1, ..none }),
        ("cloudtrail", Mix { cloudtrail: 1, ..none }),
        ("gcp audit", Mix { gcp_audit: 1, ..none }),
        ("azure", Mix { azure_activity: 1, ..none }),
        ("entra", Mix { entra_signin: 1, ..none }),
        ("okta", Mix { okta: 1, ..none }),
    ];
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|o| name.contains(o.as_str()));
    for (name, mix) in formats.into_iter().filter(|(name, _)| is_wanted(name)) {
        report(name, &fleet(mix), bytes_round);
    }
    if is_wanted("truth") {
        report("truth", &fleet(Mix::default()), truth_round);
    }
}
