//! JOIN with a table of the enrichment: what the tables said when the row was decoded stands in the row's own columns, so a join is
//! another way to name them.
//!
//! **Data in:** a statement whose WITH is inlined. **Data out:** the same without joins: `assets.name`, joined by `dst_ip`, is
//! `dst_asset_name`; a join that is not LEFT also asks that something is known.
//!
//! Invariant: a row is joined with one version of a table, the one that its ledger entry names; an audit joins the same.
//! Absent: joins of events with events (a window over a UNION ALL counts both), and with tables that enrichment does not know.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SetExpr, TableFactor,
    VisitMut, VisitorMut,
};

use super::{Place, SqlError, nearest, place};

/// A table of the enrichment, and what its columns are called in a row.
struct Lookup {
    name: &'static str,
    /// The column that it is found by.
    key: &'static str,
    /// Which column of the row it is joined with, and what stands before the others then.
    by: &'static [(&'static str, &'static str)],
    columns: &'static [&'static str],
}

const LOOKUPS: [Lookup; 5] = [
    Lookup {
        name: "assets",
        key: "ip",
        by: &[("src_ip", "src_asset_"), ("dst_ip", "dst_asset_")],
        columns: &["name", "criticality", "owner"],
    },
    Lookup {
        name: "identities",
        key: "user_name",
        by: &[("user_name", "user_")],
        columns: &["department", "title", "is_privileged"],
    },
    Lookup {
        name: "intel",
        key: "ip",
        by: &[("src_ip", "src_intel_"), ("dst_ip", "dst_intel_")],
        columns: &["category", "confidence"],
    },
    Lookup {
        name: "country",
        key: "ip",
        by: &[("src_ip", "src_"), ("dst_ip", "dst_")],
        columns: &["country", "coordinates"],
    },
    Lookup { name: "asn", key: "ip", by: &[("src_ip", "src_"), ("dst_ip", "dst_")], columns: &["asn", "as_name"] },
];

/// Writes the joins of every SELECT as columns.
pub(super) fn inline(query: &mut Query) -> Result<(), SqlError> {
    match query.visit(&mut Selects) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Selects;

impl VisitorMut for Selects {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        match of_body(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn of_body(body: &mut SetExpr) -> Result<(), SqlError> {
    match body {
        SetExpr::Select(select) => of_select(select),
        SetExpr::SetOperation { left, right, .. } => of_body(left).and_then(|()| of_body(right)),
        // A query in parentheses is visited as one; what else there is has no FROM.
        _ => Ok(()),
    }
}

fn of_select(select: &mut Select) -> Result<(), SqlError> {
    let joins: Vec<Join> = select.from.iter_mut().flat_map(|from| std::mem::take(&mut from.joins)).collect();
    for join in joins {
        let joined = Joined::new(&join)?;
        if joined.is_inner {
            let known = joined.is_known();
            select.selection = Some(match select.selection.take() {
                Some(condition) => and(Expr::Nested(Box::new(condition)), known),
                None => known,
            });
        }
        let mut names = Names { joined: &joined };
        let renamed = [
            select.projection.visit(&mut names),
            select.selection.visit(&mut names),
            select.group_by.visit(&mut names),
            select.having.visit(&mut names),
        ];
        if let Some(error) = renamed.into_iter().find_map(ControlFlow::break_value) {
            return Err(error);
        }
    }
    Ok(())
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// A join, understood.
struct Joined {
    lookup: &'static Lookup,
    /// What qualifies its columns.
    alias: String,
    /// The column of the row, and what stands before the others.
    by: (&'static str, &'static str),
    is_inner: bool,
}

impl Joined {
    fn new(join: &Join) -> Result<Self, SqlError> {
        let at = place(join);
        let TableFactor::Table { name, alias, args: None, .. } = &join.relation else {
            return Err(SqlError::new(at, "a rule joins tables of the enrichment").suggest(e_g()));
        };
        let (lookup, alias) = (table(name)?, alias.as_ref().map(|alias| alias.name.value.to_lowercase()));
        let alias = alias.unwrap_or_else(|| lookup.name.to_owned());
        let (is_inner, on) = match &join.join_operator {
            JoinOperator::Join(on) | JoinOperator::Inner(on) => (true, on),
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (false, on),
            _ => return Err(SqlError::new(at, "a rule knows JOIN and LEFT JOIN").suggest(e_g())),
        };
        let by = match on {
            JoinConstraint::On(condition) => lookup.by(&alias, condition),
            _ => None,
        };
        let by = by.ok_or_else(|| lookup.wrong_condition(&alias, on, at))?;
        Ok(Self { lookup, alias, by, is_inner })
    }

    fn column(&self, name: &Ident) -> Result<Ident, SqlError> {
        let text = name.value.to_lowercase();
        if text == self.lookup.key {
            return Ok(Ident { value: self.by.0.to_owned(), ..name.clone() });
        }
        if self.lookup.columns.contains(&text.as_str()) {
            return Ok(Ident { value: format!("{}{text}", self.by.1), ..name.clone() });
        }
        let error = SqlError::new(name.span.start, format!("{} has no column {text}", self.lookup.name));
        Err(match nearest(&text, self.lookup.columns.iter().copied()) {
            Some(near) => error.suggest(format!("did you mean {near}?")),
            None => error.suggest(format!("one of {}", self.lookup.columns.join(", "))),
        })
    }

    /// That the table had something to say.
    fn is_known(&self) -> Expr {
        let columns = self.lookup.columns.iter().map(|name| Ident::new(format!("{}{name}", self.by.1)));
        let known = columns.map(|name| Expr::IsNotNull(Box::new(Expr::Identifier(name))));
        let any = known.reduce(|all, own| Expr::BinaryOp {
            left: Box::new(all),
            op: BinaryOperator::Or,
            right: Box::new(own),
        });
        Expr::Nested(Box::new(any.unwrap_or_else(|| Expr::Identifier(Ident::new(self.by.0)))))
    }
}

impl Lookup {
    fn by(&self, alias: &str, condition: &Expr) -> Option<(&'static str, &'static str)> {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
        let is_key = |names: &[Ident]| matches!(names, [table, key] if table.value.eq_ignore_ascii_case(alias) && key.value.eq_ignore_ascii_case(self.key));
        let other = match (names(left)?, names(right)?) {
            (key, other) if is_key(key) => other,
            (other, key) if is_key(key) => other,
            _ => return None,
        };
        let column = other.last()?.value.to_lowercase();
        self.by.iter().find(|(name, _)| *name == column).copied()
    }

    fn wrong_condition(&self, alias: &str, on: &JoinConstraint, at: Place) -> SqlError {
        let at = match on {
            JoinConstraint::On(condition) => place(condition),
            _ => at,
        };
        let wants = self.by.iter().map(|(column, _)| format!("ON {alias}.{} = {column}", self.key));
        let error = SqlError::new(at, format!("{} is found by {} alone", self.name, self.key));
        error.suggest(wants.collect::<Vec<_>>().join(" or "))
    }
}

fn names(expr: &Expr) -> Option<&[Ident]> {
    match expr {
        Expr::Identifier(name) => Some(std::slice::from_ref(name)),
        Expr::CompoundIdentifier(names) => Some(names),
        Expr::Nested(inner) => names(inner),
        _ => None,
    }
}

fn table(name: &ObjectName) -> Result<&'static Lookup, SqlError> {
    let text = name.to_string().to_lowercase();
    if let Some(found) = LOOKUPS.iter().find(|lookup| lookup.name == text) {
        return Ok(found);
    }
    let error = SqlError::new(place(name), format!("no lookup table {text}"));
    Err(match nearest(&text, LOOKUPS.map(|lookup| lookup.name)) {
        Some(near) => error.suggest(format!("did you mean {near}?")),
        None => error.suggest(format!("one of {}", LOOKUPS.map(|lookup| lookup.name).join(", "))),
    })
}

fn e_g() -> &'static str {
    "e.g. JOIN assets AS a ON a.ip = dst_ip"
}

/// Writes the columns of a joined table as the row's own.
struct Names<'a> {
    joined: &'a Joined,
}

impl VisitorMut for Names<'_> {
    type Break = SqlError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let Expr::CompoundIdentifier(names) = expr else { return ControlFlow::Continue(()) };
        let [table, column] = names.as_slice() else { return ControlFlow::Continue(()) };
        if !table.value.eq_ignore_ascii_case(&self.joined.alias) {
            return ControlFlow::Continue(());
        }
        match self.joined.column(column) {
            Ok(column) => {
                *expr = Expr::Identifier(column);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use crate::leaves::Leaves;
    use dataflow::Table;

    #[test]
    fn every_column_of_a_lookup_is_a_column_of_every_table() {
        for table in Table::EVENTS {
            let known: Vec<_> = Leaves::of(table).names().collect();
            for lookup in &LOOKUPS {
                for (by, before) in lookup.by {
                    assert!(known.contains(by), "{table} has no {by}");
                    for column in lookup.columns {
                        assert!(known.contains(&format!("{before}{column}").as_str()), "{table}: {before}{column}");
                    }
                }
            }
        }
    }

    #[test]
    fn joins_are_columns() {
        for (sql, want) in [
            (
                "SELECT e.src_ip, a.Name AS asset FROM network_activity AS e LEFT JOIN assets AS a ON a.ip = e.dst_ip WHERE a.criticality = 'high'",
                "SELECT e.src_ip, dst_asset_name AS asset FROM network_activity AS e WHERE dst_asset_criticality = 'high'",
            ),
            (
                "SELECT time FROM network_activity JOIN intel ON src_ip = intel.ip WHERE intel.confidence > 70 OR x",
                "SELECT time FROM network_activity WHERE (src_intel_confidence > 70 OR x) AND (src_intel_category IS NOT NULL OR src_intel_confidence IS NOT NULL)",
            ),
            (
                "SELECT a.owner, b.owner, i.department, count(*) FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) LEFT JOIN assets a ON a.ip = src_ip LEFT JOIN assets b ON (b.ip) = dst_ip LEFT OUTER JOIN identities i ON i.user_name = user_name GROUP BY a.owner, b.owner, i.department HAVING max(b.name) <> 'x'",
                "SELECT src_asset_owner, dst_asset_owner, user_department, count(*) FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) GROUP BY src_asset_owner, dst_asset_owner, user_department HAVING max(dst_asset_name) <> 'x'",
            ),
            (
                "WITH odd AS (SELECT time, c.country AS country FROM network_activity JOIN country c ON c.ip = dst_ip) SELECT country FROM odd WHERE country <> 'NL'",
                "SELECT country FROM (SELECT time, dst_country AS country FROM network_activity WHERE (dst_country IS NOT NULL OR dst_coordinates IS NOT NULL)) AS odd WHERE country <> 'NL'",
            ),
        ] {
            let found = parse(sql).unwrap_or_else(|e| panic!("{sql}: {}", e.what));
            assert_eq!(found.to_string(), want);
        }
    }

    #[test]
    fn other_joins_are_refused_with_a_way_out() {
        for (join, want) in [
            ("JOIN b ON true", "1:40: no lookup table b; one of assets, identities, intel, country, asn"),
            ("JOIN asset ON true", "1:40: no lookup table asset; did you mean assets?"),
            (
                "JOIN assets ON true",
                "1:50: assets is found by ip alone; ON assets.ip = src_ip or ON assets.ip = dst_ip",
            ),
            (
                "JOIN assets a ON a.ip = src_port",
                "1:52: assets is found by ip alone; ON a.ip = src_ip or ON a.ip = dst_ip",
            ),
            ("JOIN assets a USING (ip)", "1:40: assets is found by ip alone; ON a.ip = src_ip or ON a.ip = dst_ip"),
            (
                "RIGHT JOIN assets a ON a.ip = src_ip",
                "1:46: a rule knows JOIN and LEFT JOIN; e.g. JOIN assets AS a ON a.ip = dst_ip",
            ),
            (
                "JOIN (SELECT 1) ON true",
                "1:41: a rule joins tables of the enrichment; e.g. JOIN assets AS a ON a.ip = dst_ip",
            ),
            ("JOIN assets a ON a.ip = src_ip WHERE a.nam = 'x'", "1:74: assets has no column nam; did you mean name?"),
        ] {
            let error = parse(&format!("SELECT time FROM network_activity {join}")).expect_err(join);
            let hint = error.suggestion.map(|text| format!("; {text}")).unwrap_or_default();
            assert_eq!(format!("{}:{}: {}{hint}", error.line, error.column, error.what), want, "{join}");
        }
    }
}
