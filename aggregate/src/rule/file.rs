//! A rule file: YAML text -> what the author wrote, with the places of its keys.

use serde::Deserialize;

use super::scenario::RawTest;
use crate::error::RuleError;
use crate::sql::nearest;

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
    pub(crate) sql: String,
    #[serde(default)]
    pub(crate) emit: Emit,
    pub(crate) allowed_lateness: Option<String>,
    #[serde(default = "default_evidence")]
    pub(crate) evidence: usize,
    #[serde(default)]
    pub(crate) tests: Vec<RawTest>,
}

fn default_evidence() -> usize {
    10
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
    pub(crate) fn word(self) -> &'static str {
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
            serde_saphyr::Error::SerdeMissingField { field, .. } => (format!("key {field} is missing"), None),
            other => (other.to_string().lines().next().unwrap_or_default().to_owned(), None),
        };
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
