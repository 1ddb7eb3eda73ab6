//! The catalog does not answer for a while: what is read goes on into the ledger, up to a bound; then sources pause, and nothing is lost.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::kit::{fleet, on_thread, sized};
use crate::lake::{assert_whole, config};
use crate::lake_server::Lake;

/// Entries of the ledger, as the S3 server keeps its objects.
pub(crate) fn entries(folder: &Path) -> usize {
    let all = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    all.map(
        |path| if path.is_dir() { entries(&path) } else { usize::from(path.extension().is_some_and(|e| e == "entry")) },
    )
    .sum()
}

#[test]
fn while_the_catalog_is_away_sources_read_on_into_the_ledger_and_then_pause() {
    let lake = Lake::start();
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 6, 40_000, "none");
    let config = config(&lake, &logs, "away");
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    let yaml = yaml.replace("flush_rows: 1500", "flush_rows: 500");
    // A chunk at a time, so that a source has not read all before anything is in the ledger.
    std::fs::write(&config, yaml + "  uncommitted_size: 2MiB\n  queue_rows: 1\n").expect("writes");

    let mut worker = lake.palisade();
    worker.args(["--log", "info", "run", "--until-end", "-c"]).arg(&config);
    let mut child = worker.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    lines.find(|line| line.contains("the worker is ready")).expect("it says when");
    lake.catalog.signal(Signal::STOP);
    lines.find(|line| line.contains("the source pauses")).expect("it pauses");
    let waiting = entries(&lake.dir.path().join("objects/lake/away/local/ledger"));
    assert!(waiting > 1, "{waiting} entries");
    let said = on_thread(move || lines.collect::<Vec<String>>());
    // For long runs: seconds for which it stays away.
    std::thread::park_timeout(Duration::from_secs(sized("PALISADE_CATALOG_AWAY", 0)));
    lake.catalog.signal(Signal::CONT);
    let status = child.wait().expect("our child");
    let said = said.join().expect("no panic");
    assert!(status.success() && said.iter().any(|line| line.contains("the source goes on")), "{said:#?}");
    assert_whole(&lake, &config, &logs, &[]);
}
