//! A document of a mapping file -> a [`Plan`]: every name is checked against the table and OCSF, every field gets a
//! column or a slot. All mistakes are found, not only the first.

use std::collections::HashMap;

use dataflow::Table;

use crate::decode::fields::{Convert, FieldTable, Objects, Target, To};
use crate::decode::row::SLOTS;
use crate::decode::values;
use crate::normalize::ocsf::{self, Caption, OTHER};
use crate::normalize::{Class, Product, action, enums};

use super::attribute::{Attribute, Names, text};
use super::error::{Mistake, Place};
use super::head::Head;
use super::intern::intern;
use super::plan::{HeaderField, Needs, Plan, is_fixed};
use super::source::{Path, Pick};
use super::step::{Elements, Enum, Length, Otherwise, PIECES_MAX, Piece, Source, Step, Verdict, What};
use super::target::{self, Kind};
use super::time::{TimeSpec, Unit, Zone, zone_seconds};
use super::words::Words;
use super::yaml::Node;

/// Compiles a document whose template, if it names one, is merged in already.
pub(super) fn compile(node: &Node) -> Result<Plan, Vec<Mistake>> {
    let head = Head::read(node)?;
    Compiler::new(&head).plan(node, head)
}

struct Compiler {
    table: Table,
    names: Names,
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
            fields: FieldTable::empty(head.table),
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
            for path in attribute.from.iter().map(|(path, _)| path).chain(&of_template).chain(&zone) {
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
            && !attribute.has_values;
        let [(path, _)] = attribute.from.as_slice() else { return false };
        let is_row = matches!(kind, Kind::Column(target) | Kind::Time(target) if target::is_of_row(self.table, target));
        is_plain && is_row && path.inner.is_none() && self.uses.get(&path.field) == Some(&1)
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

    fn step(&mut self, attribute: &Attribute<'_>, kind: Kind, at: Place) -> Result<Step, Mistake> {
        if let Some((path, at)) =
            attribute.from.iter().find(|(path, _)| has_many(path) && !matches!(kind, Kind::Texts(_)))
        {
            let what = format!("{}[] is many values; [0] is one", path.field.join("."));
            return Err(Mistake::new(*at, what));
        }
        let what = self.what(attribute, kind, at)?;
        let otherwise = self.otherwise(&what, attribute)?;
        Ok(Step {
            from: if matches!(what, What::Time(..)) { Vec::new() } else { self.sources(attribute) },
            what,
            otherwise,
        })
    }

    fn what(&mut self, attribute: &Attribute<'_>, kind: Kind, at: Place) -> Result<What, Mistake> {
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
            Kind::User { name, domain } => What::User { name, domain },
            Kind::Protocol { number, name } => What::Protocol { number, name },
            Kind::Address { ip, port } => What::Address { ip, port },
            Kind::Os { name, id, caption } => What::Os { name, id, caption },
            Kind::Url(targets) => What::Url(targets),
            Kind::Texts(leaf) => What::Texts(leaf),
        })
    }

    fn template(&mut self, target: Target, text: &str, at: Place) -> Result<What, Mistake> {
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

    fn otherwise(&self, what: &What, attribute: &Attribute<'_>) -> Result<Otherwise, Mistake> {
        let Some((text, at)) = attribute.otherwise else { return Ok(Otherwise::Nothing) };
        let mistake = |(what, near): (String, Option<&'static str>)| Mistake {
            suggestion: near.map(str::to_owned),
            ..Mistake::new(at, what)
        };
        Ok(match what {
            What::Enum(e) => Otherwise::Caption(caption_of(e.own, text).map_err(mistake)?),
            What::Activity(_, own) => Otherwise::Caption(caption_of(own, text).map_err(mistake)?),
            What::Action(_) => Otherwise::Verdict(self.verdict(text).map_err(mistake)?),
            What::Time(..) | What::Length(..) | What::Url(_) | What::Os { .. } | What::Address { .. } => {
                return Err(Mistake::new(at, "this attribute has no constant"));
            }
            _ => Otherwise::Text(intern(text)),
        })
    }

    fn activity(&mut self, attribute: &Attribute<'_>) -> Result<Step, Mistake> {
        let own = ocsf::values(self.table, "activity_id").unwrap_or_default();
        let words = words(attribute, |caption| caption_of(own, caption).map(|found| found.0))?;
        let what = What::Activity(words, own);
        let otherwise = match self.otherwise(&what, attribute)? {
            Otherwise::Nothing => Otherwise::Caption(ocsf::UNKNOWN),
            said => said,
        };
        Ok(Step { from: self.sources(attribute), what, otherwise })
    }

    /// Action and disposition by the caption of either.
    fn verdict(&self, caption: &str) -> Result<Verdict, Unknown> {
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

    /// An attribute of an element: of the one that plain fields make, or of each that an array makes.
    fn in_list(&mut self, list: &'static str, attribute: &Attribute<'_>, kind: Kind, at: Place) -> Result<(), Mistake> {
        let each = match attribute.from.as_slice() {
            [(path, _)] if has_many(path) => path.inner.as_ref().map(|inner| (path, inner.path.clone())),
            _ => None,
        };
        let Some((path, member)) = each else {
            let step = self.step(attribute, kind, at)?;
            return self.add_to_element(list, step);
        };
        let satisfies = satisfies(&kind);
        let what = self.what(attribute, kind, at)?;
        let slot = self.source(path).slot;
        let is_it = |step: &Step| matches!(&step.what, What::Elements(e) if e.slot == slot && e.list == list);
        if !self.steps.iter().any(is_it) {
            let (objects, members, needed, fixed) = (Objects::of_list(list), Vec::new(), Vec::new(), Vec::new());
            let elements = Elements { slot, list, objects, members, needed, fixed };
            self.steps.push(Step { from: Vec::new(), what: What::Elements(elements), otherwise: Otherwise::Nothing });
        }
        if let Some(Step { what: What::Elements(elements), .. }) = self.steps.iter_mut().find(|step| is_it(step)) {
            if satisfies {
                elements.needed.push(elements.members.len());
            }
            elements.members.push((member, what));
        }
        Ok(())
    }

    fn add_to_element(&mut self, list: &'static str, step: Step) -> Result<(), Mistake> {
        let arrays = self.steps.iter_mut().find_map(|s| match &mut s.what {
            What::Elements(elements) if elements.list == list => Some(&mut elements.fixed),
            _ => None,
        });
        if let (Some(fixed), true) = (arrays, is_fixed(&step)) {
            fixed.push(step);
            return Ok(());
        }
        let known = self.steps.iter_mut().find_map(|s| match &mut s.what {
            What::Element(name, steps) if *name == list => Some(steps),
            _ => None,
        });
        match known {
            // Constants come last: they stand in what the fields have made.
            Some(steps) if is_fixed(&step) => steps.push(step),
            Some(steps) => {
                let at = steps.iter().position(is_fixed).unwrap_or(steps.len());
                steps.insert(at, step);
            }
            None => self.steps.push(Step {
                from: Vec::new(),
                what: What::Element(list, vec![step]),
                otherwise: Otherwise::Nothing,
            }),
        }
        Ok(())
    }

    /// Adds the ids that objects are not valid without.
    fn complete(&mut self) {
        for (object, id, caption) in REQUIRED {
            let is_begun =
                self.mapped.iter().any(|path| path.strip_prefix(object).is_some_and(|rest| rest.starts_with('.')))
                    || (object == "device" && self.table.leaf("device.hostname").is_some());
            let name = id.strip_suffix("_id").unwrap_or(id);
            let is_mapped = self.mapped.iter().any(|path| *path == id || *path == name);
            let Ok(Kind::Enum { id: target, caption: beside, own }) = target::kind(self.table, id) else { continue };
            let os = self.mapped.contains(&object);
            let Some(value) = ocsf::by_caption(own, caption).filter(|_| is_begun && !is_mapped && !os) else {
                continue;
            };
            let what = What::Enum(Enum { id: target, caption: beside, words: Words::default(), own, vocabulary: None });
            let step = Step { from: Vec::new(), what, otherwise: Otherwise::Caption(value) };
            match target::list_of(self.table, id) {
                Some(list) => drop(self.add_to_element(list, step)),
                None => self.steps.push(step),
            }
        }
    }

    fn check_cloud(&mut self, at: Place) {
        let has = |head: &str| self.mapped.iter().any(|path| path.starts_with(head));
        if has("cloud.") && !has("cloud.provider") {
            self.mistakes.push(Mistake::new(at, "cloud.* needs cloud.provider, for instance {const: AWS}"));
        }
    }

    /// The profiles that bring the attributes.
    fn profiles(&self, takes_host: bool) -> &'static [&'static str] {
        let has = |names: &[&str]| {
            self.mapped.iter().any(|path| names.contains(&path.split(['.', '[']).next().unwrap_or(path)))
        };
        let cloud = has(&["cloud"]) || (self.table != Table::ApiActivity && has(&["api"]));
        let host = has(&["device", "actor"]) || (takes_host && self.table.leaf("device.hostname").is_some());
        let security = has(&["action", "disposition", "firewall_rule", "is_alert", "action_id", "disposition_id"]);
        match (cloud, host, security) {
            (false, false, false) => &["datetime"],
            (false, false, true) => &["security_control", "datetime"],
            (false, true, false) => &["host", "datetime"],
            (false, true, true) => &["host", "security_control", "datetime"],
            (true, false, false) => &["cloud", "datetime"],
            (true, false, true) => &["cloud", "security_control", "datetime"],
            (true, true, false) => &["cloud", "host", "datetime"],
            (true, true, true) => &["cloud", "host", "security_control", "datetime"],
        }
    }
}

/// Objects, the id that each needs, and the value that it has if nothing says it.
const REQUIRED: [(&str, &str, &str); 6] = [
    ("connection_info", "connection_info.direction_id", "Unknown"),
    ("evidences[].connection_info", "evidences[].connection_info.direction_id", "Unknown"),
    ("evidences[].file", "evidences[].file.type_id", "Unknown"),
    ("finding_info.analytic", "finding_info.analytic.type_id", "Rule"),
    ("src_endpoint.os", "src_endpoint.os.type_id", "Unknown"),
    ("device", "device.type_id", "Unknown"),
];

fn has_many(path: &Path) -> bool {
    path.inner.as_ref().is_some_and(|inner| inner.pick == Pick::Each)
}

/// True if the columns make the object that they lie in valid.
fn satisfies(kind: &Kind) -> bool {
    match kind {
        Kind::Column(target) | Kind::Time(target) => !target.satisfies.is_empty(),
        Kind::User { name, .. } => !name.satisfies.is_empty(),
        Kind::Address { ip, .. } => !ip.satisfies.is_empty(),
        Kind::Url(url) => !url.whole.satisfies.is_empty(),
        _ => false,
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

/// The fields that a template names.
fn template_names(text: &str) -> Vec<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}
