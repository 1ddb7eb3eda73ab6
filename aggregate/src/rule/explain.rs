//! What a rule becomes: the tables and columns that it reads, its conditions as they are evaluated, its window, groups and state.

use std::sync::LazyLock;

use dataflow::Table;
use regex::Regex;
use serde::Serialize;

use super::{Emit, Exception, Rule, RulePlan, RuleSet};
use crate::sigma;
use crate::sql::{FilterPlan, Input, PhysicalRef, WindowPlan, as_written};

/// See the module's front. Times are microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The rule's UUID.
    pub uid: String,
    /// One line for people.
    pub title: String,
    /// The file it was read from.
    pub file: String,
    /// `sql`, `sigma` or `watch`.
    pub language: &'static str,
    /// One a table; a table that two SELECTs read stands twice.
    pub inputs: Vec<ExplainedInput>,
    /// Of a Sigma rule, where its fields stand.
    pub fields: Vec<ExplainedField>,
    /// What groups rows; none for a filter rule.
    pub window: Option<ExplainedWindow>,
    /// The columns of its alerts.
    pub selects: Vec<String>,
    /// When it alerts.
    pub alerts: String,
    /// For how long an alert keeps others of its key back, in microseconds; 0 if it keeps none.
    pub suppress_us: i64,
    /// What of its alerts does not leave.
    pub exceptions: Vec<ExplainedException>,
    /// Rows of evidence an alert carries at most.
    pub evidence: usize,
}

/// Alerts that do not leave.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedException {
    /// Where it stands, `file:line`.
    pub place: String,
    /// As it is written.
    pub condition: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// The last day that it holds.
    pub expires: String,
}

/// What it reads of a table.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedInput {
    /// The table.
    pub table: Table,
    /// Its columns, as paths.
    pub columns: Vec<String>,
    /// Which rows count, simplified; none if all do.
    pub condition: Option<String>,
}

/// A Sigma rule's field in one table.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedField {
    /// As the rule names it.
    pub field: String,
    /// The table.
    pub table: Table,
    /// Columns and paths in them; the first that holds a value counts. Empty if only another table of the log has it.
    pub places: Vec<String>,
}

/// How rows are grouped.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedWindow {
    /// TUMBLE, HOP, CUMULATE or SESSION.
    pub function: &'static str,
    /// Between the ends of windows; of SESSION the gap.
    pub slide_us: i64,
    /// The longest window.
    pub size_us: i64,
    /// What windows share: state is kept a pane.
    pub pane_us: i64,
    /// How long after its end a window takes rows.
    pub allowed_lateness_us: i64,
    /// What is grouped by within a window; the tenant always is.
    pub keys: Vec<String>,
    /// Aggregates, each with the columns of its state.
    pub aggregates: Vec<ExplainedAggregate>,
    /// Which groups alert; none if all do.
    pub having: Option<String>,
    /// What HAVING needs at the least: groups with less are not merged and evaluated.
    pub needs: Vec<String>,
    /// Loaded rules that group the same rows by the same window and keys. Each has an aggregation of its own.
    pub alike: Vec<String>,
}

/// What is counted.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedAggregate {
    /// As the rule writes it.
    pub function: String,
    /// Name and type of each column of the state that is kept a pane and key.
    pub state: Vec<String>,
}

impl Rule {
    /// What the rule becomes, beside the rules that are loaded with it.
    pub fn explain(&self, rules: &RuleSet) -> Explanation {
        Explanation {
            uid: self.uid.clone(),
            title: self.title.clone(),
            file: self.file.clone(),
            language: match (self.is_sigma(), self.is_watch()) {
                (true, _) => "sigma",
                (_, true) => "watch",
                _ => "sql",
            },
            inputs: self.inputs(),
            fields: self.fields(),
            window: self.window().map(|plan| self.explain_window(plan, rules)),
            selects: self.selects().into_iter().map(str::to_owned).collect(),
            alerts: self.alerts(),
            suppress_us: self.suppress_us(),
            exceptions: self.exceptions().map(ExplainedException::of).collect(),
            evidence: self.evidence,
        }
    }

    /// The columns that it reads of each of its tables, as paths.
    pub fn reads(&self) -> Vec<(Table, Vec<String>)> {
        let own = self.inputs().into_iter().map(|input| (input.table, input.columns));
        let of_exceptions = self.exceptions.row_plans().map(|plan| (plan.table, columns(&plan.input)));
        own.chain(of_exceptions).collect()
    }

    /// What it groups by besides tenant and window, as its alerts name it where they do; nothing for a filter rule.
    pub fn keys(&self) -> Vec<String> {
        if let Some(node) = self.correlation().and_then(|plan| plan.nodes.first()) {
            return node.group.clone();
        }
        if let Some(plan) = self.watch() {
            return plan.keys().iter().map(|key| (*key).to_owned()).collect();
        }
        let keys = self.window().map(|plan| plan.keys.as_slice()).unwrap_or_default();
        keys.iter().map(|key| said(key.name())).collect()
    }

    fn inputs(&self) -> Vec<ExplainedInput> {
        let of = |table, input: &Input, condition| ExplainedInput { table, columns: columns(input), condition };
        let condition = |predicate: &PhysicalRef| said(&predicate.to_string());
        if let RulePlan::Window(plan) = &self.plan {
            let inputs = plan.inputs.iter();
            return inputs.map(|i| of(i.table, &i.input, i.predicate.as_ref().map(condition))).collect();
        }
        if let Some(plan) = self.watch() {
            let columns = |table| plan.columns(table).iter().map(|column| (*column).to_owned()).collect();
            let tables = self.tables.iter();
            return tables.map(|t| ExplainedInput { table: *t, columns: columns(*t), condition: None }).collect();
        }
        self.row_plans().into_iter().map(|plan| of(plan.table, &plan.input, Some(condition(&plan.predicate)))).collect()
    }

    /// Whose rows alert, or are a correlation's hits.
    fn row_plans(&self) -> Vec<&FilterPlan> {
        match &self.plan {
            RulePlan::Filter(plans) => plans.iter().collect(),
            RulePlan::Correlation(plan) => plan.inputs.iter().map(|input| &input.rows).collect(),
            RulePlan::Window(_) | RulePlan::Watch(_) => Vec::new(),
        }
    }

    fn fields(&self) -> Vec<ExplainedField> {
        let field = |(plan, (name, shown)): (&FilterPlan, &(String, PhysicalRef))| {
            let places = sigma::places(shown, &plan.input)?;
            Some(ExplainedField { field: name.clone(), table: plan.table, places })
        };
        let plans = self.row_plans().into_iter();
        plans.flat_map(|plan| plan.projection.iter().map(move |shown| (plan, shown))).filter_map(field).collect()
    }

    fn explain_window(&self, plan: &WindowPlan, rules: &RuleSet) -> ExplainedWindow {
        let (function, slide_us, size_us) = self.window_us().unwrap_or_default();
        let functions = plan.output.schema.fields().iter().skip(plan.output.group.len());
        let aggregates = functions.zip(&plan.aggregates).map(|(field, aggregate)| ExplainedAggregate {
            function: said(field.name()),
            state: aggregate.state.iter().map(|f| format!("{} {}", said(f.name()), f.data_type())).collect(),
        });
        let tables = |inputs: &std::collections::BTreeSet<usize>| {
            inputs.iter().map(|&i| plan.inputs[i].table.name()).collect::<Vec<_>>().join(" or ")
        };
        ExplainedWindow {
            function,
            slide_us,
            size_us,
            pane_us: plan.spec.pane,
            allowed_lateness_us: self.allowed_lateness_us,
            keys: self.keys(),
            aggregates: aggregates.collect(),
            having: plan.output.having.as_ref().map(|having| said(&having.to_string())),
            needs: plan.needs.iter().map(|need| format!("{} rows of {}", need.rows, tables(&need.inputs))).collect(),
            alike: rules
                .rules()
                .iter()
                .filter(|r| r.uid != self.uid && self.is_alike(r))
                .map(|r| r.name.clone())
                .collect(),
        }
    }

    fn is_alike(&self, other: &Rule) -> bool {
        let (Some(own), Some(its)) = (self.window(), other.window()) else { return false };
        let conditions = |rule: &Rule| rule.inputs().into_iter().map(|i| (i.table, i.condition)).collect::<Vec<_>>();
        own.spec == its.spec && self.keys() == other.keys() && conditions(self) == conditions(other)
    }

    fn alerts(&self) -> String {
        if let Some(plan) = self.watch() {
            return plan.said();
        }
        self.alerts_of_rows().to_owned()
    }

    fn alerts_of_rows(&self) -> &'static str {
        if self.is_correlation() {
            return "each key at each time that has a hit and meets the condition, when the watermark has passed it";
        }
        match (self.is_windowed(), self.emit) {
            (false, _) => "each row that meets the condition, when its range is flushed",
            (true, Emit::OnClose) => "each group that meets HAVING, when the watermark passes the window's end",
            (true, Emit::OnThreshold) => {
                "each group as soon as it meets HAVING; again at the window's end if the alert then reads otherwise"
            }
        }
    }
}

impl ExplainedException {
    fn of(exception: &Exception) -> Self {
        Self {
            place: exception.place(),
            condition: exception.condition.clone(),
            owner: exception.owner.clone(),
            reason: exception.reason.clone(),
            expires: exception.expires.clone(),
        }
    }
}

fn columns(input: &Input) -> Vec<String> {
    input.schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// An expression as an author would write it: `dst_port@3` is dst_port.
fn said(text: &str) -> String {
    static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"@\d+").ok());
    let text = as_written(text);
    NUMBER.as_ref().map_or_else(|| text.clone(), |number| number.replace_all(&text, "").into_owned())
}

#[cfg(test)]
mod tests {
    use crate::tests::rules;

    const SCAN: &str = "SELECT window_start, src_ip, count(DISTINCT dst_port) AS ports \
        FROM HOP(network_activity, DESCRIPTOR(time), INTERVAL '30' SECOND, INTERVAL '1' MINUTE) \
        WHERE dst_port > 0 + 1 GROUP BY window_start, window_end, src_ip HAVING count(DISTINCT dst_port) > 250";

    #[test]
    fn a_windowed_rule_says_what_it_keeps_and_which_rules_are_alike() {
        let other = SCAN.replace("> 250", "> 20");
        let rules = rules(&[("emit: on_threshold", SCAN), ("", &other), ("", &SCAN.replace("0 + 1", "7"))]);
        let explained = rules.rules()[0].explain(&rules);
        assert_eq!(explained.inputs[0].condition.as_deref(), Some("dst_port > 1"));
        assert!(explained.inputs[0].columns.iter().any(|c| c == "src_ip"), "{explained:?}");
        let window = explained.window.expect("a window");
        assert_eq!((window.function, window.slide_us, window.pane_us), ("HOP", 30_000_000, 30_000_000));
        assert_eq!(
            (window.keys, window.needs),
            (vec!["src_ip".to_owned()], vec!["251 rows of network_activity".to_owned()])
        );
        assert_eq!(window.having.as_deref(), Some("count(DISTINCT dst_port) > 250"));
        assert_eq!((window.aggregates[0].function.as_str(), window.alike.len()), ("count(DISTINCT dst_port)", 1));
        assert!(explained.alerts.starts_with("each group as soon as"), "{}", explained.alerts);
    }

    #[test]
    fn a_sigma_rule_says_where_its_fields_stand() {
        let text = "title: T\nid: 3f2b6a4e-1111-4222-8333-444455556666\nlogsource: {product: aws, service: cloudtrail}\n\
                    detection:\n    s: {eventName: StopLogging, requestParameters.name: x}\n    condition: s\n";
        let rules = crate::RuleSet::from_texts(&[("r.yml", text)]).unwrap_or_else(|e| panic!("{e}"));
        let explained = rules.rules()[0].explain(&rules);
        let of = |name: &str| {
            let field = explained.fields.iter().find(|f| f.field == name && f.table == dataflow::Table::ApiActivity);
            field.map(|f| f.places.clone()).unwrap_or_default()
        };
        assert!(of("eventName").iter().any(|place| place == "api.operation"), "{explained:#?}");
        assert!(of("requestParameters.name")[0].starts_with("api.request.data"), "{explained:#?}");
        assert_eq!((explained.language, explained.window.is_none()), ("sigma", true));
    }
}
