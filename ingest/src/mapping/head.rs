//! The head of a mapping: its name, product, format, class, and what must hold of a record.

use dataflow::Table;

use crate::decode::kv::Dialect;
use crate::decode::text::Pattern as TextPattern;

use super::attribute::{Names, text};
use super::condition::{Condition, Key, Test};
use super::error::{Mistake, Place};
use super::intern::intern;
use super::plan::{Format, HeaderField, Patterns};
use super::source::Path;
use super::words::Pattern;
use super::yaml::{Node, Yaml};

/// Every key of a mapping.
pub(super) const KEYS: [&str; 18] = [
    "name",
    "template",
    "use",
    "product",
    "format",
    "match",
    "each",
    "separators",
    "columns",
    "patterns",
    "empty",
    "known",
    "class",
    "time",
    "activity",
    "severity",
    "attributes",
    "tests",
];

const FORMATS: [&str; 6] = ["json", "kv", "cef", "leef", "csv", "text"];

#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) product: Product,
    pub(super) table: Table,
    pub(super) format: Format,
    pub(super) conditions: Vec<Condition>,
    pub(super) empty: Vec<Box<str>>,
    /// Fields that are not new though no attribute takes them.
    pub(super) known: Vec<(Path, Place)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) vendor: &'static str,
    pub(super) name: &'static str,
}

impl Head {
    /// Reads the head.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn read(node: &Node) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = unknown_keys(node);
        let mut note = |result: Result<(), Mistake>| mistakes.extend(result.err());
        let (mut name, mut product, mut class, mut written, mut conditions, mut empty) = Default::default();
        let mut known = Vec::new();
        note(required(node, "name").and_then(text).map(|found| name = Some(intern(found))));
        note(required(node, "product").and_then(product_of).map(|found| product = Some(found)));
        note(required(node, "class").and_then(class_of).map(|found| class = Some(found)));
        note(format(node).map(|found| written = Some(found)));
        let is_json = matches!(written, Some(Format::Json { .. }));
        note(conditions_of(node, is_json).map(|found| conditions = found));
        note(texts(node, "empty").map(|found| empty = found.into_iter().map(Box::from).collect()));
        note(known_fields(node, is_json).map(|found| known = found));
        match (name, product, class, written, mistakes.is_empty()) {
            (Some(name), Some(product), Some(table), Some(format), true) => {
                Ok(Self { name, product, table, format, conditions, empty, known })
            }
            _ => Err(mistakes),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.format, Format::Json { .. })
    }
}

fn unknown_keys(node: &Node) -> Vec<Mistake> {
    let entries = node.entries().unwrap_or_default();
    let unknown = entries.iter().filter(|e| !KEYS.contains(&e.key.as_str()));
    unknown.map(|e| Mistake::new(e.at, format!("unknown key {}", e.key)).near(&e.key, KEYS)).collect()
}

fn required<'n>(node: &'n Node, key: &str) -> Result<&'n Node, Mistake> {
    node.get(key).map(|e| &e.value).ok_or_else(|| Mistake::new(node.at, format!("{key}: is missing")))
}

fn product_of(node: &Node) -> Result<Product, Mistake> {
    for entry in node.entries().unwrap_or_default() {
        if !["vendor", "name"].contains(&entry.key.as_str()) {
            return Err(Mistake::new(entry.at, format!("unknown key {}; product: has vendor and name", entry.key)));
        }
    }
    let of = |key| required(node, key).and_then(text).map(intern);
    Ok(Product { vendor: of("vendor")?, name: of("name")? })
}

fn class_of(node: &Node) -> Result<Table, Mistake> {
    let name = text(node)?;
    let found = Table::by_name(name).filter(|table| Table::EVENTS.contains(table));
    found.ok_or_else(|| Mistake::new(node.at, format!("{name} is no class")).near(name, Table::EVENTS.map(Table::name)))
}

fn format(node: &Node) -> Result<Format, Mistake> {
    let name = required(node, "format")?;
    let word = text(name)?;
    Ok(match word {
        "json" => Format::Json { each: texts(node, "each")?.into_iter().map(intern).collect() },
        "kv" => Format::Kv(dialects(node)?),
        "cef" => Format::Cef,
        "leef" => Format::Leef,
        "csv" => {
            let columns = texts(node, "columns")?;
            if columns.is_empty() {
                return Err(Mistake::new(name.at, "csv needs columns: their names in order"));
            }
            Format::Csv(columns.into_iter().map(intern).collect())
        }
        "text" => Format::Text(patterns(required(node, "patterns")?)?),
        _ => return Err(Mistake::new(name.at, format!("{word} is no format")).near(word, FORMATS)),
    })
}

fn dialects(node: &Node) -> Result<Vec<Dialect>, Mistake> {
    match node.get("separators") {
        None => Ok(vec![Dialect::PLAIN]),
        Some(entry) => entry.value.each().iter().map(dialect).collect(),
    }
}

fn dialect(node: &Node) -> Result<Dialect, Mistake> {
    let mut dialect = Dialect::PLAIN;
    for entry in node.entries().unwrap_or_default() {
        let mark = text(&entry.value)?;
        let mark = match mark.as_bytes() {
            [byte] if byte.is_ascii() => *byte,
            // `; ` is `;`: spaces around it do not count.
            [byte, b' '] if byte.is_ascii() && *byte != b' ' => *byte,
            _ => return Err(Mistake::new(entry.value.at, "a separator is one ASCII character")),
        };
        match entry.key.as_str() {
            "pair" => dialect.pair = mark,
            "value" => dialect.value = mark,
            "quote" => dialect.quote = Some(mark),
            "escape" if mark == b'\\' => dialect.escapes = true,
            "escape" => return Err(Mistake::new(entry.value.at, "only \\ escapes")),
            key => {
                let keys = ["pair", "value", "quote", "escape"];
                return Err(Mistake::new(entry.at, format!("unknown key {key}")).near(key, keys));
            }
        }
    }
    Ok(dialect)
}

fn patterns(node: &Node) -> Result<Patterns, Mistake> {
    let of = |node: &Node| node.each().iter().map(pattern).collect::<Result<Vec<_>, _>>();
    match &node.value {
        Yaml::Map(entries) => entries.iter().map(|e| Ok((Some(intern(&e.key)), of(&e.value)?))).collect(),
        _ => Ok(vec![(None, of(node)?)]),
    }
}

fn pattern(node: &Node) -> Result<TextPattern, Mistake> {
    TextPattern::parse(text(node)?, &mut intern).map_err(|what| Mistake::new(node.at, what))
}

/// The texts of a key; none if it is not there.
fn texts<'n>(node: &'n Node, key: &str) -> Result<Vec<&'n str>, Mistake> {
    node.get(key).map_or(Ok(Vec::new()), |entry| entry.value.each().iter().map(text).collect())
}

fn known_fields(node: &Node, is_json: bool) -> Result<Vec<(Path, Place)>, Mistake> {
    let nodes = node.get("known").map(|entry| entry.value.each()).unwrap_or_default();
    nodes.iter().map(|n| Ok((Names { is_json }.path(text(n)?, n.at)?, n.at))).collect()
}

fn conditions_of(node: &Node, is_json: bool) -> Result<Vec<Condition>, Mistake> {
    let Some(entry) = node.get("match") else {
        return Err(Mistake::new(node.at, "match: is missing: what tells these records from others"));
    };
    let entries = entry.value.entries().filter(|entries| !entries.is_empty());
    let entries = entries.ok_or_else(|| Mistake::new(entry.value.at, "match: is a map of fields and their values"))?;
    entries.iter().map(|e| Ok(Condition { key: key(&e.key, e.at, is_json)?, test: test(&e.value)? })).collect()
}

fn key(name: &str, at: Place, is_json: bool) -> Result<Key, Mistake> {
    if let Some(field) = HeaderField::named(name) {
        return Ok(Key::Header(field));
    }
    if name.starts_with("syslog.") || name.starts_with("cisco.") {
        return Err(Mistake::new(at, format!("no header has {name}")).near(name, HeaderField::names()));
    }
    let path = Names { is_json }.path(name, at)?;
    if path.inner.is_some() {
        return Err(Mistake::new(at, "a condition looks at members, not at elements"));
    }
    Ok(Key::Field(path.field))
}

fn test(node: &Node) -> Result<Test, Mistake> {
    Ok(match node.scalar() {
        Some("*") => Test::Present,
        Some("!") => Test::Absent,
        _ => Test::AnyOf(node.each().iter().map(|n| text(n).map(Pattern::parse)).collect::<Result<_, _>>()?),
    })
}
