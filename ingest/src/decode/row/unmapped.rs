//! What no column takes: the JSON text of a row's `unmapped`.

use std::fmt::Write;

use dataflow::Leaf;
use dataflow::json::{push_string, push_text};

use super::{Row, Scratch, Slotted};
use crate::decode::fields::{Field, Key, To};
use crate::decode::json::{At, Doc, Member, Value, push_one_line};

impl<'v> Row<'_, 'v> {
    /// Puts a pair that its field has no place for, or that is no field's, into `unmapped`; a key that is called as a field is
    /// gets `_2`.
    pub(crate) fn keep_pair(&mut self, key: &str, field: Option<&Key>, value: &str) {
        self.note_unknown(&field.map_or(To::Unknown, |key| key.field.to), 0, || key);
        self.end_run();
        let Scratch { unmapped, text, .. } = self.scratch;
        text.clear();
        text.push_str(key);
        if self.fields.has_field(key) {
            text.push_str("_2");
        }
        push_member(open_member(unmapped), text, false, Value::text(value));
    }

    /// A column that the table lacks, by its place from 1.
    pub(super) fn keep_column(&mut self, place: usize, text: &str) {
        let unmapped = self.unmapped();
        let _ = write!(unmapped, "\"column_{place}\":");
        push_string(unmapped, text);
        self.note_longer(place);
    }

    /// Puts a member into `unmapped`. Members that stand side by side as they would be written are copied at once.
    #[inline]
    pub(super) fn keep_member(&mut self, doc: Doc<'v>, member: &Member<'v>) {
        match doc.written(member) {
            Some(place) if place.start == self.run.end + 1 && !self.run.is_empty() => self.run.end = place.end,
            Some(place) => {
                self.end_run();
                (self.run, self.source) = (place, doc.source());
            }
            None => push_member(self.unmapped(), doc.name(member), member.has_plain_key(), doc.value_of(member)),
        }
    }

    /// Puts a field's text into `unmapped`.
    #[inline(always)]
    pub(super) fn keep_field(&mut self, field: &Field, text: &str) {
        self.end_run();
        let unmapped = &mut self.scratch.unmapped;
        unmapped.push_str(if unmapped.len() > 1 { &field.member } else { &field.member[1..] });
        push_text(unmapped, text);
        unmapped.push('"');
    }

    /// Puts a text into `unmapped`, by a name that may need escapes if it is not `plain`.
    pub(super) fn keep_text(&mut self, name: &str, plain: bool, text: &str) {
        let unmapped = self.unmapped();
        unmapped.push('"');
        if plain {
            unmapped.push_str(name)
        } else {
            push_text(unmapped, name)
        }
        unmapped.push_str("\":\"");
        push_text(unmapped, text);
        unmapped.push('"');
    }

    #[inline]
    pub(super) fn end_run(&mut self) {
        if !self.run.is_empty() {
            let run = std::mem::take(&mut self.run);
            open_member(&mut self.scratch.unmapped).push_str(&self.source[run]);
        }
    }

    /// The object `unmapped`, open for a further member.
    #[inline]
    pub(super) fn unmapped(&mut self) -> &mut String {
        self.end_run();
        open_member(&mut self.scratch.unmapped)
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

    /// Keeps what no one took, and as `envelope` the members `around` the event, and sets the `unmapped` column, if anything is
    /// unmapped.
    pub(crate) fn finish_unmapped(&mut self, leaf: Leaf, around: &str) {
        if self.longer > 0 {
            self.scratch.notes.layout(self.longer);
        }
        let mut used = std::mem::take(&mut self.used);
        while used != 0 {
            if let Some(field) = self.slots[used.trailing_zeros() as usize].take() {
                self.keep(field);
            }
            used &= used - 1;
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

/// Writes the comma before a further member.
#[inline]
pub(super) fn open_member(object: &mut String) -> &mut String {
    if object.as_bytes().last() != Some(&b'{') {
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

pub(super) fn push_member(object: &mut String, name: &str, plain_name: bool, value: Value<'_>) {
    push_value_text(object, name, plain_name);
    object.push(':');
    push_value(object, value);
}

pub(super) fn push_value(out: &mut String, value: Value<'_>) {
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
