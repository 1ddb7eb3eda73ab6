//! Log sources described as data: mapping files -> plans, and from a record the plan that takes it.
//!
//! **Data in:** YAML documents, those that ship (`ingest/mappings/`) and a user's; then records, as pairs or JSON.
//! **Data out:** rows. docs/adding-a-log-source.md is the language's reference.
//!
//! ```text
//!   yaml -> attribute, head -> compile -> plan      once, with every mistake at its line and column
//!   record -> decode/{kv,cef,leef,text,csv,json}
//!          -> select        the names of the record are looked at once; bits rule out nearly all mappings
//!          -> plan          a field that one attribute uses goes straight to its column, others through slots and steps
//! ```
//!
//! A [`Mappings`] never changes: it can be shared by decoders and exchanged between batches. A user's mappings are asked
//! before those that ship; among those of one origin, the one with more and more exact conditions takes the record.
//!
//! Absent: any vendor's name; the formats that have code of their own (PAN-OS, CloudTrail, VPC and Azure flow logs).

mod attribute;
mod builtin;
mod compile;
mod condition;
mod error;
mod head;
mod intern;
mod load;
mod plan;
mod select;
mod set;
mod source;
mod step;
mod target;
mod tests_of;
mod time;
mod words;
mod yaml;

use std::sync::{Arc, LazyLock};

pub use error::{MappingError, Place};
pub use tests_of::TestFailure;

use load::{Loaded, Templates};
use plan::Plan;
use set::Set;
use tests_of::Case;

pub(crate) use set::Buffers;

/// Every mapping a decoder may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mappings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plans: Vec<Plan>,
    cases: Vec<Case>,
    /// The user's, then those that ship.
    sets: Vec<Set>,
}

static BUILTIN: LazyLock<Mappings> = LazyLock::new(|| {
    Mappings::with_files(&[]).unwrap_or_else(|errors| panic!("a mapping that ships is wrong: {}", errors[0]))
});

impl Mappings {
    /// The mappings that ship.
    ///
    /// # Panics
    /// If one of them is wrong: a test loads them.
    pub fn builtin() -> Self {
        BUILTIN.clone()
    }

    /// A user's mapping files, by paths or globs, and those that ship.
    ///
    /// # Errors
    /// Every mistake of every file; a file that cannot be read, a pattern that finds none.
    pub fn load<P: AsRef<str>>(paths: &[P]) -> Result<Self, Vec<MappingError>> {
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for pattern in paths.iter().map(AsRef::as_ref) {
            match read_files(pattern) {
                Ok(found) => files.extend(found),
                Err(what) => errors.push(unread(pattern, what)),
            }
        }
        if files.is_empty() && errors.is_empty() {
            return Ok(Self::builtin());
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        match Self::with_files(&files) {
            Ok(mappings) if errors.is_empty() => Ok(mappings),
            Ok(_) => Err(errors),
            Err(further) => Err([errors, further].concat()),
        }
    }

    /// As [`Mappings::load`], from names and texts of files.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn with_files(files: &[(&str, &str)]) -> Result<Self, Vec<MappingError>> {
        let mut templates = Templates::new();
        let shipped = load_all(builtin::FILES, &mut templates);
        let own = load_all(files, &mut templates);
        let (shipped, own) = match (shipped, own) {
            (Ok(shipped), Ok(own)) => (shipped, own),
            (a, b) => return Err([a.err(), b.err()].into_iter().flatten().flatten().collect()),
        };
        let users = own.len();
        let (plans, cases): (Vec<Plan>, Vec<Vec<Case>>) = own.into_iter().chain(shipped).unzip();
        let sets = [0..users, users..plans.len()].into_iter().filter(|range| !range.is_empty());
        let sets = sets.map(|range| Set::new(&plans, range)).collect::<Result<_, String>>();
        let sets = sets.map_err(|what| vec![unread("", what)])?;
        Ok(Self(Arc::new(Inner { plans, cases: cases.concat(), sets })))
    }

    /// Names, formats and tables of the mappings.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &'static str, dataflow::Table)> {
        self.0.plans.iter().map(|plan| (plan.name, plan.format.name(), plan.table))
    }

    /// Runs the tests that the mapping files hold.
    pub fn run_tests(&self) -> Vec<TestFailure> {
        self.0.cases.iter().flat_map(|case| case.run(self)).collect()
    }
}

fn load_all(files: &[(&str, &str)], templates: &mut Templates) -> Result<Vec<Loaded>, Vec<MappingError>> {
    let (mut loaded, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in files {
        match load::load(name, text, templates) {
            Ok(found) => loaded.extend(found),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn unread(file: &str, what: String) -> MappingError {
    MappingError { file: file.to_owned(), at: Place::default(), what, suggestion: None }
}

fn read_files(pattern: &str) -> Result<Vec<(String, String)>, String> {
    let paths = glob::glob(pattern).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|e| e.to_string())?;
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        found.push((path.display().to_string(), text));
    }
    if found.is_empty() { Err("no such file".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
