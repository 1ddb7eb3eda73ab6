//! Rows to Parquet: rows and Arrow megabytes a CPU-second and bytes a row in the file, per table, one thread.
//!
//!     cargo bench --workspace --bench parquet
//!
//! The rows are made here, so that their cost is not counted: 90 % of the leaves that a firewall log fills, addresses and
//! ports that vary, keywords of a few values. Each round encodes the same batches; the median and the spread are printed.

#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints")]

use arrow::array::RecordBatch;
use dataflow::schema::{Place, Space};
use dataflow::{ChunkBuilder, LeafKind, PartitionId, Table, TableBuilder};
use sinks::{Warehouse, WarehouseConfig};

const ROWS: i64 = 65_536;
const BATCH: i64 = 8_192;
const ROUNDS: usize = 7;

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let warehouse = runtime.block_on(Warehouse::open(WarehouseConfig::at(dir.path()))).expect("opens");
    for table in [Table::NetworkActivity, Table::HttpActivity, Table::ApiActivity] {
        let batches: Vec<RecordBatch> = (0..ROWS / BATCH).map(|n| batch(table, n * BATCH)).collect();
        let memory: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let mut seconds = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let start = cpu_seconds();
            let files = warehouse.encoder().encode(table, &batches).expect("encodes");
            seconds.push(cpu_seconds() - start);
            bytes = files.iter().map(|f| f.bytes.len()).sum();
        }
        seconds.sort_by(f64::total_cmp);
        let rate = |s: f64| ROWS as f64 / s / 1e3;
        println!(
            "{table}: {:.0} k rows a CPU-second (median of {ROUNDS}; {:.0} to {:.0} k), {:.0} MB/s of Arrow, {:.0} bytes/row",
            rate(seconds[ROUNDS / 2]),
            rate(seconds[ROUNDS - 1]),
            rate(seconds[0]),
            memory as f64 / seconds[ROUNDS / 2] / 1e6,
            bytes as f64 / ROWS as f64
        );
    }
}

/// Time this thread was on a CPU, so that a busy machine measures the same (Linux; scheduler statistics).
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

fn batch(table: Table, first: i64) -> RecordBatch {
    let partition = PartitionId::new("fw", "i1", 0);
    let mut builder = TableBuilder::new(table);
    for offset in first..first + BATCH {
        fill(&mut builder, table, offset);
        let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), offset);
        chunk.push(b"x", offset, 1_795_132_800_000_000 + offset * 37);
        builder.end_event(&partition, "acme", &chunk.finish().records().next().expect("one"), 0);
    }
    builder.finish()
}

/// A hash of the row, so that values vary as addresses do.
fn mix(offset: i64, leaf: usize) -> u64 {
    (offset as u64 ^ (leaf as u64) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

fn fill(builder: &mut TableBuilder, table: Table, offset: i64) {
    for (nth, spec) in table.layout().leaves.iter().enumerate() {
        let wanted =
            spec.space == Space::Row && spec.place == Place::Own && !spec.path.starts_with('_') && !spec.is_list;
        if !wanted || nth % 10 == 9 && !spec.required {
            continue;
        }
        let (leaf, hash) = (table.expect_leaf(&spec.path), mix(offset, nth));
        match spec.kind {
            LeafKind::Time => _ = builder.set_i64(leaf, 1_795_132_800_000_000 + offset * 37),
            LeafKind::Keyword => _ = builder.set_str(leaf, ["allow", "deny", "drop", "reset-both"][hash as usize % 4]),
            LeafKind::I32 => _ = builder.set_i32(leaf, (hash % 65_536) as i32),
            LeafKind::I64 => _ = builder.set_i64(leaf, (hash % 1_000_000) as i64),
            LeafKind::Bool => _ = builder.set_bool(leaf, hash % 2 == 0),
            LeafKind::Text if nth % 3 == 0 => {
                let ip = format!("10.{}.{}.{}", hash % 4, hash >> 8 & 255, hash >> 16 & 255);
                builder.set_str(leaf, &ip);
            }
            LeafKind::Text | LeafKind::Json | LeafKind::Binary => {}
        }
    }
}
