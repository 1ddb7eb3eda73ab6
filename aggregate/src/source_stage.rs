//! Batches of one partition in, deltas and filter alerts out.
//!
//! Holds what the open offset range adds, and nothing of earlier ranges but the clock: a crash loses nothing that the
//! ledger does not have, and a restart replays nothing for state.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{FilterBuilder, FilterPredicate};
use dataflow::json::push_string;
use dataflow::watermark::window_time;
use dataflow::{PartitionClock, PartitionId, Table, TableBatch};
use datafusion::error::Result as DfResult;

use crate::alert::{AlertWriter, Change, Finding, Hot, Identity, Provenance, alert_id, filter_partition, selected};
use crate::codes::Codes;
use crate::correlation::{CorrelationPlan, HitRows};
use crate::error::{AggregateError, Result};
use crate::evidence::{Candidates, EvidenceRow};
use crate::exception::Verdict;
use crate::exchange::Deltas;
use crate::failures::{Failures, RuleFailure, RuleWork};
use crate::group_table::{GroupTable, StateLayout, Taken, Values, truth};
use crate::held::{Held, HeldAlerts};
use crate::merge_group;
use crate::rows::{Common, Row, Rows, Selection};
use crate::rule::{Rule, RulePlan, RuleSet};
use crate::sql::{AggregateFunction, Call, FilterPlan, PhysicalRef, WindowInput, WindowPlan};
use crate::watch::{WatchCounts, WatchPlan};

/// What a range adds: to the windowed rules, and as alerts of the filter rules.
#[derive(Debug, Clone)]
pub struct SourceDelta {
    /// For the merge stages.
    pub deltas: Deltas,
    /// Rows of `detection_finding`.
    pub alerts: Option<TableBatch>,
    /// Rows on which a rule failed.
    pub failures: Vec<RuleFailure>,
    /// What each rule was asked.
    pub work: Vec<RuleWork>,
    /// Alerts of filter rules that exceptions took away.
    pub held: Vec<Held>,
}

/// What tells how long rules take. Nothing else hangs on it.
pub type Clock = fn() -> Duration;

/// See the module's front. One a partition.
#[derive(Debug)]
pub struct SourceStage {
    rules: Arc<RuleSet>,
    partition: PartitionId,
    source: Arc<str>,
    clock: PartitionClock,
    groups: NonZeroU32,
    /// For each rule, the groups of the open range; none before its first row.
    tables: Vec<Option<GroupTable>>,
    /// For each rule, the hits of the open range; none but of correlations.
    hits: Vec<Option<HitRows>>,
    /// For each rule, the records of the open range; none but of watches.
    counts: Vec<Option<WatchCounts>>,
    /// For each rule, how many groups the last range had: the next one will be like it.
    room: Vec<usize>,
    /// What the tables' keys and values are numbered by.
    codes: Codes,
    alerts: AlertWriter,
    failures: Failures,
    held: HeldAlerts,
    versions: Vec<String>,
    stopwatch: Option<Clock>,
}

impl SourceStage {
    /// A stage that has seen nothing. `resume`: the watermark the partition had reached. `groups`: how many merge groups
    /// the windowed rules' keys are spread over.
    pub fn new(
        rules: &Arc<RuleSet>,
        partition: PartitionId,
        lateness_bound_us: i64,
        resume: Option<i64>,
        groups: NonZeroU32,
    ) -> Self {
        Self {
            rules: rules.clone(),
            source: partition.path().into(),
            partition,
            clock: PartitionClock::resume(lateness_bound_us, resume),
            groups,
            tables: rules.rules().iter().map(|_| None).collect(),
            hits: hits(rules),
            counts: counts(rules),
            room: vec![0; rules.rules().len()],
            codes: Codes::default(),
            alerts: AlertWriter::new(),
            failures: Failures::default(),
            held: HeldAlerts::default(),
            versions: Vec::new(),
            stopwatch: None,
        }
    }

    /// Lets it measure how long rules take.
    pub fn set_clock(&mut self, clock: Clock) {
        self.stopwatch = Some(clock);
    }

    /// The versions that alerts of filter rules name from now on, e.g. of the enrichment tables.
    pub fn set_versions(&mut self, versions: &BTreeMap<String, String>) {
        self.versions = labels(versions);
    }

    /// Goes on with these rules, between two ranges: what the last one added has been taken.
    pub fn set_rules(&mut self, rules: &Arc<RuleSet>) {
        if Arc::ptr_eq(&self.rules, rules) {
            return;
        }
        assert!(self.tables.iter().all(Option::is_none), "the range's deltas were taken");
        self.rules = rules.clone();
        self.tables = rules.rules().iter().map(|_| None).collect();
        self.hits = hits(rules);
        self.counts = counts(rules);
        self.room = vec![0; rules.rules().len()];
    }

    /// Takes in rows of any table, in offset order; of dead letters watches alone.
    ///
    /// # Errors
    /// If the batch is not in its table's schema. Rows on which a rule fails are no error: [`SourceDelta::failures`].
    pub fn process(&mut self, batch: &TableBatch) -> Result<()> {
        let is_event = Table::EVENTS.contains(&batch.table);
        if !(is_event || batch.table == Table::DeadLetter) || batch.rows.num_rows() == 0 {
            return Ok(());
        }
        let mut rows = Rows::of(batch)?;
        // A dead letter has no time of its own.
        for (time, received) in rows.common.times().iter().zip(rows.common.received()).filter(|_| is_event) {
            self.clock.observe(*time, *received);
        }
        let rules = self.rules.clone();
        let stopwatch = self.stopwatch;
        let now = || stopwatch.map_or(Duration::ZERO, |now| now());
        let mut at = now();
        for (index, rule) in rules.rules().iter().enumerate() {
            for input in rule.inputs_of(batch.table) {
                self.rule(index, rule, input, batch, &mut rows)?;
                let before = std::mem::replace(&mut at, now());
                self.failures.ask(rule, batch.rows.num_rows(), at.saturating_sub(before));
            }
        }
        Ok(())
    }

    /// One input of one rule over one batch. If an expression fails, the halves go their own ways, down to the row that fails: which
    /// rows match does not depend on how they were batched.
    fn rule(&mut self, index: usize, rule: &Rule, input: usize, batch: &TableBatch, rows: &mut Rows<'_>) -> Result<()> {
        let result = match &rule.plan {
            RulePlan::Window(plan) => self.window_rule((index, input), rule, plan, rows),
            RulePlan::Filter(plans) => self.filter_rule(rule, &plans[input], input, rows),
            RulePlan::Correlation(plan) => self.correlation((index, input), rule, plan, rows),
            RulePlan::Watch(plan) => self.watch((index, input), rule, plan, rows),
        };
        let Err(AggregateError::Evaluate { cause, .. }) = result else { return result };
        let rows = batch.rows.num_rows();
        if rows == 1 {
            self.failures.note(rule, &cause);
            return Ok(());
        }
        for (from, len) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
            let half = TableBatch { table: batch.table, rows: batch.rows.slice(from, len) };
            self.rule(index, rule, input, &half, &mut Rows::of(&half)?)?;
        }
        Ok(())
    }

    /// The partition's watermark; none before its first row.
    pub fn watermark(&self) -> Option<i64> {
        self.clock.watermark()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        let hits = self.hits.iter().flatten().map(HitRows::bytes);
        let tables = self.tables.iter().flatten().map(GroupTable::bytes);
        let counts = self.counts.iter().flatten().map(WatchCounts::bytes);
        tables.chain(hits).chain(counts).sum::<usize>() + self.codes.size() + self.alerts.bytes()
    }

    /// What the range adds; the stage is then as new, but for its clock.
    ///
    /// # Errors
    /// If an aggregate cannot give its state.
    pub fn take_delta(&mut self) -> Result<SourceDelta> {
        let mut deltas = Deltas::empty(self.groups);
        let codes = std::mem::take(&mut self.codes);
        for ((rule, table), room) in self.rules.rules().iter().zip(&mut self.tables).zip(&mut self.room) {
            *room = table.as_ref().map_or(0, GroupTable::len);
            if let Some(mut table) = table.take() {
                let state = table.take_state(&codes).map_err(AggregateError::evaluate(rule.uid()))?;
                // After the pane come the tenant and the keys.
                let key = 1..table.layout().group;
                for (delta, part) in deltas.parts_mut().iter_mut().zip(merge_group::split(state, key, self.groups)?) {
                    delta.push(&rule.fingerprint, part);
                }
            }
        }
        for (rule, hits) in self.rules.rules().iter().zip(&mut self.hits) {
            let Some(hits) = hits else { continue };
            for (delta, part) in deltas.parts_mut().iter_mut().zip(hits.split(self.groups)?) {
                delta.push(&rule.fingerprint, part);
            }
        }
        for (rule, counts) in self.rules.rules().iter().zip(&mut self.counts) {
            let Some(counts) = counts else { continue };
            for (delta, part) in deltas.parts_mut().iter_mut().zip(counts.split(&codes, &self.source, self.groups)?) {
                delta.push(&rule.fingerprint, part);
            }
        }
        let (alerts, (failures, work), held) = (self.alerts.take(), self.failures.take(&self.rules), self.held.take());
        Ok(SourceDelta { deltas, alerts, failures, work, held })
    }

    fn window_rule(
        &mut self,
        (index, number): (usize, usize),
        rule: &Rule,
        plan: &Arc<WindowPlan>,
        rows: &mut Rows<'_>,
    ) -> Result<()> {
        let failed = AggregateError::evaluate(rule.uid());
        let from = &plan.inputs[number];
        let input = rows.input(&from.input)?;
        let passes = from.predicate.as_ref().map(|p| condition(p.evaluate(&input), &input)).transpose();
        let selection = Selection::new(passes.map_err(&failed)?.as_ref(), input.num_rows());
        if selection.count() == 0 {
            return Ok(());
        }
        let own = selection.input(&input, &from.is_evaluated).map_err(&failed)?;
        let mut reads = Reads { plan, number, from, rows, selection, own, codes: &mut self.codes };
        let (keys, taken) = (reads.keys().map_err(&failed)?, reads.taken().map_err(&failed)?);
        let table = match &mut self.tables[index] {
            Some(table) => table,
            none => {
                let layout = StateLayout::new(plan, true);
                let table = GroupTable::with_room(plan, layout, rule.evidence(), self.room[index]);
                none.insert(table.map_err(&failed)?)
            }
        };
        table.update(&keys, &taken, &reads.candidates(&self.source)).map_err(&failed)
    }

    fn filter_rule(&mut self, rule: &Rule, plan: &FilterPlan, number: usize, rows: &mut Rows<'_>) -> Result<()> {
        let Some((columns, common, predicate)) = matching(rule, plan, rows)? else { return Ok(()) };
        let named = plan.projection.iter().map(|(name, _)| name.clone());
        let columns: Vec<(String, ArrayRef)> = named.zip(columns).collect();
        let hot = hot_columns(rows, &predicate)?;
        let (exceptions, times) = (&rule.exceptions, common.times());
        let verdicts = exceptions.of_rows(rule, number, (rows, &predicate), times, &mut self.failures)?;
        verdicts.iter().for_each(|verdict| exceptions.count(rule, *verdict, &mut self.held));
        self.filter_alerts((rule, number), &columns, &hot, (&common, &verdicts));
        Ok(())
    }

    fn correlation(
        &mut self,
        (index, number): (usize, usize),
        rule: &Rule,
        plan: &CorrelationPlan,
        rows: &mut Rows<'_>,
    ) -> Result<()> {
        let input = &plan.inputs[number];
        let Some((columns, common, _)) = matching(rule, &input.rows, rows)? else { return Ok(()) };
        if let Some(hits) = &mut self.hits[index] {
            hits.extend(plan, (number, input), &columns, &common, &self.source);
        }
        Ok(())
    }

    fn watch(
        &mut self,
        (index, input): (usize, usize),
        rule: &Rule,
        plan: &WatchPlan,
        rows: &mut Rows<'_>,
    ) -> Result<()> {
        let Some(counts) = &mut self.counts[index] else { return Ok(()) };
        let taken = counts.take_in(plan, input, &self.partition, (rows, &mut self.codes));
        taken.map_err(AggregateError::evaluate(rule.uid()))
    }

    fn filter_alerts(
        &mut self,
        (rule, input): (&Rule, usize),
        columns: &[(String, ArrayRef)],
        hot: &[(&str, ArrayRef)],
        (common, verdicts): (&Common, &[Verdict]),
    ) {
        let partition = filter_partition(rule, &self.partition);
        let columns: Vec<(&str, ArrayRef)> = columns.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        for row in (0..common.times.len()).filter(|row| !verdicts[*row].is_taken()) {
            self.filter_alert((rule, input), &partition, &columns, hot, &common.row(row));
        }
    }

    fn filter_alert(
        &mut self,
        (rule, input): (&Rule, usize),
        partition: &PartitionId,
        columns: &[(&str, ArrayRef)],
        hot: &[(&str, ArrayRef)],
        row: &Row<'_>,
    ) {
        let (time, offset, record) = (row.time, row.offset, row.record);
        let evidence = [EvidenceRow { time, source: self.source.clone(), offset, record, input }];
        let mut key = String::new();
        push_string(&mut key, &evidence[0].uid());
        let mut own = Hot::default();
        hot.iter().for_each(|(name, array)| own.set(name, array, row.index));
        let finding = Finding {
            rule,
            tenant: row.tenant,
            alert_id: alert_id(row.tenant, rule, &key, None),
            revision: 0,
            change: Change::Create,
            time,
            window: None,
            created_at: row.received_at,
            values: &selected(columns, row.index).0,
            hot: &own,
            evidence: &evidence,
        };
        let identity = Identity { partition, offset, record, received_at: row.received_at };
        let mut vector = String::from("{");
        push_string(&mut vector, &self.source);
        vector.push_str(&format!(":{}}}", offset + 1));
        self.alerts.push(&finding, &identity, &Provenance { vector, versions: self.versions.clone() });
    }
}

/// None but for correlations.
fn hits(rules: &RuleSet) -> Vec<Option<HitRows>> {
    rules.rules().iter().map(|rule| rule.correlation().map(|_| HitRows::default())).collect()
}

/// None but for watches.
fn counts(rules: &RuleSet) -> Vec<Option<WatchCounts>> {
    rules.rules().iter().map(|rule| rule.watch().map(|_| WatchCounts::new())).collect()
}

/// `name=version`, in the order of the names.
pub(crate) fn labels(versions: &BTreeMap<String, String>) -> Vec<String> {
    versions.iter().map(|(name, version)| format!("{name}={version}")).collect()
}

fn condition(value: DfResult<datafusion::logical_expr::ColumnarValue>, input: &RecordBatch) -> DfResult<BooleanArray> {
    Ok(truth(&value?.into_array(input.num_rows())?))
}

/// One input of a windowed rule over one batch.
struct Reads<'r, 'a> {
    plan: &'r WindowPlan,
    number: usize,
    from: &'r WindowInput,
    rows: &'r mut Rows<'a>,
    /// The rows that meet the condition.
    selection: Selection,
    /// Their columns, where expressions read them.
    own: RecordBatch,
    codes: &'r mut Codes,
}

impl Reads<'_, '_> {
    /// Pane, tenant and keys, as numbers.
    fn keys(&mut self) -> DfResult<Vec<Arc<[u32]>>> {
        let mut keys = vec![self.panes(), self.selection.of(&self.rows.tenants(self.codes)?)];
        for key in &self.from.keys {
            keys.push(match self.from.leaf(key) {
                Some(leaf) => self.selection.of(&self.rows.codes(leaf, self.codes)?),
                None => self.codes.of(&evaluate(key, &self.own)?)?.into(),
            });
        }
        Ok(keys)
    }

    fn panes(&mut self) -> Arc<[u32]> {
        let spec = self.plan.spec;
        let times: Vec<i64> = self.times().collect();
        times.into_iter().map(|time| self.codes.integer(spec.pane_of(time))).collect()
    }

    /// The rows' times, as windows take them.
    fn times(&self) -> impl Iterator<Item = i64> {
        let (times, received) = (self.rows.common.times(), self.rows.common.received());
        let rows = self.selection.rows();
        (0..self.selection.count()).map(move |i| {
            let row = rows.map_or(i, |rows| rows[i] as usize);
            window_time(times[row], received[row])
        })
    }

    /// What the aggregates take.
    fn taken(&mut self) -> DfResult<Vec<Taken>> {
        let calls = self.from.calls.iter().zip(&self.plan.aggregates);
        calls.map(|(call, aggregate)| self.take(call, &aggregate.function)).collect()
    }

    fn take(&mut self, call: &Call, function: &AggregateFunction) -> DfResult<Taken> {
        let filter = call.filter.as_ref().map(|f| evaluate(f, &self.own)).transpose()?;
        let values = match (function, &call.args[..]) {
            (AggregateFunction::Distinct(kind), [arg]) => Values::Codes(match self.from.leaf(arg) {
                Some(leaf) => self.selection.of(&self.rows.codes(leaf, self.codes)?),
                None => kind.codes(&evaluate(arg, &self.own)?, self.codes)?.into(),
            }),
            (AggregateFunction::Time(_), _) => {
                Values::Arrays(vec![Arc::new(Int64Array::from_iter_values(self.times()))])
            }
            (_, args) => Values::Arrays(args.iter().map(|arg| evaluate(arg, &self.own)).collect::<DfResult<_>>()?),
        };
        Ok(Taken { values, filter: filter.map(|f| truth(&f)) })
    }

    fn candidates<'c>(&'c self, source: &'c Arc<str>) -> Candidates<'c> {
        Candidates {
            source,
            input: self.number,
            rows: self.selection.rows(),
            times: self.rows.common.times(),
            offsets: self.rows.common.offsets(),
            records: self.rows.common.records(),
        }
    }
}

fn evaluate(expr: &PhysicalRef, input: &RecordBatch) -> DfResult<ArrayRef> {
    expr.evaluate(input)?.into_array(input.num_rows())
}

/// What a filter selects of the rows that meet it; none if no row does.
fn matching(
    rule: &Rule,
    plan: &FilterPlan,
    rows: &mut Rows<'_>,
) -> Result<Option<(Vec<ArrayRef>, Common, FilterPredicate)>> {
    let failed = AggregateError::evaluate(rule.uid());
    let input = rows.input(&plan.input)?;
    let mask = condition(plan.predicate.evaluate(&input), &input).map_err(&failed)?;
    if mask.true_count() == 0 {
        return Ok(None);
    }
    let predicate = FilterBuilder::new(&mask).optimize().build();
    let (input, common) = (predicate.filter_record_batch(&input)?, rows.common.filter(&predicate)?);
    let columns = plan.projection.iter().map(|(_, expr)| evaluate(expr, &input));
    let columns = columns.collect::<DfResult<_>>().map_err(&failed)?;
    Ok(Some((columns, common, predicate)))
}

/// The row's own hot columns, for alerts that are one row.
fn hot_columns(rows: &mut Rows<'_>, predicate: &FilterPredicate) -> Result<Vec<(&'static str, ArrayRef)>> {
    let names = ["src_ip", "dst_ip", "src_port", "dst_port", "user_name"];
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        if rows.cache.has(name) {
            columns.push((name, predicate.filter(&rows.cache.named(name)?)?));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests;
