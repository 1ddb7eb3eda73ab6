//! Dead letters and rows of no known kind, read back once a mapping knows them; killed on the way, the same tables.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::kit::{number, output, palisade, run_to_end, sql, stdout};

/// Lines of each kind: known, refused for their time, unknown.
const EACH: usize = 500;

/// Knows doors that close, and looks for the time of those that open in the wrong place.
const BEFORE: &str = "\
name: door_close
product: {vendor: Example, name: Door}
format: kv
match: {door: '*', did: close}
class: network_activity
time: [{from: at, unit: s}]
activity: {from: did, values: {close: Close}, else: Traffic}
attributes: {src_endpoint.ip: src}
---
name: door_open
product: {vendor: Example, name: Door}
format: kv
match: {door: '*', did: open}
class: network_activity
time: [{from: when, unit: s}]
activity: {from: did, values: {close: Close}, else: Traffic}
attributes: {src_endpoint.ip: src}
";

/// Knows every door.
const AFTER: &str = "\
name: door
product: {vendor: Example, name: Door}
format: kv
match: {door: '*', did: '*'}
class: network_activity
time: [{from: at, unit: s}]
activity: {from: did, values: {close: Close}, else: Traffic}
attributes: {src_endpoint.ip: src}
";

/// A warehouse that was filled while the mapping knew a third of the lines.
struct Filled {
    dir: tempfile::TempDir,
    config: PathBuf,
    warehouse: PathBuf,
}

impl Filled {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name);
        let mut lines = String::new();
        for i in 0..EACH {
            for did in ["close", "open", "ajar"] {
                let (at, src) = (1_795_168_798 + i, i % 250);
                lines += &format!("door=7 did={did} at={at} src=192.0.2.{src}\n");
            }
        }
        lines += "{\"door\": 7, \"did\":\n{\"door\": 7, \"hinge\": true}\n";
        std::fs::write(at("doors.log"), lines).expect("a file");
        std::fs::write(at("door.yaml"), BEFORE).expect("a file");
        let yaml = "warehouse: {path: w}\nsources: [{name: doors, tenant: acme, files: {paths: [doors.log], partitions: 1}}]\n\
                    decode: {mappings: [door.yaml]}\n\
                    worker: {flush_rows: 300, flush_interval: 100ms, commit_interval: 50ms}\n";
        std::fs::write(at("palisade.yaml"), yaml).expect("a file");
        let (config, warehouse) = (at("palisade.yaml"), at("w"));
        let summary = run_to_end(&config);
        assert_eq!(summary["rows"]["network_activity"], EACH, "{summary}");
        assert_eq!(summary["dead_letter_reasons"], json!({"invalid_time": EACH, "invalid_json": 1}), "{summary}");
        assert_eq!(summary["rows"]["base_event"], EACH + 1, "{summary}");
        std::fs::write(at("door.yaml"), AFTER).expect("a file");
        Self { dir, config, warehouse }
    }

    /// Puts the warehouse aside, or back to where it was: its tables know their folder.
    fn copy(&self, from: &str, to: &str) {
        let at = |name: &str| self.dir.path().join(name);
        let _ = std::fs::remove_dir_all(at(to));
        stdout(Command::new("cp").arg("-a").arg(at(from)).arg(at(to)));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = palisade();
        command.args(["tables", "reprocess", "--output", "json"]).args(args).arg("-c").arg(&self.config);
        command
    }

    fn reprocess(&self, args: &[&str]) -> Value {
        let text = stdout(&mut self.command(args));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// Every row of an event and every dead letter, with its table.
    fn rows(&self) -> Vec<Value> {
        let of = |table: &str, src: &str| {
            format!(
                "SELECT '{table}' AS t, _topic, _incarnation, _partition_id AS p, _offset AS o, _record AS r, {src} AS src FROM {table}"
            )
        };
        let all = [of("network_activity", "src_ip"), of("base_event", "src_ip"), of("dead_letter", "reason")];
        sql(&self.warehouse, &format!("SELECT * FROM ({}) ORDER BY 1, 2, 3, 4, 5, 6", all.join(" UNION ALL ")))
    }

    fn audit(&self) {
        let mut command = palisade();
        command.args(["tables", "audit", "--warehouse"]).arg(&self.warehouse).arg("-c").arg(&self.config);
        let Output { status, stdout, .. } = output(&mut command);
        let text = String::from_utf8_lossy(&stdout);
        assert_eq!(status.code(), Some(0), "{text}");
        for id in ["chains", "I1", "I2", "I3", "I4", "I6", "I8", "I9", "I10"] {
            assert!(text.lines().any(|l| l.starts_with(&format!("{id:<7} ok "))), "{id}: {text}");
        }
    }

    /// Each line that the mapping knows now is one row of network_activity, and the old rows are as they were.
    fn verify(&self) {
        let count = |sql: &str| number(&self.warehouse, sql);
        let lines = 3 * EACH as i64;
        assert_eq!(count("SELECT count(*) FROM network_activity"), lines);
        assert_eq!(count("SELECT count(DISTINCT _offset) FROM network_activity"), lines);
        assert_eq!(count("SELECT count(*) FROM network_activity WHERE _topic = 'reprocess~doors'"), 2 * EACH as i64);
        let own = "_topic = 'doors'";
        assert_eq!(count(&format!("SELECT count(*) FROM dead_letter WHERE {own}")), EACH as i64 + 1);
        assert_eq!(count(&format!("SELECT count(*) FROM base_event WHERE {own}")), EACH as i64 + 1);
        let again = "SELECT count(*) FROM dead_letter WHERE _topic = 'reprocess~doors' AND reason = 'invalid_json'";
        assert_eq!(count(again), 1);
        let joined = "SELECT count(*) FROM network_activity n JOIN dead_letter d ON n._offset = d._offset \
                      WHERE n._topic = 'reprocess~doors' AND split_part(n._incarnation, '~', 1) = d._incarnation";
        assert_eq!(count(joined), EACH as i64, "a row names the dead letter that it was");
        self.audit();
    }
}

fn kill_at(command: &mut Command, step: &str) -> Option<i32> {
    command.env("PALISADE_KILL_AT", step).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("the binary starts").signal()
}

#[test]
fn what_a_mapping_knows_now_is_read_back_once_wherever_it_is_killed() {
    let filled = Filled::new();
    filled.audit();
    filled.copy("w", "before");
    let plan = filled.reprocess(&["--dry-run"]);
    let found = json!({"dead_letter": EACH + 1, "base_event": EACH});
    assert_eq!((&plan["state"], &plan["found"]), (&json!("dry_run"), &found), "{plan}");
    assert_eq!(plan["not_reprocessable"], json!({"no raw_data": 1}), "{plan}");

    let done = filled.reprocess(&[]);
    assert_eq!(
        (&done["state"], &done["request"], &done["read"]),
        (&json!("done"), &json!(1), &json!(2 * EACH + 1)),
        "{done}"
    );
    assert_eq!(
        (&done["rows"], &done["dead_letters"]),
        (&json!({"network_activity": 2 * EACH}), &json!({"invalid_json": 1}))
    );
    filled.verify();
    let calm = filled.rows();

    let again = filled.reprocess(&[]);
    assert_eq!((&again["state"], &again["found"]), (&json!("nothing"), &json!({})), "{again}");
    assert_eq!(run_to_end(&filled.config)["records_read"], 0, "a worker goes on as if nothing had been");
    assert_eq!(filled.rows(), calm);
    filled.audit();

    for step in
        ["file_staged:1", "source_entry_before:2", "source_entry_after:1", "table_commit_before:1", "between_tables:12"]
    {
        filled.copy("before", "w");
        assert_eq!(kill_at(&mut filled.command(&[]), step), Some(9), "{step}");
        let done = filled.reprocess(&[]);
        // Killed after its last entry, a request has ended: the commits are redone at the start, and nothing is left to read.
        let ended = step != "file_staged:1" && done["state"] == "nothing" && done["read"] == 0;
        let went_on = done["state"] == "done" && done["read"] == 2 * EACH + 1;
        assert!(ended || went_on, "{step}: {done}");
        assert_eq!(filled.rows(), calm, "{step}");
        filled.verify();
    }
}

#[test]
fn a_selection_reads_what_it_names_and_the_latest_result_stands() {
    let filled = Filled::new();
    let first = filled.reprocess(&["--dead-letters", "--reason", "invalid_json"]);
    assert_eq!((&first["read"], &first["dead_letters"]), (&json!(1), &json!({"invalid_json": 1})), "{first}");
    let nothing = filled.reprocess(&["--dead-letters", "--reason", "invalid_json"]);
    assert_eq!(nothing["state"], "nothing", "these decoders have read it: {nothing}");
    let insisted = filled.reprocess(&["--dead-letters", "--reason", "invalid_json", "--again"]);
    assert_eq!((&insisted["request"], &insisted["read"]), (&json!(2), &json!(1)), "{insisted}");
    let rows = filled.reprocess(&["--table", "base_event", "--where", "raw_data LIKE '%src=192.0.2.9'"]);
    assert_eq!((&rows["read"], &rows["rows"]), (&json!(2), &json!({"network_activity": 2})), "{rows}");
    // The first lines: close, open, ajar, close, ... Those that were right are read back too; they were asked for.
    let range = filled.reprocess(&["--partition", "doors/0", "--offsets", "0..6"]);
    assert_eq!((&range["read"], &range["rows"]), (&json!(6), &json!({"network_activity": 6})), "{range}");
    let rest = filled.reprocess(&[]);
    let read = 2 * EACH - 2 - 4;
    assert_eq!((&rest["read"], &rest["rows"]), (&json!(read), &json!({"network_activity": read})), "{rest}");
    assert_eq!(filled.reprocess(&["--dry-run"])["found"], json!({}));
    filled.audit();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let filled = Filled::new();
    let refused = |args: &[&str], code: i32, want: &str| {
        let out = output(&mut filled.command(args));
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(code) && text.contains(want), "{args:?}: {} {text}", out.status);
    };
    refused(&["--dead-letters", "--reason", "bad_luck"], 2, "no such reason");
    refused(&["--table", "late_window"], 2, "no table of events");
    refused(&["--partition", "doors/0"], 2, "--offsets");
    refused(&["--partition", "doors", "--offsets", "0..5"], 1, "TOPIC/NUMBER");
    refused(&["--table", "base_event", "--where", "no_such_column = 1"], 1, "no_such_column");
    let empty = Path::new(filled.config.parent().expect("a folder")).join("empty.yaml");
    std::fs::write(&empty, "warehouse: {path: nothing}\nsources: [{files: {paths: [doors.log]}}]\n").expect("a file");
    let out = output(palisade().args(["tables", "reprocess", "-c"]).arg(&empty));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("no warehouse here yet"), "{text}");
}
