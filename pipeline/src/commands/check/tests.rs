use std::path::PathBuf;

use super::*;

/// A folder with a configuration and other files.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    let config = dir.path().join("palisade.yaml");
    (dir, config)
}

const SMALLEST: &str =
    "warehouse: {path: w}\nsources: [{name: fw, tenant: acme, files: {paths: [x], partitions: 2}}]\n";

const RULE: &str = "title: Any deny
id: 6f0d7d2e-9d1b-4a52-8c0e-0d6f6a1b2c3d
version: 1
level: low
tags: [attack.t1046]
sql: |
  SELECT src_ip FROM network_activity WHERE action_id = 2
tests:
  - name: a deny alerts
    events: [{ set: { action_id: 2, src_endpoint.ip: 10.0.0.1 } }]
    alerts: [{ values: { src_ip: 10.0.0.1 } }]
";

#[test]
fn a_sound_configuration_says_what_would_run() {
    let yaml = format!("{SMALLEST}rules: {{builtin: false, paths: [any.yaml]}}\nenrich: {{country: builtin}}\n");
    let (_dir, config) = folder(&[("palisade.yaml", &yaml), ("any.yaml", RULE)]);
    let report = check(&config);
    assert_eq!(report.problems, Vec::<String>::new());
    let source = &report.sources[0];
    assert_eq!((source.name.as_str(), source.tenants[0].as_str(), source.partitions), ("fw", "acme", 2));
    let rule = &report.rules[0];
    assert_eq!((rule.name.as_str(), rule.level, rule.window.as_str()), ("any", "Low", "filter"));
    assert_eq!((rule.attack.as_slice(), rule.tests, rule.failed), (&["T1046".to_owned()][..], 1, 0));
    assert!(report.versions.contains_key("country") && report.versions.contains_key("rules"));
    let mut out = Vec::new();
    report.write_text(&mut out, false).expect("a buffer takes all");
    let text = String::from_utf8(out).expect("text");
    assert!(text.contains("any\tLow\tnetwork_activity\tfilter\ton_close\tT1046\t1\t1 passed\n"), "{text}");
    assert!(text.ends_with("palisade.yaml: no problems\n"), "{text}");
}

#[test]
fn everything_wrong_is_told_in_one_run() {
    let yaml = format!(
        "{SMALLEST}rules: {{builtin: false, paths: [any.yaml, other.yaml, gone.yaml]}}\n\
         enrich: {{country: gone.mmdb, intel: [gone.csv], internal_networks: [10.0.0.0/8, ten]}}\n"
    );
    let any = RULE.replace("action_id = 2", "actoin_id = 2");
    let other = RULE.replace("level: low", "level: lowest");
    let (_dir, config) = folder(&[("palisade.yaml", &yaml), ("any.yaml", &any), ("other.yaml", &other)]);
    let problems = check(&config).problems;
    for want in ["gone.mmdb", "gone.csv", "\"ten\"", "any.yaml:7:", "other.yaml:4:", "gone.yaml:1:1:"] {
        assert_eq!(problems.iter().filter(|p| p.contains(want)).count(), 1, "{want}: {problems:#?}");
    }
    assert_eq!(problems.len(), 6, "{problems:#?}");
}

#[test]
fn a_rule_whose_test_fails_is_a_problem() {
    let yaml = format!("{SMALLEST}rules: {{builtin: false, paths: [any.yaml]}}\n");
    let rule = RULE.replace("alerts: [{ values: { src_ip: 10.0.0.1 } }]", "alerts: []");
    let (_dir, config) = folder(&[("palisade.yaml", &yaml), ("any.yaml", &rule)]);
    let report = check(&config);
    assert_eq!(report.rules[0].failed, 1);
    assert!(report.problems[0].contains("any.yaml: test \"a deny alerts\": unexpected alert"), "{:?}", report.problems);
}

#[test]
fn too_many_files_a_day_are_refused_with_the_keys_to_turn() {
    let flush = "worker: {flush_interval: 10ms}\n";
    let (_dir, config) = folder(&[("palisade.yaml", &format!("{SMALLEST}{flush}"))]);
    let report = check(&config);
    let files = report.files_per_day.expect("reckoned");
    assert_eq!(files.flushes, 8_640_000);
    assert_eq!(files.total, files.partitions * files.tables * files.flushes + 2 * files.merge_steps);
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    for key in ["worker.flush_interval", "partitions", "warehouse.files_per_day_max"] {
        assert!(problem.contains(key), "{problem}");
    }
    let (_dir, config) = folder(&[("palisade.yaml", SMALLEST)]);
    assert_eq!(check(&config).problems, Vec::<String>::new());
}

#[test]
fn lengths_are_written_as_they_are_configured() {
    assert_eq!([length(30_000_000), length(60_000_000), length(150_000_000)], ["30s", "1m", "2m30s"]);
    assert_eq!(length(3_600_000_000), "1h");
}

#[test]
fn own_mappings_are_loaded_and_their_tests_run() {
    let mapping = "name: own\nproduct: {vendor: V, name: P}\nformat: kv\nmatch: {a: b}\nclass: base_event\ntime: received\n\
                   attributes: {message: c}\ntests:\n  - log: a=b c=hello\n    expect: {message: hello}\n";
    let yaml = format!("{SMALLEST}decode: {{mappings: ['*.mapping']}}\nrules: {{builtin: false}}\n");
    let (dir, config) = folder(&[("palisade.yaml", &yaml), ("a.mapping", mapping)]);
    let report = check(&config);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.mappings[0].name, report.mappings[0].tests), ("own", 1));
    assert!(report.versions["mappings"].starts_with("crc32:"));

    std::fs::write(dir.path().join("a.mapping"), mapping.replace("message: hello", "message: bye")).expect("written");
    let problems = check(&config).problems;
    assert!(problems.len() == 1 && problems[0].contains("a.mapping:10:"), "{problems:?}");

    let broken = mapping.replace("message: c", "massage: c").replace("base_event", "base_evnt");
    std::fs::write(dir.path().join("a.mapping"), broken).expect("written");
    let problems = check(&config).problems;
    assert!(problems[0].contains("decode.mappings: ") && problems[0].contains("did you mean"), "{problems:?}");
}
