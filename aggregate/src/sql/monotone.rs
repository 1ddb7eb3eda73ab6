//! Can a HAVING that holds once stop to hold as more rows arrive? `emit: on_threshold` needs that it cannot.
//!
//! Rows are only ever added to a group. So `count`, `max` and a `sum` of what is never negative can only rise, and `min` can
//! only fall; FILTER and CASE change which rows count, not that. An aggregate over no row is NULL, and no comparison with
//! NULL holds: that it leaves NULL cannot make one stop to hold. Hence, once `low < high` holds (or `<=`), it holds for
//! good if `low` never rises and `high` never falls: `count(*) > 20`, `min(time) FILTER (...) < max(time) FILTER (...)`.
//! AND and OR of such comparisons are such; NOT is not.

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator};

use super::scan::Scan;

/// Why the condition may stop to hold; none if it cannot.
pub(super) fn objection(having: &Expr, aggregate: &Aggregate, scans: &[Scan]) -> Option<String> {
    let scope = Scope { aggregate, scans };
    scope.objection(having)
}

struct Scope<'a> {
    aggregate: &'a Aggregate,
    scans: &'a [Scan],
}

/// How an expression's value moves as rows arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trend {
    Still,
    Rises,
    Falls,
    Unknown,
}

impl Scope<'_> {
    fn objection(&self, condition: &Expr) -> Option<String> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else {
            let still = self.trend(condition) == Trend::Still;
            return (!still).then(|| format!("{condition} is not a comparison"));
        };
        let (low, high) = match op {
            Operator::And | Operator::Or => return self.objection(left).or_else(|| self.objection(right)),
            Operator::Gt | Operator::GtEq => (right, left),
            Operator::Lt | Operator::LtEq => (left, right),
            _ if self.trend(condition) == Trend::Still => return None,
            _ => return Some(format!("{condition} may hold and then not")),
        };
        let low_stays = matches!(self.trend(low), Trend::Still | Trend::Falls);
        let high_stays = matches!(self.trend(high), Trend::Still | Trend::Rises);
        (!(low_stays && high_stays)).then(|| format!("{condition} may hold and then not"))
    }

    fn trend(&self, expr: &Expr) -> Trend {
        match expr {
            Expr::Literal(..) => Trend::Still,
            Expr::Column(column) => self.column(column),
            Expr::Cast(cast) if self.keeps_order(cast) => self.trend(&cast.expr),
            Expr::Alias(alias) => self.trend(&alias.expr),
            other => {
                let still = other.column_refs().into_iter().all(|c| self.column(c) == Trend::Still);
                if still { Trend::Still } else { Trend::Unknown }
            }
        }
    }

    fn column(&self, column: &Column) -> Trend {
        let Some(index) = self.aggregate.schema.maybe_index_of_column(column) else { return Trend::Unknown };
        let Some(index) = index.checked_sub(self.aggregate.group_expr.len()) else { return Trend::Still };
        match self.aggregate.aggr_expr[index].clone().unalias_nested().data {
            Expr::AggregateFunction(function) => self.function(&function),
            _ => Trend::Unknown,
        }
    }

    /// Numbers and times keep their order as numbers and times; as text they do not.
    fn keeps_order(&self, cast: &Cast) -> bool {
        let from = cast.expr.get_type(&self.aggregate.schema);
        from.is_ok_and(|from| is_ordered(&from)) && is_ordered(&cast.data_type)
    }

    fn function(&self, function: &AggregateFunction) -> Trend {
        match function.func.name() {
            "count" | "max" => Trend::Rises,
            "min" => Trend::Falls,
            "sum" if function.params.args.iter().all(|arg| self.never_negative(arg)) => Trend::Rises,
            _ => Trend::Unknown,
        }
    }

    /// True if the expression is never negative in any of the tables.
    fn never_negative(&self, expr: &Expr) -> bool {
        let over = |scan: &Scan| scan.over(expr, self.aggregate.input.schema());
        self.scans.iter().all(|scan| over(scan).is_ok_and(|own| never_negative(&own)))
    }
}

fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// Byte and packet counters never are; of other columns nothing is known.
fn never_negative(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name.starts_with("traffic."),
        Expr::Literal(value, _) => value.is_null() || is_positive(value),
        Expr::Cast(cast) => never_negative(&cast.expr),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            when_then_expr.iter().map(|(_, then)| then).chain(else_expr).all(|e| never_negative(e))
        }
        _ => false,
    }
}

/// True for zero too.
fn is_positive(value: &ScalarValue) -> bool {
    let number = value.cast_to(&DataType::Float64);
    matches!(number, Ok(ScalarValue::Float64(Some(number))) if number >= 0.0)
}
