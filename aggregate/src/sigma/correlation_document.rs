//! A `correlation:` document -> what its author wrote, every part with its place.

use dataflow::yaml::{Entry, Node, Place};

use super::Mistake;
use super::condition;
use super::document::{Head, head, inside, text};
use crate::correlation::{Compare, Kind};
use crate::sql::nearest;

/// See the module's front.
#[derive(Debug)]
pub(super) struct CorrelationDocument {
    pub(super) head: Head,
    pub(super) kind: Kind,
    /// Names or ids.
    pub(super) rules: Vec<(String, Place)>,
    pub(super) group_by: Vec<(String, Place)>,
    pub(super) aliases: Vec<Alias>,
    pub(super) span_us: i64,
    pub(super) condition: Asked,
    /// What is counted or measured.
    pub(super) fields: Vec<(String, Place)>,
    /// True if the rules alert themselves, too.
    pub(super) generate: bool,
    pub(super) is_reset: bool,
    pub(super) suppress_us: i64,
    pub(super) lateness_us: i64,
    /// All that it says, wherever it stands in its file.
    pub(super) said: String,
}

/// A name for fields that rules call otherwise.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) at: Place,
    /// By the rule's name or id.
    pub(super) fields: Vec<(String, Place, String)>,
}

/// The condition as it is written.
#[derive(Debug)]
pub(super) enum Asked {
    Bounds(Vec<(Compare, f64)>),
    /// Over the rules, in words.
    Logic(String, Place),
    /// All of the rules.
    All,
}

const KINDS: [(&str, Kind); 8] = [
    ("event_count", Kind::EventCount),
    ("value_count", Kind::ValueCount),
    ("value_sum", Kind::Sum),
    ("value_avg", Kind::Average),
    ("value_percentile", Kind::Percentile(50.0)),
    ("value_median", Kind::Percentile(50.0)),
    ("temporal", Kind::Temporal),
    ("temporal_ordered", Kind::Ordered),
];

const BOUNDS: [(&str, Compare); 6] = [
    ("lt", Compare::Lt),
    ("lte", Compare::Lte),
    ("gt", Compare::Gt),
    ("gte", Compare::Gte),
    ("eq", Compare::Eq),
    ("neq", Compare::Neq),
];

const KEYS: [&str; 8] = ["type", "rules", "group-by", "timespan", "timeframe", "condition", "aliases", "generate"];

/// Reads a document that has the entry `correlation`.
///
/// # Errors
/// What is no Sigma, or means nothing.
pub(super) fn read(node: &Node, entry: &Entry) -> Result<CorrelationDocument, Mistake> {
    let own = &entry.value;
    known_keys(own)?;
    let kind = kind(entry)?;
    let condition = own.get("condition");
    let asked = condition.map_or_else(|| default_condition(kind, entry), |e| asked(kind, e))?;
    let rules = rules(own, entry.at, &asked)?;
    let all = |key| names(own.get(key), "a field's name");
    let kind = with_percentile(kind, condition)?;
    let action = node.get("rsigma.action");
    let document = CorrelationDocument {
        head: head(node)?,
        kind,
        rules,
        group_by: all("group-by")?,
        aliases: own.get("aliases").map(aliases).transpose()?.unwrap_or_default(),
        span_us: timespan(entry)?,
        fields: fields(kind, condition, entry)?,
        condition: asked,
        generate: ["generate"].iter().any(|key| is_true(node, key) || is_true(own, key)),
        is_reset: action.map_or(Ok(false), |e| word(&e.value, &["alert", "reset"]).map(|w| w == "reset"))?,
        suppress_us: length(node, "rsigma.suppress")?,
        lateness_us: length(node, "allowed_lateness")?,
        said: said(node),
    };
    only_one_memory(node, &document)?;
    Ok(document)
}

fn known_keys(own: &Node) -> Result<(), Mistake> {
    let entries =
        own.entries().ok_or_else(|| Mistake::new(own.at, "correlation is a map").suggest("type: event_count"))?;
    match entries.iter().find(|e| !KEYS.contains(&e.key.as_str())) {
        None => Ok(()),
        Some(entry) => {
            let mistake = Mistake::new(entry.at, format!("a correlation has no key {}", entry.key));
            Err(match nearest(&entry.key, KEYS) {
                Some(near) => mistake.suggest(format!("did you mean {near}?")),
                None => mistake.suggest(format!("one of {}", KEYS.join(", "))),
            })
        }
    }
}

fn kind(entry: &Entry) -> Result<Kind, Mistake> {
    let all = || KINDS.map(|(word, _)| word);
    let Some(found) = entry.value.get("type") else {
        return Err(
            Mistake::new(entry.at, "the correlation has no type").suggest(format!("one of {}", all().join(", ")))
        );
    };
    let word = word(&found.value, &all())?;
    KINDS.iter().find(|(own, _)| *own == word).map(|(_, kind)| *kind).ok_or_else(|| Mistake::new(found.at, "no type"))
}

/// One of some words.
fn word(node: &Node, words: &[&str]) -> Result<String, Mistake> {
    let word = text(node, "this")?;
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    let mistake = Mistake::new(node.at, format!("unknown word {word}"));
    Err(match nearest(word, words.iter().copied()) {
        Some(near) => mistake.suggest(format!("did you mean {near}?")),
        None => mistake.suggest(format!("one of {}", words.join(", "))),
    })
}

fn names(entry: Option<&Entry>, what: &str) -> Result<Vec<(String, Place)>, Mistake> {
    let nodes = entry.into_iter().flat_map(|entry| entry.value.each());
    nodes.map(|node| Ok((text(node, what)?.to_owned(), node.at))).collect()
}

/// The rules that are named, or those of the condition.
fn rules(own: &Node, at: Place, asked: &Asked) -> Result<Vec<(String, Place)>, Mistake> {
    let mut rules = names(own.get("rules"), "a rule's name or id")?;
    if let (Asked::Logic(text, at), true) = (asked, rules.is_empty()) {
        let is_name = |word: &str| !["and", "or", "not", "(", ")"].contains(&word.to_lowercase().as_str());
        for (column, word) in condition::words(text).into_iter().filter(|(_, word)| is_name(word)) {
            if !rules.iter().any(|(known, _)| known == word) {
                rules.push((word.to_owned(), Place { column: at.column + column, ..*at }));
            }
        }
    }
    if rules.is_empty() {
        return Err(Mistake::new(at, "the correlation refers to no rule").suggest("rules: [a rule's name or id]"));
    }
    match rules.iter().enumerate().find(|(i, (name, _))| rules[..*i].iter().any(|(known, _)| known == name)) {
        Some((_, (name, at))) => {
            Err(Mistake::new(*at, format!("{name} is named twice")).suggest("name each rule once"))
        }
        None => Ok(rules),
    }
}

fn timespan(entry: &Entry) -> Result<i64, Mistake> {
    let own = &entry.value;
    let Some(found) = own.get("timespan").or_else(|| own.get("timeframe")) else {
        return Err(Mistake::new(entry.at, "the correlation has no timespan").suggest("timespan: 5m"));
    };
    match length_us(text(&found.value, "a timespan")?) {
        Some(us) if us > 0 => Ok(us),
        _ => Err(Mistake::new(found.value.at, "not a timespan").suggest("a whole number and s, m, h, d or w: 90m")),
    }
}

/// `90m` in microseconds.
fn length_us(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.len().checked_sub(1).filter(|end| text.is_char_boundary(*end))?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.parse::<u32>().ok().and_then(|n| i64::from(n).checked_mul(seconds * 1_000_000))
}

fn length(node: &Node, key: &str) -> Result<i64, Mistake> {
    let Some(entry) = node.get(key) else { return Ok(0) };
    let us = length_us(text(&entry.value, "a length of time")?);
    us.ok_or_else(|| {
        Mistake::new(entry.value.at, "not a length of time").suggest("a whole number and s, m, h, d or w: 5m")
    })
}

fn is_true(node: &Node, key: &str) -> bool {
    node.get(key).and_then(|e| e.value.scalar()).is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

/// What is meant where no condition stands.
fn default_condition(kind: Kind, entry: &Entry) -> Result<Asked, Mistake> {
    match kind {
        Kind::Temporal | Kind::Ordered => Ok(Asked::All),
        _ => Err(Mistake::new(entry.at, "the correlation has no condition").suggest("condition: {gte: 10}")),
    }
}

fn asked(kind: Kind, entry: &Entry) -> Result<Asked, Mistake> {
    let node = &entry.value;
    if node.scalar().is_some() {
        return match kind {
            Kind::Temporal | Kind::Ordered => Ok(Asked::Logic(text(node, "a condition")?.to_owned(), inside(node))),
            _ => Err(Mistake::new(node.at, "only temporal correlations have a condition over rules")
                .suggest("condition: {gte: 10}")),
        };
    }
    let entries = node.entries().ok_or_else(|| Mistake::new(node.at, "a condition is a map, or a text over rules"))?;
    let mut bounds = Vec::new();
    for entry in entries.iter().filter(|e| e.key != "field" && e.key != "percentile") {
        let all = BOUNDS.map(|(word, _)| word).join(", ");
        let Some((_, compare)) = BOUNDS.iter().find(|(word, _)| *word == entry.key) else {
            return Err(Mistake::new(entry.at, format!("no comparison {}", entry.key)).suggest(format!("one of {all}")));
        };
        bounds.push((*compare, number(&entry.value)?));
    }
    match bounds.is_empty() {
        true => Err(Mistake::new(node.at, "the condition compares nothing").suggest("condition: {gte: 10}")),
        false => Ok(Asked::Bounds(bounds)),
    }
}

fn number(node: &Node) -> Result<f64, Mistake> {
    let number = text(node, "a number")?.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| Mistake::new(node.at, "not a number"))
}

fn with_percentile(kind: Kind, condition: Option<&Entry>) -> Result<Kind, Mistake> {
    let Some(entry) = condition.and_then(|e| e.value.get("percentile")) else { return Ok(kind) };
    match (kind, number(&entry.value)?) {
        (Kind::Percentile(_), rank) if (0.0..=100.0).contains(&rank) => Ok(Kind::Percentile(rank)),
        (Kind::Percentile(_), _) => Err(Mistake::new(entry.value.at, "a percentile is between 0 and 100")),
        _ => Err(Mistake::new(entry.at, "only value_percentile has a percentile")),
    }
}

fn fields(kind: Kind, condition: Option<&Entry>, entry: &Entry) -> Result<Vec<(String, Place)>, Mistake> {
    let found = condition.and_then(|e| e.value.get("field"));
    let fields = names(found, "a field's name")?;
    let at = found.map_or(entry.at, |e| e.at);
    let mistake = |what: &str| Err(Mistake::new(at, what).suggest("condition: {field: a field's name, gte: 10}"));
    match fields.len() {
        0 if kind.has_value() => mistake("the condition names no field"),
        2.. if kind.is_number() => mistake("one field is measured, not several"),
        1.. if !kind.has_value() => {
            Err(Mistake::new(at, "this type counts rows, not a field's values")
                .suggest("type: value_count counts values"))
        }
        _ => Ok(fields),
    }
}

fn aliases(entry: &Entry) -> Result<Vec<Alias>, Mistake> {
    let map = |node: &Node| -> Result<Vec<Entry>, Mistake> {
        let mistake =
            || Mistake::new(node.at, "aliases are maps").suggest("aliases: {an alias: {a rule's name: its field}}");
        node.entries().map(<[Entry]>::to_vec).ok_or_else(mistake)
    };
    let field = |e: &Entry| Ok((e.key.clone(), e.at, text(&e.value, "a field's name")?.to_owned()));
    let alias = |e: &Entry| {
        let fields = map(&e.value)?.iter().map(field).collect::<Result<_, Mistake>>()?;
        Ok(Alias { name: e.key.clone(), at: e.at, fields })
    };
    map(&entry.value)?.iter().map(alias).collect()
}

/// What was found cannot be taken back and silence what came after it.
fn only_one_memory(node: &Node, document: &CorrelationDocument) -> Result<(), Mistake> {
    let Some(entry) = node.get("allowed_lateness") else { return Ok(()) };
    if document.lateness_us > 0 && (document.is_reset || document.suppress_us > 0) {
        let mistake =
            Mistake::new(entry.at, "allowed_lateness goes with neither rsigma.suppress nor rsigma.action: reset");
        return Err(mistake.suggest("leave it out: late rows are counted and kept"));
    }
    Ok(())
}

fn said(node: &Node) -> String {
    let keys = ["correlation", "rsigma.action", "rsigma.suppress", "allowed_lateness"];
    keys.iter().filter_map(|key| node.get(key)).map(|e| plain(&e.value)).collect::<Vec<_>>().join(";")
}

/// A node's content without its places.
fn plain(node: &Node) -> String {
    use dataflow::yaml::Yaml;
    match &node.value {
        Yaml::Scalar(text) => format!("{text:?}"),
        Yaml::List(nodes) => format!("{:?}", nodes.iter().map(plain).collect::<Vec<_>>()),
        Yaml::Map(entries) => {
            format!("{:?}", entries.iter().map(|e| (&e.key, plain(&e.value))).collect::<Vec<_>>())
        }
    }
}
