//! One row being decoded: values go to their columns, to slots for the vendor's code, or to `unmapped`.
//!
//! Dropped, and only these: empty strings and nulls; the addresses 0.0.0.0 and :: and the port 0 where a translation
//! would stand (there was none); a field that says again what its slot's reader has found elsewhere (named there).

use std::fmt::Write;
use std::ops::Range;

use dataflow::json::push_string;
use dataflow::time::RANGE_US;
use dataflow::{Leaf, TableBuilder};

use super::fields::{Convert, FieldTable, Key, Objects, Target, To};
use super::json::{At, Doc, Member, Value, push_one_line};
use super::notes::Notes;
use super::values;
use super::zones::LocalTime;
use crate::normalize::enums;

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
        let (slots, run, source) = ([None; SLOTS], 0..0, "");
        let (local, longer) = (LocalTime::UTC, 0);
        Self { builder, fields, scratch, slots, run, source, touched, satisfied, untranslated, barred, local, longer }
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
                Some((name, to)) => self.read_field(name, to, text),
                None => self.keep_column(i + 1, text),
            }
        }
    }

    /// Takes one field.
    #[inline]
    pub(crate) fn read_field(&mut self, name: &'v str, to: &To, text: &'v str) {
        let value = Value::text(text);
        match to {
            To::Column(target) if self.set(target, value) => {}
            To::Slot(slot) if self.slots[*slot as usize].is_none() => {
                self.slots[*slot as usize] = Some(Slotted { scope: 0, name, value, at: None });
            }
            _ => push_member(self.unmapped(), name, true, value),
        }
    }

    /// Puts a pair that its field has no place for, or that is no field's, into `unmapped`; a key that is called as a field is
    /// gets `_2`.
    pub(crate) fn keep_pair(&mut self, key: &str, field: Option<&Key>, value: &str) {
        self.note_unknown(&field.map_or(To::Unknown, |field| field.to), 0, || key);
        self.end_run();
        let Scratch { unmapped, text, .. } = self.scratch;
        text.clear();
        text.push_str(key);
        if self.fields.has_field(key) {
            text.push_str("_2");
        }
        push_member(open_member(unmapped), text, false, Value::text(value));
    }

    /// The field of a key in a form of pairs.
    pub(crate) fn key(&self, form: usize, key: &str, prefix: &str) -> Option<&'r Key> {
        self.fields.key(form, key, prefix)
    }

    /// A column that the table lacks, by its place from 1.
    fn keep_column(&mut self, place: usize, text: &str) {
        let unmapped = self.unmapped();
        let _ = write!(unmapped, "\"column_{place}\":");
        push_string(unmapped, text);
        self.note_longer(place);
    }

    /// Notes that the line has at least so many columns, which are more than the table's.
    pub(crate) fn note_longer(&mut self, columns: usize) {
        self.longer = self.longer.max(columns);
    }

    /// Takes named values of a flat format.
    pub(crate) fn read_pairs(&mut self, pairs: impl Iterator<Item = (&'v str, &'v str)>) {
        let fields = self.fields;
        for (name, text) in pairs.filter(|(_, text)| !text.is_empty()) {
            let value = Value::text(text);
            match fields.to(0, name.as_bytes()) {
                To::Column(target) if self.set_scalar(target, text) => {}
                To::Slot(slot) if self.slots[*slot as usize].is_none() => {
                    self.slots[*slot as usize] = Some(Slotted { scope: 0, name, value, at: None });
                }
                to => {
                    self.note_unknown(to, 0, || name);
                    push_member(self.unmapped(), name, false, value);
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
        let fields = self.fields;
        for member in doc.members(object) {
            if member.is_void() {
                continue;
            }
            match fields.to(scope, doc.key(&member)) {
                To::Object(inner) if doc.is_object(member.at) => {
                    self.read_object(doc, member.at, *inner, doc.name(&member));
                }
                To::Column(target) if self.set_member(target, doc, &member) => {}
                To::Slot(slot) if self.slots[*slot as usize].is_none() => {
                    let (name, value, at) = (doc.name(&member), doc.value_of(&member), Some(member.at));
                    self.slots[*slot as usize] = Some(Slotted { scope, name, value, at });
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

    /// Puts a member into `unmapped`. Members that stand side by side as they would be written are copied at once.
    #[inline]
    fn keep_member(&mut self, doc: Doc<'v>, member: &Member<'v>) {
        match doc.written(member) {
            Some(place) if place.start == self.run.end + 1 && !self.run.is_empty() => self.run.end = place.end,
            Some(place) => {
                self.end_run();
                (self.run, self.source) = (place, doc.source());
            }
            None => push_member(self.unmapped(), doc.name(member), member.has_plain_key(), doc.value_of(member)),
        }
    }

    #[inline]
    fn end_run(&mut self) {
        if !self.run.is_empty() {
            let run = std::mem::take(&mut self.run);
            open_member(&mut self.scratch.unmapped).push_str(&self.source[run]);
        }
    }

    /// The object `unmapped`, open for a further member.
    #[inline]
    fn unmapped(&mut self) -> &mut String {
        self.end_run();
        open_member(&mut self.scratch.unmapped)
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
        let slot = slot.into() as usize;
        if self.slots[slot].is_none() {
            self.slots[slot] = self.take(other);
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

    /// Puts a taken value into `unmapped` under its own name.
    pub(crate) fn keep(&mut self, field: Slotted<'v>) {
        self.end_run();
        let Scratch { unmapped, text, .. } = self.scratch;
        text.clear();
        if field.scope > 0 {
            let _ = write!(text, "{}.", self.fields.path(field.scope));
        }
        text.push_str(field.name);
        push_string(open_member(unmapped), text);
        unmapped.push(':');
        push_value(unmapped, field.value);
    }

    /// Makes a whole object the row's `unmapped`.
    pub(crate) fn keep_whole(&mut self, object: &str) {
        self.run = 0..0;
        self.scratch.unmapped.clear();
        push_one_line(&mut self.scratch.unmapped, object);
        self.scratch.unmapped.pop();
    }

    /// Sets the column from the slot's value, or keeps it in `unmapped`. True if the column is set.
    pub(crate) fn place(&mut self, slot: impl Into<u8>, target: &Target) -> bool {
        let Some(field) = self.take(slot) else { return false };
        let set = self.set(target, field.value);
        if !set {
            self.keep(field);
        }
        set
    }

    /// Sets a column to a text.
    pub(crate) fn set_text(&mut self, target: &Target, text: &str) -> bool {
        self.set(target, Value::text(text))
    }

    /// Sets a column to what is formatted.
    pub(crate) fn set_args(&mut self, target: &Target, args: std::fmt::Arguments<'_>) -> bool {
        let mut text = std::mem::take(&mut self.scratch.formatted);
        text.clear();
        let _ = text.write_fmt(args);
        let set = self.set_text(target, &text);
        self.scratch.formatted = text;
        set
    }

    /// What `read` makes of what is formatted.
    pub(crate) fn with_args<R>(&mut self, args: std::fmt::Arguments<'_>, read: impl FnOnce(&str) -> R) -> R {
        self.scratch.formatted.clear();
        let _ = self.scratch.formatted.write_fmt(args);
        read(&self.scratch.formatted)
    }

    /// Sets a column of numbers, if its object is not barred and it is free.
    pub(crate) fn set_number(&mut self, target: &Target, number: i64) -> bool {
        if target.touches.meets(self.barred) {
            return false;
        }
        let set = match i32::try_from(number) {
            Ok(small) if target.is_i32 => self.i32(target, small),
            Err(_) if target.is_i32 => Set::No,
            _ => self.builder.set_i64(target.leaf, number).into(),
        };
        self.note(target, &set)
    }

    /// Sets an enum's id and, beside it, its caption.
    pub(crate) fn set_enum(&mut self, id: &Target, caption: Option<&Target>, (value, text): (i32, &str)) -> bool {
        let set = self.set_number(id, value.into());
        if let Some(caption) = caption.filter(|_| set) {
            self.builder.set_str(caption.leaf, text);
        }
        set
    }

    /// Sets a column if the value fits it, the column is free and its object is not barred.
    pub(crate) fn set(&mut self, target: &Target, value: Value<'_>) -> bool {
        match value.scalar() {
            Some(text) if target.convert != Convert::Json => self.set_scalar(target, text),
            _ if target.touches.meets(self.barred) || target.convert != Convert::Json => false,
            _ => {
                let set = self.set_json(target.leaf, value);
                self.note(target, &set)
            }
        }
    }

    #[inline]
    fn set_member(&mut self, target: &Target, doc: Doc<'v>, member: &Member<'v>) -> bool {
        match doc.scalar(member) {
            Some(text) if target.convert != Convert::Json => self.set_scalar(target, text),
            _ => self.set(target, doc.value_of(member)),
        }
    }

    /// As [`Row::set`], with the text of a string or literal, for what is not JSON.
    fn set_scalar(&mut self, target: &Target, text: &str) -> bool {
        if target.touches.meets(self.barred) {
            return means_nothing(target.convert, text);
        }
        let set = self.convert(target, text);
        self.note(target, &set)
    }

    /// Notes what setting a column did to the objects it lies in. True if the value is taken care of.
    #[inline]
    fn note(&mut self, target: &Target, set: &Set) -> bool {
        match set {
            Set::Done => {
                self.touched = self.touched.with(target.touches);
                self.satisfied = self.satisfied.with(target.satisfies);
                true
            }
            Set::MeansNothing => {
                self.untranslated = self.untranslated.with(target.satisfies);
                true
            }
            Set::No => false,
        }
    }

    #[inline]
    fn convert(&mut self, target: &Target, text: &str) -> Set {
        match target.convert {
            Convert::Text => self.text(target, text),
            Convert::Ip => self.ip(target, text),
            nat if means_nothing(nat, text) => Set::MeansNothing,
            Convert::NatIp => self.ip(target, text),
            Convert::NatPort if target.touches.meets(self.untranslated.without(self.satisfied)) => Set::No,
            Convert::Port | Convert::NatPort => values::integer(text)
                .and_then(|n| u16::try_from(n).ok())
                .map_or(Set::No, |n| self.i32(target, n.into())),
            Convert::Int => values::integer(text).map_or(Set::No, |n| self.builder.set_i64(target.leaf, n).into()),
            Convert::Int32 => {
                values::integer(text).and_then(|n| i32::try_from(n).ok()).map_or(Set::No, |n| self.i32(target, n))
            }
            Convert::Bool => values::boolean(text).map_or(Set::No, |b| self.builder.set_bool(target.leaf, b).into()),
            Convert::Time => values::time_in(text, self.local)
                .filter(|t| RANGE_US.contains(t))
                .map_or(Set::No, |t| self.builder.set_i64(target.leaf, t).into()),
            Convert::Mac => {
                let mut mac = std::mem::take(&mut self.scratch.text);
                let set = if values::mac(text, &mut mac) { self.text(target, &mac) } else { Set::No };
                self.scratch.text = mac;
                set
            }
            Convert::Country if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) => {
                self.text(target, text)
            }
            Convert::Email if values::is_email(text) => self.text(target, text),
            Convert::Method => enums::http_method(text).map_or(Set::No, |(_, method)| self.text(target, method)),
            Convert::Country | Convert::Email | Convert::Json => Set::No,
            Convert::IpList => self.ip_list(target, text),
        }
    }

    #[inline]
    fn text(&mut self, target: &Target, text: &str) -> Set {
        let set = self.builder.set_str(target.leaf, text);
        if let Some(also) = target.also.filter(|_| set) {
            self.builder.set_str(also, text);
        }
        set.into()
    }

    fn i32(&mut self, target: &Target, value: i32) -> Set {
        let set = self.builder.set_i32(target.leaf, value);
        if let Some(also) = target.also.filter(|_| set) {
            self.builder.set_i32(also, value);
        }
        set.into()
    }

    fn ip(&mut self, target: &Target, text: &str) -> Set {
        // A v4 address parses in its one form only, so its text is right as it stands.
        if values::ipv4(text).is_some() {
            return self.text(target, text);
        }
        let Some(ip) = values::ip(text) else { return Set::No };
        let mut canonical = std::mem::take(&mut self.scratch.text);
        canonical.clear();
        let _ = write!(canonical, "{ip}");
        let set = self.text(target, &canonical);
        self.scratch.text = canonical;
        set
    }

    fn ip_list(&mut self, target: &Target, text: &str) -> Set {
        let items = || text.split(',').map(str::trim);
        if items().any(|t| values::ip(t).is_none()) {
            return Set::No;
        }
        for ip in items().filter_map(values::ip) {
            self.scratch.text.clear();
            let _ = write!(self.scratch.text, "{ip}");
            self.builder.push_str(target.leaf, &self.scratch.text);
        }
        Set::Done
    }

    fn set_json(&mut self, leaf: Leaf, value: Value<'_>) -> Set {
        self.scratch.text.clear();
        push_value(&mut self.scratch.text, value);
        self.builder.set_str(leaf, &self.scratch.text).into()
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

    /// Keeps what no one took, and as `envelope` the members `around` the event, and sets the `unmapped` column, if anything is
    /// unmapped.
    pub(crate) fn finish_unmapped(&mut self, leaf: Leaf, around: &str) {
        if self.longer > 0 {
            self.scratch.notes.layout(self.longer);
        }
        for slot in 0..SLOTS {
            if let Some(field) = self.slots[slot].take() {
                self.keep(field);
            }
        }
        self.end_run();
        if !around.is_empty() {
            let unmapped = open_member(&mut self.scratch.unmapped);
            unmapped.push_str("\"envelope\":{");
            unmapped.push_str(around);
            unmapped.push('}');
        }
        if self.scratch.unmapped.len() > 1 {
            self.scratch.unmapped.push('}');
            self.builder.set_str(leaf, &self.scratch.unmapped);
        }
    }
}

/// A translation to no address or port: there was none.
fn means_nothing(convert: Convert, text: &str) -> bool {
    match convert {
        Convert::NatIp => matches!(text, "0.0.0.0" | "::"),
        Convert::NatPort => text == "0",
        _ => false,
    }
}

enum Set {
    Done,
    /// The value stands for nothing.
    MeansNothing,
    No,
}

impl From<bool> for Set {
    fn from(done: bool) -> Self {
        if done { Set::Done } else { Set::No }
    }
}

/// Writes the comma before a further member.
fn open_member(object: &mut String) -> &mut String {
    if !object.ends_with('{') {
        object.push(',');
    }
    object
}

/// Appends the members of an object but one, without braces.
pub(crate) fn push_members_but(out: &mut String, doc: Doc<'_>, object: At, but: At) {
    for member in doc.members(object).filter(|m| m.at != but && !m.is_void()) {
        if !out.is_empty() {
            out.push(',');
        }
        push_member(out, doc.name(&member), member.has_plain_key(), doc.value_of(&member));
    }
}

fn push_member(object: &mut String, name: &str, plain_name: bool, value: Value<'_>) {
    push_value_text(object, name, plain_name);
    object.push(':');
    push_value(object, value);
}

fn push_value(out: &mut String, value: Value<'_>) {
    match value {
        Value::Text { text, plain } => push_value_text(out, text, plain),
        Value::Literal(text) => out.push_str(text),
        Value::Nested(json) => push_one_line(out, json),
        Value::Null => out.push_str("null"),
    }
}

#[inline]
fn push_value_text(out: &mut String, text: &str, plain: bool) {
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        push_string(out, text);
    }
}

#[cfg(test)]
mod tests;
