//! What HAVING needs at the least: rows that a group must have before the condition can hold.
//!
//! `count(...) > 20` needs 21 rows, distinct or not; a comparison with any other aggregate needs one row, since over none it
//! is NULL. Rows that FILTER keeps out of one of the tables for certain do not count. This is a necessary condition: groups
//! that lack the rows are never merged and evaluated, all others are.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Operator};

use super::scan::Scan;

/// At least so many rows of these inputs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) inputs: BTreeSet<usize>,
    pub(crate) rows: u64,
}

/// All that the condition needs; nothing is known of a condition that is no comparison.
pub(super) fn needs(having: Option<&Expr>, aggregate: &Aggregate, scans: &[Scan]) -> Vec<Need> {
    let scope = Scope { aggregate, scans };
    let mut needs: Vec<Need> = Vec::new();
    for need in having.into_iter().flat_map(|having| scope.condition(having)) {
        match needs.iter_mut().find(|known| known.inputs == need.inputs) {
            Some(known) => known.rows = known.rows.max(need.rows),
            None => needs.push(need),
        }
    }
    needs
}

struct Scope<'a> {
    aggregate: &'a Aggregate,
    scans: &'a [Scan],
}

impl Scope<'_> {
    fn condition(&self, condition: &Expr) -> Vec<Need> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return Vec::new() };
        let (low, high, least) = match op {
            Operator::And => return [self.condition(left), self.condition(right)].concat(),
            Operator::Gt => (right, left, 1),
            Operator::GtEq | Operator::Eq => (right, left, 0),
            Operator::Lt => (left, right, 1),
            Operator::LtEq => (left, right, 0),
            _ => return Vec::new(),
        };
        let mut needs = Vec::new();
        for (side, bound) in [(high, integer(low)), (low, integer(high).filter(|_| *op == Operator::Eq))] {
            let Some(function) = self.function(side) else { continue };
            let rows = match (function.func.name(), bound) {
                ("count", Some(bound)) => u64::try_from(bound.saturating_add(least)).unwrap_or(0),
                ("count", None) => 0,
                _ => 1,
            };
            if rows > 0 {
                needs.push(Need { inputs: self.inputs(function), rows });
            }
        }
        needs
    }

    /// The aggregate that an expression is, under names and casts.
    fn function(&self, expr: &Expr) -> Option<&AggregateFunction> {
        match expr {
            Expr::Alias(alias) => self.function(&alias.expr),
            Expr::Cast(cast) => self.function(&cast.expr),
            Expr::Column(column) => self.column(column),
            _ => None,
        }
    }

    fn column(&self, column: &Column) -> Option<&AggregateFunction> {
        let index = self.aggregate.schema.maybe_index_of_column(column)?;
        let mut expr = &self.aggregate.aggr_expr[index.checked_sub(self.aggregate.group_expr.len())?];
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        match expr {
            Expr::AggregateFunction(function) => Some(function),
            _ => None,
        }
    }

    /// The inputs whose rows the aggregate's FILTER may let in.
    fn inputs(&self, function: &AggregateFunction) -> BTreeSet<usize> {
        let above = self.aggregate.input.schema();
        let may_pass = |scan: &Scan| match function.params.filter.as_deref().map(|filter| scan.over(filter, above)) {
            Some(Ok(filter)) => constant(&filter) != Some(false),
            _ => true,
        };
        let inputs = self.scans.iter().enumerate();
        inputs.filter(|(_, scan)| may_pass(scan)).map(|(input, _)| input).collect()
    }
}

/// The value of a condition that is the same for every row; NULL is false.
fn constant(condition: &Expr) -> Option<bool> {
    match condition {
        Expr::Literal(ScalarValue::Boolean(value), _) => Some(value.unwrap_or(false)),
        Expr::Literal(ScalarValue::Null, _) => Some(false),
        Expr::Not(inner) => match &**inner {
            Expr::Literal(ScalarValue::Boolean(None) | ScalarValue::Null, _) => Some(false),
            inner => constant(inner).map(|value| !value),
        },
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}

fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        // Not fractions: rounded, they would ask for other rows.
        Expr::Literal(value, _) if value.data_type().is_integer() => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(value)) => value,
            _ => None,
        },
        Expr::Cast(cast) => integer(&cast.expr),
        Expr::Alias(alias) => integer(&alias.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::rule;

    /// What a rule over connections and threats needs: inputs and rows.
    fn needs_of(having: &str) -> Vec<(Vec<usize>, u64)> {
        let sql = format!(
            "SELECT window_start, window_end, src_ip
             FROM TUMBLE(TABLE (
               SELECT time, src_ip, dst_port AS port, false AS is_threat FROM network_activity
               UNION ALL
               SELECT time, src_ip, dst_port, true FROM detection_finding
             ), DESCRIPTOR(time), INTERVAL '1' MINUTE)
             GROUP BY window_start, window_end, src_ip
             HAVING {having}"
        );
        let rules = rule("", &sql);
        let needs = &rules.rules()[0].window().expect("a window").needs;
        needs.iter().map(|need| (need.inputs.iter().copied().collect(), need.rows)).collect()
    }

    #[test]
    fn a_count_needs_its_rows_distinct_or_not_whichever_side_it_stands_on() {
        for (having, rows) in [
            ("count(*) > 20", 21),
            ("count(*) >= 20", 20),
            ("20 < count(port)", 21),
            ("count(DISTINCT port) = 20", 20),
            ("20 = count(DISTINCT port)", 20),
            ("count(*) > 5 AND count(DISTINCT port) > 20 AND count(port) > 7", 21),
            ("sum(port) > 1000", 1),
            ("max(port) <= 1000", 1),
        ] {
            assert_eq!(needs_of(having), [(vec![0, 1], rows)], "{having}");
        }
    }

    #[test]
    fn rows_that_a_filter_keeps_out_do_not_count() {
        let having = "min(time) FILTER (WHERE is_threat) < max(time) FILTER (WHERE NOT is_threat)";
        assert_eq!(needs_of(having), [(vec![0], 1), (vec![1], 1)]);
        assert_eq!(needs_of("count(*) FILTER (WHERE is_threat) > 3"), [(vec![1], 4)]);
        assert_eq!(needs_of("count(*) FILTER (WHERE port = 22) > 3"), [(vec![0, 1], 4)], "who knows which rows");
    }

    #[test]
    fn what_may_hold_without_rows_needs_none() {
        for having in [
            "count(*) FILTER (WHERE is_threat) < 20",
            "count(*) >= 0",
            "count(*) > -0.5",
            "count(*) > 20 OR sum(port) > 9",
            "count(*) <> 3",
            "sum(port) IS NULL",
            "count(port) > count(DISTINCT port)",
        ] {
            assert_eq!(needs_of(having), [], "{having}");
        }
    }
}
