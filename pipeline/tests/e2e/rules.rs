//! Rules that cannot work are refused with their place; the configuration's own rules run beside the built-in ones.

use crate::kit::{output, palisade, run_to_end, sql};

const RULE: &str = "title: Any deny
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3d
version: 1
level: low
description: A connection that the firewall denied.
sql: |
  SELECT src_ip, dst_ip
  FROM network_activity
  WHERE action_id = 2
";

#[test]
fn a_rule_with_an_unknown_column_is_refused_with_its_place() {
    for (from, to, want) in [
        ("action_id", "actoin_id", ["any.yaml:9:", "action_id"]),
        ("network_activity", "network_activty", ["any.yaml:8:", "network_activity"]),
        ("level: low", "levle: low", ["any.yaml:4:", "level"]),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = dir.path().join("palisade.yaml");
        std::fs::write(dir.path().join("a.log"), "x\n").expect("a file");
        std::fs::write(dir.path().join("any.yaml"), RULE.replace(from, to)).expect("a file");
        let yaml = "warehouse: {path: w}\nsources: [{files: {paths: [a.log]}}]\nrules: {paths: [any.yaml]}\n";
        std::fs::write(&config, yaml).expect("a file");
        let out = output(palisade().args(["run", "--until-end", "-c"]).arg(&config));
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(want.iter().all(|w| text.contains(w)), "{text}");
    }
}

#[test]
fn a_users_own_rule_alerts_with_its_evidence() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("palisade.yaml");
    let line = |action: &str, port: u16| {
        format!(
            "1,2026/01/05 08:00:00,007,TRAFFIC,drop,2561,2026/01/05 08:00:00,10.0.0.1,198.18.0.1,0.0.0.0,0.0.0.0,r,,,ssl,vsys1,trust,\
             untrust,e1,e2,fwd,,1,1,{port},443,0,0,0x0,tcp,{action},10,5,5,2,2026/01/05 08:00:00,1,any,,1,0x0,,,,1,1\n"
        )
    };
    std::fs::write(dir.path().join("a.log"), [line("allow", 1), line("deny", 2), line("deny", 3)].concat())
        .expect("a file");
    std::fs::write(dir.path().join("any.yaml"), RULE).expect("a file");
    let yaml = "warehouse: {path: w}\nsources: [{name: fw, files: {paths: [a.log]}}]\nrules: {builtin: false, paths: [any.yaml]}\n";
    std::fs::write(&config, yaml).expect("a file");
    assert_eq!(run_to_end(&config)["alerts"], 2);
    let query = "SELECT f.finding_info.title AS title, f.src_ip, n.src_port, f.severity FROM detection_finding f \
                 JOIN network_activity n ON f._offset = n._offset ORDER BY n.src_port";
    let rows = sql(&dir.path().join("w"), query);
    for (row, port) in rows.iter().zip([2, 3]) {
        assert_eq!(
            (&row["title"], &row["src_ip"], &row["src_port"]),
            (&"Any deny".into(), &"10.0.0.1".into(), &port.into())
        );
        assert_eq!(row["severity"], "Low");
    }
    assert_eq!(rows.len(), 2);
}
