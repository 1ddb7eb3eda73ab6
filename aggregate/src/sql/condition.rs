//! A condition by itself, as exceptions have it: over a table's rows, or over the columns that a rule selects.
//!
//! It is planned as the WHERE of a SELECT, so names, types and refusals are those of rules; places are of its own text.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use dataflow::Table;
use datafusion::common::plan_datafusion_err;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_expr::create_physical_expr;
use datafusion::sql::sqlparser::ast::Select;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::columns::resolve;
use super::from::{From, Source};
use super::parse::{parse, parser_error};
use super::plan::{
    FilterPlan, PhysicalRef, Places, Plan, check_expressions, check_possible, plan, simplified, typed_over,
};
use super::{SqlError, batch, place};

/// The condition over a table's rows; what it selects is of no matter.
pub(crate) fn row_condition(table: Table, text: &str) -> Result<FilterPlan, SqlError> {
    check(text)?;
    let head = format!("SELECT time FROM {table} WHERE (");
    match plan(&format!("{head}{text}\n)"), false) {
        Ok(Plan::Filter(plan)) => Ok(plan),
        Ok(Plan::Window(_)) => Err(SqlError::new(super::parse::start(), "a condition has no window")),
        Err(error) => Err(of_text(error, &head)),
    }
}

/// The condition over columns, in their order.
pub(crate) fn column_condition(columns: Schema, text: &str) -> Result<PhysicalRef, SqlError> {
    check(text)?;
    let head = "SELECT 1 FROM selected WHERE (";
    over(columns.into(), &format!("{head}{text}\n)")).map_err(|error| of_text(error, head))
}

fn over(columns: SchemaRef, sql: &str) -> Result<PhysicalRef, SqlError> {
    let mut select = parse(sql)?;
    let names = columns.fields().iter().map(|field| field.name().clone()).collect();
    let from = From { source: Source::Subquery(names), window: None, alias: None };
    resolve(&mut select, &from)?;
    let places = Places { sql, select: place(&*select), having: None };
    let typed = typed_over(*select, columns).map_err(|e| places.locate(&e))?;
    check_expressions(&typed, &places)?;
    let plan = simplified(typed).map_err(|e| places.locate(&e))?;
    let lowered = match plan.inputs().first() {
        Some(LogicalPlan::Filter(filter)) => {
            check_possible(&filter.predicate, &places)?;
            create_physical_expr(&filter.predicate, filter.input.schema(), &ExecutionProps::new())
        }
        _ => Err(plan_datafusion_err!("not a condition")),
    };
    lowered.map_err(|e| places.locate(&e))
}

/// The condition as any engine takes it, over a table's rows.
pub(crate) fn batch_condition(text: &str) -> Result<String, SqlError> {
    let select: Box<Select> = batch::printable(&format!("SELECT 1 FROM t WHERE ({text}\n)"))?;
    Ok(select.selection.map_or_else(String::new, |condition| condition.to_string()))
}

/// Refuses a text that is more, or less, than one condition.
fn check(text: &str) -> Result<(), SqlError> {
    let parser = Parser::new(&GenericDialect {}).try_with_sql(text);
    let parsed = parser.and_then(|mut parser| Ok((parser.parse_expr()?, parser.next_token())));
    match parsed.map_err(|e| parser_error(&e))? {
        (_, token) if token.token == Token::EOF => Ok(()),
        (_, token) => {
            let error = SqlError::new(token.span.start, format!("{} is not expected here", token.token));
            Err(error.suggest("where: src_ip = '10.0.0.5' AND dst_port = 22"))
        }
    }
}

/// A refusal of a whole SELECT as one of the condition in it.
fn of_text(error: SqlError, head: &str) -> SqlError {
    let column = if error.line == 1 { error.column.saturating_sub(head.len() as u64).max(1) } else { error.column };
    let what = error.what.replace("the subquery has", "the rule selects");
    let what = what.replace("the rule would never fire", "the exception would never apply");
    SqlError { column, what, suggestion: error.suggestion, line: error.line }
}

/// Columns of these names and types, as a condition reads them.
pub(crate) fn schema_of(columns: impl Iterator<Item = (String, arrow::datatypes::DataType)>) -> Schema {
    let field = |(name, kind)| Arc::new(arrow::datatypes::Field::new(name, kind, true));
    Schema::new(columns.map(field).collect::<Vec<_>>())
}
