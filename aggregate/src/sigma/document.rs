//! YAML documents -> rules and filters as their authors wrote them, every part with its place.
//!
//! `action: global`, `reset` and `repeat` of a file with several documents are followed. What a correlation says is read in
//! [`super::correlation_document`].

use dataflow::yaml::{Entry, Node, Place, Yaml};

use super::Mistake;
use super::correlation_document::{self, CorrelationDocument};
use super::placeholders::{self, Placeholder};
use crate::rule::Level;

/// A document of a file.
#[derive(Debug)]
pub(super) enum Read {
    Rule(Document),
    Correlation(CorrelationDocument),
    Placeholders(Vec<Placeholder>),
}

/// A rule or a filter.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) head: Head,
    pub(super) logsource: LogSource,
    pub(super) detection: Detection,
    /// Of a filter, the rules that it is for; none of a rule.
    pub(super) filters: Option<Filters>,
    /// A placeholder that stands for nothing.
    pub(super) unfilled: Option<Mistake>,
}

/// Which rules a filter is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filters {
    /// Every rule of its log source.
    Any,
    /// By their names or ids.
    Rules(Vec<(String, Place)>),
}

/// What people read, and what names the rule.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) title: String,
    pub(super) id: Option<(String, Place)>,
    pub(super) name: Option<String>,
    pub(super) description: String,
    pub(super) level: Level,
    pub(super) tags: Vec<(String, Place)>,
    pub(super) false_positives: Vec<String>,
    pub(super) fields: Vec<String>,
    /// The day of its last change as a number, 20261120; 1 if it names none.
    pub(super) version: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogSource {
    pub(super) at: Place,
    pub(super) product: Option<String>,
    pub(super) category: Option<String>,
    pub(super) service: Option<String>,
}

impl LogSource {
    /// `product: aws, service: cloudtrail`
    pub(super) fn said(&self) -> String {
        let parts = [("product", &self.product), ("category", &self.category), ("service", &self.service)];
        let named = parts.iter().filter_map(|(key, word)| Some(format!("{key}: {}", word.as_ref()?)));
        named.collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug)]
pub(super) struct Detection {
    /// Name and content of each search.
    pub(super) searches: Vec<(String, Search)>,
    /// Any of these.
    pub(super) conditions: Vec<(String, Place)>,
}

impl Detection {
    /// All that it says, wherever it stands in its file.
    pub(super) fn said(&self) -> String {
        let searches = self.searches.iter().map(|(name, search)| format!("{name}={}", search.said()));
        let conditions = self.conditions.iter().map(|(condition, _)| condition.clone());
        searches.chain(conditions).collect::<Vec<_>>().join(";")
    }
}

#[derive(Debug)]
pub(super) enum Search {
    /// A map: all of its lines.
    All(Vec<Line>),
    /// A list: one of its elements.
    Any(Vec<Search>),
    /// A text that stands anywhere in the record.
    Keyword(Value, Place),
}

impl Search {
    fn said(&self) -> String {
        match self {
            Self::All(lines) => lines.iter().map(Line::said).collect::<Vec<_>>().join("&"),
            Self::Any(searches) => format!("{:?}", searches.iter().map(Search::said).collect::<Vec<_>>()),
            Self::Keyword(value, _) => format!("{value:?}"),
        }
    }
}

/// `field|modifiers: values`.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) values: Vec<(Value, Place)>,
}

impl Line {
    fn said(&self) -> String {
        let values: Vec<&Value> = self.values.iter().map(|(value, _)| value).collect();
        format!("{}:{values:?}", self.key)
    }
}

/// A value with the type that YAML gives it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(f64, String),
    Bool(bool),
    Null,
}

/// The documents of a file, each with the place where it begins.
///
/// # Errors
/// What is no Sigma.
pub(super) fn documents(nodes: Vec<Node>) -> Vec<Result<Read, Mistake>> {
    let (mut global, mut previous): (Option<Node>, Option<Node>) = (None, None);
    let mut found = Vec::new();
    for node in nodes {
        let action = node.get("action").and_then(|e| Some((e.value.scalar()?.to_owned(), e.at)));
        let node = without_action(node);
        let node = match action.as_ref().map(|(action, at)| (action.as_str(), *at)) {
            None => node,
            Some(("global", _)) => {
                global = Some(node);
                continue;
            }
            Some(("reset", _)) => {
                global = None;
                continue;
            }
            Some(("repeat", _)) => previous.clone().map_or_else(|| node.clone(), |before| merged(before, node.clone())),
            Some((other, at)) => {
                let mistake = Mistake::new(at, format!("no action {other}"));
                found.push(Err(mistake.suggest("global, reset or repeat")));
                continue;
            }
        };
        previous = Some(node.clone());
        found.push(document(&global.clone().map_or(node.clone(), |global| merged(global, node))));
    }
    found
}

fn without_action(mut node: Node) -> Node {
    if let Yaml::Map(entries) = &mut node.value {
        entries.retain(|e| e.key != "action");
    }
    node
}

/// The second node over the first: maps become one, anything else is replaced.
fn merged(below: Node, above: Node) -> Node {
    let Node { at, value: Yaml::Map(above), is_quoted } = above else { return above };
    let Yaml::Map(mut entries) = below.value else { return Node { at, value: Yaml::Map(above), is_quoted } };
    for entry in above {
        match entries.iter().position(|e| e.key == entry.key) {
            Some(i) => {
                let under = entries.remove(i);
                entries.insert(i, Entry { value: merged(under.value, entry.value), ..entry });
            }
            None => entries.push(entry),
        }
    }
    Node { at, value: Yaml::Map(entries), is_quoted }
}

fn document(node: &Node) -> Result<Read, Mistake> {
    if let Some(entry) = node.get("correlation") {
        return correlation_document::read(node, entry).map(Read::Correlation);
    }
    if let Some(entry) = node.get("placeholders") {
        return placeholders::read(entry).map(Read::Placeholders);
    }
    let filter = node.get("filter");
    let detection = match filter {
        Some(filter) => filter,
        None => node.get("detection").ok_or_else(|| {
            missing(node, "detection", "detection: {selection: {eventName: StopLogging}, condition: selection}")
        })?,
    };
    let logsource = node
        .get("logsource")
        .ok_or_else(|| missing(node, "logsource", "logsource: {product: aws, service: cloudtrail}"))?;
    Ok(Read::Rule(Document {
        head: head(node)?,
        logsource: log_source(logsource)?,
        detection: self::detection(detection)?,
        filters: filter.map(|entry| filters(&entry.value)).transpose()?,
        unfilled: None,
    }))
}

fn missing(node: &Node, key: &str, example: &str) -> Mistake {
    Mistake::new(node.at, format!("key {key} is missing")).suggest(format!("e.g. `{example}`"))
}

fn filters(filter: &Node) -> Result<Filters, Mistake> {
    let Some(rules) = filter.get("rules") else { return Ok(Filters::Any) };
    if rules.value.scalar().is_some_and(|word| word.eq_ignore_ascii_case("any")) {
        return Ok(Filters::Any);
    }
    let name = |node: &Node| Ok((text(node, "a rule's name or id")?.to_owned(), node.at));
    rules.value.each().iter().map(name).collect::<Result<_, _>>().map(Filters::Rules)
}

pub(super) fn head(node: &Node) -> Result<Head, Mistake> {
    let get = |key: &str| node.get(key).map(|entry| &entry.value);
    let title = get("title").ok_or_else(|| missing(node, "title", "title: Trail stopped"))?;
    let owned = |key: &str| get(key).and_then(Node::scalar).map(str::to_owned);
    let placed = |node: &Node| Some((node.scalar()?.to_owned(), node.at));
    let list = |key: &str| get(key).into_iter().flat_map(Node::each).filter_map(placed).collect::<Vec<_>>();
    let texts = |key: &str| list(key).into_iter().map(|(text, _)| text).collect();
    Ok(Head {
        title: text(title, "a title")?.to_owned(),
        id: get("id").and_then(placed),
        name: owned("name"),
        description: owned("description").unwrap_or_default(),
        level: get("level").map(level).transpose()?.unwrap_or(Level::Medium),
        tags: list("tags"),
        false_positives: texts("falsepositives"),
        fields: texts("fields"),
        version: ["modified", "date"].into_iter().find_map(owned).and_then(|day| day_number(&day)).unwrap_or(1),
    })
}

fn day_number(day: &str) -> Option<u32> {
    day.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn level(node: &Node) -> Result<Level, Mistake> {
    let word = text(node, "a level")?;
    Level::ALL.into_iter().find(|level| level.word() == word).ok_or_else(|| {
        let all = Level::ALL.map(Level::word).join(", ");
        Mistake::new(node.at, format!("no level {word}")).suggest(format!("one of {all}"))
    })
}

fn log_source(entry: &Entry) -> Result<LogSource, Mistake> {
    let get = |key: &str| match entry.value.get(key) {
        Some(entry) => text(&entry.value, "a text").map(|text| Some(text.to_lowercase())),
        None => Ok(None),
    };
    Ok(LogSource { at: entry.at, product: get("product")?, category: get("category")?, service: get("service")? })
}

fn detection(entry: &Entry) -> Result<Detection, Mistake> {
    let node = &entry.value;
    let entries = node.entries().ok_or_else(|| {
        let mistake = Mistake::new(node.at, format!("{} is a map of searches", entry.key));
        mistake.suggest("selection: {eventName: StopLogging}, condition: selection")
    })?;
    let condition = node.get("condition").ok_or_else(|| {
        Mistake::new(entry.at, format!("{} has no condition", entry.key)).suggest("condition: selection")
    })?;
    let placed = |node: &Node| Ok((text(node, "a condition")?.to_owned(), inside(node)));
    let conditions = condition.value.each().iter().map(placed).collect::<Result<_, Mistake>>()?;
    if let Some(timeframe) = node.get("timeframe") {
        return Err(Mistake::new(timeframe.at, "timeframe is no part of Sigma 2").suggest("write a correlation rule"));
    }
    let searches = entries.iter().filter(|e| !matches!(e.key.as_str(), "condition" | "rules"));
    let searches = searches.map(|e| Ok((e.key.clone(), search(&e.value)?))).collect::<Result<_, Mistake>>()?;
    Ok(Detection { searches, conditions })
}

/// Where a scalar's text begins: behind its quote.
pub(super) fn inside(node: &Node) -> Place {
    Place { column: node.at.column + usize::from(node.is_quoted), ..node.at }
}

fn search(node: &Node) -> Result<Search, Mistake> {
    match &node.value {
        Yaml::Map(entries) if entries.is_empty() => Err(empty(node)),
        Yaml::Map(entries) => entries.iter().map(line).collect::<Result<_, _>>().map(Search::All),
        Yaml::List(nodes) if nodes.is_empty() => Err(empty(node)),
        Yaml::List(nodes) => nodes.iter().map(search).collect::<Result<_, _>>().map(Search::Any),
        Yaml::Scalar(_) => Ok(Search::Keyword(value(node)?, node.at)),
    }
}

fn empty(node: &Node) -> Mistake {
    Mistake::new(node.at, "an empty search").suggest("name fields and their values: `eventName: StopLogging`")
}

fn line(entry: &Entry) -> Result<Line, Mistake> {
    let placed = |node: &Node| Ok((value(node)?, node.at));
    let values = entry.value.each().iter().map(placed).collect::<Result<Vec<_>, Mistake>>()?;
    if values.is_empty() {
        return Err(Mistake::new(entry.value.at, format!("{} has no values", entry.key)));
    }
    Ok(Line { key: entry.key.clone(), at: entry.at, values })
}

fn value(node: &Node) -> Result<Value, Mistake> {
    let text = text(node, "a value")?;
    let number =
        || text.parse::<f64>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)));
    Ok(match text {
        _ if node.is_quoted => Value::Text(text.to_owned()),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number() {
            Some(number) => Value::Number(number, text.to_owned()),
            None => Value::Text(text.to_owned()),
        },
    })
}

pub(super) fn text<'n>(node: &'n Node, what: &str) -> Result<&'n str, Mistake> {
    node.scalar().ok_or_else(|| Mistake::new(node.at, format!("{what} is one text, not {}", node.kind())))
}
