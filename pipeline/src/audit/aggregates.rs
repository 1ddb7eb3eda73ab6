//! I4: what the stream found is what batch SQL finds. Each rule runs a second time, by plain DataFusion over the stored rows,
//! and gives the same alerts as stand in `detection_finding`.
//!
//! A Sigma rule has no SQL and is left out. Compared are the windows that have closed: an open one may still change. Windows that missed rows (`late_window`) are left
//! out and counted, and rows that were read back stand aside: no rule has seen them. Values are compared as text; floats to nine digits, since the order of a sum may differ.

use std::collections::{BTreeMap, BTreeSet};

use aggregate::{BatchAlert, BatchFound, Rule, RuleSet};
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use dataflow::Table;
use datafusion::prelude::SessionContext;
use serde_json::Value;

use super::facts::{Facts, Key};
use super::{Faults, Sql, Verdict};
use crate::reprocess::IS_REPROCESSED;
use crate::warehouse_sql::{query, texts};

/// Alerts of one rule: each with how often it is there.
type Alerts = BTreeMap<BatchAlert, i64>;

/// Runs every rule over the tables and compares.
pub(super) async fn check(facts: &Facts, sql: Sql<'_>, rules: &RuleSet) -> anyhow::Result<Verdict> {
    let session = sql.map_err(anyhow::Error::msg)?;
    if let Some(reason) = other_rules(facts, rules).or_else(|| unmerged(facts)) {
        return Ok(Verdict::not_checked(reason));
    }
    aggregate::register_functions(session);
    let closed = closed_until(facts);
    let missed = missed(session).await?;
    let given = given(session).await?;
    let seen = if facts.any_reprocessed() { &without_reprocessed(session).await? } else { session };
    let (mut faults, mut compared, mut left_out, mut excepted, mut suppressed) = (Faults::default(), 0, 0, 0, 0);
    let (sigma, rules): (Vec<_>, Vec<_>) = rules.rules().iter().partition(|rule| rule.is_sigma());
    for rule in &rules {
        let stream = given.get(rule.uid()).cloned().unwrap_or_default();
        let found = match computed(seen, rule).await {
            Ok(found) => found,
            Err(e) => return Ok(Verdict::not_checked(format!("rule {}: no batch result: {e:#}", rule.name()))),
        };
        let missed = reached(rule, &missed, stream.keys().chain(&found.alerts).chain(&found.suppressed));
        let skip = |alert: &BatchAlert| is_left_out(alert, closed, &missed);
        excepted += found.excepted.iter().filter(|alert| !skip(alert)).count();
        suppressed += found.suppressed.iter().filter(|alert| !skip(alert)).count();
        let batch = counted(found.alerts);
        left_out += stream.keys().filter(|a| skip(a)).count();
        let (stream, batch) = (without(stream, &skip), without(batch, &skip));
        compared += batch.len();
        differences(rule, &stream, &batch, &mut faults);
    }
    let no_sql = if sigma.is_empty() { String::new() } else { format!("; {} Sigma rules are no SQL", sigma.len()) };
    let held = [(excepted, "taken away by exceptions"), (suppressed, "suppressed")];
    let held = held.into_iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("; {n} {how}"));
    let held: String = held.collect();
    let rules = rules.len();
    let said = format!("{compared} alerts of {rules} rules; {left_out} of open or late windows left out{held}{no_sql}");
    Ok(faults.verdict(said))
}

/// Rules of another version decided some of the alerts.
fn other_rules(facts: &Facts, rules: &RuleSet) -> Option<String> {
    let ruled = facts.entries().filter(|(key, _, _)| !key.is_reprocessed());
    let versions = ruled.filter_map(|(_, _, entry)| entry.versions().get("rules"));
    let other = versions.into_iter().find(|v| *v != rules.version())?;
    let loaded = rules.version();
    Some(format!("rules of version {other} ran, {loaded} are loaded: give the configuration with -c"))
}

/// Ranges that no step has merged, or rows that a table lacks.
fn unmerged(facts: &Facts) -> Option<String> {
    let mut chains = facts.chains.iter().filter_map(|c| Some((&c.key, c.ends()?.1)));
    chains.find_map(|(key, end)| match key {
        Key::Merge(_) => behind(facts, key, end),
        Key::Source(_) if key.is_reprocessed() => None,
        Key::Source(partition) => {
            let heads = facts.chains.iter().filter_map(|c| c.entries.values().last()?.merge());
            let merged = heads.map(|m| m.vector.get(partition).copied().unwrap_or(0)).min();
            match merged {
                Some(merged) if merged >= end => behind(facts, key, end),
                _ => Some(format!("{key}: ranges below {end} wait for a merge step; let the worker finish")),
            }
        }
    })
}

/// Rows of the chain that wait for a table.
fn behind(facts: &Facts, key: &Key, end: i64) -> Option<String> {
    let chain = facts.chain(key)?;
    let waits = |start: i64, table| {
        facts.tables.iter().find(|t| t.table == table)?.next(key).is_none_or(|n| n <= start).then_some(())
    };
    let waiting = chain.iter().any(|(start, entry)| entry.tables().keys().any(|t| waits(start, *t).is_some()));
    waiting.then(|| format!("{key}: rows below {end} wait for their tables; let the worker finish"))
}

/// Windows that end here or earlier have closed in every group. A step's watermark may be below an earlier one's; what has
/// closed stays closed.
fn closed_until(facts: &Facts) -> i64 {
    let groups = facts.chains.iter().filter(|c| matches!(c.key, Key::Merge(_)));
    let reached = |c: &super::facts::Chain| c.entries.values().filter_map(|e| e.merge()?.watermark).max();
    groups.map(|c| reached(c).unwrap_or(i64::MIN)).min().unwrap_or(i64::MIN)
}

/// Stretches of time in which windows of a rule missed rows of a tenant.
type Missed = BTreeMap<(String, String), Vec<(i64, i64)>>;

async fn missed(session: &SessionContext) -> anyhow::Result<Missed> {
    let mut missed = Missed::new();
    for batch in query(session, "SELECT rule_uid, tenant_uid, pane_start, pane_end FROM late_window").await? {
        let (rules, tenants) = (texts(&batch, "rule_uid")?, texts(&batch, "tenant_uid")?);
        for (row, (rule, tenant)) in rules.into_iter().zip(tenants).enumerate() {
            let pane = (time(&batch, "pane_start", row)?, time(&batch, "pane_end", row)?);
            let (Some(start), Some(end)) = pane else { continue };
            missed.entry((rule.unwrap_or_default(), tenant.unwrap_or_default())).or_default().push((start, end));
        }
    }
    Ok(missed)
}

/// The stretches in which a rule's windows missed rows, by tenant. With suppression such a window may have kept others back that it
/// should not have, or not those that it should: each stretch goes on for as long as alerts follow that may hang on it.
fn reached<'a>(
    rule: &Rule,
    missed: &Missed,
    alerts: impl Iterator<Item = &'a BatchAlert>,
) -> BTreeMap<String, Vec<(i64, i64)>> {
    let own = missed.iter().filter(|((uid, _), _)| uid == rule.uid());
    let mut own: BTreeMap<String, Vec<(i64, i64)>> =
        own.map(|((_, tenant), panes)| (tenant.clone(), panes.clone())).collect();
    if rule.suppress_us() == 0 || own.is_empty() {
        return own;
    }
    let starts: BTreeSet<(&str, i64)> = alerts.filter_map(|a| Some((a.tenant.as_str(), a.window?.0))).collect();
    let size = rule.window_us().map_or(0, |(_, _, size)| size);
    for (tenant, stretches) in &mut own {
        for (from, to) in stretches {
            *to += rule.suppress_us();
            let later = starts.range((tenant.as_str(), from.saturating_sub(size))..);
            for (_, start) in later.take_while(|(of, _)| *of == tenant.as_str()) {
                if *start >= *to {
                    break;
                }
                *to = (*to).max(start + rule.suppress_us());
            }
        }
    }
    own
}

fn is_left_out(alert: &BatchAlert, closed: i64, missed: &BTreeMap<String, Vec<(i64, i64)>>) -> bool {
    let Some((start, end)) = alert.window else { return false };
    let panes = missed.get(&alert.tenant);
    end > closed || panes.into_iter().flatten().any(|pane| pane.0 < end && start < pane.1)
}

fn without(alerts: Alerts, skip: &impl Fn(&BatchAlert) -> bool) -> Alerts {
    alerts.into_iter().filter(|(alert, _)| !skip(alert)).collect()
}

/// Palisade's alerts in their final revision, by rule; those that were closed are gone.
async fn given(session: &SessionContext) -> anyhow::Result<BTreeMap<String, Alerts>> {
    let sql = "SELECT finding_info.analytic.uid AS rule, finding_info.uid AS uid, tenant_uid, _window_start, _window_end, unmapped, \
                      coalesce(_revision, 0) AS revision, activity_id \
               FROM detection_finding WHERE substr(_topic, 1, 1) = '_' ORDER BY 2, 7";
    let mut last: BTreeMap<String, (String, Option<BatchAlert>)> = BTreeMap::new();
    for batch in query(session, sql).await? {
        let column = |name| texts(&batch, name);
        let (rules, uids, tenants, values) =
            (column("rule")?, column("uid")?, column("tenant_uid")?, column("unmapped")?);
        let activity = batch.column_by_name("activity_id").context("no column activity_id")?.clone();
        for row in 0..batch.num_rows() {
            let text = |values: &[Option<String>]| values[row].clone().unwrap_or_default();
            let window = (time(&batch, "_window_start", row)?, time(&batch, "_window_end", row)?);
            let window = window.0.zip(window.1);
            let stands = activity.as_primitive::<Int32Type>().value(row) != 3;
            let alert = BatchAlert { tenant: text(&tenants), window, values: normal(&text(&values)) };
            last.insert(text(&uids), (text(&rules), stands.then_some(alert)));
        }
    }
    let mut given: BTreeMap<String, Alerts> = BTreeMap::new();
    for (rule, alert) in last.into_values() {
        alert.into_iter().for_each(|a| *given.entry(rule.clone()).or_default().entry(a).or_default() += 1);
    }
    Ok(given)
}

/// The tables as the rules saw them: without rows that were read back.
async fn without_reprocessed(session: &SessionContext) -> anyhow::Result<SessionContext> {
    let seen = SessionContext::new_with_config(session.copied_config());
    aggregate::register_functions(&seen);
    for table in Table::ALL {
        let rows = match table {
            Table::LateWindow => session.table(table.name()).await?,
            _ => session.sql(&format!("SELECT * FROM {table} WHERE NOT {IS_REPROCESSED}")).await?,
        };
        seen.register_table(table.name(), rows.into_view())?;
    }
    Ok(seen)
}

/// What the rule finds as batch SQL.
async fn computed(session: &SessionContext, rule: &Rule) -> anyhow::Result<BatchFound> {
    let batch_query = rule.batch_query().map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut rows = Vec::new();
    for batch in query(session, &batch_query.sql).await? {
        rows.extend(batch_query.rows(&batch)?);
    }
    Ok(batch_query.found(rows))
}

fn counted(all: Vec<BatchAlert>) -> Alerts {
    let mut alerts = Alerts::new();
    for alert in all {
        *alerts.entry(BatchAlert { values: normal(&alert.values), ..alert }).or_default() += 1;
    }
    alerts
}

fn differences(rule: &Rule, stream: &Alerts, batch: &Alerts, faults: &mut Faults) {
    let count = |alerts: &Alerts, alert: &BatchAlert| alerts.get(alert).copied().unwrap_or(0);
    let all: std::collections::BTreeSet<&BatchAlert> = stream.keys().chain(batch.keys()).collect();
    for alert in all {
        let (given, due) = (count(stream, alert), count(batch, alert));
        if given != due {
            let window =
                alert.window.map_or(String::new(), |(start, _)| format!(" from {}", dataflow::time::rfc3339(start)));
            let (name, tenant, values) = (rule.name(), &alert.tenant, &alert.values);
            faults.add(|| format!("{name} of {tenant}{window} {values}: {given} alerts, batch SQL finds {due}"));
        }
    }
}

fn time(batch: &RecordBatch, name: &str, row: usize) -> anyhow::Result<Option<i64>> {
    let column = batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>().with_context(|| format!("{name} is no time"))?;
    Ok(times.is_valid(row).then(|| times.value(row)))
}

/// The JSON with floats to nine digits.
fn normal(json: &str) -> String {
    fn round(value: &mut Value) {
        match value {
            Value::Number(n) if n.is_f64() => {
                *value = Value::String(n.as_f64().map_or_else(String::new, |f| format!("{f:.9e}")));
            }
            Value::Array(values) => values.iter_mut().for_each(round),
            Value::Object(map) => map.values_mut().for_each(round),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            round(&mut value);
            value.to_string()
        }
        Err(_) => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_compared_to_nine_digits_and_all_else_exactly() {
        assert_eq!(normal(r#"{"a":0.30000000000000004}"#), normal(r#"{"a":0.3}"#));
        assert_ne!(normal(r#"{"a":0.30000004}"#), normal(r#"{"a":0.3}"#));
        assert_ne!(normal(r#"{"a":9007199254740993}"#), normal(r#"{"a":9007199254740992}"#));
        assert_eq!(normal("no json"), "no json");
    }
}
