//! What can fail: loading rules (the author's mistakes, with their place) and running them.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// A mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The file, as it was named.
    pub file: String,
    /// Line from 1.
    pub line: u64,
    /// Column from 1.
    pub column: u64,
    /// What is wrong.
    pub what: String,
    /// What to try.
    pub suggestion: Option<String>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// Every mistake found, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleErrors(pub Vec<RuleError>);

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleErrors {}

/// Why a rule could not be evaluated. All are permanent: the same input fails again.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// An expression of a rule failed on its input, e.g. a division by zero.
    #[error("rule {rule}: {cause}")]
    Evaluate {
        /// The rule's uid.
        rule: String,
        /// DataFusion's reason.
        #[source]
        cause: Box<DataFusionError>,
    },
    /// An Arrow kernel refused.
    #[error("cannot rearrange rule state: {0}")]
    Arrow(#[from] ArrowError),
    /// A batch is not in its table's schema.
    #[error("batch of {table} lacks column {column}")]
    Schema {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A delta or snapshot could not be read back.
    #[error("cannot read {what}: {why}")]
    Decode {
        /// What it is: "delta", "exchange file" or "snapshot".
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A delta, exchange file or snapshot is of a release that writes others.
    #[error(
        "cannot read {what}: it is of version {found}, and this program reads {oldest} to {newest}: use one that reads it (docs/upgrade.md)"
    )]
    Version {
        /// What it is, as in [`AggregateError::Decode`].
        what: &'static str,
        /// Its version.
        found: u16,
        /// The oldest version that is read.
        oldest: u16,
        /// The newest, which is written.
        newest: u16,
    },
    /// A delta or snapshot of one merge group was given to another.
    #[error("state of merge group {found}, not {wanted}")]
    Group {
        /// The group it is of.
        found: u32,
        /// The group that was meant.
        wanted: u32,
    },
    /// A snapshot was asked for, or other rules were given, between `apply` and `step`.
    #[error("deltas were applied that no step has taken in; ask after the step")]
    Unsettled,
}

impl AggregateError {
    /// True if another release can read what this one cannot.
    pub fn is_of_another_version(&self) -> bool {
        matches!(self, AggregateError::Version { .. })
    }

    pub(crate) fn evaluate(rule: &str) -> impl Fn(DataFusionError) -> AggregateError {
        move |cause| AggregateError::Evaluate { rule: rule.to_owned(), cause: Box::new(cause) }
    }
}

/// The crate's result.
pub type Result<T, E = AggregateError> = std::result::Result<T, E>;
