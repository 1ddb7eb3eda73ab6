//! What the tests share: the binary, configurations, queries.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;

use serde_json::Value;

/// The binary under test (`PALISADE_BINARY` names another than cargo's, such as a release build), under a name of its own:
/// another build may replace the one that cargo made.
pub(crate) fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for old in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let pid = old.file_name().to_str().and_then(|n| n.strip_prefix("palisade-")?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = std::fs::remove_file(old.path());
            }
        }
        let kept = folder.join(format!("palisade-{}", std::process::id()));
        let built = std::env::var_os("PALISADE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_palisade").into());
        std::fs::hard_link(&built, &kept).expect("a link within the target folder");
        kept
    });
    &BINARY
}

/// A command of the binary under test.
pub(crate) fn palisade() -> Command {
    Command::new(binary())
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"))
}

/// Runs a command that must succeed; its stdout.
pub(crate) fn stdout(command: &mut Command) -> String {
    let out = output(command);
    assert!(out.status.success(), "{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8 on stdout")
}

/// Runs a command with bytes on stdin.
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // From a thread: the command prints while it reads. It may end before it has read all, which is its right.
    let writer = on_thread(move || stdin.write_all(&input));
    let out = child.wait_with_output().expect("a child that was started");
    let _ = writer.join().expect("no panic");
    out
}

/// A thread of a test.
pub(crate) fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name("test-helper".to_owned()).spawn(work).expect("a thread starts")
}

/// A number of the environment, by which a test is made larger.
pub(crate) fn sized(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Rows of a query over a warehouse.
pub(crate) fn sql(warehouse: &Path, query: &str) -> Vec<Value> {
    let text = stdout(palisade().args(["sql", "--output", "json", "--warehouse"]).arg(warehouse).arg(query));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

/// The one number of a query.
pub(crate) fn number(warehouse: &Path, query: &str) -> i64 {
    let rows = sql(warehouse, query);
    let value = rows.first().and_then(|row| row.as_object()?.values().next()?.as_i64());
    value.unwrap_or_else(|| panic!("{query}: {rows:?}"))
}

/// Writes a fleet's files, labels and truth.
pub(crate) fn fleet(dir: &Path, seed: u64, events: u64, compression: &str) {
    let (seed, events) = (seed.to_string(), events.to_string());
    let args = ["loadgen", "--seed", &seed, "--events", &events, "--compression", compression, "--out"];
    stdout(palisade().args(args).arg(dir));
}

/// Fills the topic `firewall` with a fleet's records: of two tenants, in four partitions. What is true of them goes to a folder.
/// `more` arguments say how fast, if not at once.
pub(crate) fn fleet_topic(brokers: &str, truth: &Path, seed: u64, events: u64, more: &[&str]) {
    let (seed, events) = (seed.to_string(), events.to_string());
    let mut fill = palisade();
    fill.args(["loadgen", "--topic", "firewall", "--seed", &seed, "--events", &events, "--tenants", "2"]);
    stdout(fill.args(["--partitions", "4", "--kafka", brokers]).args(more).arg("--out").arg(truth));
}

/// A worker's configuration over the files of [`fleet`], with small, frequent steps.
pub(crate) fn fleet_config(dir: &Path, logs: &Path, warehouse: &Path) -> PathBuf {
    let mut yaml = format!("warehouse:\n  path: {}\n  files_per_day_max: 1000000000\nsources:\n", warehouse.display());
    for tenant in ["acme", "globex", "initech"] {
        yaml += &format!(
            "  - name: firewall.{tenant}\n    tenant: {tenant}\n    files:\n      paths: ['{}/firewall.{tenant}-*']\n      partitions: 2\n",
            logs.display()
        );
    }
    yaml += "enrich: {country: builtin, intel: [builtin]}\nworker:\n  flush_interval: 40ms\n  flush_rows: 1500\n  commit_interval: 100ms\n  step_interval: 30ms\n  state_interval: 150ms\n";
    let path = dir.join(format!("{}.yaml", warehouse.file_name().expect("a name").to_string_lossy()));
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// `palisade run --until-end` with its JSON summary.
pub(crate) fn run_to_end(config: &Path) -> Value {
    let text = stdout(palisade().args(["run", "--until-end", "--output", "json", "-c"]).arg(config));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Python with the packages that the readers of other projects need.
pub(crate) fn python() -> Command {
    let mut command = Command::new(crate::house::python::python());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
