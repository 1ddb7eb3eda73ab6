//! SELECT -> DataFusion's analyzed plan -> the expressions that our operators evaluate.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use dataflow::Table;
use dataflow::schema::UTC;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, LogicalPlan, ScalarUDF, TableSource, Volatility, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_planner::create_aggregate_expr_and_maybe_filter;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, GroupByExpr, GroupByExpr::Expressions, Query, Select, SetExpr, Statement,
};

use super::columns::{WINDOW_COLUMNS, is_leaf, resolve};
use super::from::{From, take_from};
use super::parse::{parse, start};
use super::{Place, SqlError, monotone, place};
use crate::distinct::DistinctKind;
use crate::leaves::Leaves;
use crate::window::WindowSpec;

/// A physical expression.
pub(crate) type PhysicalRef = Arc<dyn PhysicalExpr>;

/// What a rule's SQL does.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Each row that meets the condition is an alert.
    Filter(FilterPlan),
    /// Groups of rows, a window at a time.
    Window(WindowPlan),
}

/// The columns that expressions read: indexes into [`Leaves`], and the schema they make.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) leaves: Vec<usize>,
    pub(crate) schema: SchemaRef,
}

/// A filter rule.
#[derive(Debug)]
pub(crate) struct FilterPlan {
    pub(crate) input: Input,
    pub(crate) predicate: PhysicalRef,
    /// The selected columns, evaluated on the rows that pass.
    pub(crate) projection: Vec<(String, PhysicalRef)>,
}

/// A windowed rule.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    pub(crate) spec: WindowSpec,
    pub(crate) input: Input,
    pub(crate) predicate: Option<PhysicalRef>,
    /// What is grouped by besides tenant and window.
    pub(crate) keys: Vec<(FieldRef, PhysicalRef)>,
    pub(crate) aggregates: Vec<AggregatePlan>,
    pub(crate) output: Output,
}

/// One aggregate function call.
#[derive(Debug)]
pub(crate) struct AggregatePlan {
    pub(crate) args: Vec<PhysicalRef>,
    pub(crate) filter: Option<PhysicalRef>,
    pub(crate) function: AggregateFunction,
    /// Its mergeable state, as columns.
    pub(crate) state: Vec<FieldRef>,
}

/// Who computes an aggregate.
#[derive(Debug)]
pub(crate) enum AggregateFunction {
    DataFusion(Arc<AggregateFunctionExpr>),
    Distinct(DistinctKind),
}

/// From groups to alerts.
#[derive(Debug)]
pub(crate) struct Output {
    /// Group columns, then aggregates.
    pub(crate) schema: SchemaRef,
    pub(crate) group: Vec<OutputKey>,
    pub(crate) having: Option<PhysicalRef>,
    pub(crate) projection: Vec<(String, PhysicalRef)>,
}

/// Where a group column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKey {
    /// The key with this index.
    Key(usize),
    WindowStart,
    WindowEnd,
    WindowTime,
}

/// Plans a rule's SQL. `on_threshold`: alerts may leave before the window ends, so HAVING must not be able to fall back.
pub(crate) fn plan(sql: &str, on_threshold: bool) -> Result<(Table, Plan), SqlError> {
    let mut select = parse(sql)?;
    let from = take_from(&mut select)?;
    resolve(&mut select, &from)?;
    check_grouping(&select, &from)?;
    let places = Places { sql, select: place(&*select), having: select.having.as_ref().map(place) };
    let typed = typed_plan(*select, &from).map_err(|e| places.locate(&e))?;
    // Before simplifying: it would fold now() into the time of loading.
    check_expressions(&typed, &places)?;
    let logical = simplified(typed).map_err(|e| places.locate(&e))?;
    let plan =
        match from.window {
            None if on_threshold => Err(SqlError::new(start(), "emit: on_threshold needs a window")
                .suggest("a filter rule alerts at once anyway")),
            None => filter_plan(&logical, &from, &places).map(Plan::Filter),
            Some(spec) => window_plan(&logical, spec, &from, on_threshold, &places).map(Plan::Window),
        };
    Ok((from.table, plan?))
}

/// Where things stand in the text, for refusals that DataFusion raises without a place.
struct Places<'a> {
    sql: &'a str,
    select: Place,
    having: Option<Place>,
}

impl Places<'_> {
    /// DataFusion quotes what it objects to: the first quoted word that stands in the text is the place.
    fn locate(&self, error: &DataFusionError) -> SqlError {
        let text = error.strip_backtrace();
        let text = text.trim_start_matches("Error during planning: ").trim_start_matches("Schema error: ");
        if let Some(column) = text.split("column \"").nth(1).filter(|_| text.contains("must appear in the GROUP BY")) {
            let column = column.split('"').next().unwrap_or_default();
            let column = column.split_once('.').map_or(column, |(_, name)| name);
            let at = self.find(column).unwrap_or(self.select);
            return SqlError::new(at, format!("{column} is neither in GROUP BY nor in an aggregate"));
        }
        let at = text.split('\'').skip(1).step_by(2).find_map(|word| self.find(word)).unwrap_or(self.select);
        // One line for each signature tried: the type that was given says as much.
        if let Some((name, rest)) = text.split_once("' failed to match any signature") {
            let name = name.rsplit('\'').next().unwrap_or_default();
            let given = rest.split("but received ").nth(1).and_then(|t| t.split_whitespace().next());
            return SqlError::new(at, format!("{name} does not take {}", given.unwrap_or("these arguments")));
        }
        let mut lines = text.lines();
        let error = SqlError::new(at, lines.next().unwrap_or_default().trim_end_matches('.'));
        match lines.next().filter(|l| l.contains("Did you mean")) {
            Some(hint) => error.suggest(hint.trim().replace("Did", "did")),
            None => error,
        }
    }

    fn find(&self, word: &str) -> Option<Place> {
        let at = self.sql.to_lowercase().find(&word.to_lowercase()).filter(|_| !word.is_empty())?;
        let before = self.sql.get(..at)?;
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
        Some(Place { line, column })
    }
}

fn check_grouping(select: &Select, from: &From) -> Result<(), SqlError> {
    let at = place(select);
    let group: &[SqlExpr] = match &select.group_by {
        Expressions(group, _) => group,
        GroupByExpr::All(_) => &[],
    };
    if from.window.is_none() {
        return match (group.first(), &select.having) {
            (Some(expr), _) | (None, Some(expr)) => {
                let error = SqlError::new(place(expr), "GROUP BY and HAVING need a window");
                Err(error.suggest(format!("FROM TUMBLE({}, DESCRIPTOR(time), INTERVAL '1' MINUTE)", from.table)))
            }
            (None, None) if select.selection.is_none() => {
                Err(SqlError::new(at, "without WHERE every event would alert").suggest("add a condition"))
            }
            (None, None) => Ok(()),
        };
    }
    for wanted in &WINDOW_COLUMNS[..2] {
        if !group.iter().any(|e| e.to_string().trim_matches('"').eq_ignore_ascii_case(wanted)) {
            let error = SqlError::new(at, format!("GROUP BY lacks {wanted}"));
            return Err(error.suggest("GROUP BY window_start, window_end, <key columns>"));
        }
    }
    Ok(())
}

/// Functions and types by name, and the one table.
struct Catalog {
    state: &'static SessionState,
    schema: SchemaRef,
}

static SESSION: LazyLock<SessionState> = LazyLock::new(|| {
    SessionStateBuilder::new()
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .build()
});

impl ContextProvider for Catalog {
    fn get_table_source(&self, _name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        Ok(Arc::new(LogicalTableSource::new(self.schema.clone())))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The type of `time` and of the window columns.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

fn scan_schema(from: &From) -> SchemaRef {
    let leaves = Leaves::of(from.table).schema().fields().iter().cloned();
    let window = WINDOW_COLUMNS.iter().map(|name| Arc::new(Field::new(*name, time_type(), false)));
    let window: Vec<FieldRef> = if from.window.is_some() { window.collect() } else { Vec::new() };
    Arc::new(Schema::new(leaves.chain(window).collect::<Vec<_>>()))
}

fn typed_plan(select: Select, from: &From) -> DfResult<LogicalPlan> {
    let catalog = Catalog { state: &SESSION, schema: scan_schema(from) };
    let options = ParserOptions::new().with_map_string_types_to_utf8view(false);
    let statement = Statement::Query(Box::new(Query {
        body: Box::new(SetExpr::Select(Box::new(select))),
        with: None,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }));
    let plan = SqlToRel::new_with_options(&catalog, options).sql_statement_to_plan(statement)?;
    SESSION.analyzer().execute_and_check(plan, SESSION.config_options(), |_, _| {})
}

/// Expressions are simplified, nothing is rearranged: no rule moves a filter or splits an aggregate.
fn simplified(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]).optimize(
        plan,
        &OptimizerContext::new(),
        |_, _| {},
    )
}

/// Aggregates whose states merge in any order of partitions.
const MERGEABLE: [&str; 14] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "var",
    "var_pop",
    "stddev",
    "stddev_pop",
];

/// Refuses what would give another result when it is evaluated again, or merged in another order.
fn check_expressions(plan: &LogicalPlan, places: &Places<'_>) -> Result<(), SqlError> {
    let mut refused = None;
    let visited = plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                refused = refused.take().or_else(|| objection(e, places));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    visited.map_err(|e| places.locate(&e))?;
    refused.map_or(Ok(()), Err)
}

fn objection(expr: &Expr, places: &Places<'_>) -> Option<SqlError> {
    let at = |name: &str| places.find(&format!("{name}(")).or_else(|| places.find(name)).unwrap_or(places.select);
    match expr {
        Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
            let what = format!("{}() gives another value each time it is evaluated", f.name());
            Some(SqlError::new(at(f.name()), what).suggest("use time or window_end"))
        }
        Expr::AggregateFunction(f) if !f.params.order_by.is_empty() => {
            Some(SqlError::new(at(f.func.name()), "ORDER BY within an aggregate is not supported in rules"))
        }
        Expr::AggregateFunction(f) if !MERGEABLE.contains(&f.func.name()) => {
            let name = f.func.name();
            let error = SqlError::new(at(name), format!("{name} does not merge exactly over partitions"));
            let instead = if name == "approx_distinct" { "count(DISTINCT ...)" } else { "count, sum, avg, min or max" };
            Some(error.suggest(format!("use {instead}")))
        }
        _ => None,
    }
}

fn filter_plan(plan: &LogicalPlan, from: &From, places: &Places<'_>) -> Result<FilterPlan, SqlError> {
    let (select, plan) = projection(plan, places)?;
    let Some((predicate, scan)) = filter(plan) else {
        return Err(SqlError::new(places.select, "an aggregate needs a window").suggest("FROM TUMBLE(...) or HOP(...)"));
    };
    check_possible(predicate, places)?;
    let locate = |e: DataFusionError| places.locate(&e);
    let mut lower = Lower::new(scan.schema(), from.table);
    let predicate = lower.expr(predicate).map_err(locate)?;
    let projection = named(&mut lower, select).map_err(locate)?;
    let input = lower.input();
    let predicate = input.reassign(predicate).map_err(locate)?;
    let projection: DfResult<_> = projection.into_iter().map(|(n, e)| Ok((n, input.reassign(e)?))).collect();
    Ok(FilterPlan { predicate, projection: projection.map_err(locate)?, input })
}

fn projection<'a>(plan: &'a LogicalPlan, places: &Places<'_>) -> Result<(&'a [Expr], &'a LogicalPlan), SqlError> {
    match plan {
        LogicalPlan::Projection(p) => Ok((&p.expr, &p.input)),
        other => Err(SqlError::new(places.select, format!("a rule cannot run {}", other.display()))),
    }
}

fn filter(plan: &LogicalPlan) -> Option<(&Expr, &LogicalPlan)> {
    match plan {
        LogicalPlan::Filter(f) => Some((&f.predicate, &f.input)),
        _ => None,
    }
}

/// A condition that simplifies to FALSE or NULL is a rule that never fires.
fn check_possible(predicate: &Expr, places: &Places<'_>) -> Result<(), SqlError> {
    match predicate {
        Expr::Literal(ScalarValue::Boolean(Some(false) | None) | ScalarValue::Null, _) => {
            Err(SqlError::new(places.select, "the condition can never be true: the rule would never fire"))
        }
        _ => Ok(()),
    }
}

fn window_plan(
    plan: &LogicalPlan,
    spec: WindowSpec,
    from: &From,
    on_threshold: bool,
    places: &Places<'_>,
) -> Result<WindowPlan, SqlError> {
    let (select, plan) = projection(plan, places)?;
    let (having, plan) = filter(plan).map_or((None, plan), |(having, input)| (Some(having), input));
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return Err(
            SqlError::new(places.select, "GROUP BY is missing").suggest("GROUP BY window_start, window_end, ...")
        );
    };
    let (predicate, scan) = filter(&aggregate.input).map_or((None, &*aggregate.input), |(p, s)| (Some(p), s));
    for condition in predicate.into_iter().chain(having) {
        check_possible(condition, places)?;
    }
    let inner =
        predicate.into_iter().chain(&aggregate.aggr_expr).chain(aggregate.group_expr.iter().filter(|e| !is_bare(e)));
    check_window_columns(inner, places)?;
    if on_threshold {
        check_monotone(having, aggregate, places)?;
    }
    let locate = |e: DataFusionError| places.locate(&e);
    let inner = lower_aggregate(predicate, aggregate, scan.schema(), from.table).map_err(locate)?;
    let output = lower_output(select, having, aggregate).map_err(locate)?;
    let (input, predicate, keys, aggregates) = inner;
    Ok(WindowPlan { spec, input, predicate, keys, aggregates, output })
}

fn is_bare(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_))
}

fn check_window_columns<'a>(exprs: impl Iterator<Item = &'a Expr>, places: &Places<'_>) -> Result<(), SqlError> {
    for column in exprs.flat_map(Expr::column_refs) {
        if let Some(name) = WINDOW_COLUMNS.iter().find(|w| **w == column.name) {
            let what = format!(
                "{name} is known only when the window closes: it may stand alone in GROUP BY, and in SELECT and HAVING"
            );
            return Err(SqlError::new(places.find(name).unwrap_or(places.select), what).suggest("use time"));
        }
    }
    Ok(())
}

fn check_monotone(having: Option<&Expr>, aggregate: &Aggregate, places: &Places<'_>) -> Result<(), SqlError> {
    let at = places.having.unwrap_or(places.select);
    let Some(having) = having else {
        return Err(SqlError::new(at, "emit: on_threshold needs HAVING: the threshold"));
    };
    match monotone::objection(having, aggregate) {
        None => Ok(()),
        Some(why) => {
            let error = SqlError::new(at, format!("emit: on_threshold: {why}"));
            Err(error.suggest("use >= or > on count, max or sum(traffic...), < on min; or emit: on_close"))
        }
    }
}

/// Turns logical expressions over the scan into physical ones, and notes which columns they read.
struct Lower<'a> {
    schema: &'a DFSchema,
    table: Table,
    props: ExecutionProps,
    used: BTreeSet<usize>,
}

impl<'a> Lower<'a> {
    fn new(schema: &'a DFSchema, table: Table) -> Self {
        Self { schema, table, props: ExecutionProps::new(), used: BTreeSet::new() }
    }

    fn expr(&mut self, expr: &Expr) -> DfResult<PhysicalRef> {
        let physical = create_physical_expr(expr, self.schema, &self.props)?;
        self.note(&physical);
        Ok(physical)
    }

    fn note(&mut self, physical: &PhysicalRef) {
        let own = collect_columns(physical).into_iter().filter(|c| is_leaf(self.table, c.name()));
        self.used.extend(own.map(|c| c.index()));
    }

    fn input(self) -> Input {
        let leaves: Vec<usize> = self.used.into_iter().collect();
        let fields: Vec<FieldRef> = leaves.iter().map(|&i| self.schema.field(i).clone()).collect();
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
fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string(),
    }
}

type Inner = (Input, Option<PhysicalRef>, Vec<(FieldRef, PhysicalRef)>, Vec<AggregatePlan>);

fn lower_aggregate(predicate: Option<&Expr>, aggregate: &Aggregate, scan: &DFSchema, table: Table) -> DfResult<Inner> {
    let mut lower = Lower::new(scan, table);
    let predicate = predicate.map(|p| lower.expr(p)).transpose()?;
    let mut keys = Vec::new();
    for (expr, field) in aggregate.group_expr.iter().zip(aggregate.schema.fields()) {
        if window_key(expr).is_none() {
            keys.push((field.clone(), lower.expr(expr)?));
        }
    }
    let mut calls = Vec::new();
    for expr in &aggregate.aggr_expr {
        calls.push(lower_call(&mut lower, expr)?);
    }
    let input = lower.input();
    let predicate = predicate.map(|p| input.reassign(p)).transpose()?;
    let keys: DfResult<_> = keys.into_iter().map(|(f, e)| Ok((f, input.reassign(e)?))).collect();
    for call in &mut calls {
        let args: DfResult<_> = call.args.drain(..).map(|e| input.reassign(e)).collect();
        call.args = args?;
        call.filter = call.filter.take().map(|e| input.reassign(e)).transpose()?;
    }
    Ok((input, predicate, keys?, calls))
}

fn lower_call(lower: &mut Lower<'_>, expr: &Expr) -> DfResult<AggregatePlan> {
    let (physical, filter, _) =
        create_aggregate_expr_and_maybe_filter(expr, lower.schema, lower.schema.as_arrow(), &lower.props)?;
    let args = physical.expressions();
    args.iter().chain(&filter).for_each(|e| lower.note(e));
    let distinct = physical.is_distinct() && physical.fun().name() == "count" && args.len() == 1;
    let kind = match args.first() {
        Some(arg) if distinct => DistinctKind::of(&arg.data_type(lower.schema.as_arrow())?),
        _ => None,
    };
    let (function, state) = match kind {
        Some(kind) => (AggregateFunction::Distinct(kind), vec![kind.state_field()]),
        None => {
            let state = physical.state_fields()?;
            (AggregateFunction::DataFusion(physical), state)
        }
    };
    Ok(AggregatePlan { args, filter, function, state })
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

fn lower_output(select: &[Expr], having: Option<&Expr>, aggregate: &Aggregate) -> DfResult<Output> {
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
