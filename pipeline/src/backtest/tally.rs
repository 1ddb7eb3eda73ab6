//! What each rule found: how often, when, of whom, and a few samples with their evidence. Bounded, however many alerts there are.

use std::collections::{BTreeMap, HashMap};

use aggregate::{Rule, RuleSet};
use anyhow::Context;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use dataflow::TableBatch;
use dataflow::json::JsonRows;
use dataflow::time::rfc3339;
use serde::Serialize;
use serde_json::Value;

use super::Range;
use crate::alerts::nested_text;

/// Stretches of the range in a histogram.
const BARS: usize = 24;

/// Groups of a rule that are told apart; those beyond are counted together.
const GROUPS_MAX: usize = 100_000;

/// Groups that a report names, and alerts that it shows.
const SHOWN: (usize, usize) = (5, 3);

/// Identities of rows that a sample names.
const EVIDENCE: usize = 3;

/// An alert as a report shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) alert_id: String,
    pub(crate) time: String,
    pub(crate) tenant: String,
    /// What the rule selects.
    pub(crate) values: Value,
    /// Identities of the rows behind it, the first ones.
    pub(crate) evidence: Vec<String>,
}

/// What one rule found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RuleTally {
    pub(crate) rule: String,
    pub(crate) uid: String,
    pub(crate) title: String,
    pub(crate) level: &'static str,
    /// Alerts that stand: those that a later revision closed are none.
    pub(crate) alerts: u64,
    pub(crate) alerts_a_day: f64,
    /// Groups that alerted: keys of a tenant.
    pub(crate) groups: u64,
    /// Alerts by when their windows began, or their rows were: equal stretches of the range.
    pub(crate) histogram: Vec<u64>,
    /// The groups with most alerts.
    pub(crate) top: Vec<(String, u64)>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Default)]
struct Counted {
    alerts: u64,
    bars: Vec<u64>,
    groups: HashMap<String, u64>,
    samples: Vec<Sample>,
}

/// See the module's front.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    range: Option<Range>,
    by_rule: BTreeMap<String, Counted>,
}

impl Tally {
    /// The range that alerts will be of.
    pub(crate) fn begin(&mut self, range: Range) {
        self.range = Some(range);
    }

    /// Counts revisions of alerts.
    ///
    /// # Errors
    /// If they are no alerts of ours.
    pub(crate) fn note(&mut self, alerts: &TableBatch, rules: &RuleSet) -> anyhow::Result<()> {
        let rows = &alerts.rows;
        let activities =
            rows.column_by_name("activity_id").context("no column activity_id")?.as_primitive::<Int32Type>();
        let starts = rows.column_by_name("_window_start").context("no column _window_start")?;
        let times = rows.column_by_name("time").context("no column time")?.as_primitive::<TimestampMicrosecondType>();
        let starts = starts.as_primitive::<TimestampMicrosecondType>();
        let json = JsonRows::new(alerts.table, rows);
        for row in 0..rows.num_rows() {
            let uid = nested_text(rows, &["finding_info", "analytic", "uid"], row).unwrap_or_default();
            let Some(rule) = rules.rules().iter().find(|rule| rule.uid() == uid) else { continue };
            let at = if starts.is_valid(row) { starts.value(row) } else { times.value(row) };
            let bar = self.bar(at);
            let counted = self.by_rule.entry(uid).or_default();
            counted.bars.resize(BARS, 0);
            let group = || group(rule, rows, row);
            match activities.value(row) {
                1 => counted.add(bar, group()),
                3 => counted.take_back(bar, &group()),
                // Another revision of an alert that is counted.
                _ => {}
            }
            let id = nested_text(rows, &["finding_info", "uid"], row).unwrap_or_default();
            counted.show(&id, (&json, row), times.value(row));
        }
        Ok(())
    }

    fn bar(&self, at: i64) -> usize {
        let Some(Range { from, to }) = self.range else { return 0 };
        let share = (at - from).max(0) as f64 / (to - from).max(1) as f64;
        ((share * BARS as f64) as usize).min(BARS - 1)
    }

    /// What each rule found, those that found most first.
    pub(crate) fn report(&self, rules: &RuleSet) -> Vec<RuleTally> {
        let days = self.range.map_or(0.0, |range| (range.to - range.from) as f64 / 86_400e6);
        let mut all: Vec<RuleTally> = rules.rules().iter().map(|rule| self.of(rule, days)).collect();
        all.sort_by(|a, b| b.alerts.cmp(&a.alerts).then_with(|| a.rule.cmp(&b.rule)));
        all
    }

    fn of(&self, rule: &Rule, days: f64) -> RuleTally {
        let none = Counted::default();
        let counted = self.by_rule.get(rule.uid()).unwrap_or(&none);
        let mut top: Vec<(String, u64)> = counted.groups.iter().map(|(group, n)| (group.clone(), *n)).collect();
        top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        top.truncate(SHOWN.0);
        RuleTally {
            rule: rule.name().to_owned(),
            uid: rule.uid().to_owned(),
            title: rule.title().to_owned(),
            level: rule.level().severity().1,
            alerts: counted.alerts,
            alerts_a_day: if days > 0.0 { counted.alerts as f64 / days } else { 0.0 },
            groups: counted.groups.len() as u64,
            histogram: if counted.bars.is_empty() { vec![0; BARS] } else { counted.bars.clone() },
            top,
            samples: counted.samples.clone(),
        }
    }
}

impl Counted {
    fn add(&mut self, bar: usize, group: String) {
        self.alerts += 1;
        self.bars[bar] += 1;
        let room = self.groups.len() < GROUPS_MAX;
        let group = if room || self.groups.contains_key(&group) { group } else { "(others)".to_owned() };
        *self.groups.entry(group).or_default() += 1;
    }

    fn take_back(&mut self, bar: usize, group: &str) {
        self.alerts = self.alerts.saturating_sub(1);
        self.bars[bar] = self.bars[bar].saturating_sub(1);
        if let Some(n) = self.groups.get_mut(group) {
            *n -= 1;
            if *n == 0 {
                self.groups.remove(group);
            }
        }
    }

    /// Keeps the first alerts, each in its last revision.
    fn show(&mut self, alert_id: &str, (json, row): (&JsonRows<'_>, usize), time: i64) {
        let is_known = self.samples.iter().any(|own| own.alert_id == alert_id);
        if !is_known && self.samples.len() == SHOWN.1 {
            return;
        }
        let Some(sample) = sample(json, row, time) else { return };
        match self.samples.iter_mut().find(|own| own.alert_id == sample.alert_id) {
            Some(own) => *own = sample,
            None => self.samples.push(sample),
        }
    }
}

fn sample(json: &JsonRows<'_>, row: usize, time: i64) -> Option<Sample> {
    let mut text = String::new();
    json.write(row, &mut text);
    let alert: Value = serde_json::from_str(&text).ok()?;
    let evidence = alert["evidences"].as_array().into_iter().flatten();
    let values = alert.get("unmapped").cloned().unwrap_or_default();
    Some(Sample {
        alert_id: alert["finding_info"]["uid"].as_str()?.to_owned(),
        time: rfc3339(time),
        tenant: alert["metadata"]["tenant_uid"].as_str().unwrap_or_default().to_owned(),
        values: values.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(values),
        evidence: evidence.take(EVIDENCE).filter_map(|e| Some(e["uid"].as_str()?.to_owned())).collect(),
    })
}

/// Whom an alert is about: the rule's keys where it selects them, else addresses and user.
fn group(rule: &Rule, rows: &arrow::array::RecordBatch, row: usize) -> String {
    let values = nested_text(rows, &["unmapped"], row).unwrap_or_default();
    let values: Value = serde_json::from_str(&values).unwrap_or_default();
    let said = |name: &str| match values.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let mut parts: Vec<String> = rule.keys().iter().filter_map(|key| said(key)).collect();
    if parts.is_empty() {
        let hot = ["src_ip", "dst_ip", "user_name"];
        parts = hot.iter().filter_map(|name| nested_text(rows, &[name], row)).collect();
    }
    let tenant = nested_text(rows, &["tenant_uid"], row).unwrap_or_default();
    parts.insert(0, tenant);
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_no_alert() {
        let mut counted = Counted { bars: vec![0; BARS], ..Counted::default() };
        counted.add(3, "acme 10.0.0.1".to_owned());
        counted.add(3, "acme 10.0.0.2".to_owned());
        counted.take_back(3, "acme 10.0.0.1");
        assert_eq!((counted.alerts, counted.bars[3], counted.groups.len()), (1, 1, 1));
    }

    #[test]
    fn groups_beyond_the_bound_are_counted_together() {
        let mut counted = Counted { bars: vec![0; BARS], ..Counted::default() };
        (0..GROUPS_MAX + 5).for_each(|i| counted.add(0, i.to_string()));
        assert_eq!((counted.groups.len(), counted.groups.get("(others)")), (GROUPS_MAX + 1, Some(&5)));
    }

    #[test]
    fn a_time_has_its_bar() {
        let mut tally = Tally::default();
        tally.begin(Range { from: 100, to: 100 + BARS as i64 * 10 });
        assert_eq!([90, 100, 109, 110, 339, 340].map(|at| tally.bar(at)), [0, 0, 0, 1, 23, 23]);
    }
}
