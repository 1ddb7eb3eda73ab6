//! SELECT -> DataFusion's analyzed plan -> the expressions that our operators evaluate.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use dataflow::Table;
use dataflow::schema::UTC;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ScalarValue, TableReference, plan_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, TableSource,
    Volatility, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, GroupByExpr, GroupByExpr::Expressions, Query, Select, SetExpr, Statement,
};

use super::columns::{WINDOW_COLUMNS, resolve};
use super::from::{From, take_from};
use super::functions::scalar_functions;
use super::needs::Need;
use super::parse::{parse, start};
use super::scan::{Scan, scans};
use super::{Place, SqlError, hint, lower, monotone, place};
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

/// The columns that expressions read: indexes into [`crate::leaves::Leaves`], and the schema they make.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) leaves: Vec<usize>,
    pub(crate) schema: SchemaRef,
}

/// A filter rule.
#[derive(Debug, Clone)]
pub(crate) struct FilterPlan {
    pub(crate) table: Table,
    pub(crate) input: Input,
    pub(crate) predicate: PhysicalRef,
    /// The selected columns, evaluated on the rows that pass.
    pub(crate) projection: Vec<(String, PhysicalRef)>,
}

/// A windowed rule.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    pub(crate) spec: WindowSpec,
    /// What it reads: one table, or one for each SELECT of a UNION ALL.
    pub(crate) inputs: Vec<WindowInput>,
    /// What is grouped by besides tenant and window.
    pub(crate) keys: Vec<FieldRef>,
    pub(crate) aggregates: Vec<AggregatePlan>,
    /// What a group must have for HAVING to hold.
    pub(crate) needs: Vec<Need>,
    pub(crate) output: Output,
}

/// How a windowed rule reads the rows of one table.
#[derive(Debug)]
pub(crate) struct WindowInput {
    pub(crate) table: Table,
    pub(crate) input: Input,
    pub(crate) predicate: Option<PhysicalRef>,
    /// The values of the plan's keys.
    pub(crate) keys: Vec<PhysicalRef>,
    /// What the plan's aggregates take.
    pub(crate) calls: Vec<Call>,
    /// For each column of the input: an expression of keys or calls reads it, rather than its values' numbers being taken.
    pub(crate) is_evaluated: Vec<bool>,
}

impl WindowInput {
    /// The table's column that a key or an argument is, if it is one.
    pub(crate) fn leaf(&self, expr: &PhysicalRef) -> Option<usize> {
        expr.as_any().downcast_ref::<Column>().map(|column| self.input.leaves[column.index()])
    }
}

/// What an aggregate takes of a row.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) args: Vec<PhysicalRef>,
    pub(crate) filter: Option<PhysicalRef>,
}

/// One aggregate.
#[derive(Debug)]
pub(crate) struct AggregatePlan {
    pub(crate) function: AggregateFunction,
    /// Its mergeable state, as columns.
    pub(crate) state: Vec<FieldRef>,
}

/// Who computes an aggregate.
#[derive(Debug)]
pub(crate) enum AggregateFunction {
    DataFusion(Arc<AggregateFunctionExpr>),
    Distinct(DistinctKind),
    /// The first or last time of the rows, as windows take it: what SESSION windows need behind the aggregates that the rule names.
    Time(Arc<AggregateFunctionExpr>),
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
pub(crate) fn plan(sql: &str, on_threshold: bool) -> Result<Plan, SqlError> {
    let mut select = parse(sql)?;
    let from = take_from(&mut select, false)?;
    resolve(&mut select, &from)?;
    check_grouping(&select, &from)?;
    let places = Places { sql, select: place(&*select), having: select.having.as_ref().map(place) };
    let typed = typed_plan(*select, &from).map_err(|e| places.locate(&e))?;
    // Before simplifying: it would fold now() into the time of loading.
    check_expressions(&typed, &places)?;
    let logical = simplified(typed).map_err(|e| places.locate(&e))?;
    match from.window {
        None if on_threshold => {
            Err(SqlError::new(start(), "emit: on_threshold needs a window")
                .suggest("a filter rule alerts at once anyway"))
        }
        None => filter_plan(&logical, &places).map(Plan::Filter),
        Some(spec) => window_plan(&logical, spec, on_threshold, &places).map(Plan::Window),
    }
}

impl Plan {
    /// The tables whose rows it reads; a table that two SELECTs read stands twice.
    pub(crate) fn tables(&self) -> Vec<Table> {
        match self {
            Plan::Filter(plan) => vec![plan.table],
            Plan::Window(plan) => plan.inputs.iter().map(|input| input.table).collect(),
        }
    }
}

/// Where things stand in the text, for refusals that DataFusion raises without a place.
pub(super) struct Places<'a> {
    pub(super) sql: &'a str,
    pub(super) select: Place,
    pub(super) having: Option<Place>,
}

impl Places<'_> {
    /// DataFusion quotes what it objects to: the first quoted word that stands in the text is the place.
    pub(super) fn locate(&self, error: &DataFusionError) -> SqlError {
        // Around the reason stand the names of the planner's own passes.
        let text = error.find_root().strip_backtrace();
        let text = text.trim_start_matches("Error during planning: ").trim_start_matches("Schema error: ");
        if let Some(column) = text.split("column \"").nth(1).filter(|_| text.contains("must appear in the GROUP BY")) {
            let column = column.split('"').next().unwrap_or_default();
            let column = column.split_once('.').map_or(column, |(_, name)| name);
            let at = self.find(column).unwrap_or(self.select);
            let error = SqlError::new(at, format!("{column} is neither in GROUP BY nor in an aggregate"));
            return error.suggest(format!("add it to GROUP BY, or select max({column})"));
        }
        let at = text.split('\'').skip(1).step_by(2).find_map(|word| self.find(word)).unwrap_or(self.select);
        // One line for each signature tried: the type that was given says as much.
        if let Some((name, rest)) = text.split_once("' failed to match any signature") {
            let name = name.rsplit('\'').next().unwrap_or_default();
            let given = rest.split("but received ").nth(1).and_then(|t| t.split_whitespace().next());
            let error = SqlError::new(
                at,
                format!("{name} does not take {}", given.map_or("these arguments".into(), hint::kind)),
            );
            return error.suggest("cast it, e.g. CAST(src_port AS BIGINT), or count(*)");
        }
        let (what, suggestion) = hint::of_planner(text);
        let at = if what.contains("stands in HAVING, not in WHERE") { self.find("WHERE").unwrap_or(at) } else { at };
        SqlError { suggestion, ..SqlError::new(at, what) }
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
                let table = from.name();
                let table = table.trim_start_matches("table ");
                Err(error.suggest(format!("FROM TUMBLE({table}, DESCRIPTOR(time), INTERVAL '1' MINUTE)")))
            }
            (None, None) if select.selection.is_none() => {
                let error = SqlError::new(at, "without WHERE every event would alert");
                Err(error.suggest("add a condition: WHERE action = 'Denied'"))
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

/// Functions, types and tables by name.
struct Catalog {
    state: &'static SessionState,
    /// Tables have the window's columns too.
    has_window: bool,
    /// What is read instead of a table.
    columns: Option<SchemaRef>,
}

static SESSION: LazyLock<SessionState> = LazyLock::new(|| {
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.extend(super::aggregates::all());
    SessionStateBuilder::new()
        .with_scalar_functions([SessionStateDefaults::default_scalar_functions(), scalar_functions()].concat())
        .with_aggregate_functions(aggregates)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .build()
});

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        if let Some(columns) = &self.columns {
            return Ok(Arc::new(LogicalTableSource::new(columns.clone())));
        }
        let table = Table::by_name(name.table());
        let table = table.ok_or_else(|| plan_datafusion_err!("no table {name}"))?;
        Ok(Arc::new(LogicalTableSource::new(scan_schema(table, self.has_window))))
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

fn scan_schema(table: Table, has_window: bool) -> SchemaRef {
    let leaves = Leaves::of(table).schema().fields().iter().cloned();
    let window = WINDOW_COLUMNS.iter().map(|name| Arc::new(Field::new(*name, time_type(), false)));
    let window: Vec<FieldRef> = if has_window { window.collect() } else { Vec::new() };
    Arc::new(Schema::new(leaves.chain(window).collect::<Vec<_>>()))
}

fn typed_plan(select: Select, from: &From) -> DfResult<LogicalPlan> {
    typed(select, &Catalog { state: &SESSION, has_window: from.window.is_some(), columns: None })
}

/// A SELECT over given columns instead of a table.
pub(super) fn typed_over(select: Select, columns: SchemaRef) -> DfResult<LogicalPlan> {
    typed(select, &Catalog { state: &SESSION, has_window: false, columns: Some(columns) })
}

fn typed(select: Select, catalog: &Catalog) -> DfResult<LogicalPlan> {
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
    let plan = SqlToRel::new_with_options(catalog, options).sql_statement_to_plan(statement)?;
    SESSION.analyzer().execute_and_check(plan, SESSION.config_options(), |_, _| {})
}

/// Expressions are simplified, nothing is rearranged: no rule moves a filter or splits an aggregate.
pub(super) fn simplified(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]).optimize(
        plan,
        &OptimizerContext::new(),
        |_, _| {},
    )
}

/// Aggregates whose states merge in any order of partitions.
const MERGEABLE: [&str; 21] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
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
pub(super) fn check_expressions(plan: &LogicalPlan, places: &Places<'_>) -> Result<(), SqlError> {
    let mut refused = None;
    let visited = plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                refused = refused.take().or_else(|| objection(e, places)).or_else(|| unlike(e, node, places));
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
            let error = SqlError::new(at(f.func.name()), "ORDER BY within an aggregate is not supported in rules");
            Some(error.suggest("array_agg(x) gives its values rising"))
        }
        Expr::AggregateFunction(f) if !MERGEABLE.contains(&f.func.name()) => {
            let name = f.func.name();
            let error = SqlError::new(at(name), format!("{name} does not merge exactly over partitions"));
            let instead = match name {
                "median" | "percentile_cont" | "quantile_cont" => "approx_median(x) or approx_percentile_cont(x, 0.95)",
                "first_value" | "nth_value" => "min(x), or min(time) with a FILTER",
                "last_value" => "max(x), or max(time) with a FILTER",
                "string_agg" => "array_agg(x)",
                "approx_percentile_cont_with_weight" => "approx_percentile_cont(x, 0.95)",
                _ => "count, sum, avg, min or max",
            };
            Some(error.suggest(format!("use {instead}")))
        }
        _ => None,
    }
}

/// A number that is compared with a text: DataFusion would compare texts, which never are equal, or in another order.
fn unlike(expr: &Expr, node: &LogicalPlan, places: &Places<'_>) -> Option<SqlError> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let (cast, text) = match (left.as_ref(), right.as_ref()) {
        (Expr::Cast(cast), Expr::Literal(text, _)) | (Expr::Literal(text, _), Expr::Cast(cast)) => (cast, text),
        _ => return None,
    };
    let ScalarValue::Utf8(Some(text)) = text else { return None };
    let is_order = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    let is_equal = matches!(op, Operator::Eq | Operator::NotEq);
    let is_meant = is_equal && text.parse::<f64>().is_ok();
    let from = node.inputs().first().and_then(|input| cast.expr.get_type(input.schema()).ok())?;
    // An author who casts means it.
    let is_cast = places.sql.to_lowercase().contains("cast(") || places.sql.contains("::");
    if is_cast || is_meant || !(is_equal || is_order) || !from.is_numeric() {
        return None;
    }
    let at = places.find(&format!("'{text}'")).unwrap_or(places.select);
    let column = hint::as_written(&cast.expr.to_string());
    let error = SqlError::new(at, format!("{column} is a number, '{text}' a text: they do not compare"));
    Some(error.suggest(format!("compare numbers: {column} = 22")))
}

fn filter_plan(plan: &LogicalPlan, places: &Places<'_>) -> Result<FilterPlan, SqlError> {
    let (select, plan) = projection(plan, places)?;
    let locate = |e: DataFusionError| places.locate(&e);
    if let LogicalPlan::Aggregate(_) = plan {
        return Err(SqlError::new(places.select, "an aggregate needs a window").suggest("FROM TUMBLE(...) or HOP(...)"));
    }
    let scans = scans(plan).map_err(locate)?;
    let ([scan], Some(predicate)) = (scans.as_slice(), scans.first().and_then(|scan| scan.predicate.as_ref())) else {
        return Err(SqlError::new(places.select, "a rule without a window reads one table, with a condition"));
    };
    check_possible(predicate, places)?;
    let over = |e: &Expr| Ok(scan.over(e, plan.schema())?.alias(lower::output_name(e)));
    let select = select.iter().map(over).collect::<DfResult<Vec<_>>>().map_err(locate)?;
    lower::filter(scan, predicate, &select).map_err(locate)
}

fn projection<'a>(plan: &'a LogicalPlan, places: &Places<'_>) -> Result<(&'a [Expr], &'a LogicalPlan), SqlError> {
    match plan {
        LogicalPlan::Projection(p) => Ok((&p.expr, &p.input)),
        other => Err(SqlError::new(places.select, format!("a rule cannot run {}", other.display()))),
    }
}

/// A condition that simplifies to FALSE or NULL is a rule that never fires.
pub(super) fn check_possible(predicate: &Expr, places: &Places<'_>) -> Result<(), SqlError> {
    match predicate {
        Expr::Literal(ScalarValue::Boolean(Some(false) | None) | ScalarValue::Null, _) => {
            let error = SqlError::new(places.select, "the condition can never be true: the rule would never fire");
            Err(error.suggest("compare a column: action = 'Denied'"))
        }
        _ => Ok(()),
    }
}

fn window_plan(
    plan: &LogicalPlan,
    spec: WindowSpec,
    on_threshold: bool,
    places: &Places<'_>,
) -> Result<WindowPlan, SqlError> {
    let (select, plan) = projection(plan, places)?;
    let (having, plan) = match plan {
        LogicalPlan::Filter(f) => (Some(&f.predicate), &*f.input),
        other => (None, other),
    };
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return Err(
            SqlError::new(places.select, "GROUP BY is missing").suggest("GROUP BY window_start, window_end, ...")
        );
    };
    let locate = |e: DataFusionError| places.locate(&e);
    let scans = scans(&aggregate.input).map_err(locate)?;
    for condition in scans.iter().filter_map(|scan| scan.predicate.as_ref()).chain(having) {
        check_possible(condition, places)?;
    }
    let conditions = scans.iter().filter_map(|scan| scan.predicate.as_ref());
    let keys = aggregate.group_expr.iter().filter(|e| !matches!(e, Expr::Column(_)));
    check_window_columns(conditions.chain(&aggregate.aggr_expr).chain(keys), places)?;
    if on_threshold && spec.is_session() {
        let error = SqlError::new(places.select, "emit: on_threshold: a SESSION is known only when it has ended");
        return Err(error.suggest("emit: on_close; or HOP, or CUMULATE"));
    }
    if on_threshold {
        check_monotone(having, aggregate, &scans, places)?;
    }
    lower::window(spec, &scans, aggregate, having, select).map_err(locate)
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

fn check_monotone(
    having: Option<&Expr>,
    aggregate: &Aggregate,
    scans: &[Scan],
    places: &Places<'_>,
) -> Result<(), SqlError> {
    let at = places.having.unwrap_or(places.select);
    let Some(having) = having else {
        let error = SqlError::new(at, "emit: on_threshold needs HAVING: the threshold");
        return Err(error.suggest("HAVING count(*) > 20; or emit: on_close"));
    };
    match monotone::objection(having, aggregate, scans) {
        None => Ok(()),
        Some(why) => {
            let error = SqlError::new(at, format!("emit: on_threshold: {}", hint::as_written(&why)));
            Err(error.suggest("use >= or > on count, max or sum(traffic...), < on min; or emit: on_close"))
        }
    }
}
