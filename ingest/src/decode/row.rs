//! One row being decoded: values go to their columns, to slots for the vendor's code, or to `unmapped`.
//!
//! Dropped, and only these: empty strings and nulls; the addresses 0.0.0.0 and :: and the port 0 where a translation
//! would stand (there was none); a field that says again what its slot's reader has found elsewhere (named there).

mod set;
mod unmapped;

use std::ops::Range;

use dataflow::TableBuilder;
use dataflow::json::push_string;

use super::fields::{Field, FieldTable, Key, Objects, To};
use super::json::{At, Doc, Value};
use super::names::Place;
use super::notes::Notes;
use super::zones::LocalTime;
use unmapped::open_member;
pub(crate) use unmapped::push_members_but;

/// Slots a vendor may use.
pub(crate) const SLOTS: usize = 64;

/// Declares a vendor's slots: an enum, and the names by which field tables call them.
macro_rules! slots {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// Fields that the code reads, by their names in the field tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Slot { $($name),+ }

        impl Slot {
            pub(crate) const NAMES: &[&str] = &[$($text),+];
        }

        impl From<Slot> for u8 {
            fn from(slot: Slot) -> u8 {
                slot as u8
            }
        }

        const _: () = assert!(Slot::NAMES.len() <= crate::decode::row::SLOTS);
    };
}
pub(crate) use slots;

/// A value kept for the vendor's code, with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slotted<'a> {
    /// The object it stood in; 0 for the document itself.
    scope: u8,
    name: &'a str,
    pub(crate) value: Value<'a>,
    at: Option<At>,
}

impl<'a> Slotted<'a> {
    /// The text of a string or literal; empty for anything else.
    pub(crate) fn text(&self) -> &'a str {
        self.value.scalar().unwrap_or_default()
    }

    /// Where it stands in the document, if it came from one.
    pub(crate) fn at(&self) -> Option<At> {
        self.at
    }
}

/// Text buffers that outlive the rows.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    unmapped: String,
    text: String,
    formatted: String,
    pub(crate) notes: Notes,
}

/// The row. See the module's front.
#[derive(Debug)]
pub(crate) struct Row<'r, 'v> {
    pub(crate) builder: &'r mut TableBuilder,
    fields: &'r FieldTable,
    scratch: &'r mut Scratch,
    slots: [Option<Slotted<'v>>; SLOTS],
    /// Slots that hold something, or did.
    used: u64,
    /// Members of the document that go into `unmapped` as they stand, one after the other, and are not there yet.
    run: Range<usize>,
    source: &'v str,
    touched: Objects,
    satisfied: Objects,
    /// Objects whose address is that of no translation: a port would begin them in vain.
    untranslated: Objects,
    /// Objects whose fields stay in `unmapped`.
    barred: Objects,
    /// What a time without a zone means.
    pub(crate) local: LocalTime<'v>,
    /// Columns of a line that has more than the table; 0 of any other.
    longer: usize,
}

impl<'r, 'v> Row<'r, 'v> {
    pub(crate) fn new(
        builder: &'r mut TableBuilder,
        fields: &'r FieldTable,
        scratch: &'r mut Scratch,
        barred: Objects,
    ) -> Self {
        scratch.unmapped.clear();
        scratch.unmapped.push('{');
        scratch.notes.begin_row(fields.name);
        let none = Objects::default();
        let (touched, satisfied, untranslated) = (none, none, none);
        let (slots, used, run, source) = ([None; SLOTS], 0, 0..0, "");
        let (local, longer) = (LocalTime::UTC, 0);
        Self {
            builder,
            fields,
            scratch,
            slots,
            used,
            run,
            source,
            touched,
            satisfied,
            untranslated,
            barred,
            local,
            longer,
        }
    }

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

    #[inline]
    fn is_free(&self, slot: u8) -> bool {
        self.slots[usize::from(slot)].is_none()
    }

    #[inline]
    fn put(&mut self, slot: u8, value: Slotted<'v>) {
        self.slots[usize::from(slot)] = Some(value);
        self.used |= 1 << slot;
    }

    /// The field of a key in a form of pairs.
    #[inline]
    pub(crate) fn key(&self, form: usize, places: &mut [Place; 2], key: &str, prefix: &str) -> Option<&'r Key> {
        self.fields.key(form, places, key, prefix)
    }

    /// Notes that the line has at least so many columns, which are more than the table's.
    pub(crate) fn note_longer(&mut self, columns: usize) {
        self.longer = self.longer.max(columns);
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
                    self.keep_text(name, text);
                }
            }
        }
    }

    /// Notes a name that the table does not know. A row that is written again was noted before.
    #[inline]
    fn note_unknown<'n>(&mut self, to: &To, scope: u8, name: impl FnOnce() -> &'n str) {
        if matches!(to, To::Unknown) && self.barred.is_empty() {
            self.scratch.notes.key(self.fields.path(scope), name());
        }
    }

    /// Takes a JSON object's members.
    pub(crate) fn read_members(&mut self, doc: Doc<'v>, object: At, scope: u8) {
        let (fields, mut place) = (self.fields, Place::default());
        for member in doc.members(object) {
            if member.is_void() {
                continue;
            }
            match fields.to(scope, &mut place, doc.key(&member)) {
                To::Object(inner) if doc.is_object(member.at) => {
                    self.read_object(doc, member.at, *inner, doc.name(&member));
                }
                To::Column(target) if self.set_member(target, doc, &member) => {}
                To::Slot(slot) if self.is_free(*slot) => {
                    let (name, value, at) = (doc.name(&member), doc.value_of(&member), Some(member.at));
                    self.put(*slot, Slotted { scope, name, value, at });
                }
                to => {
                    self.note_unknown(to, scope, || doc.name(&member));
                    self.keep_member(doc, &member);
                }
            }
        }
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

    /// What a slot holds; it is then the caller's to place or to [`Row::keep`].
    pub(crate) fn take(&mut self, slot: impl Into<u8>) -> Option<Slotted<'v>> {
        self.slots[slot.into() as usize].take()
    }

    /// Drops what the slots of a mask hold.
    pub(crate) fn forget(&mut self, mut slots: u64) {
        while slots != 0 {
            self.slots[slots.trailing_zeros() as usize] = None;
            slots &= slots - 1;
        }
    }

    /// Moves what `other` holds to `slot`, if that holds none.
    pub(crate) fn fall_back(&mut self, slot: impl Into<u8>, other: impl Into<u8>) {
        let slot = slot.into();
        if let Some(value) = self.is_free(slot).then(|| self.take(other)).flatten() {
            self.put(slot, value);
        }
    }

    /// The text of what a slot holds; empty if it holds none.
    pub(crate) fn peek_text(&self, slot: impl Into<u8>) -> &'v str {
        self.peek(slot).map(|f| f.text()).unwrap_or_default()
    }

    /// True if the row may not have one of the objects: nothing makes it valid.
    pub(crate) fn is_barred(&self, objects: Objects) -> bool {
        self.barred.meets(objects)
    }

    /// Notes that objects were begun.
    pub(crate) fn touch(&mut self, objects: Objects) {
        self.touched = self.touched.with(objects);
    }

    /// What a slot holds; it stays there.
    pub(crate) fn peek(&self, slot: impl Into<u8>) -> Option<Slotted<'v>> {
        self.slots[slot.into() as usize]
    }

    /// Begins a further element of a list, whose objects are then not there yet; those that are not valid stay noted.
    pub(crate) fn begin_element(&mut self, list: &str, objects: Objects) {
        self.builder.begin_element(list);
        let done = self.touched.common(self.satisfied).common(objects);
        self.touched = self.touched.without(done);
        self.satisfied = self.satisfied.without(objects);
    }

    /// Objects that were begun without what makes them valid: decode the row again with these barred.
    pub(crate) fn invalid_objects(&self) -> Objects {
        self.touched.without(self.satisfied)
    }

    /// True if all of the objects have what makes them valid.
    pub(crate) fn are_valid(&self, objects: Objects) -> bool {
        objects.without(self.satisfied).is_empty()
    }

    /// True if the object has what makes it valid.
    pub(crate) fn has(&self, object: Objects) -> bool {
        self.satisfied.meets(object)
    }
}

#[cfg(test)]
mod tests;
