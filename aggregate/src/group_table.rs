//! Groups and their aggregates, driven directly: rows in, states out; states in, states or results out.
//!
//! DataFusion's `GroupValues` numbers the groups in the order of first sight and its `GroupsAccumulator`s (or ours) hold the
//! aggregates, so the output is a pure function of the input's order. Nothing is withheld and nothing is asynchronous.
//!
//! A state batch has the group's columns (the pane only in deltas), each aggregate's state, evidence and row count.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use crate::evidence::{self, Candidates, Evidence};
use crate::sql::{AggregateFunction, AggregatePlan, WindowPlan};

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
        let keys = plan.keys.iter().enumerate().map(|(i, (field, _))| own(format!("key{i}"), field));
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
    pub(crate) evidence: Evidence,
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
        Ok(Self { plan: plan.clone(), layout, values, aggregates, evidence: Evidence::new(keep), groups: Vec::new() })
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

    /// Adds rows: `input` holds what the aggregates read, `keys` the group columns, row by row. If an expression fails on
    /// a row, nothing is added.
    pub(crate) fn update(&mut self, keys: &[ArrayRef], input: &RecordBatch, rows: &Candidates<'_>) -> Result<()> {
        let calls = self.plan.aggregates.iter().map(|call| arguments(call, input)).collect::<Result<Vec<_>>>()?;
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
        let counts = columns[next + 1].as_primitive::<Int64Type>();
        self.evidence.merge(columns[next].as_list(), counts.values(), &self.groups, total);
        Ok(())
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

    /// Group columns and results of all groups in order of first sight. Evidence stays readable.
    pub(crate) fn take_results(&mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let groups = self.values.emit(EmitTo::All)?;
        let results = self.aggregates.iter_mut().map(|a| a.evaluate(EmitTo::All)).collect::<Result<_>>()?;
        Ok((groups, results))
    }
}

/// The arguments of a call, and its FILTER.
fn arguments(call: &AggregatePlan, input: &RecordBatch) -> Result<(Vec<ArrayRef>, Option<ArrayRef>)> {
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
