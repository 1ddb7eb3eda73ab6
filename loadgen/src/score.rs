//! Scores alerts against labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::label::Label;

/// An alert that the pipeline raised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertSeen {
    /// File stem of the rule.
    pub rule: String,
    /// Whose alert it is.
    pub tenant: String,
    /// What it is about.
    pub key: BTreeMap<String, String>,
    /// Start of its window, microseconds UTC; of a filter rule, the event's time.
    pub window_start: i64,
    /// End of its window; of a filter rule, the event's time.
    pub window_end: i64,
}

/// How well the alerts fit the labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Attacks planted.
    pub planted: usize,
    /// Attacks with at least one alert.
    pub detected: usize,
    /// Near misses planted.
    pub near_misses: usize,
    /// Attacks that no loaded rule covers: neither planted for one nor missed by one.
    pub uncovered: usize,
    /// Distinct alerts given.
    pub alerts: usize,
    /// `attack_id` of each attack without an alert.
    pub missed: Vec<String>,
    /// Alerts that fit no attack.
    pub false_alerts: Vec<FalseAlert>,
    /// The same by rule, in the order of the names.
    pub rules: Vec<RuleScore>,
}

/// An alert that fits no attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FalseAlert {
    /// The alert.
    pub alert: AlertSeen,
    /// The near miss that it fits, if it fits one.
    pub near_miss: Option<String>,
}

/// One rule's line of the score.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleScore {
    /// File stem of the rule.
    pub rule: String,
    /// Attacks planted.
    pub planted: usize,
    /// Attacks with at least one alert.
    pub detected: usize,
    /// Near misses planted.
    pub near_misses: usize,
    /// Distinct alerts given.
    pub alerts: usize,
    /// Alerts that fit no attack.
    pub false_alerts: usize,
}

impl Score {
    /// True if every attack was detected and nothing else alerted.
    pub fn is_perfect(&self) -> bool {
        self.missed.is_empty() && self.false_alerts.is_empty()
    }
}

/// Scores `alerts` against `labels`.
///
/// An alert fits a label of its rule and tenant if their times overlap (both ends included) and their keys agree: the
/// names that both have bear the same values, and there is one. Alerts that are equal (revisions) count once, and so do
/// all alerts of one attack. An alert that fits an attack is not false, whatever near miss it fits as well. Labels that no
/// rule covers are counted apart: no alert fits one. An alert of a rule that a label names beside its own, and whose times
/// and keys agree with it, or that is about one of its sources, is neither a detection nor false.
pub fn score(labels: &[Label], alerts: &[AlertSeen]) -> Score {
    let also: Vec<&Label> = labels.iter().filter(|l| !l.also.is_empty()).collect();
    let uncovered = labels.iter().filter(|l| l.is_uncovered && !l.near_miss).count();
    let labels: Vec<&Label> = labels.iter().filter(|l| !l.is_uncovered).collect();
    let alerts: BTreeSet<&AlertSeen> = alerts.iter().collect();
    let mut by_rule: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        by_rule.entry((&label.rule, &label.tenant)).or_default().push(index);
    }
    let mut detected = vec![false; labels.len()];
    let mut false_alerts = Vec::new();
    for alert in &alerts {
        let candidates = by_rule.get(&(alert.rule.as_str(), alert.tenant.as_str())).map_or(&[][..], Vec::as_slice);
        let fitting: Vec<usize> = candidates.iter().copied().filter(|l| fits(labels[*l], alert)).collect();
        fitting.iter().for_each(|l| detected[*l] = true);
        if fitting.iter().all(|l| labels[*l].near_miss) && !also.iter().any(|l| l.expects(alert)) {
            let near_miss = fitting.first().map(|l| labels[*l].attack_id.clone());
            false_alerts.push(FalseAlert { alert: (*alert).clone(), near_miss });
        }
    }
    let hits = labels.into_iter().zip(detected).collect::<Vec<_>>();
    let rules = rule_scores(&hits, &alerts, &false_alerts);
    Score {
        planted: rules.iter().map(|r| r.planted).sum(),
        detected: rules.iter().map(|r| r.detected).sum(),
        near_misses: rules.iter().map(|r| r.near_misses).sum(),
        uncovered,
        alerts: alerts.len(),
        missed: hits.iter().filter(|(l, hit)| !l.near_miss && !hit).map(|(l, _)| l.attack_id.clone()).collect(),
        false_alerts,
        rules,
    }
}

impl Label {
    /// True if the alert is of a rule that may alert on this beside its own.
    fn expects(&self, alert: &AlertSeen) -> bool {
        let is_source = || alert.key.get("src_ip").is_some_and(|ip| self.sources.contains(ip));
        self.also.contains(&alert.rule)
            && self.tenant == alert.tenant
            && (fits(self, alert) || (overlaps(self, alert) && !alert.key.contains_key("dst_ip") && is_source()))
    }

    /// True if the alert is about this attack or near miss, as [`score()`] takes it; the caller sees to rule and tenant.
    pub fn fits(&self, alert: &AlertSeen) -> bool {
        fits(self, alert)
    }
}

fn fits(label: &Label, alert: &AlertSeen) -> bool {
    let mut common = label.key.iter().filter_map(|(name, value)| Some((value, alert.key.get(name)?))).peekable();
    overlaps(label, alert) && common.peek().is_some() && common.all(|(ours, theirs)| ours == theirs)
}

fn overlaps(label: &Label, alert: &AlertSeen) -> bool {
    alert.window_start <= label.end_us && alert.window_end >= label.start_us
}

fn rule_scores(hits: &[(&Label, bool)], alerts: &BTreeSet<&AlertSeen>, wrong: &[FalseAlert]) -> Vec<RuleScore> {
    let mut rules: BTreeMap<&str, RuleScore> = BTreeMap::new();
    for (label, hit) in hits {
        let rule = rules.entry(&label.rule).or_default();
        rule.planted += usize::from(!label.near_miss);
        rule.near_misses += usize::from(label.near_miss);
        rule.detected += usize::from(!label.near_miss && *hit);
    }
    alerts.iter().for_each(|a| rules.entry(&a.rule).or_default().alerts += 1);
    wrong.iter().for_each(|f| rules.entry(&f.alert.rule).or_default().false_alerts += 1);
    rules.into_iter().map(|(name, score)| RuleScore { rule: name.to_owned(), ..score }).collect()
}

impl fmt::Display for Score {
    /// The table by rule, then what was missed and what was false.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28} {:>7} {:>8} {:>11} {:>6} {:>5}",
            "rule", "planted", "detected", "near misses", "alerts", "false"
        )?;
        for r in &self.rules {
            let (name, counts) = (&r.rule, (r.planted, r.detected, r.near_misses, r.alerts, r.false_alerts));
            writeln!(f, "{name:<28} {:>7} {:>8} {:>11} {:>6} {:>5}", counts.0, counts.1, counts.2, counts.3, counts.4)?;
        }
        if self.uncovered > 0 {
            writeln!(f, "not covered by a loaded rule: {} attacks", self.uncovered)?;
        }
        for id in &self.missed {
            writeln!(f, "missed: {id}")?;
        }
        for FalseAlert { alert, near_miss } in &self.false_alerts {
            let of = near_miss.as_deref().unwrap_or("background");
            writeln!(f, "false: {} {} {:?} ({of})", alert.rule, alert.tenant, alert.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
