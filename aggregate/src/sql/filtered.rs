//! `FILTER (WHERE ...)` of an aggregate in batch SQL: a condition that is null leaves the row out, as the standard has it.
//!
//! **Data in:** an analyzed plan. **Data out:** the plan with `condition AND condition IS NOT NULL` in the filters of its aggregates, all names kept.
//!
//! DataFusion up to 53 reads the values of a filter and not which of them are null (its issue 22067), so that a row with a null
//! may count. (`IS TRUE` would say it shorter, but its two plans disagree about whether it may be null.) The stream's own aggregation does not; this is for audits and `palisade sql`.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

#[derive(Debug)]
pub(super) struct NullFilters;

impl AnalyzerRule for NullFilters {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(of_plan)?.data)
    }

    fn name(&self) -> &'static str {
        "null_filters"
    }
}

fn of_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(plan, LogicalPlan::Aggregate(_)) {
        return Ok(Transformed::no(plan));
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expression| {
        let name = names.save(&expression);
        Ok(expression.transform_up(of_expression)?.update_data(|changed| name.restore(changed)))
    })
}

fn of_expression(expression: Expr) -> Result<Transformed<Expr>> {
    let Expr::AggregateFunction(mut call) = expression else { return Ok(Transformed::no(expression)) };
    let Some(condition) = call.params.filter.take() else {
        return Ok(Transformed::no(Expr::AggregateFunction(call)));
    };
    let is_known = Expr::IsNotNull(condition.clone());
    call.params.filter = Some(Box::new(condition.and(is_known)));
    Ok(Transformed::yes(Expr::AggregateFunction(call)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn a_null_condition_counts_nothing() {
        let session = SessionContext::new();
        crate::register_functions(&session);
        let sql = "SELECT count(*) FILTER (WHERE NOT b), count(a) FILTER (WHERE b < true) AS c, sum(a) FILTER (WHERE NOT b) \
                   FROM (VALUES (0, 1, CAST(NULL AS BOOLEAN)), (0, 2, true), (0, 4, false)) AS t(g, a, b) GROUP BY g";
        let found = session.sql(sql).await.expect("planned").collect().await.expect("run");
        let texts: Vec<_> = found[0].columns().iter().map(|c| array_value_to_string(c, 0).expect("a text")).collect();
        assert_eq!(texts, ["1", "1", "4"]);
        assert_eq!(found[0].schema().field(1).name(), "c");
        assert_eq!(found[0].schema().field(0).name(), "count(*) FILTER (WHERE NOT t.b)");
    }
}
