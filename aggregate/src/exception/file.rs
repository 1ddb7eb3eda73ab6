//! An exceptions file: a YAML list -> exceptions, each with its places.

use dataflow::yaml::{Entry, Node, Yaml, documents};

use super::Exception;
use crate::error::RuleError;
use crate::rule::SUPPRESS_US_MAX;
use crate::rule::scenario::duration_us;
use crate::sql::nearest;

const KEYS: [&str; 6] = ["rule", "where", "suppress", "owner", "reason", "expires"];

/// An exception in full, for whoever lacks a part of it.
const EXAMPLE: &str = "{rule: port_scan, where: src_ip = '10.0.0.5', owner: netsec@example.com, \
                       reason: scanner of our own, expires: 2027-06-30}";

/// A file's name and text.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExceptionText<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl ExceptionText<'_> {
    /// Every exception that can be read, and every mistake.
    pub(super) fn read(self) -> (Vec<Exception>, Vec<RuleError>) {
        let documents = match documents(self.text) {
            Ok(documents) => documents,
            Err((at, what)) => return (Vec::new(), vec![self.error((at.line, at.column), what, None)]),
        };
        let (mut read, mut errors) = (Vec::new(), Vec::new());
        for node in documents.iter().flat_map(Node::each) {
            match self.exception(node) {
                Ok(exception) => read.push(exception),
                Err(error) => errors.push(error),
            }
        }
        (read, errors)
    }

    fn exception(self, node: &Node) -> Result<Exception, RuleError> {
        let at = (node.at.line, node.at.column);
        let Some(entries) = node.entries() else {
            let what = format!("an exception is a map, not {}", node.kind());
            return Err(self.error(at, what, Some(format!("- {EXAMPLE}"))));
        };
        if let Some(unknown) = entries.iter().find(|entry| !KEYS.contains(&entry.key.as_str())) {
            return Err(self.unknown(unknown));
        }
        let text = |key: &str| self.text_of(node, key);
        let rule = text("rule")?;
        let (condition, suppress_us) = match (node.get("where"), node.get("suppress")) {
            (Some(_), Some(both)) => {
                let what = "an entry has where or suppress, not both".to_owned();
                return Err(self.error(
                    (both.at.line, both.at.column),
                    what,
                    Some("write an entry for each".to_owned()),
                ));
            }
            (None, Some(_)) => self.suppress(text("suppress")?)?,
            _ => (text("where")?, 0),
        };
        let (owner, reason, expires) = (text("owner")?, text("reason")?, text("expires")?);
        let until_us = end_of_day_us(&expires.0).ok_or_else(|| {
            let what = format!("expires takes a day, not {}", expires.0);
            self.error(expires.1, what, Some("e.g. `expires: 2027-06-30`, the last day that it holds".to_owned()))
        })?;
        let at = |(line, column): (usize, usize)| (line as u64, column as u64);
        let within = self.within(node, condition.1);
        Ok(Exception {
            file: self.name.to_owned(),
            line: at(at_of(node)).0,
            rule_at: at(rule.1),
            condition_at: within.0,
            indent: within.1,
            rule: rule.0,
            condition: condition.0,
            suppress_us,
            owner: owner.0,
            reason: reason.0,
            expires: expires.0,
            until_us,
        })
    }

    /// A length of time in place of a condition: as it is written, where it stands, and the length.
    #[expect(clippy::type_complexity, reason = "what `text_of` gives, and a number")]
    fn suppress(self, (text, at): (String, (usize, usize))) -> Result<((String, (usize, usize)), i64), RuleError> {
        match duration_us(&text).filter(|us| (1..=SUPPRESS_US_MAX).contains(us)) {
            Some(us) => Ok(((format!("suppress {text}"), at), us)),
            None => {
                let what = format!("suppress takes a length above zero and up to 30d, not {text}");
                Err(self.error(at, what, Some("e.g. `suppress: 6h`".to_owned())))
            }
        }
    }

    /// The text of a key, and where it stands. It may not be empty.
    fn text_of(self, node: &Node, key: &str) -> Result<(String, (usize, usize)), RuleError> {
        let Some(entry) = node.get(key) else {
            let what = format!("an exception without {key}");
            return Err(self.error(at_of(node), what, Some(format!("- {EXAMPLE}"))));
        };
        let at = at_of(&entry.value);
        match &entry.value.value {
            Yaml::Scalar(text) if !text.trim().is_empty() => Ok((text.trim_end().to_owned(), at)),
            Yaml::Scalar(_) => Err(self.error(at, format!("{key} is empty"), Some(format!("- {EXAMPLE}")))),
            _ => Err(self.error(at, format!("{key} takes a text, not {}", entry.value.kind()), None)),
        }
    }

    fn unknown(self, entry: &Entry) -> RuleError {
        let near = nearest(&entry.key, KEYS);
        let suggestion = near.map_or_else(|| format!("one of {}", KEYS.join(", ")), |n| format!("did you mean {n}?"));
        self.error((entry.at.line, entry.at.column), format!("unknown key {}", entry.key), Some(suggestion))
    }

    /// Where the text of the condition begins, behind a quote if there is one, and what its further lines are indented by.
    fn within(self, node: &Node, (line, column): (usize, usize)) -> ((u64, u64), u64) {
        let entry = node.get("where");
        let is_quoted = entry.is_some_and(|entry| entry.value.is_quoted);
        let at = |column: usize| (line as u64, column as u64);
        match entry {
            // A block: its text stands below its key.
            Some(entry) if is_quoted && entry.at.line < line => (at(column), column.saturating_sub(1) as u64),
            _ => (at(column + usize::from(is_quoted)), 0),
        }
    }

    fn error(self, (line, column): (usize, usize), what: String, suggestion: Option<String>) -> RuleError {
        let (line, column) = (line.max(1) as u64, column.max(1) as u64);
        RuleError { file: self.name.to_owned(), line, column, what, suggestion }
    }
}

fn at_of(node: &Node) -> (usize, usize) {
    (node.at.line, node.at.column)
}

/// The first instant after a day, UTC.
fn end_of_day_us(day: &str) -> Option<i64> {
    let day: jiff::civil::Date = day.trim().parse().ok()?;
    let next = day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(next.timestamp().as_microsecond())
}
