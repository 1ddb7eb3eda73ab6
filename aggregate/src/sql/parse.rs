//! SQL text -> one SELECT, or the reason why not.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use std::ops::ControlFlow;

use super::hint::{check_first, hinted};
use super::{Place, SqlError, lookup, place, with};

/// The statement's SELECT, of a shape that the planner knows.
pub(super) fn parse(sql: &str) -> Result<Box<Select>, SqlError> {
    let tokens = tokens(sql)?;
    check_first(&tokens)?;
    select(without_table_keyword(tokens)).map_err(|error| hinted(sql, error))
}

/// The same, printable: names behind a dot stand in quotes, so that `actor.user` is read back as the column it is and not as
/// the function USER.
pub(super) fn parse_for_print(sql: &str) -> Result<Box<Select>, SqlError> {
    let mut tokens = without_table_keyword(tokens(sql)?);
    let mut is_behind_dot = false;
    for token in &mut tokens {
        if let (Token::Word(word), true) = (&mut token.token, is_behind_dot) {
            if word.quote_style.is_none() {
                word.value = word.value.to_lowercase();
            }
            (word.quote_style, word.keyword) = (Some('"'), Keyword::NoKeyword);
        }
        is_behind_dot = token.token == Token::Period;
    }
    select(tokens)
}

fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    tokens.map_err(|e| {
        let error = SqlError::new(e.location, e.message);
        if error.what.starts_with("Unterminated") { error.suggest("texts stand in quotes: 'Denied'") } else { error }
    })
}

fn select(tokens: Vec<TokenWithSpan>) -> Result<Box<Select>, SqlError> {
    let mut parser = Parser::new(&GenericDialect {}).with_tokens_with_locations(tokens);
    let statements = parser.parse_statements().map_err(|e| parser_error(&e))?;
    let [Statement::Query(mut query)] = <[Statement; 1]>::try_from(statements)
        .map_err(|all| SqlError::new(start(), format!("a rule is one SELECT, not {} statements", all.len())))?
    else {
        return Err(SqlError::new(start(), "a rule is a SELECT; nothing else is allowed"));
    };
    with::inline(&mut query)?;
    lookup::inline(&mut query)?;
    let select = only_select(*query)?;
    check_select(&select)?;
    Ok(select)
}

/// Flink writes `HOP(TABLE t, ...)`, which sqlparser does not take: drops TABLE after the parenthesis of a window function.
fn without_table_keyword(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let is_table = matches!(&token.token, Token::Word(w) if w.keyword == Keyword::TABLE);
        if !(is_table && opens_window_function(&kept)) {
            kept.push(token);
        }
    }
    kept
}

fn opens_window_function(kept: &[TokenWithSpan]) -> bool {
    let mut back = kept.iter().rev().map(|t| &t.token).filter(|t| !matches!(t, Token::Whitespace(_)));
    let paren = back.next() == Some(&Token::LParen);
    // Of a name that is no window function, the refusal of the name says more than that of TABLE.
    paren
        && matches!(back.next(), Some(Token::Word(w)) if w.keyword == Keyword::NoKeyword || super::from::is_window_function(&w.value))
}

/// sqlparser gives the place only in its text: `... at Line: 2, Column: 7`.
pub(super) fn parser_error(error: &ParserError) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "the SQL nests too deeply",
    };
    let Some((what, at)) = text.rsplit_once(" at Line: ") else { return SqlError::new(start(), text) };
    let mut numbers = at.split(", Column: ").map(|n| n.trim().parse().unwrap_or(1));
    let at = Location { line: numbers.next().unwrap_or(1), column: numbers.next().unwrap_or(1) };
    SqlError::new(at, what)
}

pub(super) fn start() -> Place {
    Location { line: 1, column: 1 }
}

/// Refuses what may stand around a SELECT but not in a rule.
pub(super) fn check_query(query: &Query) -> Result<(), SqlError> {
    let refused = [
        (query.with.is_some(), "WITH stands at the start of the statement"),
        (query.order_by.is_some(), "ORDER BY has no meaning in a rule: alerts are a set; leave it out"),
        (
            query.limit_clause.is_some() || query.fetch.is_some(),
            "LIMIT would hide alerts; leave it out, or ask for more in WHERE or HAVING",
        ),
        (!query.pipe_operators.is_empty(), "pipe operators are not supported in rules"),
    ];
    match refused.into_iter().find(|(is, _)| *is) {
        Some((_, why)) => Err(SqlError::new(place(query), why)),
        None => Ok(()),
    }
}

fn only_select(query: Query) -> Result<Box<Select>, SqlError> {
    let at = place(&query);
    check_query(&query)?;
    match *query.body {
        SetExpr::Select(select) => Ok(select),
        SetExpr::SetOperation { op, .. } => {
            Err(SqlError::new(at, format!("{op} is not supported")).suggest("write one rule for each SELECT"))
        }
        _ => Err(SqlError::new(at, "a rule is one SELECT")),
    }
}

/// Refuses the clauses and expressions that a rule cannot have.
pub(super) fn check_select(select: &Select) -> Result<(), SqlError> {
    let at = place(select);
    let modifiers = match &select.group_by {
        GroupByExpr::All(_) => return Err(SqlError::new(at, "GROUP BY ALL hides the key").suggest("name the columns")),
        GroupByExpr::Expressions(_, modifiers) => !modifiers.is_empty(),
    };
    let refused = [
        (select.distinct.is_some(), "SELECT DISTINCT is not supported in rules"),
        (select.top.is_some(), "TOP would hide alerts"),
        (select.into.is_some(), "SELECT INTO is not supported in rules"),
        (select.qualify.is_some(), "QUALIFY is not supported in rules"),
        (modifiers, "ROLLUP, CUBE and TOTALS are not supported in rules"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW is not supported in rules"),
        (select.prewhere.is_some(), "PREWHERE is not supported in rules"),
        (
            !select.cluster_by.is_empty() || !select.sort_by.is_empty(),
            "CLUSTER BY and SORT BY have no meaning in a rule",
        ),
    ];
    if let Some((_, why)) = refused.into_iter().find(|(is, _)| *is) {
        return Err(SqlError::new(at, why));
    }
    let star = |item: &&SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    match select.projection.iter().find(star) {
        Some(item) => {
            Err(SqlError::new(place(item), "SELECT * is not supported").suggest("name the columns an analyst needs"))
        }
        None => check_expressions(select),
    }
}

/// Finds what an expression of a rule may not hold.
struct Refuse(Option<SqlError>);

impl Visitor for Refuse {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let why = match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => "a subquery is not supported in rules",
            Expr::Function(f) if f.over.is_some() => "OVER is not supported in rules",
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => "grouping sets are not supported in rules",
            _ => return ControlFlow::Continue(()),
        };
        self.0 = Some(SqlError::new(place(expr), why));
        ControlFlow::Break(())
    }
}

fn check_expressions(select: &Select) -> Result<(), SqlError> {
    let mut refuse = Refuse(None);
    let _ = select.projection.visit(&mut refuse);
    let _ = select.selection.visit(&mut refuse);
    let _ = select.group_by.visit(&mut refuse);
    let _ = select.having.visit(&mut refuse);
    refuse.0.map_or(Ok(()), Err)
}
