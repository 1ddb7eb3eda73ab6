//! Mapping files -> plans: documents, templates, and every mistake with its place.

use std::collections::{HashMap, HashSet};

use super::compile::compile;
use super::error::{MappingError, Mistake};
use super::plan::Plan;
use super::tests_of::Case;
use super::yaml::{self, Entry, Node, Yaml};

/// A mapping, and the tests that its file has for it.
pub(super) type Loaded = (Plan, Vec<Case>);

/// What the files before one have.
#[derive(Debug, Default)]
pub(super) struct Before {
    templates: Templates,
    names: HashSet<&'static str>,
}

type Templates = HashMap<String, Node>;

impl Before {
    /// What comes is of another origin: its mappings may have the names of those before, and take their place.
    pub(super) fn begin_origin(&mut self) {
        self.names.clear();
    }
}

/// Reads a file's documents; templates may be of the files before it.
pub(super) fn load(file: &str, text: &str, before: &mut Before) -> Result<Vec<Loaded>, Vec<MappingError>> {
    let of_file = |mistake: Mistake| mistake.of_file(file);
    let documents = yaml::documents(text).map_err(|(at, what)| vec![Mistake::new(at, what).of_file(file)])?;
    let (mut loaded, mut errors) = (Vec::new(), Vec::new());
    // After a last `---` stands an empty document.
    for node in documents.into_iter().filter(|node| !matches!(node.scalar(), Some("" | "~"))) {
        if let Some(name) = node.get("template").and_then(|e| e.value.scalar()) {
            before.templates.insert(name.to_owned(), node.clone());
            continue;
        }
        match document(&node, file, &before.templates) {
            Ok((plan, _)) if !before.names.insert(plan.name) => errors.push(of_file(name_again(&node, plan.name))),
            Ok(found) => loaded.push(found),
            Err(mistakes) => errors.extend(mistakes.into_iter().map(of_file)),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn name_again(node: &Node, name: &str) -> Mistake {
    let at = node.get("name").map_or(node.at, |entry| entry.value.at);
    Mistake::new(at, format!("{name} is the name of another mapping"))
}

fn document(node: &Node, file: &str, templates: &Templates) -> Result<Loaded, Vec<Mistake>> {
    let one = |mistake| vec![mistake];
    if node.entries().is_none() {
        return Err(one(Mistake::new(node.at, "a mapping is a map of keys")));
    }
    let whole = merged(node, templates, 0).map_err(one)?;
    let plan = compile(&whole)?;
    let cases = Case::read(node, file, plan.name).map_err(one)?;
    Ok((plan, cases))
}

/// Templates within each other.
const TEMPLATES_MAX: usize = 8;

/// The document over the templates that it uses: its keys win, and the entries of its maps, then those of earlier templates.
fn merged(node: &Node, templates: &Templates, depth: usize) -> Result<Node, Mistake> {
    let mut whole = node.clone();
    let mut base: Option<Node> = None;
    for name in node.get("use").map(|entry| entry.value.each()).unwrap_or_default() {
        let template = merged(named(name, templates, depth)?, templates, depth + 1)?;
        match &mut base {
            Some(base) => overlay(base, &template),
            None => base = Some(template),
        }
    }
    if let Some(base) = base {
        overlay(&mut whole, &base);
    }
    Ok(whole)
}

fn named<'t>(node: &Node, templates: &'t Templates, depth: usize) -> Result<&'t Node, Mistake> {
    let name = super::attribute::text(node)?;
    templates.get(name).filter(|_| depth < TEMPLATES_MAX).ok_or_else(|| {
        Mistake::new(node.at, format!("no template {name}")).near(name, templates.keys().map(String::as_str))
    })
}

fn overlay(over: &mut Node, under: &Node) {
    let (Yaml::Map(own), Yaml::Map(base)) = (&mut over.value, &under.value) else { return };
    for entry in base.iter().filter(|e| !["template", "tests"].contains(&e.key.as_str())) {
        match own.iter_mut().find(|e| e.key == entry.key) {
            Some(known) if ["attributes", "match"].contains(&entry.key.as_str()) => extend(known, entry),
            Some(known) => complete(known, entry),
            None => own.push(entry.clone()),
        }
    }
}

/// What an attribute that names another field keeps of the template's.
const KEPT: [&str; 5] = ["values", "else", "unit", "zone", "format"];

/// An attribute with a `from:` of its own is read as the template reads it, where it does not say otherwise.
fn complete(known: &mut Entry, base: &Entry) {
    let (Yaml::Map(own), Yaml::Map(base)) = (&mut known.value.value, &base.value.value) else { return };
    if own.iter().any(|e| e.key == "from") {
        let is_new = |e: &&Entry| KEPT.contains(&e.key.as_str()) && !own.iter().any(|o| o.key == e.key);
        let further: Vec<Entry> = base.iter().filter(is_new).cloned().collect();
        own.extend(further);
    }
}

/// Adds the entries that are not there yet; `-` takes one away.
fn extend(known: &mut Entry, base: &Entry) {
    let (Yaml::Map(own), Yaml::Map(base)) = (&mut known.value.value, &base.value.value) else { return };
    for entry in base {
        match own.iter_mut().find(|e| e.key == entry.key) {
            Some(known) => complete(known, entry),
            None => own.push(entry.clone()),
        }
    }
    own.retain(|e| e.value.scalar() != Some("-"));
}
