//! Groups and their aggregates, driven directly: rows in, states out; states in, states or results out.
//!
//! [`GroupKeys`] numbers the groups in the order of first sight, and DataFusion's `GroupsAccumulator`s (or ours) hold the
//! aggregates, so the output is a pure function of the input's order. Nothing is withheld and nothing is asynchronous.
//! Keys and distinct values are numbers of the caller's [`Codes`], which many tables share.
//!
//! A state batch has the group's columns (the pane only in deltas), each aggregate's state, evidence and row counts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::GroupsAccumulatorAdapter;

use crate::codes::Codes;
use crate::distinct::Distinct;
use crate::evidence::{self, Candidates, Evidence, StateColumns};
use crate::group_keys::GroupKeys;
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
        let keys = plan.keys.iter().enumerate().map(|(i, field)| own(format!("key{i}"), field));
        let mut fields: Vec<FieldRef> = pane.into_iter().chain([tenant]).chain(keys).collect();
        let group = fields.len();
        for (i, aggregate) in plan.aggregates.iter().enumerate() {
            fields.extend(aggregate.state.iter().enumerate().map(|(j, f)| own(format!("state{i}_{j}"), f)));
        }
        fields.extend(evidence::state_fields(plan.inputs.len()));
        Self { group, schema: Arc::new(Schema::new(fields)) }
    }
}

/// See the module's front.
pub(crate) struct GroupTable {
    plan: Arc<WindowPlan>,
    layout: StateLayout,
    keys: GroupKeys,
    aggregates: Vec<Aggregate>,
    evidence: Evidence,
    /// The group of each row of the batch in hand.
    groups: Vec<usize>,
}

/// One aggregate over all groups.
enum Aggregate {
    Distinct(Distinct),
    DataFusion(Box<dyn GroupsAccumulator>),
}

/// What an aggregate takes of the rows of a batch.
pub(crate) struct Taken {
    pub(crate) values: Values,
    /// The rows that count; all if there is none.
    pub(crate) filter: Option<BooleanArray>,
}

/// The arguments of an aggregate, row by row.
pub(crate) enum Values {
    /// The one argument of a distinct count.
    Codes(Arc<[u32]>),
    Arrays(Vec<ArrayRef>),
}

impl std::fmt::Debug for GroupTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupTable").field("groups", &self.keys.len()).finish_non_exhaustive()
    }
}

impl GroupTable {
    /// No groups. `keep`: rows of evidence a group.
    pub(crate) fn new(plan: &Arc<WindowPlan>, layout: StateLayout, keep: usize) -> Result<Self> {
        let keys = GroupKeys::new(layout.group);
        let aggregates = plan.aggregates.iter().map(Aggregate::new).collect::<Result<_>>()?;
        let evidence = Evidence::new(keep, plan.inputs.len());
        Ok(Self { plan: plan.clone(), layout, keys, aggregates, evidence, groups: Vec::new() })
    }

    /// As [`GroupTable::new`], with room for so many groups.
    pub(crate) fn with_room(plan: &Arc<WindowPlan>, layout: StateLayout, keep: usize, groups: usize) -> Result<Self> {
        let mut table = Self::new(plan, layout, keep)?;
        table.keys = GroupKeys::with_room(table.layout.group, groups);
        for aggregate in &mut table.aggregates {
            if let Aggregate::Distinct(distinct) = aggregate {
                distinct.reserve(groups);
            }
        }
        Ok(table)
    }

    /// The columns of its states.
    pub(crate) fn layout(&self) -> &StateLayout {
        &self.layout
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.size() + self.aggregates.iter().map(Aggregate::size).sum::<usize>() + self.evidence.bytes()
    }

    /// Adds rows: `keys` holds the group columns, `taken` what each aggregate takes, row by row.
    ///
    /// # Errors
    /// If an aggregate fails.
    pub(crate) fn update(&mut self, keys: &[Arc<[u32]>], taken: &[Taken], rows: &Candidates<'_>) -> Result<()> {
        self.keys.intern(keys, &mut self.groups);
        let total = self.keys.len();
        for (aggregate, taken) in self.aggregates.iter_mut().zip(taken) {
            aggregate.update(taken, &self.groups, total)?;
        }
        self.evidence.update(rows, &self.groups, total);
        Ok(())
    }

    /// Adds the groups of a state batch in this table's layout.
    pub(crate) fn merge(&mut self, state: &RecordBatch, codes: &mut Codes) -> Result<()> {
        self.merge_aggregates(state, codes)?;
        let pairs = self.groups.iter().copied().enumerate();
        self.evidence.merge(&StateColumns::of(state, self.plan.inputs.len()), pairs, self.keys.len());
        Ok(())
    }

    /// As [`GroupTable::merge`], but without evidence, which most groups of a window never need. The group of each row.
    pub(crate) fn merge_aggregates(&mut self, state: &RecordBatch, codes: &mut Codes) -> Result<&[usize]> {
        if state.schema() != self.layout.schema {
            return internal_err!("state has columns {}, not {}", state.schema(), self.layout.schema);
        }
        let columns = state.columns();
        let keys = columns[..self.layout.group].iter().map(|key| codes.of(key)).collect::<Result<Vec<_>>>()?;
        self.keys.intern(&keys, &mut self.groups);
        let total = self.keys.len();
        let mut next = self.layout.group;
        for (aggregate, call) in self.aggregates.iter_mut().zip(&self.plan.aggregates) {
            let states = &columns[next..next + call.state.len()];
            next += call.state.len();
            aggregate.merge(states, &self.groups, total, codes)?;
        }
        Ok(&self.groups)
    }

    /// The states of all groups in order of first sight; no group is left.
    pub(crate) fn take_state(&mut self, codes: &Codes) -> Result<RecordBatch> {
        let mut columns = self.take_keys(codes)?;
        for aggregate in &mut self.aggregates {
            columns.extend(aggregate.take_state(codes)?);
        }
        columns.extend(self.evidence.take_state());
        Ok(RecordBatch::try_new(self.layout.schema.clone(), columns)?)
    }

    /// Group columns and results of all groups in order of first sight.
    pub(crate) fn take_results(&mut self, codes: &Codes) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let groups = self.take_keys(codes)?;
        let results = self.aggregates.iter_mut().map(Aggregate::results).collect::<Result<_>>()?;
        Ok((groups, results))
    }

    fn take_keys(&mut self, codes: &Codes) -> Result<Vec<ArrayRef>> {
        let fields = self.layout.schema.fields()[..self.layout.group].iter();
        let column = |(i, field): (usize, &FieldRef)| codes.values(field.data_type(), &self.keys.column(i));
        let columns = fields.enumerate().map(column).collect();
        self.keys = GroupKeys::new(self.layout.group);
        columns
    }
}

impl Aggregate {
    fn new(call: &AggregatePlan) -> Result<Self> {
        Ok(match &call.function {
            AggregateFunction::Distinct(kind) => Self::Distinct(Distinct::new(*kind)),
            AggregateFunction::DataFusion(function) | AggregateFunction::Time(function)
                if function.groups_accumulator_supported() =>
            {
                Self::DataFusion(function.create_groups_accumulator()?)
            }
            AggregateFunction::DataFusion(function) | AggregateFunction::Time(function) => {
                let function = function.clone();
                Self::DataFusion(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
            }
        })
    }

    fn update(&mut self, taken: &Taken, groups: &[usize], total: usize) -> Result<()> {
        match (self, &taken.values) {
            (Self::Distinct(distinct), Values::Codes(codes)) => {
                distinct.update(codes, groups, taken.filter.as_ref(), total);
                Ok(())
            }
            (Self::DataFusion(aggregate), Values::Arrays(values)) => {
                aggregate.update_batch(values, groups, taken.filter.as_ref(), total)
            }
            _ => internal_err!("an aggregate was given the arguments of another"),
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize, codes: &mut Codes) -> Result<()> {
        match self {
            Self::Distinct(distinct) => distinct.merge(states[0].as_list(), groups, total, codes),
            Self::DataFusion(aggregate) => aggregate.merge_batch(states, groups, None, total),
        }
    }

    fn take_state(&mut self, codes: &Codes) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Distinct(distinct) => Ok(vec![distinct.take_state(codes)?]),
            Self::DataFusion(aggregate) => aggregate.state(EmitTo::All),
        }
    }

    fn results(&mut self) -> Result<ArrayRef> {
        match self {
            Self::Distinct(distinct) => Ok(distinct.results()),
            Self::DataFusion(aggregate) => aggregate.evaluate(EmitTo::All),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Distinct(distinct) => distinct.size(),
            Self::DataFusion(aggregate) => aggregate.size(),
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
    use arrow::array::{Int32Array, StringArray};

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
        GroupTable::with_room(plan, StateLayout::new(plan, true), 1, 4).expect("a table")
    }

    /// Adds one row a port, the pane and the key being the port's last digit.
    fn update(table: &mut GroupTable, codes: &mut Codes, ports: &[i32]) -> Result<()> {
        let digit = |p: &i32| (p % 10).to_string();
        let keys: Vec<Arc<[u32]>> = vec![
            ports.iter().map(|p| codes.integer(i64::from(p % 10))).collect(),
            codes.of(&StringArray::from(vec!["acme"; ports.len()]))?.into(),
            codes.of(&StringArray::from_iter_values(ports.iter().map(digit)))?.into(),
        ];
        let plan = table.plan.clone();
        let schema = plan.inputs[0].input.schema.clone();
        let columns = schema.fields().iter().map(|f| -> ArrayRef {
            match f.data_type() {
                DataType::Int32 => Arc::new(Int32Array::from(ports.to_vec())),
                _ => Arc::new(StringArray::from_iter_values(ports.iter().map(digit))),
            }
        });
        let input = RecordBatch::try_new(schema.clone(), columns.collect())?;
        let evaluate = |e: &crate::sql::PhysicalRef| e.evaluate(&input)?.into_array(ports.len());
        let mut taken = Vec::new();
        for (call, aggregate) in plan.inputs[0].calls.iter().zip(&plan.aggregates) {
            let args = call.args.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
            let values = match &aggregate.function {
                AggregateFunction::Distinct(kind) => Values::Codes(kind.codes(&args[0], codes)?.into()),
                AggregateFunction::DataFusion(_) | AggregateFunction::Time(_) => Values::Arrays(args),
            };
            taken.push(Taken { values, filter: None });
        }
        let (times, records) = (vec![0; ports.len()], vec![0; ports.len()]);
        let source = Arc::from("t@i/0");
        let rows =
            Candidates { source: &source, input: 0, rows: None, times: &times, offsets: &times, records: &records };
        table.update(&keys, &taken, &rows)
    }

    fn text(batch: &RecordBatch) -> Vec<String> {
        let row = |row| crate::json::row_json(&batch.columns().iter().map(AsRef::as_ref).collect::<Vec<_>>(), row);
        (0..batch.num_rows()).map(row).collect()
    }

    #[test]
    fn states_stand_in_the_order_of_first_sight() {
        let plan = plan("count(*), max(dst_port), count(DISTINCT dst_port)");
        let (mut one, mut codes) = (table(&plan), Codes::default());
        update(&mut one, &mut codes, &[12, 21, 32, 12]).expect("updated");
        assert_eq!(one.len(), 2);
        assert!(one.bytes() > 0);
        let states = text(&one.take_state(&codes).expect("states"));
        assert!(states[0].starts_with(r#"[2,"acme","2",3,32,[12,32],"#), "{states:?}");
        assert!(states[1].starts_with(r#"[1,"acme","1",1,21,[21],"#), "{states:?}");
        assert!(states[0].ends_with(",3]") && states[1].ends_with(",1]"), "rows come last: {states:?}");
        assert_eq!(one.len(), 0);
    }

    #[test]
    fn merged_states_give_what_one_table_gives() {
        let plan = plan(
            "count(*), sum(dst_port), avg(dst_port), stddev(dst_port), bool_or(dst_port > 20), count(DISTINCT dst_port)",
        );
        let (mut whole, mut codes) = (table(&plan), Codes::default());
        let (mut merged, mut of_merged) = (table(&plan), Codes::default());
        for ports in [&[12, 21][..], &[22, 31, 33]] {
            let (mut part, mut own) = (table(&plan), Codes::default());
            update(&mut part, &mut own, ports).expect("updated");
            update(&mut whole, &mut codes, ports).expect("updated");
            merged.merge(&part.take_state(&own).expect("a state"), &mut of_merged).expect("merged");
        }
        let (groups, results) = merged.take_results(&of_merged).expect("results");
        let (want_groups, want) = whole.take_results(&codes).expect("results");
        assert_eq!(groups, want_groups);
        assert_eq!(results, want);
    }

    #[test]
    fn states_of_another_layout_are_refused() {
        let (count, sum) = (plan("count(*)"), plan("sum(dst_port), min(dst_port)"));
        let (mut other, mut codes) = (table(&sum), Codes::default());
        update(&mut other, &mut codes, &[1]).expect("updated");
        let state = other.take_state(&codes).expect("a state");
        let error = table(&count).merge(&state, &mut Codes::default()).expect_err("other columns");
        assert!(error.to_string().contains("state has columns"), "{error}");
    }

    #[test]
    fn only_true_is_true() {
        let conditions: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        assert_eq!(truth(&conditions), BooleanArray::from(vec![true, false, false]));
    }
}
