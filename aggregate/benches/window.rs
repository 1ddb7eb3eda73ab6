//! Window update and close: 1 M rows, 100 k keys, batches of 8,192 rows; rows a second on one core.
//!
//! `cargo bench --bench window`

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use aggregate::{Deltas, MergeStage, RuleSet, SourceStage, StepStamp};
use dataflow::{OffsetRange, PartitionId, Positions, Record, Table, TableBatch, TableBuilder};

const ROWS: i64 = 1_000_000;
const KEYS: i64 = 100_000;
const BATCH: i64 = 8_192;
const SPAN_US: i64 = 60_000_000;

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

fn rule(select: &str, having: &str) -> Arc<RuleSet> {
    let text = format!(
        "title: bench\nid: 00000000-0000-4000-8000-000000000001\nversion: 1\nlevel: low\nsql: |\n  SELECT window_start, src_ip, {select}\n  FROM HOP(network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)\n  GROUP BY window_start, window_end, src_ip\n  HAVING {having}\n"
    );
    RuleSet::from_texts(&[("bench", &text)]).expect("a rule")
}

/// One minute of connections, the keys in an order that no cache guesses.
fn batches(partition: &PartitionId) -> Vec<TableBatch> {
    let table = Table::NetworkActivity;
    let paths = ["time", "src_endpoint.ip", "dst_endpoint.port", "traffic.bytes_out"];
    let [time, ip, port, bytes] = paths.map(|p| table.expect_leaf(p));
    let mut all = Vec::new();
    let mut b = TableBuilder::new(table);
    for i in 0..ROWS {
        let key = i.wrapping_mul(7_919) % KEYS;
        let at = i * SPAN_US / ROWS;
        b.set_i64(time, at);
        b.set_str(ip, &format!("10.{}.{}.{}", key >> 16, key >> 8 & 255, key & 255));
        b.set_i32(port, (i % 1_021) as i32);
        b.set_i64(bytes, i % 1_500);
        let record = Record { payload: b"", offset: i, received_at: at, full_len: 0 };
        b.end_event(partition, "acme", &record, 0);
        if (i + 1) % BATCH == 0 || i + 1 == ROWS {
            all.push(TableBatch { table, rows: b.finish() });
        }
    }
    all
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn run(name: &str, rules: &Arc<RuleSet>, partition: &PartitionId, batches: &[TableBatch]) {
    let mut stage = SourceStage::new(rules, partition.clone(), 0, None, NonZeroU32::MIN);
    let ((), update) = seconds(|| batches.iter().for_each(|b| stage.process(b).expect("processed")));
    let bytes = stage.bytes();
    let (delta, take) = seconds(|| stage.take_delta().expect("a delta").deltas);
    let (encoded, encode) = seconds(|| delta.encode().expect("encoded"));
    let (delta, decode) = seconds(|| Deltas::decode_group(&encoded, 0).expect("decoded"));
    let mut merge = MergeStage::new(rules, 0);
    let range = OffsetRange { start: 0, next: ROWS };
    let ((), apply) = seconds(|| merge.apply(partition, range, &delta).expect("applied"));
    let end = merge.close_all_watermark();
    let stamp = StepStamp { step: 0, at: 0 };
    let (output, close) = seconds(|| merge.step(stamp, end, &Positions::new(), &BTreeMap::new()).expect("a step"));
    println!(
        "{name}: update {:.2} M rows/s, {} groups, {:.0} MB; delta {:.0} ms, encode {:.0} ms ({:.0} MB), decode {:.0} ms; apply {:.0} ms, close {} windows {:.0} ms",
        ROWS as f64 / update / 1e6,
        delta.rows(),
        bytes as f64 / 1e6,
        take * 1e3,
        encode * 1e3,
        encoded.len() as f64 / 1e6,
        decode * 1e3,
        apply * 1e3,
        output.windows_closed,
        close * 1e3,
    );
}

fn main() {
    let partition = PartitionId::new("bench", "0", 0);
    let batches = batches(&partition);
    let count = rule("count(*) AS n, sum(traffic.bytes_out) AS bytes", "count(*) > 1000000");
    let distinct = rule("count(DISTINCT dst_port) AS ports", "count(DISTINCT dst_port) > 1000000");
    for _ in 0..3 {
        run("count, sum", &count, &partition, &batches);
        run("count distinct", &distinct, &partition, &batches);
    }
}
