//! The rules that ship, all at once: what they find is what their batch forms find. Watches have none.
//!
//! Over random events thresholds are lowered, so that few rows pass them. Over the rows of the rules' own tests nothing is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::harness::{Plan, Split, batch_answer, plans, run};
use super::*;
use crate::rule::scenario::Row;

/// Seconds that rows and watermarks spread over.
const SPAN: usize = 2_400;

const LOWERED: [(&str, &str); 5] =
    [("> 250", "> 2"), ("> 100", "> 1"), ("> 20", "> 2"), ("> 15", "> 1"), ("> 500000000", "> 60")];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules")
}

/// The rules' texts with lower thresholds, and as much lateness as the rows need.
fn texts_of_the_rules() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a rule");
        if text.contains("\nwatch:") {
            continue;
        }
        let text = text.split("\ntests:").next().expect("a rule before its tests");
        let text = LOWERED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let lines = text.lines().filter(|line| !line.starts_with("allowed_lateness:"));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>() + "allowed_lateness: 3h\n";
        texts.push((path.display().to_string(), text));
    }
    texts
}

fn loaded(texts: &[(String, String)]) -> Arc<RuleSet> {
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    RuleSet::from_texts(&texts).unwrap_or_else(|e| panic!("{e}"))
}

/// One number after the other, all from one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        let face = self.0 % n;
        self.0 /= n;
        face
    }

    /// One of them.
    fn one<T: Into<Value> + Clone>(&mut self, all: &[T]) -> Value {
        all[self.below(all.len() as u64) as usize].clone().into()
    }

    /// One of them, or nothing.
    fn some<T: Into<Value> + Clone>(&mut self, all: &[T]) -> Value {
        match self.below(all.len() as u64 + 1) as usize {
            0 => Value::Null,
            n => all[n - 1].clone().into(),
        }
    }
}

/// A row that some rule may look at, from one random number.
fn row(dice: u64) -> Row {
    let mut dice = Dice(dice);
    let time = dice.below(1_500) as i64 * SECOND;
    let tenant = if dice.below(3) == 0 { "globex" } else { "acme" }.to_owned();
    let (src, dst) = (dice.one(&["10.0.0.1", "10.0.0.2"]), format!("10.0.9.{}", dice.below(4)));
    let (table, set) = match dice.below(9) {
        0..4 => (Table::NetworkActivity, connection(&mut dice, src, dst)),
        4..6 => (Table::Authentication, login(&mut dice, src)),
        6..8 => (Table::DetectionFinding, threat(&mut dice, src, dst)),
        _ => (Table::ApiActivity, call(&mut dice, src)),
    };
    let set = set.as_object().into_iter().flatten().map(|(path, value)| (path.clone(), value.clone())).collect();
    Row { table, tenant, time, set }
}

fn connection(dice: &mut Dice, src: Value, dst: String) -> Value {
    json!({
        "src_endpoint.ip": src,
        "dst_endpoint.ip": dst,
        "dst_endpoint.port": dice.some(&[445, 3389, 80, 22]),
        "action_id": dice.one(&[1, 2]),
        "src_scope": "internal",
        "dst_scope": dice.one(&["internal", "internal", "external"]),
        "traffic.bytes_out": dice.some(&[0, 30, 40]),
        "status_detail": dice.some(&["aged-out", "threat"]),
    })
}

fn login(dice: &mut Dice, src: Value) -> Value {
    json!({
        "service.name": dice.one(&["GlobalProtect", "GlobalProtect", "PAN-OS"]),
        "activity_id": dice.one(&[1, 1, 2]),
        "status_id": dice.one(&[1, 2]),
        "user.name": dice.some(&["alice", "bob"]),
        "src_endpoint.ip": src,
        "src_country": dice.some(&["NL", "BR"]),
    })
}

fn threat(dice: &mut Dice, src: Value, dst: String) -> Value {
    json!({
        "severity_id": dice.one(&[3, 4, 5]),
        "src_ip": src,
        "dst_ip": dst,
        "finding_info.title": dice.some(&["Log4j", "SSH"]),
    })
}

fn call(dice: &mut Dice, src: Value) -> Value {
    json!({
        "api.service.name": "cloudtrail.amazonaws.com",
        "api.operation": dice.one(&["StopLogging", "DeleteTrail", "StartLogging"]),
        "api.response.error": dice.some(&["AccessDenied"]),
        "src_endpoint.ip": src,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_any_rows_gives_what_one_batch_gives(plan in plans(any::<u64>().prop_map(row), 120)) {
        let rules = loaded(&texts_of_the_rules());
        let (whole, seen) = run(&rules, &plan, Split::Whole, SPAN, Limits::default());
        prop_assert_eq!(&whole.values(), &batch_answer(&rules, &seen));
        for groups in [1, 16] {
            let (other, _) = run(&rules, &plan, Split::Chosen(groups), SPAN, Limits::default());
            prop_assert_eq!(&other, &whole, "{} groups", groups);
        }
    }
}

/// The rows of each rule's first test that expects alerts, with a tenant of their own.
fn rows_of_the_tests(rules: &RuleSet) -> Vec<Row> {
    let mut all = Vec::new();
    for rule in rules.rules() {
        let rows = rule.tests.iter().find_map(|test| test.rows_that_alert(rule)).expect("a test that fires");
        all.extend(rows.into_iter().map(|row| Row { tenant: format!("{} {}", rule.name(), row.tenant), ..row }));
    }
    all
}

/// The line with its floats to nine digits: the order of a sum is not the batch's.
fn rounded(line: &str) -> String {
    let (head, json) = line.split_once('{').expect("values");
    let values: serde_json::Map<String, Value> = serde_json::from_str(&format!("{{{json}")).expect("JSON");
    let value = |value: Value| match value.as_f64().filter(|_| value.is_f64()) {
        Some(float) => format!("{float:.9e}"),
        None => value.to_string(),
    };
    let values: Vec<String> = values.into_iter().map(|(name, own)| format!("{name}: {}", value(own))).collect();
    format!("{head}{}", values.join(", "))
}

#[test]
fn each_rule_finds_something_and_nothing_else_than_one_batch() {
    let rules = RuleSet::load(&[folder()]).unwrap_or_else(|e| panic!("{e}")).only(|rule| !rule.is_watch());
    let plan = Plan::cut(rows_of_the_tests(&rules));
    let (ran, seen) = run(&rules, &plan, Split::Whole, SPAN, Limits::default());
    let values = ran.values();
    let set = |lines: &[String]| lines.iter().map(|line| rounded(line)).collect::<BTreeSet<String>>();
    let (found, want) = (set(&values), set(&batch_answer(&rules, &seen)));
    let differ: Vec<&String> = found.symmetric_difference(&want).collect();
    assert!(differ.is_empty(), "{differ:#?}");
    assert_eq!(values.len(), want.len(), "none is there twice");
    for rule in rules.rules() {
        let own = format!("{}: {} ", rule.title(), rule.name());
        assert!(values.iter().any(|v| v.starts_with(&own)), "{own}nothing found in {} rows", plan.rows.len());
    }
    assert!(ran.alerts.values().all(|(_, evidence)| !evidence.is_empty()), "every alert has evidence");
}
