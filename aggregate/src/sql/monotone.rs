//! Can a HAVING that holds once stop to hold as more rows arrive? `emit: on_threshold` needs that it cannot.

use datafusion::common::Column;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Operator};

/// Why the condition may stop to hold; none if it cannot.
pub(super) fn objection(having: &Expr, aggregate: &Aggregate) -> Option<String> {
    let scope = Scope { aggregate };
    scope.objection(having)
}

struct Scope<'a> {
    aggregate: &'a Aggregate,
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
            Expr::Cast(cast) => self.trend(&cast.expr),
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
            Expr::AggregateFunction(function) => function_trend(&function),
            _ => Trend::Unknown,
        }
    }
}

fn function_trend(function: &AggregateFunction) -> Trend {
    match function.func.name() {
        "count" | "max" => Trend::Rises,
        "min" => Trend::Falls,
        "sum" if function.params.args.iter().all(never_negative) => Trend::Rises,
        _ => Trend::Unknown,
    }
}

/// Byte and packet counters are; of other columns nothing is known.
fn never_negative(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name.starts_with("traffic."),
        Expr::Cast(cast) => never_negative(&cast.expr),
        _ => false,
    }
}
