//! Groups and their aggregates, driven directly: rows in, states out; states in, states or results out.
//!
//! DataFusion's `GroupValues` numbers the groups in the order of first sight and its `GroupsAccumulator`s (or ours) hold the
//! aggregates, so the output is a pure function of the input's order. Nothing is withheld and nothing is asynchronous.
//!
//! A state batch has the group's columns (the pane only in deltas), each aggregate's state, evidence and row count.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use crate::evidence::{self, Candidates, Evidence, StateColumns};
use crate::sql::{AggregateFunction, AggregatePlan, Call, WindowPlan};

/// The columns of a rule's states.
#[derive(Debug, Clone)]
pub(crate) struct StateLayout {
    /// Group columns: pane, tenant, keys.
    pub(crate) group: usize,
    /// All columns.
    pub(crate) schema: SchemaRef,
}

impl StateLayout {
    /// The layout of deltas (`has_pane`), or of one pane's state.
    pub(crate) fn new(plan: &WindowPlan, has_pane: bool) -> Self {
        let own = |name: String, f: &FieldRef| Arc::new(f.as_ref().clone().with_name(name).with_nullable(true));
        let pane = has_pane.then(|| Arc::new(Field::new("pane", DataType::Int64, true)));
        let tenant = Arc::new(Field::new("tenant_uid", DataType::Utf8, true));
        let keys = plan.keys.iter().enumerate().map(|(i, field)| own(format!("key{i}"), field));
        let mut fields: Vec<FieldRef> = pane.into_iter().chain([tenant]).chain(keys).collect();
        let group = fields.len();
        for (i, aggregate) in plan.aggregates.iter().enumerate() {
            fields.extend(aggregate.state.iter().enumerate().map(|(j, f)| own(format!("state{i}_{j}"), f)));
        }
        fields.extend(evidence::state_fields());
        Self { group, schema: Arc::new(Schema::new(fields)) }
    }

    fn group_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.schema.fields()[..self.group].to_vec()))
    }
}

/// See the module's front.
pub(crate) struct GroupTable {
    plan: Arc<WindowPlan>,
    layout: StateLayout,
    values: Box<dyn GroupValues>,
    aggregates: Vec<Box<dyn GroupsAccumulator>>,
    evidence: Evidence,
    /// The group of each row of the batch in hand.
    groups: Vec<usize>,
}

impl std::fmt::Debug for GroupTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupTable").field("groups", &self.values.len()).finish_non_exhaustive()
    }
}

impl GroupTable {
    /// No groups. `keep`: rows of evidence a group.
    pub(crate) fn new(plan: &Arc<WindowPlan>, layout: StateLayout, keep: usize) -> Result<Self> {
        let values = new_group_values(layout.group_schema(), &GroupOrdering::None)?;
        let aggregates = plan.aggregates.iter().map(accumulator).collect::<Result<_>>()?;
        let evidence = Evidence::new(keep, plan.inputs.len());
        Ok(Self { plan: plan.clone(), layout, values, aggregates, evidence, groups: Vec::new() })
    }

    /// The columns of its states.
    pub(crate) fn layout(&self) -> &StateLayout {
        &self.layout
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Bytes held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let aggregates: usize = self.aggregates.iter().map(|a| a.size()).sum();
        self.values.size() + aggregates + self.evidence.bytes()
    }

    /// Adds rows: `input` holds what `calls` (one an aggregate) read, `keys` the group columns, row by row. If an expression
    /// fails on a row, nothing is added.
    pub(crate) fn update(
        &mut self,
        keys: &[ArrayRef],
        calls: &[Call],
        input: &RecordBatch,
        rows: &Candidates<'_>,
    ) -> Result<()> {
        let calls = calls.iter().map(|call| arguments(call, input)).collect::<Result<Vec<_>>>()?;
        self.values.intern(keys, &mut self.groups)?;
        let total = self.values.len();
        for (aggregate, (args, filter)) in self.aggregates.iter_mut().zip(calls) {
            aggregate.update_batch(&args, &self.groups, filter.as_ref().map(|f| f.as_boolean()), total)?;
        }
        self.evidence.update(rows, &self.groups, total);
        Ok(())
    }

    /// Adds the groups of a state batch in this table's layout.
    pub(crate) fn merge(&mut self, state: &RecordBatch) -> Result<()> {
        self.merge_aggregates(state)?;
        let pairs = self.groups.iter().copied().enumerate();
        self.evidence.merge(&StateColumns::of(state), pairs, self.values.len());
        Ok(())
    }

    /// As [`GroupTable::merge`], but without evidence, which most groups of a window never need. The group of each row.
    pub(crate) fn merge_aggregates(&mut self, state: &RecordBatch) -> Result<&[usize]> {
        if state.schema() != self.layout.schema {
            return internal_err!("state has columns {}, not {}", state.schema(), self.layout.schema);
        }
        let columns = state.columns();
        self.values.intern(&columns[..self.layout.group], &mut self.groups)?;
        let total = self.values.len();
        let mut next = self.layout.group;
        for (aggregate, call) in self.aggregates.iter_mut().zip(&self.plan.aggregates) {
            let states = &columns[next..next + call.state.len()];
            next += call.state.len();
            aggregate.merge_batch(states, &self.groups, None, total)?;
        }
        Ok(&self.groups)
    }

    /// The states of all groups in order of first sight; no group is left.
    pub(crate) fn take_state(&mut self) -> Result<RecordBatch> {
        let mut columns = self.values.emit(EmitTo::All)?;
        for aggregate in &mut self.aggregates {
            columns.extend(aggregate.state(EmitTo::All)?);
        }
        columns.extend(self.evidence.take_state());
        Ok(RecordBatch::try_new(self.layout.schema.clone(), columns)?)
    }

    /// Group columns and results of all groups in order of first sight.
    pub(crate) fn take_results(&mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let groups = self.values.emit(EmitTo::All)?;
        let results = self.aggregates.iter_mut().map(|a| a.evaluate(EmitTo::All)).collect::<Result<_>>()?;
        Ok((groups, results))
    }
}

/// The arguments of a call, and its FILTER.
fn arguments(call: &Call, input: &RecordBatch) -> Result<(Vec<ArrayRef>, Option<ArrayRef>)> {
    let evaluate = |e: &Arc<dyn PhysicalExpr>| e.evaluate(input)?.into_array(input.num_rows());
    Ok((call.args.iter().map(evaluate).collect::<Result<_>>()?, call.filter.as_ref().map(evaluate).transpose()?))
}

fn accumulator(call: &AggregatePlan) -> Result<Box<dyn GroupsAccumulator>> {
    match &call.function {
        AggregateFunction::Distinct(kind) => Ok(kind.accumulator()),
        AggregateFunction::DataFusion(function) if function.groups_accumulator_supported() => {
            function.create_groups_accumulator()
        }
        AggregateFunction::DataFusion(function) => {
            let function = function.clone();
            Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
        }
    }
}

/// The rows for which a condition holds; a NULL does not.
pub(crate) fn truth(condition: &ArrayRef) -> BooleanArray {
    let condition = condition.as_boolean();
    if condition.null_count() == 0 { condition.clone() } else { arrow::compute::prep_null_mask_filter(condition) }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;
    use crate::tests::rule;

    fn plan(select: &str) -> Arc<WindowPlan> {
        let sql = format!(
            "SELECT window_end, {select} FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
             GROUP BY window_start, window_end, src_ip"
        );
        rule("", &sql).rules()[0].window().expect("a window").clone()
    }

    fn table(plan: &Arc<WindowPlan>) -> GroupTable {
        GroupTable::new(plan, StateLayout::new(plan, true), 1).expect("a table")
    }

    /// Adds one row a port, the pane and the key being the port's last digit.
    fn update(table: &mut GroupTable, ports: &[i32]) -> Result<()> {
        let keys: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(ports.iter().map(|p| i64::from(p % 10)))),
            Arc::new(StringArray::from(vec!["acme"; ports.len()])),
            Arc::new(StringArray::from_iter_values(ports.iter().map(|p| (p % 10).to_string()))),
        ];
        let plan = table.plan.clone();
        let schema = plan.inputs[0].input.schema.clone();
        let columns = schema.fields().iter().map(|f| -> ArrayRef {
            match f.data_type() {
                DataType::Int32 => Arc::new(Int32Array::from(ports.to_vec())),
                _ => keys[2].clone(),
            }
        });
        let input = RecordBatch::try_new(schema.clone(), columns.collect())?;
        let (times, records) = (vec![0; ports.len()], vec![0; ports.len()]);
        let source = Arc::from("t@i/0");
        let rows = Candidates { source: &source, input: 0, times: &times, offsets: &times, records: &records };
        table.update(&keys, &plan.inputs[0].calls, &input, &rows)
    }

    fn text(batch: &RecordBatch) -> Vec<String> {
        let row = |row| crate::json::row_json(&batch.columns().iter().map(AsRef::as_ref).collect::<Vec<_>>(), row);
        (0..batch.num_rows()).map(row).collect()
    }

    #[test]
    fn states_stand_in_the_order_of_first_sight() {
        let plan = plan("count(*), max(dst_port), count(DISTINCT dst_port)");
        let mut one = table(&plan);
        update(&mut one, &[12, 21, 32, 12]).expect("updated");
        assert_eq!(one.len(), 2);
        assert!(one.bytes() > 0);
        let states = text(&one.take_state().expect("states"));
        assert!(states[0].starts_with(r#"[2,"acme","2",3,32,[12,32],"#), "{states:?}");
        assert!(states[1].starts_with(r#"[1,"acme","1",1,21,[21],"#), "{states:?}");
        assert!(states[0].ends_with(",3]") && states[1].ends_with(",1]"), "rows come last: {states:?}");
    }

    #[test]
    fn merged_states_give_what_one_table_gives() {
        let plan = plan("count(*), sum(dst_port), avg(dst_port), stddev(dst_port), bool_or(dst_port > 20)");
        let (mut a, mut b, mut whole) = (table(&plan), table(&plan), table(&plan));
        update(&mut a, &[12, 21]).expect("updated");
        update(&mut b, &[22, 31, 33]).expect("updated");
        update(&mut whole, &[12, 21, 22, 31, 33]).expect("updated");
        let mut merged = table(&plan);
        for part in [&mut a, &mut b] {
            merged.merge(&part.take_state().expect("a state")).expect("merged");
        }
        let (groups, results) = merged.take_results().expect("results");
        let (want_groups, want) = whole.take_results().expect("results");
        assert_eq!(groups, want_groups);
        assert_eq!(results, want);
    }

    #[test]
    fn an_expression_that_fails_leaves_the_table_as_it_was() {
        let plan = plan("count(*), sum(10 / (dst_port - 11))");
        let mut one = table(&plan);
        update(&mut one, &[12]).expect("updated");
        assert!(update(&mut one, &[13, 11]).is_err());
        assert_eq!(one.len(), 1);
        assert!(text(&one.take_state().expect("a state"))[0].starts_with(r#"[2,"acme","2",1,10,"#));
    }

    #[test]
    fn states_of_another_layout_are_refused() {
        let (count, sum) = (plan("count(*)"), plan("sum(dst_port), min(dst_port)"));
        let mut other = table(&sum);
        update(&mut other, &[1]).expect("updated");
        let error = table(&count).merge(&other.take_state().expect("a state")).expect_err("other columns");
        assert!(error.to_string().contains("state has columns"), "{error}");
    }

    #[test]
    fn only_true_is_true() {
        let conditions: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        assert_eq!(truth(&conditions), BooleanArray::from(vec![true, false, false]));
    }
}
