//! One entry of `attributes:`, as it is written: where its value comes from and what is done with it.

use super::error::{Mistake, Place};
use super::source::Path;
use super::yaml::{Entry, Node, Yaml};

/// An attribute as it is written.
#[derive(Debug, Default)]
pub(super) struct Attribute<'n> {
    pub(super) from: Vec<(Path, Place)>,
    pub(super) values: &'n [Entry],
    pub(super) has_values: bool,
    pub(super) otherwise: Option<(&'n str, Place)>,
    pub(super) unit: Option<(&'n str, Place)>,
    pub(super) zone: Option<(&'n str, Place)>,
    pub(super) format: Option<&'n str>,
    pub(super) template: Option<(&'n str, Place)>,
    /// A field that says the same if there is nothing to say.
    pub(super) unless: Option<(Path, Place)>,
}

const KEYS: [&str; 9] = ["from", "values", "else", "const", "unit", "zone", "format", "template", "unless"];

/// How a field's name is read: as a JSON path, or as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) is_json: bool,
}

impl Names {
    pub(super) fn path(self, text: &str, at: Place) -> Result<Path, Mistake> {
        if !self.is_json || super::plan::HeaderField::named(text).is_some() {
            return Ok(Path::flat(text));
        }
        Path::json(text).map_err(|what| Mistake::new(at, format!("{text:?} is no path: {what}")))
    }
}

impl<'n> Attribute<'n> {
    /// Reads `field`, `[field, field]` or `{from: …, …}`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn read(node: &'n Node, names: Names) -> Result<Self, Mistake> {
        let mut made = Self::default();
        let Yaml::Map(entries) = &node.value else {
            made.from = sources(node, names)?;
            return Ok(made);
        };
        for entry in entries {
            made.take(entry, names)?;
        }
        if made.from.is_empty() && made.otherwise.is_none() && made.template.is_none() {
            return Err(Mistake::new(node.at, "neither from:, const: nor template: says what it is"));
        }
        Ok(made)
    }

    fn take(&mut self, entry: &'n Entry, names: Names) -> Result<(), Mistake> {
        let text = || text(&entry.value).map(|text| (text, entry.value.at));
        match entry.key.as_str() {
            "from" => self.from = sources(&entry.value, names)?,
            "values" => {
                let entries = entry.value.entries();
                self.values = entries.ok_or_else(|| Mistake::new(entry.value.at, "values: is a map of words"))?;
                self.has_values = true;
            }
            "else" | "const" => self.otherwise = Some(text()?),
            "unit" => self.unit = Some(text()?),
            "zone" => self.zone = Some(text()?),
            "format" => self.format = Some(text()?.0),
            "template" => self.template = Some(text()?),
            "unless" => self.unless = Some((names.path(text()?.0, entry.value.at)?, entry.value.at)),
            key => return Err(Mistake::new(entry.at, format!("unknown key {key}")).near(key, KEYS)),
        }
        Ok(())
    }
}

/// The text of a scalar.
pub(super) fn text(node: &Node) -> Result<&str, Mistake> {
    node.scalar().ok_or_else(|| Mistake::new(node.at, format!("a text is expected here, not {}", node.kind())))
}

fn sources(node: &Node, names: Names) -> Result<Vec<(Path, Place)>, Mistake> {
    node.each().iter().map(|node| Ok((names.path(text(node)?, node.at)?, node.at))).collect()
}
