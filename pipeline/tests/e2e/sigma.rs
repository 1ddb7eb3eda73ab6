//! Sigma rules: `palisade rules check` and `run`, a worker with one, and the hits on real CloudTrail beside another engine's.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::corpus::corpus;
use crate::house::root;
use crate::kit::{output, palisade, python, run_to_end, sql, stdout, with_input};
use crate::rsigma::rsigma;

const RULE: &str = "title: Logging of an account is stopped
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3e
level: high
description: Whoever stops the trail wants to go unseen.
tags: [attack.defense-impairment, attack.t1562.008]
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    eventSource: cloudtrail.amazonaws.com
    eventName|startswith: Stop
  filter_main_robot:
    userIdentity.arn|endswith: ':user/robot'
  condition: selection and not 1 of filter_main_*
";

fn stopped(user: &str, id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/{user}","userName":"{user}"}},"eventTime":"2026-11-20T10:00:00Z","eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.10","userAgent":"aws-cli","requestParameters":{{"name":"trail"}},"responseElements":null,"requestID":"r-{id}","eventID":"e-{id}","eventType":"AwsApiCall","recipientAccountId":"111122223333"}}"#
    )
}

#[test]
fn rules_are_checked_and_run_over_a_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rules = dir.path().join("rules");
    std::fs::create_dir_all(rules.join("cloud")).expect("a folder");
    std::fs::write(rules.join("cloud/stopped.yml"), RULE).expect("a file");
    std::fs::write(rules.join("wrong.yml"), RULE.replace("startswith", "startwith").replace("2c3e", "2c3f"))
        .expect("a file");
    let check = output(palisade().args(["rules", "check"]).arg(&rules));
    let text = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "{text}");
    assert!(text.contains("stopped\tHigh\tauthentication api_activity detection_finding\tfilter"), "{text}");
    assert!(text.contains("wrong.yml:10:5: no modifier startwith; did you mean startswith?"), "{text}");
    assert!(text.ends_with("1 rule can run, 1 problem\n"), "{text}");

    let events =
        [stopped("ann", "1"), stopped("robot", "2"), r#"{"eventVersion":"#.to_owned(), stopped("bob", "3")].join("\n");
    let mut command = palisade();
    let run = with_input(command.args(["rules", "run", "--events", "-", "--rules"]).arg(&rules), events.as_bytes());
    let hit = |line: u8| {
        format!(
            r#"{{"rule_id":"6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3e","line":{line},"time":"2026-11-20T10:00:00.000000Z"}}"#
        )
    };
    assert_eq!(String::from_utf8_lossy(&run.stdout), format!("{}\n{}\n", hit(0), hit(3)));
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(told.contains("refused: ") && told.contains("1 of 4 lines could not be decoded"), "{told}");
    let mut command = palisade();
    let strict = command.args(["rules", "run", "--strict", "--events", "-", "--rules"]).arg(&rules);
    assert_eq!(with_input(strict, events.as_bytes()).status.code(), Some(1));
}

#[test]
fn a_sigma_rule_alerts_in_a_worker_as_any_filter_rule() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    let lines = [stopped("ann", "1"), stopped("robot", "2"), stopped("bob", "3")].join("\n");
    std::fs::write(at("a.log"), lines).expect("a file");
    std::fs::write(at("stopped.yml"), RULE).expect("a file");
    let yaml = "warehouse: {path: w}\nsources: [{name: aws, files: {paths: [a.log]}}]\nrules: {builtin: false, paths: [stopped.yml]}\n";
    std::fs::write(at("palisade.yaml"), yaml).expect("a file");
    assert_eq!(run_to_end(&at("palisade.yaml"))["alerts"], 2);
    let query = "SELECT finding_info.title AS title, severity, user_name, src_ip, finding_info.attacks[1]['technique']['uid'] AS technique \
                 FROM detection_finding ORDER BY user_name";
    let rows = sql(&at("w"), query);
    let users: Vec<&Value> = rows.iter().map(|row| &row["user_name"]).collect();
    assert_eq!(users, ["ann", "bob"]);
    let first = &rows[0];
    assert_eq!((&first["title"], &first["severity"]), (&"Logging of an account is stopped".into(), &"High".into()));
    assert_eq!((&first["src_ip"], &first["technique"]), (&"192.0.2.10".into(), &"T1562.008".into()));
    let audit =
        stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(at("w")).arg("-c").arg(at("palisade.yaml")));
    assert!(audit.contains("1 Sigma rules are no SQL"), "{audit}");
}

/// Neither side knows a record without a time (a dead letter here), or with names that lost their case (no fields there).
fn is_compared(record: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let time = record["eventTime"].as_str().unwrap_or_default();
    time.starts_with(|c: char| c.is_ascii_digit()) && record["eventName"].is_string()
}

/// The raw records of a file of the corpus; of a collection, those of one family.
fn records(file: &Path, family: Option<&str>) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(file).expect("a file")).read_to_string(&mut text).expect("gzip of UTF-8");
    let Some(family) = family else { return text };
    let raw = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        (record["family"] == family)
            .then(|| format!("{}\n", record["raw"].as_str().unwrap_or_default().replace('\n', " ")))
    };
    text.lines().filter_map(raw).filter(|record| is_compared(record)).collect()
}

fn hits(text: &str) -> BTreeSet<(String, i64)> {
    let hit = |line: &str| {
        let hit: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        (hit["rule_id"].as_str().unwrap_or_default().to_owned(), hit["line"].as_i64().unwrap_or(-1))
    };
    text.lines().map(hit).collect()
}

#[test]
fn real_rules_load() {
    let Some(corpus) = corpus() else { return };
    let text = stdout(palisade().args(["rules", "check", "--output", "json"]).arg(corpus.join("sigma/rules")));
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    assert_eq!(report["rules"].as_array().map(Vec::len), Some(87));
}

/// What rsigma does not find: an object has no text there, so that no `requestParameters|contains` is met; and an empty text is not
/// `null`, while decoders drop it.
fn is_ours_alone(rule: &str, record: &Value) -> bool {
    match rule {
        "a136ac98-b2bc-4189-a14d-f0d0388e57a7" => record["requestParameters"].is_object(),
        "39c9f26d-6e3b-4dbb-9c7a-4154b0281112" => record["errorCode"] == "",
        _ => false,
    }
}

#[test]
fn hits_on_real_cloudtrail_equal_those_of_pysigma_and_rsigma_over_the_raw_records() {
    let Some(corpus) = corpus() else { return };
    let rules = corpus.join("sigma/rules");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let files = [("cloudtrail-stratus", None), ("cloudtrail-invictus", None), ("panther", Some("AWS.CloudTrail"))];
    let mut alone = Vec::new();
    for (name, family) in files {
        let file = dir.path().join(format!("{name}.ndjson"));
        let text = records(&corpus.join(format!("logs/{name}.ndjson.gz")), family);
        std::fs::write(&file, &text).expect("a file");
        let ours = hits(&stdout(palisade().args(["rules", "run", "--rules"]).arg(&rules).arg("--events").arg(&file)));
        assert!(ours.len() > 50, "{name}: only {} hits", ours.len());
        let script = root().join("pipeline/tests/e2e/hits_with_pysigma.py");
        // SQL knows no log sources: the rules of CloudTrail.
        assert_same(name, &ours, &hits(&stdout(python().arg(script).arg(rules.join("cloud")).arg(&file))));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
        let is_alone = |(rule, line): &&(String, i64)| is_ours_alone(rule, &lines[usize::try_from(*line).unwrap_or(0)]);
        alone.extend(ours.iter().filter(is_alone).map(|(rule, _)| rule.clone()));
        let ours = ours.iter().filter(|hit| !is_alone(hit)).cloned().collect();
        assert_same(name, &ours, &hits(&stdout(rsigma("aws/cloudtrail").arg(&rules).arg(&file))));
    }
    alone.sort();
    let want = [("39c9f26d-6e3b-4dbb-9c7a-4154b0281112", 1), ("a136ac98-b2bc-4189-a14d-f0d0388e57a7", 4)];
    let counted = want.map(|(rule, _)| (rule, alone.iter().filter(|own| *own == rule).count()));
    assert_eq!((counted, alone.len()), (want, 5), "what rsigma does not find");
}

fn assert_same(name: &str, ours: &BTreeSet<(String, i64)>, theirs: &BTreeSet<(String, i64)>) {
    let only_ours: Vec<_> = ours.difference(theirs).collect();
    let only_theirs: Vec<_> = theirs.difference(ours).collect();
    assert!(only_ours.is_empty() && only_theirs.is_empty(), "{name}: ours {only_ours:?}, theirs {only_theirs:?}");
}
