//! The tables under a plan's aggregate, each with the condition on its rows and the columns it gives to what is above.
//!
//! Projections, filters and unions are taken into account by substitution: a column of the plan becomes the expression over
//! the table that it stands for. So the operators read each table on its own, and no union is ever run.

use dataflow::Table;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, plan_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// One table that a plan reads.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) table: Table,
    /// The table's columns.
    pub(super) schema: DFSchemaRef,
    /// Which of its rows count.
    pub(super) predicate: Option<Expr>,
    /// The plan's columns as expressions over the table's.
    columns: Vec<Expr>,
}

impl Scan {
    /// An expression over the plan, whose schema is given, as one over the table.
    pub(super) fn over(&self, expr: &Expr, schema: &DFSchema) -> Result<Expr> {
        let column = |e: Expr| match &e {
            Expr::Column(column) => {
                let index = schema.index_of_column(column)?;
                Ok(Transformed::yes(self.columns[index].clone()))
            }
            _ => Ok(Transformed::no(e)),
        };
        Ok(expr.clone().transform_up(column)?.data)
    }
}

/// The tables that the plan reads, in the order they are written.
pub(super) fn scans(plan: &LogicalPlan) -> Result<Vec<Scan>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let table = Table::by_name(name).ok_or_else(|| plan_datafusion_err!("no table {name}"))?;
            let schema = scan.projected_schema.clone();
            let columns = schema.columns().into_iter().map(Expr::Column).collect();
            Ok(vec![Scan { table, schema, predicate: None, columns }])
        }
        LogicalPlan::SubqueryAlias(alias) => scans(&alias.input),
        LogicalPlan::Union(union) => {
            let all = union.inputs.iter().map(|input| scans(input)).collect::<Result<Vec<_>>>()?;
            Ok(all.into_iter().flatten().collect())
        }
        LogicalPlan::Projection(projection) => {
            let mut all = scans(&projection.input)?;
            for scan in &mut all {
                let own = |e: &Expr| Ok(scan.over(e, projection.input.schema())?.unalias_nested().data);
                scan.columns = projection.expr.iter().map(own).collect::<Result<_>>()?;
            }
            Ok(all)
        }
        LogicalPlan::Filter(filter) => {
            let mut all = scans(&filter.input)?;
            for scan in &mut all {
                let own = scan.over(&filter.predicate, filter.input.schema())?;
                scan.predicate = Some(match scan.predicate.take() {
                    None => own,
                    Some(inner) => inner.and(own),
                });
            }
            Ok(all)
        }
        other => plan_err!("a rule cannot run {}", other.display()),
    }
}
