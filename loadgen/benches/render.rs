//! How fast records are made: `cargo bench --workspace --bench render`. Prints records/s and bytes/s of one core for each
//! kind of work: best, median and worst of seven rounds. Without cargo's `--bench` (a test run) it makes one short round.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::Instant;

use loadgen::{Fleet, FleetConfig, Mix};

/// Records a round, and rounds.
fn effort() -> (u64, usize) {
    if std::env::args().any(|a| a == "--bench") { (200_000, 7) } else { (2_000, 1) }
}

fn fleet(mix: Mix) -> Fleet {
    let config = FleetConfig { events: effort().0, attacks: 0, near_misses: 0, mix, ..FleetConfig::default() };
    Fleet::new(config).expect("a possible fleet")
}

/// Makes every record once: how many bytes and seconds.
fn bytes_round(fleet: &Fleet) -> (usize, f64) {
    let (mut line, mut bytes) = (Vec::new(), 0);
    let start = Instant::now();
    for mut cursor in fleet.partitions().iter().filter_map(|id| fleet.cursor(id, 0)) {
        while cursor.next(&mut line).is_some() {
            bytes += line.len();
        }
    }
    (bytes, start.elapsed().as_secs_f64())
}

/// Makes the truth of every record once.
fn truth_round(fleet: &Fleet) -> (usize, f64) {
    let mut rows = Vec::new();
    let start = Instant::now();
    for mut cursor in fleet.partitions().iter().filter_map(|id| fleet.cursor(id, 0)) {
        while cursor.next_truth(&mut rows).is_some() {
            rows.clear();
        }
    }
    (0, start.elapsed().as_secs_f64())
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
    let only = |strata_json, panos_csv, cloudtrail| fleet(Mix { strata_json, panos_csv, cloudtrail });
    report("mix", &fleet(Mix::default()), bytes_round);
    report("strata json", &only(1, 0, 0), bytes_round);
    report("panos csv", &only(0, 1, 0), bytes_round);
    report("cloudtrail", &only(0, 0, 1), bytes_round);
    report("truth", &fleet(Mix::default()), truth_round);
}
