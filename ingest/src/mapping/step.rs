//! What a mapping does with the fields that need more than a column: one step an attribute, in the file's order.

use std::fmt;

use dataflow::Leaf;

use crate::decode::fields::{Objects, Target};
use crate::decode::json::{At, Doc, Value};
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::ocsf::{Caption, OTHER, UNKNOWN};
use crate::normalize::{Class, action, enums};

use super::source::{Inner, Pick};
use super::time::{TimeSpec, Zone, zone_seconds};
use super::words::Words;

/// A slot, and what of its value is meant.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) slot: u8,
    pub(super) inner: Option<Inner>,
}

/// An attribute.
#[derive(Debug)]
pub(super) struct Step {
    /// The first that is there and fits is used.
    pub(super) from: Vec<Source>,
    pub(super) what: What,
    pub(super) otherwise: Otherwise,
}

/// What a value becomes.
#[derive(Debug)]
pub(super) enum What {
    Column(Target),
    /// A length of time in milliseconds.
    Length(Target, Length),
    Time(Target, TimeSpec),
    Enum(Enum),
    Activity(Words<i32>, &'static [Caption]),
    Action(Option<Words<Verdict>>),
    User {
        name: Target,
        domain: Target,
    },
    Protocol {
        number: Target,
        name: Target,
    },
    Address {
        ip: Target,
        port: Target,
    },
    /// A text for each word, set as if it stood in the record.
    Words(Target, Words<&'static str>),
    Os {
        name: Target,
        id: Target,
        caption: Target,
    },
    Url(UrlTargets),
    /// A list of texts.
    Texts(Leaf),
    /// Texts and fields in turn.
    Template(Target, Vec<Piece>),
    /// One element of a list of objects, if one of its fields is there.
    Element(&'static str, Vec<Step>),
    /// An element for each of an array's.
    Elements(Elements),
}

/// An enum's columns.
#[derive(Debug)]
pub(super) struct Enum {
    pub(super) id: Target,
    pub(super) caption: Option<Target>,
    pub(super) words: Words<Caption>,
    /// OCSF's own values, which a word may be.
    pub(super) own: &'static [Caption],
    pub(super) vocabulary: Option<fn(&str) -> Option<Caption>>,
}

/// Action and disposition.
pub(super) type Verdict = (Caption, Caption);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// A number of that many nanoseconds.
    Nanos(i64),
    /// `hh:mm:ss`
    Clock,
}

#[derive(Debug)]
pub(super) struct UrlTargets {
    pub(super) whole: Target,
    pub(super) parts: [Option<Target>; 4],
    pub(super) port: Option<Target>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(&'static str),
    Field(Source),
}

#[derive(Debug)]
pub(super) struct Elements {
    pub(super) slot: u8,
    pub(super) list: &'static str,
    /// Objects that lie in an element.
    pub(super) objects: Objects,
    pub(super) members: Vec<(Vec<&'static str>, What)>,
    /// Members of which an element must have one.
    pub(super) needed: Vec<usize>,
    pub(super) fixed: Vec<Step>,
}

/// What stands where no field says it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Otherwise {
    Nothing,
    Text(&'static str),
    Caption(Caption),
    Verdict(Verdict),
}

/// A value, and where it stands in a document.
#[derive(Debug, Clone, Copy)]
struct Found<'v> {
    value: Value<'v>,
    at: Option<At>,
}

/// What a value did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// The columns say it.
    Taken,
    /// The columns say what it means, but not its own word.
    Read,
    No,
}

/// What the steps of one row share.
#[derive(Debug)]
pub(super) struct Exec<'p, 'v> {
    pub(super) class: &'p Class,
    pub(super) doc: Option<Doc<'v>>,
    pub(super) received_at: i64,
    /// Slots whose values the columns say.
    pub(super) taken: u64,
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
        (!is_void(value)).then_some(Found { value, at })
    }

    pub(super) fn text(&self, row: &Row<'_, 'v>, source: &Source) -> Option<&'v str> {
        self.value(row, source)?.value.scalar()
    }

    pub(super) fn run(&mut self, row: &mut Row<'_, 'v>, step: &Step) {
        for source in &step.from {
            let Some(value) = self.value(row, source) else { continue };
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
            (What::Texts(leaf), None) => self.push_texts(row, *leaf, found.at),
            (_, None) => Done::No,
            (What::Length(target, length), Some(text)) => {
                length.millis(text).map_or(Done::No, |ms| taken(row.set_number(target, ms)))
            }
            (What::Enum(e), Some(text)) => e.set(row, text),
            (What::Activity(words, own), Some(text)) => self.set_activity(row, words, own, text),
            (What::Action(words), Some(text)) => self.set_action(row, words.as_ref(), text),
            (What::User { name, domain }, Some(text)) => set_user(row, name, domain, text),
            (What::Protocol { number, name }, Some(text)) => set_protocol(row, number, name, text),
            (What::Address { ip, port }, Some(text)) => set_address(row, ip, port, text),
            (What::Words(target, words), Some(text)) => match words.find(text) {
                Some(meaning) if !row.set_text(target, meaning) => Done::No,
                Some(meaning) if *meaning == text => Done::Taken,
                Some(_) => Done::Read,
                None => Done::No,
            },
            (What::Os { name, id, caption }, Some(text)) => {
                let unknown = if text.eq_ignore_ascii_case(UNKNOWN.1) { UNKNOWN } else { (OTHER, text) };
                let known = enums::os(text).unwrap_or(unknown);
                row.set_text(name, text);
                taken(row.set_enum(id, Some(caption), known))
            }
            (What::Url(targets), Some(text)) => targets.set(row, text),
            (What::Texts(leaf), Some(text)) => {
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
    fn push_texts(&self, row: &mut Row<'_, 'v>, leaf: Leaf, array: Option<At>) -> Done {
        let (Some(doc), Some(array)) = (self.doc, array) else { return Done::No };
        let texts = || doc.elements(array).map(|at| doc.value(at).scalar());
        if texts().any(|text| text.is_none()) || texts().next().is_none() {
            return Done::No;
        }
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
        row.set_args(target, format_args!("{}", Joined(&texts)))
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
        row.with_args(format_args!("{}", Joined(&texts)), |text| spec.unit.read(text, zone, self.received_at))
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
        if steps.iter().any(is_there) {
            row.builder.begin_element(list);
            steps.iter().for_each(|step| self.run(row, step));
        }
    }

    /// Elements of an array that have what makes them valid. If that is not all that the array says, it stays in
    /// `unmapped` too.
    fn elements(&mut self, row: &mut Row<'_, 'v>, elements: &Elements) {
        let (Some(doc), Some(at)) = (self.doc, row.peek(elements.slot).and_then(|f| f.at())) else { return };
        let mut is_whole = true;
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

/// Sets what stands where no field says it.
pub(super) fn otherwise(class: &Class, row: &mut Row<'_, '_>, what: &What, otherwise: Otherwise) {
    match (what, otherwise) {
        (What::Column(target) | What::Words(target, _) | What::Template(target, _), Otherwise::Text(text))
            if makes_sense(row, target) =>
        {
            row.set_text(target, text);
        }
        (What::User { name, .. } | What::Protocol { name, .. }, Otherwise::Text(text)) => {
            row.set_text(name, text);
        }
        (What::Texts(leaf), Otherwise::Text(text)) => row.builder.push_str(*leaf, text),
        (What::Enum(e), Otherwise::Caption(value)) if makes_sense(row, &e.id) => {
            row.set_enum(&e.id, e.caption.as_ref(), value);
        }
        (What::Activity(..), Otherwise::Caption((id, _))) => class.set_activity(row, id),
        (What::Action(_), Otherwise::Verdict((action, disposition))) => {
            class.set_action(row, &action::Found { action, disposition, exact: true });
        }
        _ => {}
    }
}

/// Parts of a template or of a joined time.
pub(super) const PIECES_MAX: usize = 12;

pub(super) struct Joined<'a>(pub(super) &'a [&'a str]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|text| f.write_str(text))
    }
}

fn taken(set: bool) -> Done {
    if set { Done::Taken } else { Done::No }
}

fn is_void(value: Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Text { text: "", .. })
}

/// A constant makes no object: it stands in one that something else has made.
fn makes_sense(row: &Row<'_, '_>, target: &Target) -> bool {
    row.are_valid(target.touches.without(target.satisfies))
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

impl Enum {
    fn set(&self, row: &mut Row<'_, '_>, text: &str) -> Done {
        let own = || self.own.iter().copied().find(|(_, caption)| caption.eq_ignore_ascii_case(text));
        let word = || self.vocabulary.and_then(|find| find(text));
        let (id, caption) = match self.words.find(text).copied().or_else(own).or_else(word) {
            Some((OTHER, _)) => (OTHER, text),
            Some(found) => found,
            None => return Done::No,
        };
        match row.set_enum(&self.id, self.caption.as_ref(), (id, caption)) {
            false => Done::No,
            true if caption.eq_ignore_ascii_case(text) => Done::Taken,
            true => Done::Read,
        }
    }
}

impl Length {
    fn millis(self, text: &str) -> Option<i64> {
        match self {
            Self::Nanos(nanos) => {
                let micros = values::decimal_micros(text)?;
                i64::try_from(i128::from(micros) * i128::from(nanos) / 1_000_000_000_000).ok()
            }
            Self::Clock => {
                let parts = text.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..1_000_000).contains(n)));
                parts.into_iter().try_fold(0, |sum, part| Some(sum * 60 + part?)).and_then(|s: i64| s.checked_mul(1000))
            }
        }
    }
}

impl UrlTargets {
    fn set(&self, row: &mut Row<'_, '_>, text: &str) -> Done {
        if !row.set_text(&self.whole, text) {
            return Done::No;
        }
        let url = values::url(text);
        for (target, part) in self.parts.iter().zip([url.scheme, url.host, url.path, url.query]) {
            if let (Some(target), Some(part)) = (target, part) {
                row.set_text(target, part);
            }
        }
        if let (Some(target), Some(port)) = (&self.port, url.port) {
            row.set_number(target, port.into());
        }
        Done::Taken
    }
}

/// `domain\user` in two columns; anything else is one name.
fn set_user(row: &mut Row<'_, '_>, name: &Target, domain: &Target, text: &str) -> Done {
    let (of, user) = values::split_user(text);
    if !row.set_text(name, user) {
        return Done::No;
    }
    match of {
        Some(of) => taken(row.set_text(domain, of)).or_read(),
        None => Done::Taken,
    }
}

/// An address, and the port if one stands behind it.
fn set_address(row: &mut Row<'_, '_>, ip: &Target, port: &Target, text: &str) -> Done {
    let (address, number) = values::split_port(text);
    match number {
        _ if !row.set_text(ip, address) => Done::No,
        Some(number) => taken(row.set_text(port, number)).or_read(),
        None => Done::Taken,
    }
}

/// A number or a name: the columns hold both.
fn set_protocol(row: &mut Row<'_, '_>, number: &Target, name: &Target, text: &str) -> Done {
    let by_number = values::integer(text).and_then(|n| u8::try_from(n).ok()).map(i32::from);
    match (by_number, enums::protocol(text)) {
        (Some(n), _) => {
            if let Some(known) = enums::protocol_name(n) {
                row.set_text(name, known);
            }
            taken(row.set_number(number, n.into()))
        }
        (None, known) => {
            if let Some(n) = known {
                row.set_number(number, n.into());
            }
            taken(row.set_text(name, text))
        }
    }
}

impl Done {
    fn or_read(self) -> Self {
        if self == Self::No { Self::Read } else { self }
    }
}
