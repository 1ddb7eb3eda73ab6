//! Window update and close on one core: rows a second, and nanoseconds a row.
//!
//! `cargo bench --bench window`: 1 M connections of 100 k addresses within a minute, batches of 8,192 rows; first one rule
//! that counts and one that counts distinct values, then the close of a pane of 1 M keys beside a shard that goes on with its
//! input, then each rule that ships over a mix of tables, then all of them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use aggregate::{Delta, Deltas, MergeStage, RuleSet, SourceStage, StepOutput, StepStamp};
use dataflow::{Leaf, OffsetRange, PartitionId, Positions, Record, Table, TableBatch, TableBuilder};

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

const HOP: &str = "HOP(network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE)";
const TUMBLE: &str = "TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)";

fn rule(window: &str, select: &str, having: &str) -> Arc<RuleSet> {
    let text = format!(
        "title: bench\nid: 00000000-0000-4000-8000-000000000001\nversion: 1\nlevel: low\nsql: |\n  SELECT window_start, src_ip, {select}\n  FROM {window}\n  GROUP BY window_start, window_end, src_ip\n  HAVING {having}\n"
    );
    RuleSet::from_texts(&[("bench", &text)]).expect("a rule")
}

/// One table's rows as batches; `fill` sets the columns of row `i` but its time.
fn batches(partition: &PartitionId, table: Table, rows: i64, fill: impl Fn(&mut TableBuilder, i64)) -> Vec<TableBatch> {
    let mut all = Vec::new();
    let mut b = TableBuilder::new(table);
    for i in 0..rows {
        let at = i * SPAN_US / rows;
        b.set_i64(table.expect_leaf("time"), at);
        fill(&mut b, i);
        let record = Record { payload: b"", offset: i, received_at: at, full_len: 0 };
        b.end_event(partition, "acme", &record, 0);
        if (i + 1) % BATCH == 0 || i + 1 == rows {
            all.push(TableBatch { table, rows: b.finish() });
        }
    }
    all
}

/// An address for the row, one of so many, in an order that no cache guesses.
fn address(i: i64, keys: i64) -> String {
    let key = i.wrapping_mul(7_919) % keys;
    format!("10.{}.{}.{}", key >> 16, key >> 8 & 255, key & 255)
}

/// Connections with a port each of a thousand.
fn connections(partition: &PartitionId, keys: i64) -> Vec<TableBatch> {
    let table = Table::NetworkActivity;
    let [ip, port, bytes] = ["src_endpoint.ip", "dst_endpoint.port", "traffic.bytes_out"].map(|p| table.expect_leaf(p));
    batches(partition, table, ROWS, |b, i| {
        b.set_str(ip, &address(i, keys));
        b.set_i32(port, (i % 1_021) as i32);
        b.set_i64(bytes, i % 1_500);
    })
}

fn set_texts(b: &mut TableBuilder, leaves: &[Leaf], texts: &[&str]) {
    for (leaf, text) in leaves.iter().zip(texts) {
        b.set_str(*leaf, text);
    }
}

fn set_numbers(b: &mut TableBuilder, leaves: &[Leaf], numbers: &[i32]) {
    for (leaf, number) in leaves.iter().zip(numbers) {
        b.set_i32(*leaf, *number);
    }
}

/// What a fleet sends: connections to few ports, one in fifty a login, one in a thousand a threat.
fn mix(partition: &PartitionId) -> Vec<TableBatch> {
    const PORTS: [i32; 8] = [443, 443, 443, 443, 80, 53, 445, 3389];
    let table = Table::NetworkActivity;
    let texts = ["src_endpoint.ip", "dst_endpoint.ip", "src_scope", "dst_scope"].map(|p| table.expect_leaf(p));
    let numbers = ["dst_endpoint.port", "action_id"].map(|p| table.expect_leaf(p));
    let bytes = table.expect_leaf("traffic.bytes_out");
    let mut all = batches(partition, table, ROWS, |b, i| {
        let to = if i % 4 == 0 { "internal" } else { "external" };
        set_texts(b, &texts, &[&address(i, KEYS), &address(i / 3, KEYS), "internal", to]);
        let port = PORTS[(i % 8) as usize];
        set_numbers(b, &numbers, &[port, 1 + i32::from(i % 9 == 0)]);
        b.set_i64(bytes, i % 1_500);
    });
    let table = Table::Authentication;
    let texts = ["service.name", "user.name", "src_endpoint.ip", "src_country"].map(|p| table.expect_leaf(p));
    let numbers = ["activity_id", "status_id"].map(|p| table.expect_leaf(p));
    all.extend(batches(partition, table, ROWS / 50, |b, i| {
        let user = format!("user{}", i % 5_000);
        set_texts(b, &texts, &["GlobalProtect", &user, &address(i, KEYS), "NL"]);
        set_numbers(b, &numbers, &[1, 1 + i32::from(i % 10 == 0)]);
    }));
    let table = Table::DetectionFinding;
    let texts = ["src_ip", "dst_ip", "finding_info.title"].map(|p| table.expect_leaf(p));
    let severity = table.expect_leaf("severity_id");
    all.extend(batches(partition, table, ROWS / 1_000, |b, i| {
        set_texts(b, &texts, &[&address(i, KEYS), &address(i / 3, KEYS), "a threat"]);
        b.set_i32(severity, (i % 5) as i32 + 1);
    }));
    all
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn run(name: &str, rules: &Arc<RuleSet>, groups: u32, partition: &PartitionId, batches: &[TableBatch]) {
    let rows: usize = batches.iter().map(|b| b.rows.num_rows()).sum();
    let groups = NonZeroU32::new(groups).expect("above zero");
    let mut stage = SourceStage::new(rules, partition.clone(), 0, None, groups);
    let ((), update) = seconds(|| batches.iter().for_each(|b| stage.process(b).expect("processed")));
    let bytes = stage.bytes();
    let (deltas, take) = seconds(|| stage.take_delta().expect("a delta").deltas);
    let (encoded, encode) = seconds(|| deltas.encode().expect("encoded"));
    let decoded = || (0..groups.get()).map(|g| Deltas::decode_group(&encoded, g).expect("decoded"));
    let (deltas, decode) = seconds(|| decoded().collect::<Vec<Delta>>());
    let mut merges: Vec<MergeStage> = (0..groups.get()).map(|g| MergeStage::new(rules, g)).collect();
    let range = OffsetRange { start: 0, next: ROWS };
    let pairs = merges.iter_mut().zip(&deltas);
    let ((), apply) =
        seconds(|| pairs.for_each(|(merge, delta)| merge.apply(partition, range, delta).expect("applied")));
    let (closed, close) = seconds(|| merges.iter_mut().map(close_all).sum::<u64>());
    println!(
        "{name}, {groups} groups: update {:.2} M rows/s, {:.0} ns/row, {} states, {:.0} MB; delta {:.0} ms, encode {:.0} ms ({:.0} MB), decode {:.0} ms; apply {:.0} ms, close {closed} windows {:.0} ms, {:.0} ns/row",
        rows as f64 / update / 1e6,
        update * 1e9 / rows as f64,
        deltas.iter().map(Delta::rows).sum::<usize>(),
        bytes as f64 / 1e6,
        take * 1e3,
        encode * 1e3,
        encoded.len() as f64 / 1e6,
        decode * 1e3,
        apply * 1e3,
        close * 1e3,
        close * 1e9 / rows as f64,
    );
}

fn close_all(merge: &mut MergeStage) -> u64 {
    step_to_the_end(merge).windows_closed
}

fn step_to_the_end(merge: &mut MergeStage) -> StepOutput {
    let end = merge.close_all_watermark();
    let stamp = StepStamp { step: 0, at: 0, received_until: None };
    merge.step(stamp, end, &Positions::new(), &BTreeMap::new()).expect("a step")
}

/// A merge group closes a pane of 1 M keys on its thread while a shard goes on: how long each batch of the shard takes.
#[expect(clippy::print_stdout, reason = "a bench prints")]
fn close_beside_input(rules: &Arc<RuleSet>, partition: &PartitionId, rows: &[TableBatch]) {
    let keys = connections(partition, 1_000_000);
    let mut stage = SourceStage::new(rules, partition.clone(), 0, None, NonZeroU32::MIN);
    keys.iter().for_each(|b| stage.process(b).expect("processed"));
    let encoded = stage.take_delta().expect("a delta").deltas.encode().expect("encoded");
    let delta = Deltas::decode_group(&encoded, 0).expect("decoded");
    let mut merge = MergeStage::new(rules, 0);
    merge.apply(partition, OffsetRange { start: 0, next: ROWS }, &delta).expect("applied");
    let mut stage = SourceStage::new(rules, partition.clone(), 0, None, NonZeroU32::MIN);
    let mut batches = rows.iter().cycle();
    let mut batch_ms = || batches.next().map_or(0.0, |b| seconds(|| stage.process(b).expect("processed")).1 * 1e3);
    let mut alone: Vec<f64> = (0..rows.len()).map(|_| batch_ms()).collect();
    let ((closed, close), mut beside) = std::thread::scope(|scope| {
        let closing = scope.spawn(|| seconds(|| step_to_the_end(&mut merge)));
        let mut beside = vec![batch_ms()];
        while !closing.is_finished() {
            beside.push(batch_ms());
        }
        (closing.join().expect("closed"), beside)
    });
    let [alone, beside] = [&mut alone, &mut beside].map(|ms| {
        ms.sort_by(f64::total_cmp);
        format!("{:.1} ms at the median, {:.1} at most", ms[ms.len() / 2], ms[ms.len() - 1])
    });
    let alerts = closed.alerts.map_or(0, |alerts| alerts.rows.num_rows());
    println!(
        "close of 1 M keys: {alerts} alerts, {:.0} ms; a batch of the shard {beside} beside it; alone {alone}",
        close * 1e3
    );
}

fn main() {
    let partition = PartitionId::new("bench", "0", 0);
    let rows = connections(&partition, KEYS);
    let count = rule(HOP, "count(*) AS n, sum(traffic.bytes_out) AS bytes", "count(*) > 1000000");
    let distinct = rule(HOP, "count(DISTINCT dst_port) AS ports", "count(DISTINCT dst_port) > 1000000");
    let some = rule(TUMBLE, "count(*) AS n, sum(traffic.bytes_out) AS bytes", "sum(traffic.bytes_out) > 1498");
    for _ in 0..3 {
        run("count, sum", &count, 1, &partition, &rows);
        run("count, sum", &count, 16, &partition, &rows);
        run("count distinct", &distinct, 1, &partition, &rows);
        close_beside_input(&some, &partition, &rows);
    }
    let (folder, rows) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules"), mix(&partition));
    let all = RuleSet::load(std::slice::from_ref(&folder)).expect("the rules that ship");
    for rule in all.rules() {
        let one = RuleSet::load(&[folder.join(rule.name()).with_extension("yaml")]).expect("the rule");
        run(rule.name(), &one, 1, &partition, &rows);
    }
    for groups in [1, 16] {
        run("all rules", &all, groups, &partition, &rows);
    }
}
