//! Sigma rules (specification 2) -> the filter plans that SQL rules without a window have.
//!
//! **Data in:** a rule file's YAML, and the data files that say where Sigma's log sources and field names stand in our tables.
//! **Data out:** for each rule, one condition a table that its log source has rows in, and what its alerts show; for each correlation,
//! such conditions for the rules it refers to, and what is asked of the rows that meet them.
//!
//! ```text
//! YAML -> document (what is written, with places) -> placeholders (their values) -> compile (over a taxonomy and a table) -> predicate (a physical expression)
//! ```
//!
//! Invariants:
//! - What a rule says means what the specification says, or the rule is refused with its place and reason.
//! - Each answer is true or false: a field that is not there meets nothing, and `not` of it is true.
//! - A row is judged by its columns alone; how rows are batched changes nothing.
//!
//! Absent: look-around in regular expressions.

mod compile;
mod condition;
mod correlate;
mod correlation_document;
mod document;
mod encode;
mod field;
mod item;
pub(crate) mod json;
mod modifiers;
mod pattern;
mod placeholders;
mod predicate;
mod taxonomy;
mod time_part;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema};
use dataflow::Table;
use dataflow::yaml::{self, Place};
use ipnet::IpNet;

use crate::correlation::CorrelationPlan;
use crate::error::RuleError;
use crate::leaves::Leaves;
use crate::rule::Level;
use crate::sql::{FilterPlan, Input, PhysicalRef};

use compile::Scope;
use correlate::{Library, Target};
use correlation_document::CorrelationDocument;
use document::{Document, Filters, Head, Read};
use placeholders::Placeholder;
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
    pub(crate) body: Body,
    /// How long after the watermark a correlation takes late rows.
    pub(crate) lateness_us: i64,
    /// All that decides what it finds.
    pub(crate) text: String,
}

/// What runs.
#[derive(Debug)]
pub(crate) enum Body {
    /// One a table.
    Filter(Vec<FilterPlan>),
    Correlation(CorrelationPlan),
}

/// True if the text is a Sigma file rather than one of our own rules.
pub(crate) fn is_sigma(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    !has("sql") && ["detection", "correlation", "filter", "logsource", "placeholders"].into_iter().any(has)
}

/// The rules of some Sigma files, with the filters among them applied, and what is wrong with the others. What only serves correlations is
/// checked, and is none of the rules.
pub(crate) fn load(files: &[(&str, &str)]) -> (Vec<SigmaRule>, Vec<RuleError>) {
    let Loaded { mut rules, mut filters, correlations, placeholders, mut errors } = read(files);
    for (_, document) in rules.iter_mut().chain(&mut filters) {
        document.unfilled = placeholders::fill(&mut document.detection, &placeholders).err();
    }
    errors.extend(aimless(&filters, &rules));
    let library = Library { rules: &rules, filters: &filters, correlations: &correlations };
    let silent = library.silent();
    let own = rules.iter().enumerate().map(|(number, (file, rule))| {
        let filters: Vec<_> = filters.iter().filter(|(_, filter)| is_for(filter, rule)).collect();
        (Target::Rule(number), build(file, rule, &filters))
    });
    let above = (0..correlations.len()).map(|number| (Target::Correlation(number), correlation(&library, number)));
    let mut built = Vec::new();
    for (target, rule) in own.chain(above) {
        match rule {
            Ok(rule) if !silent.contains(&target) => built.push(rule),
            Ok(_) => {}
            // A rule's mistake is told once, not for each correlation that refers to it.
            Err(error) if errors.contains(&error) => {}
            Err(error) => errors.push(error),
        }
    }
    (built, errors)
}

/// What stands in some files, each with the file's name.
#[derive(Default)]
struct Loaded<'a> {
    rules: Vec<(&'a str, Document)>,
    filters: Vec<(&'a str, Document)>,
    correlations: Vec<(&'a str, CorrelationDocument)>,
    placeholders: Vec<Placeholder>,
    errors: Vec<RuleError>,
}

fn read<'a>(files: &[(&'a str, &str)]) -> Loaded<'a> {
    let mut all = Loaded::default();
    for (file, text) in files {
        let documents = match yaml::documents(text) {
            Ok(nodes) => document::documents(nodes),
            Err((at, what)) => {
                let what = what.split(" at char ").next().unwrap_or_default();
                vec![Err(Mistake::new(at, what).suggest("is a quote or bracket not closed?"))]
            }
        };
        for document in documents {
            match document {
                Ok(Read::Rule(filter)) if filter.filters.is_some() => all.filters.push((file, filter)),
                Ok(Read::Rule(rule)) => all.rules.push((file, rule)),
                Ok(Read::Correlation(correlation)) => all.correlations.push((file, correlation)),
                Ok(Read::Placeholders(own)) => own.into_iter().for_each(|placeholder| all.define(file, placeholder)),
                Err(mistake) => all.errors.push(mistake.in_file(file)),
            }
        }
    }
    all
}

impl Loaded<'_> {
    fn define(&mut self, file: &str, placeholder: Placeholder) {
        if self.placeholders.iter().any(|known| known.name == placeholder.name) {
            let mistake = Mistake::new(placeholder.at, format!("the placeholder {} is said twice", placeholder.name));
            self.errors.push(mistake.suggest("name all values in one place").in_file(file));
        } else {
            self.placeholders.push(placeholder);
        }
    }
}

fn is_named(head: &Head, name: &str) -> bool {
    head.name.as_deref() == Some(name) || head.id.as_ref().is_some_and(|(id, _)| id == name)
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
        Some(Filters::Rules(names)) => same_source && names.iter().any(|(name, _)| is_named(&rule.head, name)),
    }
}

/// Filters that name rules which are not there.
fn aimless(filters: &[(&str, Document)], rules: &[(&str, Document)]) -> Vec<RuleError> {
    let mut errors = Vec::new();
    for (file, filter) in filters {
        let Some(Filters::Rules(names)) = &filter.filters else { continue };
        for (name, at) in names.iter().filter(|(name, _)| !rules.iter().any(|(_, rule)| is_named(&rule.head, name))) {
            let mistake = Mistake::new(*at, format!("no rule {name} is loaded"));
            errors.push(mistake.suggest("name a rule by its id or name").in_file(file));
        }
    }
    errors
}

fn build(file: &str, rule: &Document, filters: &[&(&str, Document)]) -> Result<SigmaRule, RuleError> {
    let plans = plans(file, rule, filters, None)?;
    let all: Vec<String> = filters.iter().map(|(_, filter)| filter.detection.said()).collect();
    let text = format!("{} {} {all:?} {:08x}", rule.logsource.said(), rule.detection.said(), taxonomy::print());
    Ok(SigmaRule::new(file, &rule.head, Body::Filter(plans), 0, text))
}

fn correlation(library: &Library<'_>, number: usize) -> Result<SigmaRule, RuleError> {
    let (file, document) = &library.correlations[number];
    let (plan, said) = correlate::build(library, number)?;
    let text = format!("{said} {:08x}", taxonomy::print());
    Ok(SigmaRule::new(file, &document.head, Body::Correlation(plan), document.lateness_us, text))
}

impl SigmaRule {
    fn new(file: &str, head: &Head, body: Body, lateness_us: i64, text: String) -> Self {
        Self {
            file: file.to_owned(),
            title: head.title.clone(),
            id: head.id.as_ref().map(|(id, at)| (id.clone(), at.line as u64, at.column as u64)),
            version: head.version,
            level: head.level,
            description: head.description.clone(),
            tags: head.tags.iter().map(|(tag, _)| tag.clone()).collect(),
            false_positives: head.false_positives.clone(),
            body,
            lateness_us,
            text,
        }
    }
}

/// The rule over each table of its log source. It selects these fields, where the table has them; without any, those that its alerts show.
fn plans(
    file: &str,
    rule: &Document,
    filters: &[&(&str, Document)],
    selected: Option<&[String]>,
) -> Result<Vec<FilterPlan>, RuleError> {
    let taxonomies = taxonomy::of(&rule.logsource);
    if taxonomies.is_empty() {
        return Err(no_source(rule).in_file(file));
    }
    let unfilled = |file: &str, document: &Document| document.unfilled.clone().map(|mistake| mistake.in_file(file));
    let filters_unfilled = filters.iter().find_map(|(file, filter)| unfilled(file, filter));
    if let Some(error) = unfilled(file, rule).or(filters_unfilled) {
        return Err(error);
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
    Ok(by_table.into_iter().map(|(table, parts)| plan(table, parts, rule, selected)).collect())
}

fn no_source(rule: &Document) -> Mistake {
    let source = &rule.logsource;
    let mistake = Mistake::new(source.at, format!("no table holds the log source {{{}}}", source.said()));
    match taxonomy::near(source) {
        Some(near) => mistake.suggest(near),
        None => mistake.suggest("docs/sigma.md lists the log sources"),
    }
}

fn plan(
    table: Table,
    (mut reads, nodes, fields): (Reads, Vec<Node>, Vec<String>),
    rule: &Document,
    selected: Option<&[String]>,
) -> FilterPlan {
    let conditions: Vec<&str> = rule.detection.conditions.iter().map(|(text, _)| text.as_str()).collect();
    let text = format!("{} (sigma {} on {table})", conditions.join(" or "), rule.head.title);
    let predicate: PhysicalRef = Arc::new(Predicate { node: Node::any(nodes), text });
    let shown = fields.iter().chain(rule.head.fields.iter().filter(|name| !fields.contains(name)));
    let names: Vec<&String> = selected.map_or_else(|| shown.collect(), |names| names.iter().collect());
    let taxonomies = taxonomy::of(&rule.logsource);
    let mut field = |name: &String| taxonomies.iter().find_map(|t| t.field(name, &mut reads).ok());
    let fields: Vec<_> = names.into_iter().filter_map(|name| Some((name.clone(), field(name)?))).collect();
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
mod correlation_tests;
#[cfg(test)]
mod tests;
