//! I4: what the stream found is what batch SQL finds. Each rule runs a second time, by plain DataFusion over the stored rows,
//! and gives the same alerts as stand in `detection_finding`.
//!
//! A Sigma rule and a watch have no SQL and are left out. A rule that came or went in between is compared over the rows that it has seen
//! (`seen.rs`). Compared are the windows that have closed: an open one may still change. Windows that missed rows (`late_window`) are left
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
use super::seen::Seen;
use super::{Faults, Sql, Verdict};
use crate::reprocess::IS_REPROCESSED;
use crate::rules::Held;
use crate::warehouse_sql::{query, texts};

/// Alerts of one rule: each with how often it is there.
type Alerts = BTreeMap<BatchAlert, i64>;

/// Runs every rule over the tables and compares.
pub(super) async fn check(facts: &Facts, sql: Sql<'_>, rules: &RuleSet) -> anyhow::Result<Verdict> {
    let session = sql.map_err(anyhow::Error::msg)?;
    let (others, sql_rules): (Vec<_>, Vec<_>) =
        rules.rules().iter().partition(|rule| rule.is_sigma() || rule.is_watch());
    let watches = others.iter().filter(|rule| rule.is_watch()).count();
    let ran = sql_rules.into_iter().map(|rule| Ok((rule, Seen::of(facts, rules, rule)?)));
    let ran: Vec<_> = match ran.collect::<Result<_, String>>() {
        Ok(ran) => ran,
        Err(reason) => return Ok(Verdict::not_checked(reason)),
    };
    if let Some(reason) = unmerged(facts) {
        return Ok(Verdict::not_checked(reason));
    }
    aggregate::register_functions(session);
    let closed = closed_until(facts);
    let missed = missed(session).await?;
    let given = given(session).await?;
    let seen = if facts.any_reprocessed() { &without_reprocessed(session).await? } else { session };
    let sums = Sums { sigma: others.len() - watches, watches, gone: gone(facts, rules), ..Sums::default() };
    let mut comparison = Comparison {
        session: seen,
        rule_sets: &facts.rule_sets,
        closed,
        missed,
        given,
        faults: Faults::default(),
        sums,
    };
    for (rule, rows) in &ran {
        comparison.compare(rule, rows).await;
    }
    Ok(comparison.verdict())
}

/// One rule after the other.
struct Comparison<'a> {
    session: &'a SessionContext,
    rule_sets: &'a BTreeMap<String, Held>,
    closed: i64,
    missed: Missed,
    given: BTreeMap<RuleVersion, Alerts>,
    faults: Faults,
    sums: Sums,
}

impl Comparison<'_> {
    async fn compare(&mut self, rule: &Rule, rows: &Seen) {
        if rows.is_nothing() {
            self.sums.never += 1;
            return;
        }
        if rows.is_lost() {
            self.sums.lost += 1;
            return;
        }
        if self.keeps_back_otherwise(rule) {
            self.sums.otherwise += 1;
            return;
        }
        let found = match of_rows(self.session, rows, rule).await {
            Ok(found) => found,
            Err(e) => return self.sums.no_result.push(format!("{}: {e:#}", rule.name())),
        };
        let stream = self.given.remove(&(rule.uid().to_owned(), rule.version().to_string())).unwrap_or_default();
        let missed = reached(rule, &self.missed, stream.keys().chain(&found.alerts).chain(&found.suppressed));
        let skip = |alert: &BatchAlert| rows.misses(alert.window) || is_left_out(alert, self.closed, &missed);
        self.sums.excepted += found.excepted.iter().filter(|alert| !skip(alert)).count();
        self.sums.suppressed += found.suppressed.iter().filter(|alert| !skip(alert)).count();
        self.sums.left_out += stream.keys().filter(|a| skip(a)).count();
        let (stream, batch) = (without(stream, &skip), without(counted(found.alerts), &skip));
        self.sums.note(rows, &batch);
        differences(rule, &stream, &batch, &mut self.faults);
    }

    /// True if the rule ran with other exceptions, or another suppression, than it has now.
    fn keeps_back_otherwise(&self, rule: &Rule) -> bool {
        let own = rule.keeps_back();
        let ran = self.rule_sets.values().filter_map(|held| held.get(rule.fingerprint()));
        ran.into_iter().any(|ran| ran.keeps_back != own)
    }

    fn verdict(self) -> Verdict {
        let Self { faults, sums, .. } = self;
        if sums.rules == 0 && sums.lost > 0 {
            return Verdict::not_checked("no loaded rule ran all of the time whose entries are collected");
        }
        if sums.rules == 0 && sums.never > 0 {
            return Verdict::not_checked("none of the loaded rules ran: give the configuration with -c");
        }
        if faults.total == 0 && !sums.no_result.is_empty() {
            let failed = sums.no_result.join("; ");
            return Verdict::not_checked(format!("{}; no batch result: {failed}", sums.detail()));
        }
        faults.verdict(sums.detail())
    }
}

/// What was compared, and what was not.
#[derive(Debug, Default)]
struct Sums {
    rules: usize,
    alerts: usize,
    left_out: usize,
    sigma: usize,
    watches: usize,
    partly: usize,
    never: usize,
    gone: usize,
    otherwise: usize,
    lost: usize,
    excepted: usize,
    suppressed: usize,
    /// Rules whose SQL fails over the rows, and why.
    no_result: Vec<String>,
}

impl Sums {
    fn note(&mut self, rows: &Seen, batch: &Alerts) {
        self.rules += 1;
        self.alerts += batch.len();
        self.partly += usize::from(rows.condition().is_some());
    }

    fn detail(&self) -> String {
        let Self { rules, alerts, left_out, .. } = self;
        let mut detail = format!("{alerts} alerts of {rules} rules; {left_out} of open or late windows left out");
        let more = [
            (self.excepted, "taken away by exceptions"),
            (self.suppressed, "suppressed"),
            (self.sigma, "Sigma rules are no SQL"),
            (self.watches, "watches are no SQL"),
            (self.partly, "rules ran for a part of the time: compared over the rows that they saw"),
            (self.never, "rules never ran"),
            (self.otherwise, "rules had other exceptions or another suppression before: not compared"),
            (self.lost, "rules ran for a part of the time whose entries are collected: not compared"),
            (self.gone, "rules, or versions of rules, ran that are not loaded"),
        ];
        for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
            detail += &format!("; {count} {what}");
        }
        detail
    }
}

/// How many rules ran that cannot be asked.
fn gone(facts: &Facts, rules: &RuleSet) -> usize {
    let ran: BTreeSet<&String> = facts.rule_sets.values().flat_map(|held| held.keys()).collect();
    ran.into_iter().filter(|ran| !rules.rules().iter().any(|rule| rule.fingerprint() == ran.as_str())).count()
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
    // A row that a session missed would have joined what is less than a gap away.
    let gap = rule.window_us().filter(|(function, ..)| *function == "SESSION").map_or(0, |(_, gap, _)| gap);
    let own = missed.iter().filter(|((uid, _), _)| uid == rule.uid());
    let wide = |panes: &Vec<(i64, i64)>| panes.iter().map(|(from, to)| (from - gap, to + gap)).collect();
    let mut own: BTreeMap<String, Vec<(i64, i64)>> =
        own.map(|((_, tenant), panes)| (tenant.clone(), wide(panes))).collect();
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

/// A rule's uid, and its version as text.
type RuleVersion = (String, String);

/// Palisade's alerts in their final revision, by rule and its version; those that were closed are gone.
async fn given(session: &SessionContext) -> anyhow::Result<BTreeMap<RuleVersion, Alerts>> {
    let sql = "SELECT finding_info.analytic.uid AS rule, finding_info.analytic.version AS version, finding_info.uid AS uid, tenant_uid, _window_start, _window_end, unmapped, \
                      coalesce(_revision, 0) AS revision, activity_id \
               FROM detection_finding WHERE substr(_topic, 1, 1) = '_' ORDER BY 3, 8";
    let mut last: BTreeMap<String, (RuleVersion, Option<BatchAlert>)> = BTreeMap::new();
    for batch in query(session, sql).await? {
        let column = |name| texts(&batch, name);
        let (rules, versions, uids, tenants, values) =
            (column("rule")?, column("version")?, column("uid")?, column("tenant_uid")?, column("unmapped")?);
        let activity = batch.column_by_name("activity_id").context("no column activity_id")?.clone();
        for row in 0..batch.num_rows() {
            let text = |values: &[Option<String>]| values[row].clone().unwrap_or_default();
            let window = (time(&batch, "_window_start", row)?, time(&batch, "_window_end", row)?);
            let window = window.0.zip(window.1);
            let stands = activity.as_primitive::<Int32Type>().value(row) != 3;
            let alert = BatchAlert { tenant: text(&tenants), window, values: normal(&text(&values)) };
            last.insert(text(&uids), ((text(&rules), text(&versions)), stands.then_some(alert)));
        }
    }
    let mut given: BTreeMap<RuleVersion, Alerts> = BTreeMap::new();
    for (rule, alert) in last.into_values() {
        alert.into_iter().for_each(|a| *given.entry(rule.clone()).or_default().entry(a).or_default() += 1);
    }
    Ok(given)
}

/// The tables as the rules saw them: without rows that were read back.
async fn without_reprocessed(session: &SessionContext) -> anyhow::Result<SessionContext> {
    rows_that(session, &format!("NOT {IS_REPROCESSED}")).await
}

/// The tables' rows that meet a condition on their identity.
async fn rows_that(session: &SessionContext, condition: &str) -> anyhow::Result<SessionContext> {
    let some = SessionContext::new_with_config_rt(session.copied_config(), session.runtime_env());
    aggregate::register_functions(&some);
    for table in Table::ALL {
        let rows = match table {
            Table::LateWindow => session.table(table.name()).await?,
            _ => session.sql(&format!("SELECT * FROM {table} WHERE {condition}")).await?,
        };
        some.register_table(table.name(), rows.into_view())?;
    }
    Ok(some)
}

/// What the rule finds in the rows that it has seen.
async fn of_rows(session: &SessionContext, rows: &Seen, rule: &Rule) -> anyhow::Result<BatchFound> {
    match rows.condition() {
        None => computed(session, rule).await,
        Some(condition) => computed(&rows_that(session, &condition).await?, rule).await,
    }
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
    let all: BTreeSet<&BatchAlert> = stream.keys().chain(batch.keys()).collect();
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
