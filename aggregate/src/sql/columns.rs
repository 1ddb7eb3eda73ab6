//! Column names in a SELECT: each is checked against the table and becomes a leaf column.
//!
//! `src_endpoint.ip` becomes the one quoted name `"src_endpoint.ip"`; a table's name or alias in front is dropped. What is
//! unknown is refused at its place, with the nearest name.

use std::collections::HashSet;
use std::ops::ControlFlow;

use dataflow::Table;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArguments, Ident, Select, SelectItem, Value, VisitMut, VisitorMut,
};

use super::from::{From, Source};
use super::{SqlError, nearest};
use crate::leaves::Leaves;

/// The columns that a window function adds.
pub(super) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Checks and rewrites every column of the SELECT.
pub(super) fn resolve(select: &mut Select, from: &From) -> Result<(), SqlError> {
    let aliases = select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        _ => None,
    });
    let mut resolver = Resolver { from, columns: from.columns(), aliases: aliases.collect(), error: None };
    let Select { projection, selection, group_by, having, .. } = select;
    let _ = selection.visit(&mut resolver);
    let _ = projection.visit(&mut resolver);
    let _ = group_by.visit(&mut resolver);
    let _ = having.visit(&mut resolver);
    resolver.error.map_or(Ok(()), Err)
}

/// An identifier as SQL compares it.
fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

struct Resolver<'a> {
    from: &'a From,
    columns: Vec<&'a str>,
    aliases: HashSet<String>,
    error: Option<SqlError>,
}

impl VisitorMut for Resolver<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let resolved = match expr {
            Expr::Identifier(ident) => self.column(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::CompoundFieldAccess { root, access_chain } => self.subscript(root, access_chain).map(|()| None),
            _ => Ok(None),
        };
        match resolved {
            Ok(Some(name)) => *expr = Expr::Identifier(name),
            Ok(None) => {}
            Err(error) => {
                self.error = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

impl Resolver<'_> {
    /// The one identifier that stands for the column; none if the name is already one.
    fn column(&self, parts: &[Ident]) -> Result<Option<Ident>, SqlError> {
        let names: Vec<String> = parts.iter().map(normal).collect();
        let whole = names.join(".");
        if parts.len() == 1 && self.is_known(&whole) {
            return Ok(None);
        }
        let is_table = matches!(self.from.source, Source::Table(table) if names[0] == table.name());
        let is_own = is_table || Some(&names[0]) == self.from.alias.as_ref();
        let name = if is_own { names[1..].join(".") } else { whole.clone() };
        if self.is_known(&name) {
            let mut ident = Ident::with_quote('"', name);
            ident.span = parts[0].span;
            return Ok(Some(ident));
        }
        Err(self.unknown(&whole, &parts[0]))
    }

    fn is_known(&self, name: &str) -> bool {
        let window = self.from.window.is_some() && WINDOW_COLUMNS.contains(&name);
        window || self.columns.contains(&name) || self.aliases.contains(name)
    }

    fn unknown(&self, name: &str, first: &Ident) -> SqlError {
        let (from, at) = (self.from.name(), first.span.start);
        if WINDOW_COLUMNS.contains(&name) {
            let error = SqlError::new(at, format!("{name} needs a window"));
            let table = from.trim_start_matches("table ");
            return error.suggest(format!("FROM TUMBLE({table}, DESCRIPTOR(time), INTERVAL '1' MINUTE)"));
        }
        let prefix = format!("{name}.");
        if let Some(leaf) = self.columns.iter().find(|leaf| leaf.starts_with(&prefix)) {
            let error =
                SqlError::new(at, format!("{name} is a struct of {}, not a value", from.trim_start_matches("table ")));
            return error.suggest(format!("name one of its columns, e.g. {leaf}"));
        }
        let error = SqlError::new(at, format!("{from} has no column {name}"));
        match self.near(name) {
            _ if first.quote_style == Some('"') => error.suggest(format!("a text stands in single quotes: '{name}'")),
            Some(near) => error.suggest(format!("did you mean {near}?")),
            None if matches!(self.from.source, Source::Subquery(_)) => {
                error.suggest(format!("it gives {}", self.columns.join(", ")))
            }
            None => error.suggest(format!("a text stands in single quotes: '{}'", first.value)),
        }
    }

    /// The column nearest by its whole path, or by its last part.
    fn near(&self, name: &str) -> Option<&str> {
        let last = name.rsplit('.').next().unwrap_or(name);
        let columns = || self.columns.iter().copied();
        let by_last = columns().find(|leaf| leaf.rsplit('.').next() == Some(last));
        let by_path = nearest(name, columns());
        let likeness = |near: &&str| strsim::jaro_winkler(name, near);
        by_path.filter(|near| likeness(near) > 0.87).or(by_last)
    }

    /// `metadata.profiles[1]` and `resources[1].uid`: what stands before the first subscript is a column, what follows are
    /// field names, which DataFusion takes as text.
    fn subscript(&mut self, root: &mut Expr, chain: &mut Vec<AccessExpr>) -> Result<(), SqlError> {
        let mut parts = match root {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => return Ok(()),
        };
        let dots = chain.iter().map_while(dot_names).flatten();
        parts.extend(dots);
        chain.drain(..chain.iter().take_while(|a| dot_names(a).is_some()).count());
        if let Some(name) = self.column(&parts)? {
            *root = Expr::Identifier(name);
        }
        for access in chain {
            if let AccessExpr::Dot(field) = access {
                let name = field.to_string();
                *field = Expr::value(Value::SingleQuotedString(name.trim_matches('"').to_owned()));
            }
        }
        Ok(())
    }
}

/// The names behind a dot. `user` alone is a function in SQL, and so it is parsed.
fn dot_names(access: &AccessExpr) -> Option<Vec<Ident>> {
    let AccessExpr::Dot(expr) = access else { return None };
    match expr {
        Expr::Identifier(ident) => Some(vec![ident.clone()]),
        Expr::CompoundIdentifier(parts) => Some(parts.clone()),
        Expr::Function(f) if matches!(f.args, FunctionArguments::None) => {
            f.name.0.iter().map(|part| part.as_ident().cloned()).collect()
        }
        _ => None,
    }
}

/// True if the name is one that the table itself has.
pub(super) fn is_leaf(table: Table, name: &str) -> bool {
    Leaves::of(table).index(name).is_some()
}
