//! A Sigma rule as one of our rules: a filter, or a correlation.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::scenario::RawTest;
use super::{Attack, Emit, NAMESPACE, Rule, RulePlan};
use crate::error::RuleError;
use crate::exception::Exceptions;
use crate::sigma::{Body, SigmaRule};

/// Rows of evidence of each of the rules that a correlation refers to; a filter rule's alert is one row.
const EVIDENCE: usize = 10;

/// The rule, and line and column of its id.
///
/// # Errors
/// If its id is no UUID.
pub(super) fn build(sigma: SigmaRule, tests: Vec<RawTest>) -> Result<(Rule, (u64, u64)), RuleError> {
    let place = sigma.id.as_ref().map_or((1, 1), |(_, line, column)| (*line, *column));
    let uid = match &sigma.id {
        Some((id, line, column)) => Uuid::parse_str(id).map_err(|e| RuleError {
            file: sigma.file.clone(),
            line: *line,
            column: *column,
            what: format!("id is not a UUID: {e}"),
            suggestion: Some("uuidgen makes one".to_owned()),
        })?,
        // Without an id it is known by what it says.
        None => Uuid::new_v5(&NAMESPACE, format!("sigma {} {}", sigma.title, sigma.text).as_bytes()),
    };
    let uid = uid.to_string();
    let all = serde_json::json!([uid, sigma.version, sigma.text]);
    let stem = Path::new(&sigma.file).file_stem().and_then(|s| s.to_str()).unwrap_or(&sigma.file);
    let (tables, plan) = match sigma.body {
        Body::Filter(plans) => (plans.iter().map(|plan| plan.table).collect(), RulePlan::Filter(plans)),
        Body::Correlation(plan) => {
            let tables = plan.inputs.iter().map(|input| input.rows.table).collect();
            (tables, RulePlan::Correlation(Arc::new(plan)))
        }
    };
    let rule = Rule {
        name: stem.to_owned(),
        fingerprint: Uuid::new_v5(&NAMESPACE, all.to_string().as_bytes()).to_string(),
        attack: Attack::lenient(&sigma.tags),
        tables,
        evidence: if matches!(plan, RulePlan::Filter(_)) { 1 } else { EVIDENCE },
        plan,
        uid,
        title: sigma.title,
        version: sigma.version,
        level: sigma.level,
        description: sigma.description,
        false_positives: sigma.false_positives,
        tuning: String::new(),
        emit: Emit::OnClose,
        allowed_lateness_us: sigma.lateness_us,
        suppress_us: 0,
        file: sigma.file,
        sql: None,
        tests,
        exceptions: Exceptions::default(),
    };
    Ok((rule, place))
}
