//! What a mapping does with the fields that need more than a column: one step an attribute, in the file's order.

use dataflow::Leaf;

use crate::decode::fields::{Objects, Target};
use crate::normalize::ocsf::Caption;

use super::source::Inner;
use super::time::TimeSpec;
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
    /// A value that repeats this one says nothing.
    pub(super) unless: Option<Source>,
    pub(super) what: What,
    pub(super) otherwise: Otherwise,
}

impl Step {
    /// One that reads no field of its own.
    pub(super) fn alone(what: What, otherwise: Otherwise) -> Self {
        Self { from: Vec::new(), unless: None, what, otherwise }
    }
}

/// What a value becomes.
#[derive(Debug)]
pub(super) enum What {
    Column(Target),
    /// A column beside `unmapped`.
    Hot(Target),
    /// A length of time in milliseconds.
    Length(Target, Length),
    Time(Target, TimeSpec),
    Enum(Enum),
    Activity(Words<i32>, &'static [Caption]),
    Action(Option<Words<Verdict>>),
    /// Name and domain.
    User(Target, Target),
    /// Address and port.
    Endpoint(Target, Target),
    /// Number and name.
    Protocol(Target, Target),
    /// A text for each word, set as if it stood in the record.
    Words(Target, Words<&'static str>),
    /// Name, id and caption.
    Os([Target; 3]),
    Url(UrlTargets),
    /// A list of texts, and the objects that it lies in.
    Texts(Leaf, Objects),
    /// Texts and fields in turn.
    Template(Target, Vec<Piece>),
    /// One element of a list of objects, if one of its fields is there.
    Element(&'static str, Vec<Step>),
    /// An element for each of an array's.
    Elements(Elements),
}

impl What {
    /// Objects that it lies in, and those of them that it makes valid; none of what is not a value's.
    pub(super) fn objects(&self) -> Option<(Objects, Objects)> {
        let target = match self {
            Self::Column(target)
            | Self::Hot(target)
            | Self::Length(target, _)
            | Self::Time(target, _)
            | Self::Words(target, _)
            | Self::Template(target, _)
            | Self::User(target, _)
            | Self::Endpoint(target, _)
            | Self::Protocol(target, _)
            | Self::Os([target, ..]) => target,
            Self::Enum(e) => &e.id,
            Self::Url(targets) => &targets.whole,
            Self::Texts(_, objects) => return Some((*objects, Objects::default())),
            Self::Activity(..) | Self::Action(_) | Self::Element(..) | Self::Elements(_) => return None,
        };
        Some((target.touches, target.satisfies))
    }
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

/// Parts of a template or of a joined time.
pub(super) const PIECES_MAX: usize = 12;
