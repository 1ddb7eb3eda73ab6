//! `expand`: the placeholders in a rule's values -> what a document `placeholders:` says they stand for.
//!
//! **Data in:** what a rule or filter says, and the placeholders of all files that are loaded with it.
//! **Data out:** the same, with a value for each thing that a placeholder stands for; of several in one text, for each combination.
//!
//! Invariant: a rule with a placeholder that stands for nothing is refused, never run as it is written.

use dataflow::yaml::{Entry, Node, Place};

use super::Mistake;
use super::document::{Detection, Line, Search, Value, text};
use crate::sql::nearest;

/// What one value may become.
const VALUES_MAX: usize = 10_000;

/// A name, and what it stands for.
#[derive(Debug)]
pub(super) struct Placeholder {
    pub(super) name: String,
    pub(super) at: Place,
    values: Vec<String>,
}

/// Reads the entry `placeholders` of a document.
///
/// # Errors
/// If it is no map of names and values.
pub(super) fn read(entry: &Entry) -> Result<Vec<Placeholder>, Mistake> {
    let mistake =
        || Mistake::new(entry.value.at, "placeholders are a map").suggest("placeholders: {admins: [ann, bob]}");
    entry.value.entries().ok_or_else(mistake)?.iter().map(placeholder).collect()
}

fn placeholder(entry: &Entry) -> Result<Placeholder, Mistake> {
    let values = entry.value.each().iter().map(|node| Ok(text(node, "a value")?.to_owned()));
    let values = values.collect::<Result<Vec<_>, Mistake>>()?;
    let is_nothing = |node: &Node| !node.is_quoted && matches!(node.scalar(), Some("" | "~" | "null"));
    if entry.value.each().iter().all(is_nothing) {
        let mistake = Mistake::new(entry.at, format!("the placeholder {} stands for nothing", entry.key));
        return Err(mistake.suggest(format!("{}: [a value, another]", entry.key)));
    }
    Ok(Placeholder { name: entry.key.clone(), at: entry.at, values })
}

/// Puts values in the place of placeholders, in lines that say `expand`.
///
/// # Errors
/// If nothing says what one of them stands for, or they are too many.
pub(super) fn fill(detection: &mut Detection, known: &[Placeholder]) -> Result<(), Mistake> {
    detection.searches.iter_mut().try_for_each(|(_, search)| fill_search(search, known))
}

fn fill_search(search: &mut Search, known: &[Placeholder]) -> Result<(), Mistake> {
    match search {
        Search::All(lines) => {
            let is_meant = |line: &&mut Line| line.key.split('|').skip(1).any(|modifier| modifier == "expand");
            lines.iter_mut().filter(is_meant).try_for_each(|line| fill_line(line, known))
        }
        Search::Any(searches) => searches.iter_mut().try_for_each(|search| fill_search(search, known)),
        Search::Keyword(..) => Ok(()),
    }
}

fn fill_line(line: &mut Line, known: &[Placeholder]) -> Result<(), Mistake> {
    let mut filled = Vec::with_capacity(line.values.len());
    for (value, at) in &line.values {
        match value {
            Value::Text(text) => {
                filled.extend(texts(text, *at, known)?.into_iter().map(|text| (Value::Text(text), *at)));
            }
            other => filled.push((other.clone(), *at)),
        }
    }
    line.values = filled;
    Ok(())
}

/// All texts that a text stands for.
fn texts(text: &str, at: Place, known: &[Placeholder]) -> Result<Vec<String>, Mistake> {
    let mut all = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let name = after.split_once('%').filter(|(name, _)| is_name(name));
        rest = match (before.strip_suffix('\\'), name) {
            (None, Some((name, left))) => {
                let placeholder = known.iter().find(|own| own.name == name).ok_or_else(|| unknown(name, at, known))?;
                if all.len() * placeholder.values.len() > VALUES_MAX {
                    return Err(Mistake::new(at, format!("placeholders for more than {VALUES_MAX} values")));
                }
                let joined = |text: &String| {
                    let text = format!("{text}{before}");
                    placeholder.values.iter().map(move |value| format!("{text}{value}"))
                };
                all = all.iter().flat_map(joined).collect();
                left
            }
            // A sign that is meant itself.
            (plain, _) => {
                all.iter_mut().for_each(|text| *text += &format!("{}%", plain.unwrap_or(before)));
                after
            }
        };
    }
    all.iter_mut().for_each(|text| text.push_str(rest));
    Ok(all)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
}

fn unknown(name: &str, at: Place, known: &[Placeholder]) -> Mistake {
    let mistake = Mistake::new(at, format!("nothing says what the placeholder {name} stands for"));
    match nearest(name, known.iter().map(|own| own.name.as_str())) {
        Some(near) => mistake.suggest(format!("did you mean {near}?")),
        None => mistake.suggest(format!("load a file with `placeholders: {{{name}: [a value]}}`, too")),
    }
}
