//! Why a mapping file is refused.

use std::fmt;

pub use dataflow::yaml::Place;

/// A mistake in a mapping file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}{}", At(*at), Hint(suggestion.as_deref()))]
pub struct MappingError {
    /// The file.
    pub file: String,
    /// Where it stands; 0 if it is the file itself.
    pub at: Place,
    /// What is wrong.
    pub what: String,
    /// What was perhaps meant.
    pub suggestion: Option<String>,
}

struct At(Place);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.line == 0 { Ok(()) } else { write!(f, ":{}", self.0) }
    }
}

struct Hint<'a>(Option<&'a str>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |near| write!(f, "; did you mean {near}?"))
    }
}

/// A mistake before its file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) at: Place,
    pub(super) what: String,
    pub(super) suggestion: Option<String>,
}

impl Mistake {
    pub(super) fn new(at: Place, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), suggestion: None }
    }

    /// With the candidate that looks most like `word`, if one does.
    pub(super) fn near<'a>(mut self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let scored = candidates.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75);
        self.suggestion = best.map(|(_, name)| name.to_owned());
        self
    }

    pub(super) fn of_file(self, file: &str) -> MappingError {
        MappingError { file: file.to_owned(), at: self.at, what: self.what, suggestion: self.suggestion }
    }
}
