//! Running the steps of one row: from slots and arrays to columns.

use dataflow::Leaf;

use crate::decode::fields::{Objects, Target};
use crate::decode::json::{At, Doc, Value};
use crate::decode::row::Row;
use crate::normalize::ocsf::{Caption, OTHER, UNKNOWN};
use crate::normalize::{Class, action, enums};

use super::fill::{Done, otherwise, read, set_endpoint, set_length, set_protocol, set_user, set_word, taken};
use super::source::{Inner, Pick};
use super::step::{Elements, PIECES_MAX, Piece, Source, Step, Verdict, What};
use super::time::{TimeSpec, Zone, zone_seconds};
use super::words::Words;

/// A value, and where it stands in a document.
#[derive(Debug, Clone, Copy)]
struct Found<'v> {
    value: Value<'v>,
    at: Option<At>,
}

/// What the steps of one row share.
#[derive(Debug)]
pub(super) struct Exec<'p, 'v> {
    pub(super) class: &'p Class,
    pub(super) doc: Option<Doc<'v>>,
    pub(super) received_at: i64,
    /// Slots whose values the columns say.
    pub(super) taken: u64,
    /// Texts of a document that stand for nothing.
    pub(super) empty: &'p [Box<str>],
}

impl<'v> Exec<'_, 'v> {
    pub(super) fn take(&mut self, source: &Source) {
        if source.inner.is_none() {
            self.taken |= 1 << source.slot;
        }
    }

    /// The value of a source; none if it is empty.
    fn value(&self, row: &Row<'_, 'v>, source: &Source) -> Option<Found<'v>> {
        let field = row.peek(source.slot)?;
        let (value, at) = match (&source.inner, self.doc, field.at()) {
            (None, _, at) => (field.value, at),
            (Some(inner), Some(doc), Some(at)) => {
                let at = find(doc, at, inner)?;
                (doc.value(at), Some(at))
            }
            _ => return None,
        };
        (!is_void(value) && !self.is_empty(value)).then_some(Found { value, at })
    }

    fn is_empty(&self, value: Value<'_>) -> bool {
        !self.empty.is_empty() && value.scalar().is_some_and(|text| self.empty.iter().any(|empty| **empty == *text))
    }

    pub(super) fn text(&self, row: &Row<'_, 'v>, source: &Source) -> Option<&'v str> {
        self.value(row, source)?.value.scalar()
    }

    pub(super) fn run(&mut self, row: &mut Row<'_, 'v>, step: &Step) {
        for source in &step.from {
            let Some(value) = self.value(row, source) else { continue };
            if step.unless.as_ref().is_some_and(|other| self.text(row, other) == value.value.scalar()) {
                self.take(source);
                continue;
            }
            match self.apply(row, &step.what, value) {
                Done::Taken => return self.take(source),
                Done::Read => return,
                Done::No => {}
            }
        }
        match &step.what {
            What::Template(target, pieces) if self.write_template(row, target, pieces) => {}
            What::Element(list, steps) => self.element(row, list, steps),
            What::Elements(elements) => self.elements(row, elements),
            What::Time(target, spec) => self.set_time(row, target, spec),
            what => otherwise(self.class, row, what, step.otherwise),
        }
    }

    fn apply(&self, row: &mut Row<'_, 'v>, what: &What, found: Found<'v>) -> Done {
        match (what, found.value.scalar()) {
            (What::Column(target), _) => taken(row.set(target, found.value)),
            (What::Hot(target), _) => read(row.set(target, found.value)),
            (What::Texts(_, objects), _) if row.is_barred(*objects) => Done::No,
            (What::Texts(leaf, objects), None) => self.push_texts(row, (*leaf, *objects), found.at),
            (_, None) => Done::No,
            (What::Length(target, length), Some(text)) => set_length(row, target, *length, text),
            (What::Enum(e), Some(text)) => e.set(row, text),
            (What::Activity(words, own), Some(text)) => self.set_activity(row, words, own, text),
            (What::Action(words), Some(text)) => self.set_action(row, words.as_ref(), text),
            (What::User(name, domain), Some(text)) => set_user(row, name, domain, text),
            (What::Endpoint(ip, port), Some(text)) => set_endpoint(row, ip, port, text),
            (What::Words(target, words), Some(text)) => set_word(row, target, words, text),
            (What::Protocol(number, name), Some(text)) => set_protocol(row, number, name, text),
            (What::Os([name, id, caption]), Some(text)) => {
                let unknown = if text.eq_ignore_ascii_case(UNKNOWN.1) { UNKNOWN } else { (OTHER, text) };
                let known = enums::os(text).unwrap_or(unknown);
                row.set_text(name, text);
                taken(row.set_enum(id, Some(caption), known))
            }
            (What::Url(targets), Some(text)) => targets.set(row, text),
            (What::Texts(leaf, objects), Some(text)) => {
                row.touch(*objects);
                row.builder.push_str(*leaf, text);
                Done::Taken
            }
            (What::Time(..) | What::Template(..) | What::Element(..) | What::Elements(_), Some(_)) => Done::No,
        }
    }

    fn set_activity(&self, row: &mut Row<'_, 'v>, words: &Words<i32>, own: &[Caption], text: &str) -> Done {
        let found =
            words.find(text).copied().or_else(|| own.iter().find(|(_, c)| c.eq_ignore_ascii_case(text)).map(|c| c.0));
        let Some(id) = found else { return Done::No };
        self.class.set_activity(row, id);
        let says = own.iter().any(|(i, caption)| *i == id && caption.eq_ignore_ascii_case(text));
        if says { Done::Taken } else { Done::Read }
    }

    fn set_action(&self, row: &mut Row<'_, 'v>, words: Option<&Words<Verdict>>, text: &'v str) -> Done {
        let found = match words.map(|words| words.find(text)) {
            Some(Some(&(action, disposition))) => {
                let exact = [action, disposition].iter().any(|(_, caption)| caption.eq_ignore_ascii_case(text));
                action::Found { action, disposition, exact }
            }
            Some(None) => return Done::No,
            None => action::find(text),
        };
        self.class.set_action(row, &found);
        if found.exact { Done::Taken } else { Done::Read }
    }

    /// The elements of an array of texts; all of them, or the array stays where it is.
    fn push_texts(&self, row: &mut Row<'_, 'v>, (leaf, objects): (Leaf, Objects), array: Option<At>) -> Done {
        let (Some(doc), Some(array)) = (self.doc, array) else { return Done::No };
        let texts = || doc.elements(array).map(|at| doc.value(at).scalar());
        if texts().any(|text| text.is_none()) || texts().next().is_none() {
            return Done::No;
        }
        row.touch(objects);
        texts().flatten().for_each(|text| row.builder.push_str(leaf, text));
        Done::Taken
    }

    fn write_template(&self, row: &mut Row<'_, 'v>, target: &Target, pieces: &[Piece]) -> bool {
        let is_whole = pieces.iter().all(|p| match p {
            Piece::Text(_) => true,
            Piece::Field(source) => self.text(row, source).is_some(),
        });
        if !is_whole {
            return false;
        }
        let mut texts = [""; PIECES_MAX];
        for (text, piece) in texts.iter_mut().zip(pieces) {
            *text = match piece {
                Piece::Text(text) => text,
                Piece::Field(source) => self.text(row, source).unwrap_or_default(),
            };
        }
        row.set_joined(target, &texts)
    }

    fn set_time(&mut self, row: &mut Row<'_, 'v>, target: &Target, spec: &TimeSpec) {
        let time = self.time(row, spec).filter(|time| dataflow::time::RANGE_US.contains(time));
        if time.is_some_and(|time| row.set_number(target, time)) {
            spec.from.iter().for_each(|source| self.take(source));
        }
    }

    /// The time that a specification finds.
    pub(super) fn time(&self, row: &mut Row<'_, 'v>, spec: &TimeSpec) -> Option<i64> {
        let zone = match &spec.zone {
            Zone::Fixed(seconds) => *seconds,
            Zone::Field(source) => self.text(row, source).and_then(zone_seconds).unwrap_or_default(),
        };
        if let [source] = spec.from.as_slice() {
            return spec.unit.read(self.text(row, source)?, zone, self.received_at);
        }
        let texts = self.texts(row, spec)?;
        row.with_joined(&texts, |text| spec.unit.read(text, zone, self.received_at))
    }

    /// The texts of a time's fields, a space between them; none if one is missing.
    pub(super) fn texts(&self, row: &Row<'_, 'v>, spec: &TimeSpec) -> Option<[&'v str; PIECES_MAX]> {
        let mut texts = [""; PIECES_MAX];
        for (i, source) in spec.from.iter().enumerate() {
            if i > 0 {
                *texts.get_mut(2 * i - 1)? = " ";
            }
            *texts.get_mut(2 * i)? = self.text(row, source)?;
        }
        Some(texts)
    }

    fn element(&mut self, row: &mut Row<'_, 'v>, list: &str, steps: &[Step]) {
        let is_there = |step: &Step| step.from.iter().any(|source| self.value(row, source).is_some());
        // What all of the attributes lie in is begun only by one that makes it valid.
        let objects = |step: &Step| step.what.objects();
        let own =
            steps.iter().filter_map(objects).map(|(touched, _)| touched).reduce(Objects::common).unwrap_or_default();
        let makes = |step: &Step| match objects(step) {
            Some((touched, _)) if row.is_barred(touched) => false,
            Some((_, satisfied)) => own.is_empty() || satisfied.meets(own),
            None => own.is_empty(),
        };
        if steps.iter().any(|step| makes(step) && is_there(step)) {
            row.builder.begin_element(list);
            steps.iter().for_each(|step| self.run(row, step));
        }
    }

    /// Elements of an array that have what makes them valid. If that is not all that the array says, it stays in
    /// `unmapped` too.
    fn elements(&mut self, row: &mut Row<'_, 'v>, elements: &Elements) {
        let (Some(doc), Some(at)) = (self.doc, row.peek(elements.slot).and_then(|f| f.at())) else { return };
        let is_array = !doc.is_object(at) && matches!(doc.value(at), Value::Nested(_));
        let mut is_whole = is_array;
        for element in doc.elements(at) {
            let value = |path: &[&str]| {
                let at = member(doc, element, path)?;
                Some(Found { value: doc.value(at), at: Some(at) }).filter(|found| !is_void(found.value))
            };
            let is_valid = elements.needed.iter().any(|&i| value(&elements.members[i].0).is_some());
            if !is_valid && !elements.needed.is_empty() {
                is_whole = false;
                continue;
            }
            row.begin_element(elements.list, elements.objects);
            let mut said = 0;
            for (path, what) in &elements.members {
                let done = value(path).map_or(Done::No, |found| self.apply(row, what, found));
                said += usize::from(done == Done::Taken);
            }
            elements.fixed.iter().for_each(|step| self.run(row, step));
            is_whole &= said == scalars(doc, element);
        }
        if is_whole {
            self.taken |= 1 << elements.slot;
        }
    }
}

fn is_void(value: Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Text { text: "", .. })
}

/// The place that `inner` picks in an array.
fn find(doc: Doc<'_>, array: At, inner: &Inner) -> Option<At> {
    let element = match inner.pick {
        Pick::Each => doc.elements(array).next(),
        Pick::Index(index) => doc.elements(array).nth(index),
        Pick::Where(key, want) => {
            let is_it = |at: &At| doc.member(*at, key).and_then(|at| doc.value(at).scalar()) == Some(want);
            doc.elements(array).find(is_it)
        }
    };
    let at = member(doc, element?, &inner.path)?;
    inner.then.as_ref().map_or(Some(at), |then| find(doc, at, then))
}

pub(super) fn member(doc: Doc<'_>, at: At, path: &[&str]) -> Option<At> {
    path.iter().try_fold(at, |at, key| doc.member(at, key))
}

/// Values that are neither objects nor empty, at any depth; an array counts as one.
fn scalars(doc: Doc<'_>, at: At) -> usize {
    if doc.is_object(at) {
        return doc.members(at).map(|m| scalars(doc, m.at)).sum();
    }
    usize::from(!is_void(doc.value(at)))
}
