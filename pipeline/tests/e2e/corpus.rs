//! Real lines: they decode to OCSF JSON that validates, and land in the tables without one being lost.

use std::path::PathBuf;

use serde_json::Value;

use crate::house::root;
use crate::kit::{output, palisade, python, run_to_end, stdout, with_input};

/// The folder of real lines, which the project does not carry. Where tests are said to run in CI it must be there.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PALISADE_CORPUS").map(PathBuf::from);
    assert!(folder.is_some() || std::env::var_os("CI").is_none(), "PALISADE_CORPUS names no corpus");
    if folder.is_none() {
        eprintln!("skipped: no corpus (PALISADE_CORPUS)");
    }
    folder
}

fn lines() -> Option<Vec<u8>> {
    let corpus = corpus()?;
    let script = root().join("testdata/corpus_lines.py");
    let mut command = python();
    let families = ["traffic", "threat", "globalprotect", "system", "config", "hipmatch", "userid", "decryption"];
    command.arg(script).arg("--raw").args(families).args(["correlation", "cloudtrail"]).env("PALISADE_CORPUS", corpus);
    Some(stdout(&mut command).into_bytes())
}

#[test]
fn real_lines_become_ocsf_that_validates() {
    let Some(lines) = lines() else { return };
    let count = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
    assert!(count > 3_000, "only {count} lines in the corpus");
    let decoded = with_input(palisade().args(["decode", "--format", "auto"]), &lines);
    assert!(decoded.status.success());
    let validated = with_input(python().arg(root().join("testdata/validate_ocsf.py")), &decoded.stdout);
    let text = String::from_utf8_lossy(&validated.stdout);
    assert!(validated.status.success(), "{text}\n{}", String::from_utf8_lossy(&validated.stderr));
    let summary: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).expect("a JSON summary");
    assert_eq!(summary["invalid"], 0);
    let classes = ["api_activity", "authentication", "base_event", "detection_finding", "network_activity"];
    for class in classes.into_iter().chain(["tunnel_activity"]) {
        assert!(summary["classes"][class].as_u64() > Some(0), "no {class}: {summary}");
    }
    let dead = String::from_utf8_lossy(&decoded.stderr).lines().filter(|l| l.starts_with("line ")).count();
    let documents = summary["documents"].as_u64().expect("a number") as usize;
    assert!(documents + dead >= count, "{documents} documents and {dead} dead letters of {count} lines");
    assert!(dead * 100 < count, "{dead} of {count} lines are dead letters");
}

#[test]
fn a_run_lands_the_same_lines_that_decode_prints() {
    let Some(lines) = lines() else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    std::fs::write(dir.path().join("corpus.log"), &lines).expect("a file");
    std::fs::write(&config, "warehouse: {path: w}\nsources: [{files: {paths: [corpus.log]}}]\n").expect("a file");
    let summary = run_to_end(&config);
    let decoded = output(
        palisade()
            .args(["decode", "--format", "auto"])
            .stdin(std::fs::File::open(dir.path().join("corpus.log")).expect("just written")),
    );
    let documents = decoded.stdout.iter().filter(|b| **b == b'\n').count() as u64;
    let dead = String::from_utf8_lossy(&decoded.stderr).lines().filter(|l| l.starts_with("line ")).count();
    let rows: u64 = summary["rows"].as_object().expect("rows a table").values().filter_map(Value::as_u64).sum();
    assert_eq!(rows, documents, "{summary}");
    assert_eq!(summary["dead_letters"], dead, "{summary}");
    let count = lines.iter().filter(|b| **b == b'\n').count();
    assert_eq!(summary["records_read"], count, "{summary}");
}
