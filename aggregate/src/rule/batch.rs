//! A rule as a query over stored rows, for audits and backtests: the same alerts by another way.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};

use super::{Rule, RulePlan};
use crate::alert::selected;
use crate::error::{AggregateError, Result, RuleError};
use crate::exception::Verdict;
use crate::failures::Failures;
use crate::json::row_json;
use crate::sql::{Besides, KEY, PhysicalRef, TAKEN, TENANT, WINDOW, batch_sql};

/// SQL that any engine with DataFusion's functions runs over the tables.
#[derive(Debug, Clone)]
pub struct BatchQuery {
    /// The statement.
    pub sql: String,
    /// The columns that the rule selects, as its alerts name them, and their types.
    columns: Vec<(String, DataType)>,
    rule: Rule,
}

/// An alert that the rule should have given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchAlert {
    /// Whose it is.
    pub tenant: String,
    /// The window's bounds, microseconds UTC; none for a filter rule.
    pub window: Option<(i64, i64)>,
    /// What the rule selects, as the JSON object that stands in an alert's `unmapped`.
    pub values: String,
}

/// A row of the query's result: what the rule finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// The alert, if nothing keeps it back.
    pub alert: BatchAlert,
    /// An exception takes it away.
    pub is_taken: bool,
    /// What it was grouped by, as JSON, if suppression asks for that.
    key: String,
}

/// What stands of the rows that the query gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchFound {
    /// The alerts that leave.
    pub alerts: Vec<BatchAlert>,
    /// Those that exceptions take away.
    pub excepted: Vec<BatchAlert>,
    /// Those that earlier ones keep back.
    pub suppressed: Vec<BatchAlert>,
}

impl BatchQuery {
    pub(super) fn of(rule: &Rule) -> std::result::Result<Self, RuleError> {
        let refused = |line, column, what: String, suggestion| RuleError {
            file: rule.file.clone(),
            line,
            column,
            what,
            suggestion,
        };
        let Some(sql) = &rule.sql else {
            let what = if rule.is_watch() { "a watch is no SQL" } else { "a Sigma rule is no SQL" };
            return Err(refused(1, 1, what.to_owned(), None));
        };
        let keys = rule.suppress_us() > 0;
        let taken = rule.exceptions.batch_sql();
        let sql = taken.and_then(|taken| batch_sql(sql, Besides { taken: taken.as_deref(), keys }));
        let sql = sql.map_err(|e| refused(e.line, e.column, e.what, e.suggestion))?;
        let (projection, schema) = match &rule.plan {
            RulePlan::Filter(plans) => (plans.first().map(|p| &p.projection), plans.first().map(|p| &p.input.schema)),
            RulePlan::Window(plan) => (Some(&plan.output.projection), Some(&plan.output.schema)),
            RulePlan::Correlation(_) | RulePlan::Watch(_) => (None, None),
        };
        let kind = |e: &PhysicalRef| schema.and_then(|schema| e.data_type(schema).ok()).unwrap_or(DataType::Null);
        let columns = projection.into_iter().flatten().map(|(name, e)| (name.clone(), kind(e))).collect();
        Ok(Self { sql, columns, rule: rule.clone() })
    }

    /// What the rule finds, in a batch of the query's result.
    ///
    /// # Errors
    /// If the batch is not a result of this query.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<BatchRow>> {
        let tenants = cast(&first(batch, TENANT)?, &DataType::Utf8)?;
        let is_windowed = self.rule.is_windowed();
        let windows = if is_windowed { Some([first(batch, WINDOW[0])?, first(batch, WINDOW[1])?]) } else { None };
        let own = &batch.columns()[batch.num_columns() - self.columns.len()..];
        let columns: Vec<(&str, ArrayRef)> =
            self.columns.iter().zip(own).map(|((name, _), c)| (name.as_str(), c.clone())).collect();
        let at = |column: &ArrayRef, row: usize| column.as_primitive::<TimestampMicrosecondType>().value(row);
        let window = |row: usize| windows.as_ref().map(|[start, end]| (at(start, row), at(end, row)));
        let taken = self.taken(batch, own, &window)?;
        let alert = |row: usize| BatchAlert {
            tenant: tenants.as_string::<i32>().value(row).to_owned(),
            window: window(row),
            values: selected(&columns, row).0,
        };
        let keys = keys(batch);
        let keys: Vec<&dyn Array> = keys.iter().map(AsRef::as_ref).collect();
        let row = |row: usize| BatchRow { alert: alert(row), is_taken: taken[row], key: row_json(&keys, row) };
        Ok((0..batch.num_rows()).map(row).collect())
    }

    /// For each row whether an exception takes it away: the query says so of a filter rule's.
    fn taken(
        &self,
        batch: &RecordBatch,
        own: &[ArrayRef],
        window: &impl Fn(usize) -> Option<(i64, i64)>,
    ) -> Result<Vec<bool>> {
        let (rows, exceptions) = (batch.num_rows(), &self.rule.exceptions);
        if exceptions.is_empty() {
            return Ok(vec![false; rows]);
        }
        if !self.rule.is_windowed() {
            let taken = first(batch, TAKEN)?;
            return Ok(taken.as_boolean().values().iter().collect());
        }
        // An engine may have its own types for text.
        let plain = |((name, kind), array): (&'_ (String, DataType), &ArrayRef)| Ok((name.clone(), cast(array, kind)?));
        let columns = self.columns.iter().zip(own).map(plain).collect::<Result<Vec<_>>>()?;
        let columns: Vec<(&str, ArrayRef)> = columns.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
        let times: Vec<i64> = (0..rows).filter_map(|row| Some(window(row)?.1 - 1)).collect();
        let verdicts = exceptions.of_columns(&self.rule, &columns, &times, &mut Failures::default())?;
        Ok(verdicts.into_iter().map(Verdict::is_taken).collect())
    }

    /// What stands of all rows that the query gave.
    pub fn found(&self, rows: Vec<BatchRow>) -> BatchFound {
        let (taken, mut rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_taken);
        // A key's windows in the order that they end in.
        let ends = |row: &BatchRow| row.alert.window.map(|(start, end)| (end, start));
        rest.sort_by(|a, b| (&a.alert.tenant, &a.key, ends(a)).cmp(&(&b.alert.tenant, &b.key, ends(b))));
        let (mut found, mut last) = (BatchFound::default(), None);
        for BatchRow { alert, key, .. } in rest {
            let (start, end) = alert.window.unwrap_or_default();
            let (tenant, suppress_us) = (alert.tenant.clone(), self.rule.suppress_us_at(end));
            let is_near = |(of, by, at): &(String, String, i64)| {
                (of, by) == (&tenant, &key) && start.saturating_sub(*at) < suppress_us
            };
            if suppress_us > 0 && last.as_ref().is_some_and(is_near) {
                found.suppressed.push(alert);
            } else {
                last = Some((tenant, key, start));
                found.alerts.push(alert);
            }
        }
        found.excepted = taken.into_iter().map(|row| row.alert).collect();
        found
    }
}

fn keys(batch: &RecordBatch) -> Vec<ArrayRef> {
    let named = (0..).map_while(|i| batch.column_by_name(&format!("{KEY}{i}")));
    named.map(|keys| cast(keys, &plain(keys.data_type())).unwrap_or_else(|_| keys.clone())).collect()
}

fn plain(kind: &DataType) -> DataType {
    if let DataType::Dictionary(_, values) = kind { values.as_ref().clone() } else { kind.clone() }
}

fn first(batch: &RecordBatch, name: &'static str) -> Result<ArrayRef> {
    let missing = AggregateError::Schema { table: "the batch query", column: name };
    batch.column_by_name(name).cloned().ok_or(missing)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::tests::rule;

    fn time(us: i64) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("+00:00"))
    }

    fn text(text: &str) -> ArrayRef {
        Arc::new(StringArray::from(vec![text]))
    }

    #[test]
    fn a_row_of_the_result_is_an_alert_as_the_stream_writes_it() {
        let sql = "SELECT window_start, src_ip, count(*) AS n FROM TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) \
                   GROUP BY window_start, window_end, src_ip HAVING count(*) > 1";
        let query = rule("", sql).rules()[0].batch_query().expect("a batch form");
        let count: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        // Names are the engine's; the rule's own stand in the values.
        let columns = [
            (TENANT, text("acme")),
            (WINDOW[0], time(0)),
            (WINDOW[1], time(60_000_000)),
            ("window_start", time(0)),
            ("src_ip", text("10.0.0.1")),
            ("count(*)", count),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let values = r#"{"window_start":"1970-01-01T00:00:00.000000Z","src_ip":"10.0.0.1","n":7}"#.to_owned();
        let want = BatchAlert { tenant: "acme".to_owned(), window: Some((0, 60_000_000)), values };
        let rows = query.rows(&batch).expect("a result of the query");
        assert_eq!(query.found(rows).alerts, [want]);
        let error = query.rows(&batch.project(&[1, 2, 3, 4, 5]).expect("columns")).expect_err("no tenant");
        assert!(error.to_string().contains(TENANT), "{error}");
    }
}
