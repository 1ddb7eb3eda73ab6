//! `palisade tap`: rows of a running worker at every stage, for those who may see them.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::kafka::wait_until;
use crate::kit::{on_thread, output, palisade};
use crate::service::start_and_hear;

const TOKEN: &str = "open sesame";

/// A worker whose fleet sends for longer than the test takes, and which follows a file.
fn worker(dir: &Path, telemetry: &str) -> (Child, String) {
    std::fs::write(dir.join("broken.log"), "").expect("a writable folder");
    let yaml = format!(
        "warehouse: {{path: w}}\nsources:\n  - generator: {{seed: 4, events: 600000, duration: 600s}}\n  \
         - {{name: broken, files: {{paths: [broken.log]}}}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 1s, step_interval: 200ms}}\ntelemetry: {telemetry}\n"
    );
    let config = dir.join("palisade.yaml");
    std::fs::write(&config, yaml).expect("a writable folder");
    let (worker, address, lines) = start_and_hear(&config);
    on_thread(move || lines.for_each(drop));
    (worker, address.replace("0.0.0.0", "127.0.0.1"))
}

fn stop(mut worker: Child) {
    kill_process(Pid::from_child(&worker), Signal::TERM).expect("our child");
    assert!(worker.wait().expect("our child").success());
}

/// The rows that the command shows until it ends.
fn rows(address: &str, args: &[&str]) -> Vec<Value> {
    let told = output(palisade().args(["tap", address, "--output", "json"]).args(args));
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn refused(address: &str, args: &[&str]) -> String {
    let told = output(palisade().args(["tap", address]).args(args));
    assert!(!told.status.success());
    String::from_utf8(told.stderr).expect("UTF-8")
}

#[test]
fn rows_are_seen_at_every_stage_as_they_pass() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (worker, address) = worker(dir.path(), "{listen: '127.0.0.1:0'}");
    let received = rows(&address, &["--stage", "received", "--limit", "3", "--field", "raw"]);
    assert!(received.len() == 3 && received.iter().all(|told| told["table"] == "received"), "{received:?}");
    assert!(received.iter().all(|told| told["row"]["raw"].as_str().is_some_and(|raw| !raw.is_empty())), "{received:?}");

    let to_web = ["--table", "network_activity", "--where", "dst_port = 443", "--limit", "20", "--rate", "5"];
    let events = rows(&address, &to_web);
    assert_eq!(events.len(), 20);
    for told in &events {
        assert_eq!((&told["table"], &told["row"]["dst_endpoint"]["port"]), (&"network_activity".into(), &443.into()));
    }
    let masked = rows(&address, &["--table", "network_activity", "--redact", "src_endpoint", "--limit", "5"]);
    let ips: Vec<_> =
        masked.iter().flat_map(|told| [&told["row"]["src_endpoint"]["ip"], &told["row"]["src_ip"]]).collect();
    assert!(ips.len() == 10 && ips.iter().all(|ip| *ip == "***"), "{masked:?}");
    let alerts = rows(&address, &["--stage", "alerts", "--limit", "1", "--field", "finding_info.title"]);
    assert!(alerts[0]["row"]["finding_info.title"].is_string(), "{alerts:?}");

    // Lines that cannot be decoded are written until one of them is seen.
    let mut letters = palisade();
    letters.args(["tap", &address, "--stage", "dead-letters", "--limit", "1", "--field", "reason", "--field", "raw"]);
    let mut letters = letters.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut file = std::fs::File::options().append(true).open(dir.path().join("broken.log")).expect("it is there");
    wait_until("a dead letter is seen", &mut [], || {
        writeln!(file, "{{\"cut\": ").expect("a writable folder");
        letters.try_wait().expect("our child").is_some()
    });
    let told = letters.wait_with_output().expect("our child");
    assert_eq!(String::from_utf8_lossy(&told.stdout), "dead_letter reason=invalid_json raw=\"{\\\"cut\\\": \"\n");

    let wrong = refused(&address, &["--where", "no_such = 1"]);
    assert!(wrong.contains("where: `no_such = 1`"), "{wrong}");
    let nobody = refused("127.0.0.1:1", &[]);
    assert!(nobody.contains("127.0.0.1:1 does not answer; name where a worker listens"), "{nobody}");
    stop(worker);
}

#[test]
fn rows_are_for_who_has_the_token_and_what_is_redacted_for_nobody() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let telemetry = format!("{{listen: '0.0.0.0:0', console: {{token: '{TOKEN}', redact: [src_endpoint]}}}}");
    let (worker, address) = worker(dir.path(), &telemetry);
    for token in [&[][..], &["--token", "close sesame"]] {
        let told = refused(&address, token);
        assert!(told.contains("shown on a loopback address, or with telemetry.console.token"), "{told}");
    }
    let seen = rows(&address, &["--token", TOKEN, "--table", "network_activity", "--limit", "5"]);
    assert!(seen.iter().all(|told| told["row"]["src_endpoint"]["ip"] == "***"), "{seen:?}");
    let told = refused(&address, &["--token", TOKEN, "--stage", "received"]);
    assert!(told.contains("may hold what is redacted"), "{told}");
    stop(worker);
}
