//! A mapping, ready to run: fields to columns and slots, then one step an attribute, then what the class asks for.

use std::fmt::Write;

use dataflow::time::RANGE_US;
use dataflow::{BatchBuilder, Leaf, Reason, Table};

use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::json::{At, Doc};
use crate::decode::kv::Dialect;
use crate::decode::pairs::Pairs;
use crate::decode::row::{Row, Scratch};
use crate::decode::syslog::Line;
use crate::decode::text::Pattern;
use crate::normalize::{Class, Event};

use super::condition::Condition;
use super::exec::Exec;
use super::fill::otherwise;
use super::step::{Otherwise, Step};
use super::time::TimeSpec;

/// Patterns by Cisco's mnemonic; without one, for any line.
pub(super) type Patterns = Vec<(Option<&'static str>, Vec<Pattern>)>;

/// How a mapping's records are written.
#[derive(Debug)]
pub(super) enum Format {
    /// With the member that may hold several events.
    Json {
        each: Vec<&'static str>,
    },
    /// In each of these ways.
    Kv(Vec<Dialect>),
    Cef,
    Leef,
    /// Names of the columns.
    Csv(Vec<&'static str>),
    Text(Patterns),
}

impl Format {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Json { .. } => "json",
            Self::Kv(_) => "kv",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Csv(_) => "csv",
            Self::Text(_) => "text",
        }
    }
}

/// A log source's mapping.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) table: Table,
    pub(super) format: Format,
    pub(super) conditions: Vec<Condition>,
    pub(super) class: Class,
    pub(super) fields: FieldTable,
    /// Parts of the syslog header that it reads.
    pub(super) header: Vec<HeaderField>,
    /// Slots of the header's parts: what no attribute takes of it is no field of the event.
    pub(super) header_slots: u64,
    pub(super) times: Vec<TimeSpec>,
    /// An event without a time has the receive time.
    pub(super) received_time: bool,
    pub(super) steps: Vec<Step>,
    pub(super) needs: Needs,
    /// Values that stand for nothing.
    pub(super) empty: Vec<Box<str>>,
}

/// A part of the syslog header, by the name that mappings know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeaderField(usize);

type Part = for<'a> fn(&Line<'a>) -> &'a str;

const HEADER_FIELDS: [(&str, Part); 9] = [
    ("syslog.host", |line| line.host),
    ("syslog.app", |line| line.app),
    ("syslog.process", |line| line.process),
    ("syslog.message_id", |line| line.message_id),
    ("syslog.priority", |line| line.priority),
    ("syslog.time", |line| line.time),
    ("cisco.facility", |line| line.facility),
    ("cisco.severity", |line| line.severity),
    ("cisco.mnemonic", |line| line.mnemonic),
];

impl HeaderField {
    pub(super) const MNEMONIC: Self = Self(8);

    pub(super) fn named(name: &str) -> Option<Self> {
        HEADER_FIELDS.iter().position(|(known, _)| *known == name).map(Self)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        HEADER_FIELDS.iter().map(|(name, _)| *name)
    }

    pub(super) fn name(self) -> &'static str {
        HEADER_FIELDS[self.0].0
    }

    #[inline]
    pub(super) fn of<'a>(self, line: &Line<'a>) -> &'a str {
        (HEADER_FIELDS[self.0].1)(line)
    }
}

/// An event as its format was split.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'v> {
    Pairs {
        pairs: &'v Pairs,
        line: &'v str,
    },
    /// An object.
    Json {
        doc: Doc<'v>,
        at: At,
    },
}

impl Plan {
    /// Writes one row.
    ///
    /// # Errors
    /// If the event has no time, or one that no table can hold.
    pub(super) fn decode<'v>(
        &'v self,
        input: Input<'v>,
        header: &Line<'v>,
        (rows, scratch): (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.class.write((rows.table(self.table), &self.fields, scratch), event, |row| {
            let doc = if let Input::Json { doc, .. } = input { Some(doc) } else { None };
            let (class, received_at, taken) = (&self.class, event.record.received_at, self.header_slots);
            let mut exec = Exec { class, doc, received_at, taken, empty: &self.empty };
            self.read(row, input, header);
            self.set_time(row, &mut exec, event)?;
            self.steps.iter().for_each(|step| exec.run(row, step));
            self.needs.fill(row, &self.class, header, event);
            row.forget(exec.taken);
            Ok(())
        })
    }

    fn read<'v>(&'v self, row: &mut Row<'_, 'v>, input: Input<'v>, header: &Line<'v>) {
        row.read_pairs(self.header.iter().map(|field| (field.name(), field.of(header))));
        if let Input::Pairs { pairs, .. } = input {
            row.note_longer(pairs.longer());
        }
        match input {
            Input::Pairs { pairs, line } => {
                row.read_split(pairs, line, |value| self.empty.iter().any(|empty| **empty == *value));
            }
            Input::Json { doc, at } => row.read_members(doc, at, 0),
        }
    }

    /// Sets the time from the first specification that finds one. Others that say the same second are dropped.
    fn set_time<'v>(&self, row: &mut Row<'_, 'v>, exec: &mut Exec<'_, 'v>, event: &Event<'_>) -> Result<(), Rejected> {
        let found = self.times.iter().enumerate().find_map(|(i, spec)| Some((i, exec.time(row, spec)?)));
        let Some((best, time)) = found else {
            if self.received_time {
                self.class.set_time(row, event, event.record.received_at, "");
                return Ok(());
            }
            return Err(self.no_time(row, exec));
        };
        if !RANGE_US.contains(&time) {
            return Err(Rejected::new(Reason::TimeOutOfRange, time.to_string()));
        }
        let texts = exec.texts(row, &self.times[best]).unwrap_or_default();
        self.class.set_time(row, event, time, "");
        self.class.set_original_time(row, &texts);
        for spec in &self.times {
            let same = exec.time(row, spec).is_some_and(|t| t.div_euclid(1_000_000) == time.div_euclid(1_000_000));
            if same {
                spec.from.iter().for_each(|source| exec.take(source));
            }
        }
        Ok(())
    }

    #[cold]
    fn no_time(&self, row: &Row<'_, '_>, exec: &Exec<'_, '_>) -> Rejected {
        let mut detail = format!("{}: no time", self.name);
        let texts = self.times.iter().flat_map(|spec| &spec.from).filter_map(|source| exec.text(row, source));
        texts.for_each(|text| {
            let _ = write!(detail, "; {text:?} is none");
        });
        Rejected::new(Reason::InvalidTime, detail)
    }
}

/// What OCSF asks of a class beyond what its fields say.
#[derive(Debug)]
pub(super) struct Needs {
    table: Table,
    host: Option<Target>,
    service: Option<Leaf>,
    product: &'static str,
    uid: Option<Target>,
    /// Steps without a field: constants, and ids that an object is not valid without.
    pub(super) fixed: Vec<Step>,
}

const UNKNOWN: &str = "Unknown";

impl Needs {
    pub(super) fn new(table: Table, product: &'static str, takes_host: bool) -> Self {
        let target = |path: &str| table.leaf(path).map(|_| Target::of(table, path));
        // Who tells of a device is not the device.
        let host = if table == Table::InventoryInfo { "metadata.reporter.hostname" } else { "device.hostname" };
        Self {
            table,
            host: target(host).filter(|_| takes_host),
            service: table.leaf("src_endpoint.svc_name"),
            product,
            uid: target("finding_info.uid"),
            fixed: Vec::new(),
        }
    }

    fn fill<'v>(&self, row: &mut Row<'_, 'v>, class: &Class, header: &Line<'v>, event: &Event<'_>) {
        if let Some(host) = self.host.as_ref().filter(|_| !header.host.is_empty()) {
            row.set_text(host, header.host);
        }
        self.fixed.iter().for_each(|step| otherwise(class, row, &step.what, step.otherwise));
        self.fill_class(row, event);
    }

    fn fill_class(&self, row: &mut Row<'_, '_>, event: &Event<'_>) {
        let has = |row: &Row<'_, '_>, object| row.has(Objects::named(object));
        let set = |row: &mut Row<'_, '_>, path: &str, text: &str| {
            if let Some(leaf) = self.table.leaf(path) {
                row.builder.set_str(leaf, text);
            }
        };
        match self.table {
            Table::NetworkActivity | Table::DnsActivity | Table::DhcpActivity
                if !has(row, "src_endpoint") && !has(row, "dst_endpoint") =>
            {
                self.set_service(row);
            }
            Table::HttpActivity => {
                let of_request = ["http_request.url.url_string", "http_request.http_method", "http_response.code"];
                let is_set = |path: &&str| self.table.leaf(path).is_some_and(|leaf| row.builder.is_set(leaf));
                if !of_request.iter().any(is_set) {
                    set(row, "http_request.user_agent", UNKNOWN);
                }
            }
            Table::Authentication => {
                if !has(row, "user") {
                    set(row, "user.name", UNKNOWN);
                }
                if !has(row, "service") && !has(row, "dst_endpoint") {
                    set(row, "service.name", self.product);
                }
            }
            Table::ApiActivity => {
                if !has(row, "src_endpoint") {
                    self.set_service(row);
                }
                if !has(row, "actor") {
                    set(row, "actor.invoked_by", UNKNOWN);
                }
                set(row, "api.operation", UNKNOWN);
            }
            Table::DetectionFinding => {
                if let Some(uid) = self.uid.as_ref().filter(|uid| !row.builder.is_set(uid.leaf)) {
                    let (partition, offset) = (&event.chunk.partition, event.record.offset);
                    row.set_args(uid, format_args!("{partition}/{offset}/{}", event.index));
                }
            }
            Table::TunnelActivity if !has(row, "src_endpoint") => set(row, "src_endpoint.svc_name", UNKNOWN),
            Table::ApplicationLifecycle => set(row, "app.name", self.product),
            Table::EventLogActivity => set(row, "log_name", UNKNOWN),
            Table::InventoryInfo | Table::DeviceConfigStateChange if !has(row, "device") => {
                set(row, "device.name", UNKNOWN);
            }
            _ => {}
        }
    }

    fn set_service(&self, row: &mut Row<'_, '_>) {
        if let Some(leaf) = self.service {
            row.builder.set_str(leaf, UNKNOWN);
        }
    }
}

/// True for what stands where no field says otherwise.
pub(super) fn is_fixed(step: &Step) -> bool {
    step.from.is_empty() && !matches!(step.otherwise, Otherwise::Nothing)
}
