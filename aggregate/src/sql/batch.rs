//! A rule's SQL as any engine runs it over stored rows: what a stream found can be computed a second time, by other code.
//!
//! TUMBLE and HOP become a subquery that gives each row once a window; the tenant joins the GROUP BY. Nothing else of the
//! statement changes.

use dataflow::Table;
use dataflow::schema::UTC;
use dataflow::watermark::FUTURE_TOLERANCE_US;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Select, SelectItem, SetExpr, Statement, TableWithJoins,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::SqlError;
use super::from::take_from;
use super::parse::{parse, start};
use crate::window::WindowSpec;

/// The columns that the query gives before those the rule selects.
pub(crate) const TENANT: &str = "_tenant";
pub(crate) const WINDOW: [&str; 2] = ["_window_start", "_window_end"];

/// The rule's SQL over plain tables: tenant, window bounds if there is a window, then what the rule selects.
pub(crate) fn batch_sql(sql: &str) -> Result<String, SqlError> {
    let mut select = parse(sql)?;
    let from = take_from(&mut select)?;
    let name = from.alias.as_deref().unwrap_or(from.table.name());
    let rows = match from.window {
        None => own_rows(from.table, "e.*"),
        Some(spec) => windowed_rows(from.table, spec),
    };
    select.from = relation(&format!("({rows}) AS \"{name}\""))?;
    let mut added = vec![column("tenant_uid", TENANT)];
    if from.window.is_some() {
        added.extend([column("window_start", WINDOW[0]), column("window_end", WINDOW[1])]);
    }
    select.projection.splice(0..0, added);
    group_by_tenant(&mut select, from.window.is_some());
    Ok(select.to_string())
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

/// The events of a table: rows whose topic begins with an underscore are Palisade's own alerts, which no rule sees.
fn own_rows(table: Table, columns: &str) -> String {
    format!("SELECT {columns} FROM {table} AS e WHERE substr(e._topic, 1, 1) <> '_'")
}

/// Each row once a window that holds it, with `window_start`, `window_end` and `window_time`.
fn windowed_rows(table: Table, spec: WindowSpec) -> String {
    let WindowSpec { slide, size, .. } = spec;
    let us = format!(
        "e.*, CASE WHEN CAST(e.time AS BIGINT) - CAST(e._received_at AS BIGINT) > {FUTURE_TOLERANCE_US} \
         THEN CAST(e._received_at AS BIGINT) ELSE CAST(e.time AS BIGINT) END AS _us"
    );
    let numbers: Vec<String> = (0..(size + slide - 1) / slide).map(|n| format!("({n})")).collect();
    let time = |us: &str| format!("arrow_cast({us}, 'Timestamp(Microsecond, Some(\"{UTC}\"))')");
    format!(
        "SELECT w.*, {} AS window_start, {} AS window_end, {} AS window_time \
         FROM (SELECT r.*, r._us - r._us % {slide} - k.n * {slide} AS _start \
               FROM ({}) AS r CROSS JOIN (VALUES {}) AS k(n)) AS w WHERE w._start + {size} > w._us",
        time("w._start"),
        time(&format!("w._start + {size}")),
        time(&format!("w._start + {size} - 1")),
        own_rows(table, &us),
        numbers.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_becomes_a_subquery_and_the_tenant_a_key() {
        let sql = "SELECT window_start, window_end, n.src_ip, count(*) AS c \
                   FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND) AS n \
                   WHERE n.dst_port = 22 GROUP BY window_start, window_end, n.src_ip HAVING count(*) > 5";
        let batch = batch_sql(sql).expect("a batch form");
        assert!(batch.starts_with("SELECT tenant_uid AS \"_tenant\", window_start AS \"_window_start\""), "{batch}");
        assert!(batch.contains("(VALUES (0), (1), (2)) AS k"), "three windows may hold a row: {batch}");
        assert!(batch.contains("AS \"n\" WHERE n.dst_port = 22 GROUP BY tenant_uid, window_start"), "{batch}");
        assert!(batch.ends_with("HAVING count(*) > 5"), "{batch}");
    }

    #[test]
    fn a_filter_keeps_its_shape() {
        let batch = batch_sql("SELECT src_ip FROM api_activity WHERE user_name = 'x'").expect("a batch form");
        assert!(
            batch.starts_with("SELECT tenant_uid AS \"_tenant\", src_ip FROM (SELECT e.* FROM api_activity"),
            "{batch}"
        );
        assert!(batch.ends_with("WHERE user_name = 'x'"), "{batch}");
    }
}
