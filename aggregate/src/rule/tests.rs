use std::fs;

use super::*;
use crate::rule::scenario::TestOutcome;
use crate::run_tests;

const RULE: &str = "title: Denied
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 2
level: low
sql: |
  SELECT time, src_ip
  FROM network_activity
  WHERE action = 'Denied'
";

fn shipped() -> Arc<RuleSet> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    RuleSet::load(&[folder]).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(text: &str) -> String {
    RuleSet::from_texts(&[("r.yaml", text)]).expect_err(text).to_string()
}

#[test]
fn the_shipped_rules_pass_their_tests() {
    let rules = shipped();
    assert!(rules.rules().len() >= 3);
    let outcomes = run_tests(&rules);
    let failed: Vec<&TestOutcome> = outcomes.iter().filter(|o| !o.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for rule in rules.rules() {
        let own: Vec<&str> = outcomes.iter().filter(|o| o.uid == rule.uid()).map(|o| o.test.as_str()).collect();
        assert!(own.iter().any(|t| t.starts_with("fires")), "{} has no test in which it fires", rule.title());
        assert!(own.iter().any(|t| t.contains("quiet")), "{} has no test in which it is quiet", rule.title());
    }
}

#[test]
fn mistakes_are_refused_with_file_line_and_column() {
    let line = |from: &str, to: &str| RULE.replace(from, to);
    let cases = [
        (
            line("level: low", "level: lo"),
            "r.yaml:4:8: unknown value lo; one of informational, low, medium, high, critical",
        ),
        (line("level: low", "level: low\nlevle: x"), "r.yaml:5:1: unknown key levle; did you mean level?"),
        (line("title: Denied\n", ""), "r.yaml:1:1: key title is missing"),
        (line("version: 2", "version: two"), "r.yaml:3:10: "),
        (line("3f2b6a4e-", ""), "r.yaml:2:1: id is not a UUID"),
        (
            line("version: 2", "version: 2\ntags: [attack.discovry]"),
            "r.yaml:4:8: no ATT&CK tactic or technique attack.discovry; did you mean attack.discovery?",
        ),
        (line("version: 2", "version: 2\nallowed_lateness: 30"), "r.yaml:4:1: not a length of time"),
        (line("version: 2", "version: 2\nevidence: 101"), "r.yaml:4:1: at most 100 rows of evidence"),
        (line("src_ip", "src_up"), "r.yaml:6:16: table network_activity has no column src_up; did you mean src_ip?"),
        (line("WHERE", "WERE"), "r.yaml:8:3: WERE is not expected here; did you mean WHERE?"),
        (
            line(
                "sql: |\n  SELECT time, src_ip\n  FROM network_activity\n  WHERE action = 'Denied'",
                "sql: SELECT tme FROM network_activity WHERE true",
            ),
            "r.yaml:5:13: table network_activity has no column tme; did you mean time?",
        ),
        (line("version: 2", "version: 2\nemit: on_threshold"), "r.yaml:7:3: emit: on_threshold needs a window"),
    ];
    for (text, want) in &cases {
        let found = refusal(text);
        assert!(found.starts_with(want), "want {want}\nhave {found}");
    }
}

#[test]
fn every_mistake_of_every_file_is_told() {
    let wrong = RULE.replace("src_ip", "src_up");
    let error =
        RuleSet::from_texts(&[("a", &wrong), ("b", RULE), ("c", &wrong), ("d", RULE)]).expect_err("three mistakes");
    let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("a:") && lines[1].starts_with("c:"), "{lines:?}");
    assert!(lines[2].contains("is loaded already"), "{lines:?}");
}

#[test]
fn a_folder_is_its_yaml_files() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("one.yaml"), RULE).expect("written");
    fs::write(folder.path().join("README.md"), "no rule").expect("written");
    let rules = RuleSet::load(&[folder.path().to_owned()]).expect("one rule");
    let rule = &rules.rules()[0];
    assert_eq!(
        (rule.title(), rule.version(), rule.level(), rule.tables()),
        ("Denied", 2, Level::Low, [Table::NetworkActivity].as_slice())
    );
    assert!(!rule.is_windowed());
    assert_eq!(rule.max_window_us(), 0);
    let missing = RuleSet::load(&[folder.path().join("none.yaml")]).expect_err("no such file");
    assert!(missing.to_string().contains("cannot read it"), "{missing}");
}

#[test]
fn the_version_follows_what_decides_alerts_not_the_order_or_the_prose() {
    let other = RULE.replace("3f2b6a4e", "4f2b6a4e");
    let version = |texts: &[(&str, &str)]| RuleSet::from_texts(texts).expect("rules").version().to_owned();
    let base = version(&[("a", RULE), ("b", &other)]);
    assert_eq!(base, version(&[("b", &other), ("a", RULE)]));
    assert_eq!(base, version(&[("a", RULE), ("b", &other.replace("title: Denied", "title: D"))]));
    assert_ne!(base, version(&[("a", RULE)]));
    assert_ne!(base, version(&[("a", RULE), ("b", &other.replace("'Denied'", "'Allowed'"))]));
}

#[test]
fn a_failing_test_says_what_came_instead() {
    let text = format!(
        "{RULE}tests:\n  - name: wrong\n    events:\n      - {{ set: {{ action: Denied, src_ip: 10.0.0.1 }} }}\n    alerts: [{{ values: {{ src_ip: 10.0.0.2 }} }}]\n"
    );
    let outcomes = run_tests(&RuleSet::from_texts(&[("r", &text)]).expect("a rule"));
    let failures = outcomes[0].failures();
    assert_eq!(failures.len(), 1, "one difference in three splits: {failures:?}");
    assert!(failures[0].starts_with(r#"no alert {"src_ip":"10.0.0.2","tenant":"acme"}, but {"src_ip":"10.0.0.1""#));
}

#[test]
fn lengths_of_time() {
    use scenario::duration_us;
    for (text, want) in [
        ("250ms", Some(250_000)),
        ("1h30m", Some(5_400_000_000)),
        ("-10s", Some(-10_000_000)),
        ("", None),
        ("5", None),
        ("5 parsecs", None),
        ("99999999999d", None),
    ] {
        assert_eq!(duration_us(text), want, "{text}");
    }
}
