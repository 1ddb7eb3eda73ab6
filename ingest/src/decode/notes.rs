//! What a decoder notices beside its rows: names, layouts and log types that no field table knows, and, if that is asked
//! for, which decoder took each event and why.
//!
//! **Data in:** what falls to `unmapped` because no table names it. **Data out:** [`Seen`] with counts, and a [`Drift`] the
//! first time that a source sends something.
//!
//! A name that a table knows costs nothing. One that it does not is looked up in a set that is bounded: after
//! [`NAMES_MAX`] names it is counted as [`OTHER`]. Nothing is allocated for a name that was seen before.
//!
//! Absent: rows, dead letters, the clock.

use std::fmt;
use std::sync::Arc;

use dataflow::print::Print;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::AutoDecoder;
use super::syslog::HeaderKind;
use crate::normalize::Event;

/// Names of one kind that are told apart, of one source and decoder.
pub const NAMES_MAX: usize = 1_000;

/// What stands for the names beyond [`NAMES_MAX`].
pub const OTHER: &str = "other";

/// Bytes of a name; a longer one is cut.
const NAME_BYTES_MAX: usize = 256;

/// Sets of names: sources, times decoders, times kinds. What comes after them is not noted.
const SETS_MAX: usize = 4_096;

/// In what way a source differs from what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// An event of a type that no decoder knows.
    LogType,
    /// More columns than the type has.
    Layout,
    /// A name that no attribute takes.
    Key,
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [DriftKind; 3] = [DriftKind::LogType, DriftKind::Layout, DriftKind::Key];

    /// The name in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            DriftKind::LogType => "log_type",
            DriftKind::Layout => "layout",
            DriftKind::Key => "key",
        }
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first of its kind from a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drift {
    /// The topic.
    pub source: Arc<str>,
    /// The mapping or field table.
    pub by: &'static str,
    /// What it is.
    pub kind: DriftKind,
    /// Its name.
    pub name: String,
}

/// How often something was seen that no table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The topic.
    pub source: &'a str,
    /// The mapping or field table.
    pub by: &'static str,
    /// What it is.
    pub kind: DriftKind,
    /// Its name; a member within others by its path.
    pub name: &'a str,
    /// How often.
    pub count: u64,
}

/// Which decoder took an event, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The record's offset.
    pub offset: i64,
    /// The event's index within the record.
    pub index: i32,
    /// The mapping or field table.
    pub by: &'static str,
    /// How the record is written.
    pub format: &'static str,
    /// The kind of its syslog header.
    pub header: &'static str,
    /// What was true of it.
    pub why: String,
}

/// The notes of one decoder.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    sources: Vec<Arc<str>>,
    source: usize,
    /// The field table of the row at hand.
    by: &'static str,
    sets: Vec<Set>,
    /// The set that was used last.
    last: usize,
    fresh: Vec<Drift>,
    text: String,
    taken: Option<Vec<Taken>>,
}

/// Where a name was noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    set: usize,
    name: usize,
}

/// Names of one kind, of one source and field table.
#[derive(Debug)]
struct Set {
    source: usize,
    by: &'static str,
    kind: DriftKind,
    names: Vec<Name>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    other: u64,
    /// The name that was noted last.
    last: usize,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// Where the name proper begins, after the path of the object that it stands in.
    key_at: usize,
    path: Print,
    key: Print,
    count: u64,
    /// The name that was noted after this one the last time: a source repeats itself.
    next: usize,
}

impl Notes {
    /// What follows is of that source.
    pub(crate) fn begin_source(&mut self, source: &Arc<str>) {
        if self.sources.get(self.source).is_some_and(|known| known == source) {
            return;
        }
        self.source = self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
    }

    /// What follows is of a row of that field table.
    #[inline]
    pub(crate) fn begin_row(&mut self, by: &'static str) {
        self.by = by;
    }

    /// A name that the table does not know, in the object at `path`. Gives where it was noted, for [`Notes::again`].
    #[inline(never)]
    pub(crate) fn key(&mut self, path: &str, key: &str) -> Option<Noted> {
        self.note(DriftKind::Key, path, key)
    }

    /// The same name of a row of the same table again. False if it must be noted anew: it is another source's.
    #[inline]
    pub(crate) fn again(&mut self, noted: Noted) -> bool {
        let set = self.sets.get_mut(noted.set).filter(|set| set.source == self.source);
        let name = set.and_then(|set| set.names.get_mut(noted.name));
        name.is_some_and(|name| {
            name.count += 1;
            true
        })
    }

    /// A line with more columns than the table has.
    #[cold]
    pub(crate) fn layout(&mut self, columns: usize) {
        self.note_args(DriftKind::Layout, format_args!("{columns} columns"));
    }

    /// An event of a type that the decoder does not know.
    #[cold]
    pub(crate) fn log_type(&mut self, name: fmt::Arguments<'_>) {
        self.note_args(DriftKind::LogType, name);
    }

    /// The type of an event, if the row at hand is of the table of those that have none.
    #[inline]
    pub(crate) fn log_type_of(&mut self, by: &str, name: &str) {
        if self.by == by {
            self.log_type(format_args!("{name}"));
        }
    }

    fn note_args(&mut self, kind: DriftKind, name: fmt::Arguments<'_>) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let _ = fmt::write(&mut text, name);
        self.note(kind, "", &text);
        self.text = text;
    }

    fn note(&mut self, kind: DriftKind, path: &str, key: &str) -> Option<Noted> {
        let key = if key.len() > NAME_BYTES_MAX { &key[..key.floor_char_boundary(NAME_BYTES_MAX)] } else { key };
        let (name, fresh) = self.set(kind)?.note(path, key);
        if let Some(name) = fresh {
            let source = self.sources.get(self.source).cloned().unwrap_or_else(|| Arc::from(""));
            self.fresh.push(Drift { source, by: self.by, kind, name });
        }
        Some(Noted { set: self.last, name: name? })
    }

    fn set(&mut self, kind: DriftKind) -> Option<&mut Set> {
        let (source, by) = (self.source, self.by);
        let is_by = |set: &Set| std::ptr::eq(set.by, by) || set.by == by;
        let is_it = |set: &Set| set.source == source && set.kind == kind && is_by(set);
        if !self.sets.get(self.last).is_some_and(is_it) {
            self.last = self.sets.iter().position(is_it).unwrap_or(self.sets.len());
        }
        if self.last == self.sets.len() && self.last < SETS_MAX {
            self.sets.push(Set::new(source, by, kind));
        }
        self.sets.get_mut(self.last)
    }

    /// Notes who took an event, if that is asked for; `why` gives the header's kind and what was true.
    #[inline]
    pub(crate) fn took(&mut self, event: &Event<'_>, format: &'static str, why: impl FnOnce() -> (HeaderKind, String)) {
        if let Some(taken) = &mut self.taken {
            let (header, why) = why();
            let (offset, index) = (event.record.offset, event.index);
            taken.push(Taken { offset, index, by: self.by, format, header: header.name(), why });
        }
    }

    fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.sets.iter().flat_map(|set| {
            let source = self.sources.get(set.source).map_or("", |source| source);
            let of = move |name, count| Seen { source, by: set.by, kind: set.kind, name, count };
            let other = (set.other > 0).then(|| of(OTHER, set.other));
            set.names.iter().map(move |name| of(&*name.text, name.count)).chain(other)
        })
    }
}

impl Set {
    fn new(source: usize, by: &'static str, kind: DriftKind) -> Self {
        let (names, index, hasher) = (Vec::new(), HashTable::new(), DefaultHashBuilder::default());
        Self { source, by, kind, names, index, hasher, other: 0, last: 0 }
    }

    /// Counts a name. Gives its index, and the name if it is new; or [`OTHER`] the first time that there are too many.
    fn note(&mut self, path: &str, key: &str) -> (Option<usize>, Option<String>) {
        let guess = self.names.get(self.last).map_or(0, |last| last.next);
        match self.names.get_mut(guess) {
            Some(name) if name.is(path, key) => {
                name.count += 1;
                self.last = guess;
                (Some(guess), None)
            }
            _ => self.note_elsewhere(path, key),
        }
    }

    #[inline(never)]
    fn note_elsewhere(&mut self, path: &str, key: &str) -> (Option<usize>, Option<String>) {
        use std::hash::BuildHasher;
        let Self { names, index, hasher, other, .. } = self;
        let hash = hasher.hash_one((path, key));
        let is_it = |at: &u32| names[*at as usize].is(path, key);
        if let Some(at) = index.find(hash, is_it).map(|at| *at as usize) {
            names[at].count += 1;
            if let Some(last) = names.get_mut(self.last) {
                last.next = at;
            }
            self.last = at;
            return (Some(at), None);
        }
        if names.len() >= NAMES_MAX {
            *other += 1;
            return (None, (*other == 1).then(|| OTHER.to_owned()));
        }
        let name = Name::new(path, key);
        let text = String::from(&*name.text);
        names.push(name);
        let rehash = |at: &u32| hasher.hash_one(names[*at as usize].parts());
        index.insert_unique(hash, (names.len() - 1) as u32, rehash);
        (Some(names.len() - 1), Some(text))
    }
}

impl Name {
    fn new(path: &str, key: &str) -> Self {
        let text: Box<str> = if path.is_empty() { key.into() } else { format!("{path}.{key}").into() };
        let (key_at, path, key) = (text.len() - key.len(), Print::of(path.as_bytes()), Print::of(key.as_bytes()));
        Self { key_at, text, path, key, count: 1, next: 0 }
    }

    fn parts(&self) -> (&str, &str) {
        (&self.text[..self.key_at.saturating_sub(1)], &self.text[self.key_at..])
    }

    /// By the prints: to compare the texts of a heap, one after the other, costs a look at each one's page.
    #[inline]
    fn is(&self, path: &str, key: &str) -> bool {
        let (of_path, of_key) = (Print::of(path.as_bytes()), Print::of(key.as_bytes()));
        let is_whole = of_path.is_whole() && of_key.is_whole();
        self.key == of_key && self.path == of_path && (is_whole || self.parts() == (path, key))
    }
}

impl AutoDecoder {
    /// From now on, notes of each event which decoder took it: [`AutoDecoder::take_taken`] gives them.
    pub fn explain(&mut self) {
        self.targets.scratch.notes.taken.get_or_insert_default();
    }

    /// The events since the last call, in the order in which they were decoded.
    pub fn take_taken(&mut self) -> Vec<Taken> {
        self.targets.scratch.notes.taken.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What the sources sent for the first time since the last call. Costs nothing if there is none.
    pub fn take_drift(&mut self) -> Vec<Drift> {
        std::mem::take(&mut self.targets.scratch.notes.fresh)
    }

    /// All that no table knows, with counts.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.targets.scratch.notes.seen()
    }
}

#[cfg(test)]
mod tests;
