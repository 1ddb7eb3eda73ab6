//! A rule's SQL text -> physical expressions over leaf columns, or a refusal with its place.
//!
//! DataFusion parses, types and simplifies; the operators are our own. A statement is one SELECT over one table, or over
//! the UNION ALL of some, so its analyzed plan has one shape (projection, HAVING, aggregate, and WHEREs, projections and
//! unions over scans) and is taken apart into expressions here: one set for each table that is read.
//! Struct columns are flattened first: `src_endpoint.ip` is a leaf column of that name, and a keyword is plain text.
//!
//! Absent: joins of events with events, subqueries in expressions, ORDER BY, LIMIT, window functions. Each is refused with its reason.

mod aggregates;
mod batch;
mod columns;
mod condition;
mod filtered;
mod from;
mod functions;
mod hint;
mod lookup;
mod lower;
mod monotone;
mod needs;
mod parse;
mod plan;
mod scan;
mod union;
mod with;

use std::sync::Arc;

use datafusion::prelude::SessionContext;

pub(crate) use batch::{Besides, KEY, TAKEN, TENANT, WINDOW, batch_sql};
pub(crate) use condition::{batch_condition, column_condition, row_condition, schema_of};
pub(crate) use hint::as_written;
pub(crate) use needs::Need;
pub(crate) use plan::{
    AggregateFunction, AggregatePlan, Call, FilterPlan, Input, OutputKey, PhysicalRef, Plan, WindowInput, WindowPlan,
    plan,
};

/// Gives a session the functions of rules and what DataFusion has wrong, so that a rule's batch form finds what the stream finds.
pub fn register_functions(session: &SessionContext) {
    aggregates::all().iter().for_each(|function| session.register_udaf(function.as_ref().clone()));
    functions::scalar_functions().iter().for_each(|function| session.register_udf(function.as_ref().clone()));
    session.add_analyzer_rule(Arc::new(filtered::NullFilters));
}

/// A refusal, with its place in the SQL text (line and column from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) what: String,
    pub(crate) suggestion: Option<String>,
}

impl SqlError {
    pub(crate) fn new(at: Place, what: impl Into<String>) -> Self {
        Self { line: at.line.max(1), column: at.column.max(1), what: what.into(), suggestion: None }
    }

    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// A place in the SQL text.
pub(crate) type Place = datafusion::sql::sqlparser::tokenizer::Location;

/// The place of anything that carries a span.
pub(crate) fn place(node: &impl datafusion::sql::sqlparser::ast::Spanned) -> Place {
    node.span().start
}

/// The name nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 > 0.7).then_some(best.1)
}

#[cfg(test)]
mod tests;
