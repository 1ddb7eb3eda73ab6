//! A subquery in FROM, or within a window function: `SELECT ... UNION ALL SELECT ...`, each SELECT over a table or subquery of its
//! own.
//!
//! The first SELECT names the columns; DataFusion gives them one type. `time` is each table's own, because windows are over
//! the event time; the window's columns are added here, so that the SELECT around sees them.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
};

use super::columns::{self, WINDOW_COLUMNS};
use super::from::take_from;
use super::parse::{check_query, check_select};
use super::{SqlError, place};

/// Checks the subquery and rewrites its columns. The names of the columns it gives. `is_windowed`: windows are over its rows.
pub(super) fn resolve(query: &mut Query, is_windowed: bool) -> Result<Vec<String>, SqlError> {
    check_query(query)?;
    let mut names: Option<Vec<String>> = None;
    for select in selects(&mut query.body)? {
        let own = branch(select, is_windowed)?;
        let first = names.get_or_insert_with(|| own.clone());
        if is_windowed && time_of(&own) != time_of(first) {
            let error = SqlError::new(place(select), "time is not the same column in each SELECT");
            return Err(error.suggest("SELECT time, ..."));
        }
    }
    Ok(names.unwrap_or_default())
}

/// The SELECTs of a tree of UNION ALL, in the order they are written.
pub(super) fn selects(body: &mut SetExpr) -> Result<Vec<&mut Select>, SqlError> {
    let at = place(body);
    match body {
        SetExpr::Select(select) => Ok(vec![select.as_mut()]),
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            let mut all = selects(left)?;
            all.extend(selects(right)?);
            Ok(all)
        }
        SetExpr::SetOperation { op: SetOperator::Union, .. } => {
            Err(SqlError::new(at, "UNION would drop rows that look alike").suggest("UNION ALL"))
        }
        _ => Err(SqlError::new(at, "within a window function stands SELECT ... UNION ALL SELECT ...")),
    }
}

fn branch(select: &mut Select, is_windowed: bool) -> Result<Vec<String>, SqlError> {
    let at = place(select);
    check_select(select)?;
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(group, _) if group.is_empty());
    if grouped || select.having.is_some() {
        return Err(SqlError::new(at, "GROUP BY and HAVING stand outside the window function"));
    }
    let from = take_from(select, is_windowed)?;
    if from.window.is_some() {
        return Err(SqlError::new(at, "a window function within another is not supported in rules"));
    }
    columns::resolve(select, &from)?;
    let names: Vec<String> = select.projection.iter().map(name).collect();
    if !is_windowed {
        return Ok(names);
    }
    check_time(select, &names)?;
    for column in WINDOW_COLUMNS {
        select.projection.push(SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', column))));
    }
    Ok(names)
}

/// The column's name: its alias, or the column it is.
fn name(item: &SelectItem) -> String {
    match item {
        SelectItem::ExprWithAlias { alias, .. } if alias.quote_style.is_none() => alias.value.to_lowercase(),
        SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident.value.clone(),
        other => other.to_string(),
    }
}

fn time_of(names: &[String]) -> Option<usize> {
    names.iter().position(|name| name == "time")
}

/// Windows are over each row's own time, so the column of that name must be it.
fn check_time(select: &Select, names: &[String]) -> Result<(), SqlError> {
    let is_time = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(i)) if i.value == "time");
    match (time_of(names), select.projection.iter().position(is_time)) {
        (Some(named), Some(own)) if named == own => Ok(()),
        _ => {
            Err(SqlError::new(place(select), "each SELECT gives the column time as it is").suggest("SELECT time, ..."))
        }
    }
}
