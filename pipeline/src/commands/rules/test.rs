//! `palisade rules test`: the tests that rule files hold, a line each.
//!
//! What a failed test expected stands beside what came; a rule without a test is said, since nothing shows that it can fire.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use aggregate::{AlertDifference, AlertFields, Difference, RuleSet, TestOutcome};
use serde::Serialize;

use super::paint::Paint;
use crate::cli::{Output, RulesPathsArgs};

#[derive(Debug, Serialize)]
struct Report {
    tests: Vec<TestOutcome>,
    /// Files of rules that hold no test.
    without_tests: Vec<String>,
    /// What is wrong with rules that cannot run.
    problems: Vec<String>,
    rules: usize,
    passed: usize,
    failed: usize,
}

/// Runs the command.
///
/// # Errors
/// If nothing can be printed.
pub(super) fn run(args: &RulesPathsArgs) -> anyhow::Result<ExitCode> {
    let (rules, refused) = RuleSet::survey_excepted(&args.paths, &args.exceptions);
    let problems = refused.0.iter().map(ToString::to_string).collect();
    let report = Report::new(&rules, aggregate::run_tests(&rules), problems);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.write(&mut out, Paint::of_stdout())?,
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn new(rules: &RuleSet, mut tests: Vec<TestOutcome>, problems: Vec<String>) -> Self {
        // As the files are named, not as their rules' ids are.
        tests.sort_by(|a, b| a.file.cmp(&b.file));
        let untested = rules.rules().iter().filter(|rule| rule.test_count() == 0);
        let mut without_tests: Vec<String> = untested.map(|rule| rule.file().to_owned()).collect();
        without_tests.sort();
        let failed = tests.iter().filter(|test| !test.passed()).count();
        Self { rules: rules.rules().len(), passed: tests.len() - failed, failed, tests, without_tests, problems }
    }

    fn is_good(&self) -> bool {
        self.failed == 0 && self.problems.is_empty()
    }

    fn write(&self, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
        for test in &self.tests {
            let word = if test.passed() { paint.good("ok      ") } else { paint.bad("FAILED  ") };
            writeln!(out, "{word}{}: {}", test.file, test.test)?;
            test.differences.iter().try_for_each(|difference| write_difference(difference, out, paint))?;
        }
        for file in &self.without_tests {
            writeln!(out, "{}{file}: no tests", paint.faint("none    "))?;
        }
        self.problems.iter().try_for_each(|problem| writeln!(out, "{}{problem}", paint.bad("refused ")))?;
        writeln!(out, "{}", self.totals())
    }

    fn totals(&self) -> String {
        let Self { rules, passed, failed, without_tests, problems, .. } = self;
        let mut totals = format!("{}: {passed} passed, {failed} failed", counted(self.tests.len(), "test"));
        totals += &format!("; {}, {} without tests", counted(*rules, "rule"), without_tests.len());
        if !problems.is_empty() {
            totals += &format!("; {} refused", problems.len());
        }
        totals
    }
}

pub(super) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn write_difference(difference: &Difference, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
    for split in &difference.splits {
        writeln!(out, "          {}", paint.faint(split))?;
    }
    difference.alerts.iter().try_for_each(|alert| write_alert(alert, out, paint))?;
    if let Some((expected, found)) = difference.late_rows {
        writeln!(out, "        {}", paint.bad(format!("! late rows: expected {expected}, found {found}")))?;
    }
    for (word, differs) in [("suppressed", difference.suppressed), ("excepted", difference.excepted)] {
        if let Some((expected, found)) = differs {
            writeln!(out, "        {}", paint.bad(format!("! {word}: expected {expected}, found {found}")))?;
        }
    }
    match &difference.error {
        Some(error) => writeln!(out, "        {}", paint.bad(format!("! {error}"))),
        None => Ok(()),
    }
}

/// An alert's fields in three columns; `!` where they differ. A test names some of the fields: only those are compared.
fn write_alert(alert: &AlertDifference, out: &mut impl Write, paint: Paint) -> std::io::Result<()> {
    let none = AlertFields::new();
    let (expected, found) = (alert.expected.as_ref().unwrap_or(&none), alert.found.as_ref().unwrap_or(&none));
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let said = |fields: &AlertFields, name: &String| fields.get(name).map(ToString::to_string).unwrap_or_default();
    let heads = [("expected", &alert.expected), ("found", &alert.found)]
        .map(|(word, side)| if side.is_some() { word.to_owned() } else { format!("{word}: no alert") });
    let rows: Vec<[String; 3]> =
        names.iter().map(|name| [(*name).clone(), said(expected, name), said(found, name)]).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names_width, expected_width) = (width(0), width(1).max(heads[0].chars().count()));
    writeln!(out, "          {:names_width$}  {:expected_width$}  {}", "", heads[0], heads[1])?;
    for ([name, left, right], key) in rows.iter().zip(names) {
        let differs = alert.expected.as_ref().is_none_or(|fields| fields.contains_key(key)) && left != right;
        let line = format!("{name:names_width$}  {left:expected_width$}  {right}");
        let line = line.trim_end();
        match differs {
            true => writeln!(out, "        {}", paint.bad(format!("! {line}")))?,
            false => writeln!(out, "          {line}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: Denied
id: 3f2b6a4e-1111-4222-8333-444455556666
version: 1
level: low
sql: SELECT src_ip, dst_port FROM network_activity WHERE action = 'Denied'
tests:
  - name: a
    events: [{ set: { action: Denied, src_ip: 10.0.0.1, dst_port: 22 } }]
    alerts: [{ values: { src_ip: 10.0.0.1 } }]
  - name: b
    events: [{ set: { action: Denied, src_ip: 10.0.0.1, dst_port: 22 } }]
    alerts: [{ values: { src_ip: 10.0.0.2, dst_port: 22 } }]
  - name: c
    events: [{ set: { action: Denied } }]
";

    fn report(texts: &[(&str, &str)]) -> Report {
        let rules = RuleSet::from_texts(texts).unwrap_or_else(|e| panic!("{e}"));
        Report::new(&rules, aggregate::run_tests(&rules), Vec::new())
    }

    #[test]
    fn what_was_expected_stands_beside_what_came() {
        let report = report(&[("r.yaml", RULE)]);
        assert!(!report.is_good());
        let mut out = Vec::new();
        report.write(&mut out, Paint { is_on: false }).expect("a buffer takes all");
        let text = String::from_utf8(out).expect("text");
        let want = "\
ok      r.yaml: a
FAILED  r.yaml: b
          partitions: 1, deltas: 1, merge groups: 1
          partitions: 3, deltas: 1, merge groups: 4
          partitions: 3, deltas: 7, merge groups: 1
                    expected    found
          dst_port  22          22
        ! src_ip    \"10.0.0.2\"  \"10.0.0.1\"
          tenant    \"acme\"      \"acme\"
FAILED  r.yaml: c
          partitions: 1, deltas: 1, merge groups: 1
          partitions: 3, deltas: 1, merge groups: 4
          partitions: 3, deltas: 7, merge groups: 1
                    expected: no alert  found
        ! dst_port                      null
        ! src_ip                        null
        ! tenant                        \"acme\"
3 tests: 1 passed, 2 failed; 1 rule, 0 without tests
";
        assert_eq!(text, want);
    }

    #[test]
    fn a_rule_without_tests_is_said_and_is_no_failure() {
        let head = RULE.split("tests:").next().unwrap_or_default();
        let report = report(&[("r.yaml", head)]);
        assert!(report.is_good());
        assert_eq!(report.without_tests, ["r.yaml"]);
        assert_eq!(report.totals(), "0 tests: 0 passed, 0 failed; 1 rule, 1 without tests");
    }
}
