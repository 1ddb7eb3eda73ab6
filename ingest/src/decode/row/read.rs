//! Fields of an event, in each of the ways that formats have them, to columns, slots and `unmapped`.

use dataflow::json::push_string;

use super::unmapped::open_member;
use super::{Row, Slotted};
use crate::decode::fields::{Field, To};
use crate::decode::json::{At, Doc, Value};
use crate::decode::keys::Keys;
use crate::decode::names::Place;
use crate::decode::notes::Noted;
use crate::decode::pairs::Pairs;

/// What is known of a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownField {
    /// Where it is among the table's.
    position: Option<u16>,
    /// Of one that the table does not know: where it was noted.
    noted: Option<Noted>,
}

/// What is known of the name of that number; `position` tells where a new one is.
#[inline]
fn known_field<'k>(
    known: &'k mut Vec<KnownField>,
    id: u16,
    keys: &Keys,
    position: impl Fn(&str) -> Option<u16>,
) -> &'k mut KnownField {
    while known.len() <= usize::from(id) {
        known.push(KnownField { position: position(keys.text(known.len())), noted: None });
    }
    &mut known[usize::from(id)]
}

impl<'v> Row<'_, 'v> {
    /// Takes a line's columns, the empty ones among them; as [`Row::read_filled`].
    pub(crate) fn read_columns(&mut self, columns: impl Iterator<Item = &'v str>) {
        self.read_filled(columns.enumerate().filter(|(_, text)| !text.is_empty()));
    }

    /// Takes a line's columns with their places; those beyond the table's are named `column_N` by their place from 1.
    pub(crate) fn read_filled(&mut self, columns: impl Iterator<Item = (usize, &'v str)>) {
        let fields = self.fields;
        for (i, text) in columns {
            match fields.columns().get(i) {
                Some(field) => self.read_field(field, text),
                None => self.keep_column(i + 1, text),
            }
        }
    }

    /// Takes one field. A line has dozens: what a call costs each time would be a tenth of all.
    #[inline(always)]
    pub(crate) fn read_field(&mut self, field: &Field, text: &'v str) {
        match &field.to {
            To::Column(target) if self.set_scalar(target, text) => {}
            To::Slot(slot) if self.is_free(*slot) => {
                self.put(*slot, Slotted { scope: 0, name: field.name, value: Value::text(text), at: None });
            }
            _ => self.keep_field(field, text),
        }
    }

    /// Takes named values of a flat format.
    pub(crate) fn read_pairs(&mut self, pairs: impl Iterator<Item = (&'v str, &'v str)>) {
        let (fields, mut place) = (self.fields, Place::default());
        for (name, text) in pairs.filter(|(_, text)| !text.is_empty()) {
            match fields.to(0, &mut place, name.as_bytes()) {
                To::Column(target) if self.set_scalar(target, text) => {}
                To::Slot(slot) if self.is_free(*slot) => {
                    self.put(*slot, Slotted { scope: 0, name, value: Value::text(text), at: None });
                }
                to => {
                    self.note_unknown(to, 0, || name);
                    self.keep_text(name, false, text);
                }
            }
        }
    }

    /// Takes the pairs of a line but those whose values mean nothing.
    pub(crate) fn read_split(&mut self, pairs: &'v Pairs, line: &'v str, is_void: impl Fn(&str) -> bool) {
        let (fields, mut place) = (self.fields, Place::default());
        let (home, mut known) = self.scratch.of_pairs.take(fields.number);
        for pair in pairs.list() {
            let text = pairs.value(line, pair);
            if text.is_empty() || is_void(text) {
                continue;
            }
            let field = pair.id.map(|id| known_field(&mut known, id, pairs.keys(), |key| fields.position(0, key)));
            let to = match &field {
                Some(field) => fields.to_at(0, field.position),
                None => fields.to(0, &mut place, pairs.name(line, pair).as_bytes()),
            };
            match to {
                To::Column(target) if self.set_scalar(target, text) => {}
                To::Slot(slot) if self.is_free(*slot) => {
                    let name = pairs.name(line, pair);
                    self.put(*slot, Slotted { scope: 0, name, value: Value::text(text), at: None });
                }
                to => {
                    let name = pairs.name(line, pair);
                    self.note_again(to, 0, field, || name);
                    self.keep_text(name, pair.id.is_some(), text);
                }
            }
        }
        self.scratch.of_pairs.put(home, known);
    }

    /// Notes a name that the table does not know. A row that is written again was noted before.
    #[inline]
    pub(super) fn note_unknown<'n>(&mut self, to: &To, scope: u8, name: impl FnOnce() -> &'n str) {
        if matches!(to, To::Unknown) && self.barred.is_empty() {
            self.scratch.notes.key(self.fields.path(scope), name());
        }
    }

    /// As [`Row::note_unknown`], of a name that may have been noted before.
    #[inline]
    fn note_again<'n>(&mut self, to: &To, scope: u8, known: Option<&mut KnownField>, name: impl FnOnce() -> &'n str) {
        if !matches!(to, To::Unknown) || !self.barred.is_empty() {
            return;
        }
        let noted = known.as_ref().and_then(|known| known.noted);
        if !noted.is_some_and(|noted| self.scratch.notes.again(noted)) {
            let noted = self.scratch.notes.key(self.fields.path(scope), name());
            if let Some(known) = known {
                known.noted = noted;
            }
        }
    }

    /// Takes a JSON object's members.
    pub(crate) fn read_members(&mut self, doc: Doc<'v>, object: At, scope: u8) {
        let (fields, mut place) = (self.fields, Place::default());
        let owner = (fields.number << u8::BITS | usize::from(scope)) << 1 | usize::from(doc.is_inner());
        let (home, mut known) = self.scratch.of_members.take(owner);
        for member in doc.members(object) {
            if member.is_void() {
                continue;
            }
            let position = |key: &str| fields.position(scope, key);
            let field = member.key_id().map(|id| known_field(&mut known, id, doc.key_names(), position));
            let to = match &field {
                Some(field) => fields.to_at(scope, field.position),
                None => fields.to(scope, &mut place, doc.key(&member)),
            };
            match to {
                To::Object(inner) if doc.is_object(member.at) => {
                    self.read_object(doc, member.at, *inner, doc.name(&member));
                }
                To::Column(target) if self.set_member(target, doc, &member) => {}
                To::Slot(slot) if self.is_free(*slot) => {
                    let (name, value, at) = (doc.name(&member), doc.value_of(&member), Some(member.at));
                    self.put(*slot, Slotted { scope, name, value, at });
                }
                to => {
                    self.note_again(to, scope, field, || doc.name(&member));
                    self.keep_member(doc, &member);
                }
            }
        }
        self.scratch.of_members.put(home, known);
    }

    /// A nested object whose members have places of their own; what remains of it stays an object in `unmapped`.
    fn read_object(&mut self, doc: Doc<'v>, object: At, scope: u8, key: &str) {
        self.end_run();
        let before = self.scratch.unmapped.len();
        push_string(open_member(&mut self.scratch.unmapped), key);
        self.scratch.unmapped.push_str(":{");
        let opened = self.scratch.unmapped.len();
        self.read_members(doc, object, scope);
        self.end_run();
        if self.scratch.unmapped.len() == opened {
            self.scratch.unmapped.truncate(before);
        } else {
            self.scratch.unmapped.push('}');
        }
    }
}
