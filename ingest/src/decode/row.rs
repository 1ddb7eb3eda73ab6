//! One row being decoded: values go to their columns, to slots for the vendor's code, or to `unmapped`.
//!
//! Dropped, and only these: empty strings and nulls; the addresses 0.0.0.0 and :: and the port 0 where a translation
//! would stand (there was none); a field that says again what its slot's reader has found elsewhere (named there).

mod read;
mod set;
mod unmapped;

use std::ops::Range;

use dataflow::TableBuilder;
use dataflow::print::Print;

use super::fields::{FieldTable, Key, KeyPosition, Objects};
use super::json::{At, Value};
use super::keys::ByKey;
use super::names::Place;
use super::notes::Notes;
use super::zones::LocalTime;
use read::KnownField;
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
    /// By field table and form.
    known: ByKey<KnownKey>,
    /// By field table.
    of_pairs: ByKey<KnownField>,
    /// By field table and object, of inner documents apart.
    of_members: ByKey<KnownField>,
}

/// What is known of a key of a form of pairs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownKey {
    /// Its field.
    pub(crate) field: Option<KeyPosition>,
    /// Of a label: the field of the key that it labels.
    pub(crate) labels: Option<KeyPosition>,
    /// True for a label, whether or not a field is known.
    pub(crate) is_label: bool,
    /// The label that it bore last, and whether that is the field's.
    pub(crate) last: Option<(Print, bool)>,
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

    /// The field at a position that [`FieldTable::key_position`] gave.
    #[inline]
    pub(crate) fn key_at(&self, form: usize, position: KeyPosition) -> Option<&'r Key> {
        self.fields.key_at(form, position)
    }

    /// What was found out about keys, by their numbers; to be given back.
    pub(crate) fn take_known(&mut self) -> (&'r FieldTable, ByKey<KnownKey>) {
        (self.fields, std::mem::take(&mut self.scratch.known))
    }

    /// Gives back what [`Row::take_known`] gave.
    pub(crate) fn keep_known(&mut self, known: ByKey<KnownKey>) {
        self.scratch.known = known;
    }

    /// Notes that the line has at least so many columns, which are more than the table's.
    pub(crate) fn note_longer(&mut self, columns: usize) {
        self.longer = self.longer.max(columns);
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
