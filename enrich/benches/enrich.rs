//! Rows a second through the chain: `cargo bench --workspace --bench enrich`.
//!
//! Rates are per CPU-second of one core where the system tells (Linux), otherwise per second. Batches of 8,192 rows of
//! HTTP activity, with addresses, a host name and a user each. `skewed`: 95 % of the addresses come from 2,000 hosts.
//! `uniform`: all of 198.18.0.0/15. Each with the demo's tables, with a list of a million addresses and one of a million
//! names, and with everything: 10,000 assets of two tenants and 10,000 identities beside it.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dataflow::{ChunkBuilder, PartitionId, Table, TableBatch, TableBuilder};
use enrich::{Chain, EnrichConfig, TableSource};

const ROWS: usize = 8_192;
const BATCHES: usize = 16;
const ROUNDS: usize = 5;

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str, lines: &mut dyn FnMut(u32) -> String, count: u32, head: &str| {
        let path = dir.path().join(name);
        write_lines(&path, head, (0..count).map(lines));
        vec![TableSource::File(path)]
    };
    let demo = EnrichConfig::demo();
    let million = file("ips.csv", &mut indicator, 1_000_000, "ip,category,confidence");
    let names = file("names.csv", &mut name_indicator, 1_000_000, "domain,category,confidence");
    let all = EnrichConfig {
        intel: [&million[..], &names[..]].concat(),
        assets: file("assets.csv", &mut asset, 10_000, "tenant,ip,name,criticality,owner"),
        identities: file("users.csv", &mut identity, 10_000, "tenant,user_name,department,title,is_privileged"),
        ..demo.clone()
    };
    let scope = EnrichConfig::default();
    let million = EnrichConfig { intel: million, ..demo.clone() };
    for (tables, config) in [("scope", scope), ("demo", demo), ("1M-intel", million), ("all", all)] {
        let start = Instant::now();
        let chain = Chain::build(&config, 0).expect("tables");
        report(&format!("{tables} build: {:.0} ms", start.elapsed().as_secs_f64() * 1e3));
        for (load, hosts) in [("skewed", 2_000), ("uniform", 1 << 17)] {
            measure(&format!("{tables} {load}"), chain.clone(), &batches(hosts));
        }
    }
}

fn measure(name: &str, mut chain: Chain, batches: &[TableBatch]) {
    let memory: usize = batches.iter().map(|b| b.rows.get_array_memory_size()).sum();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_time();
            for batch in batches {
                std::hint::black_box(chain.apply(batch.clone()));
            }
            (ROWS * BATCHES) as f64 / (cpu_time() - start).as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    report(&format!(
        "{name}: {:.1} M rows/s, {:.0} ns a row (median of {ROUNDS}; {:.1} to {:.1} M rows/s), {:.0} MB/s of Arrow",
        rates[ROUNDS / 2],
        1e3 / rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1],
        rates[ROUNDS / 2] * memory as f64 / (ROWS * BATCHES) as f64
    ));
}

/// The time this thread was on a core.
fn cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|s| s.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn batches(hosts: u64) -> Vec<TableBatch> {
    let mut state = 7u64;
    (0..BATCHES).map(|_| one_batch(hosts, &mut state)).collect()
}

fn one_batch(hosts: u64, state: &mut u64) -> TableBatch {
    let table = Table::HttpActivity;
    let partition = PartitionId::new("bench", "0", 0);
    let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), 0);
    (0..ROWS).for_each(|i| chunk.push(b"", i as i64, 0));
    let chunk = chunk.finish();
    let mut rows = TableBuilder::new(table);
    for record in chunk.records() {
        rows.set_i64(table.expect_leaf("time"), 0);
        for path in ["src_endpoint.ip", "dst_endpoint.ip"] {
            rows.set_str(table.expect_leaf(path), &address(hosts, state));
        }
        let (host, user) = (pick(hosts, state), pick(hosts, state) % 10_000);
        rows.set_str(table.expect_leaf("http_request.url.hostname"), &format!("www.site{host}.cdn.example"));
        rows.set_str(table.expect_leaf("actor.user.name"), &format!("user{user}"));
        rows.end_event(&partition, "acme", &record, 0);
    }
    TableBatch { table, rows: rows.finish() }
}

/// One of `hosts` in 19 of 20 cases, otherwise any of the benchmark network.
fn pick(hosts: u64, state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let (pick, rare) = (*state >> 33, (*state >> 20).is_multiple_of(20));
    if rare { pick % (1 << 17) } else { pick % hosts * ((1 << 17) / hosts) }
}

fn address(hosts: u64, state: &mut u64) -> String {
    let host = pick(hosts, state);
    format!("198.{}.{}.{}", 18 + (host >> 16), (host >> 8) & 255, host & 255)
}

fn write_lines(path: &std::path::Path, head: &str, lines: impl Iterator<Item = String>) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    writeln!(out, "{head}").expect("written");
    lines.for_each(|line| writeln!(out, "{line}").expect("written"));
}

fn claim(i: u32) -> String {
    format!("{},{}", ["c2", "phishing", "malware"][i as usize % 3], i % 101)
}

fn indicator(i: u32) -> String {
    format!("{},{}", std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761)), claim(i))
}

fn name_indicator(i: u32) -> String {
    format!("site{i}.{}.example,{}", ["cdn", "web"][i as usize % 2], claim(i))
}

/// Single addresses, and every hundredth a network.
fn asset(i: u32) -> String {
    let (tenant, len) = (["acme", "globex"][i as usize % 2], if i.is_multiple_of(100) { 24 + i / 100 % 8 } else { 32 });
    format!("{tenant},198.18.{}.{}/{len},host{i},low,team{}", i >> 8, i & 255, i % 40).replace("/32,", ",")
}

fn identity(i: u32) -> String {
    format!("acme,user{i},dept{},title{},{}", i % 20, i % 300, i.is_multiple_of(50))
}

#[expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]
fn report(line: &str) {
    println!("{line}");
}
