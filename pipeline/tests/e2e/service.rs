//! A worker as a service: health, metrics, and an end on SIGTERM that loses nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{number, on_thread, output, palisade};

/// The body of a GET, and the status line.
pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the worker listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: palisade\r\nConnection: close\r\n\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// A counter or gauge of a worker; 0 if it does not export the series. Labels that `series` leaves out at its end have any value.
pub(crate) fn counted(address: &str, series: &str) -> u64 {
    let text = get(address, "/metrics").1;
    let begin = series.trim_end_matches('}');
    let is_it = |line: &&str| line.strip_prefix(begin).is_some_and(|rest| rest.starts_with([' ', '{', '}', ',']));
    let value = text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    value.unwrap_or(0.0) as u64
}

/// Starts a worker and reads where it listens.
fn start(config: &std::path::Path) -> (Child, String) {
    let (child, address, lines) = start_and_hear(config);
    on_thread(move || lines.for_each(drop));
    (child, address)
}

/// Starts a worker, reads where it listens, and keeps what it says from there on. Whoever hears has to read on.
pub(crate) fn start_and_hear(config: &std::path::Path) -> (Child, String, impl Iterator<Item = String> + Send + use<>) {
    let mut command = palisade();
    command.args(["--log", "info", "run", "--output", "json", "-c"]).arg(config);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.find(|l| l.starts_with("metrics: http://")).expect("it says where");
    let address = line.trim_start_matches("metrics: http://").trim_end_matches("/metrics").to_owned();
    lines.find(|l| l.contains("the worker is ready")).expect("it says when");
    (child, address, lines)
}

#[test]
fn log_lines_are_objects_if_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    let yaml = "warehouse: {path: w}\nsources: [{generator: {seed: 4, events: 20000, duration: 1s}}]\n\
                telemetry: {listen: '127.0.0.1:0'}\n";
    std::fs::write(&config, yaml).expect("a file");
    let run = |config: &std::path::Path| {
        let mut run = palisade();
        run.args(["--log", "info", "--log-format", "json", "run", "--until-end", "-c"]).arg(config);
        let text = String::from_utf8(output(&mut run).stderr).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    };
    let lines: Vec<serde_json::Value> = run(&config);
    let ready = lines.iter().find(|line| line["message"] == "the worker is ready").expect("it says so");
    assert_eq!((ready["level"].as_str(), ready["target"].as_str()), (Some("INFO"), Some("palisade::topology")));
    assert!(ready["partitions"].as_u64() > Some(0), "{ready}");
    let lines: Vec<serde_json::Value> = run(&dir.path().join("none.yaml"));
    let [end] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(end["level"] == "ERROR" && end["error"].as_str().is_some_and(|e| e.contains("none.yaml")), "{end}");
}

/// `palisade top` tells of the worker and of one that is not there, until it is interrupted.
fn watch(address: &str) {
    let mut top = palisade().args(["top", address, "127.0.0.1:1"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(top.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.next().expect("a line");
    let events = line.split(" events").next().and_then(|n| n.replace(',', "").parse::<u64>().ok());
    assert!(events > Some(0) && line.contains(" events/s, ") && line.contains("queryable p99"), "{line}");
    kill_process(Pid::from_child(&top), Signal::INT).expect("our child");
    assert!(top.wait().expect("our child").success());
    let out = output(palisade().args(["top", "127.0.0.1:1"]));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("127.0.0.1:1: Connection refused"), "{said}");
    assert!(said.contains("telemetry.listen"), "{said}");
}

#[test]
fn a_worker_serves_health_and_metrics_and_ends_well_on_sigterm() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    let yaml = "warehouse: {path: w}\nsources: [{generator: {seed: 4, events: 1000000, duration: 10m}}]\n\
                worker: {flush_interval: 100ms, commit_interval: 200ms}\ntelemetry: {listen: '127.0.0.1:0'}\n";
    std::fs::write(&config, yaml).expect("a file");
    let (mut child, address) = start(&config);
    assert!(get(&address, "/health/live").0.contains("200"));
    assert!(get(&address, "/health/ready").0.contains("200"));
    let exported = get(&address, "/metrics").1;
    for name in ["palisade_build_info", "palisade_records_in_flight", "process_resident_memory_bytes"] {
        assert!(exported.contains(name), "{name} is not exported");
    }
    watch(&address);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("our child");
    let mut summary = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut summary).expect("UTF-8");
    assert!(child.wait().expect("our child").success());
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("a JSON summary");
    let rows = summary["rows"].as_object().expect("rows a table").values().filter_map(|v| v.as_u64()).sum::<u64>();
    let dead = summary["dead_letters"].as_u64().expect("a number");
    let received = summary["events_received"].as_u64().expect("a number");
    assert_eq!(rows + dead, received, "what was received was committed before the end: {summary}");
    let stored = number(&dir.path().join("w"), "SELECT count(*) AS n FROM network_activity");
    assert_eq!(summary["rows"]["network_activity"], stored);
}
