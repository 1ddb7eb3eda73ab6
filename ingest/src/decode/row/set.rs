//! Values to columns: what a conversion makes of a text, and what setting a column does to the objects it lies in.

use std::fmt::Write;

use dataflow::Leaf;
use dataflow::time::RANGE_US;

use super::Row;
use super::unmapped::push_value;
use crate::decode::fields::{Convert, Target};
use crate::decode::json::{Doc, Member, Value};
use crate::decode::values;
use crate::normalize::enums;

impl<'v> Row<'_, 'v> {
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

    /// Sets a column to texts one after the other.
    pub(crate) fn set_joined(&mut self, target: &Target, texts: &[&str]) -> bool {
        let mut text = std::mem::take(&mut self.scratch.formatted);
        join(texts, &mut text);
        let set = self.set_text(target, &text);
        self.scratch.formatted = text;
        set
    }

    /// What `read` makes of texts one after the other.
    pub(crate) fn with_joined<R>(&mut self, texts: &[&str], read: impl FnOnce(&str) -> R) -> R {
        join(texts, &mut self.scratch.formatted);
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
    pub(super) fn set_member(&mut self, target: &Target, doc: Doc<'v>, member: &Member<'v>) -> bool {
        match doc.scalar(member) {
            Some(text) if target.convert != Convert::Json => self.set_scalar(target, text),
            _ => self.set(target, doc.value_of(member)),
        }
    }

    /// As [`Row::set`], with the text of a string or literal, for what is not JSON.
    #[inline(always)]
    pub(super) fn set_scalar(&mut self, target: &Target, text: &str) -> bool {
        if target.touches.meets(self.barred) {
            return means_nothing(target.convert, text);
        }
        let set = match target.convert {
            Convert::Text => self.text(target, text),
            Convert::Int => values::integer(text).map_or(Set::No, |n| self.builder.set_i64(target.leaf, n).into()),
            _ => self.convert(target, text),
        };
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

    #[inline(never)]
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
}

fn join(texts: &[&str], out: &mut String) {
    out.clear();
    texts.iter().filter(|text| !text.is_empty()).for_each(|text| out.push_str(text));
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
