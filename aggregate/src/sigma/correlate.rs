//! A correlation as it is written, and the rules it refers to -> the plan that runs it.
//!
//! Correlations of correlations become one plan: each reference to a correlation is a copy of it below. A field of a correlation's key or
//! value is followed down, through the aliases on the way, to the field of the rows that it is made of.

use std::collections::BTreeMap;

use dataflow::Table;
use dataflow::schema::Place as Filled;
use dataflow::yaml::Place;

use super::condition::{self, Condition as Parsed};
use super::correlation_document::{Asked, CorrelationDocument};
use super::document::{Document, Head};
use super::taxonomy::{self, Reads};
use super::{Mistake, is_for, is_named, places, plans};
use crate::correlation::{Compare, Condition, CorrelationPlan, HitInput, Logic, Node, Step};
use crate::error::RuleError;
use crate::sql::{FilterPlan, nearest};

/// How deep correlations refer to correlations.
const DEPTH_MAX: usize = 8;
/// Correlations and rules of one plan.
const PARTS_MAX: usize = 256;

/// The plain columns of alerts that a key's field may be.
const HOT: [&str; 3] = ["src_ip", "dst_ip", "user_name"];

/// Everything that is loaded, by files.
#[derive(Debug)]
pub(super) struct Library<'a> {
    pub(super) rules: &'a [(&'a str, Document)],
    pub(super) filters: &'a [(&'a str, Document)],
    pub(super) correlations: &'a [(&'a str, CorrelationDocument)],
}

/// What a reference names: the rule or correlation of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Rule(usize),
    Correlation(usize),
}

impl Library<'_> {
    /// What a name or id in a file means: what is in the same file comes first.
    pub(super) fn find(&self, file: &str, name: &str, at: Place) -> Result<Target, Mistake> {
        let is_of = |head: &Head| is_named(head, name);
        let rules = self.rules.iter().enumerate().filter(|(_, (_, rule))| is_of(&rule.head));
        let rules = rules.map(|(i, (own, _))| (*own == file, Target::Rule(i)));
        let others = self.correlations.iter().enumerate().filter(|(_, (_, other))| is_of(&other.head));
        let others = others.map(|(i, (own, _))| (*own == file, Target::Correlation(i)));
        let all: Vec<(bool, Target)> = rules.chain(others).collect();
        let near: Vec<Target> = all.iter().filter(|(is_near, _)| *is_near).map(|(_, target)| *target).collect();
        match (&near[..], &all[..]) {
            ([one], _) | ([], [(_, one)]) => Ok(*one),
            ([], []) => Err(self.unknown(name, at)),
            _ => Err(Mistake::new(at, format!("several rules are named {name}")).suggest("refer to it by its id")),
        }
    }

    fn unknown(&self, name: &str, at: Place) -> Mistake {
        let heads = self.rules.iter().map(|(_, rule)| &rule.head);
        let heads: Vec<_> = heads.chain(self.correlations.iter().map(|(_, other)| &other.head)).collect();
        let names = heads.iter().filter_map(|head| head.name.as_deref());
        let mistake = Mistake::new(at, format!("no rule {name} is loaded"));
        match nearest(name, names) {
            Some(near) => mistake.suggest(format!("did you mean {near}?")),
            None => mistake.suggest("give the rule a name, or load its file, too"),
        }
    }

    /// The rules and correlations that only serve correlations, and so do not alert themselves.
    pub(super) fn silent(&self) -> Vec<Target> {
        let (mut silent, mut loud) = (Vec::new(), Vec::new());
        for (file, correlation) in self.correlations {
            for (name, at) in &correlation.rules {
                let into = if correlation.generate { &mut loud } else { &mut silent };
                into.extend(self.find(file, name, *at));
            }
        }
        silent.retain(|target| !loud.contains(target));
        silent
    }
}

/// The plan of the correlation of that number, and all that decides what it finds.
///
/// # Errors
/// What it refers to that is not there, or has no such field.
pub(super) fn build(library: &Library<'_>, number: usize) -> Result<(CorrelationPlan, String), RuleError> {
    let plan = CorrelationPlan { inputs: Vec::new(), nodes: Vec::new(), routes: Vec::new(), hot: Vec::new() };
    let mut build = Build { library, plan, said: String::new(), common: None };
    build.correlation(number, None, &mut Vec::new())?;
    let Build { mut plan, said, common, .. } = build;
    plan.routes = common.unwrap_or_default();
    plan.hot = hot(&plan);
    Ok((plan, said))
}

struct Build<'a> {
    library: &'a Library<'a>,
    plan: CorrelationPlan,
    said: String,
    /// Fields of the rule's own key that all rows' correlations group by; none before the first row.
    common: Option<Vec<usize>>,
}

/// A correlation on the way down, and which of its rules the way goes on with.
type Path = Vec<(usize, usize)>;

impl<'a> Build<'a> {
    fn of(&self, number: usize) -> (&'a str, &'a CorrelationDocument) {
        let (file, document) = &self.library.correlations[number];
        (file, document)
    }

    fn correlation(&mut self, number: usize, then: Option<(usize, usize)>, path: &mut Path) -> Result<(), RuleError> {
        let (file, document) = self.of(number);
        let refused = |mistake: Mistake| mistake.in_file(file);
        let at = document.rules.first().map(|(_, at)| *at).unwrap_or_default();
        if path.iter().any(|(above, _)| *above == number) {
            let mistake = Mistake::new(at, "the correlation refers to itself, by way of others");
            return Err(refused(mistake.suggest("one of them has to begin with rules")));
        }
        if path.len() >= DEPTH_MAX || self.plan.nodes.len() + self.plan.inputs.len() > PARTS_MAX {
            return Err(refused(Mistake::new(
                at,
                format!("more than {DEPTH_MAX} correlations deep, or {PARTS_MAX} in all"),
            )));
        }
        let own = self.plan.nodes.len();
        self.plan.nodes.push(node(document, then).map_err(refused)?);
        self.said += &format!("{};", document.said);
        for (reference, (name, at)) in document.rules.iter().enumerate() {
            path.push((number, reference));
            match self.library.find(file, name, *at).map_err(refused)? {
                Target::Correlation(below) => {
                    self.is_steady(below, document, *at).map_err(refused)?;
                    self.correlation(below, Some((own, reference)), path)?;
                }
                Target::Rule(rule) => self.rule(rule, (own, reference), path)?,
            }
            path.pop();
        }
        Ok(())
    }

    /// What a correlation below has found is a hit above: it cannot be taken back.
    fn is_steady(&self, below: usize, above: &CorrelationDocument, at: Place) -> Result<(), Mistake> {
        let (_, below) = self.of(below);
        if above.lateness_us == 0 && below.lateness_us == 0 {
            return Ok(());
        }
        let mistake = Mistake::new(at, "correlations of correlations have no allowed_lateness");
        Err(mistake.suggest("leave it out: late rows are counted and kept"))
    }

    /// A rule at the end of the way.
    fn rule(&mut self, number: usize, (node, reference): (usize, usize), path: &Path) -> Result<(), RuleError> {
        let (file, rule) = &self.library.rules[number];
        let filters = self.library.filters.iter().filter(|(_, filter)| is_for(filter, rule)).collect::<Vec<_>>();
        let mut steps = Vec::new();
        for depth in (0..path.len()).rev() {
            steps.push(self.names(&path[depth..], rule).map_err(|m| m.in_file(self.of(path[depth].0).0))?);
        }
        let all = || steps.iter().flat_map(|(key, value)| key.iter().chain(value));
        let mut names: Vec<String> = Vec::new();
        all().for_each(|(name, ..)| {
            if !names.contains(name) {
                names.push(name.clone())
            }
        });
        let plans = plans(file, rule, &filters, Some(&names))?;
        for (name, at, of) in all() {
            if !plans.iter().any(|plan| column(plan, name).is_some()) {
                return Err(no_field(rule, name, *at).in_file(self.of(*of).0));
            }
        }
        let columns = |plan: &FilterPlan, names: &[Name]| names.iter().map(|(name, ..)| column(plan, name)).collect();
        for rows in plans {
            let step =
                |(key, value): &(Vec<Name>, Vec<Name>)| Step { key: columns(&rows, key), value: columns(&rows, value) };
            let steps = steps.iter().map(step).collect();
            self.plan.inputs.push(HitInput { rows, node, reference, steps });
        }
        self.keep_common(path, rule);
        let filters: Vec<String> = filters.iter().map(|(_, filter)| filter.detection.said()).collect();
        self.said += &format!("{} {} {filters:?};", rule.logsource.said(), rule.detection.said());
        Ok(())
    }

    /// The rows' fields that the key and value of the path's first correlation are made of.
    fn names(&self, path: &[(usize, usize)], rule: &Document) -> Result<(Vec<Name>, Vec<Name>), Mistake> {
        let (_, first) = self.of(path[0].0);
        let field = |(name, at): &(String, Place)| {
            let below = self.down(path, name, *at, rule)?;
            Ok((below.last().cloned().unwrap_or_else(|| name.clone()), *at, path[0].0))
        };
        let all = |fields: &[(String, Place)]| fields.iter().map(field).collect::<Result<Vec<_>, Mistake>>();
        let values = if first.kind.has_value() { all(&first.fields)? } else { Vec::new() };
        Ok((all(&first.group_by)?, values))
    }

    /// What a field of the path's first correlation is called in what it refers to, and so on, down to the rows.
    fn down(&self, path: &[(usize, usize)], name: &str, at: Place, rule: &Document) -> Result<Vec<String>, Mistake> {
        let mut names: Vec<String> = Vec::new();
        for (i, (number, reference)) in path.iter().enumerate() {
            let (file, document) = self.of(*number);
            let name = names.last().map_or(name, String::as_str);
            let Some(alias) = document.aliases.iter().find(|alias| alias.name == name) else {
                names.push(name.to_owned());
                continue;
            };
            let (reference, _) = &document.rules[*reference];
            let head = path.get(i + 1).map_or(&rule.head, |(below, _)| &self.of(*below).1.head);
            let field = alias.fields.iter().find(|(of, ..)| of == reference || is_named(head, of));
            let (_, _, field) = field.ok_or_else(|| {
                let at = if i == 0 { alias.at } else { at };
                let mistake = Mistake::new(at, format!("the alias {name} names no field of {reference}"));
                mistake.suggest(format!("{name}: {{{reference}: a field's name}} in the correlation of {file}"))
            })?;
            names.push(field.clone());
        }
        Ok(names)
    }

    /// Leaves of the rule's own key those fields that every correlation on the way groups by.
    fn keep_common(&mut self, path: &Path, rule: &Document) {
        let Some((root, _)) = path.first() else { return };
        let (_, root) = self.of(*root);
        let is_grouped = |name: &String, number: usize| self.of(number).1.group_by.iter().any(|(own, _)| own == name);
        let is_common = |(name, at): &(String, Place)| {
            let names = self.down(path, name, *at, rule).unwrap_or_default();
            names.iter().zip(&path[1..]).all(|(name, (below, _))| is_grouped(name, *below))
        };
        let common: Vec<usize> = (0..root.group_by.len()).filter(|i| is_common(&root.group_by[*i])).collect();
        match &mut self.common {
            Some(known) => known.retain(|field| common.contains(field)),
            none => *none = Some(common),
        }
    }
}

/// A field of rows; where it is asked for, and by which correlation.
type Name = (String, Place, usize);

/// For each field of the rule's own key, the plain column that it fills in a table of each rule; what other tables have instead is
/// what the vendor calls so, too.
fn hot(plan: &CorrelationPlan) -> Vec<Option<&'static str>> {
    let fields = plan.nodes.first().map_or(0, |root| root.group.len());
    let one = |field: usize| {
        let mut rules: BTreeMap<(usize, usize), Option<&'static str>> = BTreeMap::new();
        for input in &plan.inputs {
            let rule = rules.entry((input.node, input.reference)).or_default();
            *rule = rule.or_else(|| filled(&input.rows, (*input.steps.last()?.key.get(field)?)?));
        }
        let mut all = rules.into_values();
        let first = all.next()??;
        all.all(|column| column == Some(first)).then_some(first)
    };
    (0..fields).map(one).collect()
}

/// The plain column that a field of rows fills.
fn filled(rows: &FilterPlan, field: usize) -> Option<&'static str> {
    let places = places(&rows.projection.get(field)?.1, &rows.input)?;
    let leaves = &rows.table.layout().leaves;
    HOT.into_iter().find(|column| {
        let leaf = rows.table.leaf(column).map(|leaf| &leaves[leaf.index()]);
        let same = leaf.and_then(|leaf| if let Filled::SameAs(same) = leaf.place { Some(same) } else { None });
        places.iter().any(|place| place == column || same.is_some_and(|same| leaves[same.index()].path == *place))
    })
}

fn column(plan: &FilterPlan, name: &str) -> Option<usize> {
    plan.projection.iter().position(|(own, _)| own == name)
}

fn no_field(rule: &Document, name: &str, at: Place) -> Mistake {
    let tables = |t: &'static taxonomy::Taxonomy| t.tables().map(move |table: Table| (t, table));
    let mut near = taxonomy::of(&rule.logsource).into_iter().flat_map(tables);
    let near = near.find_map(|(t, table)| t.field(name, &mut Reads::new(table)).err().flatten());
    let mistake = Mistake::new(at, format!("no field {name} in the rows of {}", rule.head.title));
    match near {
        Some(near) => mistake.suggest(format!("did you mean {near}?")),
        None => mistake.suggest("aliases say what a field is called in each rule"),
    }
}

fn node(document: &CorrelationDocument, then: Option<(usize, usize)>) -> Result<Node, Mistake> {
    let group: Vec<String> = document.group_by.iter().map(|(name, _)| name.clone()).collect();
    Ok(Node {
        kind: document.kind,
        span_us: document.span_us,
        group,
        references: document.rules.len(),
        condition: asked(document)?,
        then,
        is_reset: document.is_reset,
        suppress_us: document.suppress_us,
    })
}

fn asked(document: &CorrelationDocument) -> Result<Condition, Mistake> {
    Ok(match &document.condition {
        Asked::Bounds(bounds) => Condition::Bounds(bounds.clone()),
        Asked::All => Condition::Bounds(vec![(Compare::Gte, document.rules.len() as f64)]),
        Asked::Logic(text, at) => {
            let names: Vec<&str> = document.rules.iter().map(|(name, _)| name.as_str()).collect();
            Condition::Logic(logic(condition::parse_over(text, *at, &names, ("correlation", "rule", "rules"))?))
        }
    })
}

fn logic(parsed: Parsed) -> Logic {
    match parsed {
        Parsed::All(parts) => Logic::All(parts.into_iter().map(logic).collect()),
        Parsed::Any(parts) => Logic::Any(parts.into_iter().map(logic).collect()),
        Parsed::Not(inner) => Logic::Not(Box::new(logic(*inner))),
        Parsed::Search(number) => Logic::Rule(number),
    }
}
