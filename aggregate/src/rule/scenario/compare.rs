//! What a test expects beside what came: one difference for each way in which its rows were cut up, equal ones told once.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{BASE_US, Found, Given, RawAlert, RawTest, duration_us};

/// An alert's fields by name: `tenant`, `window_start` since the test's time zero, and the columns that the rule selects.
pub type AlertFields = BTreeMap<String, Value>;

/// How what came differs from what a test expects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How the rows were cut up when it was seen.
    pub splits: Vec<String>,
    /// Alerts that differ, came without being expected, or did not come.
    pub alerts: Vec<AlertDifference>,
    /// Rows that came too late for a window: expected and found, if they differ.
    pub late_rows: Option<(u64, u64)>,
    /// Alerts that suppression kept back: expected and found, if they differ.
    pub suppressed: Option<(u64, u64)>,
    /// Alerts that exceptions took away: expected and found, if they differ.
    pub excepted: Option<(u64, u64)>,
    /// Why the test could not be run to its end.
    pub error: Option<String>,
}

/// An alert that was expected, and the one that came in its place. One of the two may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertDifference {
    /// What the test says of it.
    pub expected: Option<AlertFields>,
    /// All that is known of it.
    pub found: Option<AlertFields>,
}

impl Difference {
    /// A run that ended early.
    pub(super) fn of_error(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// A line a fault.
    pub fn lines(&self) -> Vec<String> {
        let said = |fields: &AlertFields| serde_json::json!(fields).to_string();
        let alerts = self.alerts.iter().map(|alert| match (&alert.expected, &alert.found) {
            (Some(expected), Some(found)) => format!("no alert {}, but {}", said(expected), said(found)),
            (Some(expected), None) => format!("no alert {}", said(expected)),
            (None, found) => format!("unexpected alert {}", found.as_ref().map(said).unwrap_or_default()),
        });
        let late = self.late_rows.map(|(expected, found)| format!("{found} late rows, not {expected}"));
        let held = [("suppressed", self.suppressed), ("excepted", self.excepted)];
        let held = held.into_iter().filter_map(|(word, differs)| Some((word, differs?)));
        let held = held.map(|(word, (expected, found))| format!("{found} alerts {word}, not {expected}"));
        let faults = alerts.chain(late).chain(held).chain(self.error.clone());
        let splits = self.splits.join("; ");
        faults.map(|fault| format!("{fault} ({splits})")).collect()
    }
}

/// Adds the difference that one split shows; none if all is as expected.
pub(super) fn note(differences: &mut Vec<Difference>, split: String, difference: Difference) {
    if difference.is_none() {
        return;
    }
    let same = |known: &&mut Difference| Difference { splits: Vec::new(), ..(**known).clone() } == difference;
    match differences.iter_mut().find(same) {
        Some(known) => known.splits.push(split),
        None => differences.push(Difference { splits: vec![split], ..difference }),
    }
}

/// Takes expected alerts and those that came apart, and pairs what is left: the likest first.
pub(super) fn compare(test: &RawTest, given: Given) -> Difference {
    let Given { alerts: mut found, late_rows, suppressed, excepted } = given;
    let mut missing = Vec::new();
    for wanted in &test.alerts {
        match found.iter().position(|f| f.matches(wanted)) {
            Some(index) => drop(found.swap_remove(index)),
            None => missing.push(fields_of_wanted(wanted)),
        }
    }
    let mut found: Vec<AlertFields> = found.iter().map(fields_of_found).collect();
    found.sort_by_key(|fields| serde_json::json!(fields).to_string());
    let mut alerts = Vec::new();
    for expected in missing {
        let likeness =
            |found: &AlertFields| expected.iter().filter(|(name, value)| found.get(*name) == Some(value)).count();
        let likest = (0..found.len()).max_by_key(|&i| (likeness(&found[i]), std::cmp::Reverse(i)));
        let found = likest.filter(|&i| likeness(&found[i]) > 0).map(|i| found.remove(i));
        alerts.push(AlertDifference { expected: Some(expected), found });
    }
    alerts.extend(found.into_iter().map(|found| AlertDifference { expected: None, found: Some(found) }));
    let late_rows = (late_rows != test.late_rows).then_some((test.late_rows, late_rows));
    let differs = |wanted: Option<u64>, found: u64| wanted.filter(|w| *w != found).map(|wanted| (wanted, found));
    let (suppressed, excepted) = (differs(test.suppressed, suppressed), differs(test.excepted, excepted));
    Difference { alerts, late_rows, suppressed, excepted, ..Difference::default() }
}

fn fields_of_wanted(wanted: &RawAlert) -> AlertFields {
    let start = wanted.window_start.as_deref().and_then(duration_us).map(since_zero);
    fields(&wanted.tenant, start, &wanted.values)
}

fn fields_of_found(found: &Found) -> AlertFields {
    fields(&found.tenant, found.window_start.map(|us| since_zero(us - BASE_US)), &found.values)
}

fn fields(tenant: &str, window_start: Option<String>, values: &BTreeMap<String, Value>) -> AlertFields {
    // What a rule selects may have these names too; of them the test speaks by its own keys.
    let values = values.iter().filter(|(name, _)| !["tenant", "window_start"].contains(&name.as_str()));
    let mut fields: AlertFields = values.map(|(name, value)| (name.clone(), value.clone())).collect();
    fields.insert("tenant".to_owned(), tenant.into());
    fields.extend(window_start.map(|start| ("window_start".to_owned(), start.into())));
    fields
}

/// `-30s`, `1m30s`: as a test writes it.
fn since_zero(us: i64) -> String {
    let span = jiff::SignedDuration::from_micros(us.saturating_abs());
    let sign = if us < 0 { "-" } else { "" };
    format!("{sign}{span:#}").replace(' ', "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(alerts: &str) -> RawTest {
        serde_saphyr::from_str(&format!("name: t\nevents: []\nalerts: {alerts}\n")).expect(alerts)
    }

    fn found(src_ip: &str, ports: u64) -> Found {
        let values = [("src_ip".to_owned(), json!(src_ip)), ("ports".to_owned(), json!(ports))];
        Found { tenant: "acme".to_owned(), window_start: Some(BASE_US - 30_000_000), values: values.into() }
    }

    fn given(alerts: Vec<Found>) -> Given {
        Given { alerts, late_rows: 0, suppressed: 2, excepted: 0 }
    }

    #[test]
    fn what_is_kept_back_is_compared_where_a_test_speaks_of_it() {
        let test: RawTest = serde_saphyr::from_str("name: t\nevents: []\nsuppressed: 1\n").expect("a test");
        let difference = compare(&test, given(Vec::new()));
        assert_eq!((difference.suppressed, difference.excepted), (Some((1, 2)), None));
        assert_eq!(difference.lines(), ["2 alerts suppressed, not 1 ()"]);
    }

    #[test]
    fn what_is_missing_stands_beside_the_likest_that_came() {
        let test = test("[{ window_start: -30s, values: { src_ip: 10.0.0.1, ports: 300 } }, { tenant: globex }]");
        let came = vec![found("10.0.0.2", 7), found("10.0.0.1", 299)];
        let difference = compare(&test, given(came));
        let pairs: Vec<(Option<&Value>, Option<&Value>)> = difference
            .alerts
            .iter()
            .map(|a| (a.expected.as_ref().and_then(|e| e.get("ports")), a.found.as_ref().and_then(|f| f.get("ports"))))
            .collect();
        assert_eq!(pairs, [(Some(&json!(300)), Some(&json!(299))), (None, None), (None, Some(&json!(7)))]);
        assert_eq!(difference.alerts[0].found.as_ref().expect("it came")["window_start"], json!("-30s"));
    }

    #[test]
    fn equal_differences_of_several_splits_are_told_once() {
        let mut differences = Vec::new();
        let of = |late| Difference { late_rows: Some((0, late)), ..Difference::default() };
        note(&mut differences, "one".to_owned(), of(3));
        note(&mut differences, "two".to_owned(), Difference::default());
        note(&mut differences, "three".to_owned(), of(3));
        note(&mut differences, "four".to_owned(), of(4));
        assert_eq!(differences.len(), 2);
        assert_eq!(differences[0].lines(), ["3 late rows, not 0 (one; three)"]);
    }

    #[test]
    fn an_alert_that_is_expected_is_no_difference() {
        let test = test("[{ values: { ports: 7 } }]");
        assert!(compare(&test, given(vec![found("10.0.0.2", 7)])).is_none());
        let lines = Difference { splits: vec!["s".to_owned()], ..compare(&test, given(Vec::new())) }.lines();
        assert_eq!(lines, [r#"no alert {"ports":7,"tenant":"acme"} (s)"#]);
    }
}
