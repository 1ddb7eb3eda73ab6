//! WITH: each named query takes the place of its name in FROM, so that nothing behind knows of names.

use std::ops::ControlFlow;

use dataflow::Table;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, FunctionArg, FunctionArgExpr, Ident, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};

use super::{SqlError, place};

/// Puts the queries of a statement's WITH where they are named.
pub(super) fn inline(query: &mut Query) -> Result<(), SqlError> {
    let Some(with) = query.with.take() else { return Ok(()) };
    if with.recursive {
        return Err(SqlError::new(place(&with), "WITH RECURSIVE is not supported in rules"));
    }
    let mut named = Named { queries: Vec::new() };
    for cte in with.cte_tables {
        named.add(cte)?;
    }
    let _ = query.visit(&mut named);
    match named.queries.iter().find(|(_, _, is_used)| !is_used) {
        Some((name, ..)) => {
            Err(SqlError::new(name.span.start, format!("{name} is not used")).suggest("name it in FROM"))
        }
        None => Ok(()),
    }
}

/// Named queries, without names in them, and whether they have been used.
struct Named {
    queries: Vec<(Ident, Box<Query>, bool)>,
}

impl Named {
    fn add(&mut self, cte: Cte) -> Result<(), SqlError> {
        let Cte { alias: TableAlias { name, columns, .. }, mut query, .. } = cte;
        let refuse = |what: String| Err(SqlError::new(name.span.start, what));
        if let Some(column) = columns.first() {
            let error = SqlError::new(column.name.span.start, "names of columns stand in the query");
            return Err(error.suggest(format!("WITH {name} AS (SELECT x AS {}, ...)", column.name)));
        }
        if Table::by_name(&name.value.to_lowercase()).is_some() {
            return refuse(format!("{name} is a table already"));
        }
        if self.find(&name).is_some() {
            return refuse(format!("{name} is there twice"));
        }
        inline(&mut query)?;
        let _ = query.visit(self);
        self.queries.push((name, query, false));
        Ok(())
    }

    fn find(&self, name: &Ident) -> Option<usize> {
        self.queries.iter().position(|(own, ..)| own.value.eq_ignore_ascii_case(&name.value))
    }

    fn take(&mut self, name: &Ident) -> Option<Box<Query>> {
        let index = self.find(name)?;
        let (_, query, is_used) = &mut self.queries[index];
        *is_used = true;
        Some(query.clone())
    }
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args, .. } = factor else { return ControlFlow::Continue(()) };
        match args {
            None => {
                let [part] = name.0.as_slice() else { return ControlFlow::Continue(()) };
                if let Some(subquery) = part.as_ident().and_then(|name| self.take(name)) {
                    let alias = alias.take().or_else(|| part.as_ident().map(|name| named(name.clone())));
                    *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
                }
            }
            Some(args) => {
                if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = args.args.first_mut()
                    && let Expr::Identifier(name) = expr
                    && let Some(query) = self.take(name)
                {
                    *expr = Expr::Subquery(query);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn named(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new() }
}
