//! The words behind a field's name -> how its values are compared. What does not go together is refused.

use super::Mistake;
use super::encode::Encoding;
use super::time_part::TimePart;
use crate::sql::nearest;
use dataflow::yaml::Place;

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// The whole value.
    Equal,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
    Cidr,
    Exists,
    Number(Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Lt,
    Lte,
    Gt,
    Gte,
}

/// What the modifiers of a field say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Modifiers {
    pub(super) compare: Compare,
    /// In the order they are applied.
    pub(super) encodings: Vec<Encoding>,
    pub(super) part: Option<TimePart>,
    /// All values, not one of them.
    pub(super) all: bool,
    pub(super) is_cased: bool,
    pub(super) is_negated: bool,
    /// The value names another field.
    pub(super) is_reference: bool,
    /// `i`, `m` and `s` of a regular expression.
    pub(super) flags: String,
}

/// Every modifier, for hints.
const NAMES: [&str; 34] = [
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "day",
    "dotall",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "hour",
    "i",
    "ignorecase",
    "lt",
    "lte",
    "m",
    "minute",
    "month",
    "multiline",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "week",
    "wide",
    "windash",
    "year",
];

impl Modifiers {
    /// `names`: what stands between the bars behind the field.
    pub(super) fn parse<'a>(names: impl Iterator<Item = &'a str>, at: Place) -> Result<Self, Mistake> {
        let mut own = Self {
            compare: Compare::Equal,
            encodings: Vec::new(),
            part: None,
            all: false,
            is_cased: false,
            is_negated: false,
            is_reference: false,
            flags: String::new(),
        };
        let mut compared_by = None;
        for name in names {
            own.add(name, &mut compared_by, at)?;
        }
        own.check(at)?;
        Ok(own)
    }

    fn add<'a>(&mut self, name: &'a str, compared_by: &mut Option<&'a str>, at: Place) -> Result<(), Mistake> {
        if let Some(compare) = compare(name) {
            if let Some(before) = compared_by.replace(name) {
                let mistake = Mistake::new(at, format!("{before} and {name} do not go together"));
                return Err(mistake.suggest("keep one; lines of one search must all hold"));
            }
            self.compare = compare;
            return Ok(());
        }
        match name {
            "all" => self.all = true,
            "cased" => self.is_cased = true,
            "neq" => self.is_negated = true,
            "fieldref" => self.is_reference = true,
            // Its values are the placeholders' by now.
            "expand" => {}
            "i" | "ignorecase" => self.flags.push('i'),
            "m" | "multiline" => self.flags.push('m'),
            "s" | "dotall" => self.flags.push('s'),
            _ => match (encoding(name), TimePart::by_name(name)) {
                (Some(encoding), _) => self.encodings.push(encoding),
                (_, Some(part)) => self.part = Some(part),
                _ => return Err(unknown(name, at)),
            },
        }
        Ok(())
    }

    fn check(&self, at: Place) -> Result<(), Mistake> {
        let numeric = matches!(self.compare, Compare::Number(_));
        let textual = matches!(self.compare, Compare::Contains | Compare::StartsWith | Compare::EndsWith);
        let is_regex = self.compare == Compare::Regex;
        for (is_wrong, what) in [
            (!self.flags.is_empty() && !is_regex, "i, m and s are flags of re: |re|i"),
            (is_regex && self.is_cased, "re minds case unless it says |re|i; cased adds nothing"),
            (!(self.encodings.is_empty() || textual || self.compare == Compare::Equal), "only texts are encoded"),
            (
                self.is_reference && !(textual || numeric || self.compare == Compare::Equal),
                "fieldref names a field to compare with",
            ),
            (self.is_reference && !self.encodings.is_empty(), "fieldref names a field, which cannot be encoded"),
            (self.part.is_some() && !(numeric || self.compare == Compare::Equal), "a part of a time is a number"),
            (
                self.compare == Compare::Exists && (self.all || self.is_negated),
                "exists takes true or false, and no other modifier",
            ),
        ] {
            if is_wrong {
                return Err(Mistake::new(at, what));
            }
        }
        Ok(())
    }
}

fn compare(name: &str) -> Option<Compare> {
    Some(match name {
        "contains" => Compare::Contains,
        "startswith" => Compare::StartsWith,
        "endswith" => Compare::EndsWith,
        "re" => Compare::Regex,
        "cidr" => Compare::Cidr,
        "exists" => Compare::Exists,
        "lt" => Compare::Number(Order::Lt),
        "lte" => Compare::Number(Order::Lte),
        "gt" => Compare::Number(Order::Gt),
        "gte" => Compare::Number(Order::Gte),
        _ => return None,
    })
}

fn encoding(name: &str) -> Option<Encoding> {
    Some(match name {
        "wide" | "utf16le" => Encoding::Utf16Le,
        "utf16be" => Encoding::Utf16Be,
        "utf16" => Encoding::Utf16,
        "base64" => Encoding::Base64,
        "base64offset" => Encoding::Base64Offset,
        "windash" => Encoding::Windash,
        _ => return None,
    })
}

fn unknown(name: &str, at: Place) -> Mistake {
    let mistake = Mistake::new(at, format!("no modifier {name}"));
    match name {
        "not" => mistake.suggest("say `not selection` in the condition, or |neq"),
        "null" | "empty" => mistake.suggest("write `field: null` or `field: ''`"),
        _ => match nearest(name, NAMES) {
            Some(near) => mistake.suggest(format!("did you mean {near}?")),
            None => mistake,
        },
    }
}

impl Order {
    pub(super) fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Lt => left < right,
            Self::Lte => left <= right,
            Self::Gt => left > right,
            Self::Gte => left >= right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Modifiers, Mistake> {
        Modifiers::parse(text.split('|').filter(|name| !name.is_empty()), Place::default())
    }

    #[test]
    fn modifiers_are_read_in_any_order_and_encodings_in_theirs() {
        let found = parse("wide|base64offset|contains|all|cased").expect("known");
        assert_eq!(found.encodings, [Encoding::Utf16Le, Encoding::Base64Offset]);
        assert!(found.compare == Compare::Contains && found.all && found.is_cased && !found.is_negated);
        let found = parse("re|i|s").expect("known");
        assert_eq!((found.compare, found.flags.as_str()), (Compare::Regex, "is"));
        let found = parse("hour|gte|neq").expect("known");
        assert!(found.part == Some(TimePart::Hour) && found.is_negated);
        assert_eq!(parse("").expect("none").compare, Compare::Equal);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (text, what, suggestion) in [
            ("contians", "no modifier contians", "did you mean contains?"),
            ("not", "no modifier not", "say `not selection` in the condition, or |neq"),
            ("empty", "no modifier empty", "write `field: null` or `field: ''`"),
            (
                "contains|startswith",
                "contains and startswith do not go together",
                "keep one; lines of one search must all hold",
            ),
            ("i", "i, m and s are flags of re: |re|i", ""),
            ("re|base64", "only texts are encoded", ""),
            ("cidr|fieldref", "fieldref names a field to compare with", ""),
            ("hour|contains", "a part of a time is a number", ""),
            ("exists|all", "exists takes true or false, and no other modifier", ""),
            ("fieldref|base64", "fieldref names a field, which cannot be encoded", ""),
            ("re|cased", "re minds case unless it says |re|i; cased adds nothing", ""),
        ] {
            let mistake = parse(text).expect_err(text);
            assert_eq!((mistake.what.as_str(), mistake.suggestion.unwrap_or_default().as_str()), (what, suggestion));
        }
    }
}
