//! A rule file: YAML text -> what the author wrote, with the places of its keys.

use serde::Deserialize;

use super::scenario::{Fault, RawTest};
use crate::error::RuleError;
use crate::sql::nearest;
use crate::watch::RawWatch;

/// A rule as it is written. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) level: Level,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) falsepositives: Vec<String>,
    /// How to fit it to a network: thresholds, what to except.
    #[serde(default)]
    pub(crate) tuning: String,
    /// What it detects: this, or `watch`.
    pub(crate) sql: Option<String>,
    pub(crate) watch: Option<RawWatch>,
    #[serde(default)]
    pub(crate) emit: Emit,
    pub(crate) allowed_lateness: Option<String>,
    pub(crate) suppress: Option<RawSuppress>,
    #[serde(default = "default_evidence")]
    pub(crate) evidence: usize,
    #[serde(default)]
    pub(crate) tests: Vec<RawTest>,
}

/// How long one alert stands for those that follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSuppress {
    #[serde(rename = "for")]
    pub(crate) length: String,
}

fn default_evidence() -> usize {
    10
}

/// What of a Sigma file is ours: Sigma lets tools add keys, and `tests` is one.
#[derive(Debug, Deserialize)]
struct SigmaTests {
    #[serde(default)]
    tests: Vec<RawTest>,
}

/// The tests of a Sigma file that holds one rule; none if it has no key `tests`.
pub(crate) fn tests_of_sigma(file: &RuleText<'_>) -> Result<Vec<RawTest>, RuleError> {
    if file.key_line("tests").is_none() {
        return Ok(Vec::new());
    }
    let parsed: Result<SigmaTests, _> = serde_saphyr::from_str(file.text);
    let tests = parsed.map_err(|error| file.yaml_error(error.without_snippet()))?.tests;
    file.check_tests(&tests)?;
    Ok(tests)
}

/// How grave a match is; Sigma's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the record.
    Informational,
    /// Little to do.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

impl Level {
    /// Every level, in order.
    pub(crate) const ALL: [Level; 5] = [Level::Informational, Level::Low, Level::Medium, Level::High, Level::Critical];

    /// As it is written in a rule.
    pub fn word(self) -> &'static str {
        match self {
            Level::Informational => "informational",
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }

    /// OCSF `severity_id` and `severity`.
    pub fn severity(self) -> (i32, &'static str) {
        match self {
            Level::Informational => (1, "Informational"),
            Level::Low => (2, "Low"),
            Level::Medium => (3, "Medium"),
            Level::High => (4, "High"),
            Level::Critical => (5, "Critical"),
        }
    }
}

/// When a windowed rule alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// When the watermark passes the window's end.
    #[default]
    OnClose,
    /// As soon as HAVING holds, and again at the end if the alert then reads otherwise.
    OnThreshold,
}

/// How a key is written rightly.
fn example(key: &str) -> Option<&'static str> {
    Some(match key {
        "title" => "title: Port scan from one source",
        "id" => "id: 5d1c3c0e-6a0b-4f6e-9b0a-3a3f0d6f2c11",
        "version" => "version: 1",
        "level" => "level: medium",
        "sql" => "sql: SELECT src_ip FROM network_activity WHERE action = 'Denied'",
        "watch" => "watch: {silence: {after: 15m, times: 2, learn: 1d}}",
        "tags" => "tags: [attack.discovery, attack.t1046]",
        "falsepositives" => "falsepositives: [Vulnerability scanners of your own]",
        "evidence" => "evidence: 10",
        "suppress" | "for" => "suppress: {for: 1h}",
        "tests" => "tests: [{name: fires, events: [{set: {dst_port: 22}}], alerts: [{values: {dst_port: 22}}]}]",
        "name" => "name: fires above the threshold",
        "events" => "events: [{count: 300, every: 100ms, set: {dst_port: {from: 1}}}]",
        _ => return None,
    })
}

/// Where the word stands in the line, not as a part of another.
fn whole_word(line: &str, word: &str) -> Option<usize> {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
    let found = line.match_indices(word).filter(|_| !word.is_empty());
    let mut found = found.filter(|(at, _)| {
        !is_part(line[..*at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    });
    found.next().map(|(at, _)| line[..at].chars().count())
}

/// A rule file's text, and where its keys stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleText<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> RuleText<'a> {
    /// Reads the YAML.
    pub(crate) fn parse(&self) -> Result<RawRule, RuleError> {
        serde_saphyr::from_str(self.text).map_err(|error| self.yaml_error(error.without_snippet()))
    }

    fn yaml_error(&self, error: &serde_saphyr::Error) -> RuleError {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let (what, suggestion) = match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                let near = nearest(field, expected.iter().copied());
                let suggestion =
                    near.map_or_else(|| format!("one of {}", expected.join(", ")), |n| format!("did you mean {n}?"));
                (format!("unknown key {field}"), Some(suggestion))
            }
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
                (format!("unknown value {variant}"), Some(format!("one of {}", expected.join(", "))))
            }
            serde_saphyr::Error::SerdeMissingField { field, .. } => return self.missing(field, (line, column)),
            other => self.said_otherwise(&other.to_string(), line),
        };
        RuleError { file: self.name.to_owned(), line, column, what, suggestion }
    }

    /// A key of the file itself is missing at its front; of a test, where the test stands.
    pub(crate) fn missing(&self, key: &str, (line, column): (u64, u64)) -> RuleError {
        let is_own = example(key).is_some() && self.key_line(key).is_none();
        let (line, column) = if is_own { (1, 1) } else { (line, column) };
        let suggestion = example(key).map(|example| format!("e.g. `{example}`"));
        RuleError { file: self.name.to_owned(), line, column, what: format!("key {key} is missing"), suggestion }
    }

    /// What the YAML reader says, in an author's words: it speaks of types, and repeats the place.
    fn said_otherwise(&self, text: &str, line: u64) -> (String, Option<String>) {
        let text = text.lines().next().unwrap_or_default();
        let text = text.split(" at line ").next().unwrap_or(text);
        let text = text.split(" at char ").next().unwrap_or(text);
        if let Some(rest) = text.strip_prefix("duplicate mapping key: ") {
            let key = rest.split(',').next().unwrap_or(rest);
            return (format!("key {key} stands twice"), Some("keep one of them".to_owned()));
        }
        let written = self.text.lines().nth(usize::try_from(line.saturating_sub(1)).unwrap_or_default());
        let (key, value) = written.and_then(|l| l.split_once(':')).unwrap_or_default();
        let (key, value) = (key.trim().trim_start_matches("- "), value.trim());
        let suggestion = example(key).map(|example| format!("e.g. `{example}`"));
        let kinds = [("invalid u", "a whole number"), ("invalid i", "a whole number"), ("expected sequence", "a list")];
        match kinds.iter().find(|(said, _)| text.starts_with(said)) {
            Some((_, kind)) if !key.is_empty() => (format!("{key} takes {kind}, not {value}"), suggestion),
            _ => (text.to_owned(), suggestion.or_else(|| Some("is a quote or bracket not closed?".to_owned()))),
        }
    }

    /// Line and column of a word within the value of a top-level key; the key's own, if it does not stand there.
    pub(crate) fn place_within(&self, key: &str, word: &str) -> (u64, u64) {
        let Some((first, _)) = self.key_line(key) else { return (1, 1) };
        let lines = self.text.lines().enumerate().skip(usize::try_from(first - 1).unwrap_or_default());
        let found = lines.filter_map(|(i, line)| Some((i as u64 + 1, whole_word(line, word)? as u64 + 1)));
        found.into_iter().next().unwrap_or((first, 1))
    }

    /// Refuses tests that cannot be run.
    pub(crate) fn check_tests(&self, tests: &[RawTest]) -> Result<(), RuleError> {
        tests.iter().try_for_each(|test| test.check().map_err(|fault| self.of_test(test, fault)))
    }

    /// A mistake in a test, where the word stands that is wrong.
    pub(crate) fn of_test(&self, test: &RawTest, fault: Fault) -> RuleError {
        let Fault { word, what, suggestion } = fault;
        let (line, column) = self.place_within("tests", &word);
        let what = format!("test {:?}: {what}", test.name);
        RuleError { file: self.name.to_owned(), line, column, what, suggestion }
    }

    /// A mistake in the value of a top-level key.
    pub(crate) fn at_key(&self, key: &str, what: impl Into<String>, suggestion: Option<String>) -> RuleError {
        let (line, column) = self.key_place(key);
        RuleError { file: self.name.to_owned(), line, column, what: what.into(), suggestion }
    }

    /// Line and column of a top-level key.
    pub(crate) fn key_place(&self, key: &str) -> (u64, u64) {
        (self.key_line(key).map_or(1, |(line, _)| line), 1)
    }

    fn key_line(&self, key: &str) -> Option<(u64, &'a str)> {
        let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let found = self.text.lines().enumerate().find(|(_, line)| is_key(line));
        found.map(|(i, line)| (i as u64 + 1, line))
    }

    /// The place in the file of a place in the SQL: a block scalar (`sql: |`) begins on the next line, indented.
    pub(crate) fn of_sql(&self, line: u64, column: u64) -> (u64, u64) {
        let Some((at, head)) = self.key_line("sql") else { return (line, column) };
        let value = head["sql:".len()..].trim_start();
        if !value.starts_with(['|', '>']) {
            let indent = (head.len() - value.len()) as u64;
            return (at + line - 1, if line == 1 { column + indent } else { column });
        }
        let block = self.text.lines().skip(at as usize);
        let indent = block.clone().find(|l| !l.trim().is_empty()).map_or(0, |l| l.len() - l.trim_start().len());
        (at + line, column + indent as u64)
    }
}
