//! One value into its columns, and what stands where no field says it.

use crate::decode::fields::Target;
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::ocsf::OTHER;
use crate::normalize::{Class, action, enums};

use super::step::{Enum, Length, Otherwise, UrlTargets, What};
use super::words::Words;

/// What a value did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The columns say it.
    Taken,
    /// The columns say what it means, but not its own word.
    Read,
    No,
}

/// Sets what stands where no field says it.
pub(super) fn otherwise(class: &Class, row: &mut Row<'_, '_>, what: &What, otherwise: Otherwise) {
    match (what, otherwise) {
        (What::Column(target) | What::Words(target, _) | What::Template(target, _), Otherwise::Text(text))
            if makes_sense(row, target) =>
        {
            row.set_text(target, text);
        }
        (What::User(name, _), Otherwise::Text(text)) => {
            row.set_text(name, text);
        }
        (What::Protocol(number, name), Otherwise::Text(text)) => {
            set_protocol(row, number, name, text);
        }
        (What::Texts(leaf, objects), Otherwise::Text(text)) if row.are_valid(*objects) => {
            row.builder.push_str(*leaf, text);
        }
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

/// The column says it beside `unmapped`.
pub(super) fn read(set: bool) -> Done {
    if set { Done::Read } else { Done::No }
}

pub(super) fn taken(set: bool) -> Done {
    if set { Done::Taken } else { Done::No }
}

/// A constant makes no object: it stands in one that something else has made.
fn makes_sense(row: &Row<'_, '_>, target: &Target) -> bool {
    row.are_valid(target.touches.without(target.satisfies))
}

impl Enum {
    pub(super) fn set(&self, row: &mut Row<'_, '_>, text: &str) -> Done {
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

/// Millionths of a nanosecond in a millisecond.
const PER_MILLI: i128 = 1_000_000_000_000;

impl Length {
    /// Milliseconds, and whether they are all that the text says.
    pub(super) fn millis(self, text: &str) -> Option<(i64, bool)> {
        match self {
            Self::Nanos(nanos) => {
                // Protocol Buffers write seconds as `0.048s`.
                let text = text.strip_suffix('s').filter(|_| nanos == 1_000_000_000).unwrap_or(text);
                let scaled = i128::from(values::decimal_micros(text)?) * i128::from(nanos);
                let is_exact = scaled % PER_MILLI == 0 && text.split_once('.').is_none_or(|(_, f)| f.len() <= 6);
                i64::try_from(scaled / PER_MILLI).ok().map(|ms| (ms, is_exact))
            }
            Self::Clock => clock_seconds(text)?.checked_mul(1000).map(|ms| (ms, true)),
        }
    }
}

/// `1:02:03`, `1h:02m:03s`, `4d 1h:02m:03s`.
fn clock_seconds(text: &str) -> Option<i64> {
    text.split([':', ' ']).filter(|part| !part.is_empty()).try_fold(0_i64, |sum, part| {
        let (digits, unit) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
        let number = digits.parse::<i64>().ok().filter(|n| *n < 1_000_000)?;
        let seconds = match unit {
            "" => return sum.checked_mul(60)?.checked_add(number),
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        sum.checked_add(number * seconds)
    })
}

/// A length of time; one that is no whole number of milliseconds is kept too.
pub(super) fn set_length(row: &mut Row<'_, '_>, target: &Target, length: Length, text: &str) -> Done {
    match length.millis(text) {
        Some((ms, true)) => taken(row.set_number(target, ms)),
        Some((ms, false)) => read(row.set_number(target, ms)),
        None => Done::No,
    }
}

impl UrlTargets {
    pub(super) fn set(&self, row: &mut Row<'_, '_>, text: &str) -> Done {
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
pub(super) fn set_user(row: &mut Row<'_, '_>, name: &Target, domain: &Target, text: &str) -> Done {
    let (of, user) = values::split_user(text);
    if !row.set_text(name, user) {
        return Done::No;
    }
    match of {
        Some(of) => taken(row.set_text(domain, of)).or_read(),
        None => Done::Taken,
    }
}

/// What a word stands for.
pub(super) fn set_word(row: &mut Row<'_, '_>, target: &Target, words: &Words<&'static str>, text: &str) -> Done {
    match words.find(text) {
        Some(meaning) if *meaning == text => taken(row.set_text(target, meaning)),
        Some(meaning) => read(row.set_text(target, meaning)),
        None => Done::No,
    }
}

/// An address with its port, or alone.
pub(super) fn set_endpoint(row: &mut Row<'_, '_>, ip: &Target, port: &Target, text: &str) -> Done {
    let (address, number) = values::endpoint(text);
    if !row.set_text(ip, address) {
        return Done::No;
    }
    if number.is_empty() { Done::Taken } else { taken(row.set_text(port, number)).or_read() }
}

/// A number or a name: the columns hold both.
pub(super) fn set_protocol(row: &mut Row<'_, '_>, number: &Target, name: &Target, text: &str) -> Done {
    let by_number = values::integer(text).and_then(|n| u8::try_from(n).ok()).map(i32::from);
    match (by_number, enums::protocol(text)) {
        (Some(n), _) => {
            if let Some(known) = enums::protocol_name(n) {
                row.set_text(name, known);
            }
            taken(row.set_number(number, n.into()))
        }
        (None, Some(n)) => {
            row.set_number(number, n.into());
            let known = enums::protocol_name(n).unwrap_or(text);
            let set = taken(row.set_text(name, known));
            if known.eq_ignore_ascii_case(text) { set } else { Done::Read }
        }
        (None, None) => taken(row.set_text(name, text)),
    }
}

impl Done {
    fn or_read(self) -> Self {
        if self == Self::No { Self::Read } else { self }
    }
}
