//! A rule's SQL as any engine runs it over stored rows: what a stream found can be computed a second time, by other code.
//!
//! TUMBLE, HOP and CUMULATE become a subquery that gives each row once a window, SESSION one that numbers the sessions of each key
//! (so its WHERE moves in there); the tenant joins the GROUP BY. Nothing else of the statement changes.

use std::ops::ControlFlow;

use dataflow::Table;
use dataflow::schema::UTC;
use dataflow::watermark::FUTURE_TOLERANCE_US;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, Query, Select, SelectItem,
    SetExpr, Statement, Subscript, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::columns::WINDOW_COLUMNS;
use super::from::{Source, take_from};
use super::parse::{parse_for_print, start};
use super::{SqlError, union};
use crate::window::{WindowKind, WindowSpec};

/// The columns that the query gives before those the rule selects.
pub(crate) const TENANT: &str = "_tenant";
pub(crate) const WINDOW: [&str; 2] = ["_window_start", "_window_end"];

/// Whether an exception takes a filter rule's row away.
pub(crate) const TAKEN: &str = "_taken";

/// What the query gives besides: [`TAKEN`] if `taken` says of a table's rows when an exception takes them away, and what is grouped
/// by, as many columns that begin with [`KEY`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Besides<'a> {
    pub(crate) taken: Option<&'a str>,
    pub(crate) keys: bool,
}

/// What a column's name begins with that is grouped by.
pub(crate) const KEY: &str = "_key";

/// The rule's SQL over plain tables: tenant, window bounds if there is a window, what is asked for besides, then what the rule selects.
pub(crate) fn batch_sql(sql: &str, besides: Besides<'_>) -> Result<String, SqlError> {
    let taken = besides.taken;
    let mut select = printable(sql)?;
    let subquery = subquery(&select);
    let from = take_from(&mut select, false)?;
    let (name, own) = match (&from.source, subquery) {
        (Source::Table(table), _) => (table.name(), own_rows(*table, taken)),
        (Source::Subquery(_), Some(mut query)) => {
            own_union(&mut query, taken)?;
            ("input", query.to_string())
        }
        (Source::Subquery(_), None) => {
            return Err(SqlError::new(start(), "no batch form: a subquery of another shape"));
        }
    };
    let name = from.alias.as_deref().unwrap_or(name);
    let rows = match from.window {
        None => own,
        Some(spec) if spec.is_session() => session_rows(&format!("({own}) AS \"{name}\""), &mut select, spec)?,
        Some(spec) => windowed_rows(&own, spec),
    };
    select.from = relation(&format!("({rows}) AS \"{name}\""))?;
    let mut added = vec![column("tenant_uid", TENANT)];
    if from.window.is_some() {
        added.extend([column("window_start", WINDOW[0]), column("window_end", WINDOW[1])]);
    }
    added.extend(taken.map(|_| column(TAKEN, TAKEN)));
    let keys = if besides.keys { group_keys(&select)? } else { Vec::new() };
    for (i, expr) in keys.into_iter().enumerate() {
        added.push(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', format!("{KEY}{i}")) });
    }
    select.projection.splice(0..0, added);
    group_by_tenant(&mut select, from.window.is_some());
    Ok(select.to_string())
}

/// A statement whose text DataFusion's own planner takes.
pub(super) fn printable(sql: &str) -> Result<Box<Select>, SqlError> {
    let mut select = parse_for_print(sql)?;
    let _ = select.visit(&mut ElementFields);
    Ok(select)
}

/// Writes `resources[1].name` as `resources[1]['name']`, as DataFusion's own planner takes it.
struct ElementFields;

impl VisitorMut for ElementFields {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return ControlFlow::Continue(()) };
        let is_element = |access: &AccessExpr| matches!(access, AccessExpr::Subscript(_));
        let first = access_chain.iter().position(is_element).unwrap_or(access_chain.len());
        for access in &mut access_chain[first..] {
            if let AccessExpr::Dot(Expr::Identifier(field)) = access {
                let index = Expr::value(Value::SingleQuotedString(field.value.clone()));
                *access = AccessExpr::Subscript(Subscript::Index { index });
            }
        }
        ControlFlow::Continue(())
    }
}

fn column(name: &str, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr: Expr::Identifier(Ident::new(name)), alias: Ident::with_quote('"', alias) }
}

fn group_by_tenant(select: &mut Select, windowed: bool) {
    let tenant = Expr::Identifier(Ident::new("tenant_uid"));
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by
        && windowed
        && !keys.contains(&tenant)
    {
        keys.insert(0, tenant);
    }
}

/// What stands in FROM of a parsed statement.
fn relation(text: &str) -> Result<Vec<TableWithJoins>, SqlError> {
    let failed = |e: &dyn std::fmt::Display| SqlError::new(start(), format!("no batch form: {e}"));
    let parsed = Parser::parse_sql(&GenericDialect {}, &format!("SELECT 1 FROM {text}")).map_err(|e| failed(&e))?;
    match parsed.into_iter().next() {
        Some(Statement::Query(query)) => match *query.body {
            SetExpr::Select(select) => Ok(select.from),
            other => Err(failed(&other)),
        },
        _ => Err(failed(&"not a query")),
    }
}

/// Rows whose topic begins with an underscore are Palisade's own alerts, which no rule sees.
const IS_EVENT: &str = "substr(_topic, 1, 1) <> '_'";

/// The events of a table.
fn own_rows(table: Table, taken: Option<&str>) -> String {
    let taken = taken.map_or_else(String::new, |taken| format!(", {taken} AS {TAKEN}"));
    format!("SELECT *{taken} FROM {table} WHERE {IS_EVENT}")
}

/// The subquery in FROM, or the one that the window function there reads, as it is written.
fn subquery(select: &Select) -> Option<Box<Query>> {
    match &select.from.first()?.relation {
        TableFactor::Table { args: Some(args), .. } => args.args.iter().find_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query))) => Some(query.clone()),
            _ => None,
        }),
        TableFactor::Derived { subquery, .. } => Some(subquery.clone()),
        _ => None,
    }
}

/// Lets each SELECT of a UNION ALL give events only, with the tenant and the receive time, which windows need, and [`TAKEN`].
fn own_union(query: &mut Query, taken: Option<&str>) -> Result<(), SqlError> {
    let is_event = expression(IS_EVENT)?;
    for select in union::selects(&mut query.body)? {
        for (column, place) in ["tenant_uid", "_received_at"].into_iter().zip(0..) {
            select.projection.insert(place, SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(column))));
        }
        if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
            own_union(subquery, taken)?;
            select.projection.extend(taken.map(|_| SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(TAKEN)))));
            continue;
        }
        if let Some(taken) = taken {
            select.projection.push(SelectItem::ExprWithAlias { expr: expression(taken)?, alias: Ident::new(TAKEN) });
        }
        let written = select.selection.take().map(|written| Box::new(Expr::Nested(Box::new(written))));
        select.selection = Some(match written {
            Some(left) => Expr::BinaryOp { left, op: BinaryOperator::And, right: Box::new(is_event.clone()) },
            None => is_event.clone(),
        });
    }
    Ok(())
}

fn expression(text: &str) -> Result<Expr, SqlError> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|e| SqlError::new(start(), format!("no batch form: {e}")))
}

/// The time of a row of `e` as windows take it, in microseconds.
fn window_time_us(e: &str) -> String {
    format!(
        "CASE WHEN CAST({e}.time AS BIGINT) - CAST({e}._received_at AS BIGINT) > {FUTURE_TOLERANCE_US} \
         THEN CAST({e}._received_at AS BIGINT) ELSE CAST({e}.time AS BIGINT) END"
    )
}

/// Rows of `w` with `window_start`, `window_end` and `window_time`, of their `_start` and `_end`.
fn with_bounds(w: &str) -> String {
    let time = |us: &str| format!("arrow_cast({us}, 'Timestamp(Microsecond, Some(\"{UTC}\"))')");
    format!(
        "SELECT w.*, {} AS window_start, {} AS window_end, {} AS window_time FROM ({w}) AS w",
        time("w._start"),
        time("w._end"),
        time("w._end - 1"),
    )
}

/// Each row once a window that holds it.
fn windowed_rows(own: &str, spec: WindowSpec) -> String {
    let WindowSpec { slide, size, kind, .. } = spec;
    let numbers: Vec<String> = (0..(size + slide - 1) / slide).map(|n| format!("({n})")).collect();
    let (start, end, is_in) = if kind == WindowKind::Cumulate {
        (
            format!("r._us - r._us % {size}"),
            format!("r._us - r._us % {slide} + (k.n + 1) * {slide}"),
            format!("w._end <= w._start + {size}"),
        )
    } else {
        let start = format!("r._us - r._us % {slide} - k.n * {slide}");
        (start.clone(), format!("{start} + {size}"), "w._end > w._us".to_owned())
    };
    let rows = format!(
        // The left side of a cross join is held in memory.
        "SELECT r.*, {start} AS _start, {end} AS _end \
         FROM (VALUES {}) AS k(n) CROSS JOIN (SELECT e.*, {} AS _us FROM ({own}) AS e) AS r",
        numbers.join(", "),
        window_time_us("e"),
    );
    format!("{} WHERE {is_in}", with_bounds(&rows))
}

/// Each row that meets the WHERE, with its session: rows of a key less than the gap behind one another, between two cuts.
fn session_rows(own: &str, select: &mut Select, spec: WindowSpec) -> Result<String, SqlError> {
    let WindowSpec { slide: gap, size, .. } = spec;
    let name = own.rsplit(" AS ").next().unwrap_or_default();
    let condition = select.selection.take().map_or(String::new(), |condition| format!(" WHERE {condition}"));
    let keys = group_keys(select)?;
    let named: String = keys.iter().enumerate().map(|(i, key)| format!(", {key} AS _k{i}")).collect();
    let keys: String = (0..keys.len()).map(|i| format!(", _k{i}")).collect();
    let by = format!("PARTITION BY tenant_uid, _cut{keys}");
    let us = window_time_us(name);
    let own = format!("SELECT {name}.*, {us} AS _us, {us} - {us} % {size} AS _cut{named} FROM {own}{condition}");
    let new = format!("CASE WHEN _us - lag(_us) OVER ({by} ORDER BY _us) < {gap} THEN 0 ELSE 1 END");
    let numbered = format!(
        "SELECT s.*, sum(_new) OVER ({by} ORDER BY _us) AS _session FROM (SELECT r.*, {new} AS _new FROM ({own}) AS r) AS s"
    );
    Ok(with_bounds(&format!(
        "SELECT t.*, min(_us) OVER ({by}, _session) AS _start, \
         least(max(_us) OVER ({by}, _session) + {gap}, _cut + {size}) AS _end FROM ({numbered}) AS t"
    )))
}

/// What the statement groups by besides the window; an alias of SELECT as what it stands for.
fn group_keys(select: &Select) -> Result<Vec<Expr>, SqlError> {
    let GroupByExpr::Expressions(group, _) = &select.group_by else { return Ok(Vec::new()) };
    let of_alias = |key: &Expr| {
        select.projection.iter().find_map(|item| match (item, key) {
            (SelectItem::ExprWithAlias { expr, alias }, Expr::Identifier(key)) if alias.value == key.value => {
                Some(expr.clone())
            }
            _ => None,
        })
    };
    let is_window = |key: &&Expr| WINDOW_COLUMNS.iter().any(|w| key.to_string().eq_ignore_ascii_case(w));
    let key = |key: &Expr| match key {
        Expr::Value(_) => Err(SqlError::new(start(), "no batch form: GROUP BY a number")),
        key => Ok(of_alias(key).unwrap_or_else(|| key.clone())),
    };
    group.iter().filter(|key| !is_window(key)).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_becomes_a_subquery_and_the_tenant_a_key() {
        let sql = "SELECT window_start, window_end, n.src_ip, count(*) AS c \
                   FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND) AS n \
                   WHERE n.dst_port = 22 GROUP BY window_start, window_end, n.src_ip HAVING count(*) > 5";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        assert!(batch.starts_with("SELECT tenant_uid AS \"_tenant\", window_start AS \"_window_start\""), "{batch}");
        assert!(batch.contains("(VALUES (0), (1), (2)) AS k"), "three windows may hold a row: {batch}");
        assert!(batch.contains("AS \"n\" WHERE n.\"dst_port\" = 22 GROUP BY tenant_uid, window_start"), "{batch}");
        assert!(batch.ends_with("HAVING count(*) > 5"), "{batch}");
    }

    #[test]
    fn a_growing_window_has_its_end_behind_each_row() {
        let sql = "SELECT window_start, window_end, count(*) AS c \
                   FROM CUMULATE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '1' MINUTE) \
                   GROUP BY window_start, window_end";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        assert!(batch.contains("r._us - r._us % 60000000 AS _start"), "{batch}");
        assert!(batch.contains("r._us - r._us % 20000000 + (k.n + 1) * 20000000 AS _end"), "{batch}");
        assert!(batch.contains("(VALUES (0), (1), (2)) AS k"), "{batch}");
        assert!(batch.contains("WHERE w._end <= w._start + 60000000"), "{batch}");
    }

    #[test]
    fn sessions_are_numbered_among_the_rows_that_meet_the_condition() {
        let sql = "SELECT window_start, window_end, upper(n.user_name) AS who, count(*) AS c \
                   FROM SESSION(TABLE authentication, DESCRIPTOR(time), INTERVAL '5' MINUTE, INTERVAL '1' HOUR) AS n \
                   WHERE n.status_id = 2 GROUP BY window_start, window_end, who";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        assert!(batch.contains("upper(n.\"user_name\") AS _k0 FROM (SELECT * FROM authentication"), "{batch}");
        assert!(batch.contains("AS \"n\" WHERE n.\"status_id\" = 2) AS r"), "{batch}");
        assert!(batch.contains("OVER (PARTITION BY tenant_uid, _cut, _k0 ORDER BY _us) < 300000000"), "{batch}");
        assert!(batch.ends_with("AS \"n\" GROUP BY tenant_uid, window_start, window_end, who"), "{batch}");
    }

    #[test]
    fn each_table_of_a_union_gives_its_events_with_their_tenant() {
        let sql = "SELECT window_start, window_end, src_ip, count(*) AS c FROM TUMBLE(TABLE (\
                     SELECT time, src_ip FROM network_activity WHERE action_id = 1 OR dst_port = 22 \
                     UNION ALL SELECT time, src_ip FROM detection_finding), DESCRIPTOR(time), INTERVAL '1' MINUTE) \
                   GROUP BY window_start, window_end, src_ip";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        let first = "SELECT tenant_uid, _received_at, time, src_ip FROM network_activity \
                     WHERE (action_id = 1 OR dst_port = 22) AND substr(_topic, 1, 1) <> '_'";
        let second = "UNION ALL SELECT tenant_uid, _received_at, time, src_ip FROM detection_finding WHERE substr(";
        assert!(batch.to_lowercase().contains(&first.to_lowercase()), "{batch}");
        assert!(batch.to_lowercase().contains(&second.to_lowercase()), "{batch}");
    }

    #[test]
    fn named_queries_stand_where_they_are_named() {
        let sql = "WITH ssh AS (SELECT time, src_ip FROM network_activity WHERE dst_port = 22), \
                   own AS (SELECT time, src_ip FROM ssh WHERE src_ip LIKE '10.%') \
                   SELECT window_start, window_end, o.src_ip, count(*) AS c \
                   FROM TUMBLE(TABLE own, DESCRIPTOR(time), INTERVAL '1' MINUTE) AS o GROUP BY window_start, window_end, o.src_ip";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        let inner = "(SELECT tenant_uid, _received_at, time, src_ip FROM network_activity \
                     WHERE (dst_port = 22) AND SUBSTR(_topic, 1, 1) <> '_') AS ssh WHERE src_ip LIKE '10.%'";
        assert!(batch.contains(inner), "{batch}");
        let filter = "WITH a AS (SELECT time, src_ip FROM api_activity) SELECT time, src_ip FROM a WHERE src_ip = 'x'";
        assert!(batch_sql(filter, Besides::default()).expect("a batch form").ends_with("AS \"a\" WHERE src_ip = 'x'"));
        let taken = batch_sql(filter, Besides { taken: Some("dst_port = 22"), keys: false }).expect("a batch form");
        assert!(taken.contains("src_ip, dst_port = 22 AS _taken FROM api_activity"), "{taken}");
        assert!(taken.contains("_taken AS \"_taken\", time, src_ip FROM (SELECT tenant_uid"), "{taken}");
    }

    #[test]
    fn a_field_of_an_element_stands_in_brackets() {
        let sql = "SELECT resources[1].name AS what FROM api_activity WHERE resources[2].owner.name = 'x'";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        assert!(batch.contains("resources[1]['name'] AS what"), "{batch}");
        assert!(batch.ends_with("WHERE resources[2]['owner']['name'] = 'x'"), "{batch}");
    }

    #[test]
    fn a_filter_keeps_its_shape() {
        let sql = "SELECT src_ip, actor.user.name AS who FROM api_activity WHERE user_name = 'x'";
        let batch = batch_sql(sql, Besides::default()).expect("a batch form");
        assert!(
            batch.starts_with("SELECT tenant_uid AS \"_tenant\", src_ip, actor.\"user\".\"name\" AS who FROM (SELECT * FROM api_activity"),
            "{batch}"
        );
        assert!(batch.ends_with("WHERE user_name = 'x'"), "{batch}");
    }
}
