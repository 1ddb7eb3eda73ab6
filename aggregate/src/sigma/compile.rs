//! A rule as it is written, over one table of one log -> the condition on its rows.

use super::condition::{self, Condition};
use super::document::{Detection, Line, Search, Value};
use super::encode::encode;
use super::field::Field;
use super::item::{How, Item, Of, Reference, Test};
use super::modifiers::{Compare, Modifiers};
use super::pattern::{Part, Pattern, parts};
use super::predicate::Node;
use super::taxonomy::{Reads, Taxonomy};
use super::{Mistake, cidr_of};
use dataflow::yaml::Place;
use regex::RegexBuilder;

/// Bytes that a compiled regular expression may have.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a rule's names mean here.
pub(super) struct Scope<'a> {
    pub(super) taxonomy: &'a Taxonomy,
    pub(super) reads: &'a mut Reads,
    /// Names of the fields that the rule looks at, in their order.
    pub(super) fields: Vec<String>,
}

/// A field, or texts of the row: whose values a line looks at, made anew for each part of the line.
enum Subject {
    Field(Field),
    Row,
}

impl Scope<'_> {
    /// The rows that are this log's.
    pub(super) fn rows(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        for (column, words) in &self.taxonomy.rows {
            let field = self.reads.named(column)?;
            let equal = words.each().map(|word| Pattern::new(&[Part::Text(word.to_owned())], false)).collect();
            nodes.push(item(Of::Field(field), vec![Test::Patterns(equal)]));
        }
        // As they are written: the vendor before the product. They are cheap, and rule out most.
        Some(Node::All(nodes))
    }

    /// The rule's condition.
    pub(super) fn detection(&mut self, detection: &Detection) -> Result<Node, Mistake> {
        let names: Vec<&str> = detection.searches.iter().map(|(name, _)| name.as_str()).collect();
        let mut conditions = Vec::new();
        for (text, at) in &detection.conditions {
            let condition = condition::parse(text, *at, &names)?;
            conditions.push(self.condition(&condition, detection)?);
        }
        Ok(Node::any(conditions))
    }

    fn condition(&mut self, condition: &Condition, detection: &Detection) -> Result<Node, Mistake> {
        let mut each = |parts: &[Condition]| {
            parts.iter().map(|part| self.condition(part, detection)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::All(parts) => Node::all(each(parts)?),
            Condition::Any(parts) => Node::any(each(parts)?),
            Condition::Not(inner) => Node::Not(Box::new(self.condition(inner, detection)?)),
            Condition::Search(number) => match detection.searches.get(*number) {
                Some((_, search)) => self.search(search)?,
                None => Node::Any(Vec::new()),
            },
        })
    }

    fn search(&mut self, search: &Search) -> Result<Node, Mistake> {
        Ok(match search {
            Search::All(lines) => Node::all(lines.iter().map(|line| self.line(line)).collect::<Result<_, _>>()?),
            Search::Any(searches) => Node::any(searches.iter().map(|s| self.search(s)).collect::<Result<_, _>>()?),
            Search::Keyword(value, at) => {
                let values = [(value.clone(), *at)];
                self.values(&Subject::Row, &Modifiers::parse([].into_iter(), *at)?, &values, *at)?
            }
        })
    }

    fn line(&mut self, line: &Line) -> Result<Node, Mistake> {
        let mut words = line.key.split('|');
        let name = words.next().unwrap_or_default();
        let modifiers = Modifiers::parse(words, line.at)?;
        if name.is_empty() {
            return self.values(&Subject::Row, &modifiers, &line.values, line.at);
        }
        let field = self.field(name, line.at)?;
        self.values(&Subject::Field(field), &modifiers, &line.values, line.at)
    }

    fn field(&mut self, name: &str, at: Place) -> Result<Field, Mistake> {
        if !self.fields.iter().any(|known| known == name) {
            self.fields.push(name.to_owned());
        }
        self.taxonomy.field(name, self.reads).map_err(|near| {
            let mistake = Mistake::new(at, format!("no field {name}"));
            match near {
                Some(near) => mistake.suggest(format!("did you mean {near}?")),
                None => mistake.suggest("docs/sigma.md says how fields are found"),
            }
        })
    }

    fn values(
        &mut self,
        subject: &Subject,
        modifiers: &Modifiers,
        values: &[(Value, Place)],
        at: Place,
    ) -> Result<Node, Mistake> {
        if modifiers.compare == Compare::Exists {
            return exists(subject, values, at);
        }
        let (mut nodes, mut tests) = (Vec::new(), Vec::new());
        for (value, at) in values {
            match value {
                Value::Null if modifiers.compare == Compare::Equal && !modifiers.is_reference => {
                    nodes.push(null(subject, modifiers, *at)?);
                }
                value => tests.push(self.test(subject, modifiers, value, *at)?),
            }
        }
        if !tests.is_empty() {
            let of = self.of(subject);
            let &Modifiers { part, all, is_negated, .. } = modifiers;
            nodes.push(Node::Item(Box::new(Item { of, part, tests, all, is_negated })));
        }
        Ok(if modifiers.all || modifiers.is_negated { Node::all(nodes) } else { Node::any(nodes) })
    }

    fn of(&mut self, subject: &Subject) -> Of {
        match subject {
            Subject::Field(field) => Of::Field(field.clone()),
            Subject::Row => Of::Row { raw: self.reads.named("raw_data"), texts: self.reads.texts() },
        }
    }

    fn test(&mut self, subject: &Subject, modifiers: &Modifiers, value: &Value, at: Place) -> Result<Test, Mistake> {
        if modifiers.is_reference {
            let Value::Text(name) = value else { return Err(Mistake::new(at, "fieldref takes a field's name")) };
            let reference = Reference { how: how(modifiers.compare), is_cased: modifiers.is_cased };
            return Ok(Test::Field(self.field(name, at)?, reference));
        }
        match modifiers.compare {
            Compare::Regex => regex(value, modifiers, at),
            Compare::Cidr => cidr(value, at),
            Compare::Number(order) => Ok(Test::Number(order, number(value, at)?)),
            _ => match value {
                Value::Number(number, text) if modifiers.compare == Compare::Equal => {
                    Ok(Test::Same(*number, text.clone()))
                }
                _ if modifiers.part.is_some() => number(value, at).map(|n| Test::Same(n, n.to_string())),
                value => patterns(subject, modifiers, value, at),
            },
        }
    }
}

fn item(of: Of, tests: Vec<Test>) -> Node {
    Node::Item(Box::new(Item { of, part: None, tests, all: false, is_negated: false }))
}

fn exists(subject: &Subject, values: &[(Value, Place)], at: Place) -> Result<Node, Mistake> {
    match (subject, values) {
        (Subject::Field(field), [(Value::Bool(wanted), _)]) => Ok(Node::Exists(field.clone(), *wanted)),
        _ => Err(Mistake::new(at, "exists takes true or false, and a field").suggest("`field|exists: true`")),
    }
}

fn null(subject: &Subject, modifiers: &Modifiers, at: Place) -> Result<Node, Mistake> {
    match subject {
        Subject::Field(field) => Ok(Node::Exists(field.clone(), modifiers.is_negated)),
        Subject::Row => Err(Mistake::new(at, "a keyword is a text")),
    }
}

fn how(compare: Compare) -> How {
    match compare {
        Compare::Contains => How::Contains,
        Compare::StartsWith => How::StartsWith,
        Compare::EndsWith => How::EndsWith,
        Compare::Number(order) => How::Number(order),
        Compare::Equal | Compare::Regex | Compare::Cidr | Compare::Exists => How::Equal,
    }
}

/// The text of a value that is compared as text.
fn text(value: &Value, at: Place) -> Result<&str, Mistake> {
    match value {
        Value::Text(text) | Value::Number(_, text) => Ok(text),
        Value::Bool(true) => Ok("true"),
        Value::Bool(false) => Ok("false"),
        Value::Null => Err(Mistake::new(at, "null stands alone, without such a modifier").suggest("`field: null`")),
    }
}

fn number(value: &Value, at: Place) -> Result<f64, Mistake> {
    match value {
        Value::Number(number, _) => Ok(*number),
        value => {
            let text = text(value, at)?;
            let mistake = || Mistake::new(at, format!("{text} is not a number")).suggest("e.g. `field|gt: 10`");
            text.trim().parse().map_err(|_| mistake())
        }
    }
}

/// A text, in each form that its encodings give it.
fn patterns(subject: &Subject, modifiers: &Modifiers, value: &Value, at: Place) -> Result<Test, Mistake> {
    let forms = encode(parts(text(value, at)?), &modifiers.encodings)
        .map_err(|why| Mistake::new(at, why).suggest("write * and ? as \\* and \\? if they are meant"))?;
    // A keyword stands anywhere in the record.
    let anywhere = modifiers.compare == Compare::Contains
        || (matches!(subject, Subject::Row) && modifiers.compare == Compare::Equal);
    let (before, behind) =
        (anywhere || modifiers.compare == Compare::EndsWith, anywhere || modifiers.compare == Compare::StartsWith);
    let many = |is_there: bool| is_there.then_some(Part::Many);
    let pattern = |form: Vec<Part>| {
        let parts: Vec<Part> = many(before).into_iter().chain(form).chain(many(behind)).collect();
        Pattern::new(&parts, modifiers.is_cased || !modifiers.encodings.iter().all(|e| e.keeps_case()))
    };
    Ok(Test::Patterns(forms.into_iter().map(pattern).collect()))
}

fn regex(value: &Value, modifiers: &Modifiers, at: Place) -> Result<Test, Mistake> {
    let mut builder = RegexBuilder::new(text(value, at)?);
    builder.size_limit(REGEX_BYTES_MAX);
    for flag in modifiers.flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            _ => builder.dot_matches_new_line(true),
        };
    }
    builder.build().map(Test::Regex).map_err(|error| {
        let what = error.to_string();
        let why = what.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        let is_beyond = why.contains("look-around") || why.contains("backreference");
        let (what, suggestion) = match is_beyond {
            true => ("not a regular expression that runs in linear time", "without look-around and back-references"),
            false => ("not a regular expression", "a character that is meant itself stands behind a backslash: \\("),
        };
        Mistake::new(at, format!("{what}: {why}")).suggest(suggestion)
    })
}

fn cidr(value: &Value, at: Place) -> Result<Test, Mistake> {
    let text = text(value, at)?;
    cidr_of(text).map(Test::Cidr).ok_or_else(|| {
        Mistake::new(at, format!("{text} is no network")).suggest("write it as 192.0.2.0/24 or 2001:db8::/32")
    })
}
