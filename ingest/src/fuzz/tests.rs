//! Every target on mutated golden records, and on the inputs that once failed.
//!
//! In an ordinary run a target has some dozens of cases, other ones each day. `PALISADE_FUZZ_SECONDS` makes it run that long,
//! `PALISADE_FUZZ_SEED` says where to begin: a failure prints it.

use std::time::{Duration, SystemTime};

use super::mutate::{Rng, case};
use super::{seeds, *};

/// Of a file's name and a record: whether it is mutated.
type IsSeed = fn(&str, &str) -> bool;

struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn(IsSeed) -> Vec<Vec<u8>>,
    is_seed: IsSeed,
    /// Cases of an ordinary run.
    cases: u64,
}

const fn of_records(name: &'static str, run: fn(&[u8]), is_seed: IsSeed) -> Target {
    Target { name, run, seeds: seeds::records, is_seed, cases: 60 }
}

const TARGETS: [Target; 10] = [
    of_records("syslog", syslog, |_, line| !line.starts_with(['{', '['])),
    of_records("panos", panos, |name, _| name.starts_with("panos-") || name == "any"),
    of_records("cef", cef, |_, line| line.contains("CEF:")),
    of_records("leef", leef, |_, line| line.contains("LEEF:")),
    of_records("kv", kv, |name, line| {
        let names = ["fortinet", "checkpoint", "juniper-srx", "zscaler", "ivanti", "openvpn"];
        names.iter().any(|start| name.starts_with(start)) && line.contains('=')
    }),
    of_records("json", json, |_, line| line.starts_with(['{', '['])),
    of_records("flow", flow, |name, _| name.contains("flow")),
    of_records("text", text, |name, _| {
        ["cisco", "juniper", "pfsense", "openvpn", "ivanti", "aws-s3"].iter().any(|start| name.starts_with(start))
    }),
    of_records("detection", detection, |_, _| true),
    Target { name: "mapping", run: mapping, seeds: seeds::mappings, is_seed: |_, _| true, cases: 30 },
];

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: {text} is no number")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "which cases are tried changes from day to day, and how long is asked for"
)]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Says what failed while the test unwinds.
struct Case<'a> {
    target: &'a str,
    seed: u64,
    bytes: &'a [u8],
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let file = std::env::temp_dir().join(format!("palisade-fuzz-{}-{}", self.target, self.seed));
            let kept =
                std::fs::write(&file, self.bytes).map_or_else(|e| e.to_string(), |()| file.display().to_string());
            eprintln!("{}: PALISADE_FUZZ_SEED={} gives the case again; it is in {kept}", self.target, self.seed);
        }
    }
}

/// Bytes that a case may take while it is decoded, whatever is in it, and for each byte of it.
const MEMORY: (u64, u64) = (48 << 20, 1024);

fn try_case(target: &Target, seed: u64, bytes: &[u8]) {
    let _case = Case { target: target.name, seed, bytes };
    let used = allocation_counter::measure(|| (target.run)(bytes)).bytes_max;
    let (base, each) = MEMORY;
    assert!(used <= base + each * bytes.len() as u64, "{used} bytes of memory for {} of input", bytes.len());
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = (target.seeds)(target.is_seed);
    assert!(seeds.len() > 3, "{name}: {} seeds", seeds.len());
    let start = now();
    let first = number("PALISADE_FUZZ_SEED").unwrap_or(start.as_secs() / 86_400 * 1_000_000);
    let end = number("PALISADE_FUZZ_SECONDS").map(|seconds| start + Duration::from_secs(seconds));
    let (mut seed, mut slowest) = (first, (Duration::ZERO, 0));
    while end.map_or(seed - first < target.cases, |end| now() < end) {
        let bytes = case(&mut Rng::new(seed), &seeds);
        let began = now();
        try_case(target, seed, &bytes);
        slowest = slowest.max((now().saturating_sub(began), seed));
        seed += 1;
    }
    println!("{name}: {} cases from {first}; the slowest, {}, took {:?}", seed - first, slowest.1, slowest.0);
}

macro_rules! tests {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            run(stringify!($name));
        }
    )* };
}

mod on_mutated_records {
    use super::run;

    tests!(syslog, panos, cef, leef, kv, json, flow, text, detection, mapping);
}

/// Each folder of `testdata/fuzz/` is named for its target.
#[test]
fn inputs_that_once_failed() {
    let mut tried = 0;
    for folder in seeds::files(&seeds::testdata().join("fuzz")).iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default();
        let target = TARGETS.iter().find(|target| name == target.name);
        let target = target.unwrap_or_else(|| panic!("{} is no target", folder.display()));
        for file in seeds::files(folder) {
            println!("{}", file.display());
            try_case(target, 0, &std::fs::read(&file).expect("a file"));
            tried += 1;
        }
    }
    assert!(tried > 0, "no file in testdata/fuzz");
}

/// Records as they stand are cases too.
#[test]
fn golden_records_hold() {
    for target in &TARGETS {
        (target.seeds)(target.is_seed).iter().for_each(|bytes| try_case(target, 0, bytes));
    }
}

/// The seeds as the files that cargo-fuzz begins with: in the folder that `PALISADE_FUZZ_CORPUS` names, one a target.
#[test]
fn seeds_for_cargo_fuzz() {
    let Some(corpus) = std::env::var_os("PALISADE_FUZZ_CORPUS").map(std::path::PathBuf::from) else { return };
    for target in &TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (i, bytes) in (target.seeds)(target.is_seed).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), bytes).expect("a file");
        }
    }
}

#[test]
fn no_bytes_at_all() {
    TARGETS.iter().for_each(|target| try_case(target, 0, b""));
}
