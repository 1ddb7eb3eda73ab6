//! The console in a real browser: every view shows what the worker does, for everybody, and nobody sees more than they may.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::delivery::Hook;
use crate::house::root;
use crate::kafka::wait_until;
use crate::kit::{on_thread, python, sized, stdout};
use crate::service::{counted, get, start_and_hear};

const TOKEN: &str = "open sesame";

/// Events a second, for as long as the test needs.
fn yaml(listen: &str, seconds: u64, hook: std::net::SocketAddr) -> String {
    // In half an hour of commits a second a table would have as many files as in a day.
    let (flush, commit) = if seconds > 300 { ("5s", "15s") } else { ("500ms", "1s") };
    format!(
        "warehouse: {{path: w, region: eu}}\nsources:\n  - generator: {{seed: 4, events: {}, duration: {seconds}s}}\n  \
         - {{name: broken, files: {{paths: [broken.log]}}}}\n\
         alerts: [{{name: soc, webhook: {{url: 'http://{hook}/'}}}}]\n\
         worker: {{flush_interval: {flush}, commit_interval: {commit}, step_interval: 500ms}}\n\
         telemetry: {{listen: '{listen}', console: {{token: '{TOKEN}'}}}}\n",
        seconds * 1_000
    )
}

fn config(dir: &Path, yaml: &str) -> std::path::PathBuf {
    std::fs::write(dir.join("broken.log"), b"{\"cut\": \n\xff\xfe\n").expect("a writable folder");
    let path = dir.join("palisade.yaml");
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

/// The status of a request, and its body.
fn ask(address: &str, method: &str, path: &str, host: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the worker listens");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer in UTF-8");
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, text.split_once("\r\n\r\n").expect("a head and a body").1.to_owned())
}

#[test]
fn every_view_shows_the_worker_to_everybody_and_does_not_grow() {
    let seconds = sized("PALISADE_CONSOLE_SECONDS", 15);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (_hook, hook_at) = Hook::start();
    let config = config(dir.path(), &yaml("127.0.0.1:0", seconds + 120, hook_at));
    let (mut worker, address, lines) = start_and_hear(&config);
    on_thread(move || lines.for_each(drop));
    wait_until("alerts and dead letters are queryable", &mut [], || {
        let committed = |table| counted(&address, &format!("palisade_events_committed_total{{table=\"{table}\"}}"));
        committed("detection_finding") > 3 && committed("dead_letter") > 0
    });
    let mut look = python();
    look.arg(root().join("pipeline/tests/e2e/look_at_console.py")).arg("/usr/bin/chromium");
    look.arg(format!("http://{address}/console/")).arg(TOKEN).arg(seconds.to_string());
    look.args(std::env::var_os("PALISADE_CONSOLE_PICTURES"));
    let told = stdout(&mut look);
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{told}: {e}"));
    println!("first paint {} ms; before {}, after {}", told["first_paint_ms"], told["before"], told["after"]);
    kill_process(Pid::from_child(&worker), Signal::TERM).expect("our child");
    assert!(worker.wait().expect("our child").success());

    for nothing in ["violations", "said"] {
        assert_eq!(told[nothing], serde_json::json!([]), "{nothing}");
    }
    let rows = told["rows"].as_object().expect("rows by view");
    assert!(rows.len() == 7 && rows.values().all(|n| n.as_u64() > Some(0)), "{rows:?}");
    assert_eq!((&told["first_focus"], &told["second_focus"]), (&"Skip to content".into(), &"Evidence".into()));
    let evidence: Value = serde_json::from_str(told["evidence"].as_str().expect("text")).expect("JSON");
    assert!(evidence["evidences"].as_array().is_some_and(|all| !all.is_empty()), "{evidence}");
    let says = |what: &str, text: &str| {
        assert!(told[what].as_str().is_some_and(|t| t.contains(text)), "{what}: {}", told[what])
    };
    says("locked", "SQL needs the token");
    says("wrong", "not the token");
    says("unlocked", "Unlocked");
    says("query", "1 rows in");
    assert_eq!(told["cells"][1], "<img src=x onerror=alert(1)>", "text is text");
    says("change", "not supported");
    says("misspelt", "did you mean src_ip?");
    assert!(told["snapshots"].as_u64() > Some(0));
    says("state", "live");
    assert!(told["received"][1].as_u64() > told["received"][0].as_u64(), "{}", told["received"]);
    let grown =
        |what: &str| told["after"][what].as_f64().expect("a number") / told["before"][what].as_f64().expect("a number");
    assert!(grown("nodes") < 1.1 && grown("heap") < 1.5, "{} {}", told["before"], told["after"]);
}

#[test]
fn nobody_sees_more_than_they_may() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (_hook, hook_at) = Hook::start();
    let config = config(dir.path(), &yaml("0.0.0.0:0", 60, hook_at));
    let (mut worker, address, lines) = start_and_hear(&config);
    on_thread(move || lines.for_each(drop));
    let address = address.replace("0.0.0.0", "127.0.0.1");
    // Others can reach it: figures and the page itself, and nothing of events without the token.
    for path in ["rules", "tables", "tables/network_activity", "dead-letters", "alerts/x"] {
        assert_eq!(ask(&address, "GET", &format!("/console/api/{path}"), "127.0.0.1", "").0, 401, "{path}");
    }
    assert_eq!(ask(&address, "POST", "/console/api/sql", "127.0.0.1", "SELECT 1").0, 401);
    assert_eq!(ask(&address, "POST", "/console/api/session", "127.0.0.1", "close sesame").0, 403);
    assert_eq!(ask(&address, "POST", "/console/api/session", "127.0.0.1", TOKEN).0, 204);
    assert!(get(&address, "/console/").1.contains("<title>Palisade</title>"));
    assert!(get(&address, "/status").0.contains("200"));
    kill_process(Pid::from_child(&worker), Signal::TERM).expect("our child");
    assert!(worker.wait().expect("our child").success());
}
