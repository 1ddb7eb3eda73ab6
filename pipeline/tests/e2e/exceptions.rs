//! What exceptions and suppression keep back stays back over a restart, is counted, and is found again by the audit.

use std::path::Path;

use serde_json::Value;

use crate::kit::{output, palisade, run_to_end, sql, stdout};

const SWEEP: &str = "title: Many denied
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3e
version: 1
level: low
sql: |
  SELECT window_start, src_ip, count(*) AS denied
  FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)
  WHERE action_id = 2 GROUP BY window_start, window_end, src_ip HAVING count(*) > 5
suppress: {for: 1h}
tests:
  - name: once
    events: [{ count: 6, every: 1s, set: { src_ip: 10.0.0.1, action_id: 2 } }]
    alerts: [{ window_start: -4m, values: { denied: 6 } }]
    suppressed: 4
    excepted: 0
";
const ANY: &str = "title: Any denied
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3d
version: 1
level: low
sql: SELECT src_ip, src_port FROM network_activity WHERE action_id = 2
";
const EXCEPTIONS: &str = "- {rule: sweep, where: src_ip = '10.0.0.9', owner: ann, reason: our scanner, expires: 2027-01-31}
- {rule: any, where: src_endpoint.ip = '10.0.0.9' AND dst_port = 443, owner: ann, reason: our scanner, expires: 2027-01-31}
- {rule: any, where: src_port = 1, owner: bob, reason: it was once, expires: 2025-12-31}
- {rule: often, suppress: 1h, owner: ann, reason: once is enough, expires: 2026-01-05}
";

/// The sweep as a rule that nobody may edit.
fn often() -> String {
    let rule = SWEEP.split("suppress:").next().expect("a rule before its suppression");
    rule.replace("Many denied", "Often denied").replace("2c3e", "2c3f")
}

/// A minute's denied connections, ten of each of two sources.
pub(crate) fn minute(hour: u32, minute: u32) -> String {
    let line = |ip: &str, second: u32| {
        let time = format!("2026/01/05 {hour:02}:{minute:02}:{second:02}");
        format!(
            "1,{time},007,TRAFFIC,drop,2561,{time},{ip},198.51.100.1,0.0.0.0,0.0.0.0,r,,,ssl,vsys1,trust,untrust,e1,e2,fwd,,1,1,\
             {second},443,0,0,0x0,tcp,deny,10,5,5,2,{time},1,any,,1,0x0,,,,1,1\n"
        )
    };
    (0..10).flat_map(|second| ["10.0.0.1", "10.0.0.9"].map(|ip| line(ip, second))).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a writable folder");
}

#[test]
fn what_is_kept_back_is_counted_and_the_audit_finds_the_same() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let yaml = "warehouse: {path: w}\nsources: [{name: fw, files: {paths: ['*.log']}}]\n\
                rules: {builtin: false, paths: [sweep.yaml, any.yaml, often.yaml], exceptions: [e.yaml]}\n";
    for (name, text) in [("sweep.yaml", SWEEP), ("any.yaml", ANY), ("e.yaml", EXCEPTIONS), ("p.yaml", yaml)] {
        write(dir.path(), name, text);
    }
    write(dir.path(), "often.yaml", &often());
    // A restart between them; the hour of the first alert is over at last.
    for (name, hour, from) in [("a.log", 8, 0), ("b.log", 8, 30), ("c.log", 9, 30)] {
        write(dir.path(), name, &[minute(hour, from), minute(hour, from + 1)].concat());
        run_to_end(&at("p.yaml"));
    }
    let of = |title: &str| {
        let query = format!(
            "SELECT src_ip, start_time FROM detection_finding WHERE finding_info.title = '{title}' ORDER BY start_time"
        );
        let rows = sql(&at("w"), &query);
        rows.iter().map(|row| (row["src_ip"].to_string(), row["start_time"].clone())).collect::<Vec<(String, Value)>>()
    };
    let swept: Vec<String> = of("Many denied").into_iter().map(|(ip, time)| format!("{ip} {time}")).collect();
    assert_eq!(swept, ["\"10.0.0.1\" \"2026-01-05T07:56:00Z\"", "\"10.0.0.1\" \"2026-01-05T09:26:00Z\""]);
    let often = of("Often denied");
    let each = ["\"10.0.0.1\"", "\"10.0.0.9\""].map(|ip| often.iter().filter(|(of, _)| of == ip).count());
    assert_eq!(each, [2, 2], "an entry suppresses: {often:?}");
    assert_eq!(of("Any denied").iter().filter(|(ip, _)| ip == "\"10.0.0.1\"").count(), 60);
    assert_eq!(of("Any denied").len(), 60);

    let audit = stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(at("w")).arg("-c").arg(at("p.yaml")));
    let i4 = audit.lines().find(|line| line.starts_with("I4")).expect("a line");
    assert!(i4.contains("ok") && i4.contains("taken away by exceptions") && i4.contains("suppressed"), "{i4}");

    let mut command = palisade();
    command.args(["rules", "backtest", "--rules"]).args(["sweep.yaml", "any.yaml", "often.yaml"].map(at));
    let report = stdout(command.arg("--exceptions").arg(at("e.yaml")).arg("--warehouse").arg(at("w")));
    for held in [
        "held: any: 60 alerts, by the exception at ",
        "e.yaml:2",
        "held: sweep: ",
        "alerts, by suppression",
        "expired: any: 6 alerts",
    ] {
        assert!(report.contains(held), "{held}\n{report}");
    }
}

#[test]
fn commands_on_rules_know_exceptions_and_refuse_wrong_ones() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in [("sweep.yaml", SWEEP), ("any.yaml", ANY), ("e.yaml", EXCEPTIONS)] {
        write(dir.path(), name, text);
    }
    write(dir.path(), "often.yaml", &often());
    let rules = |words: &[&str]| {
        let out = output(palisade().current_dir(dir.path()).arg("rules").args(words));
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let (code, told, _) = rules(&["test", "sweep.yaml"]);
    assert!(code == Some(0) && told.contains("1 passed, 0 failed"), "{told}");
    let (code, told, _) = rules(&["explain", "sweep.yaml", "any.yaml", "often.yaml", "--exceptions", "e.yaml"]);
    for want in [
        "suppress 1h; until 2026-01-05, ann: once is enough (e.yaml:4)",
        "begin less than 1h after",
        "src_ip = '10.0.0.9'; until 2027-01-31, ann: our scanner (e.yaml:1)",
    ] {
        assert!(code == Some(0) && told.contains(want), "{told}");
    }
    let (_, _, told) = rules(&["check", "sweep.yaml", "any.yaml", "often.yaml", "--exceptions", "e.yaml"]);
    assert!(told.contains("e.yaml:3: the exception of bob for any expired after 2025-12-31"), "{told}");
    write(dir.path(), "e.yaml", &EXCEPTIONS.replace("rule: sweep, where: src_ip", "rule: sweep, where: src_pi"));
    let (code, told, _) = rules(&["check", "sweep.yaml", "any.yaml", "often.yaml", "--exceptions", "e.yaml"]);
    assert!(
        code == Some(1)
            && told.contains("problem: e.yaml:1:24: the rule selects no column src_pi; did you mean src_ip?"),
        "{told}"
    );
}
