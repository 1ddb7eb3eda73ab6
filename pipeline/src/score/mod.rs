//! The score: what a warehouse that read a fleet's records makes of them, beside what the fleet knows.
//!
//! **Data in:** labels and truth of a fleet, and the tables. **Data out:** a [`Report`]: what was lost, doubled, altered or
//! reordered, which attacks were found, how late, what else alerted; as a table, as JSON, and as a page with plots.
//!
//! Everything is read back from the tables and their snapshots, nothing from a running worker: an event could be queried
//! when the snapshot that took in its range was committed. Absent on purpose: a judgment. What is too late or too much is
//! for whoever reads it, or for a gate.

mod attacks;
mod flow;
mod html;
mod queryable;
mod svg;
mod text;

use std::path::Path;

use aggregate::RuleSet;
use anyhow::Context;
use loadgen::Label;
use serde::Serialize;
use sinks::Warehouse;

pub(crate) use attacks::Attack;

use crate::account::{self, Account, Identity};
use crate::summary::Percentiles;
use crate::warehouse_sql;
use flow::{Minutes, Order};
use queryable::{Bucket, Commits};

/// See the module's front.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) events_generated: u64,
    pub(crate) events_committed: u64,
    pub(crate) dead_letters: u64,
    pub(crate) unaccounted: u64,
    /// Lost: in the truth, in no table.
    pub(crate) missing: u64,
    pub(crate) extra: u64,
    /// Duplicates.
    pub(crate) doubled: u64,
    pub(crate) altered: u64,
    /// Events out of order within their partitions, as they were sent and as they are stored.
    pub(crate) order_sent: Order,
    pub(crate) order_stored: Order,
    pub(crate) attacks_planted: u64,
    pub(crate) attacks_detected: u64,
    /// Attacks that no loaded rule is about.
    pub(crate) attacks_uncovered: u64,
    pub(crate) near_misses_planted: u64,
    pub(crate) alerts: u64,
    pub(crate) false_alerts: u64,
    /// Attacks detected, of those planted; none if none was.
    pub(crate) recall: Option<f64>,
    /// Alerts that fit an attack, of all; none if there is no alert.
    pub(crate) precision: Option<f64>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) attacks: Vec<Attack>,
    /// From receipt to queryable, of every stored event.
    pub(crate) queryable_ms: Percentiles,
    pub(crate) queryable_histogram: Vec<Bucket>,
    /// Events by the time that they tell.
    pub(crate) minutes: Minutes,
}

/// One rule's line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Rule {
    pub(crate) rule: String,
    pub(crate) planted: u64,
    pub(crate) detected: u64,
    pub(crate) near_misses: u64,
    pub(crate) alerts: u64,
    pub(crate) false_alerts: u64,
    pub(crate) recall: Option<f64>,
    pub(crate) precision: Option<f64>,
    /// Of the attacks that were detected, from the record that met the rule to an alert that can be queried.
    pub(crate) seconds_to_queryable_median: Option<f64>,
}

impl Report {
    /// Reads the warehouse back and compares it with the truth in `folder`.
    ///
    /// # Errors
    /// If truth, labels, tables or snapshots cannot be read.
    pub(crate) async fn read(
        warehouse: &Warehouse,
        folder: &Path,
        identity: Identity,
        rules: &RuleSet,
    ) -> anyhow::Result<Self> {
        let labels = labels(folder)?;
        let session = warehouse_sql::session(warehouse).await?;
        let account = account::account(&session, &folder.join("truth.parquet"), identity).await?;
        let commits = Commits::read(warehouse).await?;
        let alerts = attacks::stored(&session, rules, &commits).await?;
        let seen: Vec<_> = alerts.iter().map(|a| a.seen.clone()).collect();
        let score = loadgen::score(&labels, &seen);
        let receipts = attacks::receipts(&session, identity).await?;
        let attacks = attacks::attacks(&labels, &alerts, &receipts);
        let latency = queryable::latency(&session, &commits).await?;
        let [order_sent, order_stored] = flow::order(&session, identity).await?;
        Ok(Self {
            rules: score.rules.iter().map(|r| rule(r, &attacks)).collect(),
            order_sent,
            order_stored,
            queryable_ms: (&latency).into(),
            queryable_histogram: queryable::histogram(&latency),
            minutes: flow::minutes(&session, identity).await?,
            attacks,
            ..Self::counts(&account, &score)
        })
    }

    fn counts(account: &Account, score: &loadgen::Score) -> Self {
        let false_alerts = score.false_alerts.len();
        Self {
            events_generated: account.generated,
            events_committed: account.rows,
            dead_letters: account.dead_letters,
            unaccounted: account.unaccounted(),
            missing: account.missing,
            extra: account.extra,
            doubled: account.doubled,
            altered: account.altered,
            attacks_planted: score.planted as u64,
            attacks_detected: score.detected as u64,
            attacks_uncovered: score.uncovered as u64,
            near_misses_planted: score.near_misses as u64,
            alerts: score.alerts as u64,
            false_alerts: false_alerts as u64,
            recall: share(score.detected, score.planted),
            precision: share(score.alerts.saturating_sub(false_alerts), score.alerts),
            order_sent: Order::default(),
            order_stored: Order::default(),
            rules: Vec::new(),
            attacks: Vec::new(),
            queryable_ms: Percentiles::default(),
            queryable_histogram: Vec::new(),
            minutes: Minutes::default(),
        }
    }

    /// True if nothing is lost, doubled or changed, every attack was detected, and nothing else alerted.
    pub(crate) fn is_perfect(&self) -> bool {
        self.unaccounted == 0 && self.attacks_detected == self.attacks_planted && self.false_alerts == 0
    }
}

fn labels(folder: &Path) -> anyhow::Result<Vec<Label>> {
    let file = folder.join("labels.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", file.display()))
}

fn rule(score: &loadgen::RuleScore, attacks: &[Attack]) -> Rule {
    let of_rule = attacks.iter().filter(|a| a.rule == score.rule);
    let mut seconds: Vec<f64> = of_rule.filter_map(|a| a.seconds_to_queryable).collect();
    seconds.sort_by(f64::total_cmp);
    Rule {
        rule: score.rule.clone(),
        planted: score.planted as u64,
        detected: score.detected as u64,
        near_misses: score.near_misses as u64,
        alerts: score.alerts as u64,
        false_alerts: score.false_alerts as u64,
        recall: share(score.detected, score.planted),
        precision: share(score.alerts.saturating_sub(score.false_alerts), score.alerts),
        seconds_to_queryable_median: seconds.get(seconds.len() / 2).copied(),
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
