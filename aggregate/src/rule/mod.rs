//! Rules: files -> checked, planned, versioned detections.

mod attack;
mod batch;
mod explain;
mod file;
mod files;
mod of_sigma;
pub(crate) mod scenario;
mod set;

use std::path::Path;
use std::sync::Arc;

use dataflow::Table;
use uuid::Uuid;

pub(crate) use attack::Attack;
pub use batch::{BatchAlert, BatchFound, BatchQuery, BatchRow};
pub use explain::{
    ExplainedAggregate, ExplainedException, ExplainedField, ExplainedInput, ExplainedWindow, Explanation,
};
pub use file::{Emit, Level};
use file::{RawRule, RuleText};
pub use files::RuleFiles;
pub use set::RuleSet;

use crate::correlation::CorrelationPlan;
use crate::error::RuleError;
use crate::exception::{Exception, Exceptions};
use crate::sql::{Plan, WindowPlan, plan};
use crate::watch::{RawWatch, WatchPlan};
use crate::window::WindowKind;

/// Namespace of every name-based UUID of this crate. Never changes: alert ids hang on it.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x8d3b_6c1e_52f0_4a57_9e0c_1f5a_7d24_b961);

/// Most rows of evidence a rule may ask for.
const EVIDENCE_MAX: usize = 100;

/// Longest time that one alert may stand for those that follow.
pub(crate) const SUPPRESS_US_MAX: i64 = 30 * 86_400_000_000;

/// A checked rule.
#[derive(Debug, Clone)]
pub struct Rule {
    uid: String,
    name: String,
    title: String,
    version: u32,
    level: Level,
    description: String,
    false_positives: Vec<String>,
    tuning: String,
    emit: Emit,
    allowed_lateness_us: i64,
    suppress_us: i64,
    evidence: usize,
    tables: Vec<Table>,
    file: String,
    /// None of a Sigma rule, and of a watch.
    sql: Option<String>,
    pub(crate) attack: Attack,
    pub(crate) fingerprint: String,
    pub(crate) plan: RulePlan,
    pub(crate) tests: Vec<scenario::RawTest>,
    /// What of its alerts nobody wants to hear of; no part of the fingerprint.
    pub(crate) exceptions: Exceptions,
}

/// What the stages run: [`Plan`], or a Sigma rule's conditions.
#[derive(Debug, Clone)]
pub(crate) enum RulePlan {
    /// One for each of the rule's tables.
    Filter(Vec<crate::sql::FilterPlan>),
    Window(Arc<WindowPlan>),
    Correlation(Arc<CorrelationPlan>),
    Watch(Arc<WatchPlan>),
}

impl Rule {
    /// The rule's UUID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The stem of the file's name: `port_scan` of `rules/port_scan.yaml`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The version its author gave it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How grave a match is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What it looks for, for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What else may look alike, for people.
    pub fn false_positives(&self) -> &[String] {
        &self.false_positives
    }

    /// How to fit it to a network, for people.
    pub fn tuning(&self) -> &str {
        &self.tuning
    }

    /// The tables it reads: one, one for each SELECT of a UNION ALL, or those that hold a Sigma rule's log source.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Which of [`Rule::tables`] are this one.
    pub(crate) fn inputs_of(&self, table: Table) -> impl Iterator<Item = usize> {
        self.tables.iter().enumerate().filter(move |(_, own)| **own == table).map(|(i, _)| i)
    }

    /// A hash over everything that decides what its states and alerts are: not over its tests or its prose.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// When it alerts.
    pub fn emit(&self) -> Emit {
        self.emit
    }

    /// True if it groups rows by window; false if each row may be an alert.
    pub fn is_windowed(&self) -> bool {
        !matches!(self.plan, RulePlan::Filter(_))
    }

    /// True if it is a Sigma correlation.
    pub fn is_correlation(&self) -> bool {
        self.correlation().is_some()
    }

    /// True if it is over whether records come, not over what they say.
    pub fn is_watch(&self) -> bool {
        self.watch().is_some()
    }

    /// How long its window state lives in event time: size and allowed lateness; 0 for a filter rule and a watch.
    pub fn max_window_us(&self) -> i64 {
        let size = match &self.plan {
            RulePlan::Filter(_) | RulePlan::Watch(_) => return 0,
            RulePlan::Window(plan) => plan.spec.size,
            RulePlan::Correlation(plan) => plan.span_us(),
        };
        size.saturating_add(self.allowed_lateness_us)
    }

    /// How long after its end a window still takes late rows.
    pub fn allowed_lateness_us(&self) -> i64 {
        self.allowed_lateness_us
    }

    /// For how long an alert stands for those of its key whose windows begin after its own, at most; 0 without suppression.
    pub fn suppress_us(&self) -> i64 {
        self.exceptions.suppress().map_or(self.suppress_us, |(us, _)| us.max(self.suppress_us))
    }

    /// The same for an alert whose window ends then: what an entry among the exceptions says goes before what the rule says.
    pub(crate) fn suppress_us_at(&self, end: i64) -> i64 {
        let by_entry = self.exceptions.suppress().filter(|(_, until)| end <= *until);
        by_entry.map_or(self.suppress_us, |(us, _)| us)
    }

    /// Whether its alerts can be suppressed, or why not and what to do.
    pub(crate) fn may_suppress(&self) -> Result<(), Refused> {
        may_suppress(&self.plan, self.allowed_lateness_us)
    }

    /// Rows of evidence an alert carries at most.
    pub fn evidence(&self) -> usize {
        self.evidence
    }

    /// The file it was read from, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The window function, the distance between the ends of windows (of SESSION the gap), and the longest window, in
    /// microseconds; none for a filter rule. Of a correlation its type and, twice, its timespan.
    pub fn window_us(&self) -> Option<(&'static str, i64, i64)> {
        if let Some(plan) = self.correlation() {
            let span_us = plan.nodes.first().map_or(0, |node| node.span_us);
            return Some((plan.word(), span_us, span_us));
        }
        let spec = self.window()?.spec;
        let function = match spec.kind {
            WindowKind::Session => "SESSION",
            WindowKind::Cumulate => "CUMULATE",
            WindowKind::Hop if spec.slide == spec.size => "TUMBLE",
            WindowKind::Hop => "HOP",
        };
        Some((function, spec.slide, spec.size))
    }

    /// MITRE ATT&CK technique ids of its tags, such as `T1046`.
    pub fn techniques(&self) -> &[String] {
        &self.attack.techniques
    }

    /// MITRE ATT&CK tactics of its tags: id and name.
    pub fn tactics(&self) -> &[(&'static str, &'static str)] {
        &self.attack.tactics
    }

    /// How many tests its file holds.
    pub fn test_count(&self) -> usize {
        self.tests.len()
    }

    /// What of its alerts nobody wants to hear of.
    pub fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        self.exceptions.iter()
    }

    /// A hash over what keeps its alerts back: exceptions and suppression. None if nothing does.
    pub fn keeps_back(&self) -> String {
        let mut all = self.exceptions.print();
        if self.suppress_us > 0 {
            all += &format!("suppress {}", self.suppress_us);
        }
        if all.is_empty() { all } else { Uuid::new_v5(&NAMESPACE, all.as_bytes()).simple().to_string() }
    }

    /// True if it was written in Sigma.
    pub fn is_sigma(&self) -> bool {
        self.sql.is_none() && !self.is_watch()
    }

    /// The rule as a query over stored rows.
    ///
    /// # Errors
    /// If the rule is a Sigma rule or a watch; every SQL rule that loads has such a form.
    pub fn batch_query(&self) -> Result<BatchQuery, RuleError> {
        BatchQuery::of(self)
    }

    pub(crate) fn window(&self) -> Option<&Arc<WindowPlan>> {
        match &self.plan {
            RulePlan::Window(plan) => Some(plan),
            RulePlan::Filter(_) | RulePlan::Correlation(_) | RulePlan::Watch(_) => None,
        }
    }

    pub(crate) fn correlation(&self) -> Option<&Arc<CorrelationPlan>> {
        match &self.plan {
            RulePlan::Correlation(plan) => Some(plan),
            RulePlan::Filter(_) | RulePlan::Window(_) | RulePlan::Watch(_) => None,
        }
    }

    pub(crate) fn watch(&self) -> Option<&Arc<WatchPlan>> {
        if let RulePlan::Watch(plan) = &self.plan { Some(plan) } else { None }
    }

    fn build(file: RuleText<'_>) -> Result<Rule, RuleError> {
        let raw = file.parse()?;
        let uid = Uuid::parse_str(&raw.id)
            .map_err(|e| file.at_key("id", format!("id is not a UUID: {e}"), Some("uuidgen makes one".to_owned())))?;
        let attack = Attack::of(&raw.tags).map_err(|(tag, near)| {
            let (line, column) = file.place_within("tags", &tag);
            let what = format!("no ATT&CK tactic or technique {tag}");
            let suggestion = near.map(|n| format!("did you mean {n}?"));
            RuleError { file: file.name.to_owned(), line, column, what, suggestion }
        })?;
        let lateness = raw.allowed_lateness.as_deref().map_or(Some(0), scenario::duration_us);
        let lateness = lateness.ok_or_else(|| {
            file.at_key("allowed_lateness", "not a length of time", Some("write it as \"30s\" or \"5m\"".to_owned()))
        })?;
        if raw.evidence > EVIDENCE_MAX {
            return Err(file.at_key("evidence", format!("at most {EVIDENCE_MAX} rows of evidence"), None));
        }
        file.check_tests(&raw.tests)?;
        let (plan, tables, suppress_us) = plan_of(file, &raw, lateness)?;
        let uid = uid.to_string();
        let fingerprint = fingerprint(&uid, &raw, lateness);
        let stem = Path::new(file.name).file_stem().and_then(|s| s.to_str()).unwrap_or(file.name);
        let rule = Rule {
            uid,
            name: stem.to_owned(),
            title: raw.title,
            version: raw.version,
            level: raw.level,
            description: raw.description,
            false_positives: raw.falsepositives,
            tuning: raw.tuning,
            emit: raw.emit,
            allowed_lateness_us: lateness,
            suppress_us,
            evidence: raw.evidence,
            tables,
            file: file.name.to_owned(),
            sql: raw.sql,
            attack,
            fingerprint,
            plan,
            tests: raw.tests,
            exceptions: Exceptions::default(),
        };
        rule.check_tests(file)?;
        Ok(rule)
    }

    /// Refuses tests that set columns which no table has, or expect some that the rule does not select.
    fn check_tests(&self, file: RuleText<'_>) -> Result<(), RuleError> {
        let check = |test: &scenario::RawTest| test.check_columns(self).map_err(|fault| file.of_test(test, fault));
        self.tests.iter().try_for_each(check)
    }

    /// Names of the columns that it selects.
    pub(crate) fn selects(&self) -> Vec<&str> {
        let projection = match &self.plan {
            RulePlan::Filter(plans) => plans.first().map(|plan| &plan.projection),
            RulePlan::Window(plan) => Some(&plan.output.projection),
            RulePlan::Correlation(_) => return vec!["group", "value"],
            RulePlan::Watch(plan) => return plan.alert_columns().into_iter().map(|(name, _)| name).collect(),
        };
        projection.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
}

/// What the rule runs, its tables, and for how long an alert stands for others.
fn plan_of(file: RuleText<'_>, raw: &RawRule, lateness: i64) -> Result<(RulePlan, Vec<Table>, i64), RuleError> {
    let sql = match (&raw.sql, &raw.watch) {
        (Some(sql), None) => sql,
        (None, Some(watch)) => {
            return watch_plan(file, raw, watch).map(|plan| (RulePlan::Watch(plan.clone()), plan.tables(), 0));
        }
        (None, None) => return Err(file.missing("sql", (1, 1))),
        (Some(_), Some(_)) => {
            return Err(file.at_key(
                "watch",
                "a rule has sql or watch, not both",
                Some("write a rule for each".into()),
            ));
        }
    };
    let plan = plan(sql, raw.emit == Emit::OnThreshold).map_err(|e| {
        let (line, column) = file.of_sql(e.line, e.column);
        RuleError { file: file.name.to_owned(), line, column, what: e.what, suggestion: e.suggestion }
    })?;
    let tables = plan.tables();
    let plan = match plan {
        Plan::Filter(plan) => RulePlan::Filter(vec![plan]),
        Plan::Window(plan) => RulePlan::Window(Arc::new(plan)),
    };
    let suppress_us = suppress_us(file, raw, &plan, lateness)?;
    Ok((plan, tables, suppress_us))
}

fn watch_plan(file: RuleText<'_>, raw: &RawRule, watch: &RawWatch) -> Result<Arc<WatchPlan>, RuleError> {
    let without = [
        ("emit", raw.emit != Emit::default()),
        ("allowed_lateness", raw.allowed_lateness.is_some()),
        ("suppress", raw.suppress.is_some()),
    ];
    if let Some((key, _)) = without.iter().find(|(_, is)| *is) {
        let what = format!("{key} has no meaning for a watch: it alerts once, until all is as before");
        return Err(file.at_key(key, what, Some("leave it out".to_owned())));
    }
    WatchPlan::of(watch).map(Arc::new).map_err(|(word, what, example)| {
        let (line, column) = file.place_within("watch", &word);
        let suggestion = Some(format!("e.g. `watch: {{{example}}}`"));
        RuleError { file: file.name.to_owned(), line, column, what, suggestion }
    })
}

/// What is wrong, and how it would be right.
type Refused = (&'static str, &'static str);

fn may_suppress(plan: &RulePlan, lateness: i64) -> Result<(), Refused> {
    match plan {
        RulePlan::Filter(_) => {
            Err(("suppress needs a window: a row's alert knows of no other", "FROM TUMBLE(...), or leave it out"))
        }
        RulePlan::Window(plan) if plan.spec.is_session() && lateness > 0 => Err((
            "suppress: late rows may join sessions, and nothing is sure before",
            "leave out allowed_lateness, or use HOP",
        )),
        RulePlan::Window(_) => Ok(()),
        RulePlan::Correlation(_) => Err(("a correlation has a suppression of its own", "rsigma.suppress: 1h")),
        RulePlan::Watch(_) => Err(("a watch alerts once, until all is as before", "leave it out")),
    }
}

fn suppress_us(file: RuleText<'_>, raw: &RawRule, plan: &RulePlan, lateness: i64) -> Result<i64, RuleError> {
    let Some(suppress) = &raw.suppress else { return Ok(0) };
    let refused = |what: &str, way_out: &str| Err(file.at_key("suppress", what, Some(way_out.to_owned())));
    if let Err((what, way_out)) = may_suppress(plan, lateness) {
        return refused(what, way_out);
    }
    match scenario::duration_us(&suppress.length) {
        Some(us) if (1..=SUPPRESS_US_MAX).contains(&us) => Ok(us),
        Some(_) => refused("suppress takes a length above zero and up to 30d", "suppress: {for: 1h}"),
        None => refused("suppress.for is not a length of time", "suppress: {for: 1h}"),
    }
}

/// See [`Rule::fingerprint`].
fn fingerprint(uid: &str, raw: &RawRule, lateness: i64) -> String {
    let watch = raw.watch.as_ref().map(|watch| format!("{watch:?}"));
    let body = raw.sql.as_ref().or(watch.as_ref());
    let all = serde_json::json!([uid, raw.version, body, format!("{:?}", raw.emit), lateness, raw.evidence]);
    Uuid::new_v5(&NAMESPACE, all.to_string().as_bytes()).to_string()
}

#[cfg(test)]
mod messages;
#[cfg(test)]
mod tests;
