//! What an attribute does with its values: the step, its words, and what stands where no field says it.

use super::super::attribute::{Attribute, text};
use super::super::error::{Mistake, Place};
use super::super::intern::intern;
use super::super::step::{Enum, Length, Otherwise, PIECES_MAX, Piece, Step, Verdict, What};
use super::super::target::Kind;
use super::super::words::Words;
use super::Compiler;
use super::lists::has_many;
use crate::decode::fields::{Convert, Target};
use crate::decode::values;
use crate::normalize::ocsf::{self, Caption, OTHER};
use crate::normalize::{action, enums};

impl Compiler {
    pub(super) fn step(&mut self, attribute: &Attribute<'_>, kind: Kind, at: Place) -> Result<Step, Mistake> {
        if let Some((path, at)) =
            attribute.from.iter().find(|(path, _)| has_many(path) && !matches!(kind, Kind::Texts(..)))
        {
            let what = format!("{}[] is many values; [0] is one", path.field.join("."));
            return Err(Mistake::new(*at, what));
        }
        let what = self.what(attribute, kind, at)?;
        let otherwise = self.otherwise(&what, attribute)?;
        Ok(Step {
            from: if matches!(what, What::Time(..)) { Vec::new() } else { self.sources(attribute) },
            unless: attribute.unless.as_ref().map(|(path, _)| self.source(path)),
            what,
            otherwise,
        })
    }

    pub(super) fn what(&mut self, attribute: &Attribute<'_>, kind: Kind, at: Place) -> Result<What, Mistake> {
        if let Some((text, at)) = attribute.template {
            let Kind::Column(target) = kind else {
                return Err(Mistake::new(at, "a template makes a text"));
            };
            return self.template(target, text, at);
        }
        if attribute.has_values && !matches!(kind, Kind::Enum { .. } | Kind::Action | Kind::Column(_)) {
            return Err(Mistake::new(at, "values: belongs to an enum or a single value"));
        }
        Ok(match kind {
            Kind::Column(target) if attribute.unit.is_some() => What::Length(target, length(attribute)?),
            Kind::Column(target) if attribute.has_values => {
                What::Words(target, words(attribute, |word| fitting(&target, word))?)
            }
            Kind::Column(target) => What::Column(target),
            Kind::Hot(target) => What::Hot(target),
            Kind::Time(target) => {
                let spec = self.time(attribute, at)?;
                What::Time(target, spec)
            }
            Kind::Enum { id, caption, own } => {
                let words = words(attribute, |caption| caption_of(own, caption))?;
                What::Enum(Enum { id, caption, words, own, vocabulary: vocabulary(own) })
            }
            Kind::Action if attribute.has_values => What::Action(Some(words(attribute, |c| self.verdict(c))?)),
            Kind::Action => What::Action(None),
            Kind::User(name, domain) => What::User(name, domain),
            Kind::Endpoint(ip, port) => What::Endpoint(ip, port),
            Kind::Protocol(number, name) => What::Protocol(number, name),
            Kind::Os(targets) => What::Os(targets),
            Kind::Url(targets) => What::Url(targets),
            Kind::Texts(leaf, objects) => What::Texts(leaf, objects),
        })
    }

    pub(super) fn template(&mut self, target: Target, text: &str, at: Place) -> Result<What, Mistake> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('{') {
            let (name, after) = tail.split_once('}').ok_or_else(|| Mistake::new(at, "a { that nothing closes"))?;
            pieces.push(Piece::Text(intern(head)));
            pieces.push(Piece::Field(self.source(&self.names.path(name, at)?)));
            rest = after;
        }
        pieces.push(Piece::Text(intern(rest)));
        pieces.retain(|piece| !matches!(piece, Piece::Text("")));
        if pieces.len() > PIECES_MAX {
            return Err(Mistake::new(at, format!("a template has at most {PIECES_MAX} parts")));
        }
        Ok(What::Template(target, pieces))
    }

    pub(super) fn otherwise(&self, what: &What, attribute: &Attribute<'_>) -> Result<Otherwise, Mistake> {
        let Some((text, at)) = attribute.otherwise else { return Ok(Otherwise::Nothing) };
        let mistake = |(what, near): (String, Option<&'static str>)| Mistake {
            suggestion: near.map(str::to_owned),
            ..Mistake::new(at, what)
        };
        Ok(match what {
            What::Enum(e) => Otherwise::Caption(caption_of(e.own, text).map_err(mistake)?),
            What::Activity(_, own) => Otherwise::Caption(caption_of(own, text).map_err(mistake)?),
            What::Action(_) => Otherwise::Verdict(self.verdict(text).map_err(mistake)?),
            What::Hot(_) | What::Time(..) | What::Length(..) | What::Url(_) | What::Os(_) | What::Endpoint(..) => {
                return Err(Mistake::new(at, "this attribute has no constant"));
            }
            _ => Otherwise::Text(intern(text)),
        })
    }

    pub(super) fn activity(&mut self, attribute: &Attribute<'_>) -> Result<Step, Mistake> {
        let own = ocsf::values(self.table, "activity_id").unwrap_or_default();
        let words = words(attribute, |caption| caption_of(own, caption).map(|found| found.0))?;
        let what = What::Activity(words, own);
        let otherwise = match self.otherwise(&what, attribute)? {
            Otherwise::Nothing => Otherwise::Caption(ocsf::UNKNOWN),
            said => said,
        };
        Ok(Step { from: self.sources(attribute), unless: None, what, otherwise })
    }

    /// Action and disposition by the caption of either.
    pub(super) fn verdict(&self, caption: &str) -> Result<Verdict, Unknown> {
        let values = |path| ocsf::values(self.table, path).unwrap_or_default();
        let (actions, dispositions) = (values("action_id"), values("disposition_id"));
        match ocsf::by_caption(actions, caption) {
            Some(found) if found.0 != OTHER => Ok((found, action::disposition_of(found))),
            _ => {
                let all: Vec<Caption> = actions.iter().chain(dispositions).copied().collect();
                let found = caption_of(&all, caption)?;
                Ok((action::action_of(found), found))
            }
        }
    }
}

/// What is wrong with a caption, and the one that it looks like.
type Unknown = (String, Option<&'static str>);

/// The value that a caption or an id names.
fn caption_of(own: &[Caption], text: &str) -> Result<Caption, Unknown> {
    let by_id = text.parse().ok().and_then(|id| ocsf::by_id(own, id));
    if let Some(found) = ocsf::by_caption(own, text).or(by_id) {
        return Ok(found);
    }
    let scored = own.iter().map(|(_, caption)| (strsim::jaro_winkler(text, caption), *caption));
    let near = scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, caption)| caption);
    let all: Vec<&str> = own.iter().map(|(_, caption)| *caption).collect();
    Err((format!("{text:?} is none of OCSF's values: {}", all.join(", ")), near))
}

/// A word's text, if the column can hold it.
fn fitting(target: &Target, text: &str) -> Result<&'static str, Unknown> {
    let fits = match target.convert {
        Convert::Bool => values::boolean(text).is_some(),
        Convert::Ip | Convert::NatIp => values::ip(text).is_some(),
        Convert::Int | Convert::Int32 | Convert::Port => values::integer(text).is_some(),
        _ => true,
    };
    if fits { Ok(intern(text)) } else { Err((format!("{text:?} does not fit the attribute"), None)) }
}

/// Words that the code knows, beside OCSF's captions.
fn vocabulary(own: &'static [Caption]) -> Option<fn(&str) -> Option<Caption>> {
    let has = |caption| ocsf::by_caption(own, caption).is_some();
    if has("Informational") {
        Some(enums::severity)
    } else if has("Success") {
        Some(enums::status)
    } else if has("Kerberos") {
        Some(enums::auth_protocol)
    } else {
        None
    }
}

fn words<T>(attribute: &Attribute<'_>, meaning: impl Fn(&str) -> Result<T, Unknown>) -> Result<Words<T>, Mistake> {
    let mut words = Words::default();
    for entry in attribute.values {
        let caption = text(&entry.value)?;
        let found = meaning(caption).map_err(|(what, near)| Mistake {
            suggestion: near.map(str::to_owned),
            ..Mistake::new(entry.value.at, what)
        })?;
        words.add(&entry.key, found).map_err(|what| Mistake::new(entry.at, what))?;
    }
    Ok(words)
}

fn length(attribute: &Attribute<'_>) -> Result<Length, Mistake> {
    let Some((unit, at)) = attribute.unit else { return Ok(Length::Nanos(1_000_000)) };
    Ok(match unit {
        "clock" => Length::Clock,
        "ns" => Length::Nanos(1),
        "us" => Length::Nanos(1_000),
        "ms" => Length::Nanos(1_000_000),
        "s" => Length::Nanos(1_000_000_000),
        "min" => Length::Nanos(60_000_000_000),
        _ => {
            let what = format!("{unit} is no unit of a length of time");
            return Err(Mistake::new(at, what).near(unit, ["s", "ms", "us", "ns", "min", "clock"]));
        }
    })
}
