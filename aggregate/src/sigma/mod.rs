//! Sigma rules (specification 2) -> the filter plans that SQL rules without a window have.
//!
//! **Data in:** a rule file's YAML, and the data files that say where Sigma's log sources and field names stand in our tables.
//! **Data out:** for each rule, one condition a table that its log source has rows in, and what its alerts show.
//!
//! ```text
//! YAML -> document (what is written, with places) -> compile (over a taxonomy and a table) -> predicate (a physical expression)
//! ```
//!
//! Invariants:
//! - What a rule says means what the specification says, or the rule is refused with its place and reason.
//! - Each answer is true or false: a field that is not there meets nothing, and `not` of it is true.
//! - A row is judged by its columns alone; how rows are batched changes nothing.
//!
//! Absent: correlations, placeholders (`expand`), look-around in regular expressions.

mod compile;
mod condition;
mod document;
mod encode;
mod field;
mod item;
mod json;
mod modifiers;
mod pattern;
mod predicate;
mod taxonomy;
mod time_part;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use dataflow::Table;
use dataflow::yaml::{self, Place};
use ipnet::IpNet;

use crate::error::RuleError;
use crate::leaves::Leaves;
use crate::rule::Level;
use crate::sql::{FilterPlan, Input, PhysicalRef};

use compile::Scope;
use document::{Document, Filters};
use predicate::{Node, Predicate, Shown};
use taxonomy::Reads;

/// What is wrong with a rule, and where in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    at: Place,
    what: String,
    suggestion: Option<String>,
}

impl Mistake {
    fn new(at: Place, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), suggestion: None }
    }

    fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    fn in_file(self, file: &str) -> RuleError {
        let Self { at, what, suggestion } = self;
        let (line, column) = (at.line.max(1) as u64, at.column.max(1) as u64);
        RuleError { file: file.to_owned(), line, column, what, suggestion }
    }
}

/// A Sigma rule that can run.
#[derive(Debug)]
pub(crate) struct SigmaRule {
    pub(crate) file: String,
    pub(crate) title: String,
    /// The id, or none; and where it stands.
    pub(crate) id: Option<(String, u64, u64)>,
    pub(crate) version: u32,
    pub(crate) level: Level,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) false_positives: Vec<String>,
    /// One a table.
    pub(crate) plans: Vec<FilterPlan>,
    /// All that decides what it finds.
    pub(crate) text: String,
}

/// True if the text is a Sigma file rather than one of our own rules.
pub(crate) fn is_sigma(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    !has("sql") && ["detection", "correlation", "filter", "logsource"].into_iter().any(has)
}

/// The rules of some Sigma files, with the filters among them applied, and what is wrong with the others.
pub(crate) fn load(files: &[(&str, &str)]) -> (Vec<SigmaRule>, Vec<RuleError>) {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match yaml::documents(text) {
            Err((at, what)) => {
                let what = what.split(" at char ").next().unwrap_or_default();
                errors.push(Mistake::new(at, what).suggest("is a quote or bracket not closed?").in_file(file));
            }
            Ok(nodes) => {
                for document in document::documents(nodes) {
                    match document {
                        Ok(document) => documents.push((*file, document)),
                        Err(mistake) => errors.push(mistake.in_file(file)),
                    }
                }
            }
        }
    }
    let (filters, rules): (Vec<_>, Vec<_>) = documents.into_iter().partition(|(_, d)| d.filters.is_some());
    errors.extend(aimless(&filters, &rules));
    let mut built = Vec::new();
    for (file, rule) in &rules {
        let own: Vec<_> = filters.iter().filter(|(_, filter)| is_for(filter, rule)).collect();
        match build(file, rule, &own) {
            Ok(rule) => built.push(rule),
            Err(error) => errors.push(error),
        }
    }
    (built, errors)
}

fn is_named(rule: &Document, name: &str) -> bool {
    rule.head.name.as_deref() == Some(name) || rule.head.id.as_ref().is_some_and(|(id, _)| id == name)
}

/// True if the filter is for the rule: it names it, or any rule of its log source.
fn is_for(filter: &Document, rule: &Document) -> bool {
    let (own, of) = (&filter.logsource, &rule.logsource);
    let fits = |own: &Option<String>, rule: &Option<String>| own.is_none() || own == rule;
    let same_source =
        fits(&own.product, &of.product) && fits(&own.category, &of.category) && fits(&own.service, &of.service);
    match &filter.filters {
        None => false,
        Some(Filters::Any) => same_source,
        Some(Filters::Rules(names)) => same_source && names.iter().any(|(name, _)| is_named(rule, name)),
    }
}

/// Filters that name rules which are not there.
fn aimless(filters: &[(&str, Document)], rules: &[(&str, Document)]) -> Vec<RuleError> {
    let mut errors = Vec::new();
    for (file, filter) in filters {
        let Some(Filters::Rules(names)) = &filter.filters else { continue };
        for (name, at) in names.iter().filter(|(name, _)| !rules.iter().any(|(_, rule)| is_named(rule, name))) {
            let mistake = Mistake::new(*at, format!("no rule {name} is loaded"));
            errors.push(mistake.suggest("name a rule by its id or name").in_file(file));
        }
    }
    errors
}

fn build(file: &str, rule: &Document, filters: &[&(&str, Document)]) -> Result<SigmaRule, RuleError> {
    let plans = plans(file, rule, filters)?;
    let head = &rule.head;
    let all: Vec<String> = filters.iter().map(|(_, filter)| filter.detection.said()).collect();
    let text = format!("{} {} {all:?} {:08x}", rule.logsource.said(), rule.detection.said(), taxonomy::print());
    Ok(SigmaRule {
        file: file.to_owned(),
        title: head.title.clone(),
        id: head.id.as_ref().map(|(id, at)| (id.clone(), at.line as u64, at.column as u64)),
        version: head.version,
        level: head.level,
        description: head.description.clone(),
        tags: head.tags.iter().map(|(tag, _)| tag.clone()).collect(),
        false_positives: head.false_positives.clone(),
        plans,
        text,
    })
}

/// The rule over each table of its log source.
fn plans(file: &str, rule: &Document, filters: &[&(&str, Document)]) -> Result<Vec<FilterPlan>, RuleError> {
    let taxonomies = taxonomy::of(&rule.logsource);
    if taxonomies.is_empty() {
        return Err(no_source(rule).in_file(file));
    }
    let mut by_table: BTreeMap<Table, (Reads, Vec<Node>, Vec<String>)> = BTreeMap::new();
    for taxonomy in taxonomies {
        for table in taxonomy.tables() {
            let (reads, nodes, fields) =
                by_table.entry(table).or_insert_with(|| (Reads::new(table), Vec::new(), Vec::new()));
            let mut scope = Scope { taxonomy, reads, fields: std::mem::take(fields) };
            let mut parts: Vec<Node> = scope.rows().into_iter().collect();
            parts.push(scope.detection(&rule.detection).map_err(|m| m.in_file(file))?);
            let shown = scope.fields.len();
            for (file, filter) in filters {
                let node = scope.detection(&filter.detection).map_err(|m| m.in_file(file))?;
                // A filter's condition says itself what it keeps: `not selection`.
                parts.push(node);
            }
            *fields = scope.fields;
            fields.truncate(shown);
            nodes.push(Node::All(parts));
        }
    }
    Ok(by_table.into_iter().map(|(table, parts)| plan(table, parts, rule)).collect())
}

fn no_source(rule: &Document) -> Mistake {
    let source = &rule.logsource;
    let mistake = Mistake::new(source.at, format!("no table holds the log source {{{}}}", source.said()));
    match taxonomy::near(source) {
        Some(near) => mistake.suggest(near),
        None => mistake.suggest("docs/sigma.md lists the log sources"),
    }
}

fn plan(table: Table, (mut reads, nodes, fields): (Reads, Vec<Node>, Vec<String>), rule: &Document) -> FilterPlan {
    let conditions: Vec<&str> = rule.detection.conditions.iter().map(|(text, _)| text.as_str()).collect();
    let text = format!("{} (sigma {} on {table})", conditions.join(" or "), rule.head.title);
    let predicate: PhysicalRef = Arc::new(Predicate { node: Node::any(nodes), text });
    let names = fields.iter().chain(rule.head.fields.iter().filter(|name| !fields.contains(name)));
    let taxonomies = taxonomy::of(&rule.logsource);
    let mut field = |name: &String| taxonomies.iter().find_map(|t| t.field(name, &mut reads).ok());
    let fields: Vec<_> = names.filter_map(|name| Some((name.clone(), field(name)?))).collect();
    let shown = fields.into_iter().map(|(name, field)| (name, Arc::new(Shown { field }) as PhysicalRef));
    let projection = shown.collect();
    let schema = Leaves::of(table).schema();
    let columns: Vec<FieldRef> = reads.used.iter().map(|&leaf| schema.fields()[leaf].clone()).collect();
    let input = Input { leaves: reads.used, schema: Arc::new(Schema::new(columns)) };
    FilterPlan { table, input, predicate, projection }
}

/// Where a field that an alert of a Sigma rule shows stands among the rule's columns; none for any other expression.
pub(crate) fn places(shown: &PhysicalRef, input: &Input) -> Option<Vec<String>> {
    let shown = shown.as_any().downcast_ref::<Shown>()?;
    Some(shown.field.sources.iter().map(|source| source.said(&input.schema)).collect())
}

/// A network, or one address.
fn cidr_of(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests;
