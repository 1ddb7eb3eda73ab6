//! What the ledger costs: CPU time to take a range in, once its files are there, and what share of a core that is.
//!
//!     cargo bench --workspace --bench ledger
//!
//! An entry is one of a mixed fleet's: four tables, three partitions of each, the metrics of 60 columns a file. It is written to a
//! directory, fsynced, and checked against the chain's floor, as a worker does; the deltas of the range (64 KiB) go before it. CPU time is
//! the process's, the kernel's share for it included. The share is told for 32 partitions with the default interval of 5 s.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

use dataflow::{PartitionId, Table};
use sinks::ledger::ColumnMetrics;
use sinks::store::LocalStore;
use sinks::{Ledger, SourceEntry, StagedFile};
use uuid::Uuid;

const ENTRIES: i64 = 500;
const ROUNDS: usize = 7;
const PARTITIONS: f64 = 32.0;
const INTERVAL_S: f64 = 5.0;

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let store = LocalStore::open(dir.path()).expect("opens");
    let ledger = Ledger::new(std::sync::Arc::new(store), "local");
    let mut costs = Vec::new();
    for round in 0..ROUNDS {
        let partition = PartitionId::new("fw", "i1", round as i32);
        let before = cpu_seconds();
        for n in 0..ENTRIES {
            runtime.block_on(take_in(&ledger, &partition, n));
        }
        costs.push((cpu_seconds() - before) / ENTRIES as f64);
    }
    costs.sort_by(f64::total_cmp);
    let [least, median, most] = [costs[0], costs[ROUNDS / 2], costs[ROUNDS - 1]];
    println!(
        "a range into the ledger: {:.0} us of CPU (median of {ROUNDS}; {:.0} to {:.0})",
        median * 1e6,
        least * 1e6,
        most * 1e6
    );
    println!(
        "{PARTITIONS} partitions, an entry each every {INTERVAL_S} s: {:.2} % of a core",
        median * PARTITIONS / INTERVAL_S * 100.0
    );
}

async fn take_in(ledger: &Ledger, partition: &PartitionId, n: i64) {
    let attempt = Uuid::new_v4();
    let (start, next) = (n * 10_000, (n + 1) * 10_000);
    let deltas = vec![n as u8; 64 << 10].into();
    let mut entry = SourceEntry::empty(partition.clone(), start, next, "bench", attempt);
    entry.exchange = Some(ledger.put_exchange(partition, start, attempt, deltas).await.expect("writes"));
    for table in [Table::NetworkActivity, Table::HttpActivity, Table::DnsActivity, Table::Authentication] {
        entry.tables.insert(table.into(), (0..3).map(|slot| staged(slot, attempt)).collect());
    }
    entry.records = 10_000;
    ledger.create_source(&entry).await.expect("creates");
}

fn staged(slot: i32, attempt: Uuid) -> StagedFile {
    let column = |id| ColumnMetrics {
        id,
        bytes: 10_000,
        values: Some(3_000),
        nulls: Some(12),
        lower: Some(b"198.51.100.17".to_vec()),
        upper: Some(b"203.0.113.200".to_vec()),
    };
    StagedFile {
        location: format!("/warehouse/local/data/network_activity/2026-11-{slot:02}/0-1-2-{attempt}.parquet"),
        slot,
        rows: 3_000,
        bytes: 900_000,
        time_min: 1_795_132_800_000_000,
        time_max: 1_795_136_400_000_000,
        schema_id: 0,
        spec_id: 0,
        sort_order_id: None,
        split_offsets: vec![4],
        columns: (1..=60).map(column).collect(),
    }
}

/// Time that the process's threads were on a CPU (Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}
