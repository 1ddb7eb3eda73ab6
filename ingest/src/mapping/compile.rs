//! A document of a mapping file -> a [`Plan`]: every name is checked against the table and OCSF, every field gets a
//! column or a slot. All mistakes are found, not only the first.

mod lists;
mod required;
mod steps;

use std::collections::HashMap;

use dataflow::Table;

use crate::decode::fields::{FieldTable, Target, To};
use crate::decode::row::SLOTS;
use crate::normalize::{Class, Product, ocsf};

use super::attribute::{Attribute, Names};
use super::error::{Mistake, Place};
use super::head::Head;
use super::intern::intern;
use super::plan::{HeaderField, Needs, Plan, is_fixed};
use super::source::Path;
use super::step::{Otherwise, PIECES_MAX, Source, Step};
use super::target::{self, Kind};
use super::time::{TimeSpec, Unit, Zone, zone_seconds};
use super::yaml::Node;

/// Compiles a document whose template, if it names one, is merged in already.
pub(super) fn compile(node: &Node) -> Result<Plan, Vec<Mistake>> {
    let head = Head::read(node)?;
    Compiler::new(&head).plan(node, head)
}

struct Compiler {
    table: Table,
    names: Names,
    /// Values that stand for nothing are looked for in slots.
    only_slots: bool,
    fields: FieldTable,
    /// How often each field is read.
    uses: HashMap<Vec<&'static str>, usize>,
    /// Fields with slots, by slot.
    slots: Vec<Vec<&'static str>>,
    header: Vec<HeaderField>,
    steps: Vec<Step>,
    /// Paths that are mapped.
    mapped: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

type Written<'n> = (&'n str, Place, Attribute<'n>);

impl Compiler {
    fn new(head: &Head) -> Self {
        Self {
            table: head.table,
            names: Names { is_json: head.is_json() },
            only_slots: head.is_json() && !head.empty.is_empty(),
            fields: FieldTable::empty(head.name, head.table),
            uses: HashMap::new(),
            slots: Vec::new(),
            header: Vec::new(),
            steps: Vec::new(),
            mapped: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    fn plan(mut self, node: &Node, head: Head) -> Result<Plan, Vec<Mistake>> {
        let written = self.written(node);
        let times = self.written_times(node);
        self.count(written.iter().chain(&times).map(|(_, _, attribute)| attribute));
        let (times, received_time) = self.times(times);
        self.attributes(&written);
        self.check_cloud(node.at);
        let takes_host = !self.names.is_json && !self.mapped.contains(&"device.hostname");
        let mut needs = Needs::new(self.table, head.product.name, takes_host);
        self.complete();
        let (fixed, steps) = std::mem::take(&mut self.steps).into_iter().partition(is_fixed);
        needs.fixed = fixed;
        let header_slots = self.place_slots(node.at);
        self.known(&head.known);
        if !self.mistakes.is_empty() {
            return Err(self.mistakes);
        }
        let product = Product { name: head.product.name, vendor: head.product.vendor };
        Ok(Plan {
            name: head.name,
            table: self.table,
            class: Class::with_device(self.table, product, self.profiles(takes_host), None),
            format: head.format,
            conditions: head.conditions,
            fields: self.fields,
            header: self.header,
            header_slots,
            times,
            received_time,
            steps,
            needs,
            empty: head.empty,
        })
    }

    /// Attributes as they are written, with activity and severity among them.
    fn written<'n>(&mut self, node: &'n Node) -> Vec<Written<'n>> {
        let mut found = Vec::new();
        for key in ["activity", "severity"] {
            if let Some(entry) = node.get(key) {
                found.extend(self.constant_or(&entry.value).map(|attribute| (key, entry.at, attribute)));
            } else if let Some(value) = self.default_of(key) {
                let attribute = Attribute { otherwise: Some((value, node.at)), ..Attribute::default() };
                found.push((key, node.at, attribute));
            } else {
                self.mistakes.push(Mistake::new(node.at, format!("{key}: is missing")));
            }
        }
        let entries = node.get("attributes").and_then(|e| e.value.entries()).unwrap_or_default();
        for entry in entries {
            match Attribute::read(&entry.value, self.names) {
                Ok(attribute) => found.push((entry.key.as_str(), entry.at, attribute)),
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        found
    }

    /// A text is a caption, anything else an attribute.
    fn constant_or<'n>(&mut self, node: &'n Node) -> Option<Attribute<'n>> {
        if let Some(text) = node.scalar() {
            return Some(Attribute { otherwise: Some((text, node.at)), ..Attribute::default() });
        }
        Attribute::read(node, self.names).map_err(|mistake| self.mistakes.push(mistake)).ok()
    }

    fn default_of(&self, key: &str) -> Option<&'static str> {
        match (key, self.table) {
            ("activity", Table::DetectionFinding) => Some("Create"),
            ("activity", Table::BaseEvent) => Some("Unknown"),
            ("activity", _) => None,
            (_, Table::DetectionFinding) => Some("Unknown"),
            _ => Some("Informational"),
        }
    }

    fn written_times<'n>(&mut self, node: &'n Node) -> Vec<Written<'n>> {
        let Some(entry) = node.get("time") else {
            self.mistakes.push(Mistake::new(node.at, "time: is missing; `time: received` takes the receive time"));
            return Vec::new();
        };
        let mut found = Vec::new();
        for node in entry.value.each() {
            match Attribute::read(node, self.names) {
                Ok(attribute) => found.push(("time", node.at, attribute)),
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        found
    }

    fn count<'a, 'n: 'a>(&mut self, attributes: impl Iterator<Item = &'a Attribute<'n>>) {
        for attribute in attributes {
            let of_template = attribute.template.map(|(text, _)| template_names(text)).unwrap_or_default();
            let of_template: Vec<Path> =
                of_template.iter().filter_map(|name| self.names.path(name, Place::default()).ok()).collect();
            let zone = attribute.zone.filter(|(text, _)| zone_seconds(text).is_none());
            let zone = zone.and_then(|(text, at)| self.names.path(text, at).ok());
            let unless = attribute.unless.iter().map(|(path, _)| path);
            for path in attribute.from.iter().map(|(path, _)| path).chain(&of_template).chain(&zone).chain(unless) {
                *self.uses.entry(path.field.clone()).or_default() += 1;
            }
        }
    }

    fn times(&mut self, written: Vec<Written<'_>>) -> (Vec<TimeSpec>, bool) {
        let (mut times, mut received) = (Vec::new(), false);
        for (_, at, attribute) in written {
            if let [(path, _)] = attribute.from.as_slice()
                && path.field == ["received"]
            {
                received = true;
                continue;
            }
            match self.time(&attribute, at) {
                Ok(spec) => times.push(spec),
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        (times, received)
    }

    fn time(&mut self, attribute: &Attribute<'_>, at: Place) -> Result<TimeSpec, Mistake> {
        if attribute.from.is_empty() || attribute.from.len() > PIECES_MAX / 2 {
            return Err(Mistake::new(at, format!("a time comes from one to {} fields", PIECES_MAX / 2)));
        }
        let unit = match (attribute.format, attribute.unit) {
            (Some(format), _) => Unit::Format(intern(format)),
            (None, Some((unit, at))) => Unit::parse(unit).ok_or_else(|| {
                Mistake::new(at, format!("{unit} is no unit of time"))
                    .near(unit, ["auto", "s", "ms", "us", "ns", "rfc3339"])
            })?,
            (None, None) => Unit::Auto,
        };
        let zone = match attribute.zone {
            None => Zone::Fixed(0),
            Some((text, at)) => match zone_seconds(text) {
                Some(seconds) => Zone::Fixed(seconds),
                None => Zone::Field(self.source(&self.names.path(text, at)?)),
            },
        };
        Ok(TimeSpec { from: self.sources(attribute), unit, zone })
    }

    fn sources(&mut self, attribute: &Attribute<'_>) -> Vec<Source> {
        attribute.from.iter().map(|(path, _)| self.source(path)).collect()
    }

    /// The slot of a path, a new one if it has none yet.
    fn source(&mut self, path: &Path) -> Source {
        let known = self.slots.iter().position(|field| *field == path.field);
        let slot = known.unwrap_or_else(|| {
            self.slots.push(path.field.clone());
            self.slots.len() - 1
        });
        Source { slot: u8::try_from(slot).unwrap_or(u8::MAX), inner: path.inner.clone() }
    }

    fn attributes(&mut self, written: &[Written<'_>]) {
        for (name, at, attribute) in written {
            if let Err(mistake) = self.attribute(name, *at, attribute) {
                self.mistakes.push(mistake);
            }
        }
    }

    fn attribute(&mut self, name: &str, at: Place, attribute: &Attribute<'_>) -> Result<(), Mistake> {
        if name == "activity" {
            let step = self.activity(attribute)?;
            self.steps.push(step);
            return Ok(());
        }
        let path = if name == "severity" { "severity" } else { name };
        let kind = if name == "severity" { self.severity() } else { target::kind(self.table, path) };
        let kind = kind.map_err(|what| Mistake::new(at, what).near(name, target::names(self.table)))?;
        if self.mapped.contains(&path) {
            return Err(Mistake::new(at, format!("{path} stands twice")));
        }
        self.mapped.push(intern(path));
        let list = target::list_of(self.table, path);
        if list.is_none() && self.goes_straight(&kind, attribute) {
            if let (Kind::Column(target) | Kind::Time(target), [(path, at)]) = (kind, attribute.from.as_slice()) {
                return self.add_field(path, *at, To::Column(target));
            }
            return Ok(());
        }
        match list {
            Some(list) => self.in_list(list, attribute, kind, at),
            None => {
                let mut step = self.step(attribute, kind, at)?;
                // OCSF asks for it.
                if name == "severity" && matches!(step.otherwise, Otherwise::Nothing) {
                    step.otherwise = Otherwise::Caption(ocsf::UNKNOWN);
                }
                self.steps.push(step);
                Ok(())
            }
        }
    }

    fn severity(&self) -> Result<Kind, String> {
        let of = |path| Target::of(self.table, path);
        let own = ocsf::values(self.table, "severity_id").ok_or("a class without severities")?;
        Ok(Kind::Enum { id: of("severity_id"), caption: Some(of("severity")), own })
    }

    /// True for a field that one plain attribute uses: its values need no slot.
    fn goes_straight(&self, kind: &Kind, attribute: &Attribute<'_>) -> bool {
        let is_plain = attribute.otherwise.is_none()
            && attribute.unit.is_none()
            && attribute.zone.is_none()
            && attribute.format.is_none()
            && attribute.template.is_none()
            && attribute.unless.is_none()
            && !attribute.has_values;
        let [(path, _)] = attribute.from.as_slice() else { return false };
        let is_row = matches!(kind, Kind::Column(target) | Kind::Time(target) if target::is_of_row(self.table, target));
        is_plain && is_row && !self.only_slots && path.inner.is_none() && self.uses.get(&path.field) == Some(&1)
    }

    fn add_field(&mut self, path: &Path, at: Place, to: To) -> Result<(), Mistake> {
        self.note_header(&path.field);
        self.fields.add_path(&path.field, to).map_err(|what| Mistake::new(at, what))
    }

    /// True if the field is a part of the syslog header, which is then read.
    fn note_header(&mut self, field: &[&'static str]) -> bool {
        let [name] = field else { return false };
        let part = HeaderField::named(name);
        self.header.extend(part);
        part.is_some()
    }

    /// Gives the fields their slots; a mask of those of the syslog header.
    fn place_slots(&mut self, at: Place) -> u64 {
        if self.slots.len() > SLOTS {
            let what = format!("more than {SLOTS} fields are used by steps, alternatives or several attributes");
            self.mistakes.push(Mistake::new(at, what));
            return 0;
        }
        let mut of_header = 0;
        for (slot, field) in (0..).zip(std::mem::take(&mut self.slots)) {
            of_header |= u64::from(self.note_header(&field)) << slot;
            if let Err(what) = self.fields.add_path(&field, To::Slot(slot)) {
                self.mistakes.push(Mistake::new(at, what));
            }
        }
        of_header
    }

    /// Names fields that are no news though no attribute takes them.
    fn known(&mut self, known: &[(Path, Place)]) {
        for (path, at) in known {
            if let Err(what) = self.fields.add_path(&path.field, To::Unmapped) {
                self.mistakes.push(Mistake::new(*at, what));
            }
        }
    }
}

/// The fields that a template names.
fn template_names(text: &str) -> Vec<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}
