//! DataFusion's logical expressions -> the physical ones that our operators evaluate, over the columns they read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result as DfResult;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Aggregate, AggregateUDF, Expr};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_planner::create_aggregate_expr_and_maybe_filter;

use super::columns::is_leaf;
use super::needs::needs;
use super::plan::{
    AggregateFunction, AggregatePlan, Call, FilterPlan, Input, Output, OutputKey, PhysicalRef, WindowInput, WindowPlan,
};
use super::scan::Scan;
use crate::distinct::DistinctKind;
use crate::window::WindowSpec;

/// A filter rule: the rows of one table for which the condition holds, and what is selected of them.
pub(super) fn filter(scan: &Scan, predicate: &Expr, select: &[Expr]) -> DfResult<FilterPlan> {
    let mut lower = Lower::new(scan);
    let predicate = lower.expr(predicate)?;
    let projection = named(&mut lower, select)?;
    let input = lower.input();
    let predicate = input.reassign(predicate)?;
    let projection: DfResult<_> = projection.into_iter().map(|(n, e)| Ok((n, input.reassign(e)?))).collect();
    Ok(FilterPlan { table: scan.table, predicate, projection: projection?, input })
}

/// A windowed rule: what each table gives to the groups, and what becomes of them.
pub(super) fn window(
    spec: WindowSpec,
    scans: &[Scan],
    aggregate: &Aggregate,
    having: Option<&Expr>,
    select: &[Expr],
) -> DfResult<WindowPlan> {
    let keys = aggregate.group_expr.iter().zip(aggregate.schema.fields());
    let keys = keys.filter(|(expr, _)| window_key(expr).is_none()).map(|(_, field)| field.clone()).collect();
    let aggregates = aggregate.aggr_expr.iter().map(|e| aggregate_plan(e, aggregate.input.schema()));
    let mut aggregates = aggregates.collect::<DfResult<Vec<_>>>()?;
    if spec.is_session() {
        aggregates.extend(bounds()?);
    }
    let inputs = scans.iter().map(|scan| window_input(scan, aggregate, &aggregates)).collect::<DfResult<_>>()?;
    let needs = needs(having, aggregate, scans);
    Ok(WindowPlan { spec, inputs, keys, aggregates, needs, output: output(select, having, aggregate)? })
}

fn window_input(scan: &Scan, aggregate: &Aggregate, plans: &[AggregatePlan]) -> DfResult<WindowInput> {
    let above = aggregate.input.schema();
    let mut lower = Lower::new(scan);
    let predicate = scan.predicate.as_ref().map(|p| lower.expr(p)).transpose()?;
    let mut keys = Vec::new();
    for expr in aggregate.group_expr.iter().filter(|e| window_key(e).is_none()) {
        keys.push(lower.expr(&scan.over(expr, above)?)?);
    }
    let mut calls = Vec::new();
    for expr in &aggregate.aggr_expr {
        let (args, filter) = call(expr)?;
        let mut own = |e: &Expr| lower.expr(&scan.over(e, above)?);
        calls.push(Call {
            args: args.iter().map(&mut own).collect::<DfResult<_>>()?,
            filter: filter.map(own).transpose()?,
        });
    }
    // The bounds of a session are of the rows' own times.
    calls.resize_with(plans.len(), || Call { args: Vec::new(), filter: None });
    let input = lower.input();
    let reassign = |all: Vec<PhysicalRef>| all.into_iter().map(|e| input.reassign(e)).collect::<DfResult<Vec<_>>>();
    let predicate = predicate.map(|p| input.reassign(p)).transpose()?;
    let keys = reassign(keys)?;
    for call in &mut calls {
        call.args = reassign(std::mem::take(&mut call.args))?;
        call.filter = call.filter.take().map(|e| input.reassign(e)).transpose()?;
    }
    let is_evaluated = evaluated(&keys, &calls, plans, input.leaves.len());
    Ok(WindowInput { table: scan.table, predicate, keys, calls, input, is_evaluated })
}

/// Which columns of an input the expressions of keys and calls read. A key, and what a distinct count counts, needs no
/// evaluation if it is a column.
fn evaluated(keys: &[PhysicalRef], calls: &[Call], plans: &[AggregatePlan], columns: usize) -> Vec<bool> {
    let arguments = calls.iter().zip(plans).flat_map(|(call, plan)| {
        let is_numbered = matches!(plan.function, AggregateFunction::Distinct(_));
        call.args.iter().map(move |arg| (arg, is_numbered))
    });
    let numbered = keys.iter().map(|key| (key, true)).chain(arguments);
    let evaluated = numbered.filter(|(e, is_numbered)| !(*is_numbered && e.as_any().is::<Column>())).map(|(e, _)| e);
    let mut is_evaluated = vec![false; columns];
    for column in evaluated.chain(calls.iter().filter_map(|call| call.filter.as_ref())).flat_map(collect_columns) {
        is_evaluated[column.index()] = true;
    }
    is_evaluated
}

/// The arguments of an aggregate function, and its FILTER.
fn call(expr: &Expr) -> DfResult<(&[Expr], Option<&Expr>)> {
    match expr {
        Expr::Alias(alias) => call(&alias.expr),
        Expr::AggregateFunction(function) => Ok((&function.params.args, function.params.filter.as_deref())),
        other => plan_err!("{other} is no aggregate"),
    }
}

/// The function of an aggregate over the given columns, and its state.
fn aggregate_plan(expr: &Expr, schema: &DFSchema) -> DfResult<AggregatePlan> {
    let props = ExecutionProps::new();
    let (physical, ..) = create_aggregate_expr_and_maybe_filter(expr, schema, schema.as_arrow(), &props)?;
    let args = physical.expressions();
    let distinct = physical.is_distinct() && physical.fun().name() == "count" && args.len() == 1;
    let kind = match args.first() {
        Some(arg) if distinct => DistinctKind::of(&arg.data_type(schema.as_arrow())?),
        _ => None,
    };
    let (function, state) = match kind {
        Some(kind) => (AggregateFunction::Distinct(kind), vec![kind.state_field()]),
        None => {
            // Made once here: what it refuses is refused when the rule is loaded.
            physical.create_accumulator()?;
            let state = physical.state_fields()?;
            (AggregateFunction::DataFusion(physical), state)
        }
    };
    Ok(AggregatePlan { function, state })
}

/// The first and the last time of a group's rows.
fn bounds() -> DfResult<[AggregatePlan; 2]> {
    let schema = Arc::new(Schema::new(vec![Field::new("time", DataType::Int64, false)]));
    let bound = |function: Arc<AggregateUDF>| -> DfResult<AggregatePlan> {
        let name = function.name().to_owned();
        let time = vec![Arc::new(Column::new("time", 0)) as PhysicalRef];
        let physical = AggregateExprBuilder::new(function, time).schema(schema.clone()).alias(name).build()?;
        let state = physical.state_fields()?;
        Ok(AggregatePlan { function: AggregateFunction::Time(Arc::new(physical)), state })
    };
    Ok([bound(min_udaf())?, bound(max_udaf())?])
}

/// Turns logical expressions over the scan into physical ones, and notes which columns they read.
struct Lower<'a> {
    scan: &'a Scan,
    props: ExecutionProps,
    used: BTreeSet<usize>,
}

impl<'a> Lower<'a> {
    fn new(scan: &'a Scan) -> Self {
        Self { scan, props: ExecutionProps::new(), used: BTreeSet::new() }
    }

    fn expr(&mut self, expr: &Expr) -> DfResult<PhysicalRef> {
        let physical = create_physical_expr(expr, &self.scan.schema, &self.props)?;
        let own = collect_columns(&physical).into_iter().filter(|c| is_leaf(self.scan.table, c.name()));
        self.used.extend(own.map(|c| c.index()));
        Ok(physical)
    }

    fn input(self) -> Input {
        let leaves: Vec<usize> = self.used.into_iter().collect();
        let fields: Vec<FieldRef> = leaves.iter().map(|&i| self.scan.schema.field(i).clone()).collect();
        Input { leaves, schema: Arc::new(Schema::new(fields)) }
    }
}

impl Input {
    fn reassign(&self, expr: PhysicalRef) -> DfResult<PhysicalRef> {
        reassign_expr_columns(expr, &self.schema)
    }
}

fn named(lower: &mut Lower<'_>, select: &[Expr]) -> DfResult<Vec<(String, PhysicalRef)>> {
    select.iter().map(|e| Ok((output_name(e), lower.expr(e)?))).collect()
}

/// A selected column's name: its alias, or the column without its table.
pub(super) fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    }
}

fn window_key(expr: &Expr) -> Option<OutputKey> {
    let Expr::Column(column) = expr else { return None };
    match column.name.as_str() {
        "window_start" => Some(OutputKey::WindowStart),
        "window_end" => Some(OutputKey::WindowEnd),
        "window_time" => Some(OutputKey::WindowTime),
        _ => None,
    }
}

fn output(select: &[Expr], having: Option<&Expr>, aggregate: &Aggregate) -> DfResult<Output> {
    let mut keys = 0..;
    let group = aggregate.group_expr.iter().map(|e| match window_key(e) {
        Some(window) => window,
        None => OutputKey::Key(keys.next().unwrap_or_default()),
    });
    let group: Vec<OutputKey> = group.collect();
    let schema = &aggregate.schema;
    if schema.fields().len() != group.len() + aggregate.aggr_expr.len() {
        return plan_err!("grouping sets are not supported in rules");
    }
    let props = ExecutionProps::new();
    let lower = |e: &Expr| create_physical_expr(e, schema, &props);
    let having = having.map(lower).transpose()?;
    let projection: DfResult<_> = select.iter().map(|e| Ok((output_name(e), lower(e)?))).collect();
    Ok(Output { schema: Arc::new(unique_names(schema.as_arrow())), group, having, projection: projection? })
}

/// Expressions refer to columns by index; batches want no name twice.
fn unique_names(schema: &Schema) -> Schema {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let fields = schema.fields().iter().map(|field| {
        let n = seen.entry(field.name()).or_default();
        *n += 1;
        let name = if *n == 1 { field.name().clone() } else { format!("{}:{n}", field.name()) };
        field.as_ref().clone().with_name(name).with_nullable(true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}
