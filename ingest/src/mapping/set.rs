//! The mappings of one origin, by format: from a line or a document to the mapping that takes it.

use std::fmt;
use std::ops::Range;

use dataflow::BatchBuilder;

use crate::decode::csv::Columns;
use crate::decode::json::{At, Doc, Member, Value};
use crate::decode::kv::{self, Dialect};
use crate::decode::names::Names;
use crate::decode::pairs::Pairs;
use crate::decode::row::Scratch;
use crate::decode::syslog::Line;
use crate::decode::{Limits, Rejected};
use crate::decode::{cef, leef};
use crate::normalize::Event;

use super::Mappings;
use super::condition::{Conditions, weight};
use super::plan::{Format, HeaderField, Input, Plan};
use super::select::{Places, Selector, of_header};

/// A mapping that takes a record: its index among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken(pub(super) usize);

/// Events within an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// The object's member that they stand in.
    pub(crate) member: At,
    /// An array of them, one, or a text that is one: that member, or one of its members.
    pub(crate) events: At,
}

impl Held {
    /// What `name` (`records`, `detail.findings`) says of a member.
    fn of(doc: Doc<'_>, member: &Member<'_>, name: &str) -> Option<Self> {
        let (outer, inner) = name.split_once('.').map_or((name, None), |(outer, inner)| (outer, Some(inner)));
        if doc.key(member) != outer.as_bytes() {
            return None;
        }
        let events = inner.map_or(Some(member.at), |inner| doc.member(member.at, inner))?;
        Some(Self { member: member.at, events })
    }

    /// The text that holds the event, if it is one in JSON.
    pub(crate) fn text<'d>(&self, doc: Doc<'d>) -> Option<&'d str> {
        match doc.value(self.events) {
            Value::Text { text, .. } => Some(text.trim()).filter(|text| text.starts_with('{')),
            _ => None,
        }
    }
}

/// The mappings of one origin.
#[derive(Debug, Default)]
pub(super) struct Set {
    json: Selector,
    /// Members that may hold several events.
    each: Vec<&'static str>,
    kv: Vec<(Dialect, Selector)>,
    cef: Selector,
    leef: Selector,
    csv: Vec<usize>,
    /// Mappings and the place of their patterns, by Cisco's mnemonic.
    by_mnemonic: Names<Vec<(usize, usize)>>,
    /// Those whose patterns have no key.
    texts: Vec<(usize, usize)>,
}

/// Buffers of the text formats.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) pairs: Pairs,
    pub(crate) places: Places,
}

impl Buffers {
    /// Buffers for records within those limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { pairs: Pairs::new(limits), places: Places::default() }
    }
}

impl Set {
    pub(super) fn new(plans: &[Plan], range: Range<usize>) -> Result<Self, String> {
        let mut set = Self::default();
        for index in range {
            set.add(index, &plans[index]).map_err(|what| format!("{}: {what}", plans[index].name))?;
        }
        for selector in [&mut set.json, &mut set.cef, &mut set.leef] {
            selector.sort(plans);
        }
        set.kv.iter_mut().for_each(|(_, selector)| selector.sort(plans));
        // The usual way to write pairs is tried first.
        set.kv.sort_by_key(|(dialect, _)| *dialect != Dialect::PLAIN);
        let by_conditions = |index: &usize| std::cmp::Reverse(weight(&plans[*index].conditions));
        set.csv.sort_by_key(by_conditions);
        set.texts.sort_by_key(|(index, _)| by_conditions(index));
        Ok(set)
    }

    /// Numbers the selectors of pairs from `first` on; gives the number after the last.
    pub(super) fn number(&mut self, first: usize) -> usize {
        let of_pairs = self.kv.iter_mut().map(|(_, selector)| selector).chain([&mut self.cef, &mut self.leef]);
        of_pairs.fold(first, |number, selector| {
            selector.number = number;
            number + 1
        })
    }

    fn add(&mut self, index: usize, plan: &Plan) -> Result<(), String> {
        match &plan.format {
            Format::Json { each } => {
                self.each.extend(each.iter().copied());
                self.each.sort_unstable();
                self.each.dedup();
                self.json.add(index, plan)
            }
            Format::Kv(dialects) => dialects.iter().try_for_each(|dialect| self.add_pairs(*dialect, index, plan)),
            Format::Cef => self.cef.add(index, plan),
            Format::Leef => self.leef.add(index, plan),
            Format::Csv(_) => {
                self.csv.push(index);
                Ok(())
            }
            Format::Text(patterns) => self.add_patterns(index, patterns.iter().map(|(key, _)| *key)),
        }
    }

    fn add_pairs(&mut self, dialect: Dialect, index: usize, plan: &Plan) -> Result<(), String> {
        let known = self.kv.iter().position(|(known, _)| *known == dialect);
        let at = known.unwrap_or_else(|| {
            self.kv.push((dialect, Selector::default()));
            self.kv.len() - 1
        });
        self.kv[at].1.add(index, plan)
    }

    fn add_patterns(&mut self, index: usize, keys: impl Iterator<Item = Option<&'static str>>) -> Result<(), String> {
        for (place, key) in keys.enumerate() {
            let Some(key) = key else {
                self.texts.push((index, place));
                continue;
            };
            match self.by_mnemonic.get_mut(key) {
                Some(known) => known.push((index, place)),
                None => self.by_mnemonic.add(key, vec![(index, place)])?,
            }
        }
        Ok(())
    }

    /// The mapping of a line of text; its pairs are then in the buffer.
    fn of_line(
        &self,
        plans: &[Plan],
        line: &str,
        header: &Line<'_>,
        columns: &mut Columns,
        buffers: &mut Buffers,
    ) -> Option<usize> {
        let Buffers { pairs, places } = buffers;
        if let Some((start, is_cef)) = marked(line, header.message) {
            pairs.clear();
            let (selector, split): (_, fn(&str, usize, &mut Pairs) -> bool) =
                if is_cef { (&self.cef, cef::split) } else { (&self.leef, leef::split) };
            let fits = !selector.is_empty() && split(line, start, pairs);
            return if fits { selector.of_pairs(plans, (pairs, line), header, places) } else { None };
        }
        let by_mnemonic = HeaderField::MNEMONIC.of(header);
        let keyed = self.by_mnemonic.get(by_mnemonic.as_bytes()).filter(|_| !by_mnemonic.is_empty());
        keyed
            .and_then(|found| self.of_text(plans, found, line, header, pairs))
            .or_else(|| self.of_pairs(plans, line, header, buffers))
            .or_else(|| self.of_columns(plans, line, header, columns, &mut buffers.pairs))
            .or_else(|| self.of_text(plans, &self.texts, line, header, &mut buffers.pairs))
    }

    fn of_text(
        &self,
        plans: &[Plan],
        found: &[(usize, usize)],
        line: &str,
        header: &Line<'_>,
        pairs: &mut Pairs,
    ) -> Option<usize> {
        let reads = |(index, place): &&(usize, usize)| {
            let plan = &plans[*index];
            let Format::Text(patterns) = &plan.format else { return false };
            pairs.clear();
            plan.conditions.iter().all(|c| of_header(c, header))
                && patterns[*place].1.iter().any(|pattern| pattern.read(line, header.message, pairs))
                && plan.conditions.iter().all(|c| c.holds_of_pairs(pairs, line))
        };
        found.iter().find(reads).map(|(index, _)| *index)
    }

    fn of_pairs(&self, plans: &[Plan], line: &str, header: &Line<'_>, buffers: &mut Buffers) -> Option<usize> {
        let Buffers { pairs, places } = buffers;
        self.kv.iter().find_map(|(dialect, selector)| {
            let has = |byte| memchr::memchr(byte, &line.as_bytes()[header.message..]).is_some();
            let (start, end) = header.data;
            if (!has(dialect.value) && end - start < 2) || !selector.may_take(plans, header) {
                return None;
            }
            pairs.clear();
            kv::split_structured(line, start..end, *dialect, pairs);
            kv::split(line, header.message..line.len(), *dialect, pairs);
            selector.of_pairs(plans, (pairs, line), header, places)
        })
    }

    fn of_columns(
        &self,
        plans: &[Plan],
        line: &str,
        header: &Line<'_>,
        columns: &mut Columns,
        pairs: &mut Pairs,
    ) -> Option<usize> {
        let fits = |index: &&usize| {
            let plan = &plans[**index];
            let Format::Csv(names) = &plan.format else { return false };
            if !plan.conditions.iter().all(|c| of_header(c, header)) {
                return false;
            }
            columns.split(&line[header.message..]);
            pairs.clear();
            for (place, value) in columns.filled(&line[header.message..]) {
                let span = pairs.keep(value);
                match names.get(place) {
                    Some(name) => pairs.push_named(name, span),
                    None => pairs.push_column(place + 1, span),
                }
            }
            plan.conditions.iter().all(|c| c.holds_of_pairs(pairs, line))
        };
        self.csv.iter().find(fits).copied()
    }
}

/// Where an event in CEF (true) or LEEF begins.
fn marked(line: &str, message: usize) -> Option<(usize, bool)> {
    let begins = |at: usize| {
        let rest = &line.as_bytes()[at..];
        let is_digit = |n: usize| rest.get(n).is_some_and(u8::is_ascii_digit);
        match rest {
            _ if rest.starts_with(b"CEF:") && is_digit(4) => Some((at, true)),
            _ if rest.starts_with(b"LEEF:") && is_digit(5) => Some((at, false)),
            _ => None,
        }
    };
    if let Some(found) = begins(message) {
        return Some(found);
    }
    // Behind a header of a kind that nobody knows.
    let head = &line.as_bytes()[..line.len().min(HEADER_BYTES_MAX)];
    let at = memchr::memchr_iter(b':', head).find(|at| head[..*at].ends_with(b"EF"))?.checked_sub(2)?;
    let start = at.checked_sub(1 + usize::from(at >= 2 && head[at - 1] == b'E'))?;
    let is_word = start == 0 || matches!(head[start - 1], b' ' | b'\t');
    begins(start).filter(|_| is_word)
}

/// How far into a line an event may begin.
const HEADER_BYTES_MAX: usize = 512;

impl Mappings {
    /// The mapping that takes an object, the user's first.
    pub(crate) fn of_object(&self, doc: Doc<'_>, at: At, header: &Line<'_>, buffers: &mut Buffers) -> Option<Taken> {
        let find = |set: &Set| set.json.of_object(&self.0.plans, doc, at, header, &mut buffers.places);
        self.0.sets.iter().find_map(find).map(Taken)
    }

    /// The member of an object that holds events of some mapping, or such as are known otherwise.
    pub(crate) fn envelope(
        &self,
        (doc, at): (Doc<'_>, At),
        header: &Line<'_>,
        buffers: &mut Buffers,
        is_known: fn(Doc<'_>, At) -> bool,
    ) -> Option<Held> {
        let mut holds = |held: &Held| {
            let mut events = doc.elements(held.events).chain(doc.is_object(held.events).then_some(held.events));
            held.text(doc).is_some()
                || events.any(|event| is_known(doc, event) || self.of_object(doc, event, header, buffers).is_some())
        };
        doc.members(at).find_map(|member| {
            let names = self.0.sets.iter().flat_map(|set| &set.each);
            names.filter_map(|name| Held::of(doc, &member, name)).find(&mut holds)
        })
    }

    /// A mapping's format, and the conditions that hold of what it takes.
    pub(crate) fn why(&self, taken: Taken) -> (&'static str, impl fmt::Display) {
        let plan = &self.0.plans[taken.0];
        (plan.format.name(), Conditions(&plan.conditions))
    }

    /// The mapping that takes a line; its pairs are then in the buffer.
    pub(crate) fn of_line(
        &self,
        line: &str,
        header: &Line<'_>,
        columns: &mut Columns,
        buffers: &mut Buffers,
    ) -> Option<Taken> {
        self.0.sets.iter().find_map(|set| set.of_line(&self.0.plans, line, header, columns, buffers)).map(Taken)
    }

    /// Writes the row of a line that [`Mappings::of_line`] found the mapping of.
    ///
    /// # Errors
    /// Those of the mapping.
    pub(crate) fn decode_line<'v>(
        &'v self,
        taken: Taken,
        (line, header): (&'v str, &Line<'v>),
        pairs: &'v Pairs,
        out: (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.0.plans[taken.0].decode(Input::Pairs { pairs, line }, header, out, event)
    }

    /// Writes the row of an object.
    ///
    /// # Errors
    /// Those of the mapping.
    pub(crate) fn decode_object<'v>(
        &'v self,
        taken: Taken,
        (doc, at): (Doc<'v>, At),
        header: &Line<'v>,
        out: (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.0.plans[taken.0].decode(Input::Json { doc, at }, header, out, event)
    }
}
