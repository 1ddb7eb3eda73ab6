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
mod exec;
mod files;
mod fill;
mod head;
mod intern;
mod load;
mod plan;
mod reload;
mod select;
mod set;
mod source;
mod step;
mod target;
mod tests_of;
mod time;
mod words;

use std::sync::{Arc, LazyLock};

use dataflow::yaml;

pub use error::{MappingError, Place};
pub use reload::{Live, Outcome, Reloader};
pub use tests_of::TestFailure;

use crate::decode::{AutoDecoder, DecodeConfig};

use files::File;
use load::{Before, Loaded};
use plan::Plan;
use set::Set;
use tests_of::Case;

pub(crate) use set::{Buffers, Taken};

/// Every mapping a decoder may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mappings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plans: Vec<Plan>,
    /// The tests of each.
    cases: Vec<Vec<Case>>,
    /// The user's, then those that ship.
    sets: Vec<Set>,
    /// How many of the mappings are the user's: the first.
    users: usize,
    /// A number made of the user's files.
    print: Option<u32>,
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
        let (files, errors) = files::read(paths);
        Self::of_files(&files, errors)
    }

    /// The mappings of files, unless they or the others, that could not be read, have mistakes.
    fn of_files(files: &[File], unread: Vec<MappingError>) -> Result<Self, Vec<MappingError>> {
        if files.is_empty() && unread.is_empty() {
            return Ok(Self::builtin());
        }
        let named: Vec<(&str, &str)> = files.iter().map(|f| (f.name.as_str(), f.text.as_str())).collect();
        match Self::compile(builtin::FILES, &named, Some(files::print(files))) {
            Ok(mappings) if unread.is_empty() => Ok(mappings),
            Ok(_) => Err(unread),
            Err(mistakes) => Err([unread, mistakes].concat()),
        }
    }

    /// As [`Mappings::load`], from names and texts of files.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn with_files(files: &[(&str, &str)]) -> Result<Self, Vec<MappingError>> {
        Self::compile(builtin::FILES, files, None)
    }

    /// Mappings of these files alone: for tests, which need not read those that ship again and again.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn only(files: &[(&str, &str)]) -> Result<Self, Vec<MappingError>> {
        Self::compile(&[], files, None)
    }

    fn compile(
        shipped: &[(&str, &str)],
        files: &[(&str, &str)],
        print: Option<u32>,
    ) -> Result<Self, Vec<MappingError>> {
        let mut before = Before::default();
        let shipped = load_all(shipped, &mut before);
        before.begin_origin();
        let own = load_all(files, &mut before);
        let (shipped, own) = match (shipped, own) {
            (Ok(shipped), Ok(own)) => (shipped, own),
            (a, b) => return Err([a.err(), b.err()].into_iter().flatten().flatten().collect()),
        };
        let users = own.len();
        let (plans, cases): (Vec<Plan>, Vec<Vec<Case>>) = own.into_iter().chain(shipped).unzip();
        let sets = [0..users, users..plans.len()].into_iter().filter(|range| !range.is_empty());
        let sets = sets.map(|range| Set::new(&plans, range)).collect::<Result<Vec<_>, String>>();
        let mut sets = sets.map_err(|what| vec![files::unread("", what)])?;
        sets.iter_mut().fold(0, |first, set| set.number(first));
        Ok(Self(Arc::new(Inner { plans, cases, sets, users, print })))
    }

    /// A version made of the user's files; none for the mappings that ship, whose version is the program's.
    pub fn version(&self) -> Option<String> {
        self.print().map(|print| format!("crc32:{print:08x}"))
    }

    fn print(&self) -> Option<u32> {
        self.0.print
    }

    /// Names, formats and tables of the mappings.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &'static str, dataflow::Table)> {
        self.0.plans.iter().map(|plan| (plan.name, plan.format.name(), plan.table))
    }

    /// The user's mappings: name, and number of tests.
    pub fn own(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let plans = self.0.plans[..self.0.users].iter();
        plans.zip(&self.0.cases).map(|(plan, cases)| (plan.name, cases.len()))
    }

    /// Runs the tests that the mapping files hold.
    pub fn run_tests(&self) -> Vec<TestFailure> {
        self.run(0..self.0.plans.len())
    }

    /// Runs the tests that the user's mapping files hold.
    pub fn run_own_tests(&self) -> Vec<TestFailure> {
        self.run(0..self.0.users)
    }

    fn run(&self, plans: std::ops::Range<usize>) -> Vec<TestFailure> {
        let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), self.clone());
        self.0.cases[plans].iter().flatten().flat_map(|case| case.run(&mut decoder)).collect()
    }
}

fn load_all(files: &[(&str, &str)], before: &mut Before) -> Result<Vec<Loaded>, Vec<MappingError>> {
    let (mut loaded, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in files {
        match load::load(name, text, before) {
            Ok(found) => loaded.extend(found),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(errors) }
}

#[cfg(test)]
mod tests;
