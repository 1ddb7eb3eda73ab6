//! Batches of one partition in, deltas and filter alerts out.
//!
//! Holds what the open offset range adds, and nothing of earlier ranges but the clock: a crash loses nothing that the
//! ledger does not have, and a restart replays nothing for state.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use dataflow::json::push_string;
use dataflow::watermark::window_time;
use dataflow::{PartitionClock, PartitionId, Table, TableBatch};
use datafusion::error::Result as DfResult;

use crate::alert::{AlertWriter, Change, Finding, Hot, Identity, Provenance, alert_id, filter_partition, selected};
use crate::error::{AggregateError, Result};
use crate::evidence::{Candidates, EvidenceRow};
use crate::exchange::Deltas;
use crate::failures::{Failures, RuleFailure};
use crate::group_table::{GroupTable, StateLayout, truth};
use crate::leaves::LeafCache;
use crate::merge_group;
use crate::rule::{Rule, RulePlan, RuleSet};
use crate::sql::{FilterPlan, Input, PhysicalRef, WindowInput, WindowPlan};

/// What a range adds: to the windowed rules, and as alerts of the filter rules.
#[derive(Debug, Clone)]
pub struct SourceDelta {
    /// For the merge stages.
    pub deltas: Deltas,
    /// Rows of `detection_finding`.
    pub alerts: Option<TableBatch>,
    /// Rows on which a rule failed.
    pub failures: Vec<RuleFailure>,
}

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
    alerts: AlertWriter,
    failures: Failures,
    versions: Vec<String>,
}

/// Columns of a batch that every rule needs.
struct Common {
    tenants: ArrayRef,
    times: ArrayRef,
    received: ArrayRef,
    offsets: ArrayRef,
    records: ArrayRef,
}

/// One row of them.
struct Row<'a> {
    index: usize,
    tenant: &'a str,
    time: i64,
    received_at: i64,
    offset: i64,
    record: i32,
}

impl Common {
    fn new(cache: &mut LeafCache<'_>) -> Result<Self> {
        Ok(Self {
            tenants: cache.named("tenant_uid")?,
            times: cache.named("time")?,
            received: cache.named("_received_at")?,
            offsets: cache.named("_offset")?,
            records: cache.named("_record")?,
        })
    }

    fn filter(&self, predicate: &FilterPredicate) -> Result<Self> {
        Ok(Self {
            tenants: predicate.filter(&self.tenants)?,
            times: predicate.filter(&self.times)?,
            received: predicate.filter(&self.received)?,
            offsets: predicate.filter(&self.offsets)?,
            records: predicate.filter(&self.records)?,
        })
    }

    fn row(&self, index: usize) -> Row<'_> {
        Row {
            index,
            tenant: self.tenants.as_string::<i32>().value(index),
            time: self.times()[index],
            received_at: self.received()[index],
            offset: self.offsets()[index],
            record: self.records()[index],
        }
    }

    fn times(&self) -> &[i64] {
        self.times.as_primitive::<TimestampMicrosecondType>().values()
    }

    fn received(&self) -> &[i64] {
        self.received.as_primitive::<TimestampMicrosecondType>().values()
    }

    fn offsets(&self) -> &[i64] {
        self.offsets.as_primitive::<Int64Type>().values()
    }

    fn records(&self) -> &[i32] {
        self.records.as_primitive::<Int32Type>().values()
    }
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
            alerts: AlertWriter::new(),
            failures: Failures::default(),
            versions: Vec::new(),
        }
    }

    /// The versions that alerts of filter rules name from now on, e.g. of the enrichment tables.
    pub fn set_versions(&mut self, versions: &BTreeMap<String, String>) {
        self.versions = labels(versions);
    }

    /// Takes in rows of any table, in offset order.
    ///
    /// # Errors
    /// If the batch is not in its table's schema. Rows on which a rule fails are no error: [`SourceDelta::failures`].
    pub fn process(&mut self, batch: &TableBatch) -> Result<()> {
        if !Table::EVENTS.contains(&batch.table) || batch.rows.num_rows() == 0 {
            return Ok(());
        }
        let mut cache = LeafCache::new(batch.table, &batch.rows);
        let common = Common::new(&mut cache)?;
        for (time, received) in common.times().iter().zip(common.received()) {
            self.clock.observe(*time, *received);
        }
        let rules = self.rules.clone();
        for (index, rule) in rules.rules().iter().enumerate() {
            for input in rule.inputs_of(batch.table) {
                self.rule(index, rule, input, batch, &mut cache, &common)?;
            }
        }
        Ok(())
    }

    /// One input of one rule over one batch. If an expression fails, the halves go their own ways, down to the row that fails: which
    /// rows match does not depend on how they were batched.
    fn rule(
        &mut self,
        index: usize,
        rule: &Rule,
        input: usize,
        batch: &TableBatch,
        cache: &mut LeafCache<'_>,
        common: &Common,
    ) -> Result<()> {
        let result = match &rule.plan {
            RulePlan::Window(plan) => self.window_rule((index, input), rule, plan, cache, common),
            RulePlan::Filter(plan) => self.filter_rule(rule, plan, cache, common),
        };
        let Err(AggregateError::Evaluate { cause, .. }) = result else { return result };
        let rows = batch.rows.num_rows();
        if rows == 1 {
            self.failures.note(rule, &cause);
            return Ok(());
        }
        for (from, len) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
            let half = TableBatch { table: batch.table, rows: batch.rows.slice(from, len) };
            let mut cache = LeafCache::new(half.table, &half.rows);
            let common = Common::new(&mut cache)?;
            self.rule(index, rule, input, &half, &mut cache, &common)?;
        }
        Ok(())
    }

    /// The partition's watermark; none before its first row.
    pub fn watermark(&self) -> Option<i64> {
        self.clock.watermark()
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.tables.iter().flatten().map(GroupTable::bytes).sum::<usize>() + self.alerts.bytes()
    }

    /// What the range adds; the stage is then as new, but for its clock.
    ///
    /// # Errors
    /// If an aggregate cannot give its state.
    pub fn take_delta(&mut self) -> Result<SourceDelta> {
        let mut deltas = Deltas::empty(self.groups);
        for (rule, table) in self.rules.rules().iter().zip(&mut self.tables) {
            if let Some(mut table) = table.take() {
                let state = table.take_state().map_err(AggregateError::evaluate(rule.uid()))?;
                // After the pane come the tenant and the keys.
                let key = 1..table.layout().group;
                for (delta, part) in deltas.parts_mut().iter_mut().zip(merge_group::split(state, key, self.groups)?) {
                    delta.push(&rule.fingerprint, part);
                }
            }
        }
        Ok(SourceDelta { deltas, alerts: self.alerts.take(), failures: self.failures.take() })
    }

    fn window_rule(
        &mut self,
        (index, input): (usize, usize),
        rule: &Rule,
        plan: &Arc<WindowPlan>,
        cache: &mut LeafCache<'_>,
        common: &Common,
    ) -> Result<()> {
        let failed = AggregateError::evaluate(rule.uid());
        let reads = Reads { plan, number: input, from: &plan.inputs[input], source: &self.source };
        let input = input_batch(&reads.from.input, cache)?;
        let passes = reads.from.predicate.as_ref().map(|p| condition(p.evaluate(&input), &input)).transpose();
        let passes = passes.map_err(&failed)?;
        let kept = passes.as_ref().map_or(input.num_rows(), BooleanArray::true_count);
        if kept == 0 {
            return Ok(());
        }
        let table = match &mut self.tables[index] {
            Some(table) => table,
            none => {
                let table = GroupTable::new(plan, StateLayout::new(plan, true), rule.evidence()).map_err(&failed)?;
                none.insert(table)
            }
        };
        match passes.filter(|_| kept < input.num_rows()) {
            None => reads.update(table, &input, common).map_err(&failed),
            Some(mask) => {
                let predicate = FilterBuilder::new(&mask).optimize().build();
                let (input, common) = (predicate.filter_record_batch(&input)?, common.filter(&predicate)?);
                reads.update(table, &input, &common).map_err(&failed)
            }
        }
    }

    fn filter_rule(
        &mut self,
        rule: &Rule,
        plan: &FilterPlan,
        cache: &mut LeafCache<'_>,
        common: &Common,
    ) -> Result<()> {
        let failed = AggregateError::evaluate(rule.uid());
        let input = input_batch(&plan.input, cache)?;
        let mask = condition(plan.predicate.evaluate(&input), &input).map_err(&failed)?;
        if mask.true_count() == 0 {
            return Ok(());
        }
        let predicate = FilterBuilder::new(&mask).optimize().build();
        let (input, common) = (predicate.filter_record_batch(&input)?, common.filter(&predicate)?);
        let evaluate =
            |(name, e): &(String, PhysicalRef)| Ok((name.clone(), e.evaluate(&input)?.into_array(input.num_rows())?));
        let columns = plan.projection.iter().map(evaluate).collect::<DfResult<Vec<_>>>().map_err(&failed)?;
        let hot = hot_columns(cache, &predicate)?;
        self.filter_alerts(rule, &columns, &hot, &common);
        Ok(())
    }

    fn filter_alerts(
        &mut self,
        rule: &Rule,
        columns: &[(String, ArrayRef)],
        hot: &[(&str, ArrayRef)],
        common: &Common,
    ) {
        let partition = filter_partition(rule, &self.partition);
        let columns: Vec<(&str, ArrayRef)> = columns.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
        for row in 0..common.times.len() {
            self.filter_alert(rule, &partition, &columns, hot, &common.row(row));
        }
    }

    fn filter_alert(
        &mut self,
        rule: &Rule,
        partition: &PartitionId,
        columns: &[(&str, ArrayRef)],
        hot: &[(&str, ArrayRef)],
        row: &Row<'_>,
    ) {
        let (time, offset, record) = (row.time, row.offset, row.record);
        let evidence = [EvidenceRow { time, source: self.source.clone(), offset, record, input: 0 }];
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

/// `name=version`, in the order of the names.
pub(crate) fn labels(versions: &BTreeMap<String, String>) -> Vec<String> {
    versions.iter().map(|(name, version)| format!("{name}={version}")).collect()
}

fn input_batch(input: &Input, cache: &mut LeafCache<'_>) -> Result<RecordBatch> {
    let columns = input.leaves.iter().map(|&i| cache.column(i)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(cache.rows()));
    Ok(RecordBatch::try_new_with_options(input.schema.clone(), columns, &options)?)
}

fn condition(value: DfResult<datafusion::logical_expr::ColumnarValue>, input: &RecordBatch) -> DfResult<BooleanArray> {
    Ok(truth(&value?.into_array(input.num_rows())?))
}

/// One input of a windowed rule, in one partition.
struct Reads<'a> {
    plan: &'a WindowPlan,
    number: usize,
    from: &'a WindowInput,
    source: &'a Arc<str>,
}

impl Reads<'_> {
    /// Adds rows that meet the condition.
    fn update(&self, table: &mut GroupTable, input: &RecordBatch, common: &Common) -> DfResult<()> {
        let times = common.times().iter().zip(common.received());
        let panes = times.map(|(time, received)| self.plan.spec.pane_of(window_time(*time, *received)));
        let mut keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(panes)), common.tenants.clone()];
        for key in &self.from.keys {
            keys.push(key.evaluate(input)?.into_array(input.num_rows())?);
        }
        let candidates = Candidates {
            source: self.source,
            input: self.number,
            times: common.times(),
            offsets: common.offsets(),
            records: common.records(),
        };
        table.update(&keys, &self.from.calls, input, &candidates)
    }
}

/// The row's own hot columns, for alerts that are one row.
fn hot_columns(cache: &mut LeafCache<'_>, predicate: &FilterPredicate) -> Result<Vec<(&'static str, ArrayRef)>> {
    let names = ["src_ip", "dst_ip", "src_port", "dst_port", "user_name"];
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        if cache.has(name) {
            columns.push((name, predicate.filter(&cache.named(name)?)?));
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests;
