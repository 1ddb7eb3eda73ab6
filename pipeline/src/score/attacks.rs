//! Attacks and what was made of them: which alerts fit, and how long they took.

use std::collections::{BTreeMap, HashMap};

use aggregate::RuleSet;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::{PartitionId, Table};
use datafusion::prelude::SessionContext;
use loadgen::{AlertSeen, Label};
use serde::Serialize;

use super::queryable::Commits;
use crate::account::{self, Identity};
use crate::warehouse_sql::{self, query, texts};

/// An alert as the table has it, and when it was known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredAlert {
    pub(super) seen: AlertSeen,
    /// When the step that raised it was decided, microseconds UTC; an alert of a filter rule does not say.
    pub(super) decided_us: Option<i64>,
    /// When it could be queried.
    pub(super) queryable_us: Option<i64>,
}

/// One attack, detected or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Attack {
    pub(crate) attack_id: String,
    pub(crate) rule: String,
    pub(crate) tenant: String,
    pub(crate) variant: String,
    /// Times the rule's threshold.
    pub(crate) intensity: f64,
    /// Alerts that fit it.
    pub(crate) alerts: u64,
    pub(crate) detected: bool,
    /// From the receipt of the record with which it met the rule to the step that raised the alert; none of filter rules.
    pub(crate) seconds_to_alert: Option<f64>,
    /// The same to an alert that can be queried.
    pub(crate) seconds_to_queryable: Option<f64>,
    /// From the receipt of its first record to an alert that can be queried.
    pub(crate) seconds_from_first: Option<f64>,
}

/// Receipts of the records of every attack, in their order, microseconds UTC.
pub(super) type Receipts = HashMap<String, Vec<i64>>;

/// The alerts of the table, each with its first times.
pub(super) async fn stored(
    session: &SessionContext,
    rules: &RuleSet,
    commits: &Commits,
) -> anyhow::Result<Vec<StoredAlert>> {
    let mut known = first_known(session, commits).await?;
    let alerts = account::identified_alerts(session, rules).await?;
    Ok(alerts
        .into_iter()
        .map(|(uid, seen)| {
            let (decided_us, queryable_us) = known.remove(&uid).unwrap_or_default();
            StoredAlert { seen, decided_us, queryable_us }
        })
        .collect())
}

/// When an alert's first revision was decided, and when it could be queried.
type FirstKnown = (Option<i64>, Option<i64>);

/// Of each alert's id: when its first revision was decided and could be queried.
async fn first_known(session: &SessionContext, commits: &Commits) -> anyhow::Result<HashMap<String, FirstKnown>> {
    let mut known = HashMap::new();
    for table in commits.tables(Table::DetectionFinding) {
        let sql = format!(
            "SELECT finding_info.uid AS uid, _topic, _incarnation, _partition_id, _offset, start_time, \
                 finding_info.created_time AS created FROM {} WHERE _topic LIKE '\\_%' ESCAPE '\\'",
            warehouse_sql::name(table)
        );
        for batch in query(session, &sql).await? {
            let at = |chain: &str, offset| commits.at(table, chain, offset);
            note_known(&batch, at, &mut known)?;
        }
    }
    Ok(known)
}

fn note_known(
    batch: &RecordBatch,
    committed_at: impl Fn(&str, i64) -> Option<i64>,
    known: &mut HashMap<String, FirstKnown>,
) -> anyhow::Result<()> {
    let earlier = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let [uids, topics, incarnations] = [texts(batch, "uid")?, texts(batch, "_topic")?, texts(batch, "_incarnation")?];
    for row in 0..batch.num_rows() {
        let text = |values: &[Option<String>]| values[row].clone().unwrap_or_default();
        let chain = chain(&text(&topics), &text(&incarnations), int(batch, "_partition_id", row));
        let at = committed_at(&chain, long(batch, "_offset", row));
        let window = time(batch, "start_time", row);
        let decided = window.and(time(batch, "created", row));
        let entry = known.entry(text(&uids)).or_default();
        *entry = (earlier(entry.0, decided), earlier(entry.1, at));
    }
    Ok(())
}

/// The chain that brought an alert: a merge group's, or that of the partition whose event it is.
fn chain(topic: &str, incarnation: &str, partition: i32) -> String {
    match topic.strip_prefix("_rule/").and_then(|rest| rest.split_once('/')) {
        Some((_, source)) => PartitionId::new(source, incarnation, partition).path(),
        None => format!("{topic}/{partition}"),
    }
}

/// When the records of each attack were received; the session knows the truth.
pub(super) async fn receipts(session: &SessionContext, identity: Identity) -> anyhow::Result<Receipts> {
    let events = Table::EVENTS.map(|table| {
        format!(
            "SELECT _topic AS topic, {}, _partition_id AS part, _record AS rec, _received_at AS received FROM {table}",
            identity.columns()
        )
    });
    let sql = format!(
        "SELECT t.attack_id, s.received FROM truth t JOIN ({}) s
           ON s.topic = t.topic AND s.incarnation = t.incarnation AND s.part = t.\"partition\"
          AND s.off = t.\"offset\" AND s.rec = t.\"record\"
         WHERE t.attack_id IS NOT NULL ORDER BY t.attack_id, s.received",
        events.join(" UNION ALL ")
    );
    let mut receipts = Receipts::new();
    for batch in query(session, &sql).await? {
        for (row, id) in texts(&batch, "attack_id")?.into_iter().enumerate() {
            receipts.entry(id.unwrap_or_default()).or_default().extend(time(&batch, "received", row));
        }
    }
    Ok(receipts)
}

/// Every attack, in the order of the labels.
pub(super) fn attacks(labels: &[Label], alerts: &[StoredAlert], receipts: &Receipts) -> Vec<Attack> {
    let mut by_rule: BTreeMap<(&str, &str), Vec<&StoredAlert>> = BTreeMap::new();
    for alert in alerts {
        by_rule.entry((&alert.seen.rule, &alert.seen.tenant)).or_default().push(alert);
    }
    let of = |label: &Label| {
        let candidates = by_rule.get(&(label.rule.as_str(), label.tenant.as_str())).map_or(&[][..], Vec::as_slice);
        let fitting: Vec<&StoredAlert> = candidates.iter().copied().filter(|a| label.fits(&a.seen)).collect();
        attack(label, &fitting, receipts.get(&label.attack_id).map_or(&[][..], Vec::as_slice))
    };
    labels.iter().filter(|label| !label.near_miss && !label.is_uncovered).map(of).collect()
}

fn attack(label: &Label, alerts: &[&StoredAlert], received: &[i64]) -> Attack {
    let decided = alerts.iter().filter_map(|a| a.decided_us).min();
    let queryable = alerts.iter().filter_map(|a| a.queryable_us).min();
    let due = received.get(crossing(received.len(), label.intensity)).copied();
    let since = |from: Option<i64>, to: Option<i64>| Some(((to? - from?) as f64 / 1e6).max(0.0));
    Attack {
        attack_id: label.attack_id.clone(),
        rule: label.rule.clone(),
        tenant: label.tenant.clone(),
        variant: label.variant.clone(),
        intensity: label.intensity,
        alerts: alerts.len() as u64,
        detected: !alerts.is_empty(),
        seconds_to_alert: since(due, decided),
        seconds_to_queryable: since(due, queryable),
        seconds_from_first: since(received.first().copied(), queryable),
    }
}

/// Of `records`, which come to so many times the threshold, the first beyond the threshold: from 0.
fn crossing(records: usize, intensity: f64) -> usize {
    let last = records.saturating_sub(1);
    ((last as f64 / intensity.max(1.0)) as usize).min(last)
}

fn int(batch: &RecordBatch, name: &str, row: usize) -> i32 {
    batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int32Type>()).map_or(0, |c| c.value(row))
}

fn long(batch: &RecordBatch, name: &str, row: usize) -> i64 {
    batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).map_or(0, |c| c.value(row))
}

fn time(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    column.is_valid(row).then(|| column.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(intensity: f64) -> Label {
        Label {
            attack_id: "port_scan-1".to_owned(),
            rule: "port_scan".to_owned(),
            tenant: "acme".to_owned(),
            key: [("src_ip".to_owned(), "10.0.0.1".to_owned())].into(),
            start_us: 0,
            end_us: 100,
            intensity,
            near_miss: false,
            variant: "scan".to_owned(),
            ..Label::default()
        }
    }

    fn alert(ip: &str, decided_us: Option<i64>, queryable_us: i64) -> StoredAlert {
        let seen = AlertSeen {
            rule: "port_scan".to_owned(),
            tenant: "acme".to_owned(),
            key: [("src_ip".to_owned(), ip.to_owned())].into(),
            window_start: 0,
            window_end: 60,
        };
        StoredAlert { seen, decided_us, queryable_us: Some(queryable_us) }
    }

    #[test]
    fn time_to_detect_counts_from_the_record_that_met_the_rule() {
        let receipts = Receipts::from([("port_scan-1".to_owned(), (0..=20).map(|i| i * 1_000_000).collect())]);
        let alerts = [
            alert("10.0.0.1", Some(14_000_000), 20_000_000),
            alert("10.0.0.1", Some(13_000_000), 22_000_000),
            alert("10.0.0.2", Some(0), 0),
        ];
        let found = attacks(&[label(2.0)], &alerts, &receipts).remove(0);
        assert_eq!((found.alerts, found.detected), (2, true));
        assert_eq!(
            (found.seconds_to_alert, found.seconds_to_queryable, found.seconds_from_first),
            (Some(3.0), Some(10.0), Some(20.0))
        );
    }

    #[test]
    fn an_attack_without_an_alert_has_no_times() {
        let found = attacks(&[label(2.0)], &[], &Receipts::new()).remove(0);
        assert!(!found.detected && found.seconds_to_queryable.is_none() && found.seconds_from_first.is_none());
    }

    #[test]
    fn the_crossing_is_within_the_records() {
        for (records, intensity, want) in
            [(0, 2.0, 0), (1, 1.0, 0), (21, 1.0, 20), (21, 2.0, 10), (3, 0.5, 2), (251, 1.0, 250)]
        {
            assert_eq!(crossing(records, intensity), want, "{records} {intensity}");
        }
    }

    #[test]
    fn an_alert_comes_by_its_sources_chain_or_its_groups() {
        assert_eq!(chain("_rule/some-uid/firewall.acme", "i", 2), "firewall.acme@i/2");
        assert_eq!(chain("_merge", "0", 3), "_merge/3");
    }
}
